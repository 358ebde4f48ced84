# SPDX-License-Identifier: MPL-2.0
"""zmq_msg_gets(3), zmq_msg_get(3): what a message tells of the connection that it came by."""
import os
import socket

import zmq

from .case import name_of

PROPERTIES = ("Socket-Type", "Identity", "Routing-Id", "Peer-Address", "User-Id", "Resource", "__fd", "x-unknown", "")


def _of(t, frame):
    told = {}
    for name in PROPERTIES:
        try:
            told[name] = frame.get(name)
        except zmq.ZMQError as e:
            told[name] = zmq.strerror(e.errno)
    try:
        int(told["__fd"])
        told["__fd"] = "a number"
    except ValueError:
        pass
    return told


def _first(t, bound, connecting, *frames, **options):
    s, where = t.bound(bound, **({"SUBSCRIBE": b""} if bound == zmq.SUB else {}))
    client = t.connected(connecting, where, source="127.9.3.1", **options)
    if connecting in (zmq.PUB, zmq.XPUB):
        while not s.poll(20):
            client.send(b"x")
    elif frames:
        client.send_multipart(frames)
    got = s.recv_multipart(copy=False)
    for frame in got:
        t.say(_of(t, frame))


def of_push(t):
    _first(t, zmq.PULL, zmq.PUSH, b"x")


def of_push_in_two_frames(t):
    _first(t, zmq.PULL, zmq.PUSH, b"x", b"y")


def of_req(t):
    _first(t, zmq.REP, zmq.REQ, b"x")


def of_req_at_router(t):
    _first(t, zmq.ROUTER, zmq.REQ, b"x")


def of_dealer(t):
    _first(t, zmq.ROUTER, zmq.DEALER, b"x")


def of_dealer_with_an_id(t):
    _first(t, zmq.ROUTER, zmq.DEALER, b"x", ROUTING_ID=b"the id")


def of_dealer_at_dealer(t):
    _first(t, zmq.DEALER, zmq.DEALER, b"x", ROUTING_ID=b"the id")


def of_dealer_at_rep(t):
    _first(t, zmq.REP, zmq.DEALER, b"", b"x", ROUTING_ID=b"the id")


def of_req_with_an_id(t):
    _first(t, zmq.REP, zmq.REQ, b"x", ROUTING_ID=b"the id")


def of_pair(t):
    _first(t, zmq.PAIR, zmq.PAIR, b"x")


def of_a_subscription(t):
    _first(t, zmq.XPUB, zmq.SUB, SUBSCRIBE=b"a")


def of_a_message_of_xsub(t):
    _first(t, zmq.XPUB, zmq.XSUB, b"text")


def of_pub_at_sub(t):
    _first(t, zmq.SUB, zmq.PUB)


def of_xpub_at_sub(t):
    _first(t, zmq.SUB, zmq.XPUB)


def of_a_reply(t):
    """The client's side: Peer-Address is where it has connected to."""
    rep, where = t.bound(zmq.REP, ROUTING_ID=b"the server")
    req = t.connected(zmq.REQ, where)
    req.send(b"x")
    t.say(rep.recv())
    rep.send(b"y")
    t.say(_of(t, req.recv(copy=False)))


def of_inproc(t):
    s, where = t.bound(zmq.PULL, "inproc://here")
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(_of(t, s.recv(copy=False)))


def over_ipv6(t):
    s, where = t.bound(zmq.PULL, "tcp://[::1]:*", IPV6=1)
    t.connected(zmq.PUSH, where, IPV6=1).send(b"x")
    t.say(_of(t, s.recv(copy=False)))


def over_dual_stack(t):
    """An IPv4 client of an IPv6 socket has a mapped address."""
    s, where = t.bound(zmq.PULL, "tcp://*:*", IPV6=1)
    t.connected(zmq.PUSH, where.replace("[::]", "127.0.0.1"), source="127.9.3.2").send(b"four")
    t.say(_of(t, s.recv(copy=False)))
    t.connected(zmq.PUSH, where.replace("[::]", "[::1]"), IPV6=1).send(b"six")
    t.say(_of(t, s.recv(copy=False)))


def at_any_address(t):
    s, where = t.bound(zmq.PULL, "tcp://*:*")
    for host in ("127.0.0.1", "127.4.4.4"):
        t.connected(zmq.PUSH, where.replace("0.0.0.0", host), source="127.9.3.3").send(b"x")
        message = s.recv(copy=False)
        t.say(message.get("Peer-Address"), _ends(message))


def _ends(message):
    with socket.socket(fileno=os.dup(message.get(zmq.SRCFD))) as c:
        return name_of(c.getsockname()), name_of(c.getpeername())


def the_descriptor_of_a_message(t):
    """ZMQ_SRCFD: its ends are the client's."""
    s, where = t.bound(zmq.ROUTER)
    for i in range(3):
        t.connected(zmq.DEALER, where, source=f"127.9.3.{i + 4}").send(b"x")
        for frame in s.recv_multipart(copy=False)[1:]:
            t.say(frame.get("Peer-Address"), _ends(frame))


def the_port_of_a_client(t):
    """The source port that a client has chosen is the one that the application sees."""
    s, where = t.bound(zmq.PULL)
    source = t.free("127.9.3.9")
    t.connected(zmq.PUSH, f"{source};{where.removeprefix('tcp://')}").send(b"x")
    t.say(source, where, _ends(s.recv(copy=False)))


def who_sends_what(t):
    """Messages of many clients carry each their own."""
    s, where = t.bound(zmq.PULL)
    for i in range(20):
        t.connected(zmq.PUSH, where, source=f"127.9.3.{i + 50}").send_multipart([b"%d" % i, b"text"])
    got = [s.recv_multipart(copy=False) for _ in range(20)]
    t.say(sorted([int(frames[0].bytes), frames[0].get("Peer-Address"), frames[1].get("Peer-Address")] for frames in got))


def more_and_shared(t):
    """ZMQ_MORE, ZMQ_SRCFD, ZMQ_SHARED of each frame."""
    s, where = t.bound(zmq.PULL)
    t.connected(zmq.PUSH, where).send_multipart([b"a", b"", b"c" * 1000])
    for frame in s.recv_multipart(copy=False):
        t.say(frame.more, len(frame), frame.get(zmq.MORE), frame.get(zmq.SHARED), frame.get(zmq.SRCFD) > 2)


def what_the_client_cannot_claim(t):
    """A client that is no libzmq sends properties of its own."""
    s, where = t.bound(zmq.PULL)
    client = t.greeted(where, properties=[(b"X-Mine", b"yes"), (b"x-other", b"also")])
    client.sendall(b"\0\5hello")
    frame = s.recv(copy=False)
    t.say(frame.bytes, frame.get("X-Mine"), frame.get("x-other"), _of(t, frame))

# SPDX-License-Identifier: MPL-2.0
"""zmq_proxy(3), zmq_proxy_steerable(3), and sockets that speak no ZMTP."""
import threading

import zmq


def stream_server(t):
    stream, where = t.bound(zmq.STREAM)
    client = t.raw(where, data=b"GET /")
    who, empty = stream.recv_multipart()
    t.say(len(who), empty, stream.recv_multipart()[1])
    stream.send_multipart([who, b"200 OK"])
    t.say(client.recv(100))
    stream.send_multipart([who, b""])
    client.setblocking(False)
    t.until(lambda: t.quiet(stream, 1) and t.tried(client.recv, 1) == "done")
    t.say(client.recv(100))


def stream_sees_the_end(t):
    stream, where = t.bound(zmq.STREAM)
    client = t.raw(where)
    who, _ = stream.recv_multipart()
    client.close()
    t.say([part == who or part for part in stream.recv_multipart()])


def stream_without_notices(t):
    stream, where = t.bound(zmq.STREAM, STREAM_NOTIFY=0)
    client = t.raw(where, data=b"first")
    t.say(stream.recv_multipart()[1])
    client.close()
    t.say(t.quiet(stream))


def raw_router(t):
    """ZMQ_ROUTER_RAW: as ZMQ_STREAM, of old."""
    router, where = t.bound(zmq.ROUTER, ROUTER_RAW=1)
    client = t.raw(where, data=b"GET /")
    who, empty = router.recv_multipart()
    t.say(len(who), empty, router.recv_multipart()[1])
    router.send_multipart([who, b"200 OK"])
    t.say(client.recv(100))


def stream_connects_to_a_bound_socket(t):
    """It sees the greeting of the bound socket as octets."""
    _, where = t.bound(zmq.PULL)
    stream = t.connected(zmq.STREAM, where)
    who, empty = stream.recv_multipart()
    t.say(empty)
    stream.send_multipart([who, b"\xff" + bytes(8) + b"\x7f\3"])
    got = b""
    while len(got) < 64:
        got += stream.recv_multipart()[1]
        if len(got) == 11:
            stream.send_multipart([who, b"\0NULL" + bytes(48)])
    t.say(got[:10].hex(), got[10], got[12:16], len(got) >= 64)


def draft_types_are_not_there(t):
    for kind in (12, 13, 14, 15, 16, 17, 18, 19, 20, 99):
        t.say(kind, t.tried(t.ctx.socket, kind))


def broker(t):
    """REQ - ROUTER/DEALER - ROUTER/DEALER - REP: an envelope for each broker."""
    own = zmq.Context()
    (front, where), (back, there), (onward, last) = (_bound(own, kind) for kind in (zmq.ROUTER, zmq.DEALER, zmq.DEALER))
    second = own.socket(zmq.ROUTER)
    second.connect(there)
    threads = [threading.Thread(target=_proxy, args=ends) for ends in ((front, back), (second, onward))]
    for thread in threads:
        thread.start()
    rep = t.connected(zmq.REP, last)
    reqs = [t.connected(zmq.REQ, where) for _ in range(3)]
    for i, req in enumerate(reqs * 2):
        req.send_multipart([b"%d" % i, b""])
        t.say(rep.recv_multipart())
        rep.send(b"answer %d" % i)
        t.say(req.recv())
    own.term()
    for thread in threads:
        thread.join()


def _proxy(front, back, capture=None):
    try:
        zmq.proxy(front, back, capture)
    except zmq.ContextTerminated:
        pass
    for s in filter(None, (front, back, capture)):
        s.close(0)


def forwarder_with_capture(t):
    own = zmq.Context()
    (xsub, at), (xpub, to) = (_bound(own, kind) for kind in (zmq.XSUB, zmq.XPUB))
    seen, capture = t.socket(zmq.PULL, own), t.socket(zmq.PUSH, own)
    seen.bind("inproc://capture")
    capture.connect("inproc://capture")
    thread = threading.Thread(target=_proxy, args=(xsub, xpub, capture))
    thread.start()
    sub = t.connected(zmq.SUB, to, SUBSCRIBE=b"a")
    t.say(seen.recv())
    pub = t.connected(zmq.XPUB, at)
    t.say(pub.recv())
    pub.send_multipart([b"a1", b"text"])
    t.say(sub.recv_multipart(), seen.recv_multipart())
    seen.close()
    own.term()
    thread.join()


def _bound(ctx, kind):
    s = ctx.socket(kind)
    s.linger = 0
    s.bind("tcp://127.0.0.1:*")
    return s, s.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()


def steered_proxy(t):
    own = zmq.Context()
    (front, where), (back, there) = (_bound(own, kind) for kind in (zmq.ROUTER, zmq.DEALER))
    control, mine = own.socket(zmq.PAIR), own.socket(zmq.PAIR)
    mine.bind("inproc://control")
    control.connect("inproc://control")
    thread = threading.Thread(target=_steered, args=(front, back, control))
    thread.start()
    rep, req = t.connected(zmq.REP, there), t.connected(zmq.REQ, where)

    def once(text):
        req.send(text)
        rep.send(rep.recv() + b"!")
        return req.recv()
    t.say(once(b"one"))
    if zmq.zmq_version_info() < (4, 3, 5):  # later ones heed no commands
        mine.send(b"PAUSE")
        t.quiet(rep)  # libzmq says nothing when it has paused
        req.send(b"two")
        t.say(t.quiet(rep))
        mine.send(b"RESUME")
        rep.send(rep.recv() + b"!")
        t.say(req.recv())
        mine.send(b"STATISTICS")
        t.say([int.from_bytes(n, "little") for n in mine.recv_multipart()])
        mine.send(b"TERMINATE")
        thread.join()
    mine.close(0)
    own.term()
    thread.join()


def _steered(front, back, control):
    try:
        zmq.proxy_steerable(front, back, None, control)
    except zmq.ContextTerminated:
        pass
    for s in (front, back, control):
        s.close(0)

# SPDX-License-Identifier: MPL-2.0
"""zmq_socket_monitor(3): which events a bound socket and its clients see, in which order, with which values."""
import os

import zmq

from .case import wait_until

HANDSHAKES = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


def bind_and_unbind(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    s.bind("tcp://127.0.0.1:*")
    t.say(t.endpoint(s), seen.next(), seen.quiet())
    s.unbind(t.endpoint(s))
    t.say(seen.next(), seen.quiet())


def wildcard_listener(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    s.bind("tcp://*:*")
    t.say(t.endpoint(s), seen.next())


def ipv6_listener(t):
    s = t.socket(zmq.PULL, IPV6=1)
    seen = t.watch(s)
    s.bind("tcp://[::1]:*")
    where = t.endpoint(s)
    t.say(where, seen.next())
    t.connected(zmq.PUSH, where, IPV6=1).send(b"x")
    t.say(s.recv(), seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED))


def one_client(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    s.bind("tcp://127.0.0.1:*")
    client = t.connected(zmq.PUSH, t.endpoint(s))
    t.say(seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED), seen.quiet())
    client.send(b"x")
    t.say(s.recv(), seen.quiet())
    client.close()
    t.say(seen.next(), seen.quiet())


def _types(t, bound, connecting):
    s = t.socket(bound)
    seen = t.watch(s)
    s.bind("tcp://127.0.0.1:*")
    client = t.connected(connecting, t.endpoint(s))
    t.say(seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED))
    client.close()
    t.say(seen.next(), seen.quiet())


def client_of_rep(t):
    _types(t, zmq.REP, zmq.REQ)


def client_of_router(t):
    _types(t, zmq.ROUTER, zmq.DEALER)


def client_of_pub(t):
    _types(t, zmq.PUB, zmq.SUB)


def client_of_xpub(t):
    _types(t, zmq.XPUB, zmq.XSUB)


def client_of_push(t):
    _types(t, zmq.PUSH, zmq.PULL)


def client_of_pair(t):
    _types(t, zmq.PAIR, zmq.PAIR)


def clients_one_after_the_other(t):
    s = t.socket(zmq.ROUTER)
    seen = t.watch(s)
    s.bind("tcp://127.0.0.1:*")
    for i in range(5):
        client = t.connected(zmq.DEALER, t.endpoint(s))
        client.send(b"%d" % i)
        t.say(s.recv_multipart()[1], seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED))
        client.close()
        t.say(seen.next())


def clients_at_the_same_time(t):
    s = t.socket(zmq.ROUTER)
    seen = t.watch(s)
    s.bind("tcp://127.0.0.1:*")
    clients = [t.connected(zmq.DEALER, t.endpoint(s)) for _ in range(10)]
    events = [e[0] for e in seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED, 10)]
    t.say(events[0], sorted(events))
    for c in clients:
        c.close()
    t.say([e[0] for e in seen.until(zmq.EVENT_DISCONNECTED, 10)], seen.quiet())


def no_client_no_event(t):
    """Nothing connects to a socket that nobody has asked for."""
    s = t.socket(zmq.REP)
    seen = t.watch(s)
    s.bind("tcp://127.0.0.1:*")
    t.say(seen.next(), seen.quiet(700))


def events_that_are_asked_for(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
    s.bind("tcp://127.0.0.1:*")
    client = t.connected(zmq.PUSH, t.endpoint(s))
    t.say(seen.next())
    client.send(b"x")
    s.recv()
    client.close()
    t.say(seen.next(), seen.quiet())


def monitor_that_is_stopped(t):
    s = t.socket(zmq.PULL)
    s.monitor("inproc://events", zmq.EVENT_ALL)
    watcher = t.socket(zmq.PAIR)
    watcher.connect("inproc://events")
    s.bind("tcp://127.0.0.1:*")
    t.say([frame[:2] == b"\x08\0" for frame in watcher.recv_multipart()])
    s.monitor(None, 0)
    event, endpoint = watcher.recv_multipart()
    t.say(int.from_bytes(event[:2], "little") == zmq.EVENT_MONITOR_STOPPED, endpoint)
    s.unbind(t.endpoint(s))
    t.say(t.quiet(watcher))


def monitor_of_a_closed_socket(t):
    s = t.socket(zmq.PULL)
    s.monitor("inproc://events", zmq.EVENT_ALL)
    watcher = t.socket(zmq.PAIR)
    watcher.connect("inproc://events")
    s.bind("tcp://127.0.0.1:*")
    where = t.endpoint(s)
    client = t.connected(zmq.PUSH, where)
    client.send(b"x")
    s.recv()
    s.close()
    events = []
    while zmq.EVENT_MONITOR_STOPPED not in events:
        events.append(int.from_bytes(watcher.recv_multipart()[0][:2], "little"))
    t.say([zmq.Event(e).name for e in events])


def two_endpoints(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    wheres = []
    for _ in range(2):
        s.bind("tcp://127.0.0.1:*")
        wheres.append(t.endpoint(s))
        t.say(wheres[-1], seen.next())
    for where in reversed(wheres):
        client = t.connected(zmq.PUSH, where)
        t.say(seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED))
        client.close()
        t.say(seen.next())


def rebind(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    where = t.free()
    for _ in range(3):
        s.bind(where)
        t.say(seen.next())
        s.unbind(where)
        t.say(seen.next())


def bind_that_fails(t):
    s, where = t.bound(zmq.PULL)
    other = t.socket(zmq.PULL)
    seen = t.watch(other)
    t.say(t.tried(other.bind, where), seen.rest())


def unbind_ends_the_clients(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    s.bind("tcp://127.0.0.1:*")
    where = t.endpoint(s)
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(s.recv(), seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED))
    s.unbind(where)
    t.say(sorted(e[0] for e in seen.rest(500)))


def client_side(t):
    s, where = t.bound(zmq.PULL)
    client = t.socket(zmq.PUSH)
    seen = t.watch(client)
    client.connect(where)
    t.say(seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED), seen.quiet())
    client.disconnect(where)
    t.say(seen.rest())


def client_that_comes_first(t):
    """It tries until somebody listens."""
    where = t.free()
    client = t.socket(zmq.PUSH, RECONNECT_IVL=10)
    seen = t.watch(client)
    client.connect(where)
    t.say(seen.until(zmq.EVENT_CONNECT_RETRIED))
    s = t.socket(zmq.PULL)
    s.bind(where)
    t.say(seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED)[-2:])
    client.send(b"x")
    t.say(s.recv())


def client_whose_server_ends(t):
    s, where = t.bound(zmq.PULL)
    client = t.socket(zmq.PUSH, RECONNECT_IVL=10)
    seen = t.watch(client)
    client.connect(where)
    t.say(seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED)[-1])
    s.close()
    t.say(seen.until(zmq.EVENT_CLOSED))


def client_whose_server_comes_back(t):
    s, where = t.bound(zmq.PULL)
    client = t.socket(zmq.PUSH, RECONNECT_IVL=10)
    seen = t.watch(client, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    client.connect(where)
    t.say(seen.next()[0])
    for i in range(3):
        s.close()
        t.say(seen.next()[0])
        s = t.socket(zmq.PULL)
        wait_until(lambda: t.tried(s.bind, where) == "done")
        t.say(seen.next()[0])
        client.send(b"%d" % i)
        t.say(s.recv())


def server_ends_a_silent_client(t):
    """ZMQ_HEARTBEAT_TIMEOUT passes without a sign of life of a client that is no libzmq."""
    s = t.socket(zmq.PULL, HEARTBEAT_IVL=100, HEARTBEAT_TIMEOUT=300)
    seen = t.watch(s, HANDSHAKES | zmq.EVENT_DISCONNECTED)
    s.bind("tcp://127.0.0.1:*")
    client = t.greeted(t.endpoint(s))
    t.say(seen.next()[0], seen.next()[0])
    client.settimeout(10)
    got = b""
    while more := client.recv(1000):
        got += more
    t.say(got.count(b"\4PING") >= 1)


def garbage_instead_of_a_greeting(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s, zmq.EVENT_ALL)
    s.bind("tcp://127.0.0.1:*")
    t.say(seen.next())
    t.raw(t.endpoint(s), source="127.9.2.1", data=b"GET / HTTP/1.0\r\n\r\n" + bytes(100))
    t.say([e[0] for e in seen.rest(300)])


def client_that_leaves_within_the_handshake(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s, zmq.EVENT_ALL)
    s.bind("tcp://127.0.0.1:*")
    t.say(seen.next())
    t.raw(t.endpoint(s), source="127.9.2.2", data=b"\xff" + bytes(8) + b"\x7f\3\1NULL").close()
    t.say([e[:2:2] for e in seen.rest(300)])


def client_of_another_mechanism(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s, HANDSHAKES)
    s.bind("tcp://127.0.0.1:*")
    client = t.connected(zmq.PUSH, t.endpoint(s), source="127.9.2.3", PLAIN_USERNAME=b"me", PLAIN_PASSWORD=b"mine", RECONNECT_IVL=-1)
    t.say(seen.rest(400))
    client.close()


def client_of_another_type(t):
    """A SUB at a PULL: libzmq refuses it at the end of the handshake."""
    s = t.socket(zmq.PULL)
    seen = t.watch(s, HANDSHAKES)
    s.bind("tcp://127.0.0.1:*")
    t.connected(zmq.SUB, t.endpoint(s), source="127.9.2.4", RECONNECT_IVL=-1)
    t.say(seen.rest(400))


def client_of_another_type_sees(t):
    s, where = t.bound(zmq.PULL)
    client = t.socket(zmq.SUB, RECONNECT_IVL=-1)
    seen = t.watch(client, HANDSHAKES | zmq.EVENT_DISCONNECTED)
    client.connect(f"tcp://127.9.2.5:0;{where.removeprefix('tcp://')}")
    t.say([e[:2] for e in seen.until(zmq.EVENT_DISCONNECTED)])


def ipc_listener(t):
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    s.bind(f"ipc://@weir-behaviour-{os.getpid()}")
    client = t.connected(zmq.PUSH, t.endpoint(s))
    client.send(b"x")
    t.say(s.recv(), [e[0] for e in seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED)])
    client.close()
    t.say(seen.next()[0])

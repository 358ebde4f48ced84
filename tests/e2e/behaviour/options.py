# SPDX-License-Identifier: MPL-2.0
"""zmq_setsockopt(3), zmq_getsockopt(3): what a bound socket's options are and do."""
import os
import socket
import struct
import time

import zmq

from .case import PATIENCE, port_of

TYPES = (zmq.PAIR, zmq.PUB, zmq.SUB, zmq.REQ, zmq.REP, zmq.DEALER, zmq.ROUTER, zmq.PULL, zmq.PUSH, zmq.XPUB, zmq.XSUB, zmq.STREAM)
READABLE = ("AFFINITY", "BACKLOG", "CONNECT_TIMEOUT", "CURVE_SERVER", "EVENTS", "GSSAPI_PLAINTEXT", "GSSAPI_SERVER", "HANDSHAKE_IVL", "HEARTBEAT_IVL", "HEARTBEAT_TIMEOUT",
            "HEARTBEAT_TTL", "IMMEDIATE", "INVERT_MATCHING", "IPV4ONLY", "IPV6", "LINGER", "MAXMSGSIZE", "MECHANISM", "MULTICAST_HOPS", "MULTICAST_MAXTPDU", "PLAIN_SERVER",
            "RATE", "RCVBUF", "RCVHWM", "RCVMORE", "RCVTIMEO", "RECONNECT_IVL", "RECONNECT_IVL_MAX", "RECOVERY_IVL", "ROUTING_ID", "SNDBUF", "SNDHWM", "SNDTIMEO",
            "SOCKS_PROXY", "TCP_KEEPALIVE", "TCP_KEEPALIVE_CNT", "TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_INTVL", "TCP_MAXRT", "THREAD_SAFE", "TOS", "TYPE", "USE_FD",
            "VMCI_BUFFER_SIZE", "ZAP_DOMAIN")
VALUES = {"AFFINITY": 1, "BACKLOG": 7, "CONNECT_TIMEOUT": 1000, "HANDSHAKE_IVL": 5000, "HEARTBEAT_IVL": 1000, "HEARTBEAT_TIMEOUT": 2000, "HEARTBEAT_TTL": 3000,
          "IMMEDIATE": 1, "IPV6": 1, "LINGER": 17, "MAXMSGSIZE": 12345, "RCVBUF": 65536, "RCVHWM": 11, "RCVTIMEO": 12, "RECONNECT_IVL": 13, "RECONNECT_IVL_MAX": 14,
          "ROUTING_ID": b"me", "SNDBUF": 65536, "SNDHWM": 15, "SNDTIMEO": 16, "TCP_KEEPALIVE": 1, "TCP_KEEPALIVE_CNT": 3, "TCP_KEEPALIVE_IDLE": 60,
          "TCP_KEEPALIVE_INTVL": 10, "TCP_MAXRT": 9000, "TOS": 16, "ZAP_DOMAIN": b"mine", "INVERT_MATCHING": 1, "MULTICAST_HOPS": 2, "RATE": 99}


def _value(t, s, name):
    try:
        return s.getsockopt(getattr(zmq, name))
    except (zmq.ZMQError, AttributeError) as e:
        return str(e)


def defaults(t):
    for kind in TYPES:
        s = t.ctx.socket(kind)
        before = {name: _value(t, s, name) for name in READABLE}
        s.bind("tcp://127.0.0.1:*")
        after = {name: _value(t, s, name) for name in READABLE}
        t.say(before, {name: after[name] for name in READABLE if after[name] != before[name]})
        s.close(0)


def values_stay(t):
    """Set before the bind, read after it; then the same the other way."""
    s = t.ctx.socket(zmq.ROUTER)
    for name, value in VALUES.items():
        t.say(name, t.tried(s.setsockopt, getattr(zmq, name), value))
    s.bind("tcp://127.0.0.1:*")
    t.say({name: _value(t, s, name) for name in VALUES})
    other = t.ctx.socket(zmq.DEALER)
    other.bind("tcp://127.0.0.1:*")
    for name, value in VALUES.items():
        t.say(name, t.tried(other.setsockopt, getattr(zmq, name), value), _value(t, other, name))
    s.close(0)
    other.close(0)


def values_that_are_none(t):
    s, _ = t.bound(zmq.PULL)
    for name, value in (("BACKLOG", -5), ("HANDSHAKE_IVL", -1), ("HEARTBEAT_TTL", 10000000), ("IMMEDIATE", 7), ("IPV6", 2), ("LINGER", -2), ("RCVHWM", -1), ("RCVTIMEO", -5),
                        ("ROUTING_ID", b""), ("ROUTING_ID", bytes(256)), ("TCP_KEEPALIVE", 5), ("TOS", -1), ("SUBSCRIBE", b"x"), ("XPUB_VERBOSE", 1), ("ROUTER_MANDATORY", 1),
                        ("TYPE", 1), ("LAST_ENDPOINT", b"x"), ("EVENTS", 1), ("RCVMORE", 1), ("CURVE_SERVERKEY", b"short"), ("REQ_RELAXED", 1), ("CONFLATE", 2)):
        t.say(name, value, t.tried(s.setsockopt, getattr(zmq, name), value))


def _accepted(t, **options):
    """What the descriptor of a connection, and of its listener, have of the kernel's options. The kernel adapts buffers that nobody has set."""
    s = t.socket(zmq.PULL, **options)
    seen = t.watch(s, zmq.EVENT_LISTENING | zmq.EVENT_ACCEPTED)
    s.bind("tcp://127.0.0.1:*")
    listener = seen.raw()["value"]
    t.connected(zmq.PUSH, t.endpoint(s))
    for fd in (listener, seen.raw()["value"]):
        with socket.socket(fileno=os.dup(fd)) as c:
            t.say({name: c.getsockopt(level, getattr(socket, name)) for level, name in (
                (socket.SOL_SOCKET, "SO_KEEPALIVE"), (socket.IPPROTO_TCP, "TCP_KEEPCNT"), (socket.IPPROTO_TCP, "TCP_KEEPIDLE"), (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
                (socket.IPPROTO_IP, "IP_TOS"), (socket.SOL_SOCKET, "SO_RCVBUF"), (socket.SOL_SOCKET, "SO_SNDBUF"), (socket.IPPROTO_TCP, "TCP_NODELAY"),
                (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"), (socket.SOL_SOCKET, "SO_REUSEADDR"), (socket.SOL_SOCKET, "SO_REUSEPORT"))
                if "BUF" not in name or "RCVBUF" in options})
            t.say(c.gettimeout(), os.get_blocking(fd), os.get_inheritable(fd), c.family.name, c.type.name, c.proto)


def kernel_options_by_default(t):
    _accepted(t)


def kernel_buffers(t):
    _accepted(t, RCVBUF=40000, SNDBUF=50000)


def kernel_keepalive(t):
    _accepted(t, TCP_KEEPALIVE=1, TCP_KEEPALIVE_CNT=4, TCP_KEEPALIVE_IDLE=50, TCP_KEEPALIVE_INTVL=6)


def kernel_type_of_service(t):
    _accepted(t, TOS=16)


def kernel_timeout(t):
    _accepted(t, TCP_MAXRT=8000)


def backlog(t):
    """How long the queue of a listener is: tcpi_sacked of TCP_INFO."""
    for value in (None, 1, 7, 100):
        s = t.socket(zmq.PULL, **({} if value is None else {"BACKLOG": value}))
        seen = t.watch(s, zmq.EVENT_LISTENING)
        s.bind("tcp://127.0.0.1:*")
        with socket.socket(fileno=os.dup(seen.raw()["value"])) as c:
            t.say(value, struct.unpack_from("I", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 28)[0])


def maximal_message_size(t):
    """A client that sends more is cut off; one that sends as much is not."""
    s, where = t.bound(zmq.PULL, MAXMSGSIZE=1000)
    seen = t.watch(s, zmq.EVENT_DISCONNECTED)
    c = t.connected(zmq.PUSH, where, source="127.9.9.1", RECONNECT_IVL=-1)
    c.send(bytes(1000))
    t.say(len(s.recv()), seen.quiet())
    c.send(bytes(1001))
    t.say(seen.next(), t.quiet(s))
    other = t.connected(zmq.PUSH, where)
    other.send_multipart([bytes(900), bytes(900)])
    t.say([len(frame) for frame in s.recv_multipart()])


def handshake_interval(t):
    """A client that says nothing is cut off."""
    s, where = t.bound(zmq.PULL, HANDSHAKE_IVL=400)
    c = t.raw(where, source="127.9.9.2")
    began = time.monotonic()
    data = b"x"
    while data:
        data = c.recv(1000)
    t.say(0.3 < time.monotonic() - began < 5)


def heartbeats(t):
    """A client that is well is kept, and messages pass."""
    s, where = t.bound(zmq.ROUTER, HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=500, HEARTBEAT_TTL=1000)
    seen = t.watch(s, zmq.EVENT_DISCONNECTED)
    c = t.connected(zmq.DEALER, where, ROUTING_ID=b"me")
    for i in range(5):
        c.send(b"%d" % i)
        t.say(s.recv_multipart())
        s.send_multipart([b"me", b"x"])
        t.say(c.recv(), seen.quiet(100))


def heartbeats_of_the_client(t):
    s, where = t.bound(zmq.ROUTER)
    c = t.socket(zmq.DEALER, ROUTING_ID=b"me", HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=500)
    seen = t.watch(c, zmq.EVENT_DISCONNECTED)
    c.connect(where)
    c.send(b"x")
    t.say(s.recv_multipart(), seen.quiet(800))
    s.send_multipart([b"me", b"y"])
    t.say(c.recv())


def time_to_live_of_the_client(t):
    """HEARTBEAT_TTL of a client that hangs: the server ends it. A raw client says it in a PING, and is silent then."""
    s, where = t.bound(zmq.PULL)
    seen = t.watch(s, zmq.EVENT_DISCONNECTED)
    c = t.greeted(where, source="127.9.9.3")
    c.sendall(b"\4\7\4PING\0\5")
    t.say(c.recv(100), seen.next())


def receive_timeout(t):
    for ms in (0, 50, 200):
        s, _ = t.bound(zmq.PULL, RCVTIMEO=ms)
        began = time.monotonic()
        t.say(ms, t.tried(s.recv), time.monotonic() - began >= ms / 1000)


def send_timeout(t):
    for ms in (0, 50, 200):
        s, _ = t.bound(zmq.PUSH, SNDTIMEO=ms)
        began = time.monotonic()
        t.say(ms, t.tried(s.send, b"x"), time.monotonic() - began >= ms / 1000)


def nobody_to_send_to(t):
    for kind in (zmq.PUSH, zmq.DEALER, zmq.REQ, zmq.PAIR, zmq.PUB, zmq.XPUB):
        s, _ = t.bound(kind)
        t.say(t.tried(s.send, b"x", zmq.DONTWAIT))
    s, _ = t.bound(zmq.ROUTER)
    t.say(t.tried(s.send_multipart, [b"a", b"b"], zmq.DONTWAIT))


def immediate(t):
    """A client with ZMQ_IMMEDIATE has nobody to send to until somebody listens and greets."""
    where = t.free()
    c = t.connected(zmq.PUSH, where, IMMEDIATE=1, RECONNECT_IVL=10)
    t.say(t.tried(c.send, b"early", zmq.DONTWAIT))
    s = t.socket(zmq.PULL)
    s.bind(where)
    c.send(b"late")
    t.say(s.recv())
    s.close()
    t.until(lambda: t.tried(c.send, b"lost", zmq.DONTWAIT) == "EAGAIN")
    t.say("nobody again")


def immediate_at_two_servers(t):
    """It sends nothing to the one that is not there."""
    there, where = t.bound(zmq.PULL)
    c = t.socket(zmq.PUSH, IMMEDIATE=1, RECONNECT_IVL=10)
    c.connect(t.free())
    c.connect(where)
    for i in range(10):
        c.send(b"%d" % i)
    t.say(t.all_of(there, 10))


def receive_high_water_mark(t):
    """A server that does not receive stops its clients at some point, and loses nothing."""
    s, where = t.bound(zmq.PULL, RCVHWM=2, RCVBUF=4096)
    c = t.connected(zmq.PUSH, where, SNDHWM=2, SNDBUF=4096)
    c.sndtimeo = 1000
    sent = 0
    while sent < 10000 and t.tried(c.send, b"%d" % sent + bytes(100000)) == "done":
        sent += 1
    got = [int(s.recv().split(b"\0")[0]) for _ in range(sent)]
    t.say(2 <= sent < 10000, got == list(range(sent)), t.quiet(s))
    c.send(b"goes on")
    t.say(s.recv())


def send_high_water_mark(t):
    """A bound PUSH, whose client does not receive."""
    s, where = t.bound(zmq.PUSH, SNDHWM=2, SNDBUF=4096)
    c = t.connected(zmq.PULL, where, RCVHWM=2, RCVBUF=4096)
    s.sndtimeo = 1000
    sent = 0
    while sent < 10000 and t.tried(s.send, b"%d" % sent + bytes(100000)) == "done":
        sent += 1
    got = [int(c.recv().split(b"\0")[0]) for _ in range(sent)]
    t.say(2 <= sent < 10000, got == list(range(sent)), t.quiet(c))


def publisher_that_drops(t):
    """Beyond the mark a subscriber that does not read loses messages; it never blocks the publisher, and gets what was in time in order."""
    s, where = t.bound(zmq.PUB, SNDHWM=5)
    c = t.connected(zmq.SUB, where, RCVHWM=5, SUBSCRIBE=b"")
    t.receives(s, c)
    for i in range(3000):
        s.send(b"%d." % i + bytes(20000))
    got = [int(m[0].split(b".")[0]) for m in _frames(c)]
    t.say(0 < len(got) < 3000, got == sorted(set(got)), got[0])


def _frames(c, ms=500):
    got = []
    while c.poll(ms):
        got.append(c.recv_multipart())
    return got


def publisher_that_does_not_drop(t):
    """ZMQ_XPUB_NODROP: EAGAIN instead."""
    s, where = t.bound(zmq.XPUB, SNDHWM=5, XPUB_NODROP=1)
    c = t.connected(zmq.SUB, where, RCVHWM=5, SUBSCRIBE=b"")
    t.say(s.recv())
    sent, failed = 0, 0
    while sent < 3000 and not failed:
        if t.tried(s.send, b"%d." % sent + bytes(100000), zmq.DONTWAIT) == "done":
            sent += 1
        else:
            failed = 1
    got = [int(c.recv().split(b".")[0]) for _ in range(sent)]
    t.say(failed, got == list(range(sent)), t.quiet(c))


def io_threads_by_affinity(t):
    own = zmq.Context(io_threads=2)
    for mask in (1, 2, 3):
        s = own.socket(zmq.PULL)
        s.affinity, s.rcvtimeo = mask, PATIENCE * 1000
        s.bind("tcp://127.0.0.1:*")
        t.connected(zmq.PUSH, t.endpoint(s)).send(b"x")
        t.say(s.recv())
        s.close(0)
    own.term()


def who_reconnects_is_paced(t):
    """ZMQ_RECONNECT_IVL_MAX: tries become rarer."""
    where = t.free()
    c = t.socket(zmq.PUSH, RECONNECT_IVL=20, RECONNECT_IVL_MAX=80)
    seen = t.watch(c, zmq.EVENT_CONNECT_RETRIED)
    c.connect(where)
    t.say([seen.next()[0] for _ in range(3)])
    s = t.socket(zmq.PULL)
    s.bind(where)
    c.send(b"x")
    t.say(s.recv(), port_of(where) == port_of(t.endpoint(s)))


def options_of_the_context(t):
    own = zmq.Context()
    for option in (zmq.IO_THREADS, zmq.MAX_SOCKETS, zmq.SOCKET_LIMIT, zmq.IPV6, 10, 5):
        t.say(option, own.get(option))
    own.set(zmq.IPV6, 1)
    s = own.socket(zmq.PULL)
    t.say(s.getsockopt(zmq.IPV6))
    s.close()
    own.term()

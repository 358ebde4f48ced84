# SPDX-License-Identifier: MPL-2.0
"""zmq_close(3), ZMQ_LINGER, zmq_ctx_term(3), zmq_disconnect(3): what is delivered, and who learns of the end."""
import socket
import struct
import threading
import time

import zmq

from .case import PATIENCE


def linger_of_a_client(t):
    """What a client has sent arrives after its close if it lingers."""
    pull, where = t.bound(zmq.PULL)
    own = zmq.Context()
    push = own.socket(zmq.PUSH)
    push.linger = PATIENCE * 1000
    push.connect(where)
    for i in range(100):
        push.send(b"%d" % i)
    push.close()
    own.term()
    t.say(t.all_of(pull, 100))


def linger_of_the_server(t):
    own = zmq.Context()
    push = own.socket(zmq.PUSH)
    push.linger = PATIENCE * 1000
    push.bind("tcp://127.0.0.1:*")
    pull = t.connected(zmq.PULL, t.endpoint(push))
    for i in range(100):
        push.send(b"%d" % i)
    push.close()
    own.term()
    t.say(t.all_of(pull, 100))


def linger_for_nobody(t):
    """The context waits as long as the linger says, when no client is there."""
    for ms in (0, 100):
        own = zmq.Context()
        s = own.socket(zmq.DEALER)
        s.linger = ms
        s.connect(t.free())
        s.send(b"x")
        s.close()
        began = time.monotonic()
        own.term()
        t.say(ms, time.monotonic() - began >= ms / 1000)


def no_linger(t):
    """What was not delivered is dropped, and the context ends at once."""
    own = zmq.Context()
    s = own.socket(zmq.PUSH)
    s.bind("tcp://127.0.0.1:*")
    pull = t.connected(zmq.PULL, t.endpoint(s), RCVHWM=1, RCVBUF=4096)
    for _ in range(50):
        s.send(bytes(1000000))
    s.close(0)
    own.term()
    t.say(len(t.all_of(pull, ms=300)) < 50)


def a_context_that_ends_while_somebody_waits(t):
    own = zmq.Context()
    s = own.socket(zmq.PULL)
    s.bind("tcp://127.0.0.1:*")
    said = []

    def wait():
        said.append(t.tried(s.recv))
        s.close()
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    own.term()
    thread.join()
    t.say(said)


def a_closed_socket(t):
    s, _ = t.bound(zmq.PULL)
    s.close()
    t.say(t.tried(s.recv), t.tried(s.getsockopt, zmq.EVENTS), t.tried(s.unbind, "tcp://127.0.0.1:1"))


def the_client_sees_the_end_of_the_server(t):
    s, where = t.bound(zmq.ROUTER)
    c = t.socket(zmq.DEALER)
    seen = t.watch(c, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    c.connect(where)
    t.say(seen.next()[0])
    s.close()
    t.say(seen.next()[0])


def the_server_sees_the_end_of_the_client(t):
    s, where = t.bound(zmq.ROUTER)
    seen = t.watch(s, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    for end in (lambda c: c.close(), lambda c: c.disconnect(where)):
        c = t.connected(zmq.DEALER, where)
        t.say(seen.next()[0])
        end(c)
        t.until(lambda: seen.monitor.poll(10) or c.closed or c.getsockopt(zmq.EVENTS) is None)
        t.say(seen.next()[0])


def disconnect_and_connect(t):
    s, where = t.bound(zmq.PULL)
    c = t.socket(zmq.PUSH)
    for i in range(5):
        c.connect(where)
        c.send(b"%d" % i)
        t.say(s.recv())
        c.disconnect(where)
    t.say(t.tried(c.disconnect, where))


def a_server_that_comes_back(t):
    """Messages that a client sent meanwhile arrive at the new one, in order."""
    where = t.free()
    c = t.connected(zmq.PUSH, where, RECONNECT_IVL=10)
    seen = t.watch(c, zmq.EVENT_DISCONNECTED)
    for n in range(3):
        s = t.socket(zmq.PULL)
        t.until(lambda: t.tried(s.bind, where) == "done")
        c.send(b"%d now" % n)
        messages = []
        while b"%d now" % n not in messages:
            messages.append(s.recv())
        t.say(messages)
        s.close()
        seen.next()
        for i in range(3):
            c.send(b"%d later %d" % (n, i))


def a_publisher_that_comes_back(t):
    """Its subscribers subscribe again by themselves."""
    where = t.free()
    c = t.connected(zmq.SUB, where, RECONNECT_IVL=10, SUBSCRIBE=[b"a", b"b"])
    for n in range(3):
        s = t.socket(zmq.XPUB)
        t.until(lambda: t.tried(s.bind, where) == "done")
        t.say(sorted(t.attended(c, s)[0] for _ in range(2)))
        s.send(b"a%d" % n)
        t.say(c.recv())
        s.close()


def requests_over_a_restart(t):
    """A REQ that is relaxed asks again."""
    where = t.free()
    c = t.connected(zmq.REQ, where, RECONNECT_IVL=10, REQ_RELAXED=1, REQ_CORRELATE=1)
    s = t.socket(zmq.REP)
    s.bind(where)
    c.send(b"one")
    t.say(s.recv())
    with t.watching(c, zmq.EVENT_DISCONNECTED) as seen:
        s.close()
        seen.next()
    s = t.socket(zmq.REP)
    t.until(lambda: t.tried(s.bind, where) == "done")
    c.send(b"two")
    t.say(s.recv())
    s.send(b"answer")
    t.say(c.recv())


def a_reply_to_a_client_that_has_left(t):
    """It is dropped, and the server serves the next."""
    rep, where = t.bound(zmq.REP)
    seen = t.watch(rep, zmq.EVENT_DISCONNECTED)
    for i in range(3):
        c = t.connected(zmq.REQ, where)
        c.send(b"%d" % i)
        t.say(rep.recv())
        c.close()
        seen.next()
        t.say(t.tried(rep.send, b"for nobody"))
    c = t.connected(zmq.REQ, where)
    c.send(b"last")
    t.say(rep.recv())
    rep.send(b"for somebody")
    t.say(c.recv())


def a_request_that_nobody_waits_for(t):
    """It was received before its client left: the server still has it."""
    rep, where = t.bound(zmq.REP)
    seen = t.watch(rep, zmq.EVENT_DISCONNECTED)
    c = t.connected(zmq.DEALER, where)
    c.send_multipart([b"", b"one"])
    c.send_multipart([b"", b"two"])
    t.say(rep.recv())
    rep.send(b"x")
    t.say(c.recv_multipart())
    c.close()
    seen.next()
    t.say(t.all_of(rep))


def a_hundred_clients_at_the_end(t):
    s, where = t.bound(zmq.ROUTER)
    clients = [t.connected(zmq.DEALER, where, RECONNECT_IVL=-1) for _ in range(100)]
    for c in clients:
        c.send(b"x")
    t.say(len({s.recv_multipart()[0] for _ in clients}))
    seen = [t.watch(c, zmq.EVENT_DISCONNECTED) for c in clients]
    s.close()
    t.say(len([w.next() for w in seen]))


def a_client_that_is_cut_off_comes_back(t):
    """MAXMSGSIZE cuts it off; it connects again, and the message that was too large is lost."""
    s, where = t.bound(zmq.PULL, MAXMSGSIZE=100)
    c = t.connected(zmq.PUSH, where, RECONNECT_IVL=10)
    seen = t.watch(c, zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
    c.send(b"one")
    t.say(s.recv())
    seen.rest(20)
    c.send(bytes(1000))
    t.say([seen.next()[0], seen.next()[0]])
    c.send(b"two")
    t.say(s.recv())


def sockets_are_used_again(t):
    """Two hundred sockets, one after the other, on one address."""
    where = t.free()
    count = 0
    for _ in range(40):
        s = t.socket(zmq.PULL)
        t.until(lambda: t.tried(s.bind, where) == "done")
        c = t.connected(zmq.PUSH, where)
        c.send(b"x")
        count += s.recv() == b"x"
        c.close()
        s.close()
    t.say(count)


def two_hundred_clients_at_once(t):
    """All come in, and each is answered."""
    router, where = t.bound(zmq.ROUTER)
    clients = [t.connected(zmq.DEALER, where, ROUTING_ID=b"%d" % i) for i in range(200)]
    for c in clients:
        c.send(b"hello")
    for _ in clients:
        router.send_multipart(router.recv_multipart())
    t.say([c.recv() for c in clients] == [b"hello"] * 200)


def a_client_that_closes_half(t):
    """It sends its last message and the end of the stream: the message arrives, and the connection ends."""
    s, where = t.bound(zmq.PULL)
    seen = t.watch(s, zmq.EVENT_DISCONNECTED)
    c = t.greeted(where, source="127.9.13.1")
    c.sendall(b"\0\4last")
    c.shutdown(socket.SHUT_WR)
    t.say(s.recv(), seen.next()[0], c.recv(100))


def a_client_that_is_reset(t):
    """A connection that ends by RST: what the server has received before stays."""
    s, where = t.bound(zmq.PULL)
    seen = t.watch(s, zmq.EVENT_DISCONNECTED)
    c = t.greeted(where, source="127.9.13.2")
    c.sendall(b"\0\5first")
    t.say(s.recv())
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    t.say(seen.next()[0])
    t.connected(zmq.PUSH, where).send(b"next")
    t.say(s.recv())


def a_context_that_is_shut_down(t):
    """zmq_ctx_shutdown(): whoever uses its sockets is told so; closing them still works."""
    own = zmq.Context()
    s = own.socket(zmq.PULL)
    s.bind("tcp://127.0.0.1:*")
    where = t.endpoint(s)
    ended = threading.Thread(target=own.term)
    ended.start()
    t.until(lambda: t.tried(s.poll, 0) == "ETERM")
    t.say(t.tried(s.recv, zmq.DONTWAIT), t.tried(s.bind, "tcp://127.0.0.1:*"), t.tried(s.unbind, where))
    s.close()
    ended.join()
    other = t.socket(zmq.PULL)
    t.say(t.tried(other.bind, where))

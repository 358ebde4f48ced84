# SPDX-License-Identifier: MPL-2.0
"""zmq_poll(3), ZMQ_FD, ZMQ_EVENTS: when a bound socket is ready."""
import asyncio
import os
import select
import threading

import zmq
import zmq.asyncio

from .case import PATIENCE

NAMES = {0: "none", zmq.POLLIN: "in", zmq.POLLOUT: "out", zmq.POLLIN | zmq.POLLOUT: "in and out"}


def _ready(s):
    return NAMES[s.getsockopt(zmq.EVENTS)]


def without_clients(t):
    for kind in (zmq.PULL, zmq.PUSH, zmq.REP, zmq.REQ, zmq.ROUTER, zmq.DEALER, zmq.PUB, zmq.SUB, zmq.XPUB, zmq.XSUB, zmq.PAIR):
        s, _ = t.bound(kind)
        t.say(_ready(s), NAMES[s.poll(0, zmq.POLLIN | zmq.POLLOUT)])


def with_a_client(t):
    for bound, connecting in ((zmq.PULL, zmq.PUSH), (zmq.PUSH, zmq.PULL), (zmq.REP, zmq.REQ), (zmq.ROUTER, zmq.DEALER), (zmq.DEALER, zmq.ROUTER), (zmq.PAIR, zmq.PAIR),
                              (zmq.PUB, zmq.SUB), (zmq.XSUB, zmq.XPUB)):
        s, c = t.both(bound, connecting)
        s.poll(20)
        t.say(_ready(s), _ready(c))


def with_a_message(t):
    s, c = t.both(zmq.ROUTER, zmq.DEALER)
    c.send_multipart([b"a", b"b"])
    t.say(NAMES[s.poll(PATIENCE * 1000)], _ready(s))
    t.say(s.recv() != b"", s.getsockopt(zmq.RCVMORE), _ready(s))
    t.say(s.recv(), s.getsockopt(zmq.RCVMORE), _ready(s))
    t.say(s.recv(), s.getsockopt(zmq.RCVMORE), _ready(s), t.tried(s.recv, zmq.DONTWAIT))


def poll_times_out(t):
    s, _ = t.both(zmq.PULL, zmq.PUSH)
    t.say(s.poll(0), s.poll(50), zmq.select([s], [], [], 0.05)[0])


def poll_of_several(t):
    """The one that has something is named."""
    pairs = [t.both(zmq.PULL, zmq.PUSH) for _ in range(4)]
    poller = zmq.Poller()
    for s, _ in pairs:
        poller.register(s, zmq.POLLIN)
    for i in (2, 0, 3, 1):
        pairs[i][1].send(b"%d" % i)
        ready = dict(poller.poll(PATIENCE * 1000))
        t.say([n for n, (s, _) in enumerate(pairs) if s in ready], pairs[i][0].recv())


def poll_of_sockets_and_descriptors(t):
    s, c = t.both(zmq.PULL, zmq.PUSH)
    read, write = os.pipe()
    poller = zmq.Poller()
    poller.register(s, zmq.POLLIN)
    poller.register(read, zmq.POLLIN)
    os.write(write, b"x")
    t.say(dict(poller.poll(PATIENCE * 1000)) == {read: zmq.POLLIN})
    os.read(read, 1)
    c.send(b"y")
    t.say(dict(poller.poll(PATIENCE * 1000)) == {s: zmq.POLLIN}, s.recv())
    os.close(read)
    os.close(write)


def edge_of_the_descriptor(t):
    """ZMQ_FD is readable when something may have changed; ZMQ_EVENTS then says what."""
    s, c = t.both(zmq.PULL, zmq.PUSH)
    for i in range(50):
        c.send(b"%d" % i)
        while not s.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            assert select.select([s.getsockopt(zmq.FD)], [], [], PATIENCE)[0], "nothing comes"
        assert s.recv(zmq.DONTWAIT) == b"%d" % i
        assert t.tried(s.recv, zmq.DONTWAIT) == "EAGAIN"
    t.say("all")


def the_descriptor_is_one_and_stays(t):
    s, c = t.both(zmq.PULL, zmq.PUSH)
    fd = s.getsockopt(zmq.FD)
    c.send(b"x")
    s.recv()
    t.say(fd == s.getsockopt(zmq.FD), fd > 2)


def full(t):
    """A socket whose client does not take anything is not ready for more, until it does."""
    s, where = t.bound(zmq.PUSH, SNDHWM=1, SNDBUF=4096)
    c = t.connected(zmq.PULL, where, RCVHWM=1, RCVBUF=4096)
    sent = 0
    while s.poll(700, zmq.POLLOUT):
        s.send(bytes(200000))
        sent += 1
    t.say(NAMES[s.getsockopt(zmq.EVENTS)], t.tried(s.send, b"x", zmq.DONTWAIT))
    for _ in range(sent):
        c.recv()
    t.say(NAMES[s.poll(PATIENCE * 1000, zmq.POLLOUT)], sent > 1)


def not_waiting(t):
    s, c = t.both(zmq.PULL, zmq.PUSH)
    t.say(t.tried(s.recv, zmq.DONTWAIT))
    c.send(b"x")
    t.until(lambda: t.tried(s.recv, zmq.DONTWAIT) == "done")
    t.say(t.tried(s.recv, zmq.DONTWAIT))


def a_poll_that_a_message_ends(t):
    s, c = t.both(zmq.PULL, zmq.PUSH)
    timer = threading.Timer(0.1, c.send, [b"x"])
    timer.start()
    t.say(NAMES[s.poll(PATIENCE * 1000)], s.recv())
    timer.join()


def asyncio_server(t):
    """pyzmq's asyncio: it goes by the edge of ZMQ_FD."""
    async def serve(s):
        for _ in range(200):
            await s.send(await s.recv() + b"!")

    async def main():
        ctx = zmq.asyncio.Context()
        rep, req = ctx.socket(zmq.REP), ctx.socket(zmq.REQ)
        rep.bind("tcp://127.0.0.1:*")
        req.connect(rep.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
        server = asyncio.create_task(serve(rep))
        got = []
        for i in range(200):
            await req.send(b"%d" % i)
            got.append(await asyncio.wait_for(req.recv(), PATIENCE))
        await server
        ctx.destroy(linger=0)
        return got
    t.say(asyncio.run(main()) == [b"%d!" % i for i in range(200)])


def asyncio_with_many_clients(t):
    async def ask(ctx, where, n):
        c = ctx.socket(zmq.REQ)
        c.connect(where)
        got = []
        for i in range(20):
            await c.send(b"%d.%d" % (n, i))
            got.append(await asyncio.wait_for(c.recv(), PATIENCE))
        return got == [b"%d.%d" % (n, i) for i in range(20)]

    async def main():
        ctx = zmq.asyncio.Context()
        router = ctx.socket(zmq.ROUTER)
        router.bind("tcp://127.0.0.1:*")
        where = router.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        asks = asyncio.gather(*(ask(ctx, where, n) for n in range(10)))
        for _ in range(200):
            await router.send_multipart(await router.recv_multipart())
        result = await asks
        ctx.destroy(linger=0)
        return result
    t.say(asyncio.run(main()))


def receive_into_a_buffer(t):
    """zmq_recv() says how long the message is, also where the buffer is shorter."""
    s, c = t.both(zmq.PULL, zmq.PUSH)
    c.send_multipart([b"0123456789", b"", b"x" * 1000])
    t.say(s.recv(copy=False).bytes, s.recv(copy=False).bytes, len(s.recv(copy=False)), s.getsockopt(zmq.RCVMORE))

# SPDX-License-Identifier: MPL-2.0
"""Well-behaved clients, driven by the test itself while a flood rages: each exchange() must come to its end, and no connection may break."""
import itertools
import time

import zmq

from harness.net import from_source, wait_until

REGULAR = "127.77.0.1"
UNLUCKY = {"DISCONNECTED", "HANDSHAKE_FAILED_NO_DETAIL", "HANDSHAKE_FAILED_PROTOCOL", "HANDSHAKE_FAILED_AUTH", "CONNECT_RETRIED"}


class Customer:
    """One client from an address of its own. Subclasses say what an exchange is; `count` counts them."""
    socket_type = None
    options = {}

    def __init__(self, peers, app, endpoint, source, **options):
        self.app, self.count = app, 0
        self.socket = peers.client(self.socket_type, **{**self.options, **options})
        self.monitor = peers.monitor(self.socket)
        self.socket.connect(from_source(source, endpoint) if endpoint.startswith("tcp://127.") else endpoint)

    def exchange(self):
        raise NotImplementedError

    def close(self):
        """Asserts that the connection never broke."""
        unlucky = [event for event in self.monitor.events if event in UNLUCKY]
        assert not unlucky, f"a well-behaved client saw {self.monitor.events}"
        self.monitor.stop()
        self.socket.close()


class Requester(Customer):
    """For rep and router: a request, and its own reply."""
    socket_type = zmq.REQ

    def exchange(self):
        self.count += 1
        request = b"request %d of %d" % (self.count, id(self))
        self.socket.send(request)
        assert self.socket.recv() == request


class Pusher(Customer):
    """For pull: a message, and the application's word that it has come."""
    socket_type = zmq.PUSH

    def exchange(self):
        before = self.app.stats()["messages"]
        self.count += 1
        self.socket.send(b"message %d" % self.count)
        wait_until(lambda: self.app.stats()["messages"] > before, "a message to arrive", step=0.002)


class Reader(Customer):
    """For pub and xpub: ten messages published, ten received, in order. The first exchange waits until the subscription is in force."""
    socket_type = zmq.SUB
    options = {"SUBSCRIBE": b"news"}
    batch, size = 10, 100
    editions = itertools.count(1)  # a topic for each exchange: every reader hears what is published for any of them

    def exchange(self):
        if self.count == 0:
            wait_until(self._heard, "the subscription to take effect")
        self.count += 1
        topic = b"news%d" % next(self.editions)
        self.app.ask(f"publish {topic.decode()} {self.batch} {self.size}")
        for i in range(self.batch):
            assert self._receive(topic) == [topic, b"%d" % i, bytes(self.size)]

    def _receive(self, topic):
        """The next message, after what was published for others."""
        while True:
            frames = self.socket.recv_multipart()
            if frames[0] == topic:
                return frames

    def _heard(self):
        self.app.ask(f"publish news0 1 {self.size}")
        return self.socket.poll(100)


class Announcer(Customer):
    """For sub: a message published by the client, and the application's word that it has come. Before the subscription has crossed, a
    publisher drops what it sends, so the first exchange repeats itself."""
    socket_type = zmq.PUB

    def exchange(self):
        before = self.app.stats()["messages"]
        if self.count == 0:
            wait_until(lambda: self._heard(before), "the subscription to take effect")
        before = self.app.stats()["messages"]
        self.count += 1
        self.socket.send(b"announcement")
        wait_until(lambda: self.app.stats()["messages"] > before, "an announcement to arrive", step=0.002)

    def _heard(self, before):
        self.socket.send(b"hello?")
        time.sleep(0.02)
        return self.app.stats()["messages"] > before


KINDS = {"sub": Announcer, "rep": Requester, "router": Requester, "slow-rep": Requester, "pull": Pusher, "slow-pull": Pusher, "pub": Reader, "xpub": Reader}


class Customers:
    """One regular client, and newcomers one after the other, each from another address."""

    def __init__(self, peers, app, kind, endpoint, **options):
        self.make = lambda source: KINDS[kind](peers, app, endpoint, source, **options)
        self.addresses = itertools.count(1)
        self.newcomers = 0
        self.regular = self.make(REGULAR)
        self.regular.exchange()

    def newcomer(self):
        n = next(self.addresses)
        customer = self.make(f"127.78.{n // 250}.{n % 250 + 1}")
        customer.exchange()
        customer.close()
        self.newcomers += 1

    def serve_until(self, condition, what, rounds=60):
        """Exchanges go on until the condition holds, and for `rounds` at least; at least two newcomers come meanwhile."""
        served = [0]

        def step():
            self.regular.exchange()
            if served[0] % 20 == 5:
                self.newcomer()
            served[0] += 1
            return served[0] >= rounds and condition()

        wait_until(step, what)

    def close(self):
        self.regular.exchange()
        self.regular.close()

# SPDX-License-Identifier: MPL-2.0
"""For protocols with many sockets in one thread: a loop of handlers and timers on a Part, and clients that ask. Such a protocol is a class with
two sides, application() and peers(); row() registers it."""
import heapq
import itertools
import math
import re
import struct
import time

import zmq

from .registry import protocol

STAMP = struct.Struct("!QQ")  # a number and the time at which it was sent
TURN = 200   # messages taken from one socket before the others are looked at
LATE_S = 4.0  # what is on its way at the end of the load may need so long


def stamp(number=0):
    return STAMP.pack(number, time.monotonic_ns())


def sent_at(frame):
    return STAMP.unpack_from(frame)[1] / 1e9


def number_of(frame):
    return STAMP.unpack_from(frame)[0]


class Protocol:
    """application(side) binds side.at[...] for each of `gates` and serves until the cell is over; peers(side) connects, waits for the start of the
    load with side.settle(), and returns when its part is done. `loads`: the parameters of each load, in side.load."""

    gates = ("main",)
    loads = {"low": {}, "normal": {}, "full": {}}
    seconds = 0.0  # the least time of load that shows anything
    quick = False
    settle_s = 0.5

    def needs(self):
        return None

    def application(self, side):
        raise NotImplementedError

    def peers(self, side):
        raise NotImplementedError

    def build(self, cell):
        load = drawn(cell, self.loads[cell.load])
        cell.seconds = max(cell.seconds, self.seconds)
        cell.application(self.run_application, load, {gate: cell.bind(gate) for gate in self.gates})
        cell.clients(self.run_peers, load, {gate: cell.connect(gate) for gate in self.gates})

    def run_application(self, me, load, at):
        self.application(Side(me, load, at))

    def run_peers(self, me, load, at):
        self.peers(Side(me, load, at))


def drawn(cell, load):
    """Counts and rates between 0.7 of what is stated and that; the table says which."""
    share = cell.draw.uniform(0.7, 1.0)
    load = {key: max(1, round(value * share)) if isinstance(value, int) else value for key, value in load.items()}
    cell.says(", ".join(f"{key} {value:g}" for key, value in load.items()))
    return load


def row(cls):
    """Registers a protocol, by its class's name: BatchesOf32 is batches-of-32."""
    name = re.sub(r"(?<!^)(?=[A-Z])|(?<=[a-z])(?=\d)", "-", cls.__name__).lower()
    it = cls()

    def build(cell):
        it.build(cell)

    build.__doc__ = cls.__doc__
    protocol(*cls.gates, quick=cls.quick, settle_s=cls.settle_s, needs=it.needs, name=name)(build)
    return cls


class Loop:
    """Handlers of sockets and timers of one part."""

    def __init__(self, me):
        self.me = me
        self.poller = zmq.Poller()
        self.handlers = {}
        self.timers = []
        self.order = itertools.count()

    def on(self, socket, handler):
        """handler(frames) for each message."""
        self.handlers[socket] = handler
        self.poller.register(socket, zmq.POLLIN)

    def forget(self, socket):
        if self.handlers.pop(socket, None):
            self.poller.unregister(socket)

    def at(self, when, action, *args):
        heapq.heappush(self.timers, (when, next(self.order), action, args))

    def after(self, seconds, action, *args):
        self.at(time.monotonic() + seconds, action, *args)

    def every(self, seconds, action, *args, first=None):
        """After `first` seconds (`seconds` if not given), and each `seconds` from then on, without drift; a late one is not left out."""
        start = time.monotonic() + (seconds if first is None else first)

        def again(n):
            self.at(start + seconds * (n + 1), again, n + 1)
            action(*args)

        self.at(start, again, 0)

    def run(self, seconds=math.inf, until=None):
        """For that time, until until() is true (asked after each turn), or until the cell is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until()):
            self.me.check()
            self._fire()
            due = min(self.timers[0][0] if self.timers else math.inf, end, time.monotonic() + 0.05)
            for socket, _ in self.poller.poll(max(0, math.ceil((due - time.monotonic()) * 1000))):
                self._take(socket)

    def _fire(self):
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            _, _, action, args = heapq.heappop(self.timers)
            action(*args)

    def _take(self, socket):
        for _ in range(TURN):
            handler = self.handlers.get(socket)
            if handler is None:
                return
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.ZMQError as error:
                if error.errno in (zmq.EAGAIN, zmq.EFSM):  # a REQ or REP whose turn it is not
                    return
                raise
            handler(frames)


class Side:
    """One side of a protocol: its part, its loop, its endpoints and its parameters."""

    def __init__(self, me, load, at):
        self.me, self.load, self.at = me, load, at
        self.random, self.context, self.seconds = me.draw, me.context, me.plan.seconds
        self.loop = Loop(me)

    def socket(self, kind, bind=None, connect=None, **options):
        """`bind` and `connect` are names of gates; options are libzmq's, in capitals."""
        socket = self.me.socket(kind)
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name), value)
        if bind:
            socket.bind(self.at[bind])
        if connect:
            socket.connect(self.at[connect])
        return socket

    def settle(self):
        """Until the load starts: connections are made by then, and subscriptions known."""
        while not self.me.shared.start:
            self.loop.run(0.005)
        self.loop.run(self.me.shared.start - time.monotonic())

    def counting(self, when):
        return self.me.shared.start and when >= self.me.shared.start

    def asking(self):
        """Whether the time of the load is not over. Before it starts clients may ask; that does not count."""
        return not self.me.shared.start or time.monotonic() < self.me.end

    def whole_load(self):
        self.loop.run(self.me.end - time.monotonic())

    def rest(self, until):
        self.loop.run(LATE_S, until=until)

    # ---- the books ----

    def done(self, since, operations=1):
        """Something that was asked or sent at `since` is complete."""
        if self.counting(since):
            self.me.done(since, operations)

    def expect(self, what, seen, wanted):
        """Something that must be so, with a gate or without."""
        if seen != wanted:
            self.me.must(False, what)
            self.me.tally(f"{what}: {seen}, not {wanted}")


class Asker:
    """Clients that ask, wait for the answer (or several), think, and ask again; `depth` requests at a time each.

    request(client, number) -> frames, the first made by stamp(number) and returned in each answer; a DEALER's may stand behind an empty one.
    answered(client, frames) -> True when that was the last answer. give_up_s: after that time gave_up(client) is called and the client goes on."""

    def __init__(self, side, kind, clients, connect="main", think_s=0.0, depth=1, delimiter=False, request=None, answered=None,
                 give_up_s=None, gave_up=None, options=None):
        self.side, self.kind, self.connect = side, kind, connect
        self.think_s, self.depth, self.delimiter, self.give_up_s = think_s, depth, delimiter, give_up_s
        self.request = request or (lambda client, number: [stamp(number), b"x" * 40])
        self.answered = answered or (lambda client, frames: True)
        self.gave_up = gave_up or (lambda client: None)
        self.options = options or {}
        self.sockets, self.numbers = [None] * clients, [0] * clients
        self.waiting = [{} for _ in range(clients)]  # number -> when it was asked
        for client in range(clients):
            self.open(client)

    def open(self, client):
        socket = self.side.socket(self.kind, connect=self.connect, **self.options)
        self.sockets[client] = socket
        self.side.loop.on(socket, lambda frames: self._answer(client, frames))

    def close(self, client):
        self.side.loop.forget(self.sockets[client])
        self.side.me.drop(self.sockets[client])

    def ask(self, client):
        if not self.side.asking():
            return
        number = self.numbers[client]
        self.numbers[client] += 1
        frames = self.request(client, number)
        self.waiting[client][number] = time.monotonic()
        self.sockets[client].send_multipart([b"", *frames] if self.delimiter else frames)
        if self.give_up_s:
            self.side.loop.after(self.give_up_s, self._give_up, client, number)

    def _give_up(self, client, number):
        if self.waiting[client].pop(number, None) is not None:
            self.side.me.tally("given up")
            self.gave_up(client)
            self.ask(client)

    def _answer(self, client, frames):
        frames = frames[1:] if self.delimiter else frames
        number = number_of(frames[0])
        asked = self.waiting[client].get(number)
        if asked is None:
            return  # of a request that was given up
        if self.answered(client, frames):
            del self.waiting[client][number]
            self.side.done(asked)
            self.side.loop.after(self.think_s * self.side.random.uniform(0.5, 1.5), self.ask, client)

    def outstanding(self):
        return sum(len(w) for w in self.waiting)

    def begin(self, spread_s=None):
        """Each client at a time of its own."""
        for client in range(len(self.sockets)):
            for _ in range(self.depth):
                self.side.loop.after(self.side.random.uniform(0, spread_s or max(self.think_s, 0.02)), self.ask, client)

    def end(self):
        """What was asked is answered, or nobody waits for it any more."""
        self.side.rest(lambda: self.outstanding() == 0)
        self.side.expect("requests without an answer", self.outstanding(), 0)

    def run(self):
        self.begin()
        self.side.settle()
        self.side.whole_load()
        self.end()

# SPDX-License-Identifier: MPL-2.0
"""Servers that work on many requests at a time, keep some, or give many answers to one."""
import collections
import time

import zmq

from zoo.loop import Asker, Protocol, row, sent_at, stamp


def keeping(side, answer_after):
    """A ROUTER that keeps each request for answer_after(frames) seconds while it works on others."""
    socket = side.socket(zmq.ROUTER, bind="main")
    side.loop.on(socket, lambda frames: side.loop.after(answer_after(frames), socket.send_multipart, frames))
    side.loop.run()


@row
class BatchesOf32(Protocol):
    """A server that takes up to 32 requests at a time, each 40 ms (inference, group commit)."""
    loads = {"low": {"clients": 4}, "normal": {"clients": 20}, "full": {"clients": 60}}
    largest = 32

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        queue = collections.deque()

        def work():
            for _ in range(min(self.largest, len(queue))):
                socket.send_multipart(queue.popleft())

        side.loop.on(socket, queue.append)
        side.loop.every(0.04, work)
        side.loop.run()

    def peers(self, side):
        Asker(side, zmq.DEALER, side.load["clients"]).run()


@row
class SixtyFourSlots(Protocol):
    """A server with 64 slots of 20 to 380 ms each; what does not find one waits in the server."""
    loads = {"low": {"clients": 8}, "normal": {"clients": 48}, "full": {"clients": 128}}
    slots = 64

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        free, queue = [self.slots], collections.deque()

        def start(frames):
            free[0] -= 1
            side.loop.after(side.random.uniform(0.02, 0.38), finish, frames)

        def finish(frames):
            socket.send_multipart(frames)
            free[0] += 1
            if queue:
                start(queue.popleft())

        side.loop.on(socket, lambda frames: start(frames) if free[0] else queue.append(frames))
        side.loop.run()

    def peers(self, side):
        Asker(side, zmq.DEALER, side.load["clients"]).run()


@row
class TokenStreams(Protocol):
    """Inference with 40 slots: each request gets 4 to 12 tokens, one each 50 ms, as messages of their own."""
    loads = {"low": {"clients": 4}, "normal": {"clients": 15}, "full": {"clients": 50}}
    slots = 40
    seconds = 2.0

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        running, queue = [], collections.deque()

        def step():
            while queue and len(running) < self.slots:
                running.append([queue.popleft(), side.random.randint(4, 12)])
            for job in running:
                job[1] -= 1
                socket.send_multipart([*job[0][:2], b"token" if job[1] else b"end"])
            running[:] = [job for job in running if job[1]]

        side.loop.on(socket, queue.append)
        side.loop.every(0.05, step)
        side.loop.run()

    def peers(self, side):
        last = {}  # the pause before each token counts as well

        def answered(client, frames):
            if last.get(client):
                side.done(last[client])
            last[client] = None if frames[1] == b"end" else time.monotonic()
            return frames[1] == b"end"

        Asker(side, zmq.DEALER, side.load["clients"], answered=answered).run()


@row
class LongPolls(Protocol):
    """Polls that are kept for 0.8 s, among quick requests on other connections."""
    loads = {"low": {"polls": 4, "quick": 2}, "normal": {"polls": 20, "quick": 8}, "full": {"polls": 80, "quick": 15}}
    seconds = 2.0

    def application(self, side):
        keeping(side, lambda frames: 0.8 if frames[2] == b"poll" else 0.0)

    def peers(self, side):
        polls = Asker(side, zmq.DEALER, side.load["polls"], request=lambda c, n: [stamp(n), b"poll"])
        quick = Asker(side, zmq.DEALER, side.load["quick"], think_s=0.02, request=lambda c, n: [stamp(n), b"quick"])
        polls.begin(spread_s=1.0)
        quick.run()
        polls.end()


@row
class PollAndCallsTogether(Protocol):
    """The same DEALER keeps a poll of 0.7 s open and asks quick requests beside it."""
    loads = {"low": {"clients": 2}, "normal": {"clients": 15}, "full": {"clients": 40}}

    def application(self, side):
        keeping(side, lambda frames: 0.7 if frames[2] == b"poll" else 0.002)

    def peers(self, side):
        def request(client, number):
            return [stamp(number), b"poll" if number % 8 == 0 else b"quick"]

        Asker(side, zmq.DEALER, side.load["clients"], depth=3, think_s=0.02, request=request).run()


@row
class DoublingAnswers(Protocol):
    """One request, 1, 2, 4, ... 64 answers."""
    loads = {"low": {"clients": 2}, "normal": {"clients": 6}, "full": {"clients": 12}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")

        def answer(frames):
            count = int(frames[2])
            for i in range(count):
                socket.send_multipart([*frames[:2], b"last" if i == count - 1 else b"more"])

        side.loop.on(socket, answer)
        side.loop.run()

    def peers(self, side):
        got = collections.Counter()

        def answered(client, frames):
            got[client] += 1
            if frames[1] == b"more":
                return False
            side.expect("answers", bin(got.pop(client)).count("1"), 1)
            return True

        Asker(side, zmq.DEALER, side.load["clients"], think_s=0.2, request=lambda c, n: [stamp(n), b"%d" % (1 << n % 7)],
              answered=answered).run()


@row
class AnswersInBursts(Protocol):
    """An application that answers all it has each 100 ms."""
    loads = {"low": {"clients": 3}, "normal": {"clients": 30}, "full": {"clients": 100}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        kept = []

        def answer_all():
            for frames in kept:
                socket.send_multipart(frames)
            kept.clear()

        side.loop.on(socket, kept.append)
        side.loop.every(0.1, answer_all)
        side.loop.run()

    def peers(self, side):
        Asker(side, zmq.DEALER, side.load["clients"], depth=2).run()


@row
class NotesAndCalls(Protocol):
    """JSON-RPC: each DEALER sends notes that nobody answers, and a call after every fifth."""
    quick = True
    loads = {"low": {"clients": 10, "calls_per_s": 1}, "normal": {"clients": 10, "calls_per_s": 10}, "full": {"clients": 20, "calls_per_s": 8}}
    notes = 5

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        taken = [0]

        def handle(frames):
            if frames[2] == b"note":
                taken[0] += 1
                side.done(sent_at(frames[1]))
            elif frames[2] == b"taken":
                socket.send_multipart([*frames[:2], b"%d" % taken[0]])
            else:
                socket.send_multipart(frames)

        side.loop.on(socket, handle)
        side.loop.run()

    def peers(self, side):
        sent = [0]

        def request(client, number):
            for _ in range(self.notes):
                asker.sockets[client].send_multipart([stamp(number), b"note"])
                sent[0] += 1
            return [stamp(number), b"call"]

        asker = Asker(side, zmq.DEALER, side.load["clients"], think_s=1 / side.load["calls_per_s"], request=request)
        asker.run()
        answer = []
        side.loop.on(asker.sockets[0], answer.append)
        asker.sockets[0].send_multipart([stamp(), b"taken"])
        side.loop.run(5.0, until=lambda: answer)
        side.expect("notes that arrived", int(answer[0][1]) if answer else None, sent[0])


@row
class BeatsAndTelemetry(Protocol):
    """DEALERs that beat each 100 ms and report each 80 ms to a ROUTER, which answers the beats only."""
    loads = {"low": {"clients": 4}, "normal": {"clients": 12}, "full": {"clients": 40}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")

        def handle(frames):
            if frames[2] == b"beat":
                socket.send_multipart(frames)
            else:
                side.done(sent_at(frames[1]))

        side.loop.on(socket, handle)
        side.loop.run()

    def peers(self, side):
        asker = Asker(side, zmq.DEALER, side.load["clients"], think_s=0.1, request=lambda c, n: [stamp(n), b"beat"])
        body = b"t" * 200

        def report():
            if side.asking():
                for socket in asker.sockets:
                    socket.send_multipart([stamp(), body])

        side.loop.every(0.08, report)
        asker.run()
        side.loop.run(0.1)

# SPDX-License-Identifier: MPL-2.0
"""Applications that real systems put behind one ROUTER, as processes of their own with libzmq's defaults.

Run as a script: apps.py KIND ENDPOINT '{"slots": 64, ...}'. It prints "ready ENDPOINT" and answers each line on stdin with one line of JSON:
what it has heard of each kind, and how late what carried a time was (in ms).

    broker       clients and workers on one socket: a request goes to the worker that has been idle for longest
    notes        notes are heard, calls are answered
    jobs         workers ask for the next job, report and beat
    batches      works on up to `slots` requests at a time, for `work_ms`
    slots        `slots` at a time, each for a time of its own between `work_ms` and `most_ms`; takes no more than it works on
    forgetful    answers all but one in seven of those who said that they would ask again
    server       one at a time, each for as long as it says
"""
import collections
import json
import random
import sys
import time

import zmq
from loop import Loop

ASK, READY, RESULT, BEAT, NOTE, REPORT, AGAIN, LEAVE = b"ask", b"ready", b"result", b"beat", b"note", b"report", b"again", b"leave"


def stamp():
    return b"%d" % time.monotonic_ns()


def ms_since(text):
    return (time.monotonic_ns() - int(text)) / 1e6


def spread(values):
    """What is said of a list of times."""
    ordered = sorted(values) or [0]
    return {"n": len(values), "p50": round(ordered[len(ordered) // 2], 2), "p99": round(ordered[len(ordered) * 99 // 100], 2),
            "most": round(ordered[-1], 2)}


class App:
    """A ROUTER, or with `rep` a REP. Messages are [sender, ..., "", kind, time, ...]; `sender` is what stands before the empty frame."""

    def __init__(self, endpoint, spec):
        self.spec = spec
        self.loop = Loop()
        self.heard = collections.Counter()
        self.late = collections.defaultdict(list)
        ctx = zmq.Context()
        ctx.max_sockets = 4096
        self.socket = ctx.socket(zmq.REP if spec.get("rep") else zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(endpoint)
        self.begin()
        self.loop.on(self.socket, self.hear)
        self.loop.on_line(self.tell)
        print("ready", self.socket.last_endpoint.decode(), flush=True)
        self.loop.run()

    def begin(self):
        pass

    def hear(self, frames):
        frames = [b"", *frames] if self.socket.type == zmq.REP else frames
        at = frames.index(b"")
        sender, (kind, sent, *body) = tuple(frames[:at]), frames[at + 1:]
        self.heard[kind.decode()] += 1
        self.late[kind.decode()].append(ms_since(sent))
        self.message(sender, kind, sent, body)

    def send(self, to, *frames):
        self.socket.send_multipart(frames if self.socket.type == zmq.REP else [*to, b"", *frames])

    def tell(self, line):
        if not line or line.startswith(b"quit"):
            return self.loop.stop()
        print(json.dumps({"heard": self.heard, "late": {kind: spread(values) for kind, values in self.late.items()}}), flush=True)
        return None


class Broker(App):
    def begin(self):
        self.idle, self.jobs = collections.deque(), collections.deque()

    def message(self, sender, kind, sent, body):
        if kind == BEAT:
            return self.send(sender, BEAT)
        if kind == ASK:
            self.jobs.append((*sender, sent))
        if kind == RESULT:
            self.send(body[:1], RESULT, body[1])
        if kind in (READY, RESULT):
            self.idle.append(sender)
        while self.idle and self.jobs:
            self.send(self.idle.popleft(), ASK, *self.jobs.popleft())
        return None


class Notes(App):
    def message(self, sender, kind, sent, body):
        if kind == ASK:
            self.send(sender, RESULT, sent)


class Jobs(App):
    def message(self, sender, kind, sent, body):
        if kind in (READY, RESULT):
            self.send(sender, ASK, sent)
        if kind == BEAT:
            self.send(sender, BEAT)


class Batches(App):
    """Takes what is there, up to a full batch, and hears nothing while it works."""

    def begin(self):
        self.batch = []

    def message(self, sender, kind, sent, body):
        self.batch.append((sender, RESULT, sent))
        if len(self.batch) == 1:
            self.loop.after(0, self.work)
        if len(self.batch) == self.spec["slots"]:
            self.loop.off(self.socket)

    def work(self):
        batch, self.batch = self.batch, []
        time.sleep(self.spec["work_ms"] / 1000)
        for reply in batch:
            self.send(*reply)
        self.loop.on(self.socket, self.hear)


class Slots(App):
    def begin(self):
        self.busy = 0
        self.random = random.Random(7)

    def message(self, sender, kind, sent, body):
        self.busy += 1
        if self.busy == self.spec["slots"]:
            self.loop.off(self.socket)
        self.loop.after(self.random.uniform(self.spec["work_ms"], self.spec["most_ms"]) / 1000, self.done, sender, sent)

    def done(self, sender, sent):
        self.send(sender, RESULT, sent)
        self.busy -= 1
        self.loop.on(self.socket, self.hear)


class Forgetful(App):
    def message(self, sender, kind, sent, body):
        if kind != AGAIN or self.heard["again"] % 7:
            self.send(sender, RESULT, sent)


class Server(App):
    def begin(self):
        self.loop.at_once = 1

    def message(self, sender, kind, sent, body):
        time.sleep(float(body[0]) / 1000)
        self.send(sender, RESULT, sent)


if __name__ == "__main__":
    {"broker": Broker, "notes": Notes, "jobs": Jobs, "batches": Batches, "slots": Slots, "forgetful": Forgetful, "server": Server}[sys.argv[1]](
        sys.argv[2], json.loads(sys.argv[3]))

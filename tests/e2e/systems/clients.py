# SPDX-License-Identifier: MPL-2.0
"""Clients and workers of the applications in apps.py, all of a system in one process.

Run as a script: clients.py ENDPOINT WARM SECONDS '[{"kind": "asker", "count": 8, ...}, ...]'. It counts from WARM seconds on, stops asking
after SECONDS more, waits for answers (PATIENCE at most), and prints one line of JSON: for each group how many of each kind were said, how many were
answered, how many of these while it counted, how many are not, and how long answers took (in ms). It goes when stdin ends. Options of all: `source`,
an address to come from; `after_ms`, when they come.

    asker      asks again `think_ms` after each answer; `socket` is REQ or DEALER; each has `bytes` and costs `cost_ms`
    flooder    a DEALER that never has less than `depth` such requests under way
    worker     of a broker: `work_ms` for each job; `socket`; with `beat_ms` it also beats
    reporter   of a job master: `work_ms` for each job, `reports` on the way, a beat each `beat_ms`
    noter      `notes` and `calls` a second, evenly
    relaxed    a REQ that asks anew when it has not heard within `patience_ms`
    leaver     a REQ that asks once, and leaves `patience_ms` later
    pirate     a REQ that is thrown away for a new one when it has not heard within `patience_ms`
"""
import collections
import json
import os
import sys
import time

import zmq
from apps import AGAIN, ASK, BEAT, LEAVE, NOTE, READY, REPORT, RESULT, ms_since, spread, stamp
from loop import Loop

PATIENCE = float(os.environ.get("WEIR_E2E_PATIENCE", "30"))


class Group:
    def __init__(self, system, spec):
        self.system, self.spec, self.loop = system, spec, system.loop
        self.asked = self.answered = self.done = self.owed = 0
        self.took, self.turns, self.said = [], {}, collections.Counter()
        self.later(spec.get("after_ms", 0), self.make_all)

    def make_all(self):
        for n in range(self.spec["count"]):
            self.later(n, self.make, n)  # not all in the same moment

    def open(self, kind, **options):
        s = self.system.ctx.socket(getattr(zmq, kind))
        s.linger = 0
        for name, value in options.items():
            s.setsockopt(getattr(zmq, name), value)
        to = self.system.endpoint
        s.connect(f"tcp://{self.spec['source']}:0;{to.removeprefix('tcp://')}" if "source" in self.spec else to)
        return s

    def say(self, s, *frames):
        if self.system.told:
            return
        self.said[frames[0].decode()] += 1
        s.send_multipart([*([b""] if s.type == zmq.DEALER else []), *frames])

    def later(self, ms, call, *args):
        self.loop.after(ms / 1000, call, *args)

    def ask(self, s, kind=ASK):
        if self.system.asking:
            self.asked += 1
            self.say(s, kind, stamp(), b"%g" % self.spec.get("cost_ms", 0), bytes(self.spec.get("bytes", 0)))

    def answer(self, frames):
        """[kind, when it was asked, ...], behind an empty frame at a DEALER."""
        self.answered += 1
        if self.system.counting:
            self.done += 1
            self.took.append(ms_since(frames[1 if frames[0] else 2]))

    def result(self):
        return {"said": self.said, "answered": self.answered, "done": self.done, "unanswered": self.asked - self.answered, "took": spread(self.took)}


class Asker(Group):
    def make(self, n):
        s = self.open(self.spec.get("socket", "REQ"))
        self.loop.on(s, lambda frames: self.heard(s, frames))
        self.ask(s)

    def heard(self, s, frames):
        self.answer(frames)
        self.later(self.spec.get("think_ms", 0), self.ask, s)


class Flooder(Group):
    def make(self, n):
        s = self.open("DEALER", SNDHWM=0)
        self.loop.on(s, lambda frames: self.heard(s, frames))
        for _ in range(self.spec["depth"]):
            self.ask(s)

    def heard(self, s, frames):
        self.answer(frames)
        self.ask(s)


class Worker(Group):
    def make(self, n):
        s = self.open(self.spec["socket"])
        self.loop.on(s, lambda frames: self.heard(s, frames))
        self.say(s, READY, stamp())
        if "beat_ms" in self.spec:
            self.later(self.spec["beat_ms"], self.beat, s)

    def beat(self, s):
        if self.system.asking:
            self.say(s, BEAT, stamp())
        self.later(self.spec["beat_ms"], self.beat, s)

    def heard(self, s, frames):
        if frames[-1] != BEAT:
            self.later(self.spec["work_ms"], self.work, s, frames[-2:])

    def work(self, s, job):
        self.say(s, RESULT, stamp(), *job)


class Reporter(Worker):
    """What it asks for is the next job: `took` is from a result to that."""

    def make(self, n):
        super().make(n)
        self.asked += 1

    def heard(self, s, frames):
        if frames[-1] == BEAT:
            return
        self.answer(frames)
        steps = self.spec["reports"] + 1
        self.owed += self.spec["reports"]
        for step in range(1, steps):
            self.later(self.spec["work_ms"] * step / steps, self.report, s)
        self.later(self.spec["work_ms"], self.ask, s, RESULT)

    def report(self, s):
        self.say(s, REPORT, stamp())
        self.owed -= 1


class Noter(Group):
    def make(self, n):
        s = self.open("DEALER")
        self.loop.on(s, lambda frames: self.answer(frames))
        for kind in ("notes", "calls"):
            every = 1000 / self.spec[kind]
            self.later(every * (n + 1) / self.spec["count"], self.tell, s, kind, every)

    def tell(self, s, kind, every):
        if kind == "calls":
            self.ask(s)
        elif self.system.asking:
            self.say(s, NOTE, stamp())
        self.later(every, self.tell, s, kind, every)


class Relaxed(Group):
    def make(self, n):
        s = self.open("REQ", REQ_RELAXED=1, REQ_CORRELATE=1)
        self.turns[s] = 0
        self.loop.on(s, lambda frames: self.heard(s, frames))
        self.again(s, 0)

    def again(self, s, turn):
        """Unless something has come since this turn."""
        if self.turns[s] == turn:
            self.turns[s] += 1
            self.ask(s, AGAIN)
            self.later(self.spec["patience_ms"], self.again, s, self.turns[s])

    def heard(self, s, frames):
        self.answer(frames)
        self.turns[s] += 1
        self.later(self.spec["think_ms"], self.again, s, self.turns[s])


class Pirate(Group):
    def make(self, n):
        self.later(n * self.spec["patience_ms"] / self.spec["count"], self.begin)

    def begin(self):
        if self.system.asking:
            s = self.open("REQ")
            self.loop.on(s, lambda frames: self.heard(s, frames))
            self.ask(s)
            self.later(self.spec["patience_ms"], self.give_up, s)

    def heard(self, s, frames):
        self.answer(frames)
        self.leave(s)

    def give_up(self, s):
        if not s.closed:
            self.leave(s)

    def leave(self, s):
        self.loop.off(s)
        s.close()
        self.begin()


class Leaver(Group):
    def make(self, n):
        s = self.open("REQ")
        self.ask(s, LEAVE)
        self.later(self.spec["patience_ms"], s.close)


KINDS = {"asker": Asker, "flooder": Flooder, "worker": Worker, "reporter": Reporter, "noter": Noter, "relaxed": Relaxed, "leaver": Leaver, "pirate": Pirate}


class System:
    def __init__(self, endpoint, warm, seconds, groups):
        self.endpoint = endpoint
        self.loop = Loop()
        self.ctx = zmq.Context()
        self.ctx.max_sockets = 16384
        self.asking, self.counting, self.told = True, False, False
        self.groups = [KINDS[group["kind"]](self, group) for group in groups]
        self.loop.after(warm, self.count)
        self.loop.after(warm + seconds, self.end)

    def count(self):
        self.counting = True
        self.began = time.monotonic()

    def end(self):
        self.asking = self.counting = False
        self.seconds = time.monotonic() - self.began
        self.until = time.monotonic() + PATIENCE
        self.wait()

    def wait(self):
        """For answers, which those who give up need not have, and for what is still to be said."""
        waits = any(g.owed or (g.asked > g.answered and type(g) in (Asker, Noter)) for g in self.groups)
        if waits and time.monotonic() < self.until:
            self.loop.after(0.02, self.wait)
        else:
            self.loop.stop()

    def run(self):
        print("begins", flush=True)
        self.loop.run()
        self.told = True  # what would be said from now on would not be counted
        print(json.dumps({"seconds": self.seconds, "groups": [group.result() for group in self.groups]}), flush=True)
        self.loop.on_line(lambda line: self.loop.stop())
        self.loop.running = True
        self.loop.run()


if __name__ == "__main__":
    System(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), json.loads(sys.argv[4])).run()

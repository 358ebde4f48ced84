# SPDX-License-Identifier: MPL-2.0
"""Whole systems of an application (apps.py) and its clients and workers (clients.py), each twice at the same time: bare, and behind a Weir
that nobody has configured. Whatever else this machine does, it does to both. One more hop costs a system of quick round trips what this
machine makes of a hop now; where that counts a third runs behind a Weir that is told to hold nothing.

Use: `from systems import *` brings the fixture `system`."""
import json
import os
import sys
import time
from pathlib import Path

import pytest
from harness.net import PATIENCE, wait_until
from harness.proc import Child
from harness.weir import program

FOLDER = Path(__file__).parent

ATTEMPTS = 3

__all__ = ["never_slower", "system"]


class Program(Child):
    def __init__(self, folder, program, *args):
        command = [sys.executable, FOLDER / program] if isinstance(program, str) else [program]
        super().__init__([*command, *args], folder, Path(program).stem, stdin=True)

    def ask(self, line):
        seen = len(self.lines)
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.wait_line(lambda text: text.startswith("{"), start=seen)[0])


def counted(folder, page, work_us, large_us):
    """counted.c: a ROUTER that sends everything back, and says what it has taken if there is a page for that."""
    tool = Path(program()[0]).resolve().parent / "tests" / "e2e" / "counted" / "counted"
    return Program(folder, tool, "router", "tcp://127.0.0.1:*", str(work_us), "--large", str(large_us), *(["--counter", page] if page else []))


class Side:
    """The system once; `weir` is None where it is bare. The application is of apps.py, or "counted", with `page` for its counter."""

    def __init__(self, folder, kind, spec, front, start_weir=None, config=None):
        config = dict(config or {})
        if kind == "counted":
            if start_weir:
                config["counter"] = os.path.join(folder, f"{os.urandom(3).hex()}.taken")
            self.app = counted(folder, config.get("counter"), **spec)
        else:
            self.app = Program(folder, "apps.py", kind, "tcp://127.0.0.1:*", json.dumps(spec))
        self.endpoint = self.app.wait_line(lambda line: line.startswith("ready "))[0].split()[1]
        self.weir = None
        if start_weir:
            gate = {"name": "main", "listen": "tcp://127.0.0.1:*", "forward": self.endpoint, **config}
            self.weir = start_weir(config={"gates": [gate]}) if config else start_weir(listen=gate["listen"], forward=self.endpoint)
            self.endpoint = self.weir.endpoint
        self.endpoint = front(self.endpoint, self.weir)
        self.folder = folder
        self.children = [self.app]

    def start(self, warm, seconds, groups):
        self.clients = Program(self.folder, "clients.py", self.endpoint, str(warm), str(seconds), json.dumps(groups))
        self.children.append(self.clients)

    def finish(self, settled):
        """What the clients and the application have to say; `settled`: once all that was said has been heard, or will not be."""
        line = self.clients.wait_line(lambda text: text.startswith("{"), limit=3 * PATIENCE)[0]
        self.seconds, self.groups = (json.loads(line)[key] for key in ("seconds", "groups"))
        self.said = {}
        for group in self.groups:
            for kind, count in group["said"].items():
                self.said[kind] = self.said.get(kind, 0) + count
        self.heard_most = -1
        if not self._is_quiet() and settled:
            wait_until(self._is_quiet, "the application to hear no more", step=0.1)

    def _is_quiet(self):
        stats = self.app.ask("stats")
        self.heard, self.late = stats.get("heard", {"ask": stats.get("messages")}), stats.get("late", {})
        more, self.heard_most = sum(self.heard.values()) > self.heard_most, sum(self.heard.values())
        return self.heard == self.said or not more

    def rate(self, group):
        return self.groups[group]["done"] / self.seconds


class Systems:
    """The same one on several sides; `hop` is the one that shows what a hop costs, or None."""

    def __init__(self, name, bare, weir, hop):
        self.name, self.bare, self.weir, self.hop = name, bare, weir, hop
        self.sides = [side for side in (bare, hop, weir) if side]

    def start(self, warm, seconds, groups):
        for side in self.sides:
            side.start(warm, seconds, groups)

    def stall(self, seconds):
        """The applications stand still."""
        for side in self.sides:
            side.app.suspend()
        time.sleep(seconds)
        for side in self.sides:
            side.app.resume()

    def finish(self, settled=True):
        for side in self.sides:
            side.finish(settled)
        return self

    def describe(self):
        lines = [self.name]
        for side in self.sides:
            name = "weir" if side is self.weir else "hop" if side.weir else "bare"
            lines.append(f"  {name}: {side.seconds:.1f} s, said {side.said}, heard {side.heard}, late {side.late}")
            lines += [f"    {side.rate(n):.1f}/s {group}" for n, group in enumerate(side.groups)]
        return "\n".join(lines)

    def verdicts(self):
        return {labels["verdict"]: value for name, labels, value in self.weir.weir.samples()
                if name == "weir_verdicts_total" and labels["verdict"] != "pass" and value}

    def assert_sound(self):
        """Nothing is lost, nobody was accused, nobody waits."""
        assert not self.verdicts(), self.describe()
        assert self.weir.weir.metric("weir_connections_queued") == 0, self.describe()
        for side in self.sides:
            assert side.heard == side.said, self.describe()
        for mine, bare in zip(self.weir.groups, self.bare.groups, strict=True):
            assert bare["unanswered"] or not mine["unanswered"], self.describe()

    def is_slower(self, groups=None, share=0.9):
        """Whether anything is, than bare."""
        return any(self.group_is_slower(n, share) for n in groups or range(len(self.bare.groups))) or not all(
            on_time(self.weir.late[kind], self.bare.late[kind])
            # The first word of a connection waits until the connection is made; what those who leave had asked may not come at all.
            for kind in self.bare.late.keys() - {"ready", "leave"})

    def group_is_slower(self, n, share):
        least = min(side.rate(n) for side in self.sides if side is not self.weir)
        return (self.weir.rate(n) < max(share * least, share / 2 * self.bare.rate(n)) or
                not on_time(self.weir.groups[n]["took"], self.bare.groups[n]["took"]))


def on_time(took, bare):
    """A hop takes its time, and a busy machine adds to the slowest; what waits without a reason waits for longer than that."""
    return took["p50"] <= 2 * bare["p50"] + 5 and took["p99"] <= 2 * bare["p99"] + 50


def never_slower(run):
    """run() -> descriptions of what was slower than bare. A machine that does something else for a moment does it to one side; a message that
    waits without a reason waits each time."""
    for _ in range(ATTEMPTS):
        slower = run()
        if not slower:
            return
    raise AssertionError("\n".join(slower))


@pytest.fixture
def system(request, paths, start_weir):
    """system(kind, groups, seconds=..., config={...}, hop=True, front=..., **spec) -> Systems that run; finish() waits for their end.
    `front(endpoint, weir)` is where clients connect, if something else stands before that; `weir` is None where it is bare."""
    made = []

    def start(kind, groups, seconds=1.5, warm=0.5, config=None, hop=False, front=lambda endpoint, weir: endpoint, **spec):
        def side(*args):
            return Side(paths.folder, kind, spec, front, *args)

        systems = Systems(kind, side(), side(start_weir, config), side(start_weir, {"concurrency": {"limit": "off"}}) if hop else None)
        made.append(systems)
        systems.start(warm, seconds, groups)
        return systems

    yield start
    for systems in made:
        for side in systems.sides:
            request.node.weir_children += side.children
            for child in reversed(side.children):
                child.kill()

# SPDX-License-Identifier: MPL-2.0
"""One measurement: a protocol at one load, bare or behind Weir. A protocol's build(cell) declares its parts; run() brings them up, waits for the
clients, and returns an Outcome. Everything ends with it."""
import dataclasses
import random
import tempfile
import time

from harness.net import free_port
from harness.weir import Weir

from .group import Group, Program, failed, wait_finished
from .part import Report, Shared
from .under_run import READY, RunGroup, RunProgram, RunWeir

LOADS = {"low": 0.1, "normal": 0.5, "full": None}  # share of the stated capacity; None: closed loop
PATIENCE_S = 5.0  # what anything may need to come up or to end
SIGNS = ("weir_pauses_total", "weir_dropped_messages_total", "weir_strikes_total", "weir_holds_without_progress_total")  # must all be 0


@dataclasses.dataclass
class Plan:
    """What a part is told of the load."""
    seconds: float
    period_s: float = 0  # between two operations of one client; 0: closed loop
    stall_s: float = 0


@dataclasses.dataclass
class Outcome:
    operations: int = 0
    throughput: float = 0
    latencies: list = dataclasses.field(default_factory=list)  # seconds, sorted
    broken: dict = dataclasses.field(default_factory=dict)     # what did not hold -> how often
    facts: dict = dataclasses.field(default_factory=dict)
    counts: dict = dataclasses.field(default_factory=dict)
    metrics: dict = dataclasses.field(default_factory=dict)    # Weir's, that should be 0 and are not
    parameters: str = ""
    log: str = ""

    def percentile_s(self, share):
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))] if self.latencies else float("inf")


class Cell:
    """`draw` gives the parameters of the row, the same in each of its cells. `through`: None (bare), "serve" or "run"."""

    def __init__(self, protocol, load, through, seconds, seed, round_number=0, stall_s=0.0, patience_s=5.0):
        self.protocol, self.load, self.through, self.seconds, self.stall_s = protocol, load, through, seconds, stall_s
        self.patience_s = patience_s
        self.seed = f"{seed} {protocol.name} {load} {round_number}"
        self.drawn_by = f"{seed} {protocol.name}"
        self.draw = random.Random(self.drawn_by)
        self.shared = Shared()
        self.groups, self.parameters, self.fixed = [], "", False
        self.bound = {link: f"tcp://127.0.0.1:{free_port()}" for link in protocol.links}
        self.reached = {link: f"tcp://127.0.0.1:{free_port()}" if through == "serve" else self.bound[link] for link in protocol.links}
        self.folder = None
        self.weirs = []
        self.binds = False

    @classmethod
    def again(cls, protocol, load, seconds, drawn_by, stall_s, bound, folder):
        """The same cell in another process, for its declarations."""
        cell = cls(protocol, load, None, seconds, 0, stall_s=stall_s)
        cell.draw, cell.folder = random.Random(drawn_by), folder
        cell.bound = cell.reached = bound
        return cell

    # ---- for protocols ----

    def bind(self, link):
        """Where the one who binds this link does so: the part that is declared next."""
        self.binds = True
        return self.bound[link]

    def connect(self, link):
        """Where the others connect."""
        return self.reached[link]

    def says(self, text):
        """The parameters that were drawn, for the table."""
        self.parameters = text

    def fixed_work(self):
        """The clients do a number of operations and not a time: throughput counts until the last one."""
        self.fixed = True

    def application(self, function, *args, count=1, capacity=None, paced=False):
        """Binds; a process of its own, there before Weir and the others are. Ends with the cell. Stalls if stalls are asked for."""
        self._add(self._group(function.__name__, "application"), function, args, count, Plan(self.seconds, self.period_s(count, capacity, paced), self.stall_s))

    def peers(self, function, *args, count=1):
        """Threads of one process that end with the cell: workers."""
        self._add(self._group(function.__name__, "peers"), function, args, count, Plan(self.seconds))

    def clients(self, function, *args, count=1, capacity=None, paced=False):
        """Threads of one process whose end ends the cell. `capacity` is how many operations a second they could have done, all `count` together;
        me.ops() paces them by it. `paced`: at full load, too (a publisher that nobody slows down, and that would lose messages)."""
        self._add(self._group(function.__name__, "clients"), function, args, count, Plan(self.seconds, self.period_s(count, capacity, paced)))

    def program(self, command, kind="clients", count=1, capacity=None, paced=False, env=None, cwd=None):
        """A command of any language as "application", "peers" or "clients"; see Program for what it is told and what it says."""
        plan = Plan(self.seconds, self.period_s(count, capacity, paced))
        for _ in range(count):
            words = str(command[0]).rsplit("/", 1)[-1], kind, command, plan, env, cwd
            self.groups.append(RunProgram(self._weir_of_its_own(), *words) if self._is_to_run() else Program(*words))

    def period_s(self, count, capacity, paced=False):
        share = LOADS[self.load] or (1.0 if paced else 0)
        return count / (capacity * share) if share and capacity else 0

    def _weir_of_its_own(self):
        self.weirs.append(RunWeir(self.folder, len(self.weirs)))
        return self.weirs[-1]

    def _is_to_run(self):
        """Whether the part that is declared now belongs under `weir run`: it binds."""
        binds, self.binds = self.binds, False
        return binds and self.through == "run"

    def _group(self, name, kind):
        if not self._is_to_run():
            return Group(name, kind)
        spec = {"protocols": str(self.protocol.folder), "protocol": self.protocol.name, "load": self.load, "seconds": self.seconds, "draw": self.drawn_by,
                "stall_s": self.stall_s, "bound": self.bound, "folder": self.folder, "group": len(self.groups)}
        return RunGroup(name, kind, self._weir_of_its_own(), spec)

    def _add(self, group, function, args, count, plan):
        group.roles.append((function.__name__, function, args, count, plan))
        self.groups.append(group)

    # ---- the run ----

    def run(self):
        with tempfile.TemporaryDirectory(prefix="weir-zoo-") as self.folder:
            try:
                return self._run()
            finally:
                self.shared.stop()
                for group in self.groups:
                    group.kill()
                for weir in self.weirs:
                    weir.kill()
                self.shared.close()

    def _run(self):
        self.protocol.build(self)
        applications, clients = self._of("application"), self._of("clients")
        for group in applications:
            group.start(self.shared, self.seed)
        if not self._listening():
            outcome = self._outcome(f"nobody listened within {PATIENCE_S:.0f} s")
            outcome.log = "".join(weir.stderr() for weir in self.weirs)
            return outcome
        if self.through == "serve":
            self._start_weir()
        start = time.monotonic() + self.protocol.settle_s
        self.shared.start = start
        for group in self._of("peers") + clients:
            group.start(self.shared, self.seed)
        late = wait_finished(clients, start + self.seconds + self.patience_s)
        outcome_metrics, log = self._look_at_weir()
        self.shared.stop()
        for group in self.groups:
            group.ask_to_end()
        wait_finished(self.groups, time.monotonic() + PATIENCE_S)
        for group in self.groups:
            group.kill()
        outcome = self._outcome(*[f"{group.name} was not through {self.patience_s:g} s after the end of the load" for group in late])
        outcome.metrics, outcome.log = outcome_metrics, log
        self._stop_weir(outcome)
        return outcome

    def _of(self, kind):
        return [group for group in self.groups if group.kind == kind]

    def _listening(self):
        """Whether all links are bound: read from /proc, for a connection would be a peer."""
        wanted = {int(self.bound[link].rsplit(":", 1)[1]) for link in self.protocol.links if link not in self.protocol.late}
        end = time.monotonic() + PATIENCE_S
        while wanted - listening_ports():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def _start_weir(self):
        gates = [{"name": link, "listen": self.reached[link], "forward": self.bound[link]} for link in self.protocol.links]
        self.weirs = [Weir(self.folder, config={"gates": gates})]

    def _look_at_weir(self):
        """(what should be 0 and is not, the log)."""
        log = "".join(weir.stderr() for weir in self.weirs)
        there = [weir for weir in self.weirs if self.through == "serve" or not weir.has_ended()]
        if not all(weir.alive() for weir in there):
            return {"weir died": 1}, log
        if self.through == "run" and not any(READY.search(weir.stderr()) for weir in self.weirs):
            return {"no gate was opened": 1}, log
        found = {}
        for name, labels, value in [sample for weir in there for sample in weir.samples()]:
            verdict = labels.get("verdict") if name == "weir_verdicts_total" else None
            if value and (name in SIGNS or (verdict and verdict != "pass" and verdict not in self.protocol.allows)):
                key = verdict or name
                found[key] = found.get(key, 0) + int(value)
        return found, log

    def _stop_weir(self, outcome):
        for weir in self.weirs:
            try:
                weir.stop()
            except AssertionError as error:
                outcome.metrics["weir did not end well: " + str(error).splitlines()[0]] = 1
                outcome.log = weir.stderr()

    def _outcome(self, *broken):
        report = Report()
        for group in self.groups:
            report.add(group.report or (failed(f"{group.name} did not run") if group.kind == "clients" else Report()))
        report.broken.update({why: 1 for why in broken})
        report.broken.update({f"parts differ in: {name}": 1 for name, values in report.agreed.items() if len(values) > 1})
        if not report.times:
            report.broken["no operation was done"] = 1
        start = self.shared.start
        if self.fixed:
            throughput = len(report.times) / (max(report.times) - start) if report.times else 0
        else:
            throughput = sum(start <= t <= start + self.seconds for t in report.times) / self.seconds
        return Outcome(len(report.times), throughput, sorted(report.latencies), report.broken, report.facts, report.counts,
                       parameters=self.parameters)


def listening_ports():
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            next(lines)
            for line in lines:
                fields = line.split()
                if fields[3] == "0A":
                    ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports

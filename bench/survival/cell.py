# SPDX-License-Identifier: MPL-2.0
"""One measurement: one row against one contender. Quiet phase, flood, recovery, and a last look; nothing outlives it."""
import contextlib
import ctypes
import os
import platform
import re
import resource
import select
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from run import TICK_S, Failed, Process

from .row import ONE_WAY

RECOVERY_S, AFTER_S, SLACK_S = 1.0, 0.5, 0.2
EARLY_S = 0.5  # that a flood has before the first client, where it comes first
NEVER = float("inf")
ATTACKER = "127.66.0.1"
SHARED = "127.50.0.1"  # of the clients that stand behind one address


def cores():
    """(for the flood and the clients, for the application and what protects it); nothing is pinned on a machine of one core."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


@contextlib.contextmanager
def turn(within_s=120):
    """Two harnesses on one machine measure in turns: whoever holds this name does. An abstract name leaves nothing behind."""
    with socket.socket(socket.AF_UNIX) as held:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            try:
                held.bind("\0weir-survival")
                break
            except OSError:
                time.sleep(0.05)
        yield


def busy_s():
    """CPU time: of the whole machine, with what its host took from it, and of this process with all that it has started and ended."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return (user + nice + system + irq + softirq + steal) * TICK_S, sum(u.ru_utime + u.ru_stime for u in usages)


def ask_for_short_slices(slice_ns=100_000):
    """Of this process and all that it will start: other work on the machine then delays a wake-up by less. It changes nobody's share of the
    CPU, needs no rights, and is the same for every contender. Linux before 6.12 ignores it. True when the kernel took it."""
    number = {"x86_64": 314, "aarch64": 274}.get(platform.machine())
    if number is None:
        return False
    size, sched_other, nice = 48, 0, os.getpriority(os.PRIO_PROCESS, 0)
    attributes = struct.pack("=IIQiIQQQ", size, sched_other, 0, nice, 0, slice_ns, 0, 0)
    return ctypes.CDLL(None, use_errno=True).syscall(number, 0, attributes, 0) == 0


class Child(Process):
    """A process on a core of its own, that ends with this one, whatever ends it."""

    def __init__(self, *command, core=None, nice=0, env=None, prefix=()):
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        super().__init__("setpriv", "--pdeathsig", "KILL", *pinned, "nice", "-n", str(nice), *prefix, *command, env=env)

    def rest(self, within_s):
        """All lines until its end."""
        end, chunks = time.monotonic() + within_s, [self.pending]
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f"{self.command[-1]}: no end within {within_s} s")
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                if self.process.wait() != 0:
                    raise Failed(f"{self.command[-1]}: ended with {self.process.returncode}")
                return b"".join(chunks).decode().splitlines()
            chunks.append(data)

    def end_by(self, when_s):
        """Lets it run until then, asks it to end, and returns its lines. It ends in time, whatever it does."""
        try:
            self.process.wait(max(0, when_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.rest(SLACK_S)
        except Failed:
            self.process.kill()
            return []

    def alive(self):
        return self.process.poll() is None


def memory_bytes(process):
    try:
        return process.anonymous_bytes()
    except (OSError, AttributeError):
        return 0  # it has just ended


class Memory(threading.Thread):
    """Samples the memory of a process until stopped; keeps the first and the largest figure."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.ended = process, threading.Event()
        self.first = self.peak = memory_bytes(process)

    def run(self):
        while not self.ended.wait(0.03):
            self.peak = max(self.peak, memory_bytes(self.process))

    def stop(self):
        self.ended.set()
        self.join()


class Cell:
    def __init__(self, build, row, contender):
        self.build, self.row, self.contender = build, row, contender
        self.flood_core, self.app_core = cores()
        self.children, self.prefix = [], ()
        self.relay = self.admin_port = self.counter = None
        self.under = ()  # the words of a command that starts the application
        self.metrics = {}

    def start(self, *command, **how):
        if self.row.curve:
            how["env"] = {**how.get("env", {}), "SURVIVAL_CURVE": "1"}
        self.children.append(Child(*command, prefix=self.prefix, **how))
        return self.children[-1]

    def start_application(self, endpoint):
        """Returns where it listens."""
        publication = map(str, self.row.publish) if self.row.publishes else ()
        work = f"{self.row.work_us}:{self.row.others_us}" if self.row.others_us else self.row.work_us
        counter = ["--counter", self.counter] if self.counter else []
        self.application = self.start(*self.under, self.build / "bench/survival_app", *counter, self.row.app, endpoint, work, f"{self.folder}/report",
                                      *publication, core=self.app_core)
        self.published = list(map(int, self.application.line("ready")))
        return endpoint

    def measure(self, bring_up):
        """Raises Failed or NotRun; the processes are ended in any case."""
        with turn():
            return self._measure(bring_up)

    def _measure(self, bring_up):
        began, machine_s, own_s = time.monotonic(), *busy_s()
        with tempfile.TemporaryDirectory(prefix="weir-survival-") as folder:
            self.folder = folder
            try:
                bring_up(self)
                self._drive()
            finally:
                for child in reversed(self.children):
                    child.stop()
        machine_later_s, own_later_s = busy_s()
        self.others = max(0, machine_later_s - machine_s - (own_later_s - own_s)) / (time.monotonic() - began)
        return self

    def _drive(self):
        calm_s = 0 if self.row.early else self.row.calm_s
        total_s = calm_s + self.row.flood_s + SLACK_S + RECOVERY_S + AFTER_S
        options = [f"-{key}{value}" for key, value in self.row.clients.items()]
        flood = self._begin_flood() if self.row.early else None
        if flood:
            time.sleep(EARLY_S)
        clients = self.start(self.build / "bench/survival_clients", *options, self.row.app, self.front.rsplit(":", 1)[1], total_s,
                             core=self.flood_core)
        self.start_ns = int(clients.line("start")[0])
        time.sleep(max(0, self.start_ns / 1e9 + calm_s - time.monotonic()))
        watched = [Memory(process) for process in (self.application, self.relay) if process]
        for memory in watched:
            memory.start()
        if self.row.stalls:
            self.application.process.send_signal(signal.SIGUSR1)
        self.flood_start_ns = time.monotonic_ns()
        self.flood_line = self._end_flood(flood or self._begin_flood())
        self.flood_end_ns = time.monotonic_ns()
        self.end_ns = self.start_ns + int(total_s * 1e9)
        lines = clients.rest(total_s + 10)
        for memory in watched:
            memory.stop()
        self.memory, self.relay_memory = watched[0], watched[1] if self.relay else None
        self.app_alive = self.application.alive()
        self.relay_alive = self.relay is None or self.relay.alive()
        self._scrape()
        self._collect(lines, Path(self.folder, "report").read_text().splitlines())

    def _begin_flood(self):
        """The process that floods; None where there is none."""
        within_s = self.row.flood_s + 1 + EARLY_S * self.row.early
        if self.row.busy:
            return self.start(self.build / "bench/bench_peer", "push", self.target, self.row.busy, self.row.flood_s, core=self.flood_core)
        if self.row.askers:
            return self.start(self.build / "bench/survival_askers", self.target.rsplit(":", 1)[1], within_s, *self.row.askers.split(),
                              core=self.flood_core, nice=10)
        if self.row.flood:
            source = SHARED if self.row.neighbour else ATTACKER
            return self.start(self.build / "tests/e2e/attacks/flood", *shlex.split(self.row.flood), "--to", self.target, "--from", source,
                              "--seconds", int(within_s + 0.5), core=self.flood_core, nice=10)
        return None

    def _end_flood(self, flood):
        """What the flood said last, at its end."""
        ends_s = self.flood_start_ns / 1e9 + self.row.flood_s
        if self.row.busy:
            flood.rest(self.row.flood_s + 5)
            return ""
        lines = flood.end_by(ends_s) if flood else [""]
        time.sleep(max(0, ends_s - time.monotonic()))  # a flood that is refused in full ends early; the phases stay what they are
        return lines[-1] if lines else "the flood did not end by itself"

    def _scrape(self):
        if not self.admin_port or not self.relay_alive:
            return
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return
        for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.M):
            verdict = re.search(r'verdict="(\w+)"', labels)
            key = f"verdict:{verdict.group(1)}" if verdict else name
            self.metrics[key] = self.metrics.get(key, 0) + float(value)

    # ---- work: (intended time, latency in ns or NEVER), of regular clients and of newcomers ----

    def _collect(self, lines, report):
        arrived, self.totals = {}, []
        for fields in map(str.split, report):
            if fields[0] == "got" and len(fields) == 5:
                arrived.setdefault((fields[1], fields[2]), int(fields[4]) - int(fields[3]))
            elif fields[0] == "total" and len(fields) == 3:
                self.totals.append((int(fields[2]), int(fields[1])))
        self.work, self.newcomers, heard = [], [], {}
        for fields in map(str.split, lines):
            if fields[0] == "got":
                heard[fields[1], int(fields[2])] = int(fields[3])
                continue
            client, seq, latency = fields[1], fields[2] if fields[0] == "work" else "0", int(fields[-1])
            latency = arrived.get((client, seq), NEVER) if self.row.app in ONE_WAY else latency if latency >= 0 else NEVER
            (self.work if fields[0] == "work" else self.newcomers).append((int(fields[-2]), latency))
        if self.row.publishes:
            self._expect_publications(heard)

    def _expect_publications(self, heard):
        """Every subscriber should have had every publication that was due."""
        first_ns, period_ns = self.published
        first = (self.start_ns - first_ns) // period_ns + 1
        last = (self.end_ns - first_ns) // period_ns
        for client in range(self.row.clients["n"]):
            for seq in range(first, last):
                self.work.append((first_ns + seq * period_ns, heard.get((str(client), seq), NEVER)))

    def throughput(self):
        """Messages a second that pull took, from a little after the start of the flood to its end; None without a report."""
        during = [t for t in self.totals if self.flood_start_ns + 3e8 <= t[0] <= self.flood_end_ns]
        if len(during) < 2:
            return None
        return (during[-1][1] - during[0][1]) / (during[-1][0] - during[0][0]) * 1e9

#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Floods an ordinary libzmq application, first bare, then behind `weir serve` without configuration, and prints what was measured.

Usage: demo/run.py [--build DIR]. Everything runs on loopback addresses of this machine and stops by itself.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

QUIET_S, FLOOD_S, RECOVERY_S, AFTER_S = 0.8, 2.0, 1.0, 1.0
KNOWN_S = 3.0  # quiet before a flood that is held back behind clients who were served before
ANSWER_WITHIN_NS = 1_000_000_000  # an answer that comes later is no answer
FLOODS = [
    ("messages", "valid messages, 60 connections at full speed"),
    ("endless", "multipart messages that never end, 8 connections"),
    ("halfopen", "2000 connections that never finish their handshake"),
]
ARMS = {"messages": ("bare", "Weir", "counter"), "endless": ("bare", "Weir"), "halfopen": ("bare", "Weir")}
NAMES = {"bare": "bare", "Weir": "behind Weir", "counter": "and a counter"}
NEVER = float("inf")
CALM = 0.1  # cores that other work on the machine may take before latencies are compared with the bare run instead of 5 ms
MIB = 1 << 20
ALLOWED_GROWTH = 2 * 64 * MIB  # what Weir lets unfinished messages take is counted for each endpoint of the application, and it has two


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def memory_bytes(pid):
    """Anonymous memory: what the process itself has taken, without the libraries that it maps."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def busy_s():
    """CPU time: of the whole machine, with what its host took from it; of this process with all that it has started and ended."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"), sum(u.ru_utime + u.ru_stime for u in own)


class Memory(threading.Thread):
    """Samples the memory of processes until stopped; keeps the first and the largest sum."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.ended = pids, threading.Event()
        self.first = self.peak = sum(map(memory_bytes, pids))

    def run(self):
        while not self.ended.wait(0.03):
            self.peak = max(self.peak, sum(map(memory_bytes, self.pids)))

    def stop(self):
        self.ended.set()
        self.join()


class Processes:
    """The processes of one run, all ended when it ends."""

    def __init__(self, folder):
        self.all, self.errors = [], open(Path(folder) / "errors", "w+")

    def start(self, *command, nice=0):
        process = subprocess.Popen(
            [str(c) for c in command], stdout=subprocess.PIPE, stderr=self.errors, text=True,
            preexec_fn=(lambda: os.nice(nice)) if nice else None)  # fmt: skip
        self.all.append(process)
        return process

    def start_ready(self, *command):
        process = self.start(*command)
        line = process.stdout.readline()
        if "ready" not in line:
            self.errors.seek(0)
            sys.exit(f"demo: {' '.join(map(str, command))} did not start: {line}{self.errors.read()}")
        return process

    def stop(self):
        for process in reversed(self.all):
            process.kill()
            process.wait()
        self.errors.close()


class Run:
    """One flood against one application: bare, behind Weir, or behind Weir and telling it what it takes (include/weir/taken.h)."""

    def __init__(self, build, arm, flood):
        self.build, self.arm, self.flood = build, arm, flood
        self.behind_weir = arm != "bare"
        self.quiet_s = KNOWN_S if flood == "messages" else QUIET_S

    def start_application(self, processes, folder, ports):
        fronts = [f"tcp://127.0.0.1:{port}" for port in ports]
        own = [f"ipc://{folder}/rep.sock", f"ipc://{folder}/pull.sock"] if self.behind_weir else fronts
        counters = [f"{folder}/rep.taken", f"{folder}/pull.taken"] if self.arm == "counter" else []
        weirs = []
        if self.behind_weir:
            weirs.append(processes.start_ready(self.build / "weir", "serve", "-c", self.configuration(folder, fronts, own, counters)))
        app = processes.start_ready(self.build / "demo/demo_app", *own, f"{folder}/arrivals", *counters)
        return app, weirs

    @staticmethod
    def configuration(folder, fronts, own, counters):
        """Where to listen, where to forward, and nothing else but where the counter is."""
        gates = [{"name": name, "listen": front, "forward": forward} for name, front, forward in zip(("rep", "pull"), fronts, own)]
        for gate, counter in zip(gates, counters):
            gate["counter"] = counter
        path = Path(folder, "weir.yaml")
        path.write_text(json.dumps({"gates": gates}))  # JSON is YAML
        return path

    def measure(self):
        began, machine_s, own_s = time.monotonic(), *busy_s()
        with tempfile.TemporaryDirectory(prefix="weir-demo-") as folder:
            processes = Processes(folder)
            try:
                self.drive(processes, folder)
            finally:
                processes.stop()
        machine_later_s, own_later_s = busy_s()
        self.others = max(0, machine_later_s - machine_s - (own_later_s - own_s)) / (time.monotonic() - began)
        return self

    def drive(self, processes, folder):
        ports = free_ports(2)
        app, weirs = self.start_application(processes, folder, ports)
        total = self.quiet_s + FLOOD_S + RECOVERY_S + AFTER_S
        clients = processes.start(self.build / "demo/demo_clients", ports[0], ports[1], total)
        start_ns = int(clients.stdout.readline().split()[1])
        time.sleep(max(0, start_ns / 1e9 + self.quiet_s - time.monotonic()))

        memory, weir_memory = Memory([app.pid]), Memory([w.pid for w in weirs])
        memory.start(), weir_memory.start()
        flood_start_ns = time.monotonic_ns()
        flood = processes.start(
            self.build / "demo/demo_flood", self.flood, *[f"tcp://127.0.0.1:{port}" for port in ports], FLOOD_S, nice=10)
        self.flood_line = flood.communicate()[0].strip()
        flood_end_ns = time.monotonic_ns()
        client_lines = clients.communicate()[0].splitlines()
        memory.stop(), weir_memory.stop()
        self.weir_alive = all(w.poll() is None for w in weirs)
        self.app_alive = app.poll() is None
        work = self.work(client_lines, Path(folder, "arrivals").read_text().splitlines())
        self.quiet = [w for w in work if w[1] < flood_start_ns]
        self.during = [w for w in work if flood_start_ns <= w[1] < flood_end_ns]
        self.after = [w for w in work if w[1] >= flood_end_ns + RECOVERY_S * 1e9]
        self.before_bytes, self.peak_bytes, self.weir_bytes = memory.first, memory.peak, weir_memory.peak

    @staticmethod
    def work(client_lines, arrival_lines):
        """Every piece of work as (kind, intended time, latency or NEVER)."""
        arrived = {}
        for _, client, seq, intended, at in map(str.split, arrival_lines):
            arrived.setdefault((client, seq), int(at) - int(intended))
        work = []
        for fields in map(str.split, client_lines):
            if fields[0] == "push":
                work.append(("push", int(fields[3]), arrived.get((fields[1], fields[2]), NEVER)))
            else:
                latency = int(fields[3])
                work.append((fields[0], int(fields[2]), latency if latency >= 0 else NEVER))
        return work


def goodput(work):
    if not work:
        sys.exit("demo: this machine is too busy: the flood took so long that nothing was asked after it")
    return sum(w[2] <= ANSWER_WITHIN_NS for w in work) / len(work)


def p99_ms(work):
    latencies = sorted(w[2] for w in work)
    return latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] / 1e6


def show_ms(ms):
    if ms == NEVER:
        return "never"
    return f"{ms:.1f} ms" if ms < 100 else f"{ms:.0f} ms"


def verdict(run, quiet_p99_ms, bare=None):
    """The rules of survival, each with the word for breaking it. `bare`: the same flood without Weir, as a measure of a busy machine."""
    newcomers = [w for w in run.during if w[0] == "new"]
    broken = [
        word
        for word, wrong in [
            ("work lost", goodput(run.during) < 0.99),
            ("slow", p99_ms(run.during) > max(2 * quiet_p99_ms, 5.0)),
            ("newcomers shut out", goodput(newcomers) < 0.95),
            ("memory", run.peak_bytes - run.before_bytes > ALLOWED_GROWTH),
            ("no recovery", goodput(run.after) < 0.99),
            ("the application died", not run.app_alive),
            ("Weir died", not run.weir_alive),
        ]
        if wrong
    ]
    if broken == ["slow"] and bare and run.others > CALM and p99_ms(run.during) < p99_ms(bare.during):
        return "slow, less than bare (busy machine)"
    return "survived" if not broken else "FAILED: " + ", ".join(broken)


def print_row(*cells):
    widths = (10, 9, 9, 10, 11, 16)
    print("  " + "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths)) + "".join(cells[len(widths):]))


def print_table(runs):
    quiet = {arm: [w for run in runs for w in run.quiet if run.behind_weir == (arm == "Weir")] for arm in ("bare", "Weir")}
    print_row("flood", "", "goodput", "p99", "newcomers", "app memory", "verdict")
    for arm in quiet:
        newcomers = [w for w in quiet[arm] if w[0] == "new"]
        print_row("none", arm, f"{goodput(quiet[arm]):.1%}", show_ms(p99_ms(quiet[arm])),
                  f"{goodput(newcomers):.0%}", "", "")
    for name, _ in FLOODS:
        rows = [r for r in runs if r.flood == name]
        bare = next(r for r in rows if not r.behind_weir)
        for run in rows:
            newcomers = [w for w in run.during if w[0] == "new"]
            print_row(
                name, run.arm, f"{goodput(run.during):.1%}", show_ms(p99_ms(run.during)),
                f"{goodput(newcomers):.0%}", f"{run.before_bytes / MIB:.0f} -> {run.peak_bytes / MIB:.0f} MiB",
                verdict(run, p99_ms(quiet["bare"]), bare if run.behind_weir else None))


def time_left(began, done, total):
    """For a person who waits: "" before the first run has ended."""
    return f" (about {(time.monotonic() - began) / done * (total - done):.0f} s left)" if done else ""


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", type=Path, default=ROOT / os.environ.get("BUILD", "build"))
    build = options.parse_args().build.resolve()

    began = time.monotonic()
    print("A libzmq application (REP and PULL, library defaults, 20 to 30 us of work a message) serves 8 clients and ten newcomers a")
    print(f"second: 610 pieces of work a second. Then comes a flood of {FLOOD_S:.0f} s, from loopback, from other addresses than the clients'.\n")
    runs = []
    plan = [(arm, name, what) for name, what in FLOODS for arm in ARMS[name]]
    for i, (arm, name, what) in enumerate(plan):
        print(f"{i + 1} of {len(plan)}  {NAMES[arm]:<14}{what} ...{time_left(began, i, len(plan))}", flush=True)
        runs.append(Run(build, arm, name).measure())
        print(f"{'':<22}{runs[-1].flood_line}", flush=True)
    print()
    print_table(runs)
    others = max(run.others for run in runs)
    if others > CALM:
        print(f"""
  Other work kept up to {others:.1f} cores of this machine busy meanwhile, which makes every row slower: compare the two rows of a flood with
  each other, not with 5 ms.""")
    print("""
  counter: the same application tells Weir what it has taken (include/weir/taken.h: ten lines here, where it polls two sockets; two in most). Without that Weir cannot see what a PULL
  has done and what lies in front of it, and passes everything on: such a flood is then as without Weir.""")
    weir_peak = max(run.weir_bytes for run in runs)
    print(f"""
  goodput: work answered within 1 s. p99: from the intended send time, unanswered work counts as never. app memory: before -> peak.
  survived: goodput 99 %, p99 at most twice the quiet one (or 5 ms), newcomers get in, the application grows by at most 64 MiB for
  each of its two endpoints, and all is well 1 s after the flood. Weir's own memory peaked at {weir_peak / MIB:.1f} MiB. The flood, the
  clients, Weir and the application shared {os.cpu_count()} cores of this machine; the flood ran at a lower priority. It all took {time.monotonic() - began:.0f} s.""")


if __name__ == "__main__":
    main()

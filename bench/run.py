#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Compares Weir with direct tcp, HAProxy in TCP mode and libzmq's zmq_proxy; see bench/README.md.

Usage: bench/run.py [--quick] [--write] [--build DIR]. Contenders take turns within every round, and the median of the rounds counts.
Everything runs on loopback; each run is bounded in time, and so are the programs that it starts.
"""

import argparse
import datetime
import os
import platform
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from progress import Progress

ROOT = Path(__file__).resolve().parent.parent
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
GOALS = {"relay": 1.5, "cpu": 0.5, "direct": 0.95, "zmq_proxy": 10.0, "idle_bytes": 1024}


class Failed(Exception):
    """A run in which the contender passed nothing on, or died."""


class Process:
    def __init__(self, *command, env=None):
        self.command = [str(c) for c in command]
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        self.pending = b""

    def line(self, word, within_s=10):
        """The fields of the next line, which must begin with `word`."""
        end = time.monotonic() + within_s
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f"{self.command[0]}: no '{word}' within {within_s} s")
            data = os.read(self.process.stdout.fileno(), 4096)
            if not data:
                raise Failed(f"{' '.join(self.command)}: ended")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        fields = line.decode().split()
        if fields[0] != word:
            raise Failed(f"{self.command[0]}: {line.decode()}")
        return fields[1:]

    def cpu_s(self):
        """User and system time of all threads, dead ones included."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def anonymous_bytes(self):
        return int(re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text()).group(1)) * 1024

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_listening(port, process):
    """Without a connection of our own: a relay would open one to the receiver for it."""
    entry = f"0100007F:{port:04X}"
    end = time.monotonic() + 10
    while time.monotonic() < end and process.process.poll() is None:
        for line in Path(f"/proc/{process.process.pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1] == entry and fields[3] == "0A":
                return
        time.sleep(0.01)
    raise Failed(f"{process.command[0]}: does not listen")


class Contender:
    """What stands between the two peers. `upstream`: how it reaches the receiver. `under`: what the receiver is started by."""

    def __init__(self, name, upstream="tcp", start=None, under=()):
        self.name, self.upstream, self.starter, self.under = name, upstream, start, under

    def endpoints(self, folder):
        back_port = free_port()
        back = f"ipc://{folder}/back.sock" if self.upstream == "ipc" else f"tcp://127.0.0.1:{back_port}"
        front = f"tcp://127.0.0.1:{free_port()}" if self.starter else back
        return front, back

    def start(self, front, back, pattern):
        return self.starter(front, back, pattern) if self.starter else None


def contenders(build):
    def haproxy(threads):
        def start(front, back, _):
            strip = {"FRONT": front[6:], "BACK": back[6:], "THREADS": str(threads)}
            process = Process("haproxy", "-q", "-db", "-f", ROOT / "bench/haproxy.cfg", env=strip)
            wait_listening(int(front.rsplit(":", 1)[1]), process)
            return process

        return start

    def proxy(front, back, pattern):
        process = Process(build / "bench/bench_proxy", pattern, front, back)
        process.line("ready")
        return process

    def weir(front, back, _):
        process = Process(build / "weir", "serve", "--listen", front, "--forward", back)
        process.line("weir:")
        return process

    found = [Contender("direct")]
    found += [Contender(f"HAProxy, {n} thread{'s' * (n > 1)}", start=haproxy(n)) for n in (1, 2)]
    found.append(Contender("zmq_proxy", start=proxy))
    found += [Contender("Weir to tcp", start=weir), Contender("Weir to ipc", "ipc", start=weir)]
    return found


def around(build):
    """The receiver itself is started by Weir: only for receivers of libzmq."""
    run = (build / "weir", "run")
    return [Contender("weir run", under=(*run, "--")), Contender("weir run --no-counter", under=(*run, "--no-counter", "--"))]


class Bench:
    def __init__(self, build, seconds):
        self.build, self.seconds = build, seconds
        self.peer, self.replay = build / "bench/bench_peer", build / "bench/bench_replay"
        self.failures = []

    def run(self, contender, pattern, receiver, sender, measure):
        """One run: receiver, relay, sender, then measure(receiver, relay, sender). None if it failed."""
        started = []
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            front, back = contender.endpoints(folder)
            try:
                started.append(Process(*contender.under, receiver[0], receiver[1], back, *receiver[2:]))
                started[0].line("ready")
                relay = contender.start(front, back, pattern)
                if relay:
                    started.append(relay)
                started.append(Process(sender[0], sender[1], front, *sender[2:]))
                return measure(started[0], relay, started[-1])
            except Failed as failure:
                self.failures.append(f"{contender.name}: {failure}")
                return None
            finally:
                for process in reversed(started):
                    process.stop()

    def timed(self, receiver, relay, _):
        receiver.line("first")
        cpu_s = relay.cpu_s() if relay else 0
        count, nanoseconds = map(int, receiver.line("done", self.seconds + 10))
        return count / (nanoseconds / 1e9), (relay.cpu_s() - cpu_s if relay else 0) / count

    def push_pull(self, contender, size):
        """Messages per second, CPU seconds of the relay for each."""
        return self.run(
            contender, "push-pull", (self.peer, "pull", size, self.seconds), (self.peer, "push", size), self.timed)

    def relay(self, contender, size):
        """Wire bytes per second, CPU seconds of the relay for each."""
        return self.run(
            contender, "push-pull", (self.replay, "sink", self.seconds), (self.replay, "send", size), self.timed)

    def round_trip(self, contender, size):
        """Median and 99th percentile of a round trip in microseconds."""
        def measure(_receiver, _relay, sender):
            _, _, median_ns, p99_ns = map(int, sender.line("done", self.seconds + 10))
            return median_ns / 1e3, p99_ns / 1e3

        return self.run(contender, "req-rep", (self.peer, "rep"), (self.peer, "req", size, self.seconds), measure)

    def idle(self, contender, count, how="hold"):
        """Anonymous memory of the relay for each idle connection, and how many were held. `how`: see replay.c."""
        def measure(_receiver, relay, sender):
            held = int(sender.line("held", 30)[0])
            if held != count:
                raise Failed(f"only {held} of {count} connections were accepted")
            time.sleep(0.3)
            return (relay.anonymous_bytes() - self.before_bytes) / count, held

        def start(front, back, pattern):
            relay = contender.start(front, back, pattern)
            time.sleep(0.5)
            self.before_bytes = relay.anonymous_bytes()
            return relay

        watched = Contender(contender.name, contender.upstream, start)
        return self.run(watched, "push-pull", (self.peer, "pull", 64, 30), (self.replay, how, count), measure)


def interleave(what, names, measure, sizes, rounds):
    """measure(contender, size) for all, in turns. Returns {(name, size): median of each figure, or None}."""
    results = {}
    progress = Progress(rounds * len(sizes) * len(names))
    for turn in range(rounds):
        for size in sizes:
            for contender in names:
                progress.says(f"{what}, round {turn + 1} of {rounds}, {size}, {contender.name}")
                results.setdefault((contender.name, size), []).append(measure(contender, size))
                progress.advance()
    progress.clear()
    return {key: median(runs) for key, runs in results.items()}


def median(runs):
    good = [run for run in runs if run is not None]
    return tuple(map(statistics.median, zip(*good))) if good else None


def wire_bytes(size):
    """A message of one frame, with its header."""
    return size + (2 if size <= 255 else 9)


def size_name(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def table(corner, columns, rows):
    lines = [f"| {corner} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return "\n".join(lines) + "\n"


def figures(results, names, sizes, show):
    return [(c.name, [show(results[c.name, size]) if results[c.name, size] else "failed" for size in sizes]) for c in names]


def ratio(results, names, base, size, index=0, best=max):
    """Best of `names` over best of `base`, or None when one side has no figure."""
    def figure(wanted):
        found = [results[key][index] for key in results if key[1] == size and key[0] in wanted and results[key]]
        return best(found) if found else None

    mine, other = figure(names), figure(base)
    return mine / other if mine is not None and other else None


def show_ratio(value):
    return f"{value:.2f} x" if value is not None else "failed"


HAPROXY = ("HAProxy, 1 thread", "HAProxy, 2 threads")
WEIR = ("Weir to tcp", "Weir to ipc")


def at_least(value, goal):
    return value >= goal


def at_most(value, goal):
    return value <= goal


def report_push_pull(bench, sizes, rounds):
    names = contenders(bench.build) + around(bench.build)
    results = interleave("part 1 of 4, libzmq PUSH/PULL", names, bench.push_pull, sizes, rounds)
    rows = figures(results, names, sizes, lambda r: f"{r[0] / 1000:,.0f}")
    rows += [("Weir to ipc / direct", [show_ratio(ratio(results, WEIR[1:], ("direct",), s)) for s in sizes]),
             ("weir run / direct", [show_ratio(ratio(results, ("weir run",), ("direct",), s)) for s in sizes]),
             ("weir run / the same without a counter", [show_ratio(ratio(results, ("weir run",), ("weir run --no-counter",), s)) for s in sizes]),
             ("Weir to ipc / zmq_proxy", [show_ratio(ratio(results, WEIR[1:], ("zmq_proxy",), s)) for s in sizes])]
    small = [s for s in sizes if s <= 1024]
    goals = [(f"libzmq PUSH/PULL through Weir to ipc / direct tcp, {size_name(s)}", GOALS["direct"], at_least,
              ratio(results, WEIR[1:], ("direct",), s)) for s in small]
    text = ("## libzmq PUSH/PULL, thousands of messages a second\n\nlibzmq peers on both sides, so that on small messages they are"
            " the limit, not the relay.\n\n" + table("contender", [size_name(s) for s in sizes], rows))
    return text, goals


def report_relay(bench, sizes, rounds):
    names = contenders(bench.build)
    results = interleave("part 2 of 4, relay alone", names, bench.relay, sizes, rounds)
    speed = figures(results, names, sizes, lambda r: f"{r[0] / 1e6:,.0f}")
    cpu = figures(results, [n for n in names if n.starter], sizes, lambda r: f"{r[1] * 1e9:.2f}")
    ways = [("to tcp", WEIR[:1]), ("to ipc", WEIR[1:])]
    for way, weir in ways:
        speed.append((f"Weir {way} / best HAProxy", [show_ratio(ratio(results, weir, HAPROXY, s)) for s in sizes]))
        cpu.append((f"Weir {way} / best HAProxy", [show_ratio(ratio(results, weir, HAPROXY, s, 1, min)) for s in sizes]))
    goals = [(f"throughput, Weir to tcp / best HAProxy, {size_name(s)}", GOALS["relay"], at_least,
              ratio(results, WEIR[:1], HAPROXY, s)) for s in sizes]
    goals.append(("messages a second, Weir to tcp / zmq_proxy, 64 B", GOALS["zmq_proxy"], at_least,
                  ratio(results, WEIR[:1], ("zmq_proxy",), 64)))
    goals += [(f"CPU per GB, Weir to tcp / best HAProxy, {size_name(s)}", GOALS["cpu"], at_most,
               ratio(results, WEIR[:1], HAPROXY, s, 1, min)) for s in sizes if s >= 65536]
    per_message = [
        (c.name, [f"{results[c.name, s][1] * wire_bytes(s) * 1e9:,.0f}" if results[c.name, s] else "failed" for s in sizes])
        for c in names if c.starter]
    heads = [size_name(s) for s in sizes]
    text = ("## The relay alone, MB a second\n\nA sender of pre-encoded messages and a sink that throws them away; wire bytes.\n\n"
            + table("contender", heads, speed)
            + "\n## CPU of the relay, seconds per GB\n\nUser and system time of the relay's process.\n\n" + table("contender", heads, cpu)
            + "\n## CPU of the relay, nanoseconds per message\n\nAll of it, system calls and copies included; HAProxy looks at no message.\n\n"
            + table("contender", heads, per_message))
    return text, goals


def report_round_trip(bench, rounds):
    names = contenders(bench.build) + around(bench.build)
    results = interleave("part 3 of 4, libzmq REQ/REP", names, bench.round_trip, [64], rounds)
    direct = results["direct", 64]
    def row(name):
        result = results[name, 64]
        if not result or not direct:
            return ["failed"] * 3
        return [f"{result[0]:.1f}", f"{result[1]:.1f}", f"{result[0] - direct[0]:+.1f}"]

    def added(wanted):
        found = [results[name, 64][0] - direct[0] for name in wanted if results[name, 64] and direct]
        return min(found) if found else None

    mine, other = added(WEIR[:1]), added(HAPROXY)
    goal = mine / other if mine is not None and other and other > 0 else None
    text = ("## libzmq REQ/REP, 64 B, microseconds a round trip\n\n"
            + table("contender", ["median", "p99", "added to direct"], [(c.name, row(c.name)) for c in names]))
    return text, [("round trip added, 64 B, Weir to tcp / best HAProxy", 1.0, at_most, goal)]


def report_idle(bench, rounds, count):
    relays = [c for c in contenders(bench.build) if c.starter]
    kinds = ["hold", "use"]
    results = interleave("part 4 of 4, idle connections", relays, lambda c, how: bench.idle(c, count, how), kinds, rounds)
    rows = figures(results, relays, kinds, lambda r: f"{r[0]:,.0f}")
    found = [results[name, "hold"][0] for name in WEIR if results[name, "hold"]]
    worst = max(found) if found else None
    text = (f"## Memory of an idle connection, bytes in user space\n\nRise of the relay's anonymous memory with {count} established"
            " connections of 16 addresses, divided by their number.\n\n"
            + table("contender", ["has sent nothing", "has sent a message"], rows))
    return text, [("memory of an idle connection, bytes, the worse of Weir's", GOALS["idle_bytes"], at_most, worst)]


def goal_table(goals):
    rows = []
    for label, goal, met, value in goals:
        verdict = "no figure" if value is None else "met" if met(value, goal) else "MISSED"
        sign = ">=" if met is at_least else "<="
        rows.append((label, [f"{sign} {goal:g}", "failed" if value is None else f"{value:,.2f}", verdict]))
    return "## The goals\n\n" + table("what", ["goal", "measured", ""], rows)


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def machine(build):
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    commit = first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    haproxy = first_line("haproxy", "-v").replace("version ", "").split()[:2]
    haproxy = " ".join(haproxy)
    zmq = first_line("pkg-config", "--modversion", "libzmq")
    return (f"{datetime.date.today()}, {cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, "
            f"{first_line(str(build / 'weir'), '--version')} ({commit}), {haproxy}, libzmq {zmq}, {first_line('gcc', '--version')}.")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--quick", action="store_true", help="under a minute, for a first look")
    options.add_argument("--write", action="store_true", help="write bench/results/DATE.md")
    options.add_argument("--build", type=Path, default=ROOT / os.environ.get("BUILD", "build"))
    options = options.parse_args()
    build = options.build.resolve()
    if not shutil.which("haproxy"):
        os.environ["PATH"] += ":/usr/sbin"

    sizes = [64, 65536] if options.quick else [16, 64, 1024, 65536, 1 << 20]
    rounds, seconds, idle = (1, 0.3, 200) if options.quick else (5, 0.4, 500)
    bench = Bench(build, seconds)
    began = time.monotonic()
    reports = [
        report_push_pull(bench, sizes, rounds),
        report_relay(bench, sizes, rounds),
        report_round_trip(bench, rounds),
        report_idle(bench, min(rounds, 3), idle),
    ]
    took_s = time.monotonic() - began
    text = (f"# Benchmarks\n\n{machine(build)}\n\n`bench/run.py`, {rounds} round(s) of {seconds} s each, contenders interleaved, median;"
            f" {took_s:.0f} s in all. Peers and relay share the cores.\n\n" + goal_table([goal for _, goals in reports for goal in goals])
            + "\n" + "\n".join(text for text, _ in reports))
    if bench.failures:
        text += "\n## Runs that failed\n\n" + "".join(f"- {line}\n" for line in sorted(set(bench.failures)))
    print(text)
    if options.write:
        path = ROOT / "bench/results" / f"{datetime.date.today()}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

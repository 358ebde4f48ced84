#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""The zoo: protocols that real systems speak over ZeroMQ, each bare and behind Weir. Never worse than bare is the rule; exit status 1 if a row is lost.

Usage: tests/zoo/run.py [--only WORD,...] [--loads low,normal,full] [--rounds N] [--through serve|run] [--one-core] [--stall] [--quick] [--seed N] [--write] [--list].
tests/zoo/README.md says how to add a protocol.
"""

import argparse
import contextlib
import datetime
import os
import random
import resource
import signal
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests/zoo"), str(ROOT / "tests/e2e")]

from survival.cell import ask_for_short_slices  # noqa: E402

from progress import Progress  # noqa: E402  (bench/progress.py)
from run import machine  # noqa: E402  (bench/run.py)
from zoo import registry, report, rules  # noqa: E402
from zoo.cell import LOADS, Cell  # noqa: E402

STALL_S = 0.2
ATTEMPTS = 3
UNDER_RUN = ", applications under weir run"


def parse():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--only", help="only protocols whose name contains one of these words")
    options.add_argument("--loads", default=None, help=f"of {', '.join(LOADS)}")
    options.add_argument("--rounds", type=int, default=None, help="of each cell, bare and Weir in turn (3)")
    options.add_argument("--more", type=int, default=None, help="rounds that a row may have more if its figures are worse than bare (4)")
    options.add_argument("--seconds", type=float, default=None, help="of load in each cell (1)")
    options.add_argument("--patience", type=float, default=5.0, help="seconds that clients may need after the time of the load (5)")
    options.add_argument("--through", choices=("serve", "run"), default="serve", help="weir serve in front, or the applications under weir run (serve)")
    options.add_argument("--one-core", action="store_true", help="everything on one core")
    options.add_argument("--stall", action="store_true", help="the application stands still for 200 ms in the middle of each load")
    options.add_argument("--quick", action="store_true", help="one short round at full load of a handful, with coarse bounds")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the parameters, which are drawn anew at each run")
    options.add_argument("--protocols", type=Path, default=registry.FOLDER, help="the folder of the protocols")
    options.add_argument("--write", action="store_true", help="write bench/results/zoo-DATE.md (with --through run: zoo-run-DATE.md)")
    options.add_argument("--verbose", action="store_true", help="what a lost row has to say, in full")
    options.add_argument("--list", action="store_true", help="print the protocols")
    options = options.parse_args()
    loads, rounds, more, seconds = ("full", 1, 4, 0.5) if options.quick else ("low,normal,full", 3, 4, 1.0)
    options.loads = (options.loads or loads).split(",")
    options.rounds = options.rounds or rounds
    options.more = more if options.more is None else options.more
    options.seconds = options.seconds or seconds
    options.bounds = rules.COARSE if options.quick else rules.STRICT
    return options


def selected(options):
    every = registry.load(options.protocols)
    words = options.only.split(",") if options.only else []
    unknown = [word for word in words if not any(word in name for name in every)] + [load for load in options.loads if load not in LOADS]
    if unknown:
        sys.exit(f"zoo: no such protocol or load: {', '.join(unknown)}; protocols: --list; loads: {', '.join(LOADS)}")
    if words:
        return [p for name, p in every.items() if any(word in name for word in words)]
    return [p for p in every.values() if p.quick or not options.quick]


@contextlib.contextmanager
def turn(within_s=60):
    """Two zoos on one machine measure in turns: whoever holds this name does. An abstract name leaves nothing behind."""
    with socket.socket(socket.AF_UNIX) as held:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            try:
                held.bind("\0weir-zoo")
                break
            except OSError:
                time.sleep(random.uniform(0.005, 0.01))
        yield
    time.sleep(0.03)  # or who has just measured would have the name again before the other has looked


def short_of_buffers():
    """How often and how long the kernel was short of memory for TCP; it drops segments then, of all, and connections stand still for seconds."""
    with open("/proc/net/netstat") as lines:
        names, values = [line.split() for line in lines if line.startswith("TcpExt:")]
    return [value for name, value in zip(names, values) if name.startswith("TCPMemoryPressures")]


def undisturbed(row, through, number, options):
    """The outcome of a cell; one in which other work on this machine took all memory for TCP shows nothing, and is run again."""
    for _ in range(ATTEMPTS):
        cell = Cell(row.protocol, row.load, through, options.seconds, options.seed, number, STALL_S if options.stall else 0, options.patience)
        with contextlib.nullcontext() if options.quick else turn():
            before = short_of_buffers()
            outcome = cell.run()
        if short_of_buffers() == before:
            break
    return outcome


def one_round(row, options):
    """Bare and Weir; which is first alternates."""
    number = len(row.bare)
    for through in ((None, options.through), (options.through, None))[number % 2]:
        (row.weir if through else row.bare).append(undisturbed(row, through, number, options))


def measured(protocol, load, options):
    row = rules.Row(protocol, load)
    row.skipped = protocol.needs() or ""
    if row.skipped:
        return row
    while len(row.weir) < options.rounds and not row.is_settled(options.bounds, options.rounds):
        one_round(row, options)
    for _ in range(options.more // 2):
        if row.wrong() or not row.slower(options.bounds):
            break
        one_round(row, options)
        one_round(row, options)
    return row


def tell(row, options):
    print(report.line(row, options.bounds), flush=True)
    if options.verbose and row.lost(options.bounds):
        print(report.losses([row], options.bounds))
        logs = [outcome.log for outcome in row.weir if outcome.log]
        print("\n".join(logs[-1].splitlines()[-20:]) if logs else "(no log)", flush=True)
        print([outcome.counts for outcome in row.bare], [outcome.counts for outcome in row.weir], flush=True)


def stop(*_):
    sys.exit("\nzoo: stopped; nothing is left running")


def prepare(options):
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    ask_for_short_slices()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(16384, hard)), hard))
    if options.one_core:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def write(text, through):
    path = ROOT / "bench/results" / f"zoo-{'run-' if through == 'run' else ''}{datetime.date.today()}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    print(f"written: {path.relative_to(ROOT)}")


def main():
    options = parse()
    chosen = selected(options)
    if options.list:
        for p in chosen:
            print(f"{p.name:<28}{p.about}")
        return 0
    prepare(options)
    print(f"zoo: seed {options.seed}\n{report.HEAD}", flush=True)
    began = time.monotonic()
    rows = []
    progress = Progress(len(chosen) * len(options.loads))
    for p in chosen:
        for load in options.loads:
            progress.says(f"{p.name}, {load} load")
            rows.append(measured(p, load, options))
            progress.advance()
            progress.clear()
            tell(rows[-1], options)
    summary = report.summary(rows, options.bounds)
    print(f"zoo: seed {options.seed}, {time.monotonic() - began:.0f} s: {summary}")
    lost = report.losses(rows, options.bounds)
    print(lost)
    if options.write:
        write(f"# The zoo{UNDER_RUN if options.through == 'run' else ''}\n\n{machine(ROOT / os.environ.get('BUILD', 'build'))}\n\n`tests/zoo/run.py`, {time.monotonic() - began:.0f} s in all; seed {options.seed}."
              f" {report.explanation(options, options.bounds)}\n{summary}.\n\n{report.table(rows, options.bounds)}\n"
              + (f"## Lost\n\n{lost}\n\n" if lost else "") + f"## Parameters\n\n{report.parameters(rows)}", options.through)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

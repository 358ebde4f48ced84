#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""What uprobes on zmq_msg_recv() cost a receiver that runs already; see docs/internals/uprobes.md. Needs root and a kernel with uprobes.

Usage: bench/uprobes.py [--build DIR] [--rounds N] [--seconds N]. PUSH/PULL of libzmq at full speed, 64-byte messages; the ways take turns within each round.
"""
import argparse
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from run import Failed, Process, free_port  # noqa: E402

WAYS = ("none", "entry", "return", "both")


def rate(build, how, seconds):
    """Messages a second, and what the probes have counted."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    started = [Process(build / "bench/bench_peer", "pull", endpoint, 64, seconds)]
    try:
        started[0].line("ready")
        if how != "none":
            started.append(Process(build / "bench/bench_uprobe", started[0].process.pid, how, seconds + 1))
            started[-1].line("attached")
        started.append(Process(build / "bench/bench_peer", "push", endpoint, 64))
        started[0].line("first")
        count, nanoseconds = map(int, started[0].line("done", seconds + 10))
        return count / (nanoseconds / 1e9)
    finally:
        for process in reversed(started):
            process.stop()


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--build", type=Path, default=ROOT / os.environ.get("BUILD", "build"))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=1)
    options = options.parse_args()
    rates = {how: [] for how in WAYS}
    try:
        for _ in range(options.rounds):
            for how in WAYS:
                rates[how].append(rate(options.build.resolve(), how, options.seconds))
    except Failed as failure:
        sys.exit(f"uprobes: {failure} (root? a kernel with uprobes?)")
    bare = statistics.median(rates["none"])
    print("| probes on zmq_msg_recv() | messages a second | of bare | for each message |\n|---|---:|---:|---:|")
    for how in WAYS:
        median = statistics.median(rates[how])
        print(f"| {how} | {median:,.0f} | {median / bare:.2f} | {1e9 / median - 1e9 / bare:+,.0f} ns |")


if __name__ == "__main__":
    main()

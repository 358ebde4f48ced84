#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The floods that Weir must survive, against an ordinary libzmq application: bare, behind Weir, and behind what else there is.

Usage: bench/survival.py [--rows WORD,...] [--contenders NAME,...] [--quick] [--full] [--rounds N] [--repeat N] [--seed N] [--write] [--list] [--build DIR].
Everything runs on loopback and stops by itself; see bench/README.md.
"""

import argparse
import datetime
import os
import random
import signal
import sys
import time
from pathlib import Path

from progress import Progress
from run import ROOT, Failed, machine
from survival import drawn, figures, report
from survival.cell import Cell, ask_for_short_slices
from survival.contenders import CONTENDERS, NotRun, bring_up, runs
from survival.rows import ROWS

AROUND_S = 3  # of a run, besides its calm time and its flood

def selected(options):
    """[(row, contender names)]. A word selects the rows whose name contains it."""
    every = ROWS + drawn.rows(options.seed)
    words = options.rows.split(",") if options.rows else None
    wanted = options.contenders.split(",") if options.contenders else None
    unknown = [name for name in wanted or [] if name not in CONTENDERS]
    unknown += [word for word in words or [] if not any(word in row.name for row in every)]
    if unknown:
        sys.exit(f"survival: no such row or contender: {', '.join(unknown)}; rows: --list; contenders: {', '.join(CONTENDERS)}")
    if words:
        rows = [row for row in every if any(word in row.name for word in words)]
    else:
        rows = [row for row in every if (row.quick or not options.quick) and (options.full or not row.extra)]
    return [(row, wanted or runs(row, options.full)) for row in rows]


def seconds(row, names, options):
    """Roughly what a row takes, to say how far the whole is."""
    return len(names) * options.rounds * (row.calm_s + row.flood_s + AROUND_S)


def one(build, row, name, repeats):
    """Figures, or the reason why there are none. Of a run that other work disturbed, and its repetitions, the calmest counts."""
    calmest = None
    for _ in range(1 + repeats):
        try:
            found = figures.of(Cell(build, row, name).measure(bring_up))
        except NotRun as reason:
            return f"not run: {reason}"
        except Failed as failure:
            return calmest or f"**failed**: {failure}"
        if not calmest or found.others < calmest.others:
            calmest = found
        if not calmest.disturbed:
            break
    return calmest


def measured_row(build, row, names, options, progress):
    """[(contender, Figures or reason)], the contenders taking turns in every round."""
    found = {name: [] for name in names}
    for turn in range(options.rounds):
        for name in names:
            progress.says(f"{row.name}, {name}" + f", round {turn + 1} of {options.rounds}" * (options.rounds > 1))
            found[name].append(one(build, row, name, options.repeat))
            progress.advance(seconds(row, [name], options) / options.rounds)
    results = []
    for name, all_runs in found.items():
        good = [run for run in all_runs if not isinstance(run, str)]
        results.append((name, figures.median_run(good) if good else all_runs[0]))
    bare = dict(results).get("bare")
    for name, result in results:
        if isinstance(result, str) or not isinstance(bare, figures.Figures):
            continue
        if row.busy:
            figures.compare_speed(result, bare)
        if row.against_bare and name != "bare":
            figures.compare_with_bare(result, bare)
        if row.promise_ms and name == report.COUNTER:
            figures.keep_promise(result, bare, row)
    return results


def run_all(build, chosen, options):
    table = []
    progress = Progress(sum(seconds(row, names, options) for row, names in chosen))
    for row, names in chosen:
        table.append((row, measured_row(build, row, names, options, progress)))
        progress.clear()
        print(report.row_lines(*table[-1]), flush=True)
    return table


def parse():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rows", help="only rows whose name contains one of these words")
    options.add_argument("--contenders", help=f"only these, also for rows that they usually skip: {', '.join(CONTENDERS)}")
    options.add_argument("--quick", action="store_true", help="a few rows, for a first look")
    options.add_argument("--full", action="store_true", help="every row, and every contender for each")
    options.add_argument("--rounds", type=int, default=1, help="of each row; the median counts")
    options.add_argument("--repeat", type=int, default=1, help="times that a run is repeated which other work on this machine disturbed")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the rows whose parameters are drawn at each run")
    options.add_argument("--write", action="store_true", help="write bench/results/survival-DATE.md")
    options.add_argument("--list", action="store_true", help="print the rows")
    options.add_argument("--build", type=Path, default=ROOT / os.environ.get("BUILD", "build"))
    return options.parse_args()


def stop(*_):
    sys.exit("\nsurvival: stopped; nothing is left running")


def main():
    options = parse()
    chosen = selected(options)
    if options.list:
        for row, names in chosen:
            print(f"{row.name:<27}{row.app:<12}{row.what} ({', '.join(names)})")
        return
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    build = options.build.resolve()
    ask_for_short_slices()
    print(f"survival: seed {options.seed}", flush=True)
    began = time.monotonic()
    table = run_all(build, chosen, options)
    names = [name for name in CONTENDERS if any(name in dict(results) for _, results in table)]
    text = (f"# Survival\n\n{machine(build)}\n\n`bench/survival.py`, {time.monotonic() - began:.0f} s in all; seed {options.seed}. {report.explanation(options.rounds)}\n"
            f"## Verdicts\n\n{report.summary(table, names)}\n")
    print(text)
    if options.write:
        path = ROOT / "bench/results" / f"survival-{datetime.date.today()}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "## Figures\n\n" + "\n".join(report.row_lines(row, results) for row, results in table))
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

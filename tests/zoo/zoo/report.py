# SPDX-License-Identifier: MPL-2.0
"""The table in Markdown."""
from .rules import STRICT


def ms(seconds):
    return "never" if seconds == float("inf") else f"{seconds * 1e3:.1f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def pair(values, show):
    return " -> ".join(show(value) for value in values)


def short(text, limit=160):
    text = " ".join(text.split())
    return text if len(text) <= limit else text[:limit - 3] + "..."


def result(row, bounds):
    if row.skipped:
        return f"not run: {row.skipped}"
    lost = row.lost(bounds)
    return "**lost**: " + short("; ".join(lost)) if lost else "as bare"


def line(row, bounds=STRICT):
    cells = [row.protocol.name, row.load]
    if row.skipped:
        cells += [""] * 5
    else:
        cells += [pair(row.throughput, lambda v: f"{v:,.0f}"), f"{row.ratio:.2f}", pair(row.percentile_s(0.5), ms), pair(row.percentile_s(0.99), ms),
                  str(len(row.weir))]
    return "| " + " | ".join([*cells, result(row, bounds)]) + " |"


HEAD = ("| protocol | load | operations/s, bare -> Weir | ratio | p50, ms | p99, ms | rounds | result |\n"
        "|---|---|---:|---:|---:|---:|---:|---|")


def table(rows, bounds=STRICT):
    return "\n".join([HEAD, *[line(row, bounds) for row in rows]]) + "\n"


def summary(rows, bounds=STRICT):
    ran = [row for row in rows if not row.skipped]
    lost = [row for row in ran if row.lost(bounds)]
    protocols = {row.protocol.name for row in ran}
    return f"{len(protocols)} protocols, {len(ran)} rows, {len(ran) - len(lost)} as bare, {len(lost)} lost" + \
        (f", {len(rows) - len(ran)} not run" if len(ran) < len(rows) else "")


def losses(rows, bounds=STRICT):
    """What is lost, in full."""
    lines = []
    for row in rows:
        lost = row.lost(bounds)
        if lost:
            lines += [f"- {row.protocol.name}, {row.load}:", *[f"  - {' '.join(text.split())}" for text in lost]]
    return "\n".join(lines)


def explanation(options, bounds):
    extra = "".join([" Everything shares one core." if options.one_core else "",
                     " The application stands still for 200 ms in the middle of each load." if options.stall else ""])
    how = {"serve": "behind `weir serve` (listen and forward, no other key)", "run": "with its applications under `weir run` (no option but the admin port)"}
    return f"""Each protocol runs bare and {how[options.through]}, in turn, {options.rounds} round(s) of {options.seconds:g} s of load each; of each figure the median counts.{extra}
Low and normal: 10 % and 50 % of what the application can do, paced, latency from the time at which an operation was due. Full: each client asks as
soon as it is answered. A row whose figures are worse gets up to {options.more} more rounds. A row is done before the last round when the rounds to come cannot change the
result of the median any more (the worst of Weir's stands the comparison with the best of bare's). The column says how many were run.

"As bare" is: throughput at least {bounds.throughput:g} of bare, p99 at most {bounds.p99_factor:g} x bare or {bounds.p99_more_s * 1e3:g} ms more, all that the protocol promises
holds in every round, results agree, and Weir has passed no verdict, paused and dropped nothing, and held nothing without progress.
"""


def parameters(rows):
    seen = {}
    for row in rows:
        if row.weir or row.bare:
            seen.setdefault(row.protocol.name, (row.protocol.about, (row.weir or row.bare)[0].parameters))
    return "| protocol | what | drawn for this run |\n|---|---|---|\n" + "\n".join(f"| {name} | {about} | {drawn} |" for name, (about, drawn) in seen.items()) + "\n"

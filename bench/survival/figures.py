# SPDX-License-Identifier: MPL-2.0
"""What a cell measured, and the verdict by the rules of survival."""
import json
from dataclasses import dataclass

from .cell import NEVER, RECOVERY_S

MIB = 1 << 20
ANSWER_WITHIN_NS = 1_000_000_000  # what comes later is no answer
GOODPUT, NEWCOMERS = 0.99, 0.95
ALLOWED_P99 = 2.0
ALWAYS_ALLOWED_MS = 5.0
ALLOWED_GROWTH = 64 * MIB
HONEST_SPEED = 0.9  # of the bare application's
ONSET_NS = 500_000_000
LESS_GOODPUT, FEWER_NEWCOMERS, MORE_P99, MORE_MEMORY = 0.02, 0.05, 1.5, 1.25  # than the bare application under the same flood
CALM = 0.1  # cores that other work may take before a run counts as disturbed


def goodput(work):
    return sum(latency <= ANSWER_WITHIN_NS for _, latency in work) / len(work) if work else 0.0


def percentile_ms(work, share):
    latencies = sorted(latency for _, latency in work)
    return latencies[min(len(latencies) - 1, int(len(latencies) * share))] / 1e6 if latencies else NEVER


def _json(line):
    return json.loads(line) if line.startswith("{") else {}


@dataclass
class Figures:
    goodput: float
    quiet_p99_ms: float
    p99_ms: float
    onset_ms: float  # the worst latency of what was due in the flood's first half second
    newcomers: float
    before_bytes: int
    peak_bytes: int
    recovered_p95_ms: float
    relay_bytes: int
    throughput: float
    metrics: dict
    flood: dict
    others: float  # cores that other work on this machine, or its host, kept busy meanwhile
    rules: list   # of survival that were broken
    broken: list  # what the row is judged by: these rules, or others

    @property
    def disturbed(self):
        return self.others > CALM

    @property
    def survived(self):
        return not self.broken


def of(cell):
    """The figures of a measured cell."""
    after_ns = cell.flood_end_ns + RECOVERY_S * 1e9
    quiet = [w for w in cell.work if w[0] < cell.flood_start_ns]
    during = [w for w in cell.work if cell.flood_start_ns <= w[0] < cell.flood_end_ns]
    after = [w for w in cell.work if after_ns <= w[0] < cell.end_ns]
    new_during = [w for w in cell.newcomers if cell.flood_start_ns <= w[0] < cell.flood_end_ns]
    new_after = [w for w in cell.newcomers if w[0] >= after_ns]
    figures = Figures(
        goodput(during) / (max(goodput(quiet), 0.01) if quiet else 1), percentile_ms(quiet, 0.99) if quiet else 0, percentile_ms(during, 0.99),
        percentile_ms([w for w in during if w[0] < cell.flood_start_ns + ONSET_NS], 1.0), goodput(new_during),
        cell.memory.first, cell.memory.peak, percentile_ms(after, 0.95), cell.relay_memory.peak if cell.relay_memory else 0,
        cell.throughput() if cell.row.busy else None, cell.metrics, _json(cell.flood_line), cell.others, [], [])
    figures.rules = _broken(cell, figures, goodput(after), goodput(new_after))
    figures.broken = list(figures.rules)
    return figures


def _broken(cell, f, after, new_after):
    """The rules that were broken, each in a word or two. One busy client takes all that the application has, so it is judged by its speed."""
    bound_ms = max(ALLOWED_P99 * f.quiet_p99_ms, ALWAYS_ALLOWED_MS)
    rules = [
        ("work lost", f.goodput < GOODPUT),
        ("slow", f.p99_ms > bound_ms and not cell.row.busy),
        ("newcomers shut out", f.newcomers < NEWCOMERS),
        ("memory", f.peak_bytes - f.before_bytes > ALLOWED_GROWTH),
        ("no recovery", after < GOODPUT or new_after < NEWCOMERS or f.recovered_p95_ms > bound_ms),
        ("the application died", not cell.app_alive),
        ("the protection died", not cell.relay_alive),
        ("over its own memory", f.metrics.get("weir_memory_peak_bytes", 0) > f.metrics.get("weir_memory_limit_bytes", NEVER)),
    ]
    if cell.row.honest:
        # Who left in the midst of a message or a handshake was not refused.
        rules += [("refused", any(not word.endswith("_abandoned") for word in refused(f.metrics))), ("paused", f.metrics.get("weir_pauses_total", 0) > 0)]
    return [word for word, wrong in rules if wrong]


def refused(metrics):
    """{verdict: count} of what Weir refused or dropped."""
    found = {key[8:]: int(value) for key, value in metrics.items() if key.startswith("verdict:") and key != "verdict:pass" and value}
    if metrics.get("weir_dropped_messages_total"):
        found["dropped"] = int(metrics["weir_dropped_messages_total"])
    return found


def compare_speed(figures, bare):
    """An honest client at full speed must be nearly as fast as without protection."""
    if figures.throughput and bare.throughput and figures.throughput < HONEST_SPEED * bare.throughput:
        figures.broken.append("slowed")


def keep_promise(figures, bare, row):
    """What Weir with the counter promises beyond being no worse than the bare application. A load balancer adds its own to both."""
    bound_ms = max(row.promise_ms, MORE_P99 * bare.p99_ms) if row.proxied else row.promise_ms
    rules = [("promise: work lost", figures.goodput < GOODPUT), (f"promise: p99 above {bound_ms:.1f} ms", figures.p99_ms > bound_ms)]
    figures.broken += [word for word, wrong in rules if wrong]


def compare_with_bare(figures, bare):
    """At least as good as the application alone under the same flood, whatever the rules of survival say."""
    growth, bare_growth = (f.peak_bytes - f.before_bytes for f in (figures, bare))
    rules = [
        ("work lost", figures.goodput < bare.goodput - LESS_GOODPUT),
        ("slow", figures.p99_ms > max(MORE_P99 * bare.p99_ms, ALWAYS_ALLOWED_MS)),
        ("newcomers shut out", figures.newcomers < bare.newcomers - FEWER_NEWCOMERS),
        ("memory", growth > max(MORE_MEMORY * bare_growth, ALLOWED_GROWTH)),
    ]
    died = [word for word in figures.broken if word.endswith("died") or word == "over its own memory"]
    figures.broken = [word for word, wrong in rules if wrong] + died


def median_run(runs):
    """Of several rounds, the one whose verdict and p99 stand in the middle."""
    return sorted(runs, key=lambda f: (len(f.broken) > 0, f.p99_ms))[len(runs) // 2]

# SPDX-License-Identifier: MPL-2.0
"""The rule of the table: behind Weir a protocol is never worse off than bare."""
import dataclasses
from statistics import median


@dataclasses.dataclass(frozen=True)
class Bounds:
    throughput: float = 0.9   # of bare
    p99_factor: float = 1.5   # p99 may be this times bare's, or
    p99_more_s: float = 0.001  # this much more, whichever is larger


STRICT = Bounds()
COARSE = Bounds(0.7, 3.0, 0.025)  # for one short round on a machine that does other things: shows what is broken, not what is slower


@dataclasses.dataclass
class Row:
    """All rounds of one protocol at one load."""
    protocol: object
    load: str
    bare: list = dataclasses.field(default_factory=list)
    weir: list = dataclasses.field(default_factory=list)
    skipped: str = ""

    def figure(self, side, of):
        return median([of(outcome) for outcome in side]) if side else 0.0

    @property
    def throughput(self):
        return tuple(self.figure(side, lambda o: o.throughput) for side in (self.bare, self.weir))

    def percentile_s(self, share):
        return tuple(self.figure(side, lambda o: o.percentile_s(share)) for side in (self.bare, self.weir))

    @property
    def ratio(self):
        bare, weir = self.throughput
        return weir / bare if bare else 0.0

    def slower(self, bounds):
        """Figures that are worse than bare; more rounds may clear these."""
        found = []
        if self.ratio < bounds.throughput:
            found.append(f"throughput {self.ratio:.2f} of bare")
        bare, weir = self.percentile_s(0.99)
        if weir > max(bare * bounds.p99_factor, bare + bounds.p99_more_s):
            found.append(f"p99 {bare * 1e3:.1f} -> {weir * 1e3:.1f} ms")
        return found

    def is_settled(self, bounds, rounds):
        """Whether the rounds that are still to come cannot change the result of the median: more than half of them have been run, and even the worst
        of Weir's stands the comparison with the best of bare's."""
        if 2 * len(self.weir) <= rounds or self.wrong():
            return False
        bare, weir = ([o.percentile_s(0.99) for o in side] for side in (self.bare, self.weir))
        return (min(o.throughput for o in self.weir) >= bounds.throughput * max(o.throughput for o in self.bare)
                and max(weir) <= max(min(bare) * bounds.p99_factor, min(bare) + bounds.p99_more_s))

    def wrong(self):
        """What no number of rounds clears: a promise that was broken, results that differ, a verdict of Weir's."""
        found = []
        for side, outcomes in (("bare", self.bare), ("weir", self.weir)):
            for text, count in _merged(outcome.broken for outcome in outcomes).items():
                found.append(f"{side}: {text}" + (f" ({count} times)" if count > 1 else ""))
        for name, count in _merged(outcome.metrics for outcome in self.weir).items():
            found.append(f"{name} {count}")
        for bare, weir in zip(self.bare, self.weir):
            differing = sorted(name for name in bare.facts.keys() | weir.facts.keys() if bare.facts.get(name) != weir.facts.get(name))
            if differing:
                found.append("results differ: " + ", ".join(differing))
                break
        return found

    def lost(self, bounds=STRICT):
        return [] if self.skipped else self.wrong() + self.slower(bounds)


def _merged(tables):
    merged = {}
    for table in tables:
        for key, value in table.items():
            merged[key] = merged.get(key, 0) + value
    return merged

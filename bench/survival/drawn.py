# SPDX-License-Identifier: MPL-2.0
"""Rows whose parameters are drawn anew at each run, within the ranges that stand here, so that nothing can be tuned to them. They are judged
against the bare application in the same run: at least as good in each figure. `--seed N` repeats a draw; a seed gives a row the same
parameters whichever other rows run."""
import random

from .row import LONG_S, Row

DRAWN = []


def drawn(make):
    """Registers make(draw) -> Row; draw is a random.Random of the row's own. The name of the row is the function's."""
    DRAWN.append(make)
    return make


def rows(seed):
    return [make(random.Random(f"{seed} {make.__name__}")) for make in DRAWN]


@drawn
def drawn_pings(draw):
    sources, size = draw.randint(60, 150), draw.randint(0, 16)
    return Row("drawn-pings", "router", f"PINGs with {size} B of context at full speed from {sources} sources",
               f"pings --connections {sources} --sources {sources} --size {size}", flood_s=LONG_S, against_bare=True)

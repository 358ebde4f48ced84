# SPDX-License-Identifier: MPL-2.0
"""Rows whose parameters are drawn anew at each run, within the ranges that stand here, so that nothing can be tuned to them. They are judged
against the bare application in the same run: at least as good in each figure. `--seed N` repeats a draw; a seed gives a row the same
parameters whichever other rows run."""
import random

from .row import COSTLY_STEADY, COSTLY_US, LONG_S, STEADY, WORK_US, Row

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


BEHIND_NAT = {"n": 30, "r": 10, "1": ""}


@drawn
def drawn_idle(draw):
    sources = draw.randint(940, 980)
    return Row("drawn-idle", "router", f"{sources} sources finish their handshake and say no more; 30 clients behind one address",
               f"silent --start ready --connections {sources} --sources {sources} --opens {4 * sources}", clients=dict(BEHIND_NAT), flood_s=LONG_S,
               against_bare=True)


@drawn
def drawn_churn(draw):
    sources, at_once, work_us = draw.randint(1500, 3000), draw.randint(100, 400), draw.choice((WORK_US, WORK_US, COSTLY_US))
    clients = COSTLY_STEADY if work_us == COSTLY_US else STEADY
    return Row("drawn-churn", "router", f"{sources} sources finish their handshake and leave, again and again, {at_once} at once", "silent --start ready"
               f" --connections {at_once} --sources {sources} --opens 100000 --end close", work_us, dict(clients), flood_s=LONG_S, against_bare=True)

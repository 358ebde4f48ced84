# SPDX-License-Identifier: MPL-2.0
"""Rows whose parameters are drawn anew at each run, within the ranges that stand here, so that nothing can be tuned to them. They are judged
against the bare application in the same run: at least as good in each figure. `--seed N` repeats a draw; a seed gives a row the same
parameters whichever other rows run."""
import random

from .row import COSTLY_STEADY, COSTLY_US, LONG_S, STEADY, WORK_US, Row

DRAWN = []
MIB = 1 << 20
GREETING = (b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)).hex()
HTTP = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").hex()


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


# Greeting and HELLO of a libzmq client with the keys of curve.h, recorded: whoever has heard them once may say them again.
HELLO = (b"\xff" + bytes(7) + b"\x01\x7f\x03\x01CURVE" + bytes(47)).hex() + (b"\x04\xc8\x05HELLO\x01\x00" + bytes(72)).hex() + (
    "d28fcc501bacf0f8b9103d2ffbbcc54ef329424c8f71c8c8f1a2dfcdfea3d26500000000000000014607c3947f59887882f94982f2ee6996548d22b7"
    "7adde31d394d3151c596cb9baa8414fef693ef84c712cd22c9f02fabe5a184b60f89c43b24c6168118d988c52da2c2ae3a0f1ba2905865135e0b10d6")


@drawn
def drawn_giant(draw):
    connections, announce, pace = draw.randint(1, 3), draw.randint(17, 60) * MIB, draw.randint(70, 200)
    return Row("drawn-giant", "pull", f"{connections} messages of {announce // MIB} MiB that come at {pace} kB/s; others of 100 kB",
               f"huge --type PUSH --announce {announce} --size {announce} --connections {connections} --sources {connections} --chunk {10 * pace} --every-ms 10",
               clients={"n": 8, "r": 20, "z": 100000}, flood_s=LONG_S, against_bare=True)


@drawn
def drawn_replayed_hello(draw):
    connections, sources, rate = draw.randint(450, 600), draw.choice((1, 30, 600)), draw.randint(500, 1500)
    return Row("drawn-replayed-hello", "router", f"a valid CURVE HELLO, replayed on {connections} connections of {sources} sources, then silence",
               f"bytes --hex {HELLO} --connections {connections} --sources {sources} --opens 100000 --rate {rate}", clients=dict(STEADY),
               flood_s=LONG_S, curve=True, against_bare=True)


@drawn
def drawn_neighbour(draw):
    """One that goes wrong behind the address of thirty that do not: what it says, in how many connections, how often."""
    what, words = draw.choice([("garbage behind its handshake", "bytes --hex 80017878 --start ready"), ("HTTP", f"bytes --hex {HTTP}"),
                               ("READY of a SUB", "silent --start ready --type SUB"), ("nothing", "silent"),
                               ("half a greeting", f"bytes --hex {GREETING[:24]}"), ("ZMTP 2.0", f"bytes --hex {GREETING[:20]}0105")])
    connections, rate, end = draw.randint(1, 8), draw.randint(5, 200), draw.choice(("close", "reset"))
    return Row("drawn-neighbour", "router", f"30 clients behind one address, and there {connections} connections that say {what}, {rate} a second",
               f"{words} --connections {connections} --rate {rate} --opens 100000 --end {end}", clients=dict(BEHIND_NAT), flood_s=LONG_S,
               against_bare=True, neighbour=True)


SUBSCRIBERS = {"n": 4}


@drawn
def drawn_subscribers_leave(draw):
    connections, each, size = draw.randint(600, 900), draw.randint(30, 60), draw.randint(10, 24)
    return Row("drawn-subscribers-leave", "pub", f"{connections} subscribers with {each} random topics of {size} B each, then gone",
               f"subscriptions --type SUB --connections {connections} --each {each} --size {size} --opens {connections} --end close",
               clients=dict(SUBSCRIBERS), flood_s=LONG_S, against_bare=True)


@drawn
def drawn_user_messages(draw):
    connections, size = draw.randint(10, 100), draw.randint(20_000, 65_000)
    return Row("drawn-user-messages", "xpub", f"messages of {size} B from {connections} subscribers to an XPUB",
               f"user-messages --type XSUB --connections {connections} --sources {connections} --size {size}",
               clients=dict(SUBSCRIBERS), flood_s=4, against_bare=True)

# SPDX-License-Identifier: MPL-2.0
"""Rows whose parameters are drawn anew at each run, within the ranges that stand here, so that nothing can be tuned to them. They are judged
against the bare application in the same run: at least as good in each figure. `--seed N` repeats a draw; a seed gives a row the same
parameters whichever other rows run. Where protection needs the application's help, the row's note says so."""
import random

from .row import BRIEF_S, COSTLY_STEADY, COSTLY_US, DRAWN_S, STEADY, WORK_US, Row

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
               f"pings --connections {sources} --sources {sources} --size {size}", flood_s=DRAWN_S, calm_s=BRIEF_S, uncounted=True, against_bare=True)


BEHIND_NAT = {"n": 30, "r": 10, "1": ""}


@drawn
def drawn_idle(draw):
    sources = draw.randint(940, 980)
    return Row("drawn-idle", "router", f"{sources} sources finish their handshake and say no more; 30 clients behind one address",
               f"silent --start ready --connections {sources} --sources {sources} --opens {4 * sources}", clients=dict(BEHIND_NAT), flood_s=DRAWN_S,
               calm_s=BRIEF_S, uncounted=True, against_bare=True)


@drawn
def drawn_churn(draw):
    sources, at_once, work_us = draw.randint(1500, 3000), draw.randint(100, 400), draw.choice((WORK_US, WORK_US, COSTLY_US))
    clients = COSTLY_STEADY if work_us == COSTLY_US else STEADY
    return Row("drawn-churn", "router", f"{sources} sources finish their handshake and leave, again and again, {at_once} at once", "silent --start ready"
               f" --connections {at_once} --sources {sources} --opens 100000 --end close", work_us, dict(clients), flood_s=DRAWN_S, calm_s=BRIEF_S, uncounted=True, against_bare=True)


# Greeting and HELLO of a libzmq client with the keys of curve.h, recorded: whoever has heard them once may say them again.
HELLO = (b"\xff" + bytes(7) + b"\x01\x7f\x03\x01CURVE" + bytes(47)).hex() + (b"\x04\xc8\x05HELLO\x01\x00" + bytes(72)).hex() + (
    "d28fcc501bacf0f8b9103d2ffbbcc54ef329424c8f71c8c8f1a2dfcdfea3d26500000000000000014607c3947f59887882f94982f2ee6996548d22b7"
    "7adde31d394d3151c596cb9baa8414fef693ef84c712cd22c9f02fabe5a184b60f89c43b24c6168118d988c52da2c2ae3a0f1ba2905865135e0b10d6")


@drawn
def drawn_giant(draw):
    connections, announce, pace = draw.randint(1, 3), draw.randint(17, 60) * MIB, draw.randint(70, 200)
    return Row("drawn-giant", "pull", f"{connections} messages of {announce // MIB} MiB that come at {pace} kB/s; others of 100 kB",
               f"huge --type PUSH --announce {announce} --size {announce} --connections {connections} --sources {connections} --chunk {10 * pace} --every-ms 10",
               clients={"n": 8, "r": 20, "z": 100000}, flood_s=DRAWN_S, calm_s=BRIEF_S, uncounted=True, against_bare=True)


@drawn
def drawn_replayed_hello(draw):
    connections, sources, rate = draw.randint(450, 600), draw.choice((1, 30, 600)), draw.randint(500, 1500)
    return Row("drawn-replayed-hello", "router", f"a valid CURVE HELLO, replayed on {connections} connections of {sources} sources, then silence",
               f"bytes --hex {HELLO} --connections {connections} --sources {sources} --opens 100000 --rate {rate}", clients=dict(STEADY),
               flood_s=DRAWN_S, curve=True, calm_s=BRIEF_S, uncounted=True, against_bare=True)


@drawn
def drawn_neighbour(draw):
    """One that goes wrong behind the address of thirty that do not: what it says, in how many connections, how often."""
    what, words = draw.choice([("garbage behind its handshake", "bytes --hex 80017878 --start ready"), ("HTTP", f"bytes --hex {HTTP}"),
                               ("READY of a SUB", "silent --start ready --type SUB"), ("nothing", "silent"),
                               ("half a greeting", f"bytes --hex {GREETING[:24]}"), ("ZMTP 2.0", f"bytes --hex {GREETING[:20]}0105")])
    connections, rate, end = draw.randint(1, 8), draw.randint(5, 200), draw.choice(("close", "reset"))
    return Row("drawn-neighbour", "router", f"30 clients behind one address, and there {connections} connections that say {what}, {rate} a second",
               f"{words} --connections {connections} --rate {rate} --opens 100000 --end {end}", clients=dict(BEHIND_NAT), flood_s=DRAWN_S,
               calm_s=BRIEF_S, uncounted=True, against_bare=True, neighbour=True)


SUBSCRIBERS = {"n": 4}


@drawn
def drawn_subscribers_leave(draw):
    connections, each, size = draw.randint(600, 900), draw.randint(30, 60), draw.randint(10, 24)
    return Row("drawn-subscribers-leave", "pub", f"{connections} subscribers with {each} random topics of {size} B each, then gone",
               f"subscriptions --type SUB --connections {connections} --each {each} --size {size} --opens {connections} --end close",
               clients=dict(SUBSCRIBERS), flood_s=DRAWN_S, calm_s=BRIEF_S, against_bare=True)


@drawn
def drawn_user_messages(draw):
    connections, size = draw.randint(10, 100), draw.randint(20_000, 65_000)
    return Row("drawn-user-messages", "xpub", f"messages of {size} B from {connections} subscribers to an XPUB",
               f"user-messages --type XSUB --connections {connections} --sources {connections} --size {size}",
               clients=dict(SUBSCRIBERS), flood_s=4, calm_s=BRIEF_S, against_bare=True)


# ---- what the requests cost ----

def _sources(count):
    return f"--connections {count} --sources {count}"


@drawn
def drawn_cheap_beside_costly(draw):
    sources, others_us, work_us = draw.randint(5, 20), draw.randint(500, 3000), draw.randint(20, 80)
    n, rate, one_address = draw.randint(4, 10), draw.randint(200, 300), draw.random() < 0.5
    return Row("drawn-cheap-beside-costly", draw.choice(("router", "rep")), f"{sources} sources with requests of {others_us} us; {n} clients"
               f"{' behind one address' * one_address} with {rate} small ones a second in all", f"requests --size 64 {_sources(sources)}", work_us,
               {"n": n, "r": rate // n, **({"1": ""} if one_address else {})}, others_us=others_us, flood_s=DRAWN_S, against_bare=True)


@drawn
def drawn_large_among_small(draw):
    sources, size, large = draw.randint(400, 600), draw.randint(1, 200), draw.randint(4_000, 100_000)
    return Row("drawn-large-among-small", "pull", f"messages of {size} B from {sources} sources; those of the others have {large} B",
               f"messages --type PUSH --size {size} {_sources(sources)}", clients={"n": 8, "r": draw.randint(5, 20), "z": large}, flood_s=DRAWN_S,
               against_bare=True)


EACH_TICK = 100  # messages a second of a connection of the flood tool that waits 10 ms behind each


@drawn
def drawn_unanswered(draw):
    connections = draw.randint(2, 8)
    return Row("drawn-unanswered", "router-some", f"{EACH_TICK * connections} messages a second from one source that the application does not answer",
               f"requests --size 64 --chunk 72 --every-ms 10 --connections {connections}", flood_s=DRAWN_S, against_bare=True)


@drawn
def drawn_large_costly(draw):
    connections, size = draw.randint(10, 30), draw.choice((draw.randint(66_000, 80_000), draw.randint(250_000, 350_000)))
    work_us = draw.choice((WORK_US, COSTLY_US))
    return Row("drawn-large-costly", "router", f"costly requests (2 ms) of {size} B in pieces, {connections} connections", f"requests --size {size}"
               f" --connections {connections} --sources {draw.choice((1, connections))}", work_us, dict(COSTLY_STEADY), others_us=COSTLY_US,
               flood_s=DRAWN_S, against_bare=True)


ONE_WAY_NOTE = "Nothing comes back from such an application: without the counter Weir cannot know what it has in hand, and only full buffers hold anybody back."


@drawn
def drawn_pull_costly(draw):
    sources = draw.randint(150, 250)
    what, words, others_us = draw.choice([
        ("10 connections, each 100 messages of 2 ms a second", "messages --type PUSH --size 64 --chunk 66 --every-ms 10 --connections 10", COSTLY_US),
        (f"{sources} sources, messages of 2 ms at full speed", f"messages --type PUSH --size 64 {_sources(sources)}", COSTLY_US),
        ("500 sources, messages in segments of 40 B", f"messages --type PUSH --size 38 --chunk 40 {_sources(500)}", 0)])
    return Row("drawn-pull-costly", "pull", what, words, clients={"n": 8, "r": 20}, others_us=others_us, flood_s=DRAWN_S, against_bare=True,
               note=ONE_WAY_NOTE)


@drawn
def drawn_ask_and_leave(draw):
    connections, sources = draw.randint(20, 200), draw.choice((1, 200))
    return Row("drawn-ask-and-leave", "router", f"{connections} connections of {sources} sources that ask for 2 ms of work and leave, again and again",
               f"requests --size 64 --each 1 --end close --connections {connections} --sources {sources} --opens 100000",
               draw.choice((WORK_US, COSTLY_US)), dict(COSTLY_STEADY), others_us=COSTLY_US, flood_s=DRAWN_S, against_bare=True)


@drawn
def drawn_stall(draw):
    sources, work_us = draw.randint(20, 200), draw.randint(20, 200)
    return Row("drawn-stall", "router", f"{sources} sources at full speed while the application stands still for 4 s, and after",
               f"requests --size 64 {_sources(sources)}", work_us, flood_s=DRAWN_S + 3, stalls=True, against_bare=True,
               note="What is due while the application stands still is late whatever stands before it.")


@drawn
def drawn_one_way(draw):
    app, sources, others_us = draw.choice(("dealer", "mute")), draw.randint(20, 300), draw.choice((0, 200, COSTLY_US))
    return Row("drawn-one-way", app, f"{sources} sources at full speed, {others_us or WORK_US} us a message, to a "
               f"{'DEALER' if app == 'dealer' else 'ROUTER'} that answers nobody", f"messages --type DEALER --size 64 {_sources(sources)}",
               clients={"n": 8, "r": 20}, others_us=others_us, flood_s=DRAWN_S, against_bare=True, note=ONE_WAY_NOTE)


@drawn
def drawn_bursts(draw):
    sources, each, total_ms = draw.randint(100, 900), draw.randint(1, 4), draw.randint(300, 2000)
    others_us = max(WORK_US, total_ms * 1000 // sources // each)
    return Row("drawn-bursts", "router", f"{sources} sources ask at the same moment, {each} requests of {others_us} us each, every 2.5 s",
               f"requests --size 64 --chunk {68 * each + 4} --every-ms 2500 {_sources(sources)}", others_us=others_us, flood_s=DRAWN_S, against_bare=True)


@drawn
def drawn_laggards(draw):
    period_ms, size = draw.randint(6000, 9000), draw.randint(80_000, 120_000)
    return Row("drawn-laggards", "pub", f"20 subscribers that read in a quarter of each {period_ms / 1000} s, out of step; 100 publications of {size} B a second",
               f"subscriptions --type SUB --size 0 --each 1 {_sources(20)} --read-every-ms {period_ms}", clients={"n": 2}, publish=(100, size),
               flood_s=12, calm_s=BRIEF_S, against_bare=True,
               note="The application may hold back slow_reader.behind (64 MiB) for all of them together; half of it before strangers give way.")


@drawn
def drawn_curve_costly(draw):
    connections = draw.randint(20, 100)
    return Row("drawn-curve-costly", "router", f"costly requests (2 ms) inside CURVE, {connections} sources", "libzmq", draw.choice((WORK_US, COSTLY_US)),
               dict(COSTLY_STEADY), others_us=COSTLY_US, flood_s=DRAWN_S, curve=True, askers=f"{connections} 64", against_bare=True,
               note="Weir cannot read what is encrypted; it counts frames.")


@drawn
def drawn_from_the_start(draw):
    sources, work_us = draw.randint(50, 250), draw.choice((WORK_US, COSTLY_US))
    return Row("drawn-from-the-start", "router", f"costly requests (2 ms) from {sources} sources, there before the first client",
               f"requests --size 64 {_sources(sources)}", work_us, dict(COSTLY_STEADY), others_us=COSTLY_US, flood_s=DRAWN_S, early=True, against_bare=True,
               note="Nobody has been served in calm time, so nobody is known: no gate is the floor. It protects when its state file knows its clients from before.")

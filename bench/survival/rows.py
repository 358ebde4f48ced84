# SPDX-License-Identifier: MPL-2.0
"""The catalogue: one row a flood. Those whose parameters are drawn at each run stand in drawn.py."""
from .row import BRIEF_S, COSTLY_STEADY, COSTLY_US, DRAWN_S, LONG_S, STEADY, Row

GREETING = (b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)).hex()
HTTP = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").hex()
GARBAGE = bytes(range(1, 200)).hex()
MIB = 1 << 20


def _messages():
    """Valid messages at full speed: from one connection, from many of one source, from many sources."""
    words = {"pull": "messages --type PUSH --size 200", "router": "requests --size 200", "rep": "requests --size 200"}
    for app, flood in words.items():
        yield Row(f"{app}-one", app, "one connection, valid messages at full speed", flood, flood_s=LONG_S, quick=app == "pull")
    for app, flood in words.items():
        yield Row(f"{app}-200", app, "200 connections of one source", f"{flood} --connections 200", flood_s=LONG_S,
                  compared=app == "router", control=app == "router")
    for app, flood in words.items():
        yield Row(f"{app}-500-sources", app, "500 sources, one connection each", f"{flood} --connections 500 --sources 500", flood_s=LONG_S,
                  compared=app == "pull")


def _costly():
    """Valid requests of 2 ms each."""
    for app in ("rep", "router", "router8", "pool", "pool8"):
        sleeps, router, pool = app.endswith("8"), app == "router", app.startswith("pool")
        clients = STEADY if sleeps else COSTLY_STEADY
        what = "costly requests (2 ms of sleep in one of 8 workers)" if sleeps else "costly requests (2 ms of CPU)"
        yield Row(f"costly-{app}-50", app, f"{what}, 50 connections of one source", "requests --size 64 --connections 50", COSTLY_US, dict(clients),
                  flood_s=LONG_S, quick=router, extra=pool)
        yield Row(f"costly-{app}-200-sources", app, f"{what}, 200 sources", "requests --size 64 --connections 200 --sources 200", COSTLY_US,
                  dict(clients), flood_s=LONG_S, compared=router, extra=pool)


def _sizes():
    brief = {"calm_s": BRIEF_S}
    bounded = f"--bytes {1024 * MIB}"
    yield Row("endless-empty", "pull", "multipart messages without end, empty frames", f"endless --type PUSH --size 0 --connections 8 {bounded}", **brief)
    yield Row("endless-1k", "pull", "multipart messages without end, 1 KiB frames", f"endless --type PUSH --size 1024 --connections 8 {bounded}",
              quick=True, **brief)
    yield Row("huge-fast", "pull", "frames that announce 1 GiB, filled fast",
              f"huge --type PUSH --announce {1024 * MIB} --size {512 * MIB} --connections 4 {bounded}")
    yield Row("huge-slow", "pull", "frames that announce 1 GiB, filled at 20 KB/s",
              f"huge --type PUSH --announce {1024 * MIB} --size {512 * MIB} --connections 50 --chunk 1024 --every-ms 50", **brief)
    yield Row("giant-ready", "router", "READY commands of 1 GiB",
              f"giant-command --announce {1024 * MIB} --size {512 * MIB} --connections 4 {bounded}", **brief)
    yield Row("tiny-segments", "pull", "messages of one byte, one a segment, 20 connections", "messages --type PUSH --size 1 --chunk 12 --connections 20",
              flood_s=LONG_S, control=True)
    yield Row("trickle", "router", "frames filled byte by byte, 200 connections",
              "huge --announce 100000 --size 100000 --chunk 1 --every-ms 20 --connections 200", **brief)


def _handshakes():
    brief = {"calm_s": BRIEF_S}
    held = "--connections 1200 --sources 8 --rate 4000"
    yield Row("silent", "rep", "1200 connections that say nothing", f"silent {held}", **brief)
    yield Row("greeting-10", "rep", "1200 connections, ten bytes of greeting each", f"bytes --hex {GREETING[:20]} {held}", **brief)
    yield Row("churn", "router", "connect, handshake, 50 requests, close, again", "requests --connections 50 --each 50 --size 1000 --end close")
    yield Row("storm", "rep", "connect and reset", "silent --connections 20 --end reset", **brief)
    yield Row("garbage", "pull", "garbage, again and again", f"bytes --hex {GARBAGE} --connections 20 --end reset", **brief)
    yield Row("http", "pull", "HTTP requests, again and again", f"bytes --hex {HTTP} --connections 20 --end reset", **brief)
    yield Row("pings", "router", "PINGs at full speed", "pings --connections 4 --size 16", **brief)
    yield Row("unknown-commands", "router", "unknown commands at full speed", "unknown-commands --connections 4 --size 10", **brief)


def _subscribers():
    topics = "subscriptions --type SUB --connections 4 --rate 200"
    yield Row("never-read", "pub", "20 subscribers that never read, messages of 256 KiB",
              "subscriptions --type SUB --size 0 --each 1 --connections 20 --never-read", clients={"n": 2}, publish=(100, 256 * 1024), flood_s=6, calm_s=BRIEF_S)
    yield Row("unread-replies", "router", "20 requesters that never read, replies of 20 kB",
              "requests --size 20000 --connections 20 --never-read", flood_s=6)
    subscribers = {"clients": {"n": 4}, "calm_s": BRIEF_S}
    yield Row("topics", "pub", "random topics of 20 B as commands, one source", f"{topics} --size 20", **subscribers)
    yield Row("topics-messages", "pub", "the same as messages", f"{topics} --size 20 --as-messages", **subscribers)
    yield Row("topics-long", "pub", "random topics of 200 B", f"{topics} --size 200", **subscribers)
    yield Row("topics-long-messages", "pub", "the same as messages", f"{topics} --size 200 --as-messages", **subscribers)
    yield Row("topics-40-sources", "pub", "random topics of 100 B, 40 sources, 900 each", "subscriptions --type SUB --connections 40 --sources 40"
              " --size 100 --each 900", compared=True, **subscribers)
    yield Row("topics-40-again", "pub", "the same, closed and repeated", "subscriptions --type SUB --connections 40 --sources 40 --rate 400 --size 100"
              " --each 900 --end close", **subscribers)
    yield Row("user-messages", "xpub", "messages from subscribers to an XPUB", "user-messages --type XSUB --connections 4 --size 100", **subscribers)


def _honest():
    plain = {"honest": True, "calm_s": BRIEF_S}
    yield Row("honest-busy", "pull", "no attack: one client at full speed, 64 B", work_us=0, busy=64, compared=True, **plain)
    yield Row("honest-busy-1k", "pull", "no attack: one client at full speed, 1 KiB", work_us=0, busy=1024, **plain)
    yield Row("honest-nat", "router", "no attack: 60 clients behind one address", clients={"n": 60, "r": 10, "1": ""}, quick=True, **plain)
    yield Row("honest-large", "pull", "no attack: 20 MiB, four a second", clients={"n": 1, "r": 4, "z": 20 * MIB}, **plain)
    yield Row("honest-bursts", "pull", "no attack: 1000 messages at once, every second", clients={"n": 1, "r": 1000, "b": 1000}, **plain)


def _neighbours():
    """Sixty clients behind one address, of which one floods: directly, and through a load balancer that names the address."""
    floods = {"cheap": ("requests at full speed", "requests --size 64", 0, 0.1), "costly": ("requests of 2 ms at full speed", "requests --size 64", COSTLY_US, 2.0),
              "large": ("requests of 1 MiB at full speed", f"requests --size {MIB}", 0, 0.3)}
    for proxied in (False, True):
        for name, (what, flood, others_us, service_ms) in floods.items():
            yield Row(f"nat-{name}" + "-proxied" * proxied, "router", f"60 clients behind one address, of which one sends {what}" + ", through PROXY protocol" * proxied,
                      flood, others_us=others_us, clients={"n": 59, "r": 10, "1": ""}, flood_s=DRAWN_S, neighbour=True, proxied=proxied, against_bare=True,
                      promise_ms=3 * service_ms + 5, extra=proxied and name != "costly")


ROWS = [*_messages(), *_costly(), *_sizes(), *_handshakes(), *_subscribers(), *_honest(), *_neighbours()]

# SPDX-License-Identifier: MPL-2.0
"""Rules in shadow: what a rule in force limits passes untouched and is counted; a rule that is off counts nothing; a percentage is in force
for that share of the sources, always the same ones."""
import contextlib
import signal
import subprocess

import pytest
import yaml
import zmq
from harness import net, zmtp
from harness.net import from_source, raw_connect, wait_until
from harness.weir import program

CLIENT = "127.8.8.1"


def config(forward, **keys):
    gate = {"name": "main", "listen": "tcp://127.0.0.1:*", "forward": forward, **keys}
    return {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, "gates": [gate]}


class Flood:
    """What one rule limits: the application, the keys, and what is sent. `passes` means that all of it must arrive."""

    def __init__(self, verdict, app, keys, send):
        self.verdict, self.app, self.keys, self.send = verdict, app, keys, send

    def configure(self, mode):
        """The keys, with `enforce` in the section of the rule: the innermost."""
        keys = yaml.safe_load(self.keys)
        section = keys
        while len(section) == 1 and isinstance(next(iter(section.values())), dict):
            section = next(iter(section.values()))
        section["enforce"] = mode
        return keys


def raw(weir, kind, **kwargs):
    return zmtp.connect(weir.endpoint, CLIENT, socket_type=kind, **kwargs)


def push(weir, app, peers, passes, bodies):
    client = raw(weir, "PUSH")
    with contextlib.suppress(OSError):
        for body in bodies:
            client.send(body)
    if passes:
        wait_until(lambda: app.stats()["messages"] == len(bodies), "every message")
        client.send(b"and one more")
        wait_until(lambda: app.stats()["messages"] == len(bodies) + 1, "the connection to be of use")
    return client


def too_large(weir, app, peers, passes):
    return push(weir, app, peers, passes, [b"x"] * 5 + [b"x" * 2000] + [b"x" * 200000] + [b"x"] * 5)


def too_many(weir, app, peers, passes):
    return push(weir, app, peers, passes, [b"x" * 100] * 100)


def too_slow(weir, app, peers, passes):
    client = raw(weir, "PUSH")
    client.send_raw(zmtp.frame_header(4) + b"ab")
    if passes == "counted":
        weir.wait_metric("weir_shadow_verdicts_total", 1, verdict="message_too_slow")
    if passes:
        client.send_raw(b"cd")
        wait_until(lambda: app.stats()["messages"] == 1, "the message, however late")
    return client


def many_connections(weir, app, peers, passes):
    clients = []
    with contextlib.suppress(OSError, zmtp.Closed):
        for _ in range(6):
            clients.append(raw(weir, "PUSH"))
    if passes:
        for client in clients:
            client.send(b"x")
        wait_until(lambda: app.stats()["messages"] == 6, "a message of each")
    return clients


def newcomers(weir, app, peers, passes):
    clients = [raw_connect(weir.endpoint, CLIENT) for _ in range(12)]
    if passes:
        for s in clients:
            zmtp.RawPeer(s, socket_type="PUSH").handshake().send(b"x")
        wait_until(lambda: app.stats()["messages"] == 12, "a message of each")
    return clients


def pings(weir, app, peers, passes):
    client = raw(weir, "PUSH")
    with contextlib.suppress(OSError):
        for _ in range(50):
            client.send_command("PING", b"\0\0")
    if passes:
        client.send(b"behind them")
        wait_until(lambda: app.stats()["messages"] == 1, "the message behind them")
    return client


def subscriptions(weir, app, peers, passes):
    client = peers.client(zmq.SUB, from_source(CLIENT, weir.endpoint))
    for n in range(10):
        client.subscribe(b"topic %d" % n)
    if passes:
        weir.wait_metric("weir_subscriptions", 10)
        client.subscribe(b"last")
        wait_until(lambda: app.ask("publish last 1 1") and client.poll(50), "what was subscribed last")
    return client


def messages_of_subscribers(weir, app, peers, passes):
    client = raw(weir, "XSUB")
    with contextlib.suppress(OSError):
        for _ in range(50):
            client.send(b"x" * 10)
    if passes:
        weir.wait_metric("weir_messages_total", 50, direction="in")
    return client


def reads_nothing(weir, app, peers, passes):
    client = raw(weir, "DEALER")
    with contextlib.suppress(OSError):
        for _ in range(200):
            client.send(bytes(100000))
    if passes == "counted":
        weir.wait_metric("weir_shadow_verdicts_total", 1, verdict="slow_reader")
    if passes:
        for _ in range(200):
            assert client.recv() == [bytes(100000)]
    return client


def same_name_twice(weir, app, peers, passes):
    clients = [raw(weir, "DEALER", identity=b"me")]
    with contextlib.suppress(zmtp.Closed, OSError):
        clients.append(raw(weir, "DEALER", identity=b"me"))
    if passes:
        assert len(clients) == 2
        clients[0].send(b"x")  # libzmq keeps the first, and parks the other
        assert clients[0].recv() == [b"x"]
    return clients


FLOODS = {
    "message": Flood("frame_too_large", "pull", "message: {size: 1KiB}", too_large),
    "message.complete_within": Flood("message_too_slow", "pull", "message: {complete_within: 200ms}", too_slow),
    "source.connections.max": Flood("too_many_connections", "pull", "source: {connections: {max: 2}}", many_connections),
    "source.connections.rate": Flood("over_connection_rate", "pull", "source: {connections: {rate: 1/m, burst: 3}}", newcomers),
    "source.messages, pause": Flood("over_messages", "pull", "source: {messages: {rate: 10/m, burst: 5}}", too_many),
    "source.messages, drop": Flood("over_messages", "pull", "source: {messages: {rate: 10/m, burst: 5, over: drop}}", too_many),
    "source.messages, close": Flood("over_messages", "pull", "source: {messages: {rate: 10/m, burst: 5, over: close}}", too_many),
    "source.bytes": Flood("over_bytes", "pull", "source: {bytes: {rate: 1KiB/m, burst: 1KiB, over: close}}", too_many),
    "source.commands": Flood("over_commands", "pull", "source: {commands: {rate: 1/m, burst: 5, over: close}}", pings),
    "subscriptions": Flood("subscriptions_too_many", "pub", "subscriptions: {max: 3}", subscriptions),
    "subscriptions.rate": Flood("over_subscriptions", "pub", "subscriptions: {rate: 1B/m, burst: 64B}", subscriptions),
    "subscriptions.messages": Flood("subscriber_message", "xpub", "subscriptions: {messages: {rate: 1/m, burst: 5, over: close}}",
                                    messages_of_subscribers),
    "slow_reader": Flood("slow_reader", "router", "slow_reader: {behind: 1MiB}", reads_nothing),
    "routing_ids": Flood("duplicate_routing_id", "router", "routing_ids: {duplicates: refuse}", same_name_twice),
}


def start(start_app, start_weir, paths, flood, mode, **more):
    app = start_app(flood.app, paths.ipc())
    return app, start_weir(config=config(app.endpoint, socket=flood.app, **{**flood.configure(mode), **more}))


def shadows(weir):
    return weir.metric("weir_shadow_verdicts_total")


def nothing_done(weir):
    """No verdict in force, no pause, no message lost, no strike."""
    return all(weir.metric(name) == 0 for name in ("weir_verdicts_total", "weir_pauses_total", "weir_dropped_messages_total",
                                                  "weir_strikes_total", "weir_bans", "weir_connections_closed_total"))


@pytest.mark.parametrize("name", FLOODS)
def test_in_force_it_is_limited(start_app, start_weir, peers, paths, name):
    flood = FLOODS[name]
    app, weir = start(start_app, start_weir, paths, flood, "on")
    kept = flood.send(weir, app, peers, False)
    weir.wait_metric("weir_verdicts_total", 1, verdict=flood.verdict)
    assert shadows(weir) == 0 and kept is not None


@pytest.mark.parametrize("name", FLOODS)
def test_in_shadow_it_passes_and_counts(start_app, start_weir, peers, paths, name):
    flood = FLOODS[name]
    app, weir = start(start_app, start_weir, paths, flood, "shadow")
    kept = flood.send(weir, app, peers, "counted")
    weir.wait_metric("weir_shadow_verdicts_total", 1, verdict=flood.verdict)
    assert shadows(weir) == weir.metric("weir_shadow_verdicts_total", verdict=flood.verdict)
    assert nothing_done(weir) and kept is not None
    wait_until(lambda: "in shadow, so it passes" in weir.stderr() and f"({flood.verdict})" in weir.stderr(), "a line that says so")


@pytest.mark.parametrize("name", FLOODS)
def test_off_it_passes_and_counts_nothing(start_app, start_weir, peers, paths, name):
    flood = FLOODS[name]
    app, weir = start(start_app, start_weir, paths, flood, "off")
    kept = flood.send(weir, app, peers, True)
    assert nothing_done(weir) and shadows(weir) == 0 and kept is not None


def test_what_counts_is_what_would_not_have_passed(start_app, start_weir, peers, paths):
    """Of 100 messages at once the rate lets 6 pass."""
    flood = FLOODS["source.messages, drop"]
    app, weir = start(start_app, start_weir, paths, flood, "shadow")
    flood.send(weir, app, peers, True)
    assert weir.metric("weir_shadow_verdicts_total", verdict="over_messages") == 95  # and the one behind them


def test_the_gate_s_word_holds_for_rules_that_have_none(start_app, start_weir, peers, paths):
    """enforce: shadow of the gate, but one rule is in force."""
    app = start_app("pull", paths.ipc())
    weir = start_weir(config=config(app.endpoint, enforce="shadow", message={"size": "1KiB"},
                                    source={"messages": {"rate": "10/m", "burst": 5, "over": "close", "enforce": "on"}}))
    too_large(weir, app, peers, False)
    weir.wait_metric("weir_verdicts_total", 1, verdict="over_messages")
    assert weir.metric("weir_shadow_verdicts_total", verdict="frame_too_large") == 1
    assert weir.metric("weir_verdicts_total", verdict="frame_too_large") == 0


def test_a_healthy_client_leaves_no_trace(start_app, start_weir, peers, paths):
    """The twin: with everything in shadow and the limits of the defaults, a busy client counts nothing."""
    app = start_app("router", paths.ipc())
    weir = start_weir(config=config(app.endpoint, enforce="shadow"))
    client = peers.client(zmq.DEALER, from_source(CLIENT, weir.endpoint))
    for begin in range(0, 3000, 500):  # a ROUTER drops what a client leaves lying beyond the high-water marks
        for n in range(begin, begin + 500):
            client.send(b"%d" % n * 20)
        for n in range(begin, begin + 500):
            assert client.recv() == b"%d" % n * 20
    assert nothing_done(weir) and shadows(weir) == 0


# ---- bans ----

def misbehave(weir, source=CLIENT):
    with contextlib.suppress(zmtp.Closed, OSError):
        peer = zmtp.connect(weir.endpoint, source, socket_type="PUSH")
        peer.send_raw(b"\x80\x01x")
        peer.closed_by_peer()
        peer.close()


def test_a_ban_in_shadow(start_app, start_weir, peers, paths):
    """Strikes for rules in force and in shadow count; the ban that follows is counted once for as long as it would last."""
    app = start_app("pull", paths.ipc())
    weir = start_weir(config=config(app.endpoint, ban={"strikes": 8, "within": "1h", "for": "1h", "enforce": "shadow"}))
    for _ in range(6):
        misbehave(weir)  # 5 strikes each
    assert weir.metric("weir_verdicts_total", verdict="reserved_flags") == 6  # the protocol is never in shadow
    assert weir.metric("weir_shadow_bans_total") == 1 and weir.metric("weir_shadow_strikes_total") == 10
    assert weir.metric("weir_bans") == weir.metric("weir_strikes_total") == 0
    assert weir.metric("weir_shadow_verdicts_total", verdict="banned") == 4
    push(weir, app, peers, True, [b"x"] * 10)
    wait_until(lambda: f"{CLIENT} would be banned for 3600 s" in weir.stderr(), "a line that says so")


@pytest.mark.parametrize("shared, follows", [("ban", "weir_shadow_bans_total"), ("probation", "weir_shadow_probations_total")])
def test_a_rule_and_the_ban_in_shadow(shared, follows, start_app, start_weir, peers, paths):
    """What passes speaks for the address: it would be on probation, unless an operator wants it banned."""
    app = start_app("pull", paths.ipc())
    weir = start_weir(config=config(app.endpoint, enforce="shadow", ban={"strikes": 2, "shared": shared},
                                    source={"messages": {"rate": "10/m", "burst": 0, "over": "drop"}}))
    client = push(weir, app, peers, True, [b"x"] * 10)

    def floods():
        client.send(b"x")
        return weir.metric(follows)

    wait_until(floods, "what would follow", step=0.05)
    assert nothing_done(weir)


def test_a_rule_in_shadow_leads_to_no_ban_in_force(start_app, start_weir, peers, paths):
    app = start_app("pull", paths.ipc())
    weir = start_weir(config=config(app.endpoint, ban={"strikes": 1},
                                    source={"messages": {"rate": "10/m", "burst": 0, "over": "close", "enforce": "shadow"}}))
    kept = push(weir, app, peers, True, [b"x"] * 100)
    assert shadows(weir) == 100 and kept and nothing_done(weir) and weir.metric("weir_shadow_strikes_total") == 0


# ---- percentages, and other configurations ----

SOURCES = [f"127.8.{i // 200}.{1 + i % 200}" for i in range(400)]
LIMIT = {"rate": "1/m", "burst": 0, "over": "drop"}


def limited_sources(weir):
    """Those of SOURCES of whose two messages one is left out."""
    limited = set()
    for source in SOURCES:
        before = weir.metric("weir_verdicts_total", verdict="over_messages") + shadows(weir)
        dropped = weir.metric("weir_verdicts_total", verdict="over_messages")
        client = zmtp.connect(weir.endpoint, source, socket_type="PUSH")
        client.send_raw(zmtp.message(b"x") * 2)
        wait_until(lambda: weir.metric("weir_verdicts_total", verdict="over_messages") + shadows(weir) > before, "a verdict", step=0)  # noqa: B023
        if weir.metric("weir_verdicts_total", verdict="over_messages") > dropped:
            limited.add(source)
        client.close()
    return limited


@pytest.fixture
def rolled_out(start_app, start_weir, paths):
    """start(share, key) -> a Weir with the limit in force for a share of the sources."""
    app = start_app("pull", paths.ipc())
    path = paths.file("shares.yaml")

    def write(share, key):
        with open(path, "w") as f:
            yaml.safe_dump({"enforce_key": key, "gates": [{"listen": "tcp://127.0.0.1:*", "forward": app.endpoint,
                                                           "source": {"messages": {**LIMIT, "enforce": share}}}]}, f)

    def start(share, key):
        write(share, key)
        return start_weir(args=("-c", path))

    start.write = write
    return start


def test_a_share_of_the_sources(rolled_out):
    """About 25 % (100 of 400, with a deviation of 9), the same in another process; others with another key; 60 % has all of them."""
    weir = rolled_out("25%", "spring")
    quarter = limited_sources(weir)
    assert 60 <= len(quarter) <= 140
    assert limited_sources(rolled_out("25%", "spring")) == quarter
    other = limited_sources(rolled_out("25%", "summer"))
    assert other != quarter
    more = limited_sources(rolled_out("60%", "spring"))
    assert more > quarter and 200 <= len(more) <= 280


def test_a_reload_from_shadow_to_a_share_to_all(rolled_out, peers):
    """The staged roll-out, on connections that stand all the time."""
    weir = rolled_out("shadow", "spring")
    clients = {source: zmtp.connect(weir.endpoint, source, socket_type="PUSH") for source in SOURCES[:100]}

    def dropped_of_all(limited_each=1):
        """How many of the clients' messages are left out, now that each sends two, of which that many are over the limit."""
        before, shadow = weir.metric("weir_dropped_messages_total"), shadows(weir)
        for client in clients.values():
            client.send_raw(zmtp.message(b"x") * 2)
        limited = weir.wait_metric("weir_verdicts_total", lambda n: n + shadows(weir) - verdicts[0] - shadow >= 100 * limited_each, verdict="over_messages")
        verdicts[0] = limited
        return weir.metric("weir_dropped_messages_total") - before

    def reload(share):
        before = weir.metric("weir_reloads_total", result="done")
        rolled_out.write(share, "spring")
        weir.signal(signal.SIGHUP)
        weir.wait_metric("weir_reloads_total", before + 1, result="done")

    verdicts = [0]
    assert dropped_of_all() == 0 and shadows(weir) == 100
    reload("30%")
    assert 10 <= dropped_of_all() <= 110
    reload("on")
    counted = shadows(weir)
    assert dropped_of_all(limited_each=2) == 200  # all are over the rate of one a minute by now
    assert shadows(weir) == counted


def test_strikes_in_shadow_are_forgotten_when_the_ban_comes_into_force(start_app, start_weir, paths):
    app, path = start_app("pull", paths.ipc()), paths.file("bans.yaml")

    def write(mode):
        with open(path, "w") as f:
            yaml.safe_dump({"gates": [{"listen": "tcp://127.0.0.1:*", "forward": app.endpoint, "ban": {"strikes": 18, "action": "close", "within": "1h", "warm_up": "0s", "enforce": mode}}]}, f)

    write("shadow")
    weir = start_weir(args=("-c", path))
    for _ in range(3):
        misbehave(weir)  # 15 of 18
    write("on")
    weir.signal(signal.SIGHUP)
    weir.wait_metric("weir_reloads_total", 1, result="done")
    for _ in range(3):
        misbehave(weir)
    assert weir.metric("weir_bans") == 0 and weir.metric("weir_strikes_total") == 15
    misbehave(weir)
    weir.wait_metric("weir_bans", 1)


@pytest.mark.parametrize("section", ["connections", "handshake", "heartbeat", "concurrency", "breaker"])
def test_what_is_never_in_shadow_says_so(start_app, paths, section):
    path = paths.file("never.yaml")
    with open(path, "w") as f:
        yaml.safe_dump(config(paths.ipc(), **{section: {"enforce": "shadow"}}), f)
    done = subprocess.run([*program(), "check", path], capture_output=True, text=True, timeout=net.PATIENCE)
    assert done.returncode == 1 and f"{section} has no enforce of its own" in done.stdout

# SPDX-License-Identifier: MPL-2.0
"""Strikes, bans, the tarpit and the state file, with real libzmq applications: offenders go, everybody else stays."""
import os
import signal
import socket
import threading

import pytest
import zmq
from harness import net, zmtp
from harness.net import from_source, raw_connect, wait_until

RESERVED_FLAGS = b"\x80\x01x"
OFFENDER, NEIGHBOUR = "127.9.9.1", "127.9.9.2"  # of one /24


def config(forward, *, top=None, ban=None, **keys):
    gate = {"name": "main", "listen": "tcp://127.0.0.1:*", "forward": forward, "ban": ban or {}, **keys}
    return {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, **(top or {}), "gates": [gate]}


def misbehave(weir, source):
    """Connects, shakes hands, sends a frame that ZMTP forbids, and is closed or kept for it. False: it was not even heard."""
    before = weir.metric("weir_verdicts_total", verdict="reserved_flags")
    try:
        peer = zmtp.RawPeer(raw_connect(weir.endpoint, source, timeout=5), socket_type="REQ")
        if banned(weir):
            return False
        peer.handshake()
        peer.send_raw(RESERVED_FLAGS)
        weir.wait_metric("weir_verdicts_total", before + 1, verdict="reserved_flags")
    except (zmtp.Closed, OSError):
        pass
    finally:
        peer.close()
    return True


def banned(weir):
    return weir.metric("weir_bans")


def ban_by_protocol(weir, source=OFFENDER):
    wait_until(lambda: not misbehave(weir, source) or banned(weir), "the offender to be banned", step=0)


def echoes(client, body=b"hello"):
    client.send(body)
    return client.recv() == body


@pytest.fixture
def app(start_app, paths):
    return start_app("rep", paths.ipc())


def test_breaking_the_protocol(app, start_weir, peers):
    """By default: the offender is banned, its connections go, the client of the same /24 is not touched."""
    weir = start_weir(config={**config(app.endpoint), "workers": 2})
    neighbour = peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint))
    watch = peers.monitor(neighbour)
    assert echoes(neighbour)
    ban_by_protocol(weir)
    assert weir.metric("weir_bans_total", reason="protocol") == 1
    assert weir.metric("weir_strike_warnings_total") >= 1
    wait_until(lambda: f"{OFFENDER} is banned for" in weir.stderr(), "the line that says so")
    wait_until(lambda: f"source {OFFENDER} has half of the strikes" in weir.stderr(), "the line that warned")
    for i in range(20):
        assert echoes(neighbour, b"%d" % i)
    assert watch.count("DISCONNECTED") == 0
    assert echoes(peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint)))


@pytest.mark.parametrize("over", ["drop", "close"])
def test_only_sending_too_much(over, start_app, start_weir, peers, paths):
    """A rate is configured and one client floods; a neighbour below the rate goes on. What passes would speak for the flooder's address:
    its operator wants it banned all the same."""
    sink = start_app("pull", paths.ipc())
    weir = start_weir(config=config(sink.endpoint, ban={"strikes": 4, "within": "1m", "shared": "ban"},
                                    source={"messages": {"rate": "50/s", "over": over}}))
    neighbour = peers.client(zmq.PUSH, from_source(NEIGHBOUR, weir.endpoint))
    watch = peers.monitor(neighbour)
    flooder = peers.client(zmq.PUSH, from_source(OFFENDER, weir.endpoint), SNDHWM=100, SNDTIMEO=50)
    neighbour.send(b"before")

    def floods():
        for _ in range(500):
            try:
                flooder.send(b"x")
            except zmq.Again:
                break
        return banned(weir)

    wait_until(floods, "the flooder to be banned", limit=2 * net.PATIENCE, step=0.05)
    assert weir.metric("weir_bans_total", reason="excess") == 1
    wait_until(lambda: OFFENDER + " is banned" in weir.stderr(), "the line that says so")
    assert NEIGHBOUR not in weir.stderr()
    before = sink.stats()["messages"]
    for _ in range(20):
        neighbour.send(b"after")
    wait_until(lambda: sink.stats()["messages"] >= before + 20, "the neighbour's messages")
    assert watch.count("DISCONNECTED") == 0


def test_sending_too_much_where_it_only_pauses(start_app, start_weir, peers, paths):
    """ban.paused is for those who know that no honest client of theirs is held back for so long."""
    sink = start_app("pull", paths.ipc())
    weir = start_weir(config=config(sink.endpoint, ban={"strikes": 2, "paused": "1s", "shared": "ban"}, source={"messages": {"rate": "50/s"}}))
    flooder = peers.client(zmq.PUSH, from_source(OFFENDER, weir.endpoint), SNDTIMEO=10)

    def floods():
        try:
            for _ in range(500):
                flooder.send(b"x" * 100)
        except zmq.Again:
            pass
        return banned(weir)

    wait_until(floods, "the flooder to be banned", step=0.02)


def test_a_busy_client_that_is_paused_is_no_offender(start_app, start_weir, peers, paths):
    """The twin: with the defaults it may press against its rate as long as it likes, and loses nothing."""
    sink = start_app("pull", paths.ipc())
    weir = start_weir(config=config(sink.endpoint, ban={"strikes": 1, "within": "1d"},
                                    source={"messages": {"rate": "1000/s", "burst": 100}}))
    client = peers.client(zmq.PUSH, from_source(OFFENDER, weir.endpoint))
    for _ in range(4000):
        client.send(b"x")
    wait_until(lambda: sink.stats()["messages"] == 4000, "all messages")
    assert weir.metric("weir_pauses_total") > 10
    assert weir.metric("weir_strikes_total") == banned(weir) == 0


def test_a_busy_healthy_system_gets_no_strike(app, start_weir, peers):
    """Sixty clients behind one address, that come, ask, leave and come again, also in the middle of the handshake."""
    weir = start_weir(config=config(app.endpoint, ban={"strikes": 1, "within": "1d"}))
    for _ in range(3):
        clients = [peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint)) for _ in range(60)]
        for client in clients:
            client.send(b"x" * 5000)
        for client in clients:
            assert client.recv() == b"x" * 5000
        for client in clients:
            client.close()
        for _ in range(30):
            with raw_connect(weir.endpoint, OFFENDER) as s:
                s.sendall(zmtp.greeting()[:10])
    weir.wait_metric("weir_connections", lambda n: n == 0)
    assert weir.metric("weir_strikes_total") == banned(weir) == 0


@pytest.mark.parametrize("shared", ["probation", "ban"])
def test_one_of_sixty_behind_one_address_misbehaves(shared, app, start_weir, peers):
    """Once or twice: its own connection goes, and nothing else. On and on: the same; or all of them, if an operator wants that."""
    weir = start_weir(config={**config(app.endpoint, ban={"shared": shared}), "workers": 2})
    clients = [peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint)) for _ in range(60)]
    assert all(echoes(client) for client in clients)
    assert misbehave(weir, OFFENDER)
    assert all(echoes(client) for client in clients)
    if shared == "ban":
        ban_by_protocol(weir)
        weir.wait_metric("weir_connections", lambda n: n == 0)
        return
    for _ in range(20):
        assert misbehave(weir, OFFENDER)
    assert all(echoes(client) for client in clients)
    assert weir.metric("weir_connections") == 60 and banned(weir) == 0
    assert weir.metric("weir_probations_total") == 1 and weir.metric("weir_connections_tarpitted") <= 20
    wait_until(lambda: f"{OFFENDER} is on probation" in weir.stderr(), "the line that says so")
    assert echoes(peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint)))


def test_exempt_networks(app, start_weir, peers):
    weir = start_weir(config=config(app.endpoint, ban={"exempt": ["10.0.0.0/8", "127.9.9.0/24"]}))
    client = peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint))
    assert echoes(client)
    for _ in range(30):
        assert misbehave(weir, OFFENDER)
    weir.wait_metric("weir_verdicts_total", 30, verdict="reserved_flags")
    assert banned(weir) == weir.metric("weir_strikes_total") == 0
    assert echoes(client)


# ---- the tarpit ----

def storm(weir, peers, accepted_more):
    """A real client of a banned source, which tries again every 100 ms, until the gate has accepted so many connections of it."""
    client = peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint), RECONNECT_IVL=100)
    client.send(b"?")
    before = weir.metric("weir_connections_accepted_total")
    wait_until(lambda: weir.metric("weir_connections_accepted_total") >= before + accepted_more, "the client to come")


def test_closing_lets_the_storm_go_on(app, start_weir, peers):
    weir = start_weir(config=config(app.endpoint, ban={"action": "close"}))
    ban_by_protocol(weir)
    before = weir.metric("weir_verdicts_total", verdict="banned")
    storm(weir, peers, 10)
    assert weir.metric("weir_verdicts_total", verdict="banned") >= before + 10
    assert weir.metric("weir_connections_tarpitted") == 0


def test_the_tarpit_ends_the_storm(app, start_weir, peers):
    """One connection in place of ten a second; when the ban is over the client is heard."""
    weir = start_weir(config=config(app.endpoint, ban={"for": "4s", "max": "4s"}))
    ban_by_protocol(weir)
    accepted = weir.metric("weir_connections_accepted_total")
    client = peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint), RECONNECT_IVL=100)
    watch = peers.monitor(client)
    client.send(b"hello")
    weir.wait_metric("weir_connections_tarpitted", 1)
    # the whole ban passes with one connection; then it comes again and is served
    assert client.recv() == b"hello"
    assert watch.count("CONNECTED") <= 3
    assert weir.metric("weir_connections_accepted_total") - accepted <= 3
    assert weir.metric("weir_connections_tarpitted") == 0


def test_the_tarpit_is_limited(app, start_weir):
    weir = start_weir(config=config(app.endpoint, ban={"tarpit": 5}))
    ban_by_protocol(weir)
    held = [raw_connect(weir.endpoint, OFFENDER) for _ in range(12)]
    weir.wait_metric("weir_connections_tarpitted", 5)

    def closed(s):
        s.settimeout(0.01)
        try:
            return s.recv(1) == b""
        except TimeoutError:
            return False

    wait_until(lambda: sum(closed(s) for s in held) >= 7, "the others to be closed")
    assert weir.metric("weir_connections_tarpitted") == 5
    for s in held:
        s.close()
    weir.wait_metric("weir_connections_tarpitted", lambda n: n == 0)


def test_a_tarpitted_connection_is_not_read(app, start_weir):
    """Whatever it sends stays in the kernel, in a small window."""
    weir = start_weir(config=config(app.endpoint))
    ban_by_protocol(weir)
    received = weir.metric("weir_received_bytes_total", direction="in")
    s = raw_connect(weir.endpoint, OFFENDER, timeout=0.5)
    weir.wait_metric("weir_connections_tarpitted", 1)
    sent = 0
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    try:
        while sent < 8 << 20:
            sent += s.send(b"x" * 4096)
    except TimeoutError:
        pass
    assert sent < 1 << 20
    assert weir.metric("weir_received_bytes_total", direction="in") == received
    s.close()


# ---- restarts ----

def with_state(paths, forward, **ban):
    return config(forward, top={"state": {"file": paths.file("state")}}, ban=ban)


def test_bans_and_history_outlive_a_restart(app, start_weir, peers, paths):
    weir = start_weir(config=with_state(paths, app.endpoint))
    ban_by_protocol(weir)
    weir.stop()
    weir = start_weir(config=with_state(paths, app.endpoint))
    assert banned(weir) == 1
    s = raw_connect(weir.endpoint, OFFENDER)
    weir.wait_metric("weir_connections_tarpitted", 1)
    s.close()
    assert echoes(peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint)))


def test_the_second_ban_is_longer_also_after_a_restart(app, start_weir, paths):
    weir = start_weir(config=with_state(paths, app.endpoint, **{"for": "1s", "max": "1h"}))
    ban_by_protocol(weir)
    weir.wait_metric("weir_bans", lambda n: n == 0)
    weir.stop()
    weir = start_weir(config=with_state(paths, app.endpoint, **{"for": "1s", "max": "1h"}))
    assert (banned(weir), weir.metric("weir_bans_remembered")) == (0, 1)
    ban_by_protocol(weir)
    wait_until(lambda: "ban 2" in weir.stderr(), "the second ban")


def test_a_killed_weir_remembers_what_was_written(app, start_weir, paths):
    weir = start_weir(config=with_state(paths, app.endpoint))
    ban_by_protocol(weir)
    wait_until(lambda: os.path.exists(paths.file("state")), "the state file")
    weir.expected_exit = -9
    weir.kill()
    weir = start_weir(config=with_state(paths, app.endpoint))
    assert banned(weir) == 1


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_state_file(damage, app, start_weir, peers, paths):
    """Set aside with a word about it; the gate is there."""
    weir = start_weir(config=with_state(paths, app.endpoint))
    ban_by_protocol(weir)
    weir.stop()
    path = paths.file("state")
    with open(path, "rb") as f:
        good = f.read()
    bad = {"cut": good[:-3], "changed": good[:30] + bytes([good[30] ^ 1]) + good[31:], "empty": b""}[damage]
    with open(path, "wb") as f:
        f.write(bad)
    weir = start_weir(config=with_state(paths, app.endpoint))
    wait_until(lambda: "is damaged: set aside as" in weir.stderr(), "the line that says so")
    with open(path + ".damaged", "rb") as f:
        assert f.read() == bad
    assert banned(weir) == 0
    assert echoes(peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint)))


def test_a_state_file_out_of_reach(app, start_weir, peers):
    """Said at the start, at a reload, and at the end when bans are lost."""
    def lines():
        return weir.stderr().count("state file /proc/weir/state cannot be written: No such file or directory")

    weir = start_weir(config=config(app.endpoint, top={"state": {"file": "/proc/weir/state"}}))
    wait_until(lambda: lines() == 1, "the line at the start")
    weir.signal(signal.SIGHUP)
    wait_until(lambda: lines() == 2, "the line at the reload")
    ban_by_protocol(weir)
    assert echoes(peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint)))
    weir.stop()
    assert lines() == 3


# ---- local clients ----

def test_a_user_on_ipc(app, start_weir, paths):
    """Users are sources as addresses are, and may be exempt."""
    me = f"uid:{os.getuid()}"
    for exempt, expected in ((None, 1), (me, 0)):
        keys = config(app.endpoint, ban={"exempt": [exempt]} if exempt else {})
        keys["gates"][0]["listen"] = paths.ipc()
        weir = start_weir(config=keys)
        for _ in range(6):
            misbehave(weir, None)
        assert banned(weir) == expected


def test_many_at_once_from_many_addresses(app, start_weir, peers):
    """Two hundred offenders together: all banned, the customer served meanwhile, one line in the log for all of them."""
    weir = start_weir(config={**config(app.endpoint), "workers": 2})
    customer = peers.client(zmq.REQ, from_source("127.8.8.8", weir.endpoint))
    assert echoes(customer)

    def offend(first):
        for n in range(first, first + 50):
            for _ in range(12):
                with raw_connect(weir.endpoint, f"127.10.0.{1 + n}") as s:
                    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    try:
                        s.settimeout(0.05)
                        while s.recv(100):
                            pass
                    except OSError:
                        pass

    threads = [threading.Thread(target=offend, args=(50 * i,)) for i in range(4)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        assert echoes(customer)
    for t in threads:
        t.join()
    weir.wait_metric("weir_bans", 200)
    assert weir.stderr().count(" is banned for ") <= 12
    assert echoes(customer)

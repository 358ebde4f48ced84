# SPDX-License-Identifier: MPL-2.0
"""Commands without end, peers that never read, and full speed."""
import hashlib
import time

import zmq
from attacks.scene import *
from attacks.scene import proc, wait_until
from harness import zmtp
from harness.net import from_source, raw_connect

import pytest

# PINGs are answered, unknown commands swallowed: the I/O thread works for nobody.
COMMANDS = [pytest.param("pings", {"size": 16}, id="pings"), pytest.param("unknown-commands", {"size": 10}, id="unknown")]


@pytest.mark.parametrize("name,options", COMMANDS)
def test_commands_bare(bare, flood, name, options):
    app = bare("router")
    burnt = proc.cpu_seconds(app.pid)
    f = flood(name, app.endpoint, connections=4, **options)
    f.wait_figure("units", 200000)
    wait_until(lambda: proc.cpu_seconds(app.pid) - burnt > 0.3, "the application to burn CPU for nobody")
    assert app.stats()["messages"] == 0 and f.figures()["ended_by_peer"] == 0


def test_pings_through(gate, flood):
    """Slowed to what heartbeats need, as soon as there are many."""
    g = gate("router")
    f = flood("pings", g.endpoint, connections=4, size=16)
    g.withstands(f, until=lambda: g.weir.metric("weir_pauses_total") > 0 and g.weir.metric("weir_commands_total", direction="in") > 4000)


def test_pings_closed_through(gate, flood):
    g = gate("router", config={"source": {"commands": {"rate": "2000/s", "burst": 4000, "over": "close"}}})
    f = flood("pings", g.endpoint, connections=4, opens=100000, size=16)
    g.withstands(f, until=g.expects(10, "over_commands"))


def test_unknown_commands_through(gate, flood):
    g = gate("router")
    f = flood("unknown-commands", g.endpoint, connections=4, opens=100000, size=10)
    g.withstands(f, until=g.expects(30, "unknown_command"))
    assert g.weir.metric("weir_commands_total", direction="in") == 0


def test_heartbeats_pass_untouched(gate, peers):
    """The twin: 60 connections behind one address, a heartbeat each 100 ms, and requests between."""
    g = gate("router")
    clients = [peers.client(zmq.DEALER, from_source("127.77.4.1", g.endpoint), HEARTBEAT_IVL=100, HEARTBEAT_TIMEOUT=20000) for _ in range(60)]
    g.weir.wait_metric("weir_commands_total", 1200, direction="in")
    for n, client in enumerate(clients):
        client.send(b"%d" % n)
    for n, client in enumerate(clients):
        assert client.recv() == b"%d" % n
    assert refusals(g.weir) == {} and g.weir.metric("weir_pauses_total") == 0


def test_fast_heartbeats_pass_untouched_among_pings(gate, flood, peers):
    """The twin: a heartbeat each 10 ms, while strangers send PINGs as fast as they can."""
    g = gate("router")
    clients = [peers.client(zmq.DEALER, from_source("127.77.4.1", g.endpoint), HEARTBEAT_IVL=10, HEARTBEAT_TIMEOUT=20000) for _ in range(20)]
    f = flood("pings", g.endpoint, connections=10, sources=10, size=16)
    g.weir.wait_metric("weir_commands_total", 15000, direction="in")
    g.weir.wait_metric("weir_verdicts_total", 10, verdict="over_commands")
    for n in range(20):
        for client in clients:
            client.send(b"%d" % n)
        for client in clients:
            assert client.recv() == b"%d" % n
    assert g.weir.metric("weir_connections_paused") <= 10 and f.alive()
    f.stop()


# Subscribers that never read: the publisher keeps up to 1000 messages of any size for them.
LARGE = 1 << 20
NEVER_READ = {"type": "SUB", "size": 0, "each": 1, "connections": 3, "never_read": True}


def test_unread_publications_bare(bare, flood):
    app = bare("pub")
    before = proc.rss_bytes(app.pid)
    f = flood("subscriptions", app.endpoint, **NEVER_READ)
    f.wait_figure("holding", 3)
    wait_until(lambda: app.ask(f"publish flood 20 {LARGE}") and proc.rss_bytes(app.pid) - before > 256 * MIB, "the publisher's queues to fill")
    assert f.figures()["ended_by_peer"] == 0


def test_unread_publications_through(gate, flood):
    """They are found out while little waits for them; what is published afterwards waits for nobody."""
    g = gate("pub")
    with g.survives():
        f = flood("subscriptions", g.endpoint, **NEVER_READ)
        g.weir.wait_metric("weir_subscriptions", 4)
        g.app.ask(f"publish flood 40 {LARGE}")
        g.customers.serve_until(g.expects(3, "slow_reader"), "those who never read to be closed")
        for _ in range(15):
            g.app.ask(f"publish flood 20 {LARGE}")
            g.customers.regular.exchange()
        assert f.alive() or f.figures()["done"]


# Requesters that never read: up to 1000 replies for each.
UNREAD_REQUESTS = {"size": 20000, "connections": 20, "never_read": True}


def test_unread_replies_bare(bare, flood):
    app = bare("router")
    grown = grows_by(app, 256 * MIB)
    flood("requests", app.endpoint, bytes=2048 * MIB, **UNREAD_REQUESTS)
    grown()


def test_unread_replies_through(gate, flood):
    g = gate("router")
    g.become_known()
    f = flood("requests", g.endpoint, opens=100000, **UNREAD_REQUESTS)
    g.withstands(f, until=g.expects(10, "slow_reader"))  # most of them wait with their requests


def test_a_stalled_consumer_passes_untouched(start_weir, start_app, peers, paths):
    """The twin: a PULL client that stands still while more waits for it than slow_reader allows to others, then takes everything."""
    app = start_app("push", paths.ipc())
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": app.endpoint, "slow_reader": {"behind": "1MiB"}}]})
    client = peers.client(zmq.PULL, weir.endpoint, RCVHWM=10)
    app.process.stdin.write("push 3000 20000\n")
    app.process.stdin.flush()
    weir.wait_metric("weir_connections_blocked", 1, direction="out")
    time.sleep(2)
    for n in range(3000):
        assert client.recv_multipart() == [b"%d" % n, bytes(20000)]
    assert refusals(weir) == {}


def test_late_replies_pass_untouched(gate, peers):
    """The twin: a client that asks 1500 times before it reads its first reply."""
    g = gate("router")
    client = peers.client(zmq.DEALER, from_source("127.77.5.1", g.endpoint))
    before = g.app.stats()["messages"]
    for n in range(1500):
        client.send(b"%04d" % n * 100)
    wait_until(lambda: g.app.stats()["messages"] == before + 1500, "all requests to be answered")
    for n in range(1500):
        assert client.recv() == b"%04d" % n * 100
    assert refusals(g.weir) == {}


def test_full_speed_passes_untouched(gate, peers):
    """The twin of every flood of messages: one client, 200 000 messages as fast as it can, and nothing is lost, slowed or counted."""
    g = gate("pull")
    client = peers.client(zmq.PUSH, from_source("127.77.6.1", g.endpoint))
    digest = hashlib.sha256(b"message 1")
    for n in range(200000):
        body = b"%010d" % n * 10
        digest.update(body)
        client.send(body)
    wait_until(lambda: g.app.stats()["messages"] == 200001, "200 000 messages to arrive")
    assert g.app.stats()["digest"] == digest.hexdigest()
    assert refusals(g.weir) == {} and g.weir.metric("weir_pauses_total") == 0

# SPDX-License-Identifier: MPL-2.0
"""Messages that never end, frames that announce too much, handshakes larger than life, bodies that trickle."""
import zmq
from attacks.scene import *
from attacks.scene import proc, wait_until
from harness import zmtp
from harness.net import from_source, raw_connect

import pytest

PLAIN = {"options": {"PLAIN_SERVER": 1}, "zap": {"plain": {"user": "secret"}}}
PLAIN_CLIENT = {"PLAIN_USERNAME": b"user", "PLAIN_PASSWORD": b"secret"}

# Endless multipart messages: never counted by the high-water mark, never seen by the application.
ENDLESS = [pytest.param("pull", "PUSH", 0, id="pull-empty-frames"), pytest.param("router", "DEALER", 1024, id="router-1KiB-frames"),
           pytest.param("rep", "DEALER", 1024, id="rep-1KiB-frames")]


@pytest.mark.parametrize("kind,peer,size", ENDLESS)
def test_endless_multipart_bare(bare, flood, kind, peer, size):
    app = bare(kind)
    grown = grows_by(app, 256 * MIB)
    flood("endless", app.endpoint, type=peer, size=size, connections=4, bytes=512 * MIB if size else 64 * MIB)
    grown()
    assert app.stats()["messages"] == 0


@pytest.mark.parametrize("kind,peer,size", ENDLESS)
def test_endless_multipart_through(gate, flood, kind, peer, size):
    g = gate(kind)
    f = flood("endless", g.endpoint, type=peer, size=size, connections=4, opens=100000)
    g.withstands(f, until=g.expects(10, "message_gives_way", "message_too_large"))
    assert g.app.stats()["messages"] == g.customers.regular.count + g.customers.newcomers


# Frames that announce 1 GiB.
def test_huge_frame_fast_bare(bare, flood):
    app = bare("router")
    grown = grows_by(app, 512 * MIB)
    flood("huge", app.endpoint, announce=1 << 30, size=1 << 30, connections=2)
    grown()


def test_huge_frame_slow_bare(bare, flood):
    """One byte every 50 ms keeps a buffer of 1 GiB reserved, for as long as the sender likes."""
    app = bare("router")
    grown = grows_by(app, 8 << 30, what=virtual_bytes)
    f = flood("huge", app.endpoint, announce=1 << 30, size=1 << 30, connections=10, chunk=1, every_ms=50)
    grown()
    f.wait_figure("sent_bytes", 1000)
    assert f.figures()["open"] == 10


def virtual_bytes(pid):
    return int(proc.status(pid, "VmSize").split()[0]) * 1024


@pytest.mark.parametrize("pace", [{}, {"chunk": 9, "every_ms": 20}], ids=["fast", "slow"])
def test_huge_frame_through(gate, flood, pace):
    g = gate("router")
    virtual = virtual_bytes(g.app.pid)
    f = flood("huge", g.endpoint, announce=1 << 30, size=1 << 30, connections=4, opens=100000, **pace)
    g.withstands(f, until=g.expects(300, "frame_too_large"))
    assert virtual_bytes(g.app.pid) - virtual < 512 * MIB


# Frames of a legal size that never come to their end.
def test_unfinished_messages_bare(bare, flood):
    app = bare("router")
    grown = grows_by(app, 512 * MIB)
    f = flood("huge", app.endpoint, announce=20 * MIB, size=20 * MIB - 1, connections=30)
    grown()
    f.wait_figure("holding", 30)
    assert f.figures()["ended_by_peer"] == 0 and app.stats()["messages"] == 0


def test_unfinished_messages_through(gate, flood):
    """All defaults: the parts that the application holds are bounded long before any deadline."""
    g = gate("router")
    f = flood("huge", g.endpoint, announce=20 * MIB, size=20 * MIB - 1, connections=30, opens=100000)
    g.withstands(f, until=lambda: f.figures()["established"] >= 30 and f.figures()["sent_bytes"] > 16 * MIB)


def test_large_messages_among_unfinished_ones(gate, flood, peers):
    """Somebody holds all that may be unfinished, and another client's large message still goes through."""
    g = gate("router")
    f = flood("huge", g.endpoint, announce=20 * MIB, size=20 * MIB - 1, connections=30)
    f.wait_figure("established", 30)
    g.weir.wait_metric("weir_unfinished_bytes", 16 * MIB)
    with g.survives(growth=ALLOWED_GROWTH + 4 * 2 * MIB):  # what the honest client sends comes and goes on top
        client = peers.client(zmq.DEALER, from_source("127.77.7.1", g.endpoint))
        for n in range(3):
            body = bytes([n]) * (2 * MIB)
            client.send(body)
            assert client.recv() == body
        assert f.figures()["open"] > 0
        f.stop()
        client.close()


def test_a_slow_giant_holds_nobody_up_through(gate, flood, peers):
    """One message larger than all that may be unfinished, at 100 kB a second: it would take minutes. Messages of 100 kB need room too."""
    g = gate("router")
    f = flood("huge", g.endpoint, announce=33 * MIB, size=33 * MIB, connections=1, chunk=1000, every_ms=10)
    g.weir.wait_metric("weir_unfinished_bytes", 33 * MIB)
    with g.survives(growth=ALLOWED_GROWTH + 16 * MIB):
        clients = [peers.client(zmq.DEALER, from_source(f"127.77.7.{n}", g.endpoint)) for n in range(1, 5)]
        for n in range(10):
            for client in clients:
                client.send(bytes([n]) * 100000)
            for client in clients:
                assert client.recv() == bytes([n]) * 100000
        assert f.alive() and f.figures()["finished"] == 0
        assert g.weir.metric("weir_pauses_total") == 0, "somebody had to wait"
        f.stop()
        for client in clients:
            client.close()


@pytest.mark.parametrize("size", [1000, 8 * MIB], ids=["held-in-weir", "streaming"])
def test_unfinished_messages_end_through(gate, flood, size):
    g = gate("router", config={"message": {"complete_within": "1s", "min_rate": "64MiB"}})
    f = flood("huge", g.endpoint, announce=size, size=size - 1, connections=30, opens=100000)
    g.withstands(f, until=g.expects(20, "message_too_slow"))


def test_trickle_bare(bare, flood):
    """A byte now and then inside a frame: the connection and its partial message stay. (30 s pass only before the handshake is done.)"""
    app = bare("router")
    f = flood("huge", app.endpoint, announce=10 * MIB, size=10 * MIB, connections=50, chunk=9, every_ms=20)
    f.wait_figure("sent_bytes", 50 * 9 * 100)
    assert f.figures()["open"] == 50 and proc.fd_count(app.pid) > 50


def test_trickle_through(gate, flood, peers):
    """Small frames and large ones, one byte at a time. They cost next to nothing: small ones are held in Weir, and so is what has come of a large
    one for which there is no room. A message that does not fit beside them goes on."""
    g = gate("router", config={"message": {"complete_within": "1s"}})
    floods = [flood("huge", g.endpoint, announce=size, size=size, connections=50, opens=100000, chunk=1, every_ms=20) for size in (200, 10 * MIB)]
    client = peers.client(zmq.DEALER, from_source("127.77.7.1", g.endpoint))
    for n in range(3):
        client.send(bytes([n]) * (8 * MIB))
        assert client.recv() == bytes([n]) * (8 * MIB)
    g.withstands(*floods, until=lambda: all(f.figures()["established"] >= 50 for f in floods), growth=ALLOWED_GROWTH + 32 * MIB)
    assert floods[0].figures()["ended_by_peer"] == 0
    client.close()


def test_silence_in_a_message_through(gate, flood):
    g = gate("router", config={"message": {"complete_within": "1s"}})
    f = flood("huge", g.endpoint, announce=200, size=199, connections=50, opens=100000)
    g.withstands(f, until=g.expects(60, "message_too_slow"))


# READY and HELLO of 1 GiB, before anybody has shown who he is.
GIANTS = [pytest.param("NULL", {}, {}, id="READY"), pytest.param("PLAIN", PLAIN, PLAIN_CLIENT, id="HELLO")]


@pytest.mark.parametrize("mechanism,app_options,client", GIANTS)
def test_giant_handshake_bare(bare, flood, mechanism, app_options, client):
    app = bare("router", **app_options)
    grown = grows_by(app, 512 * MIB)
    flood("giant-command", app.endpoint, mechanism=mechanism, announce=1 << 30, size=1 << 30, connections=2)
    grown()


@pytest.mark.parametrize("mechanism,app_options,client", GIANTS)
@pytest.mark.parametrize("announce", [1 << 30, 100000], ids=["1GiB", "100kB"])
def test_giant_handshake_through(gate, flood, mechanism, app_options, client, announce):
    g = gate("router", client_options=client, **app_options)
    f = flood("giant-command", g.endpoint, mechanism=mechanism, announce=announce, size=announce, connections=4, opens=100000)
    upstream = g.weir.metric("weir_upstream_connects_total")
    g.withstands(f, until=g.expects(300, "handshake_too_large", "bad_ready"))
    assert g.weir.metric("weir_upstream_connects_total") - upstream <= g.customers.newcomers + 1, "strangers reached the application"


# Twins: the same, legal.
def test_large_messages_pass_untouched(gate, peers):
    g = gate("router")
    bodies = [bytes([i]) * (20 * MIB + i) for i in range(3)]
    clients = [peers.client(zmq.DEALER, g.endpoint) for _ in bodies]
    for client, body in zip(clients, bodies):
        client.send_multipart([b"", body])
    for client, body in zip(clients, bodies):
        assert client.recv_multipart() == [b"", body]
    assert refusals(g.weir) == {}


def test_many_parts_pass_untouched(gate, peers):
    g = gate("router")
    client = peers.client(zmq.DEALER, g.endpoint)
    parts = [b"%d" % i for i in range(1000)]
    for i in range(1000):
        client.send_multipart([b"%d" % i, *parts])
        if i % 100 == 99:
            for n in range(i - 99, i + 1):
                assert client.recv_multipart() == [b"%d" % n, *parts]
    assert refusals(g.weir) == {}
    assert g.weir.metric("weir_pauses_total") == 0


def test_slow_but_legal_pass_untouched(gate):
    """A handshake in pieces, and a message of a slow line: 256 KiB in 64 writes."""
    g = gate("router")
    s = raw_connect(g.endpoint)
    peer = zmtp.RawPeer(s)
    for byte in zmtp.greeting():
        s.sendall(bytes([byte]))
    peer.read(64)
    for byte in zmtp.command("READY", zmtp.properties(("Socket-Type", "DEALER"))):
        s.sendall(bytes([byte]))
    peer.expect_command(b"READY")
    body = bytes(range(256)) * 1024
    stream = zmtp.message(b"", body)
    for at in range(0, len(stream), 4096):
        peer.send_raw(stream[at:at + 4096])
        g.customers.regular.exchange()
    assert peer.recv() == [b"", body]
    assert refusals(g.weir) == {}

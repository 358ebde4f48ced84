# SPDX-License-Identifier: MPL-2.0
"""Connections held before or during the handshake, churn, connect storms, garbage, and frames that ZMTP forbids."""
import socket
import time

import zmq
from attacks.customers import Requester
from attacks.scene import *
from attacks.scene import proc, wait_until
from harness import zmtp
from harness.net import PATIENCE, from_source, raw_connect

import pytest

NOFILE = 1024  # the habitual descriptor limit, and the harness's default for applications
GREETING = zmtp.greeting()

# Held for 30 s each by libzmq: silent, after 10 bytes of the greeting, and with one more byte now and then.
HELD = [pytest.param("silent", {}, id="silent"), pytest.param("bytes", {"hex": GREETING[:10]}, id="10-bytes"),
        pytest.param("bytes", {"hex": GREETING, "chunk": 1, "every_ms": 300}, id="trickled"),
        pytest.param("bytes", {"hex": b"\x04", "start": "greeted"}, id="after-the-greeting")]


@pytest.mark.parametrize("name,options", HELD)
def test_held_handshakes_bare(bare, flood, peers, name, options):
    """All descriptors are gone, a newcomer gets no answer, and the I/O thread spins."""
    app = bare("rep")
    f = flood(name, app.endpoint, connections=1200, sources=8, rate=1500, **options)
    wait_until(lambda: proc.fd_count(app.pid) >= NOFILE - 2, "the application to run out of descriptors")
    newcomers = [peers.client(zmq.REQ, from_source("127.78.0.1", app.endpoint)) for _ in range(8)]
    for newcomer in newcomers:
        newcomer.send(b"anybody there?")
    time.sleep(1.5)
    unanswered = [newcomer for newcomer in newcomers if newcomer.poll(0) == 0]
    assert len(unanswered) >= 4  # some may find the last descriptors
    burnt = proc.cpu_seconds(app.pid)
    wait_until(lambda: proc.cpu_seconds(app.pid) - burnt > 0.5, "an idle application to burn CPU")
    assert f.alive() and not any(newcomer.poll(0) for newcomer in unanswered)


@pytest.mark.parametrize("name,options", HELD)
@pytest.mark.parametrize("sources", [1, 32], ids=["one-source", "many-sources"])
def test_held_handshakes_through(gate, flood, name, options, sources):
    g = gate("rep")
    f = flood(name, g.endpoint, connections=1200, sources=sources, opens=100000, **options)
    expected = ["too_many_half_open", "half_open_give_way"]
    upstream, descriptors = g.weir.metric("weir_upstream_connects_total"), proc.fd_count(g.app.pid)
    refused, strangers = g.expects(50, *expected), []

    def held_off():
        """Looked at while a customer stands: where nobody does, one at a time is connected as soon as it has said its version."""
        strangers.append(g.weir.metric("weir_upstream_connects_total") - upstream - g.customers.newcomers)
        return refused()

    g.withstands(f, until=held_off, rounds=40)
    assert max(strangers) <= 1, "strangers reached the application"
    assert proc.fd_count(g.app.pid) <= descriptors + 4


@pytest.mark.parametrize("name,options", HELD)
def test_held_handshakes_end_through(gate, flood, name, options):
    g = gate("rep", config={"handshake": {"within": "500ms"}})
    f = flood(name, g.endpoint, connections=100, opens=100000, **options)
    g.withstands(f, until=g.expects(200, "handshake_timeout"))


def recorded_hello(server_key):
    """Greeting and HELLO of a client of libzmq's, as a third party may have recorded them."""
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, socket.create_server(("127.0.0.1", 0)) as listener:
        with context.socket(zmq.DEALER) as client:
            client.setsockopt(zmq.LINGER, 0)
            client.setsockopt(zmq.CURVE_SERVERKEY, server_key)
            client.setsockopt(zmq.CURVE_PUBLICKEY, public)
            client.setsockopt(zmq.CURVE_SECRETKEY, secret)
            client.connect("tcp://127.0.0.1:%d" % listener.getsockname()[1])
            heard, said = listener.accept()[0], b""
            heard.settimeout(PATIENCE)
            heard.sendall(zmtp.greeting("CURVE", as_server=True))
            while len(said) < 64 + 2 + 200:
                said += heard.recv(1000)
            heard.close()
    return said


def test_a_replayed_hello_keeps_nobody_out_through(gate, flood):
    """A valid HELLO on 500 connections of as many sources, and then nothing: each has the application's WELCOME, and the next move."""
    server_public, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    g = gate("router", options={"CURVE_SERVER": 1, "CURVE_SECRETKEY": server_secret.decode()},
             client_options={"CURVE_SERVERKEY": server_public, "CURVE_PUBLICKEY": public, "CURVE_SECRETKEY": secret})
    f = flood("bytes", g.endpoint, hex=recorded_hello(server_public), connections=600, sources=600, opens=100000)
    g.withstands(f, until=g.expects(50, "half_open_give_way"), rounds=100)
    assert g.weir.metric("weir_upstream_connects_total") > 300


def test_sixty_clients_return_at_once(gate, peers):
    """The twin: a restart of everybody behind one address, three times over."""
    g = gate("rep")
    for _ in range(3):
        clients = [peers.client(zmq.REQ, from_source("127.77.1.1", g.endpoint)) for _ in range(60)]
        for n, client in enumerate(clients):
            client.send(b"%d" % n)
        for n, client in enumerate(clients):
            assert client.recv() == b"%d" % n
            client.close()
    assert refusals(g.weir) == {}


def test_established_idle_connections_through(gate, flood):
    """More polite, idle connections of one source than the gate admits: they give way, newcomers do not."""
    g = gate("rep", config={"source": {"connections": {"rate": "5000/s", "burst": 2000}}})
    f = flood("messages", g.endpoint, connections=1200, each=0, every_ms=50000, chunk=16, size=1, opens=100000, rate=500)
    g.withstands(f, until=g.expects(100, "give_way", "table_full"), rounds=60)
    assert proc.fd_count(g.app.pid) < NOFILE


def served(peers, g):
    client = Requester(peers, g.app, g.endpoint, "127.77.3.1")
    client.exchange()
    return client


def test_who_was_served_stays_through(gate, flood, peers):
    """A thousand sources with one idle connection each: who was served behind one address keeps its connections, and newcomers come in."""
    g = gate("rep")
    clients = [served(peers, g) for _ in range(30)]
    f = flood("silent", g.endpoint, start="ready", connections=1000, sources=1000, opens=4000)
    g.withstands(f, until=g.expects(60, "give_way"))
    for client in clients:
        client.exchange()
        client.close()
    assert proc.fd_count(g.app.pid) < NOFILE


# Connect, handshake, send, close, and again: what was sent stays in the application's queues.
CHURN = {"connections": 50, "opens": 100000, "each": 50, "size": 1000, "end": "close"}


def test_churn_bare(bare, flood):
    app = bare("slow-rep")
    grown = grows_by(app, 256 * MIB)
    f = flood("requests", app.endpoint, **CHURN)
    grown()
    assert f.figures()["opened"] > 1000


def test_churn_through(gate, flood):
    """An operator who knows what the application works on at a time says so; from outside it cannot be seen of a ROUTER in a flood."""
    g = gate("router", config={"concurrency": {"max": 64}})
    f = flood("requests", g.endpoint, **CHURN)
    g.withstands(f, until=lambda: f.figures()["finished"] >= 200)


# The same against an application that is busy: libzmq does not look at a connection whose queue is full, so it does not see that it was
# closed, and its descriptor stays. Past the limit a bare application accepts nobody; one that listens on ipc aborts.
FULL = {"connections": 20, "opens": 100000, "each": 3000, "size": 10, "end": "close"}


def test_churn_of_full_queues_bare(bare, flood):
    app = bare("stuck-pull")
    f = flood("messages", app.endpoint, type="PUSH", **FULL)
    wait_until(lambda: proc.fd_count(app.pid) >= NOFILE - 2, "connections that are gone to hold all descriptors")
    assert f.figures()["open"] <= 20


def test_churn_of_full_queues_through(gate, flood):
    g = gate("slow-rep", work_ms=1)
    g.become_known()
    f = flood("requests", g.endpoint, **FULL)
    g.withstands(f, until=lambda: g.weir.metric("weir_connections_accepted_total") > 280, rounds=1)
    assert g.weir.metric("weir_upstream_lingering") < g.weir.metric("weir_connections_max")


# Connections made and dropped as fast as can be: I/O thread time for nothing.
STORMS = [pytest.param("silent", {"end": "reset"}, id="nothing"), pytest.param("bytes", {"hex": GREETING[:64], "end": "reset"}, id="greeting-and-gone"),
          pytest.param("bytes", {"hex": bytes(range(1, 200)), "end": "reset"}, id="garbage")]


@pytest.mark.parametrize("name,options", STORMS)
def test_connect_storm_bare(bare, flood, name, options):
    """Its backlog has room for all that come while it waits for its turn on a busy machine: who finds none comes a second later."""
    app = bare("rep", options={"BACKLOG": 4096})
    burnt = proc.cpu_seconds(app.pid)
    f = flood(name, app.endpoint, connections=200, opens=100000, rate=5000, **options)
    wait_until(lambda: proc.cpu_seconds(app.pid) - burnt > 0.2, "the application to burn CPU for strangers")
    assert f.figures()["opened"] > 500


@pytest.mark.parametrize("name,options", STORMS)
def test_connect_storm_through(gate, flood, name, options):
    g = gate("rep")
    upstream = g.weir.metric("weir_upstream_connects_total")
    f = flood(name, g.endpoint, connections=20, opens=100000, rate=2000, **options)
    g.withstands(f, until=g.expects(200, "handshake_abandoned", "bad_greeting", "old_version"))
    assert g.weir.metric("weir_upstream_connects_total") - upstream <= g.customers.newcomers + 1, "strangers reached the application"


# What is not ZMTP 3 at all. libzmq takes what does not begin with FF for ZMTP 1.0: the length of a frame, and so on.
HTTP = b"GET /" + b"x" * 500 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + bytes(160)
ZMTP_1 = b"\x01\x00" + b"\x06\x00hello"
GARBAGE = [pytest.param(HTTP, "bad_greeting", id="http"), pytest.param(TLS_HELLO, "bad_greeting", id="tls"), pytest.param(ZMTP_1, "old_version", id="zmtp1"),
           pytest.param(b"\xff" + bytes(range(1, 255)), "bad_greeting", id="bytes"),
           pytest.param(GREETING[:10] + b"\x00" + GREETING[11:], "old_version", id="revision-0"),
           pytest.param(GREETING[:10] + b"\x03\x01NULL\x00XXX" + bytes(52), "wrong_mechanism", id="mechanism")]


@pytest.mark.parametrize("data", [pytest.param(HTTP, id="http"), pytest.param(ZMTP_1, id="zmtp1")])
def test_garbage_is_a_message_bare(bare, data):
    """A port scanner's words end in the application's queue, as messages."""
    app = bare("pull")
    with raw_connect(app.endpoint) as s:
        s.sendall(data)
        wait_until(lambda: app.stats()["messages"] > 0, "garbage to arrive as a message")


@pytest.mark.parametrize("data,verdict", GARBAGE)
def test_garbage_through(gate, flood, data, verdict):
    g = gate("pull")
    f = flood("bytes", g.endpoint, hex=data, connections=20, opens=100000)
    g.withstands(f, until=g.expects(100, "bad_greeting", "old_version", "wrong_mechanism"))
    assert g.app.stats()["messages"] == g.customers.regular.count + g.customers.newcomers
    assert verdict in refusals(g.weir)


def test_zmtp2_bare(bare):
    app = bare("pull")
    peer = zmtp.RawPeer2(raw_connect(app.endpoint), socket_type="PUSH").handshake()
    peer.send(b"from the past")
    wait_until(lambda: app.stats()["messages"] == 1, "a ZMTP 2.0 message")


def test_zmtp2_through(gate):
    g = gate("pull")
    before = g.app.stats()["messages"]
    peer = zmtp.RawPeer2(raw_connect(g.endpoint), socket_type="PUSH").handshake()
    peer.send(b"from the past")
    wait_until(lambda: g.app.stats()["messages"] > before, "a ZMTP 2.0 message")
    assert refusals(g.weir) == {}


def test_zmtp2_that_is_not_allowed_through(gate):
    g = gate("pull", config={"zmtp2": False})
    with g.survives():
        for i in range(10):
            raw_connect(g.endpoint).sendall(zmtp.SIGNATURE + b"\x01\x08")
            wait_until(g.expects(i + 1, "old_version"), "old_version to be counted")


# What ZMTP forbids after the handshake. libzmq 4.3.4 lets all of these pass.
FORBIDDEN = [pytest.param(b"\x08\x05hello", "reserved_flags", id="reserved-bit-3"), pytest.param(b"\x80\x05hello", "reserved_flags", id="reserved-bit-7"),
             pytest.param(b"\x05\x07\x04PING\x00\x00", "more_on_command", id="more-on-command"),
             pytest.param(b"\x04\x06\x04PING\x00", "bad_ping", id="short-ping"),
             pytest.param(zmtp.command("PING", b"\0\0" + bytes(17)), "bad_ping", id="long-ping"),
             pytest.param(zmtp.command("PONG", bytes(17)), "bad_ping", id="long-pong"),
             pytest.param(b"\x01\x01a" + zmtp.command("READY"), "handshake_order", id="ready-inside-a-message"),
             pytest.param(b"\x02" + b"\xff" * 8, "bad_frame_size", id="size-2^64-1"), pytest.param(b"\x04\x00", "bad_command", id="empty-command"),
             pytest.param(b"\x04\x05\x09PING", "bad_command", id="name-too-long"),
             pytest.param(zmtp.command("READY", zmtp.properties(("Socket-Type", "DEALER"))), "handshake_order", id="second-ready"),
             pytest.param(zmtp.command("NOTHING", b"at all"), "unknown_command", id="unknown"),
             pytest.param(zmtp.command("SUBSCRIBE", b"topic"), "not_a_subscriber", id="subscribe-to-a-router")]


@pytest.mark.parametrize("data", [pytest.param(b"\x08\x05hello", id="bit-3"), pytest.param(b"\x80\x05hello", id="bit-7")])
def test_reserved_flags_bare(bare, data):
    app = bare("router")
    peer = zmtp.connect(app.endpoint)
    peer.send_raw(data)
    wait_until(lambda: app.stats()["messages"] == 1, "a frame with reserved flags to arrive")


def test_unknown_command_bare(bare):
    """Unknown commands are swallowed for ever; the connection stays."""
    app = bare("router")
    peer = zmtp.connect(app.endpoint)
    for _ in range(1000):
        peer.send_command("NOTHING", b"at all")
    peer.send(b"still here")
    assert peer.recv() == [b"still here"]


@pytest.mark.parametrize("data,verdict", FORBIDDEN)
def test_forbidden_frames_through(gate, flood, data, verdict):
    """Each costs the connection, and the application sees none of it."""
    g = gate("router")
    f = flood("bytes", g.endpoint, start="ready", hex=data, connections=10, opens=100000)
    g.withstands(f, until=g.expects(30, verdict))
    assert g.app.stats()["messages"] == g.customers.regular.count + g.customers.newcomers


# The handshake's own mistakes.
def ready(*pairs):
    return zmtp.command("READY", zmtp.properties(*pairs))


BAD_READY = [pytest.param(b"\x04\x05\x05READ", "bad_command", id="cut-name"),
             pytest.param(ready(("Socket-Type", "DEALER"))[:-3], "handshake_timeout", id="cut-short"),
             pytest.param(zmtp.command("READY", b"\x0bSocket-Type\x7f\xff\xff\xffDEALER"), "bad_metadata", id="value-too-long"),
             pytest.param(ready(("", "x")), "bad_metadata", id="empty-name"), pytest.param(ready(("X-Other", "1")), "wrong_socket_type", id="no-socket-type"),
             pytest.param(ready(("Socket-Type", "SUB")), "wrong_socket_type", id="wrong-type"),
             pytest.param(ready(("Socket-Type", "NONSENSE")), "wrong_socket_type", id="no-such-type"),
             pytest.param(zmtp.command("INITIATE", b""), "handshake_order", id="initiate-first"),
             pytest.param(zmtp.message(b"hello"), "handshake_order", id="message-first"),
             pytest.param(ready(("Socket-Type", "DEALER"), *((f"X-{n}", bytes(200)) for n in range(60))), "handshake_too_large", id="12-kB"),
             pytest.param(ready(("Socket-Type", "DEALER"), ("Identity", b"\0four")), "reserved_routing_id", id="reserved-routing-id"),
             pytest.param(ready(("Socket-Type", "DEALER"), ("Identity", b"x" * 256)), "bad_routing_id", id="long-routing-id")]


@pytest.mark.parametrize("data,verdict", BAD_READY)
def test_bad_ready_through(gate, flood, data, verdict):
    g = gate("router", config={"handshake": {"within": "1s"}})
    upstream = g.weir.metric("weir_upstream_connects_total")
    f = flood("bytes", g.endpoint, start="greeted", hex=data, connections=10, opens=100000)
    g.withstands(f, until=g.expects(30, verdict))
    assert g.weir.metric("weir_upstream_connects_total") - upstream <= g.customers.newcomers + 1, "strangers reached the application"


# Two clients, one routing id: libzmq parks the second in silence.
def test_duplicate_routing_id_bare(bare, peers):
    app = bare("router")
    first, second = (peers.client(zmq.DEALER, app.endpoint, ROUTING_ID=b"same") for _ in range(2))
    for client in (first, second):
        client.send(b"who am I?")
    wait_until(lambda: app.stats()["messages"] >= 1, "one of them to be heard")
    wait_until(lambda: first.poll(50) or second.poll(50), "one of them to be answered")
    assert not (first.poll(500) and second.poll(500))


def test_duplicate_routing_id_through(gate, peers):
    g = gate("router")
    with g.survives():
        first = peers.client(zmq.DEALER, from_source("127.77.2.1", g.endpoint), ROUTING_ID=b"same")
        first.send(b"mine")
        assert first.recv() == b"mine"
        second = zmtp.RawPeer(raw_connect(g.endpoint), identity=b"same")
        with pytest.raises((zmtp.Closed, OSError)):
            second.handshake().read(1)
        wait_until(g.expects(1, "duplicate_routing_id"), "duplicate_routing_id to be counted")
        first.send(b"still mine")
        assert first.recv() == b"still mine"
        first.close()


def test_a_returning_routing_id_is_no_duplicate(gate, peers):
    """The twin: a client that comes back under its own name, fifty times."""
    g = gate("router")
    for n in range(50):
        client = peers.client(zmq.DEALER, from_source("127.77.2.1", g.endpoint), ROUTING_ID=b"myself")
        client.send(b"%d" % n)
        assert client.recv() == b"%d" % n
        client.close()
        g.weir.wait_metric("weir_connections", lambda count: count == 1)
    assert refusals(g.weir) == {}

# SPDX-License-Identifier: MPL-2.0
"""From a client's first byte to its first message: what Weir learns of an application, and what happens when that changes."""
import queue
import socket
import threading
import time

import pytest
import zmq
from harness import net, zmtp
from harness.security import PASSWORD, USER
from zmq.auth.thread import ThreadAuthenticator


def gate(start_weir, forward, **keys):
    return start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, **keys}]})


# ---- what comes behind READY ----

class PausedAuthenticator:
    """A ZAP handler that lets everybody in, and holds Weir up from before the answer until `resume` is set: READY and whatever the
    application says behind it are there together when Weir reads on."""

    def __init__(self, ctx, weir):
        self.resume = threading.Event()
        self.weir = weir
        self.socket = ctx.socket(zmq.REP)
        self.socket.bind("inproc://zeromq.zap.01")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self.socket:
            request = self.socket.recv_multipart()
            self.weir.suspend()
            self.socket.send_multipart([request[0], request[1], b"200", b"OK", b"user", b""])
            self.resume.wait(net.PATIENCE)
            self.weir.resume()


def test_a_backlog_that_comes_with_ready(start_weir, peers, paths):
    """Large messages of an application that had them ready: none is lost, and the application has done nothing wrong. With CURVE, since
    its READY needs no word of the client's after the authenticator's answer."""
    forward = paths.ipc()
    (server_key, server_secret), (key, secret) = zmq.curve_keypair(), zmq.curve_keypair()
    weir = gate(start_weir, forward)
    zap = PausedAuthenticator(peers.app_ctx, weir)
    app = peers.app(zmq.PUSH, forward, CURVE_SERVER=1, CURVE_SECRETKEY=server_secret)
    client = peers.client(zmq.PULL, weir.endpoint, CURVE_SERVERKEY=server_key, CURVE_PUBLICKEY=key, CURVE_SECRETKEY=secret)
    wanted = [b"%d" % i + bytes(200_000) for i in range(20)]
    for message in wanted:
        app.send(message)
    time.sleep(0.2)  # libzmq's thread fills the socket meanwhile
    zap.resume.set()
    assert [client.recv() for _ in wanted] == wanted
    assert weir.metric("weir_verdicts_total", verdict="application_protocol") == 0
    assert weir.metric("weir_connections_closed_total") == 0


# ---- an application that comes back as another ----

def test_an_application_comes_back_as_another_socket_type(start_weir, start_app, peers, paths):
    """Restart it as you like: its new clients are served, and nobody is punished for not fitting what was there before."""
    forward = paths.ipc()
    weir = gate(start_weir, forward)
    for kind, client_kind in (("router", zmq.DEALER), ("pub", zmq.SUB), ("rep", zmq.REQ), ("pull", zmq.PUSH), ("router", zmq.DEALER)):
        app = start_app(kind, forward)
        options = {"SUBSCRIBE": b"news"} if kind == "pub" else {}
        clients = [peers.client(client_kind, weir.endpoint, RECONNECT_IVL=50, **options) for _ in range(3)]
        for client in clients:
            if kind == "pub":
                net.wait_until(lambda c=client: app.ask("publish news 1 10") and c.poll(50), "what is published")
                continue
            client.send(b"hello")
            assert kind == "pull" or client.recv() == b"hello"
        if kind == "pull":
            net.wait_until(lambda a=app: a.stats()["messages"] == 3, "all that was pushed")
        for client in clients:
            client.close()
        app.kill()
    assert weir.metric("weir_verdicts_total", verdict="banned") == 0


# ---- looking must not touch ----

@pytest.fixture
def passwords(peers):
    """PLAIN servers in either context know the password, and CURVE servers let everybody in."""
    authenticators = [ThreadAuthenticator(ctx) for ctx in (peers.client_ctx, peers.app_ctx)]
    for auth in authenticators:
        auth.start()
        auth.configure_plain(domain="*", passwords={USER.decode(): PASSWORD.decode()})
        auth.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
    yield
    for auth in authenticators:
        auth.stop()


def call(client, app):
    """One request and its answer; the application echoes."""
    client.send(b"hello")
    frames = app.recv_multipart()
    assert frames[-1] == b"hello"
    app.send_multipart(frames)
    assert client.recv() == b"hello"


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN", "CURVE"])
def test_a_monitor_sees_clients_only(mechanism, transport, start_weir, peers, passwords, paths):
    """The application's socket monitor sees behind the gate what it sees without: no connection but the clients'."""
    seen = []
    for bare in (True, False):
        forward = paths.ipc() if transport == "ipc" else net.tcp()
        app = peers.app(zmq.REP)
        if mechanism == "PLAIN":
            app.PLAIN_SERVER = 1
        if mechanism == "CURVE":
            server_key, app.CURVE_SECRETKEY = zmq.curve_keypair()
            app.CURVE_SERVER = 1
        monitor = peers.monitor(app)
        app.bind(forward)
        endpoint = forward if bare else gate(start_weir, forward).endpoint
        for n in range(3):
            client = peers.client(zmq.REQ)
            if mechanism == "PLAIN":
                client.PLAIN_USERNAME, client.PLAIN_PASSWORD = USER, PASSWORD
            if mechanism == "CURVE":
                client.CURVE_SERVERKEY = server_key
                client.CURVE_PUBLICKEY, client.CURVE_SECRETKEY = zmq.curve_keypair()
            client.connect(endpoint)
            call(client, app)
            client.close()
            monitor.wait("DISCONNECTED", count=n + 1)
        seen.append(sorted(monitor.events))
    assert seen[0] == seen[1]
    assert seen[1].count("ACCEPTED") == seen[1].count("HANDSHAKE_SUCCEEDED") == seen[1].count("DISCONNECTED") == 3


class SendsAtAccept:
    """A PUSH application that gives each connection its share as soon as it is accepted, as libzmq did before 4.3.3 and JeroMQ and NetMQ
    do: what was given to a connection that ends is lost."""

    def __init__(self, messages, share=1000):
        self.messages = queue.Queue()
        for i in range(messages):
            self.messages.put(b"%d" % i)
        self.share = share
        self.lost = self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            conn.settimeout(net.PATIENCE)
            self.connections += 1
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        queued = []
        while len(queued) < self.share and not self.messages.empty():
            queued.append(self.messages.get_nowait())
        try:
            peer = zmtp.RawPeer(conn, socket_type="PUSH").handshake()
            while queued:
                peer.send(queued[0])
                queued.pop(0)
                if not queued and not self.messages.empty():
                    queued.append(self.messages.get_nowait())
            peer.closed_by_peer()
        except (zmtp.Closed, OSError):
            self.lost += len(queued)
        conn.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_no_message_goes_to_a_connection_that_is_no_clients(start_weir, peers):
    """All messages of an application that has a queue for whoever it accepts reach its client."""
    app = SendsAtAccept(5000)
    weir = gate(start_weir, app.endpoint)
    client = peers.client(zmq.PULL, weir.endpoint)
    assert [int(client.recv()) for _ in range(5000)] == list(range(5000))
    assert (app.connections, app.lost) == (1, 0)
    app.close()


def test_nor_when_the_client_comes_again(start_weir, peers):
    """Each connection of the client is one of the application's, and no more."""
    app = SendsAtAccept(0)
    weir = gate(start_weir, app.endpoint)
    for n in range(1, 6):
        client = peers.client(zmq.PULL, weir.endpoint)
        weir.wait_metric("weir_connections_established_total", n)
        client.close()
        weir.wait_metric("weir_connections", lambda open_now: open_now == 0)
    assert app.connections == 5
    app.close()


def test_strangers_cost_the_application_nothing(start_weir, peers):
    """Whoever sends no ZMTP greeting, or nothing at all, and no client at all."""
    app = SendsAtAccept(0)
    weir = gate(start_weir, app.endpoint)
    strangers = [net.raw_connect(weir.endpoint, f"127.0.0.{9 + i}") for i in range(4)]
    for stranger, words in zip(strangers, (b"", b"GET / HTTP/1.0\r\n\r\n", zmtp.SIGNATURE, b"\x16\x03\x01")):
        stranger.sendall(words)
    weir.wait_metric("weir_verdicts_total", 2, verdict="bad_greeting")
    assert app.connections == 0
    client = peers.client(zmq.PULL, weir.endpoint)
    weir.wait_metric("weir_connections_established_total", 1)
    assert app.connections == 1
    client.close()
    app.close()


def test_one_asks_for_all(start_weir, peers, paths):
    """While the application is away hundreds of clients ask no more often than one."""
    weir = gate(start_weir, paths.ipc(), **{"source": {"connections": {"rate": "unlimited"}}})
    clients = [peers.client(zmq.DEALER, weir.endpoint) for _ in range(100)]
    weir.wait_metric("weir_connections", 100)
    before = weir.metric("weir_upstream_connect_failures_total")
    time.sleep(2)
    assert weir.metric("weir_upstream_connect_failures_total") - before <= 10
    for client in clients:
        client.close()


def test_a_client_that_stalls_keeps_nobody_waiting(start_weir, peers, paths):
    """The first has said its version, and then nothing more."""
    forward = paths.ipc()
    app = peers.app(zmq.REP, forward)
    weir = gate(start_weir, forward)
    stalled = net.raw_connect(weir.endpoint)
    stalled.sendall(zmtp.SIGNATURE + b"\x03")
    weir.wait_metric("weir_upstream_connects_total", 1)
    for _ in range(3):
        client = peers.client(zmq.REQ, weir.endpoint)
        call(client, app)
        client.close()
    weir.wait_metric("weir_connections", lambda open_now: open_now == 1)
    stalled.close()


# ---- an application that takes its time ----

class SlowAuthenticator:
    """A ZAP handler that thinks before it lets anybody in, and counts who asks."""

    def __init__(self, ctx, seconds):
        self.asked = 0
        self.seconds = seconds
        self.over = threading.Event()
        self.socket = ctx.socket(zmq.REP)
        self.socket.bind("inproc://zeromq.zap.01")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with self.socket:
            while not self.over.is_set():
                if not self.socket.poll(50):
                    continue
                request = self.socket.recv_multipart()
                self.asked += 1
                self.over.wait(self.seconds)
                self.socket.send_multipart([request[0], request[1], b"200", b"OK", b"user", b""])

    def close(self):
        self.over.set()
        self.thread.join()


def test_an_authenticator_that_takes_its_time(start_weir, peers, paths):
    """It is waited for as libzmq does, beyond what the client has for its own words; and asked once."""
    forward = paths.ipc()
    zap = SlowAuthenticator(peers.app_ctx, 3)
    app = peers.app(zmq.REP, forward, PLAIN_SERVER=1)
    weir = gate(start_weir, forward, handshake={"within": "1s"})
    client = peers.client(zmq.REQ, weir.endpoint, PLAIN_USERNAME=b"u", PLAIN_PASSWORD=b"p")
    try:
        call(client, app)
        assert zap.asked == 1
    finally:
        zap.close()
    assert weir.metric("weir_connections_closed_total") == 0
    assert "cannot be reached" not in weir.stderr()


# ---- who is the server of the mechanism ----

@pytest.mark.parametrize("mechanism", ["PLAIN", "CURVE"])
def test_the_application_may_be_the_mechanisms_client(mechanism, start_weir, peers, passwords, paths):
    """Who binds and who is the server are two things: here the application knows the key, and those who connect ask for it. libzmq says
    as-server 0 on both sides."""
    forward = paths.ipc()
    if mechanism == "PLAIN":
        app_options, client_options = {"PLAIN_USERNAME": USER, "PLAIN_PASSWORD": PASSWORD}, {"PLAIN_SERVER": 1}
    else:
        (server_key, server_secret), (key, secret) = zmq.curve_keypair(), zmq.curve_keypair()
        app_options = {"CURVE_SERVERKEY": server_key, "CURVE_PUBLICKEY": key, "CURVE_SECRETKEY": secret}
        client_options = {"CURVE_SERVER": 1, "CURVE_SECRETKEY": server_secret}
    app = peers.app(zmq.ROUTER, forward, **app_options)
    weir = gate(start_weir, forward)
    clients = []
    for _ in range(4):
        client = peers.client(zmq.DEALER, weir.endpoint, **client_options)
        call(client, app)
        clients.append(client)
    assert weir.metric("weir_connections_closed_total") == 0


def test_the_roles_may_change(start_weir, start_app, peers, passwords, paths):
    """The application was the mechanism's server, and comes back as its client."""
    forward = paths.ipc()
    weir = gate(start_weir, forward)
    server, knows = {"PLAIN_SERVER": 1}, {"PLAIN_USERNAME": USER, "PLAIN_PASSWORD": PASSWORD}
    for app_options, client_options in ((server, knows), (knows, server), (server, knows)):
        options = {name: value if isinstance(value, int) else value.decode() for name, value in app_options.items()}
        app = start_app("router", forward, options=options, zap={"plain": {USER.decode(): PASSWORD.decode()}})
        client = peers.client(zmq.DEALER, weir.endpoint, RECONNECT_IVL=20, **client_options)
        client.send(b"hello")
        assert client.recv() == b"hello"
        client.close()
        app.kill()


def test_who_says_no_hello_costs_a_known_application_nothing(start_weir, peers, passwords, paths):
    forward = paths.ipc()
    app = peers.app(zmq.REP, forward, PLAIN_SERVER=1)
    weir = gate(start_weir, forward)
    client = peers.client(zmq.REQ, weir.endpoint, PLAIN_USERNAME=USER, PLAIN_PASSWORD=PASSWORD)
    call(client, app)
    strangers = [zmtp.RawPeer(net.raw_connect(weir.endpoint), mechanism="PLAIN") for _ in range(5)]
    for stranger in strangers:
        stranger.exchange_greetings()
    assert weir.metric("weir_upstream_connects_total") == 1

# SPDX-License-Identifier: MPL-2.0
"""Restarts, deaths in the middle, and half-closed connections: nobody needs to be touched, nothing half gets through."""
import signal
import threading

import pytest
import zmq
from harness import net, zmtp


class Caller:
    """A client that keeps calling until the answer to its latest call comes; what is lost in a restart is its business."""

    def __init__(self, peers, endpoint, name):
        self.socket = peers.client(zmq.DEALER, endpoint, ROUTING_ID=name, RECONNECT_IVL=20, RECONNECT_IVL_MAX=100)
        self.calls = 0

    def works(self):
        def called():
            self.calls += 1
            self.socket.send(b"%d" % self.calls, zmq.NOBLOCK)
            while self.socket.poll(200):
                if self.socket.recv() == b"%d" % self.calls:
                    return True
            return False

        net.wait_until(called, "traffic to resume")
        return True


@pytest.fixture(params=["ipc", "tcp"])
def forward(request, paths):
    return paths.ipc() if request.param == "ipc" else net.tcp()


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_application_restarts_under_live_clients(how, forward, start_weir, start_app, peers):
    app = start_app("router", forward)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    callers = [Caller(peers, weir.endpoint, b"caller-%d" % i) for i in range(5)]
    for _ in range(3):
        assert all(caller.works() for caller in callers)
        app.signal(getattr(signal, how))
        app.wait()
        app = start_app("router", forward)
    assert all(caller.works() for caller in callers)
    weir.wait_metric("weir_connections", lambda n: n == 5)


def test_application_restarts_with_another_mechanism(start_weir, start_app, peers, paths):
    """Weir learns the new greeting; clients that fit it work."""
    forward = paths.ipc()
    app = start_app("router", forward)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    Caller(peers, weir.endpoint, b"one").works()
    app.kill()
    start_app("router", forward, options={"PLAIN_SERVER": 1}, zap={"plain": {"u": "p"}})
    client = peers.client(zmq.DEALER, weir.endpoint, PLAIN_USERNAME=b"u", PLAIN_PASSWORD=b"p", RECONNECT_IVL=50)
    client.send(b"hello")
    assert client.recv() == b"hello"


def test_application_starts_after_weir_and_after_its_clients(forward, start_weir, start_app, peers):
    """What libzmq has queued for a connection that is not there yet arrives, in order."""
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    clients = [peers.client(zmq.DEALER, weir.endpoint, RECONNECT_IVL=50, RECONNECT_IVL_MAX=200) for _ in range(5)]
    for client in clients:
        for i in range(100):
            client.send(b"%d" % i)
    weir.wait_metric("weir_connections_accepted_total", 5)
    start_app("router", forward)
    for client in clients:
        assert [int(client.recv()) for _ in range(100)] == list(range(100))


def test_weir_restarts(start_weir, start_app, peers, paths):
    app, listen = start_app("router", paths.ipc()), net.tcp()
    weir = start_weir(listen=listen, forward=app.endpoint)
    callers = [Caller(peers, listen, b"caller-%d" % i) for i in range(5)]
    for how in ("stop", "kill", "stop"):
        assert all(caller.works() for caller in callers)
        if how == "kill":
            weir.expected_exit = -signal.SIGKILL
        getattr(weir, how)()
        weir = start_weir(listen=listen, forward=app.endpoint)
    assert all(caller.works() for caller in callers)


@pytest.mark.parametrize("size, end", [(1000, "close"), (60000, "reset"), (70000, "close"), (3 << 20, "close"), (3 << 20, "reset")])
def test_client_dies_in_the_middle_of_a_message(size, end, forward, start_weir, start_app):
    """Held or streaming: no part of it reaches the application, and others go on."""
    app = start_app("pull", forward)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    victim = zmtp.connect(weir.endpoint, socket_type="PUSH")
    victim.send(b"whole")
    received = weir.metric("weir_received_bytes_total", direction="in")
    part = zmtp.frame(b"first", more=True) + zmtp.frame_header(size) + bytes(size - 10)
    victim.send_raw(part)
    weir.wait_metric("weir_received_bytes_total", received + len(part), direction="in")
    getattr(victim, end)()
    weir.wait_metric("weir_connections", lambda n: n == 0)
    other = zmtp.connect(weir.endpoint, socket_type="PUSH")
    other.send(b"other", b"")
    net.wait_until(lambda: app.stats()["messages"] == 2, "the message of the other client")
    stats = app.stats()
    assert stats["bytes"] == len(b"whole" + b"other")
    assert weir.metric("weir_unfinished_bytes") == 0 and weir.metric("weir_held_bytes") == 0


def test_application_dies_in_the_middle_of_a_clients_message(forward, start_weir, start_app):
    """The client is told by the end of its connection, so that its libzmq sends what comes next to the new application."""
    app = start_app("pull", forward)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    client = zmtp.connect(weir.endpoint, socket_type="PUSH")
    client.send_raw(zmtp.frame_header(8 << 20) + bytes(1 << 20))
    weir.wait_metric("weir_sent_bytes_total", 1 << 20, direction="in")
    app.kill()
    assert client.closed_by_peer()
    app = start_app("pull", forward)
    again = zmtp.connect(weir.endpoint, socket_type="PUSH")
    again.send(b"x" * (2 << 20))
    net.wait_until(lambda: app.stats()["messages"] == 1, "the message to the new application")
    assert app.stats()["bytes"] == 2 << 20


def test_application_dies_in_the_middle_of_its_message(start_weir):
    """The client receives the whole messages and then the end."""
    app = zmtp.RawApp(socket_type="PUSH")
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    client = zmtp.connect(weir.endpoint, socket_type="PULL")
    source = app.next()
    source.send(b"whole", b"message")
    source.send_raw(zmtp.frame(b"part", more=True) + zmtp.frame_header(5 << 20) + bytes(2 << 20))
    assert client.recv() == [b"whole", b"message"]
    source.close()
    with pytest.raises((zmtp.Closed, ConnectionError)):
        client.recv()
    app.close()


def test_application_crash_never_shows_libzmq_clients_a_part(start_weir, start_app, peers, paths):
    """A PULL client of a PUSH application that is killed at full speed over and over sees whole messages only."""
    forward = paths.ipc()
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    pull = peers.client(zmq.PULL, weir.endpoint, RECONNECT_IVL=20)
    for _ in range(4):
        app = start_app("push", forward, options={"SNDHWM": 0})
        threading.Timer(0, lambda a=app: a.process.stdin.write("push 400 200000\n")).start()
        for _ in range(20):
            number, body = pull.recv_multipart()
            assert len(body) == 200000 and number.isdigit()
        app.kill()
        while pull.poll(300):
            number, body = pull.recv_multipart()
            assert len(body) == 200000 and number.isdigit()


def test_half_close_is_passed_on(start_weir, start_app, peers, paths):
    """The application sees the end of the connection as it would without Weir, behind everything that the client has said before it."""
    endpoint = paths.ipc()
    pull = peers.app(zmq.PULL, endpoint)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=endpoint)
    client = zmtp.connect(weir.endpoint, socket_type="PUSH")
    for i in range(200):
        client.send(b"%d" % i, b"x" * 5000)
    client.half_close()
    for i in range(200):
        assert pull.recv_multipart() == [b"%d" % i, b"x" * 5000]
    assert client.closed_by_peer()
    weir.wait_metric("weir_connections", lambda n: n == 0)


def test_half_open_strangers_do_not_stay(start_weir, start_app, paths):
    """A client that half-closes before its handshake is done has nothing to wait for."""
    app = start_app("router", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    stranger = zmtp.RawPeer(net.raw_connect(weir.endpoint))
    stranger.exchange_greetings()
    stranger.half_close()
    assert stranger.closed_by_peer()
    weir.wait_metric("weir_connections", lambda n: n == 0)

# SPDX-License-Identifier: MPL-2.0
"""The circuit breaker: an application that fails again and again is left alone for a while, a healthy or slow one is not."""
import time

import pytest
import zmq
from harness import net, zmtp

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


def config(forward, socket="router", **breaker):
    gate = {"listen": "tcp://127.0.0.1:*", "forward": forward, "socket": socket}
    if breaker:
        gate["breaker"] = breaker
    return {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, "gates": [gate]}


def refused(weir):
    return weir.metric("weir_verdicts_total", verdict="breaker_open")


def answers(client, body=b"hello"):
    client.send(body)
    return client.recv() == body


@pytest.fixture(params=["ipc", "tcp"])
def forward(request, paths):
    return paths.ipc() if request.param == "ipc" else net.tcp()


def test_refuse_while_the_application_is_away(forward, start_weir, start_app, peers):
    """Killed, open, half-open, closed: newcomers are closed at once meanwhile, and everybody works again afterwards."""
    app = start_app("router", forward)
    weir = start_weir(config=config(forward, failures=3, open="refuse"))
    client = peers.client(zmq.DEALER, weir.endpoint, RECONNECT_IVL=50, RECONNECT_IVL_MAX=200)
    assert answers(client)
    assert weir.metric("weir_breaker_state") == CLOSED
    app.kill()
    weir.wait_metric("weir_breaker_state", OPEN)
    assert weir.metric("weir_breaker_opened_total") >= 1
    before = refused(weir)

    def a_newcomer_is_refused():
        newcomer = net.raw_connect(weir.endpoint)
        newcomer.settimeout(1)
        try:
            return newcomer.recv(64) == b"" and refused(weir) > before
        except ConnectionResetError:
            return refused(weir) > before
        except TimeoutError:  # between two open times
            return False
        finally:
            newcomer.close()

    net.wait_until(a_newcomer_is_refused, "a newcomer to be refused")
    net.wait_until(lambda: "circuit breaker open" in weir.stderr(), "the line that says so")
    start_app("router", forward)
    # the client comes back by itself and is the trial
    weir.wait_metric("weir_breaker_state", lambda state: state == CLOSED)
    others = [peers.client(zmq.DEALER, weir.endpoint, RECONNECT_IVL=50) for _ in range(5)]
    assert all(answers(other) for other in others)
    weir.wait_metric("weir_connections", lambda n: n == 6)
    net.wait_until(lambda: "circuit breaker closed" in weir.stderr(), "the line that says so")


def test_pause_by_default(forward, start_weir, start_app, peers):
    """The breaker opens, and those who wait are served when the application is there."""
    weir = start_weir(config={**config(forward), "workers": 2})
    clients = [peers.client(zmq.DEALER, weir.endpoint, RECONNECT_IVL=50) for _ in range(5)]
    for client in clients:
        client.send(b"waits")
    weir.wait_metric("weir_breaker_state", OPEN)
    assert refused(weir) == 0
    start_app("router", forward)
    assert [client.recv() for client in clients] == [b"waits"] * 5
    weir.wait_metric("weir_breaker_state", lambda state: state == CLOSED)
    assert refused(weir) == 0


def test_an_application_that_ends_handshakes(start_weir):
    """One that greets and hangs up on every client opens the breaker; one that works closes it."""

    class HangsUp(zmtp.RawPeer):
        broken = True

        def handshake(self):
            if not HangsUp.broken:
                return super().handshake()
            self.exchange_greetings()
            raise zmtp.Closed("hangs up")

    app = zmtp.RawApp(peer=HangsUp, socket_type="ROUTER")
    weir = start_weir(config=config(app.endpoint, failures=3))

    def come():
        newcomer = zmtp.RawPeer(net.raw_connect(weir.endpoint), socket_type="DEALER")
        try:
            newcomer.handshake()
            return True
        except (zmtp.Closed, OSError):
            return False
        finally:
            newcomer.close()

    for _ in range(3):
        assert not come()
    weir.wait_metric("weir_breaker_opened_total", 1)
    HangsUp.broken = False
    net.wait_until(come, "a trial to succeed")
    weir.wait_metric("weir_breaker_state", lambda state: state == CLOSED)
    app.close()


def test_a_healthy_application_never_opens_it(forward, start_weir, start_app, peers):
    """Busy, with clients that come and go, and strangers of every kind."""
    start_app("router", forward)
    weir = start_weir(config=config(forward, failures=1, stall="1s", open="refuse"))
    steady = [peers.client(zmq.DEALER, weir.endpoint) for _ in range(5)]
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for client in steady:
            for _ in range(50):
                client.send(b"x" * 1000)
        passing = peers.client(zmq.DEALER, weir.endpoint)
        assert answers(passing)
        passing.close()
        stranger = net.raw_connect(weir.endpoint, "127.0.0.9")  # so many from one address get it banned
        stranger.send(b"GET / HTTP/1.0\r\n\r\n")
        stranger.close()
        for client in steady:
            for _ in range(50):
                assert client.recv() == b"x" * 1000
    assert weir.metric("weir_breaker_opened_total") == 0


def test_wrong_passwords_do_not_open_it(start_weir, start_app, peers, paths):
    forward = paths.ipc()
    start_app("router", forward, options={"PLAIN_SERVER": 1}, zap={"plain": {"u": "p"}})
    weir = start_weir(config=config(forward, failures=2, open="refuse"))
    for _ in range(10):
        guesser = zmtp.RawPeer(net.raw_connect(weir.endpoint), socket_type="DEALER", mechanism="PLAIN", user=b"u", password=b"wrong")
        with pytest.raises((AssertionError, zmtp.Closed, ConnectionError)):  # ERROR, or the end
            guesser.handshake()
        assert guesser.closed_by_peer()
        guesser.close()
    assert weir.metric("weir_breaker_opened_total") == 0
    good = peers.client(zmq.DEALER, weir.endpoint, PLAIN_USERNAME=b"u", PLAIN_PASSWORD=b"p")
    assert answers(good)


def flood_until_blocked(weir, client):
    for _ in range(100000):
        try:
            client.send(b"x" * 20000, zmq.NOBLOCK)
        except zmq.Again:
            if weir.metric("weir_connections_blocked", direction="in"):
                return
            time.sleep(0.02)


def test_a_slow_application_is_let_be_by_default(start_weir, peers, paths):
    """A PULL that stands still for three seconds, with clients waiting for it."""
    forward = paths.ipc()
    app = peers.app(zmq.PULL, forward, RCVHWM=10)
    weir = start_weir(config=config(forward, socket="pull"))
    client = peers.client(zmq.PUSH, weir.endpoint, SNDHWM=10)
    flood_until_blocked(weir, client)
    time.sleep(3)
    assert weir.metric("weir_breaker_opened_total") == 0
    newcomer = peers.client(zmq.PUSH, weir.endpoint)
    newcomer.send(b"new")
    net.wait_until(lambda: app.recv() == b"new", "the newcomer's message")
    assert weir.metric("weir_breaker_opened_total") == 0


def test_a_stall_opens_it_where_that_is_wanted(start_weir, peers, paths):
    """The first byte that the application takes again closes it."""
    forward = paths.ipc()
    app = peers.app(zmq.PULL, forward, RCVHWM=10)
    weir = start_weir(config=config(forward, socket="pull", stall="1s", open="refuse"))
    client = peers.client(zmq.PUSH, weir.endpoint, SNDHWM=10)
    flood_until_blocked(weir, client)
    weir.wait_metric("weir_breaker_opened_total", 1)
    assert weir.metric("weir_connections") == 1
    while app.poll(1000):
        app.recv()
    weir.wait_metric("weir_breaker_state", lambda state: state == CLOSED)
    newcomer = peers.client(zmq.PUSH, weir.endpoint, RECONNECT_IVL=50)
    newcomer.send(b"new")
    assert app.recv() == b"new"

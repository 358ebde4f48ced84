# SPDX-License-Identifier: MPL-2.0
"""An application with libweir's pool, a process of its own with real peers: patterns, overload, and a flood of costly requests, with no gate and with Weir in front."""
import time
from pathlib import Path

import pytest
import zmq
from attacks.scene import flood, wait_until
from harness.app import App
from harness.examples import example
from harness.net import from_source
from harness.weir import program

TOOL = Path(program()[0]).resolve().parent / "tests" / "e2e" / "pooled" / "pooled"
COSTLY_US = 2000
GOODPUT = 0.99      # of the survival definition (bench/survival/figures.py): answered within a second
ANSWER_WITHIN = 1.0
CLIENTS, RATE, SECONDS = 4, 20, 3
__all__ = ["example", "flood"]

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="this build has no libweir (-Dlibrary=enabled)")


@pytest.fixture
def pooled(request, paths, start_weir):
    """pooled('router', endpoint, work_us=0, queue=10, shed=True) -> a running application, killed at the end."""
    mine = []

    def start(kind, bind="tcp://127.0.0.1:*", work_us=0, **options):
        words = [word for key, value in options.items() if value
                 for word in [f"--{key.replace('_', '-')}"] + ([] if value is True else [str(value)])]
        app = App([TOOL, kind, bind, str(work_us), *words], paths.folder, f"pooled-{kind}", nofile=1024, stdin=True)
        request.node.weir_children.append(app)
        mine.append(app)
        app.endpoint = app.wait_line(lambda line: line.startswith("ready "))[0].split()[1]
        return app

    yield start
    for app in mine:
        app.kill()


# ---- patterns ----

@pytest.mark.parametrize("kind", ["router", "rep"])
def test_requests_are_answered(pooled, peers, kind):
    app = pooled(kind)
    clients = [peers.client(zmq.REQ, app.endpoint) for _ in range(5)]
    for i in range(20):
        for n, client in enumerate(clients):
            client.send(b"%d of %d" % (i, n))
        for n, client in enumerate(clients):
            assert client.recv() == b"%d of %d" % (i, n)
    assert app.stats()["replies"] == 100


def test_behind_a_broker(pooled, peers, paths):
    """zmq_proxy() of ROUTER and DEALER, and two applications whose pools connect to it."""
    front, back = peers.app(zmq.ROUTER), peers.app(zmq.DEALER)
    front.bind(f"ipc://{paths.file('front')}")
    back.bind(f"ipc://{paths.file('back')}")
    for _ in range(2):
        pooled("dealer", f"ipc://{paths.file('back')}", connect=True)
    client = peers.client(zmq.REQ, f"ipc://{paths.file('front')}")
    for i in range(20):
        client.send(b"%d" % i)
        back.send_multipart(front.recv_multipart())
        front.send_multipart(back.recv_multipart())
        assert client.recv() == b"%d" % i


def test_a_pipeline(pooled, peers):
    app = pooled("pull", queue=5)
    client = peers.client(zmq.PUSH, app.endpoint)
    for i in range(1000):
        client.send(b"%d" % i)
    wait_until(lambda: app.stats()["ok"] == 1000, "all messages to be worked on")


def test_it_drains(pooled, peers):
    app = pooled("router", work_us=COSTLY_US)
    client = peers.client(zmq.DEALER, app.endpoint)
    for i in range(50):
        client.send_multipart([b"", b"%d" % i])
    wait_until(lambda: app.stats()["received"] == 50, "all requests to be received")
    app.ask("stop")
    assert sorted(int(client.recv_multipart()[1]) for _ in range(50)) == list(range(50))
    assert app.wait() == 0


# ---- overload ----

def test_a_stage_that_is_overloaded_holds_clients_back(pooled, peers):
    """Nothing is lost, and what is held is bounded: the pool's queue, then libzmq's, then the client's own."""
    app = pooled("pull", queue=10)
    app.ask("mark")
    client = peers.client(zmq.PUSH, app.endpoint, SNDHWM=10, SNDTIMEO=0, SNDBUF=4096)
    sent = 0

    def is_held():
        nonlocal sent
        try:
            while True:
                client.send(b"x" * 10000)
                sent += 1
        except zmq.Again:
            return app.stats()["full"] >= 1

    wait_until(is_held, "the client to be held", step=0.2)
    assert app.stats()["waiting"] == 10 and app.stats()["ok"] == 0
    app.ask("clear")
    wait_until(lambda: app.stats()["ok"] == sent, "all that was sent to be worked on")


def test_clients_hear_that_it_is_busy(pooled, peers):
    app = pooled("router", queue=5, shed=True, busy="busy")
    app.ask("mark")
    client = peers.client(zmq.DEALER, app.endpoint)
    for i in range(20):
        client.send_multipart([b"", b"%d" % i])
    assert [client.recv_multipart()[1] for _ in range(15)] == [b"busy"] * 15
    app.ask("clear")
    assert {client.recv_multipart()[1] for _ in range(5)} < {b"%d" % i for i in range(20)}


def test_its_metrics(pooled, peers):
    app = pooled("router")
    client = peers.client(zmq.REQ, app.endpoint)
    for _ in range(7):
        client.send(b"x")
        client.recv()
    app.ask("metrics")
    assert 'weir_stage_work_total{stage="pool",outcome="ok"} 7' in app.lines
    assert 'weir_stage_service_seconds_count{stage="pool"} 7' in app.lines
    assert "# EOF" in app.lines


# ---- costly requests at full speed, from one source with fifty connections ----

class Clients:
    """Well-behaved clients at a steady rate, each from its own address."""

    def __init__(self, peers, endpoint):
        self.sockets = [peers.client(zmq.DEALER, from_source(f"127.77.0.{n + 1}", endpoint)) for n in range(CLIENTS)]
        self.poller, self.sent = zmq.Poller(), 0
        for socket in self.sockets:
            self.poller.register(socket, zmq.POLLIN)

    def goodput(self, seconds=SECONDS):
        """The share of requests that are answered in time."""
        total, due, answered = CLIENTS * RATE * seconds, {}, 0
        begin, last = time.monotonic(), self.sent + total
        while self.sent < last or (due and time.monotonic() < max(due.values()) + ANSWER_WITHIN):
            while self.sent < last and time.monotonic() >= begin + (self.sent - last + total) / (CLIENTS * RATE):
                self.sockets[self.sent % CLIENTS].send_multipart([b"", b"%d" % self.sent])
                due[self.sent] = time.monotonic()
                self.sent += 1
            for socket, _ in self.poller.poll(2):
                number = int(socket.recv_multipart()[1])
                answered += number in due and time.monotonic() - due.pop(number) <= ANSWER_WITHIN
        return answered / total


def serve_beside_flood(peers, flood, endpoint, weir=None):
    """Behind Weir the clients are served in calm time first: until then it cannot know who is to be protected."""
    clients = Clients(peers, endpoint)

    def served_in_calm_time():
        assert clients.goodput(1) == 1, "nobody disturbs them yet"
        return not weir or weir.metric("weir_limiter_connections", standing="established") == CLIENTS

    wait_until(served_in_calm_time, "the clients to be known")
    attack = flood("requests", endpoint, size=64, connections=50)
    attack.wait_figure("units", 1000)
    assert clients.goodput() >= GOODPUT
    assert attack.alive()
    attack.stop()


def test_costly_requests_with_no_gate(pooled, peers, flood):
    app = pooled("router", work_us=COSTLY_US, queue=200, shed=True)
    serve_beside_flood(peers, flood, app.endpoint)
    assert app.stats()["shed_full"] > 1000, "the flood was more than it could take"


def test_costly_requests_behind_weir(pooled, peers, flood, start_weir, paths):
    counter = paths.file("main.taken")
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": (bind := paths.ipc()), "counter": counter, "ban": {"strikes": 0}}]})
    app = pooled("router", bind, work_us=COSTLY_US, queue=200, shed=True, counter=counter)
    assert app.lines[0] == "counter ok"
    serve_beside_flood(peers, flood, weir.endpoint, weir)
    assert app.stats()["sources"] >= CLIENTS + 1, "it knows clients by X-Weir-Peer"
    assert weir.metric("weir_counter_state") in (1, 2), "the counter is believed"


def test_costly_requests_to_a_broker_that_gives_credit(pooled, peers, flood, start_weir, example, paths):
    """The broker's queue is first come, first served: only the gate can tell who was there before, and credit tells it what lies there."""
    counter, front, back = paths.file("main.taken"), paths.ipc(), f"ipc://{paths.file('back')}"
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": front, "counter": counter, "ban": {"strikes": 0}}]})
    example("broker", front, back, "2", counter)
    pooled("dealer", back, work_us=COSTLY_US, connect=True)
    weir.wait_metric("weir_counter_state", lambda value: value in (1, 2))
    serve_beside_flood(peers, flood, weir.endpoint, weir)

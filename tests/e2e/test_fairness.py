# SPDX-License-Identifier: MPL-2.0
"""Valid messages without end, from many connections and from many sources: nobody's flood is anybody else's problem, with no rate configured."""
import threading
import time
from statistics import median

import zmq
from attacks.scene import *
from attacks.scene import wait_until
from harness.net import from_source

import pytest

CROWDS = [pytest.param({"connections": 200, "sources": 200}, id="200-sources"), pytest.param({"connections": 100}, id="100-connections")]
# Requests of 2 ms each: 500 a second is all that the application can do.
COSTLY = {"work_ms": 2}


def in_hand(weir):
    return weir.metric("weir_unanswered_messages")


def in_line(weir):
    return weir.metric("weir_connections_queued")


def passed(weir):
    return weir.metric("weir_messages_total", direction="in")


def held(weir):
    return weir.metric("weir_held_messages_total")


@pytest.mark.parametrize("crowd", CROWDS)
def test_costly_requests_bare(bare, flood, peers, crowd):
    """Every connection has a turn in the application: a stranger waits for half of the others on average."""
    app = bare("slow-rep", **COSTLY)
    f = flood("requests", app.endpoint, size=64, **crowd)
    f.wait_figure("established", crowd["connections"])
    f.wait_figure("sent_bytes", crowd["connections"] * 20000)
    wait_until(lambda: app.stats()["messages"] > 50, "the flood to be worked on")
    client = peers.client(zmq.REQ, from_source("127.78.0.1", app.endpoint))
    before = app.stats()["messages"]
    for _ in range(10):
        client.send(b"anybody there?")
        assert client.recv() == b"anybody there?"
    assert app.stats()["messages"] - before > 10 * crowd["connections"] / 5


@pytest.mark.parametrize("crowd", CROWDS)
def test_costly_requests_through(gate, flood, peers, crowd):
    """Who was there before is served, and newcomers are, while the crowd stands in line."""
    g = gate("slow-rep", **COSTLY)
    g.become_known()
    f = flood("requests", g.endpoint, size=64, opens=100000, **crowd)
    with g.survives(held=MIB):  # what strangers had said before they left is delivered
        g.customers.serve_until(lambda: in_line(g.weir) > crowd["connections"] / 2, "the crowd to stand in line", rounds=20)
        assert f.alive()
        f.stop()


def test_who_was_there_before_a_crowd_is_served_before_it(gate, flood):
    """Counted in requests, not in time: in the bare application all of the crowd are served before."""
    g = gate("slow-rep", **COSTLY)
    g.become_known()
    f = flood("requests", g.endpoint, size=64, opens=100000, connections=200, sources=200)
    g.customers.serve_until(lambda: in_line(g.weir) > 100, "the crowd to stand in line", rounds=1)
    wait_until(lambda: g.customers.regular.exchange() or in_hand(g.weir) < 40, "the application's queues to empty")
    ahead = []
    for _ in range(10):
        before = passed(g.weir)
        g.customers.regular.exchange()
        ahead.append(passed(g.weir) - before - 1)
    f.stop()
    assert median(ahead) < 200 / 3, f"others served before a customer: {sorted(ahead)}"


def test_who_shares_the_address_of_a_flood_has_an_equal_turn(gate, flood, peers):
    """One of 101 connections of one source: it is served once while each of the others is, though these have thousands of requests waiting."""
    g = gate("slow-rep", **COSTLY)
    g.become_known()
    f = flood("requests", g.endpoint, size=64, connections=100, opens=100000)
    with g.survives():
        g.customers.serve_until(lambda: in_line(g.weir) > 90, "the crowd to stand in line", rounds=1)
        neighbour = peers.client(zmq.REQ, from_source(f.source, g.endpoint))
        ahead = []
        for _ in range(8):
            before = passed(g.weir)
            neighbour.send(b"an honest neighbour")
            assert neighbour.recv() == b"an honest neighbour"
            ahead.append(passed(g.weir) - before - 1)
            g.customers.regular.exchange()
        assert median(ahead) < 1.5 * 100, f"others served before the neighbour: {ahead}"
        assert f.alive()
        f.stop()


def test_a_router_is_found_to_answer(gate):
    """Its type does not say so: it is learned from the customer's requests in calm time."""
    g = gate("router")

    def found():
        g.customers.regular.exchange()
        time.sleep(0.005)
        return g.weir.metric("weir_plain_service") == 1
    wait_until(found, "the application to be known", limit=5)


def test_a_flood_of_quick_requests(gate, flood):
    g = gate("router")
    f = flood("requests", g.endpoint, size=64, connections=100, sources=100)
    g.withstands(f, until=lambda: passed(g.weir) > 20000)


def test_one_who_never_answers_is_not_limited(start_weir, start_app, peers, paths):
    """A ROUTER that only takes: whoever sends to it is not held back."""
    app = start_app("router-sink", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    clients = [peers.client(zmq.DEALER, from_source(f"127.77.8.{n + 1}", weir.endpoint), SNDHWM=0) for n in range(5)]
    for client in clients:
        for n in range(20000):
            client.send(b"%d" % n)
    wait_until(lambda: app.stats()["messages"] == 100000, "100 000 messages to arrive")
    assert refusals(weir) == {} and held(weir) == 0


def test_the_limit_can_be_switched_off(gate, flood):
    g = gate("slow-rep", config={"concurrency": {"limit": "off"}}, **COSTLY)
    f = flood("requests", g.endpoint, size=64, connections=20, bytes=1 * MIB)
    wait_until(lambda: g.weir.metric("weir_messages_total", direction="in") > 1000, "requests to pass")
    assert in_line(g.weir) == held(g.weir) == 0
    f.stop()


def test_the_limit_can_be_set(gate, flood):
    g = gate("slow-rep", config={"concurrency": {"max": 1}}, **COSTLY)
    f = flood("requests", g.endpoint, size=64, connections=20, opens=1000)
    wait_until(lambda: in_line(g.weir) >= 19, "all to stand in line")
    for _ in range(20):
        assert in_hand(g.weir) <= 1
        g.customers.regular.exchange()
    f.stop()


def test_a_rep_is_not_waited_for_in_vain(gate, peers):
    """REP throws away a request without an envelope (RFC 28). It takes nobody's place, and the next one is answered."""
    g = gate("rep")
    client = peers.client(zmq.DEALER, from_source("127.77.8.1", g.endpoint))
    for _ in range(500):
        client.send(b"no delimiter")
    client.send_multipart([b"", b"a request"])
    assert client.recv_multipart() == [b"", b"a request"]
    assert refusals(g.weir) == {"no_delimiter": 500}
    g.customers.close()


# ---- where nothing comes back ----

def test_pushers_without_a_counter(gate, flood):
    """A PULL application that hardly works. What lies in its queues nobody sees, so nothing is held: they fill, as without Weir, and it is
    no longer than they are that anybody waits."""
    g = gate("slow-pull", work_ms=1)
    f = flood("messages", g.endpoint, type="PUSH", size=64, connections=100, opens=100000)
    g.withstands(f, until=lambda: passed(g.weir) > 50000, rounds=5, held=32 * MIB)
    assert held(g.weir) == 0


# ---- twins ----

def test_sixty_requesters_behind_one_address_pass_untouched(gate, peers):
    g = gate("rep")
    clients = [peers.client(zmq.REQ, from_source("127.77.9.1", g.endpoint)) for _ in range(60)]
    for turn in range(30):
        for n, client in enumerate(clients):
            client.send(b"%d %d" % (turn, n))
        for n, client in enumerate(clients):
            assert client.recv() == b"%d %d" % (turn, n)
    assert refusals(g.weir) == {} and g.weir.metric("weir_pauses_total") == 0


def test_long_polls_pass_untouched(start_weir, start_app, peers, paths):
    """Workers that ask a ROUTER for a job, and wait for as long as there is none: hundreds of them are no flood."""
    app = start_app("router-sink", paths.ipc(), nofile=4096)
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": app.endpoint, "connections": {"max": 2000, "half_open": 1000},
                                         "source": {"connections": {"rate": "10000/s", "burst": 2000, "half_open": 1000}}}]})
    clients = [peers.client(zmq.DEALER, weir.endpoint) for _ in range(300)]
    for client in clients:
        client.send(b"ready")
    wait_until(lambda: app.stats()["messages"] == 300, "all workers to be heard")
    time.sleep(1.5)  # longer than what is waited for a reply
    for client in clients:
        client.send(b"still ready")
    wait_until(lambda: app.stats()["messages"] == 600, "all workers to be heard again")
    assert refusals(weir) == {}


class Pollers:
    """Clients that ask again as soon as they are answered, on a thread of their own."""

    def __init__(self, peers, endpoint, count):
        self.sockets = [peers.client(zmq.DEALER, endpoint) for _ in range(count)]
        self.answered = [0] * count
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        poller = zmq.Poller()
        for n, socket in enumerate(self.sockets):
            poller.register(socket, zmq.POLLIN)
            socket.send_multipart([b"", b"poll"])
        numbers = {socket: n for n, socket in enumerate(self.sockets)}
        while not self.stop.is_set():
            for socket, _ in poller.poll(100):
                socket.recv_multipart()
                self.answered[numbers[socket]] += 1
                socket.send_multipart([b"", b"poll"])

    def end(self):
        self.stop.set()
        self.thread.join()


@pytest.fixture
def pollers(peers):
    started = []

    def start(endpoint, count):
        started.append(Pollers(peers, endpoint, count))
        return started[-1]
    yield start
    for p in started:
        p.end()


def exchanges_beside(pollers, clients, rounds):
    """Quick requests answered, one after the other, while each poll is answered so many times in the mean."""
    done, until = 0, sum(pollers.answered) + rounds * len(pollers.answered)
    while sum(pollers.answered) < until:
        clients[done % len(clients)].send(b"quick")
        assert clients[done % len(clients)].recv() == b"quick"
        done += 1
    return done


@pytest.mark.parametrize("count", [20, 60])
def test_quick_requests_do_not_wait_for_long_polls(start_weir, start_app, peers, paths, pollers, count):
    """All of one source."""
    app = start_app("polls", paths.ipc(), poll_ms=300)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    clients = [peers.client(zmq.REQ, weir.endpoint) for _ in range(5)]
    p = pollers(weir.endpoint, count)
    exchanges_beside(p, clients, 8)
    # If they waited for places among the polls, hardly one would be answered for each that ends.
    done = exchanges_beside(p, clients, 8)
    assert done > 8 * count * 2
    assert refusals(weir) == {} and held(weir) == 0

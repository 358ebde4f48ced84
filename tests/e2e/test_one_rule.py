# SPDX-License-Identifier: MPL-2.0
"""Large requests, requests inside CURVE and requests whose asker has left obey the rule that small ones obey: strangers' wait while the
application has enough to do, and an established client does not notice. With unmodified libzmq on both sides, bare and behind Weir."""
import time
from statistics import median

import pytest
import zmq
from harness.net import from_source, wait_until
from test_counter import counted

__all__ = ["counted"]
WORK_US = 4000  # of each request
STRANGERS, EACH = 20, 30
LARGE = 100_000  # streams: beyond message.hold


def keys(mechanism):
    """The secret key of the application, and options of its clients. It asks nobody who may come in."""
    if mechanism == "NULL":
        return None, {}
    server, client = zmq.curve_keypair(), zmq.curve_keypair()
    return server[1].decode(), {"CURVE_SERVERKEY": server[0], "CURVE_PUBLICKEY": client[0], "CURVE_SECRETKEY": client[1]}


class Service:
    """A REP that works on one request at a time, bare or behind Weir, and a client that has been served for a while."""

    def __init__(self, app, peers, options, weir=None):
        self.app, self.peers, self.options, self.weir = app, peers, options, weir
        self.endpoint = (weir or app).endpoint
        endpoint = self.endpoint
        self.client = peers.client(zmq.REQ, from_source("127.78.1.1", endpoint), **options)
        self.ask()
        if weir:
            self.calm()

    def calm(self):
        """The client is served for a while, and nobody else."""
        for _ in range(200):
            self.ask()
            time.sleep(0.02)

    def ask(self):
        """Returns how long it took."""
        began = time.monotonic()
        self.client.send(b"a small request")
        assert self.client.recv() == b"a small request"
        return time.monotonic() - began

    def stranger(self, n, kind, **options):
        return self.peers.client(kind, from_source(f"127.78.2.{n + 1}", self.endpoint), **{**self.options, **options})

    def flood(self, size):
        """Strangers have asked for much more than the application can do, which is at it."""
        strangers = [self.stranger(n, zmq.DEALER, SNDHWM=0) for n in range(STRANGERS)]
        for s in strangers:
            for _ in range(EACH):
                s.send_multipart([b"", bytes(size)])
        before = self.app.stats()["messages"]
        wait_until(lambda: self.app.stats()["messages"] > before + STRANGERS, "the flood to be worked on")
        return strangers

    def median_under(self, size):
        """Of what the client waits for its answers while strangers have asked for much more than the application can do."""
        strangers = self.flood(size)
        took, end = [], time.monotonic() + STRANGERS * EACH * WORK_US / 1e6 / 3
        while time.monotonic() < end and len(took) < 40:
            took.append(self.ask())
        for s in strangers:
            for _ in range(EACH):
                assert len(s.recv_multipart()[1]) == size
        return median(took)


@pytest.fixture
def service(counted, start_weir, peers, paths):
    def start(mechanism, through):
        secret, client_options = keys(mechanism)
        curve = {"curve": secret} if secret else {}
        if not through:
            return Service(counted("rep", "tcp://127.0.0.1:*", work_us=WORK_US, **curve), peers, client_options)
        page, forward = paths.file("main.taken"), paths.ipc()
        weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, "counter": page}]})
        app = counted("rep", forward, work_us=WORK_US, counter=page, **curve)
        return Service(app, peers, client_options, weir)

    return start


@pytest.mark.alone
@pytest.mark.parametrize("mechanism, size", [("NULL", LARGE), ("CURVE", 20), ("CURVE", LARGE)])
def test_costly_requests_of_strangers(service, mechanism, size):
    """Bare each of 20 strangers has its turn before the client has one again."""
    bare, through = service(mechanism, False), service(mechanism, True)
    of_bare, of_through = bare.median_under(size), through.median_under(size)
    for _ in range(4):  # on a busy machine the time before may not have been calm for long enough
        if of_through > of_bare / 2:
            through.calm()
            of_through = through.median_under(size)
    print(f"\n{mechanism} {size}: median of {of_bare * 1000:.1f} ms bare, {of_through * 1000:.1f} ms behind Weir")
    assert of_bare > STRANGERS / 2 * WORK_US / 1e6
    assert of_through < of_bare / 2


# ---- inside CURVE nothing is different for who behaves ----

BEAT = {"HEARTBEAT_IVL": 100, "HEARTBEAT_TIMEOUT": 3000}
CLIENTS, ROUNDS = 8, 150


def exchanges(peers, endpoint, options, kind, parts):
    """All clients ask at once and again as soon as they are answered. Returns how long it took, and the monitors of them all."""
    clients = [peers.client(kind, **options) for _ in range(CLIENTS)]
    monitors = [peers.monitor(c) for c in clients]
    for n, c in enumerate(clients):
        c.connect(from_source(f"127.78.3.{n + 1}", endpoint))
    poller, left = zmq.Poller(), {c: ROUNDS for c in clients}
    for c in clients:
        c.send_multipart(parts)
        assert c.recv_multipart() == parts
        poller.register(c, zmq.POLLIN)
    began = time.monotonic()
    for c in clients:
        c.send_multipart(parts)
    while left:
        for c, _ in poller.poll(20000):
            assert c.recv_multipart() == parts
            left[c] -= 1
            if left[c]:
                c.send_multipart(parts)
            else:
                poller.unregister(c)
                del left[c]
    return time.monotonic() - began, monitors


@pytest.mark.alone
@pytest.mark.parametrize("app_kind, kind, parts", [("rep", zmq.REQ, [b"a request"]), ("router", zmq.DEALER, [b"three", b"", b"parts"]),
                                                   ("router", zmq.DEALER, [bytes(100), bytes(LARGE)])], ids=["request", "parts", "large"])
@pytest.mark.parametrize("beat", [{}, BEAT], ids=["silent", "heartbeats"])
def test_healthy_curve(start_app, start_weir, peers, paths, app_kind, kind, parts, beat):
    secret, client_options = keys("CURVE")
    app_options = {"CURVE_SERVER": 1, "CURVE_SECRETKEY": secret}
    took = {}
    for where in ("bare", "through"):
        app = start_app(app_kind, paths.ipc() if where == "through" else "tcp://127.0.0.1:*", options={**app_options, **beat})
        weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint) if where == "through" else None
        took[where], monitors = exchanges(peers, (weir or app).endpoint, {**client_options, **beat}, kind, parts)
        if beat and where == "through":
            time.sleep(1)  # ten heartbeats either way
        for m in monitors:
            assert m.count("DISCONNECTED") == 0
    print(f"\n{CLIENTS * ROUNDS} answers in {took['bare']:.2f} s bare, {took['through']:.2f} s behind Weir")
    assert took["through"] < 2 * took["bare"] + 1
    assert weir.metric("weir_connections_queued") == 0
    assert [labels for name, labels, value in weir.samples() if name == "weir_verdicts_total" and value and labels["verdict"] != "pass"] == []


# ---- who has left ----

def test_a_req_that_leaves_is_not_worked_for(service):
    """What a REQ has asked and waits in line leaves with it; what a DEALER has said before it closed comes."""
    s = service("NULL", True)
    before = s.app.stats()["messages"]
    strangers = s.flood(20)
    askers = [s.stranger(60 + n, zmq.REQ, LINGER=5000) for n in range(20)]
    notes = s.stranger(90, zmq.DEALER, LINGER=5000)
    for one in askers:
        one.send(b"is anybody there?")
    notes.send_multipart([b"", b"a note"])
    time.sleep(0.02)
    for one in [*askers, notes]:
        one.close()
    for one in strangers:
        for _ in range(EACH):
            one.recv_multipart()

    def worked_for():
        left = s.weir.metric("weir_verdicts_total", verdict="asker_left")
        return left > 0 and s.app.stats()["messages"] - before == STRANGERS * EACH + len(askers) - left + 1

    wait_until(worked_for, "all to be worked on but what leaves while it waits")

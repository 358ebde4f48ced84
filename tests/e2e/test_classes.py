# SPDX-License-Identifier: MPL-2.0
"""Classes of clients: who is served first and how much, what the application is told, what is counted. Shares are counted in requests, not timed."""
import os

import pytest
import zmq
from attacks.scene import *
from attacks.scene import wait_until
from harness import zmtp
from harness.net import from_source
from harness.security import PASSWORD, USER, secure

CLASSES = [
    {"name": "first", "match": {"networks": ["127.90.1.0/24"]}, "priority": 1},
    {"name": "heavy", "match": {"networks": ["127.90.2.0/24", "127.90.4.7"]}, "weight": 4},
    {"name": "last", "match": {"networks": ["127.90.3.0/24"]}, "priority": 4},
]
FIRST, HEAVY, LAST, PLAIN = "127.90.1.1", "127.90.2.1", "127.90.3.1", "127.90.4.1"
COSTLY = {"work_ms": 2}


def passed(weir, name):
    return weir.metric("weir_class_messages_total", **{"class": name})


def connections(weir, name):
    return weir.metric("weir_class_connections", **{"class": name})


def in_line(weir):
    return weir.metric("weir_connections_queued")


@pytest.fixture
def crowd(gate, flood):
    """crowd(source, ...) -> a gate with classes, a REP of 2 ms a request, and greedy clients from each source, all of them in line."""
    def start(*sources, each=4, **config):
        g = gate("slow-rep", config={"classes": CLASSES, "concurrency": {"max": 2}, **config}, **COSTLY)
        g.floods = [flood("requests", g.endpoint, source=source, size=64, connections=each, opens=each) for source in sources]
        wait_until(lambda: in_line(g.weir) >= each * len(sources) - 2, "the crowd to stand in line")
        return g
    return start


def shares(g, names, count=400):
    """How many requests of each class pass while `count` do, once nobody lives on what was saved before."""
    def all_passed():
        return sum(passed(g.weir, name) for name in names)

    def snapshot():
        samples = {labels["class"]: value for metric, labels, value in g.weir.samples() if metric == "weir_class_messages_total"}
        return [samples[name] for name in names]

    start = all_passed()
    wait_until(lambda: all_passed() >= start + 100, "the first requests")
    before = snapshot()
    wait_until(lambda: all_passed() >= sum(before) + count, "requests to pass")
    return [after - was for after, was in zip(snapshot(), before, strict=True)]


def test_greedy_sources_share_by_weight(crowd):
    g = crowd(HEAVY, PLAIN)
    heavy, plain = shares(g, ["heavy", "default"])
    assert 2.5 * plain < heavy < 6 * plain, f"{heavy} and {plain} of weights 4 and 1"


def test_without_classes_they_share_equally(gate, flood):
    """The twin: the same addresses, nothing configured but a class that nobody is in."""
    nobody = [{"name": name, "match": {"networks": [network]}, "weight": 4} for name, network in (("a", "192.0.2.1"), ("b", "192.0.2.2"))]
    g = gate("slow-rep", config={"classes": nobody, "concurrency": {"max": 2}}, **COSTLY)
    clients = [flood("requests", g.endpoint, source=source, size=64, connections=4, opens=4) for source in (HEAVY, PLAIN)]
    wait_until(lambda: in_line(g.weir) >= 6, "the crowd to stand in line")
    units = [client.figures()["received_bytes"] for client in clients]
    wait_until(lambda: sum(client.figures()["received_bytes"] for client in clients) > sum(units) + 400 * 68, "replies", step=0.1)
    got = [client.figures()["received_bytes"] - before for client, before in zip(clients, units, strict=True)]
    assert 0.5 < got[0] / got[1] < 2, got
    assert passed(g.weir, "a") == passed(g.weir, "b") == 0


def test_priority_goes_first_and_nobody_starves(crowd):
    g = crowd(FIRST, PLAIN, LAST)
    first, plain, last = shares(g, ["first", "default", "last"], count=640)
    assert first > 4 * plain, f"{first}, {plain} and {last} of priorities 1, 2 and 4"
    assert plain > 2 * last > 0, f"{first}, {plain} and {last} of priorities 1, 2 and 4"


def test_a_stranger_is_served_while_a_priority_runs_wild(crowd):
    """Who has priority may have a client in a loop, too."""
    g = crowd(FIRST)
    with g.survives():
        for _ in range(20):
            g.customers.regular.exchange()
        g.customers.newcomer()
        assert all(f.alive() for f in g.floods)
        for f in g.floods:
            f.stop()
    assert refusals(g.weir).keys() <= {"message_abandoned", "asker_left"}


def test_healthy_clients_of_all_classes_pass_untouched(gate, peers):
    g = gate("rep", config={"classes": CLASSES})
    clients = [peers.client(zmq.REQ, from_source(source, g.endpoint)) for source in (FIRST, HEAVY, LAST, PLAIN) for _ in range(5)]
    for turn in range(30):
        for client in clients:
            client.send(b"%d" % turn)
        for client in clients:
            assert client.recv() == b"%d" % turn
    assert refusals(g.weir) == {} and g.weir.metric("weir_pauses_total") == 0
    assert [passed(g.weir, name) for name in ("first", "heavy", "last")] == [150] * 3
    assert passed(g.weir, "default") == 151  # with the regular customer's one
    assert [connections(g.weir, name) for name in ("first", "heavy", "last", "default")] == [5, 5, 5, 6]
    for client in clients[:5]:
        client.close()
    g.weir.wait_metric("weir_class_connections", lambda value: value == 0, **{"class": "first"})


# ---- what the application is told ----

def property_of(frame, name):
    try:
        return frame.get(name)
    except zmq.ZMQError:
        return None


def made(start_weir, peers, paths, mechanism, listen="tcp://127.0.0.1:*", classes=CLASSES):
    app_security, security = secure(mechanism, peers)
    app = peers.app(zmq.ROUTER, paths.ipc(), **app_security)
    gate_config = {"listen": listen, "forward": app.last_endpoint.decode(), "classes": classes}
    return app, start_weir(config={"gates": [gate_config]}), security


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN", "CURVE"])
def test_the_application_reads_the_class(mechanism, start_weir, peers, paths):
    app, weir, security = made(start_weir, peers, paths, mechanism)
    for source, name in ((FIRST, "first"), (HEAVY, "heavy"), ("127.90.4.7", "heavy"), (PLAIN, "default"), ("127.0.0.1", "default")):
        client = peers.client(zmq.DEALER, from_source(source, weir.endpoint), **security)
        client.send_multipart([b"a", b"b"])
        for frame in app.recv_multipart(copy=False)[1:]:
            assert property_of(frame, "X-Weir-Class") == (None if mechanism == "CURVE" else name)
            assert (property_of(frame, "X-Weir-Peer") or "").startswith("" if mechanism == "CURVE" else source + ":")


def test_a_class_cannot_be_forged(start_weir, peers, paths):
    app, weir, _ = made(start_weir, peers, paths, "NULL")
    client = zmtp.connect(weir.endpoint, user=USER, password=PASSWORD,
                          extra=[("X-Weir-Class", "first"), ("x-weir-class", "first"), ("X-WEIR-CLASS", "first")])
    client.send(b"a")
    frame = app.recv_multipart(copy=False)[1]
    assert property_of(frame, "X-Weir-Class") == "default"
    assert property_of(frame, "x-weir-class") is None and property_of(frame, "X-WEIR-CLASS") is None


def test_without_classes_there_is_no_such_property(start_weir, peers, paths):
    app = peers.app(zmq.ROUTER, paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.last_endpoint.decode())
    client = peers.client(zmq.DEALER, weir.endpoint)
    client.send(b"a")
    assert property_of(app.recv_multipart(copy=False)[1], "X-Weir-Class") is None
    assert not [name for name, _, _ in weir.samples() if name.startswith("weir_class_")]


def test_users_and_ipv6_networks_have_classes(start_weir, peers, paths):
    classes = [{"name": "me", "match": {"networks": [f"uid:{os.getuid()}", "::1/128"]}}]
    for listen in (paths.ipc(), "tcp://[::1]:*"):
        app, weir, _ = made(start_weir, peers, paths, "NULL", listen, classes)
        client = peers.client(zmq.DEALER, weir.endpoint)
        client.send(b"a")
        assert app.recv_multipart(copy=False)[1].get("X-Weir-Class") == "me"

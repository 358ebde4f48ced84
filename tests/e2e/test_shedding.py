# SPDX-License-Identifier: MPL-2.0
"""concurrency.shed: what requests meet that have waited too long for an application that is asked for more than it can do."""
import time

import zmq
from attacks.scene import *
from attacks.scene import wait_until
from harness.net import from_source

FLOOD, NEIGHBOUR = "127.91.1.1", "127.91.1.2"
COSTLY = {"work_ms": 5}
REPLY = b"come back later"


def shed(weir):
    return weir.metric("weir_verdicts_total", verdict="overloaded")


def requesters(peers, endpoint, source, count, kind=zmq.REQ):
    clients = [peers.client(kind, from_source(source, endpoint)) for _ in range(count)]
    for client in clients:
        client.setsockopt(zmq.RCVTIMEO, 20000)
    return clients


def keep_asking(clients, until, most=4000):
    """Each asks again as soon as it is answered, until the condition holds. Returns the answers."""
    poller, answers = zmq.Poller(), []
    for client in clients:
        poller.register(client, zmq.POLLIN)
        client.send(b"?")
    while not until(answers):
        assert len(answers) < most, "it never came about"
        for client, _ in poller.poll(20000):
            answers.append(client.recv())
            client.send(b"?")
    for client in clients:
        client.recv()
    return answers


def test_too_late_is_answered(gate, peers):
    g = gate("slow-rep", config={"concurrency": {"max": 1, "shed": {"over": "reply", "reply": REPLY.decode()}}}, **COSTLY)
    clients = requesters(peers, g.endpoint, FLOOD, 30)
    answers = keep_asking(clients, lambda got: got.count(REPLY) >= 100)
    assert set(answers) == {REPLY, b"?"}
    assert refusals(g.weir).keys() == {"overloaded"}
    # The same clients, one after the other, are served as ever.
    for client in clients:
        client.send(b"again")
        assert client.recv() == b"again"


def test_the_envelope_comes_back(gate, peers):
    """Correlated requests are answered by what belongs to them, or REQ would throw the answer away."""
    g = gate("slow-rep", config={"concurrency": {"max": 1, "shed": {"over": "reply"}}}, **COSTLY)
    clients = requesters(peers, g.endpoint, FLOOD, 30)
    for client in clients:
        client.setsockopt(zmq.REQ_CORRELATE, 1)
        client.setsockopt(zmq.REQ_RELAXED, 1)
    assert b"overloaded" in keep_asking(clients, lambda got: b"overloaded" in got)


def test_a_dealer_is_answered_in_order(gate, peers):
    """Who has several requests under way tells the answers apart by their order."""
    g = gate("slow-rep", config={"concurrency": {"max": 1, "shed": {"over": "reply"}}}, **COSTLY)
    busy = requesters(peers, g.endpoint, FLOOD, 20)
    dealer, = requesters(peers, g.endpoint, FLOOD, 1, zmq.DEALER)
    for client in busy:
        client.send(b"?")
    for number in range(40):
        dealer.send_multipart([b"", b"%d" % number])
    answers = [dealer.recv_multipart()[1] for _ in range(40)]
    numbers = [int(answer) for answer in answers if answer != b"overloaded"]
    assert numbers == sorted(numbers)
    assert all(answer == b"overloaded" or int(answer) == place for place, answer in enumerate(answers))


def test_too_late_is_left_out(gate, peers):
    g = gate("slow-rep", config={"concurrency": {"max": 1, "shed": {"over": "drop"}}}, **COSTLY)
    clients = requesters(peers, g.endpoint, FLOOD, 40)
    for client in clients:
        client.send(b"?")
    wait_until(lambda: shed(g.weir) > 0, "requests to be shed")
    wait_until(lambda: g.weir.metric("weir_connections_queued") == 0, "the line to empty")
    answered = sum(client.poll(0) != 0 for client in clients)
    assert answered + shed(g.weir) <= 40 and g.weir.metric("weir_dropped_messages_total") == shed(g.weir)
    g.customers.regular.exchange()


def test_too_late_is_closed(gate, peers):
    g = gate("slow-rep", config={"concurrency": {"max": 1, "shed": {"over": "close"}}}, **COSTLY)
    clients = requesters(peers, g.endpoint, FLOOD, 40)
    for client in clients:
        client.send(b"?")
    wait_until(lambda: shed(g.weir) > 0, "connections to be closed")
    g.customers.regular.exchange()
    assert g.weir.metric("weir_bans") == 0  # the application is slow: that is nobody's offence


def test_by_default_all_wait(gate, peers):
    g = gate("slow-rep", config={"concurrency": {"max": 1}}, **COSTLY)
    clients = requesters(peers, g.endpoint, FLOOD, 60)
    for client in clients:
        client.send(b"?")
    assert [client.recv() for client in clients] == [b"?"] * 60
    assert shed(g.weir) == 0 and refusals(g.weir) == {}


def test_a_modest_neighbour_is_not_shed(gate, peers):
    """The queue is the flood's. Who asks for what it was served in calm time is served in time, and never shed."""
    g = gate("slow-rep", config={"concurrency": {"max": 1, "shed": {"over": "reply", "target": "20ms"}}}, **COSTLY)
    flood = requesters(peers, g.endpoint, FLOOD, 30)
    neighbour, = requesters(peers, g.endpoint, NEIGHBOUR, 1)
    for _ in range(120):
        neighbour.send(b"a calm time")
        neighbour.recv()
        time.sleep(0.02)
    served = []

    def neighbour_served(answers):
        if len(answers) % 10 == 0:
            neighbour.send(b"mine")
            served.append(neighbour.recv())
        return answers.count(b"overloaded") > 100 and len(served) > 10
    keep_asking(flood, neighbour_served)
    assert set(served) == {b"mine"}


def test_a_burst_is_no_overload(gate, peers):
    """Twice what the application can do at once, again and again, with time in between: all are served."""
    g = gate("slow-rep", config={"concurrency": {"max": 1, "shed": {"over": "close", "interval": "5s"}}}, **COSTLY)
    clients = requesters(peers, g.endpoint, FLOOD, 20)
    for _ in range(10):
        for client in clients:
            client.send(b"?")
        assert [client.recv() for client in clients] == [b"?"] * 20
    assert shed(g.weir) == 0 and refusals(g.weir) == {}


def test_the_lowest_priority_goes_first(gate, peers):
    classes = [{"name": name, "match": {"networks": [source]}, "priority": priority}
               for name, source, priority in (("high", FLOOD, 1), ("low", NEIGHBOUR, 4))]
    g = gate("slow-rep", config={"classes": classes, "concurrency": {"max": 1, "shed": {"over": "reply", "target": "20ms"}}}, **COSTLY)
    # Eight high ones wait for at most 40 ms: less than 20 ms doubled thrice, more than the 40 ms that the low ones have.
    high, low = requesters(peers, g.endpoint, FLOOD, 8), requesters(peers, g.endpoint, NEIGHBOUR, 20)

    def of(name):
        return g.weir.metric("weir_class_shed_total", **{"class": name})
    keep_asking(high + low, lambda got: len(got) % 50 == 0 and of("low") > 100)
    assert of("high") * 10 < of("low")
    assert shed(g.weir) == of("high") + of("low") + of("default")

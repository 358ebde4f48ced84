# SPDX-License-Identifier: MPL-2.0
"""Subscribers with many topics, as market data has them: with no configuration they have all of them at once, and are closed for none."""
import zmq
from attacks.scene import *
from harness.net import from_source, wait_until

import pytest

PACED = {"over_total_subscriptions"}  # what may be said of them: they were not read for a moment


def subscriber(peers, endpoint, topics):
    """(socket, its monitor of disconnects); libzmq drops subscriptions past SNDHWM."""
    s = peers.client(zmq.SUB, endpoint, SNDHWM=0)
    monitor = s.get_monitor_socket(zmq.EVENT_DISCONNECTED)  # before the topics: one too many may end the connection at once
    for topic in topics:
        s.subscribe(topic)
    return s, monitor


def hears(g, s, topic):
    g.app.ask(f"publish {topic.decode()} 1 10")
    return s.poll(20) and s.recv_multipart()[0] == topic


@pytest.mark.parametrize("subscribers, each", [(1, 15000), (1, 60000), (10, 3000)])
def test_market_data(gate, peers, subscribers, each):
    """Behind one address. Before, 2078 and 497 topics were seen, and the subscribers closed again and again."""
    g = gate("pub")
    topics = [[b"MD%02d.%05d" % (s, n) for n in range(each)] for s in range(subscribers)]
    clients = [subscriber(peers, from_source("127.77.4.1", g.endpoint), mine) for mine in topics]
    for (s, monitor), mine in zip(clients, topics):
        wait_until(lambda s=s, mine=mine: hears(g, s, mine[-1]), "the last topic")
        assert hears(g, s, mine[0]) and not monitor.poll(0)
    assert g.weir.metric("weir_subscriptions") >= subscribers * each
    assert set(refusals(g.weir)) <= PACED
    g.customers.close()


def test_a_subscriber_restarts(gate, peers):
    """Its own past is not held against it: it is back at once, though the publisher has not forgotten its former connection yet."""
    g = gate("pub", config={"subscriptions": {"removal_rate": "1B/d", "removal_burst": "0B"}})
    topics = [b"MD.%06d" % (n * 7919 % 1000003) for n in range(9000)]
    for _ in range(3):
        s, monitor = subscriber(peers, from_source("127.77.4.2", g.endpoint), topics)
        wait_until(lambda s=s: hears(g, s, topics[-1]), "the last topic")
        assert not monitor.poll(0)
        s.disable_monitor()
        s.close(0)
    g.weir.wait_metric("weir_subscribers_leaving", lambda waiting: waiting >= 3)
    assert set(refusals(g.weir)) <= PACED
    g.customers.close()


def test_a_configured_limit_makes_wait_or_closes(gate, peers):
    """Whoever has more topics than the operator allows keeps those that fit, and its connection; unless it is to be closed."""
    g = gate("pub", config={"subscriptions": {"max": 100}})
    s, monitor = subscriber(peers, from_source("127.77.4.3", g.endpoint), [b"t%03d" % n for n in range(200)])
    wait_until(lambda: hears(g, s, b"t099"), "the last topic that fits")
    assert not hears(g, s, b"t150") and not monitor.poll(0)
    wait_until(lambda: g.verdicts("subscriptions_too_many"), "the verdict")
    s.disable_monitor()
    s.close(0)
    g.customers.close()
    closing = gate("pub", config={"subscriptions": {"max": 100, "over": "close"}})
    s, monitor = subscriber(peers, from_source("127.77.4.3", closing.endpoint), [b"t%03d" % n for n in range(200)])
    assert monitor.poll(10000)
    closing.customers.close()


def test_user_messages_of_a_subscriber(gate, peers):
    """500 a second and more, as a bare XPUB takes them, and a subscription behind them. Before, 2798 of 7499 arrived, and it waited."""
    g = gate("xpub")
    before = g.app.stats()["messages"]
    s = peers.client(zmq.XSUB, from_source("127.77.4.4", g.endpoint), SNDHWM=0)
    for n in range(7500):
        s.send(b"user message %d" % n + bytes(50))
    s.send(b"\1behind")
    wait_until(lambda: hears(g, s, b"behind"), "the subscription behind them")
    wait_until(lambda: g.app.stats()["messages"] >= before + 7500, "all of them")
    assert refusals(g.weir) == {} and g.weir.metric("weir_pauses_total") == 0
    g.customers.close()


def test_large_user_messages(gate, flood):
    """Of many sources. A bare XPUB grew by 1.8 to 3.2 GB."""
    g = gate("xpub")
    f = flood("user-messages", g.endpoint, type="XSUB", connections=20, sources=20, size=60000)
    g.withstands(f, until=g.expects(20, "over_subscriber_messages"), held=20 * 128 * 1024)

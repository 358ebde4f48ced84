# SPDX-License-Identifier: MPL-2.0
"""Subscription floods in both encodings, cancels of topics never held, and what subscribers have no business to send to an XPUB."""
import zmq
from attacks.scene import *
from attacks.scene import proc, wait_until
from harness import zmtp
from harness.net import from_source, raw_connect

import pytest

ENCODINGS = [pytest.param({"minor": 1}, id="commands"), pytest.param({"minor": 1, "as_messages": True}, id="messages")]
# Random topics: 50 bytes of a publisher's memory for each byte of topic, and every message published walks through them.
TOPICS = [pytest.param({"size": 12}, id="short"), pytest.param({"size": 200}, id="long"), pytest.param({"size": 200, "cancels": True}, id="fake-cancels")]
WAITS = ["topics_full", "over_total_subscriptions"]
# subscriptions.trie_bytes counts what libzmq 4.3.4 takes for a byte of topic: 32. A node of 4.3.5 takes 48.
TRIE_GROWTH = ALLOWED_GROWTH * (3 if zmq.zmq_version_info() >= (4, 3, 5) else 2) // 2
# A paused connection keeps what one read brought. The sender's kernel still has megabytes to send when the sender is gone, and tells of
# the end only behind them.
UNSENT = 32 * 1024
# At the end of a test all topics are to be given back; the pace of that has tests of its own.
LEAVING_FAST = {"subscriptions": {"removal_rate": "1GiB/s", "removal_burst": "1GiB"}}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("topics", TOPICS)
def test_subscriptions_bare(bare, flood, encoding, topics):
    """A publisher takes subscriptions in when it publishes: 16 MiB of them, and it has grown by ten times as much."""
    app = bare("pub")
    before = proc.rss_bytes(app.pid)
    flood("subscriptions", app.endpoint, type="SUB", bytes=16 * MIB, **encoding, **topics)
    wait_until(lambda: app.ask("publish news 1 10") and proc.rss_bytes(app.pid) - before > 160 * MIB, "the topics to fill the publisher")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("topics", TOPICS)
def test_subscriptions_through(gate, flood, encoding, topics):
    """One source, four connections: neither the sum nor the speed of its subscriptions may reach the application. They wait; only for newcomers of
    other addresses somebody gives way."""
    g = gate("pub", config=LEAVING_FAST)
    f = flood("subscriptions", g.endpoint, type="SUB", connections=4, opens=100000, **encoding, **topics)
    g.withstands(f, until=lambda: g.verdicts("over_total_subscriptions") and (topics.get("cancels") or g.verdicts("topics_full")),
                 rounds=200, growth=TRIE_GROWTH, held=4 * UNSENT)
    assert set(refusals(g.weir)) <= {*WAITS, "topics_give_way", "handshake_abandoned", "message_abandoned"}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [300, 10000])
def test_topics_over_a_limit_through(gate, flood, encoding, size):
    """Where the operator limits their length. A command with such a topic may be refused for its size already, before it is read."""
    g = gate("xpub", config={"subscriptions": {"topic": "255B"}})
    f = flood("subscriptions", g.endpoint, type="XSUB", connections=4, opens=100000, size=size, **encoding)
    g.withstands(f, until=g.expects(20, "topic_too_long", "command_too_large"))
    g.weir.wait_metric("weir_subscriptions", lambda held: held == 0)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_long_topics_through(gate, flood, encoding):
    """Topics may have any length up to 64 KiB: they count by what they take."""
    g = gate("xpub", config=LEAVING_FAST)
    f = flood("subscriptions", g.endpoint, type="XSUB", connections=4, opens=100000, size=10000, **encoding)
    g.withstands(f, until=g.expects(1, "topics_full"), rounds=200, growth=TRIE_GROWTH, held=4 * 2 * UNSENT)


@pytest.mark.alone
def test_subscriptions_of_many_sources_through(gate, flood):
    """Each source has its share of what the topics of all may take; for whoever has less, those who hold most give way, at the
    pace at which the publisher can forget them."""
    g = gate("pub", config={"subscriptions": {"removal_rate": "16MiB/s"}})
    f = flood("subscriptions", g.endpoint, type="SUB", connections=40, sources=40, opens=100000, rate=10, size=100, each=900)
    g.withstands(f, until=lambda: g.verdicts("topics_full") > 20 and g.verdicts("topics_give_way"), rounds=400, growth=TRIE_GROWTH,
                 held=40 * 2 * UNSENT)


def test_many_subscriptions_pass_untouched(gate, peers):
    """The twin: a client with 5000 short topics, and every one of them works."""
    g = gate("pub")
    client = peers.client(zmq.SUB, from_source("127.77.3.1", g.endpoint), SNDHWM=0)  # libzmq drops subscriptions past it
    for n in range(5000):
        client.subscribe(b"t%05d" % n)
    def taken_in():
        """A publisher takes subscriptions in when it publishes, and until then lets them wait."""
        g.customers.regular.exchange()
        return g.weir.metric("weir_subscriptions")

    wait_until(lambda: taken_in() == 5001, "5000 subscriptions")
    for n in range(0, 5000, 50):
        g.app.ask(f"publish t{n:05d} 1 10")
        assert client.recv_multipart()[0] == b"t%05d" % n
    for n in range(5000):
        client.unsubscribe(b"t%05d" % n)
    wait_until(lambda: taken_in() == 1, "5000 cancels")
    g.customers.close()
    assert refusals(g.weir) == {}


def test_long_topics_of_healthy_clients_pass_untouched(gate, peers):
    """Ten clients with 16 names of 100 bytes each, as paths of measured values have: nobody waits, and each one works."""
    g = gate("pub")
    clients = [peers.client(zmq.SUB, from_source(f"127.77.3.{n + 1}", g.endpoint)) for n in range(10)]
    topics = [[b"site/hall/line/machine/%02d/%02d/" % (n, i) + b"temperature" * 7 for i in range(16)] for n in range(10)]
    for client, names in zip(clients, topics):
        for name in names:
            client.subscribe(name)
    def taken_in():
        g.customers.regular.exchange()
        return g.weir.metric("weir_subscriptions")

    wait_until(lambda: taken_in() == 161, "all subscriptions")
    for client, names in zip(clients, topics):
        g.app.ask(f"publish {names[15].decode()} 1 10")
        assert client.recv_multipart()[0] == names[15]
    assert g.weir.metric("weir_pauses_total") == 0
    g.customers.close()
    assert refusals(g.weir) == {}


# Messages that are no subscriptions: an XPUB keeps them all.
@pytest.mark.parametrize("size", [1, 1000])
def test_user_messages_bare(bare, flood, size):
    app = bare("xpub")
    grown = grows_by(app, 128 * MIB)
    flood("user-messages", app.endpoint, type="XSUB", connections=4, size=size)
    grown()


@pytest.mark.parametrize("size", [1, 1000])
def test_user_messages_through(gate, flood, size):
    g = gate("xpub")
    f = flood("user-messages", g.endpoint, type="XSUB", connections=4, size=size)
    def enough():
        return g.weir.metric("weir_pauses_total") > 0 and g.weir.metric("weir_messages_total", direction="in") > 1000

    g.withstands(f, until=enough, held=2 * MIB)


def test_user_messages_closed_through(gate, flood):
    """Each connection that the flood opens brings a burst along, so it must be small where connections are closed."""
    g = gate("xpub", config={"subscriptions": {"messages": {"over": "close", "rate": "100/s", "burst": 100}}})
    f = flood("user-messages", g.endpoint, type="XSUB", connections=4, opens=100000, size=100)
    g.withstands(f, until=g.expects(10, "subscriber_message"))


def test_some_user_messages_pass_untouched(gate, peers):
    g = gate("xpub")
    before = g.app.stats()["messages"]
    client = peers.client(zmq.XSUB, from_source("127.77.3.1", g.endpoint))
    for n in range(500):
        client.send(b"user message %d" % n)
    wait_until(lambda: g.app.stats()["messages"] == before + 500, "500 user messages to arrive")
    assert refusals(g.weir) == {} and g.weir.metric("weir_pauses_total") == 0

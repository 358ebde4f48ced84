# SPDX-License-Identifier: MPL-2.0
"""What is no attack works behind Weir as it does without it. Each row runs bare first, with the same peers."""
import threading
import time
import uuid

import pytest
import zmq
from attacks.scene import flood, gate
from harness import net, zmtp
from harness.net import wait_until


@pytest.fixture(params=["bare", "weir"])
def place(request, start_weir, peers):
    """place(application, **options) -> the application's socket and where its clients connect."""

    class Place:
        weir = None

        def __call__(self, kind, config=None, **options):
            app = peers.app(kind, net.tcp(), IPV6=0, **options)
            forward = app.last_endpoint.decode()
            if request.param == "bare":
                return app, forward
            self.weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, **(config or {})}]})
            return app, self.weir.endpoint

        def verdicts(self):
            """What Weir held against anybody: {label: count}."""
            found = self.weir.samples() if self.weir else []
            return {labels["verdict"]: value for name, labels, value in found if name == "weir_verdicts_total" and value}

    return Place()


# ---- routing ids ----

@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ], ids=["DEALER", "REQ"])
@pytest.mark.parametrize("identity", [b"\0\0", b"\0" + uuid.UUID(int=7).bytes, b"\0four", b"\0"], ids=["two", "uuid", "five", "one"])
def test_routing_ids_that_begin_with_zero(place, peers, kind, identity):
    """A rank as two bytes, a random UUID. Five bytes may be what a ROUTER has given to somebody else: these are refused."""
    app, endpoint = place(zmq.ROUTER)
    client = peers.client(kind, endpoint, ROUTING_ID=identity)
    client.send(b"hello")
    if place.weir and len(identity) == 5:
        place.weir.wait_metric("weir_verdicts_total", 1, verdict="reserved_routing_id")
        assert not app.poll(100) and place.verdicts().keys() == {"reserved_routing_id"}
        return
    assert app.recv_multipart()[0] == identity
    app.send_multipart([identity, *([b""] if kind == zmq.REQ else []), b"welcome"])
    assert client.recv() == b"welcome"
    assert not place.verdicts()


# ---- subscribers ----

@pytest.mark.parametrize("size", [245, 246, 255])
def test_long_topics_of_libzmq(place, peers, size):
    """The encoder of libzmq 4.3.2 to 4.3.4 leaves a flag out between 246 and 255 bytes. Bare the subscription is lost."""
    app, endpoint = place(zmq.XPUB)
    sub = peers.client(zmq.SUB, endpoint, RCVTIMEO=500)
    topic = b"t" * size
    sub.subscribe(topic)
    sub.subscribe(b"after")
    faulty = zmq.zmq_version_info() in [(4, 3, 2), (4, 3, 3), (4, 3, 4)] and size > 245
    if place.weir or not faulty:
        assert sorted([app.recv(), app.recv()]) == [b"\1after", b"\1" + topic]
        app.send(topic + b"x")
        assert sub.recv() == topic + b"x"
        sub.unsubscribe(topic)
        assert app.recv() == b"\0" + topic
    assert not place.verdicts()


def test_later_parts_of_a_subscribers_message(place, peers):
    """They are long, and begin as a subscription would."""
    app, endpoint = place(zmq.XPUB)
    xsub = zmtp.connect(endpoint, socket_type="XSUB")
    xsub.send(b"news", b"\1" + b"x" * 3000, b"\0" + b"y" * 30000)
    assert app.recv_multipart()[0] == b"news"
    xsub.send(b"\1after")
    wait_until(lambda: app.recv_multipart()[-1] == b"\1after", "what follows")
    assert not place.verdicts()


# ---- endpoints ----

def test_interface_names(start_weir, peers, paths):
    app = peers.app(zmq.REP, paths.ipc())
    bare = peers.app(zmq.REP, "tcp://lo:*", IPV6=0)
    weir = start_weir(listen="tcp://lo:*", forward=app.last_endpoint.decode())
    assert net.split_tcp(weir.listen)[0] == net.split_tcp(bare.last_endpoint.decode())[0] == "127.0.0.1"
    client = peers.client(zmq.REQ, weir.endpoint)
    client.send(b"hello")
    assert app.recv() == b"hello"


# ---- clients that do not take what they are sent ----

def test_a_client_that_never_reads_its_acknowledgements(place, peers):
    """All that it says arrives: its acknowledgements are small, so they hurt nobody."""
    app, endpoint = place(zmq.ROUTER, RCVHWM=0)
    client = zmtp.connect(endpoint, socket_type="DEALER")
    count, said, heard = 120000, zmtp.message(b"m" * 100), 0
    sender = threading.Thread(target=lambda: client.send_raw(said * count))
    sender.start()
    while heard < count:
        identity, _ = app.recv_multipart()
        app.send_multipart([identity, b"noted, " + b"a" * 100])
        heard += 1
    sender.join()
    assert not place.verdicts()


def test_a_busy_worker(place, peers):
    """It takes one large task at a time, and more wait for it than lie between the two; each result is heard at once."""
    app, endpoint = place(zmq.ROUTER, ROUTER_MANDATORY=1, SNDHWM=0)
    worker = peers.client(zmq.DEALER, endpoint, ROUTING_ID=b"worker", RCVHWM=1, RCVBUF=65536)
    worker.send(b"ready")
    assert app.recv_multipart() == [b"worker", b"ready"]
    for n in range(20):
        app.send_multipart([b"worker", b"%d" % n, bytes(1 << 20)])
    if place.weir:
        place.weir.wait_metric("weir_connections_blocked", 1, direction="out")
    for n in range(20):
        assert worker.recv_multipart()[0] == b"%d" % n
        time.sleep(0.1)
        worker.send(b"done %d" % n)
        assert app.recv_multipart() == [b"worker", b"done %d" % n]
    assert not place.verdicts()


def test_many_that_ask_for_much_and_take_nothing(gate, flood):
    """The twin of the two above: what they have asked for would be too much for the application."""
    g = gate("router")
    g.become_known()
    f = flood("requests", g.endpoint, opens=100000, size=20000, connections=20, never_read=True)
    g.withstands(f, until=g.expects(10, "slow_reader"))  # most of them wait with their requests


# ---- large messages ----

LARGE = [pytest.param([200 << 20], id="200-MiB"), pytest.param([40 << 20], id="40-MiB"), pytest.param([20000] * 2699, id="2699-parts"),
         pytest.param([0] * 9000, id="9000-empty-parts")]


@pytest.mark.parametrize("sizes", LARGE)
def test_a_large_message(place, peers, sizes):
    app, endpoint = place(zmq.PULL)
    client = peers.client(zmq.PUSH, endpoint)
    client.send_multipart([bytes(size) for size in sizes], copy=False)
    assert [len(frame) for frame in app.recv_multipart(copy=False)] == sizes
    assert not place.verdicts()


def test_a_message_over_a_slow_line(place, peers):
    """No rate is too slow, as long as nobody waits for its room."""
    app, endpoint = place(zmq.PULL, {"message": {"complete_within": "1s"}})
    client = zmtp.connect(endpoint, socket_type="PUSH")
    body = bytes(range(256)) * 400
    stream = zmtp.message(body)
    for at in range(0, len(stream), 2000):
        client.send_raw(stream[at:at + 2000])
        time.sleep(0.05)
    assert app.recv() == body
    assert not place.verdicts()


def test_many_large_messages_at_once(gate, flood, peers):
    """They go on one at a time, and small ones do not wait for them."""
    g = gate("router")
    f = flood("huge", g.endpoint, announce=200 << 20, size=(200 << 20) - 1, connections=20, chunk=1 << 16, every_ms=5)
    g.weir.wait_metric("weir_unfinished_bytes", 1)
    most = 0
    for _ in range(40):
        most = max(most, g.weir.metric("weir_unfinished_bytes"))
        g.customers.regular.exchange()
    assert f.alive() and most < (200 + 16 + 1) << 20
    f.stop()

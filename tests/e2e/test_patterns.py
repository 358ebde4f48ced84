# SPDX-License-Identifier: MPL-2.0
"""Every socket pattern between real libzmq peers, over each mechanism, in both directions."""
import pytest
import zmq
from harness import net
from harness.security import MECHANISMS, secure

MESSAGES = [[b""], [b"a"], [b"", b""], [b"x" * 255], [b"y" * 256, b"", b"z"], [b"w" * 70000, b"tail"]]


@pytest.fixture(params=MECHANISMS)
def mechanism(request):
    return request.param


@pytest.fixture(params=["ipc", "tcp"])
def forward(request, paths):
    return paths.ipc() if request.param == "ipc" else net.tcp()


@pytest.fixture
def pair(mechanism, forward, start_weir, peers):
    """pair(app type, client type, app_options, client_options) -> both sockets, connected through a gate."""

    def connect(app_type, client_type, app_options=None, client_options=None):
        app_security, client_security = secure(mechanism, peers)
        app = peers.app(app_type, forward, **app_security, **(app_options or {}))
        weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
        client = peers.client(client_type, weir.endpoint, **client_security, **(client_options or {}))
        return app, client

    return connect


def exchange(sender, receiver):
    for message in MESSAGES:
        sender.send_multipart(message)
    for message in MESSAGES:
        assert receiver.recv_multipart() == message


def test_req_rep(pair):
    rep, req = pair(zmq.REP, zmq.REQ)
    for message in MESSAGES:
        req.send_multipart(message)
        assert rep.recv_multipart() == message
        rep.send_multipart(message[::-1])
        assert req.recv_multipart() == message[::-1]


@pytest.mark.parametrize("routing_id", [b"\x01", b"client-7", b"i" * 255], ids=["1", "8", "255"])
def test_dealer_router_keeps_routing_ids(pair, routing_id):
    router, dealer = pair(zmq.ROUTER, zmq.DEALER, client_options={"ROUTING_ID": routing_id})
    for message in MESSAGES:
        dealer.send_multipart(message)
    for message in MESSAGES:
        assert router.recv_multipart() == [routing_id, *message]
        router.send_multipart([routing_id, b"re", *message])
    for message in MESSAGES:
        assert dealer.recv_multipart() == [b"re", *message]


def test_router_application_speaks_first(pair):
    """The application may address a known id before that client says anything."""
    router, dealer = pair(zmq.ROUTER, zmq.DEALER, {"ROUTER_MANDATORY": 1}, {"ROUTING_ID": b"quiet"})

    def sent():
        try:
            router.send_multipart([b"quiet", b"wake up"])
            return True
        except zmq.ZMQError as e:
            assert e.errno == zmq.EHOSTUNREACH
            return False

    net.wait_until(sent, "the client to be known to the application")
    assert dealer.recv_multipart() == [b"wake up"]


def test_client_router_to_application_dealer(pair):
    dealer, router = pair(zmq.DEALER, zmq.ROUTER, {"ROUTING_ID": b"app"})
    dealer.send_multipart([b"job"])
    assert router.recv_multipart() == [b"app", b"job"]
    router.send_multipart([b"app", b"done"])
    assert dealer.recv_multipart() == [b"done"]


@pytest.mark.parametrize("mechanism", ["NULL"], indirect=True)
def test_rep_client_of_a_req_application(pair):
    """Only NULL: libzmq's REQ cannot hear replies when a ZAP handler names the user, with or without a gate between."""
    req, rep = pair(zmq.REQ, zmq.REP)
    req.send(b"question")
    assert rep.recv() == b"question"
    rep.send(b"answer")
    assert req.recv() == b"answer"


def test_push_to_pull_application(pair):
    pull, push = pair(zmq.PULL, zmq.PUSH)
    exchange(push, pull)


def test_pull_from_push_application(pair):
    push, pull = pair(zmq.PUSH, zmq.PULL)
    exchange(push, pull)


def test_pair(pair):
    app, client = pair(zmq.PAIR, zmq.PAIR)
    exchange(client, app)
    exchange(app, client)


def subscribed(publisher, events):
    """The (un)subscriptions that an XPUB application hears, one for each expected event."""
    assert sorted(publisher.recv() for _ in events) == sorted(events)


def test_xpub_application_hears_subscribe_and_unsubscribe(pair):
    xpub, sub = pair(zmq.XPUB, zmq.SUB)
    sub.subscribe(b"a.")
    sub.subscribe(b"b.")
    subscribed(xpub, [b"\x01a.", b"\x01b."])
    for topic in (b"a.1", b"c.1", b"b.1"):
        xpub.send_multipart([topic, b"body"])
    assert [sub.recv_multipart()[0] for _ in range(2)] == [b"a.1", b"b.1"]
    sub.unsubscribe(b"a.")
    subscribed(xpub, [b"\x00a."])
    xpub.send(b"a.2")
    xpub.send(b"b.2")
    assert sub.recv() == b"b.2"


def test_pub_application(pair):
    """A plain PUB shows nothing of its subscriptions, so it repeats itself until they have effect."""
    pub, sub = pair(zmq.PUB, zmq.SUB, {"SNDHWM": 0}, {"SUBSCRIBE": b"yes", "RCVTIMEO": 20, "RCVHWM": 0})

    def heard():
        pub.send(b"no")
        pub.send(b"yes.beacon")
        try:
            return sub.recv()
        except zmq.Again:
            return None

    assert net.wait_until(heard, "the subscription to reach the publisher") == b"yes.beacon"
    sub.RCVTIMEO = int(net.PATIENCE * 1000)
    for i in range(1000):
        pub.send_multipart([b"yes.%d" % i, b"body"])
        pub.send_multipart([b"no.%d" % i, b"body"])
    got = []
    while len(got) < 1000:
        frames = sub.recv_multipart()
        if frames != [b"yes.beacon"]:
            got.append(frames)
    assert got == [[b"yes.%d" % i, b"body"] for i in range(1000)]


def test_sub_application_of_a_pub_client(pair):
    """A SUB that binds subscribes towards the publishers that connect; libzmq does it when the application next calls the socket."""
    sub, pub = pair(zmq.SUB, zmq.XPUB, {"SUBSCRIBE": b"metrics."})
    net.wait_until(lambda: not sub.poll(1) and pub.poll(10), "the subscription")
    assert pub.recv() == b"\x01metrics."
    pub.send(b"other.x")
    pub.send(b"metrics.x")
    assert sub.recv() == b"metrics.x"


def test_xsub_client_sends_user_messages_upstream(pair):
    xpub, xsub = pair(zmq.XPUB, zmq.XSUB)
    xsub.send(b"\x01topic")
    assert xpub.recv() == b"\x01topic"
    for i in range(5):
        xsub.send_multipart([b"note", b"%d" % i])
    for i in range(5):
        assert xpub.recv_multipart() == [b"note", b"%d" % i]
    xpub.send(b"topic news")
    assert xsub.recv() == b"topic news"
    xsub.send(b"\x00topic")
    assert xpub.recv() == b"\x00topic"


def test_many_subscribers_see_everything(start_weir, peers, paths):
    endpoint = paths.ipc()
    xpub = peers.app(zmq.XPUB, endpoint, XPUB_VERBOSE=1)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=endpoint)
    subs = [peers.client(zmq.SUB, weir.endpoint, SUBSCRIBE=b"t%d" % (i % 3)) for i in range(12)]
    for _ in subs:
        assert xpub.recv()[:2] == b"\x01t"
    for i in range(300):
        xpub.send_multipart([b"t%d" % (i % 3), b"%d" % i])
    for n, sub in enumerate(subs):
        assert [int(sub.recv_multipart()[1]) for _ in range(100)] == list(range(n % 3, 300, 3))

# SPDX-License-Identifier: MPL-2.0
"""Peers of other ZMTP versions: 3.x and 2.0, nothing older; no 2.0 by choice."""
import pytest
import zmq
from harness import net, zmtp
from harness.security import PASSWORD, USER, secure


def gate(start_weir, forward, **keys):
    return start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, **keys}]})


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
@pytest.mark.parametrize("minor", [0, 1])
def test_zmtp_3_clients(mechanism, minor, start_weir, peers, paths):
    forward = paths.ipc()
    app = peers.app(zmq.ROUTER, forward, **secure(mechanism, peers)[0])
    weir = gate(start_weir, forward)
    client = zmtp.connect(weir.endpoint, mechanism=mechanism, minor=minor, user=USER, password=PASSWORD, identity=b"raw")
    assert dict(client.peer_metadata)["Socket-Type"] == b"ROUTER"
    for frames in ([b""], [b"a", b"", b"x" * 300], [b"y" * 100000]):
        client.send(*frames)
        assert app.recv_multipart() == [b"raw", *frames]
        app.send_multipart([b"raw", *frames])
        assert client.recv() == frames


def test_long_headers_of_short_frames(start_weir, peers, paths):
    """The 8-byte size is legal for any frame."""
    forward = paths.ipc()
    app = peers.app(zmq.PULL, forward)
    client = zmtp.connect(gate(start_weir, forward).endpoint, socket_type="PUSH")
    client.send_raw(zmtp.frame(b"a", more=True, long=True) + zmtp.frame(b"", more=True, long=True) + zmtp.frame(b"c", long=True))
    assert app.recv_multipart() == [b"a", b"", b"c"]


def test_one_byte_at_a_time(start_weir, peers, paths):
    """Greeting, handshake and messages cut between any two bytes."""
    forward = paths.ipc()
    app = peers.app(zmq.PULL, forward)
    client = zmtp.RawPeer(net.raw_connect(gate(start_weir, forward).endpoint), socket_type="PUSH")
    whole = client.sock.sendall
    client.send_raw = lambda data: [whole(data[i:i + 1]) for i in range(len(data))]
    client.handshake()
    client.send(b"a", b"", b"x" * 300)
    assert app.recv_multipart() == [b"a", b"", b"x" * 300]


def test_subscriptions_of_a_3_0_subscriber_are_messages(start_weir, peers, paths):
    forward = paths.ipc()
    xpub = peers.app(zmq.XPUB, forward)
    sub = zmtp.connect(gate(start_weir, forward).endpoint, socket_type="SUB", minor=0)
    sub.send(b"\x01news")
    assert xpub.recv() == b"\x01news"
    xpub.send_multipart([b"news", b"1"])
    assert sub.recv() == [b"news", b"1"]
    sub.send(b"\x00news")
    assert xpub.recv() == b"\x00news"


def test_subscriptions_of_a_3_1_subscriber_are_commands(start_weir, peers, paths):
    forward = paths.ipc()
    xpub = peers.app(zmq.XPUB, forward)
    sub = zmtp.connect(gate(start_weir, forward).endpoint, socket_type="SUB")
    sub.send_command("SUBSCRIBE", b"news")
    assert xpub.recv() == b"\x01news"
    sub.send_command("CANCEL", b"news")
    assert xpub.recv() == b"\x00news"


@pytest.mark.parametrize("minor", [0, 1])
def test_application_of_either_minor_version(minor, start_weir, peers):
    """libzmq clients speak to an application of ZMTP 3.0 as it understands: subscriptions as messages."""
    app = zmtp.RawApp(socket_type="XPUB", minor=minor)
    weir = gate(start_weir, app.endpoint)
    sub = peers.client(zmq.SUB, weir.endpoint, SUBSCRIBE=b"news")
    publisher = app.next()
    if minor == 0:
        assert publisher.recv() == [b"\x01news"]
    else:
        assert publisher.recv_any() == ("command", b"SUBSCRIBE", b"news")
    publisher.send(b"news", b"1")
    publisher.send(b"news", b"2" * 70000)
    assert sub.recv_multipart() == [b"news", b"1"]
    assert sub.recv_multipart() == [b"news", b"2" * 70000]
    app.close()


def test_pings_reach_the_other_end_and_come_back(start_weir):
    """Weir answers for a peer only while it holds it up; otherwise PING, its TTL and its context pass."""
    app = zmtp.RawApp(socket_type="DEALER")
    client = zmtp.connect(gate(start_weir, app.endpoint).endpoint)
    server = app.next()
    for context in (b"", b"c" * 16):
        client.send_command("PING", b"\x00\x64" + context)
        assert server.recv_any() == ("command", b"PING", b"\x00\x64" + context)
        server.send_command("PONG", context)
        assert client.recv_any() == ("command", b"PONG", context)
        server.send_command("PING", b"\x00\x64" + context)
        assert client.recv_any() == ("command", b"PING", b"\x00\x64" + context)
        client.send_command("PONG", context)
        assert server.recv_any() == ("command", b"PONG", context)
    app.close()


@pytest.mark.parametrize("app_type, kind", [(zmq.REP, "REQ"), (zmq.ROUTER, "DEALER"), (zmq.PULL, "PUSH"), (zmq.PAIR, "PAIR")])
def test_zmtp_2(app_type, kind, start_weir, peers, paths):
    forward = paths.ipc()
    app = peers.app(app_type, forward)
    weir = gate(start_weir, forward)
    client = zmtp.RawPeer2(net.raw_connect(weir.endpoint), socket_type=kind, identity=b"old").handshake()
    envelope = [b""] if kind == "REQ" else []
    shown = [b"old"] if app_type == zmq.ROUTER else []
    for frames in ([b""], [b"a", b"", b"x" * 300], [b"y" * 100000]):
        client.send(*envelope, *frames)
        assert app.recv_multipart() == [*shown, *frames]
        if app_type != zmq.PULL:
            app.send_multipart([*shown, *frames])
            assert client.recv() == [*envelope, *frames]


def test_zmtp_2_subscriber(start_weir, peers, paths):
    forward = paths.ipc()
    xpub = peers.app(zmq.XPUB, forward)
    weir = gate(start_weir, forward)
    sub = zmtp.RawPeer2(net.raw_connect(weir.endpoint), socket_type="SUB").handshake()
    sub.send(b"\x01news")
    assert xpub.recv() == b"\x01news"
    xpub.send(b"news 1")
    assert sub.recv() == [b"news 1"]


def test_zmtp_2_beside_3_1(start_weir, peers, paths):
    """One gate, both kinds of clients."""
    forward = paths.ipc()
    app = peers.app(zmq.REP, forward)
    weir = gate(start_weir, forward)
    old = zmtp.RawPeer2(net.raw_connect(weir.endpoint), socket_type="REQ").handshake()
    new = peers.client(zmq.REQ, weir.endpoint)
    for _ in range(3):
        old.send(b"", b"old")
        assert app.recv() == b"old"
        app.send(b"re old")
        assert old.recv() == [b"", b"re old"]
        new.send(b"new")
        assert app.recv() == b"new"
        app.send(b"re new")
        assert new.recv() == b"re new"


@pytest.mark.parametrize("zmtp2, first", [
    (False, zmtp.SIGNATURE + b"\x01\x03"), (False, b"\x01\x00"), (True, b"\x01\x00"), (True, zmtp.SIGNATURE + b"\x00\x03"),
    (False, zmtp.SIGNATURE + b"\x00\x03")], ids=["2.0", "1.0", "1.0 although 2.0 is allowed", "revision 0 although 2.0 is allowed", "revision 0"])
def test_older_versions_are_refused(zmtp2, first, start_weir, start_app, paths):
    """Closed, and the application never hears of them."""
    app = start_app("rep", paths.ipc())
    weir = gate(start_weir, app.endpoint, zmtp2=zmtp2)
    client = zmtp.RawPeer(net.raw_connect(weir.endpoint))
    client.send_raw(first + (bytes([0, 0]) if len(first) > 2 else b""))
    assert client.closed_by_peer()
    weir.wait_metric("weir_connections", lambda n: n == 0)
    assert weir.metric("weir_connections_established_total") == 0
    good = zmtp.connect(weir.endpoint, socket_type="REQ")
    good.send(b"", b"still here")
    assert good.recv() == [b"", b"still here"]

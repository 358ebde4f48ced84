# SPDX-License-Identifier: MPL-2.0
"""Who is it: what the application learns about a client, what a client cannot pretend, and who is refused by the application."""
import contextlib

import pytest
import zmq
from harness import net, zmtp
from harness.security import PASSWORD, USER, secure, stranger_options

FORGED = [("X-Weir-Peer", "6.6.6.6:6"), ("x-weir-peer", "6.6.6.6:6"), ("X-WEIR-PEER", "6.6.6.6:6"), ("X-Weir-User", "root"),
          ("X-Weir-Key", "k" * 40), ("x-weir-class", "vip"), ("Peer-Address", "6.6.6.6"), ("peer-address", "6.6.6.6"), ("User-Id", "root"),
          ("USER-ID", "root"), ("__fd", "1"), ("X-Mine", "kept")]


def property_of(frame, name):
    """None where the application does not see the property."""
    try:
        return frame.get(name)
    except zmq.ZMQError:
        return None


def gate(start_weir, peers, paths, mechanism, kind="ipc", listen="tcp://127.0.0.1:*", app_type=zmq.ROUTER):
    forward = paths.ipc() if kind == "ipc" else net.tcp()
    app_security, client_security = secure(mechanism, peers)
    app = peers.app(app_type, forward, **app_security)
    return app, start_weir(listen=listen, forward=forward), client_security


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_x_weir_peer_is_the_clients_address(mechanism, kind, start_weir, peers, paths):
    app, weir, security = gate(start_weir, peers, paths, mechanism, kind)
    for source in ("127.0.0.1", "127.9.8.7"):
        port = net.free_port(source)
        client = peers.client(zmq.DEALER, f"tcp://{source}:{port};{weir.endpoint.removeprefix('tcp://')}", **security)
        client.send_multipart([b"a", b"b"])
        for frame in app.recv_multipart(copy=False)[1:]:
            assert frame.get("X-Weir-Peer") == f"{source}:{port}"
            assert frame.get("Socket-Type") == "DEALER"
            assert property_of(frame, "User-Id") == ("alice" if mechanism == "PLAIN" else None)


def test_x_weir_peer_of_an_ipv6_client(start_weir, peers, paths):
    app, weir, _ = gate(start_weir, peers, paths, "NULL", listen="tcp://[::1]:*")
    client = zmtp.connect(weir.endpoint)
    client.send(b"a")
    assert app.recv_multipart(copy=False)[1].get("X-Weir-Peer") == net.text_of(client.sock.getsockname())


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
@pytest.mark.parametrize("minor", [0, 1])
def test_forged_properties_do_not_get_through(mechanism, minor, start_weir, peers, paths):
    app, weir, _ = gate(start_weir, peers, paths, mechanism)
    client = zmtp.connect(weir.endpoint, mechanism=mechanism, minor=minor, user=USER, password=PASSWORD, extra=FORGED)
    client.send(b"a")
    frame = app.recv_multipart(copy=False)[1]
    seen = {name: property_of(frame, name) for name, _ in FORGED}
    me = net.text_of(client.sock.getsockname())
    assert seen.pop("X-Weir-Peer") == me
    assert seen.pop("X-Mine") == "kept"
    assert seen.pop("User-Id") == ("alice" if mechanism == "PLAIN" else None)
    assert seen.pop("Peer-Address") != "6.6.6.6"
    assert seen.pop("__fd") != "1"
    assert set(seen.values()) == {None}


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
def test_what_is_written_to_the_application(mechanism, start_weir):
    """On the wire: Weir's property first, once, and no forgery behind it in any spelling."""
    app = zmtp.RawApp(mechanism=mechanism, as_server=mechanism == "PLAIN", socket_type="ROUTER")
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    client = zmtp.connect(weir.endpoint, mechanism=mechanism, user=USER, password=PASSWORD, identity=b"me", extra=FORGED)
    metadata = app.next().peer_metadata
    assert metadata[0] == ("X-Weir-Peer", net.text_of(client.sock.getsockname()).encode())
    names = [name.lower() for name, _ in metadata]
    assert sorted(names) == sorted(["x-weir-peer", "socket-type", "identity", "x-mine"])
    assert dict(metadata)["Identity"] == b"me" and dict(metadata)["X-Mine"] == b"kept"
    app.close()


def test_what_the_application_says_reaches_the_client(start_weir):
    """Metadata of the application passes as it is."""
    app = zmtp.RawApp(socket_type="ROUTER", identity=b"server", extra=[("X-Version", "7")])
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    client = zmtp.connect(weir.endpoint)
    assert dict(client.peer_metadata) == {"Socket-Type": b"ROUTER", "Identity": b"server", "X-Version": b"7"}
    app.close()


def knock(stranger):
    """libzmq may have given up already on a peer of another mechanism; then there is nowhere to send to."""
    with contextlib.suppress(zmq.Again):
        stranger.send(b"let me in", zmq.NOBLOCK)


def refused(peers, weir, app, wrong, right):
    """The application says no to the one and serves the other."""
    stranger = peers.client(zmq.REQ, **wrong)
    events = peers.monitor(stranger)
    stranger.connect(weir.endpoint)
    knock(stranger)
    events.wait("HANDSHAKE_FAILED_AUTH")
    friend = peers.client(zmq.REQ, weir.endpoint, **right)
    friend.send(b"hello")
    assert app.recv() == b"hello"
    app.send(b"welcome")
    assert friend.recv() == b"welcome"
    assert events.count("HANDSHAKE_SUCCEEDED") == 0
    assert not app.poll(0)


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
@pytest.mark.parametrize("wrong", [{"PLAIN_PASSWORD": b"guess"}, {"PLAIN_USERNAME": b"mallory"}], ids=["password", "user"])
def test_wrong_plain_credentials(kind, wrong, start_weir, peers, paths):
    app, weir, right = gate(start_weir, peers, paths, "PLAIN", kind, app_type=zmq.REP)
    refused(peers, weir, app, {**right, **wrong}, right)


# libzmq up to 4.3.4 at least writes the name as "\x5ERROR", which C reads as "^RROR", and its clients expect just that.
@pytest.mark.parametrize("error", [b"\x05ERROR\x03400", b"^RROR\x03400"], ids=["RFC", "libzmq"])
def test_the_reason_of_a_refusal_reaches_the_client(error, start_weir):
    """Byte for byte; then the connection ends."""

    class Refusing(zmtp.RawPeer):
        def _plain_server(self):
            self.expect_command(b"HELLO")
            self.send_raw(zmtp.frame(error, command=True))
            raise zmtp.Closed("refused")

    app = zmtp.RawApp(peer=Refusing, mechanism="PLAIN", as_server=True)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    client = zmtp.RawPeer(net.raw_connect(weir.endpoint), mechanism="PLAIN", user=USER, password=b"guess")
    client.exchange_greetings()
    client.send_raw(zmtp.command("HELLO", b"\x05alice\x05guess"))
    assert client.recv_frame() == (zmtp.COMMAND, error)
    assert client.closed_by_peer()
    app.close()


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_wrong_curve_client_key(kind, start_weir, peers, paths):
    app, weir, right = gate(start_weir, peers, paths, "CURVE", kind, app_type=zmq.REP)
    public, secret = zmq.curve_keypair()
    refused(peers, weir, app, {**right, "CURVE_PUBLICKEY": public, "CURVE_SECRETKEY": secret}, right)


def test_wrong_curve_server_key(start_weir, peers, paths):
    """The client takes the server for another: the application cannot open its HELLO and hangs up."""
    app, weir, right = gate(start_weir, peers, paths, "CURVE", app_type=zmq.REP)
    stranger = peers.client(zmq.REQ, **{**right, "CURVE_SERVERKEY": zmq.curve_keypair()[0]})
    events = peers.monitor(stranger)
    stranger.connect(weir.endpoint)
    knock(stranger)
    events.wait("DISCONNECTED")
    assert events.count("HANDSHAKE_SUCCEEDED") == 0
    assert not app.poll(100)


@pytest.mark.parametrize("application, client", [("NULL", "PLAIN"), ("NULL", "CURVE"), ("PLAIN", "NULL"), ("PLAIN", "CURVE"), ("CURVE", "NULL"),
                                                 ("CURVE", "PLAIN")])
def test_another_mechanism_than_the_applications(application, client, start_weir, peers, paths):
    app, weir, right = gate(start_weir, peers, paths, application, app_type=zmq.REP)
    stranger = peers.client(zmq.REQ, **stranger_options(client))
    events = peers.monitor(stranger)
    stranger.connect(weir.endpoint)
    knock(stranger)
    events.wait("DISCONNECTED")
    friend = peers.client(zmq.REQ, weir.endpoint, **right)
    friend.send(b"hello")
    assert app.recv() == b"hello"
    assert events.count("HANDSHAKE_SUCCEEDED") == 0
    assert not app.poll(0)

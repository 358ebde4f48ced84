# SPDX-License-Identifier: MPL-2.0
"""Clients behind a load balancer that writes PROXY protocol headers, with real libzmq on both sides: each client is itself."""
import os
import signal
import socket
import time

import pytest
import zmq
from harness import net, zmtp
from harness.balancer import HEADERS, LOCAL, UNKNOWN, Balancer, HAProxy, have_haproxy, header_v1
from harness.net import from_source, raw_connect, wait_until

BALANCER = "127.8.8.8"
RESERVED_FLAGS = b"\x80\x01x"


def client_address(i):
    return f"127.9.{i // 200}.{i % 200 + 1}"


def config(forward, *, balancers=(BALANCER,), top=None, **keys):
    gate = {"name": "main", "listen": "tcp://127.0.0.1:*", "forward": forward, "proxy_protocol": {"from": list(balancers)}, **keys}
    return {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, **(top or {}), "gates": [gate]}


@pytest.fixture
def app(start_app, paths):
    return start_app("rep", paths.ipc())


@pytest.fixture
def balance(paths):
    """balance(weir, "v1" or "v2" or "haproxy-v1" ...) -> a balancer in front of it, closed at the end."""
    made = []

    def balance(weir, kind, **kwargs):
        if kind.startswith("haproxy-"):
            if not have_haproxy():
                pytest.skip("haproxy is not installed")
            made.append(HAProxy(paths.folder, weir.endpoint, kind.removeprefix("haproxy-"), BALANCER, **kwargs))
        else:
            made.append(Balancer(weir.endpoint, kind, BALANCER, **kwargs))
        return made[-1]

    yield balance
    for b in made:
        b.close()


def echoes(client, body=b"hello"):
    client.send(body)
    return client.recv() == body


def misbehave(endpoint, source):
    """Shakes hands and sends a frame that ZMTP forbids."""
    peer = zmtp.RawPeer(raw_connect(endpoint, source, timeout=2), socket_type="REQ")
    try:
        peer.handshake()
        peer.send_raw(RESERVED_FLAGS)
        while peer.sock.recv(4096):
            pass
    except (zmtp.Closed, OSError):
        pass
    finally:
        peer.close()


KINDS = ["v1", "v2", "haproxy-v1", "haproxy-v2"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_application_reads_each_client_s_address(kind, start_weir, peers, balance):
    app = peers.app(zmq.REP, "tcp://127.0.0.1:*")
    weir = start_weir(config=config(app.last_endpoint.decode()))
    balancer = balance(weir, kind)
    for i in range(3):
        client = peers.client(zmq.REQ, from_source(client_address(i), balancer.endpoint))
        client.send(b"who am I")
        frame = app.recv(copy=False)
        assert frame.get("X-Weir-Peer").rpartition(":")[0] == client_address(i)
        app.send(b"yourself")
        assert client.recv() == b"yourself"
    direct = peers.client(zmq.REQ, weir.endpoint)
    direct.send(b"who am I")
    assert app.recv(copy=False).get("X-Weir-Peer").startswith("127.0.0.1:")
    assert weir.metric("weir_verdicts_total", verdict="bad_proxy_header") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_one_wrong_client_behind_the_balancer(kind, app, start_weir, peers, balance):
    """It alone is banned: the others' connections stand, their newcomers come in."""
    weir = start_weir(config={**config(app.endpoint), "workers": 2})
    balancer = balance(weir, kind)
    others = [peers.client(zmq.REQ, from_source(client_address(i), balancer.endpoint)) for i in range(1, 21)]
    watches = [peers.monitor(client) for client in others]
    assert all(echoes(client) for client in others)

    def until_banned():
        misbehave(balancer.endpoint, client_address(0))
        return weir.metric("weir_bans")

    wait_until(until_banned, "the offender to be banned", step=0)
    wait_until(lambda: f"{client_address(0)} is banned for" in weir.stderr(), "the line that says so")
    for _ in range(5):
        assert all(echoes(client) for client in others)
    assert sum(watch.count("DISCONNECTED") for watch in watches) == 0
    assert all(echoes(peers.client(zmq.REQ, from_source(client_address(i), balancer.endpoint))) for i in range(1, 6))
    assert weir.metric("weir_bans") == 1
    accepted = weir.metric("weir_verdicts_total", verdict="banned")
    misbehave(balancer.endpoint, client_address(0))
    assert weir.metric("weir_verdicts_total", verdict="banned") == accepted + 1


def test_limits_and_classes_are_the_client_s(app, start_weir, peers, balance):
    weir = start_weir(config=config(app.endpoint, source={"connections": {"max": 2}},
                                    classes=[{"name": "gold", "match": {"networks": [client_address(1)]}}]))
    balancer = balance(weir, "v2")
    clients = [peers.client(zmq.REQ, from_source(client_address(i), balancer.endpoint)) for i in [1, 1, 2, 2, 3, 4]]
    assert all(echoes(client) for client in clients)
    assert weir.metric("weir_class_connections", **{"class": "gold"}) == 2
    assert raw_connect(balancer.endpoint, client_address(1)).recv(1) == b""
    assert weir.metric("weir_verdicts_total", verdict="too_many_connections") == 1


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_headers_in_pieces_and_of_ipv6_clients(version, start_weir, peers, balance):
    app = peers.app(zmq.REP, "tcp://127.0.0.1:*")
    weir = start_weir(config=config(app.last_endpoint.decode()))
    balancer = balance(weir, version, pieces=True)
    balancer.header = lambda client, to: HEADERS[version](("2001:db8::7", 4711), ("2001:db8::1", 5555))
    client = peers.client(zmq.REQ, balancer.endpoint)
    client.send(b"who am I")
    assert app.recv(copy=False).get("X-Weir-Peer") == "[2001:db8::7]:4711"


def test_a_balancer_on_a_unix_socket(start_weir, peers, balance, paths):
    """It is listed by its user."""
    app = peers.app(zmq.REP, "tcp://127.0.0.1:*")
    conf = config(app.last_endpoint.decode(), balancers=[f"uid:{os.getuid()}"])
    conf["gates"][0]["listen"] = paths.ipc()
    weir = start_weir(config=conf)
    client = peers.client(zmq.REQ, from_source(client_address(1), balance(weir, "v2").endpoint))
    client.send(b"who am I")
    assert app.recv(copy=False).get("X-Weir-Peer").rpartition(":")[0] == client_address(1)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_from_a_network_that_is_not_listed(version, app, start_weir):
    """Nobody can name himself; and a balancer that was forgotten in the configuration is told of, and not banned."""
    weir = start_weir(config=config(app.endpoint, ban={"strikes": 1}))
    with raw_connect(weir.endpoint, "127.8.8.9") as s:
        s.sendall(HEADERS[version](("127.9.9.9", 1), ("127.0.0.1", 2)) + zmtp.greeting())
        assert zmtp.RawPeer(s).closed_by_peer()
    weir.wait_metric("weir_verdicts_total", 1, verdict="unexpected_proxy_header")
    assert weir.metric("weir_strikes_total") == weir.metric("weir_bans") == 0
    wait_until(lambda: "unexpected_proxy_header" in weir.stderr(), "the line that says so")


def test_a_balancer_without_headers(app, start_weir, peers, balance):
    """A mistake of the operator's: closed with a line that says what is missing, and nobody is banned for it."""
    weir = start_weir(config=config(app.endpoint, ban={"strikes": 1}))
    balancer = balance(weir, "none")
    client = peers.client(zmq.REQ, balancer.endpoint)
    watch = peers.monitor(client)
    watch.wait("DISCONNECTED", 5)
    assert weir.metric("weir_verdicts_total", verdict="bad_proxy_header") >= 4
    assert weir.metric("weir_strikes_total") == weir.metric("weir_bans") == 0
    wait_until(lambda: f"newcomer {BALANCER}:" in weir.stderr() and "bad_proxy_header" in weir.stderr(), "the line that says so")
    # A reload settles it.
    weir.write({**config(app.endpoint, balancers=[]), "admin": {"listen": weir.admin}})
    weir.signal(signal.SIGHUP)
    assert echoes(client)


@pytest.mark.parametrize(("header", "why"), [
    (b"PROXY TCP4 127.9.9.999 127.0.0.1 1 2\r\n", "behind PROXY there is not TCP4 or TCP6, two such addresses and two ports, or UNKNOWN"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x7f\0\0\x01", "its length is too small for the addresses of its family"),
])
def test_a_wrong_header_is_told(app, start_weir, header, why):
    weir = start_weir(config=config(app.endpoint))
    with raw_connect(weir.endpoint, BALANCER) as s:
        s.sendall(header)
        assert zmtp.RawPeer(s).closed_by_peer()
    wait_until(lambda: f"is wrong, or does not come in time: {why} (bad_proxy_header)" in weir.stderr(), "the line that says so")


def test_a_header_that_does_not_come(app, start_weir):
    weir = start_weir(config=config(app.endpoint, handshake={"within": "300ms"}))
    with raw_connect(weir.endpoint, BALANCER) as s:
        s.sendall(b"PROXY TCP4 127.9.9.9 ")
        weir.wait_metric("weir_connections_unnamed", 1)
        assert zmtp.RawPeer(s).closed_by_peer()
    weir.wait_metric("weir_verdicts_total", 1, verdict="bad_proxy_header")
    assert weir.metric("weir_connections_unnamed") == weir.metric("weir_strikes_total") == 0


@pytest.mark.parametrize("header", [LOCAL, UNKNOWN], ids=["LOCAL", "UNKNOWN"])
def test_a_health_check_that_names_nobody(header, start_weir, peers):
    """It has the balancer's own address, and whatever it says then is no offence."""
    app = peers.app(zmq.ROUTER, "tcp://127.0.0.1:*")
    weir = start_weir(config=config(app.last_endpoint.decode(), ban={"strikes": 1}))
    for said in [b"", b"GET / HTTP/1.0\r\n\r\n", zmtp.greeting() + b"\x80\x01x"]:
        with raw_connect(weir.endpoint, BALANCER) as s:
            s.sendall(header + said)
            s.shutdown(socket.SHUT_WR)
            assert zmtp.RawPeer(s).closed_by_peer()
    with raw_connect(weir.endpoint, BALANCER) as s:
        port = s.getsockname()[1]
        s.sendall(header)
        zmtp.RawPeer(s, socket_type="DEALER").handshake().send(b"", b"all well?")
        assert app.recv_multipart(copy=False)[-1].get("X-Weir-Peer") == f"{BALANCER}:{port}"
    assert weir.metric("weir_strikes_total") == weir.metric("weir_bans") == 0


@pytest.mark.parametrize("version", ["v1", "v2", "none"])
def test_health_checks_of_haproxy(version, app, start_weir, peers, balance):
    """With headers and without: the server is up, and nothing is an offence."""
    listed = {"balancers": [BALANCER]} if version != "none" else {"balancers": []}
    weir = start_weir(config=config(app.endpoint, ban={"strikes": 1}, **listed))
    balancer = balance(weir, f"haproxy-{version}", check=True)
    if version == "none":  # such a check of HAProxy's ends with RST before there is anything to accept
        time.sleep(1)
    else:
        weir.wait_metric("weir_verdicts_total", 20, verdict="handshake_abandoned")
    assert balancer.server_state() == ("UP", 0)
    assert weir.metric("weir_strikes_total") == weir.metric("weir_bans") == 0
    assert weir.metric("weir_verdicts_total", verdict="bad_proxy_header") == 0
    assert echoes(peers.client(zmq.REQ, balancer.endpoint))


def test_a_ban_of_the_balancer_s_own_address(app, start_weir, peers, paths, balance):
    """Somebody's list has it: the clients that it brings are other people."""
    with open(paths.file("bans"), "w") as f:
        f.write(f"{BALANCER}\n{client_address(1)}\n")
    weir = start_weir(config=config(app.endpoint, top={"ban": {"lists": [paths.file("bans")]}}))
    balancer = balance(weir, "v2")
    assert echoes(peers.client(zmq.REQ, from_source(client_address(2), balancer.endpoint)))
    with raw_connect(weir.endpoint, BALANCER) as s:
        s.sendall(LOCAL)
        zmtp.RawPeer(s, socket_type="REQ").handshake()
    before = weir.metric("weir_verdicts_total", verdict="banned")
    misbehave(balancer.endpoint, client_address(1))
    assert weir.metric("weir_verdicts_total", verdict="banned") == before + 1 == 1


def test_an_address_that_looks_like_a_balancer(app, start_weir, peers, balance):
    """One without headers in front of sixty clients is told of, once; with headers there is nothing to tell."""
    def crowd(version, balancers):
        weir = start_weir(config={**config(app.endpoint, balancers=balancers), "workers": 2})
        balancer = balance(weir, version)
        for i in range(60):
            client = peers.client(zmq.REQ, from_source(client_address(i), balancer.endpoint))
            assert echoes(client)
            clients.append(client)
        return weir

    clients = []
    weir = crowd("v2", [BALANCER])
    assert weir.metric("weir_shared_addresses_total") == 0
    weir = crowd("none", [])
    assert weir.metric("weir_shared_addresses_total") == 1
    wait_until(lambda: weir.stderr().count(f"{BALANCER} holds ") == 1, "the line that says so")
    assert weir.has_said("looks like a load balancer or NAT")


def test_a_warning_for_the_whole_world(app, start_weir):
    weir = start_weir(config=config(app.endpoint, balancers=["0.0.0.0/0"]))
    assert weir.has_said("whoever reaches this gate can say that he is anybody")
    s = raw_connect(weir.endpoint, "127.7.7.7")
    s.sendall(header_v1(("10.0.0.1", 1), ("10.0.0.2", 2)))
    zmtp.RawPeer(s, socket_type="REQ").handshake()
    s.close()

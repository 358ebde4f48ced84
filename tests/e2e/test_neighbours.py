# SPDX-License-Identifier: MPL-2.0
"""Sixty clients behind one address, and one each of everything that goes wrong there: the others notice nothing. Unmodified libzmq."""
import collections
import contextlib
import os
import statistics
import threading
import time
from pathlib import Path

import pytest
import zmq
from harness import net, zmtp
from harness.balancer import Balancer
from harness.net import from_source, raw_connect
from harness.network import OFFENDER, Network, why_not
from harness.peers import Monitor

ADDRESS = "127.9.7.7"
RESERVED_FLAGS = b"\x80\x01x"
GREETED = zmtp.greeting() + zmtp.command("READY", zmtp.properties(("Socket-Type", "DEALER"), ("Identity", b"")))
HTTP = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
TLS = bytes.fromhex("16030100a5010000a10303") + bytes(160)
LOGIN = {"PLAIN_USERNAME": b"ann", "PLAIN_PASSWORD": b"right"}
APP = {"options": {"PLAIN_SERVER": 1}, "zap": {"plain": {"ann": "right"}}}
LONG_S = 4.0


class Loopback:
    """How clients of one address reach a gate. Another way there (a proxy, a network) has the same four."""
    keys = {}

    def __init__(self, peers):
        self.ctx = peers.client_ctx

    def listen(self):
        return "tcp://127.0.0.1:*"

    def raw(self, weir, timeout=2):
        return raw_connect(weir.endpoint, ADDRESS, timeout=timeout)

    def client(self, weir, kind, **options):
        s = self.ctx.socket(kind)
        for name, value in {"LINGER": 0, "RCVTIMEO": int(net.PATIENCE * 1000), "SNDTIMEO": int(net.PATIENCE * 1000), **options}.items():
            s.setsockopt(getattr(zmq, name), value)
        s.connect(self.endpoint(weir))
        return s

    def endpoint(self, weir):
        return from_source(ADDRESS, weir.endpoint)

    def assert_not_dropped(self, weir):
        assert weir.metric("weir_bans_total") == 0

    def close(self):
        pass


class Proxied(Loopback):
    """Behind a load balancer that names the address in PROXY protocol headers."""
    BALANCER = "127.9.8.8"
    keys = {"proxy_protocol": {"from": [BALANCER]}}
    balancer = None

    def front(self, weir):
        if not self.balancer:
            self.balancer = Balancer(weir.endpoint, "v2", self.BALANCER)
        return self.balancer.endpoint

    def raw(self, weir, timeout=2):
        return raw_connect(self.front(weir), ADDRESS, timeout=timeout)

    def endpoint(self, weir):
        return from_source(ADDRESS, self.front(weir))

    def assert_not_dropped(self, weir):
        super().assert_not_dropped(weir)
        assert weir.metric("weir_verdicts_total", verdict="bad_proxy_header") == 0

    def close(self):
        if self.balancer:
            self.balancer.close()


class Kernel(Loopback):
    """Over a virtual cable, to a gate whose bans are in the kernel."""
    keys = {"ban": {"kernel": "nftables"}}

    def __init__(self):
        self.network = Network()
        with self.network.clients():
            self.ctx = zmq.Context()
            self.ctx.max_sockets = 4096
            self.ctx.socket(zmq.REQ).close()  # starts the threads

    def listen(self):
        return f"tcp://*:{net.free_port()}"

    def port(self, weir):
        return net.split_tcp(weir.endpoint)[1]

    def raw(self, weir, timeout=2):
        s = self.network.connect(OFFENDER, self.port(weir), timeout=timeout)
        s.settimeout(timeout)
        return s

    def endpoint(self, weir):
        return f"tcp://{OFFENDER}:0;10.98.0.1:{self.port(weir)}"

    def assert_not_dropped(self, weir):
        super().assert_not_dropped(weir)
        assert not self.network.is_dropped(OFFENDER, self.port(weir))
        assert weir.metric("weir_kernel_bans_in_force") == 1 and weir.metric("weir_kernel_bans") == 0

    def close(self):
        self.ctx.destroy(linger=0)
        self.network.close()


@pytest.fixture(params=["loopback", "proxied", "kernel"])
def way(request, start_weir, start_app, peers):
    if request.param == "kernel" and why_not():
        if os.environ.get("WEIR_KERNEL_TESTS"):
            pytest.fail(f"bans in the kernel must be tested: {why_not()}")
        pytest.skip(why_not())
    w = Kernel() if request.param == "kernel" else {"loopback": Loopback, "proxied": Proxied}[request.param](peers)
    yield w
    w.close()


# ---- who goes wrong ----

def until(end, every_s=0.0):
    while not end.is_set():
        yield
        end.wait(every_s)


def swallow(sock, most_s):
    sock.settimeout(most_s)
    while sock.recv(4096):
        pass


def garbage_sender(way, weir, end):
    """Shakes hands, then breaks the protocol, and comes back ten times a second, as a libzmq client would."""
    for _ in until(end, 0.1):
        with contextlib.suppress(OSError, zmtp.Closed), way.raw(weir) as s:
            zmtp.RawPeer(s, mechanism="PLAIN", user=b"ann", password=b"right").handshake()
            s.sendall(RESERVED_FLAGS)
            swallow(s, 0.5)


def scanner(way, weir, end):
    for n, _ in enumerate(until(end, 0.005)):
        with contextlib.suppress(OSError), way.raw(weir) as s:
            s.sendall((HTTP, TLS, b"\0" * 100, b"")[n % 4])
            if n % 4 == 3:
                swallow(s, 0.1)  # says nothing


def old_version(way, weir, end):
    """ZMTP 2.0, which knows no PLAIN."""
    for _ in until(end, 0.1):
        with contextlib.suppress(OSError), way.raw(weir) as s:
            s.sendall(zmtp.SIGNATURE + b"\x01\x05")
            swallow(s, 2)


def health_checks(way, weir, end):
    for n, _ in enumerate(until(end, 0.5)):
        with contextlib.suppress(OSError), way.raw(weir) as s:
            if n % 2:
                s.sendall(HTTP)
                swallow(s, 0.2)


def in_a_loop(way, weir, end):
    """Shakes hands and leaves, as fast as it can."""
    for _ in until(end):
        with contextlib.suppress(OSError, zmtp.Closed), way.raw(weir) as s:
            zmtp.RawPeer(s, mechanism="PLAIN", user=b"ann", password=b"right").handshake()


RAW = [garbage_sender, scanner, old_version, health_checks, in_a_loop]


def wrong_clients(way, weir):
    """Real ones, which come back by themselves: of a wrong type, without the mechanism, with a wrong password."""
    return [way.client(weir, zmq.SUB, **LOGIN), way.client(weir, zmq.DEALER, PLAIN_USERNAME=b"ann", PLAIN_PASSWORD=b"wrong"), way.client(weir, zmq.DEALER)]


@contextlib.contextmanager
def everything_wrong(way, weir):
    end = threading.Event()
    threads = [threading.Thread(target=who, args=(way, weir, end)) for who in RAW]
    wrong = wrong_clients(way, weir)
    for t in threads:
        t.start()
    try:
        yield
    finally:
        end.set()
        for t in threads:
            t.join()
        for s in wrong:
            s.close()


# ---- who does not ----

def timed(client, body):
    begun = time.monotonic()
    client.send(body)
    assert client.recv() == body
    return time.monotonic() - begun


def figures(name, times):
    times = sorted(times)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    print(f"{name}: {len(times)}, median {1000 * statistics.median(times):.1f} ms, p99 {1000 * p99:.1f} ms, worst {1000 * times[-1]:.1f} ms")
    return p99


def test_sixty_behind_one_address(way, start_app, start_weir, paths):
    app = start_app("router", paths.ipc(), **APP)
    weir = start_weir(config={"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, "workers": 2,
                              "gates": [{"name": "main", "listen": way.listen(), "forward": app.endpoint, **way.keys}]})
    clients = [way.client(weir, zmq.DEALER, **LOGIN) for _ in range(59)]
    for client in clients:
        timed(client, b"hello")
    watches = [Monitor(client) for client in clients[:8]]
    quiet = [timed(client, b"quiet") for _ in range(3) for client in clients]
    busy, newcomers = [], []
    with everything_wrong(way, weir):
        end = time.monotonic() + LONG_S
        while time.monotonic() < end:
            busy += [timed(client, b"%d" % len(busy)) for client in clients]
            begun = time.monotonic()
            newcomer = way.client(weir, zmq.DEALER, **LOGIN)
            timed(newcomer, b"new")
            newcomers.append(time.monotonic() - begun)
            newcomer.close()
        verdicts = {name: weir.metric("weir_verdicts_total", verdict=name) for name in
                    ("reserved_flags", "bad_greeting", "wrong_socket_type", "wrong_mechanism", "application_refused")}
        way.assert_not_dropped(weir)
    figures("quiet", quiet)
    # Limits against hanging; what was measured stands in the output.
    assert figures("while everything goes wrong", busy) < net.PATIENCE
    assert max(newcomers) < net.PATIENCE / 3, figures("newcomers", newcomers)
    figures("newcomers", newcomers)
    assert all(verdicts.values()), verdicts
    assert weir.metric("weir_probations_total") >= 1 and weir.metric("weir_bans") == 0
    assert sum(watch.count("DISCONNECTED") for watch in watches) == 0
    assert weir.metric("weir_verdicts_total", verdict="banned") == 0
    for watch in watches:
        watch.stop()
    for client in clients:
        client.close()


# ---- mistakes ----

def alone(app, **keys):
    return {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, "gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": app.endpoint, **keys}]}


def nobody_is_blamed(weir):
    assert weir.metric("weir_strikes_total") == weir.metric("weir_bans_total") == weir.metric("weir_probations_total") == 0


def test_a_wrong_type_is_named_and_comes_back_slowly(start_app, start_weir, peers, paths):
    """A SUB that connects to a ROUTER, every 100 ms if it could."""
    app = start_app("router", paths.ipc())
    weir = start_weir(config=alone(app))
    good = peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint))
    timed(good, b"here")
    wrong = peers.client(zmq.SUB, from_source(ADDRESS, weir.endpoint), SUBSCRIBE=b"")
    begun = time.monotonic()
    weir.wait_metric("weir_verdicts_total", 3, verdict="wrong_socket_type")
    assert time.monotonic() - begun > 1.5  # kept for a second, twice
    assert weir.has_said("it is a SUB, the application a ROUTER")
    timed(good, b"still here")
    wrong.close()
    nobody_is_blamed(weir)


def assert_named_and_kept(weir, verdict, words):
    """Three of them take two seconds, whose line says what does not fit."""
    begun = time.monotonic()
    weir.wait_metric("weir_verdicts_total", 3, verdict=verdict)
    assert time.monotonic() - begun > 1.5  # kept for a second, twice
    assert weir.has_said(words)
    for other in ("application_refused", "application_gone", "handshake_abandoned", "bad_greeting"):
        assert weir.metric("weir_verdicts_total", verdict=other) == 0
    nobody_is_blamed(weir)


@contextlib.contextmanager
def comes_back(weir, kind):
    """A client that connects anew 100 ms after each end, as libzmq's does. It has said its READY with its greeting: libzmq gives up for good if
    the application's READY is there first, and who of the two is first is chance."""
    said, end = zmtp.greeting() + zmtp.command("READY", zmtp.properties(("Socket-Type", kind))), threading.Event()

    def run():
        for _ in until(end, 0.1):
            with contextlib.suppress(OSError), raw_connect(weir.endpoint, ADDRESS) as s:
                s.sendall(said)
                swallow(s, net.PATIENCE)

    client = threading.Thread(target=run)
    client.start()
    try:
        yield
    finally:
        end.set()
        client.join()


@pytest.mark.parametrize("kind", ["SUB", "PUSH"])
def test_a_wrong_type_with_nobody_else_there(kind, start_app, start_weir, paths):
    """The first connection of all, by which Weir gets to know the application: libzmq closes it without a word."""
    app, events = start_app("router", paths.ipc()), paths.file("events.jsonl")
    weir = start_weir(config={**alone(app), "events": {"file": events}})
    misfit = f"it is a {kind}, the application a ROUTER"
    with comes_back(weir, kind):
        assert_named_and_kept(weir, "wrong_socket_type", misfit)
        net.wait_until(lambda: f'"detail":"{misfit}"' in Path(events).read_text(), "the event")


def test_a_wrong_type_long_after_the_last_good_one(start_app, start_weir, peers, paths):
    """What the application has shown more than a second ago is not believed; the line names both types all the same."""
    app = start_app("router", paths.ipc())
    weir = start_weir(config=alone(app))
    good = peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint))
    timed(good, b"here")
    time.sleep(1.2)
    with comes_back(weir, "SUB"):
        assert_named_and_kept(weir, "wrong_socket_type", "it is a SUB, the application a ROUTER")
    timed(good, b"still here")


def test_a_wrong_type_with_a_password(start_app, start_weir, peers, paths):
    """With PLAIN libzmq ends the connection before its READY: what it has shown to others says why."""
    app = start_app("router", paths.ipc(), **APP)
    weir = start_weir(config=alone(app))
    good = peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint), **LOGIN)
    timed(good, b"here")
    time.sleep(1.2)
    wrong = peers.client(zmq.SUB, from_source(ADDRESS, weir.endpoint), **LOGIN)
    assert_named_and_kept(weir, "wrong_socket_type", "it is a SUB, the application a ROUTER")
    wrong.close()
    timed(good, b"still here")


@pytest.mark.parametrize("mechanism", ["PLAIN", "CURVE"])
def test_a_wrong_mechanism_with_nobody_else_there(mechanism, start_app, start_weir, peers, paths):
    """libzmq's client gives up for good when it is told of another one, and its application when it sees the client's: bare, too."""
    app = start_app("router", paths.ipc())
    weir = start_weir(config=alone(app))
    keys = dict(zip(("CURVE_PUBLICKEY", "CURVE_SECRETKEY"), zmq.curve_keypair()), CURVE_SERVERKEY=zmq.curve_keypair()[0])
    wrong = [peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint), **(LOGIN if mechanism == "PLAIN" else keys)) for _ in range(3)]
    weir.wait_metric("weir_verdicts_total", 3, verdict="wrong_mechanism")
    assert weir.has_said(f"it speaks {mechanism}, the application NULL")
    for other in ("application_refused", "application_gone", "handshake_abandoned"):
        assert weir.metric("weir_verdicts_total", verdict=other) == 0
    for client in wrong:
        client.close()
    timed(peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint)), b"me")
    nobody_is_blamed(weir)


def test_a_wrong_mechanism_said_at_once(start_app, start_weir, peers, paths):
    """By a client that waits for nobody with its greeting."""
    app = start_app("router", paths.ipc())
    weir = start_weir(config=alone(app))
    with raw_connect(weir.endpoint, ADDRESS) as s:
        s.sendall(zmtp.greeting("PLAIN"))
        weir.wait_metric("weir_verdicts_total", 1, verdict="wrong_mechanism")
    assert weir.has_said("it speaks PLAIN, the application NULL")
    assert weir.metric("weir_upstream_up") == 1
    nobody_is_blamed(weir)


@pytest.mark.parametrize("words", [pytest.param(b"\x01\x00", id="anonymous"), pytest.param(b"\x07\x00worker\x03\x00hi", id="with-an-id"),
                                   pytest.param(zmtp.SIGNATURE + b"\x00", id="revision-0")])
def test_zmtp_1(words, start_app, start_weir, peers, paths):
    """What libzmq 2 says first. It cannot be served, and comes back as fast as it can."""
    app = start_app("router", paths.ipc())
    weir = start_weir(config=alone(app))
    begun = time.monotonic()
    for n in range(15):
        with raw_connect(weir.endpoint, ADDRESS) as s:
            s.sendall(words)
            weir.wait_metric("weir_verdicts_total", n + 1, verdict="old_version")
            if n < 2:
                swallow(s, net.PATIENCE)
    assert time.monotonic() - begun > 1.5  # kept for a second, twice
    assert weir.has_said("it speaks ZMTP 1.0")
    timed(peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint)), b"me")
    nobody_is_blamed(weir)


def test_a_probe_of_a_router_that_meets_a_rep(start_app, start_weir, peers, paths):
    """ZMQ_PROBE_ROUTER sends an empty message, which REP ignores, and so does Weir."""
    app = start_app("rep", paths.ipc())
    weir = start_weir(config=alone(app))
    for n in range(15):
        client = peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint), PROBE_ROUTER=1)
        client.send_multipart([b"", b"%d" % n])
        assert client.recv_multipart() == [b"", b"%d" % n]
    assert weir.metric("weir_verdicts_total", verdict="no_delimiter") == 15
    nobody_is_blamed(weir)


@pytest.mark.parametrize("draft", ["CLIENT", "RADIO", "SCATTER", "PEER", "CHANNEL"])
def test_draft_sockets(draft, start_app, start_weir, peers, paths):
    app = start_app("router", paths.ipc())
    weir = start_weir(config=alone(app))
    held = []
    for _ in range(15):
        peer = zmtp.RawPeer(raw_connect(weir.endpoint, ADDRESS), socket_type=draft)
        peer.exchange_greetings()
        peer.send_raw(zmtp.command("READY", zmtp.properties(*peer.metadata)))
        held.append(peer)
    weir.wait_metric("weir_verdicts_total", 15, verdict="wrong_socket_type")
    assert timed(peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint)), b"me") < net.PATIENCE
    for peer in held:
        assert peer.closed_by_peer()
    nobody_is_blamed(weir)


def test_properties_that_users_can_set(start_app, start_weir, paths):
    app = start_app("router", paths.ipc())
    weir = start_weir(config=alone(app))
    extra = [("X-with space", "v"), ("X-with:colon", "v"), ("X-\u00fcml\u00e4ut", "v")]
    peer = zmtp.RawPeer(raw_connect(weir.endpoint, ADDRESS), extra=extra).handshake()
    peer.send_raw(zmtp.message(b"hello"))
    assert peer.read(7) == zmtp.message(b"hello")
    peer.close()
    nobody_is_blamed(weir)


# ---- a connection for each request ----

def test_a_connection_for_each_request(start_app, start_weir, peers, paths):
    """A web host, far over source.connections.rate: each is served, so none is held up."""
    app = start_app("rep", paths.ipc())
    weir = start_weir(config=alone(app))
    times = []
    for n in range(600):
        client = peers.client(zmq.REQ, from_source(ADDRESS, weir.endpoint))
        times.append(timed(client, b"%d" % n))
        client.close()
    figures("a connection for each request", times)
    assert weir.metric("weir_connections_accepted_total") >= 600
    assert weir.metric("weir_verdicts_total", verdict="over_connection_rate") == 0
    nobody_is_blamed(weir)


def test_a_process_that_opens_hundreds_of_sockets_at_once(start_weir, peers, paths):
    """One thread of libzmq shakes hands for all of them, and takes its time: none is closed, none waits for a rate, and each subscription is there."""
    forward, count = paths.ipc(), 400
    app = peers.app(zmq.XPUB, forward, XPUB_VERBOSER=1, RCVHWM=0)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    subscribers = [peers.client(zmq.SUB, weir.endpoint, SUBSCRIBE=b"job", RECONNECT_IVL=-1) for _ in range(count)]
    for _ in range(count):
        assert app.recv() == b"\x01job"
    app.send(b"job 1")
    assert all(subscriber.recv() == b"job 1" for subscriber in subscribers)
    assert weir.metric("weir_connections_established_total") == count
    assert weir.metric("weir_verdicts_total", verdict="too_many_half_open") == weir.metric("weir_verdicts_total", verdict="half_open_give_way") == 0


# ---- handshakes that stall ----

def stalling(way_in, end, offend):
    """Two hundred a second say twenty bytes of a greeting and no more; with `offend` one of twenty breaks the protocol."""
    held = collections.deque()
    for n, _ in enumerate(until(end, 0.005)):
        with contextlib.suppress(OSError):
            s = way_in()
            held.append(s)
            s.sendall(GREETED + RESERVED_FLAGS if offend and n % 20 == 0 else zmtp.greeting()[:20])
        if len(held) > 600:
            held.popleft().close()
    for s in held:
        s.close()


@pytest.mark.parametrize("offend", [False, True], ids=["stalls", "stalls-and-offends"])
def test_a_neighbour_that_stalls(offend, start_app, start_weir, peers, paths):
    """Newcomers of the address get in as if it were not there, whether it is on probation or not."""
    app = start_app("router", paths.ipc())
    weir = start_weir(config={"workers": 2, **alone(app)})
    way = Loopback(peers)
    clients = [way.client(weir, zmq.DEALER) for _ in range(20)]
    for client in clients:
        timed(client, b"hello")
    watches = [Monitor(client) for client in clients[:4]]
    end = threading.Event()
    neighbour = threading.Thread(target=stalling, args=(lambda: way.raw(weir), end, offend))
    neighbour.start()
    try:
        weir.wait_metric("weir_verdicts_total", 50, verdict="probation") if offend else weir.wait_metric("weir_connections_half_open", 300)
        times = []
        for n in range(60):
            newcomer = way.client(weir, zmq.DEALER)
            # No second chance: libzmq would come back by itself.
            watch = Monitor(newcomer)
            times.append(timed(newcomer, b"new"))
            assert watch.count("DISCONNECTED") == 0
            watch.stop()
            newcomer.close()
            time.sleep(0.02)
    finally:
        end.set()
        neighbour.join()
    figures("newcomers beside one that stalls", times)
    # Against the second and more that a line took.
    assert statistics.median(times) < 0.5 and max(times) < net.PATIENCE / 3
    assert weir.metric("weir_verdicts_total", verdict="over_connection_rate") == 0
    assert sum(watch.count("DISCONNECTED") for watch in watches) == 0
    for watch in watches:
        watch.stop()


def test_a_restart_of_weir(start_app, start_weir, peers):
    """Who was well-behaved is forgotten with a restart. An offender that is back first gets nobody banned who comes back seconds later."""
    app, port = start_app("router", "tcp://127.0.0.1:*"), net.free_port()
    config = {"gates": [{"name": "main", "listen": f"tcp://127.0.0.1:{port}", "forward": app.endpoint, "ban": {"warm_up": "1m"}}]}
    weir = start_weir(config=config)
    clients = [peers.client(zmq.DEALER, from_source(ADDRESS, weir.endpoint), RECONNECT_IVL=3000) for _ in range(10)]
    for client in clients:
        timed(client, b"before")
    weir.stop()
    weir, end = start_weir(config=config), threading.Event()
    sender = threading.Thread(target=scanner, args=(Loopback(peers), weir, end))
    sender.start()
    try:
        weir.wait_metric("weir_probations_total", 1)
        for client in clients:
            timed(client, b"after")
        assert weir.metric("weir_bans_total") == 0 and weir.has_said("ban.warm_up")
    finally:
        end.set()
        sender.join()

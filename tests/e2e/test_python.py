# SPDX-License-Identifier: MPL-2.0
"""python/weir.py: libweir for Python, with pyzmq's sockets."""
import importlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import zmq
from harness import net
from harness.weir import ROOT, program

LIBRARY = Path(program()[0]).resolve().parent / "src" / "embed" / "libweir.so"

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="this build has no libweir (-Dlibrary=enabled)")


@pytest.fixture(scope="module")
def weir():
    if "__asan_init" in subprocess.run(["nm", "-D", LIBRARY], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the library is built with a sanitizer")
    with pytest.MonkeyPatch.context() as m:
        m.setenv("WEIR_LIBRARY", str(LIBRARY))
        m.syspath_prepend(str(ROOT / "python"))
        yield importlib.import_module("weir")
    sys.modules.pop("weir", None)


@pytest.fixture
def socket(peers):
    def make(kind, **options):
        s = peers.client_ctx.socket(kind)
        for name, value in {"LINGER": 0, "RCVTIMEO": int(net.PATIENCE * 1000), "SNDTIMEO": int(net.PATIENCE * 1000), **options}.items():
            s.setsockopt(getattr(zmq, name), value)
        made.append(s)
        return s

    made = []
    yield make
    for s in made:
        s.close()


def connected(socket, kind, endpoint):
    s = socket(kind)
    s.connect(endpoint)
    return s


def test_version(weir):
    assert weir.version() == (0, 1, 0)


# ---- the gate ----

def test_one_line_protects_a_server(weir, socket):
    server = socket(zmq.REP)
    with weir.bind(server, "tcp://127.0.0.1:*") as gate:
        client = connected(socket, zmq.REQ, gate.endpoint)
        client.send(b"hello")
        request = server.recv(copy=False)
        assert request.bytes == b"hello" and request.get("X-Weir-Peer").startswith("127.0.0.1:")
        server.send(b"world")
        assert client.recv() == b"world"
        net.wait_until(lambda: gate.stats()["messages_out"] == 1, "the figures")
        assert gate.stats()["messages_in"] == 1 and gate.stats()["connections"] == 1
        inside = gate.inside.removeprefix("ipc://")
        assert os.path.exists(inside)
    assert not os.path.exists(inside)


def test_a_limit_and_what_it_refuses(weir, socket):
    server = socket(zmq.PULL)
    with weir.bind(server, "tcp://127.0.0.1:*", config="gates:\n  - message: {size: 1kB}\n") as gate:
        connected(socket, zmq.PUSH, gate.endpoint).send(bytes(1001))
        net.wait_until(lambda: gate.stats()["refused"] >= 1, "a refusal")
        connected(socket, zmq.PUSH, gate.endpoint).send(b"small")
        assert server.recv() == b"small"


def test_the_sockets_own_limit_is_the_gates(weir, socket):
    server = socket(zmq.PULL, MAXMSGSIZE=1000)
    with weir.bind(server, "tcp://127.0.0.1:*") as gate:
        connected(socket, zmq.PUSH, gate.endpoint).send(bytes(1001))
        net.wait_until(lambda: gate.stats()["refused"] >= 1, "a refusal")


def test_the_frames_of_a_message_may_be_more_than_the_sockets_own_limit(weir, socket):
    server = socket(zmq.PULL, MAXMSGSIZE=1000)
    with weir.bind(server, "tcp://127.0.0.1:*") as gate:
        connected(socket, zmq.PUSH, gate.endpoint).send_multipart([bytes(1000)] * 3)
        assert server.recv_multipart() == [bytes(1000)] * 3
        assert gate.stats()["refused"] == 0


def test_handover(weir, socket):
    server = socket(zmq.ROUTER, ROUTER_HANDOVER=1)
    with weir.bind(server, "tcp://127.0.0.1:*", handover=1) as gate:
        for i in range(2):
            client = socket(zmq.DEALER, ROUTING_ID=b"one name")
            client.connect(gate.endpoint)
            client.send(b"%d" % i)
            assert server.recv_multipart() == [b"one name", b"%d" % i]


def test_errors(weir, socket):
    server = socket(zmq.REP)
    with weir.bind(server, "tcp://127.0.0.1:*") as gate:
        with pytest.raises(OSError) as e:
            weir.bind(socket(zmq.REP), gate.endpoint)
        assert e.value.errno == zmq.EADDRINUSE
    with pytest.raises(ValueError, match=r'config:2:15: .*"sizes", did you mean "size"'):
        weir.bind(server, "tcp://127.0.0.1:*", config="gates:\n  - message: {sizes: 3}\n")
    with pytest.raises(TypeError, match="unknown option 'worker'.*workers"):
        weir.bind(server, "tcp://127.0.0.1:*", worker=2)
    with pytest.raises(OSError, match="no gate"):
        weir.bind(socket(zmq.STREAM), "tcp://127.0.0.1:*")
    gate.close()
    with pytest.raises(ValueError, match="closed"):
        gate.stats()


def test_an_address_is_free_when_the_gate_is_closed(weir, socket):
    server = socket(zmq.REP)
    endpoint = "tcp://127.0.0.1:*"
    for _ in range(3):
        gate = weir.bind(server, endpoint)
        endpoint = gate.endpoint
        client = connected(socket, zmq.REQ, endpoint)
        client.send(b"x")
        assert server.recv() == b"x"
        server.send(b"y")
        assert client.recv() == b"y"
        gate.close()


# ---- breaker and once ----

def test_a_breaker_opens_and_lets_trials_through(weir):
    breaker, calls = weir.Breaker(failures=2, open_ns=50_000_000, open_max_ns=50_000_000), []

    @breaker
    def query(fails):
        calls.append(fails)
        if fails:
            raise KeyError
        return "answer"

    assert query(False) == "answer" and breaker.state == "closed"
    for _ in range(2):
        with pytest.raises(KeyError):
            query(True)
    assert breaker.state == "open"
    with pytest.raises(weir.BreakerOpen) as e:
        query(False)
    assert 0 < e.value.wait_s <= 0.05 and len(calls) == 3
    time.sleep(0.06)
    assert query(False) == "answer" and breaker.state == "closed"
    assert breaker.stats()["opened"] == 1


def test_once(weir):
    booked = []

    @weir.once(key=lambda order, payload: order, running=b"later")
    def book(order, payload):
        if payload == b"bad":
            raise ValueError
        if payload == b"again":
            assert book(order, b"") == b"later"
        booked.append(payload)
        return b"booked " + payload

    assert book(b"1", b"a") == book(b"1", b"b") == b"booked a"
    with pytest.raises(ValueError):
        book(b"2", b"bad")
    assert book(b"2", b"good") == b"booked good"
    assert book(b"3", b"again") == b"booked again"
    assert booked == [b"a", b"good", b"again"] and book.window.stats()["duplicates"] == 2


def test_once_when_it_is_full(weir):
    with weir.Once(entries=2, when_full=1) as window:
        for key in (b"1", b"2"):
            assert window.begin(key) == (window.NEW, None)
        with pytest.raises(OSError):
            window.begin(b"3")
        window.done(b"1", b"reply")
        assert window.begin(b"1") == (window.DONE, b"reply")


# ---- the pool ----

@pytest.fixture
def pool(weir, socket):
    """start(handler) -> (pool, endpoint); it runs until the test is over."""
    def start(handler, **options):
        server = socket(zmq.ROUTER)
        port = server.bind_to_random_port("tcp://127.0.0.1")
        try:
            p = weir.Pool(server, handler, **options)
        except ImportError as e:
            pytest.skip(str(e))
        thread = threading.Thread(target=p.run)
        thread.start()
        running.append((p, thread))
        return p, f"tcp://127.0.0.1:{port}"

    running = []
    yield start
    for p, thread in running:
        p.stop()
        thread.join(net.PATIENCE)
        p.close()


def test_a_pool_works_side_by_side(pool, socket):
    both = threading.Barrier(2, timeout=net.PATIENCE)

    def handler(task):
        both.wait()  # one worker alone would wait for ever
        assert task.left_s is None and task.waited_s >= 0 and task.get("Socket-Type") == "REQ"
        task.reply(b"re " + task.frames[0], task.source)

    p, endpoint = pool(handler, workers_min=2)
    clients = [connected(socket, zmq.REQ, endpoint) for _ in range(2)]
    for n, client in enumerate(clients):
        client.send(b"%d" % n)
    for n, client in enumerate(clients):
        assert client.recv_multipart() == [b"re %d" % n, b"127.0.0.1"]
    net.wait_until(lambda: p.stats()["ok"] == 2, "the figures")


def test_a_handler_that_fails_is_counted(pool, socket, capsys):
    def handler(task):
        task.reply(b"done")
        if task.frames == [b"raise"]:
            raise KeyError("broken")
        return task.frames != [b"false"]

    p, endpoint = pool(handler, workers_min=1)
    client = connected(socket, zmq.REQ, endpoint)
    for word in (b"true", b"false", b"raise"):
        client.send(word)
        assert client.recv() == b"done"
    net.wait_until(lambda: p.stats()["failed"] == 2, "the figures")
    assert "KeyError: 'broken'" in capsys.readouterr().err


def test_another_libzmq_is_noticed(weir, socket, monkeypatch):
    monkeypatch.setattr(weir, "_libzmq_of", lambda path: 1)
    with pytest.raises(ImportError, match="libzmq"):
        weir.Pool(socket(zmq.ROUTER), lambda task: None)

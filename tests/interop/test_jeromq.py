# SPDX-License-Identifier: MPL-2.0
"""JeroMQ (a Java implementation of its own) through the gate, as a client and as the application. 0.3.6 of Debian 12 speaks ZMTP 2.0, which knows
no security mechanism, so whom it meets has NULL; 0.6.0 of Debian 13 speaks ZMTP 3. It gives each connection a queue as soon as it is accepted."""
import time

import pytest
import zmq
from foreign import APP_TYPES, jeromq_version, serve
from harness import net
from harness.security import secure

ZMTP_3 = jeromq_version() >= (0, 4)


def gate(start_weir, forward, zmtp2=True):
    return start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, "zmtp2": zmtp2}]})


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("kind", list(APP_TYPES))
def test_client(kind, transport, java, start_weir, peers, paths):
    forward = paths.ipc() if transport == "ipc" else net.tcp()
    app = peers.app(APP_TYPES[kind], forward)
    serve(kind, app, java(kind, gate(start_weir, forward).endpoint))


def test_identity_reaches_a_router(java, start_weir, peers, paths):
    forward = paths.ipc()
    router = peers.app(zmq.ROUTER, forward)
    java("dealer", gate(start_weir, forward).endpoint, "java-client")
    assert router.recv_multipart() == [b"java-client", b""]


@pytest.mark.parametrize("mechanism, zmtp2", [pytest.param("NULL", False, marks=pytest.mark.skipif(ZMTP_3, reason="this JeroMQ speaks ZMTP 3")),
                                              ("PLAIN", True), ("CURVE", True)])
def test_not_let_in(mechanism, zmtp2, java, start_weir, peers, paths):
    """Neither without the choice, nor past an application's security."""
    forward = paths.ipc()
    app_security, right = secure(mechanism, peers)
    app = peers.app(zmq.REP, forward, **app_security)
    weir = gate(start_weir, forward, zmtp2)
    java("req", weir.endpoint)
    weir.wait_metric("weir_connections_closed_total", 1 if ZMTP_3 else 2)  # with ZMTP 3 it gives up when it has seen the other mechanism
    friend = peers.client(zmq.REQ, weir.endpoint, **right)
    friend.send(b"hello")
    assert app.recv() == b"hello"
    assert not app.poll(200)


# ---- as the application ----

@pytest.fixture
def java_app(java):
    """java_app(kind, *args): a bound socket; its endpoint and the process."""

    def start(kind, *args):
        endpoint = net.tcp()
        child = java("bind", kind, endpoint, *args)
        child.wait_line(lambda line: line == "ready")
        return endpoint, child

    return start


@pytest.mark.parametrize("kind, client_type", [("rep", zmq.REQ), ("router", zmq.DEALER), ("dealer", zmq.DEALER), ("pair", zmq.PAIR)])
def test_application(kind, client_type, java_app, start_weir, peers):
    """libzmq's clients speak 2.0 with it, as they do without a gate."""
    endpoint, _ = java_app(kind)
    weir = gate(start_weir, endpoint)
    for _ in range(3 if kind in ("rep", "router") else 1):
        client = peers.client(client_type, weir.endpoint)
        for message in ([b"hello"], [b""], [b"a", b"", b"x" * 300], [b"y" * 100000]):
            client.send_multipart(message)
            assert client.recv_multipart() == message
    assert weir.metric("weir_verdicts_total") == 0


def test_application_and_a_client_of_its_kind(java, java_app, start_weir):
    endpoint, _ = java_app("rep")
    client = java("req", gate(start_weir, endpoint).endpoint)
    client.wait_line(lambda line: line == "done")


def test_publisher(java_app, start_weir, peers):
    endpoint, _ = java_app("pub")
    sub = peers.client(zmq.SUB, gate(start_weir, endpoint).endpoint, SUBSCRIBE=b"news")
    assert sub.recv().startswith(b"news ")


@pytest.mark.parametrize("kind", ["push", "dealer"])
def test_no_message_goes_to_a_connection_that_is_no_clients(kind, java_app, start_weir, peers):
    """What it gave to anybody else than the client would be lost."""
    endpoint, app = java_app(kind, "5000")
    weir = gate(start_weir, endpoint)
    time.sleep(0.5)  # whoever had connected by now would have had its queue filled
    client = peers.client(zmq.PULL if kind == "push" else zmq.DEALER, weir.endpoint)
    assert [int(client.recv()) for _ in range(5000)] == list(range(5000))
    app.wait_line(lambda line: line == "done")
    assert weir.metric("weir_upstream_connects_total") == 1

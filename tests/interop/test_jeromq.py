# SPDX-License-Identifier: MPL-2.0
"""JeroMQ 0.3.6 (a Java implementation of its own) through the gate. It speaks ZMTP 2.0, which knows no security mechanism, so it needs
`zmtp2: true` and an application with NULL."""
import pytest
import zmq
from foreign import APP_TYPES, serve
from harness import net
from harness.security import secure


def gate(start_weir, forward, zmtp2):
    return start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, "zmtp2": zmtp2}]})


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("kind", list(APP_TYPES))
def test_client(kind, transport, java, start_weir, peers, paths):
    forward = paths.ipc() if transport == "ipc" else net.tcp()
    app = peers.app(APP_TYPES[kind], forward)
    serve(kind, app, java(kind, gate(start_weir, forward, True).endpoint))


def test_identity_reaches_a_router(java, start_weir, peers, paths):
    forward = paths.ipc()
    router = peers.app(zmq.ROUTER, forward)
    java("dealer", gate(start_weir, forward, True).endpoint, "java-client")
    assert router.recv_multipart() == [b"java-client", b""]


@pytest.mark.parametrize("mechanism, zmtp2", [("NULL", False), ("PLAIN", True), ("CURVE", True)])
def test_not_let_in(mechanism, zmtp2, java, start_weir, peers, paths):
    """Neither without the choice, nor past an application's security."""
    forward = paths.ipc()
    app_security, right = secure(mechanism, peers)
    app = peers.app(zmq.REP, forward, **app_security)
    weir = gate(start_weir, forward, zmtp2)
    java("req", weir.endpoint)
    weir.wait_metric("weir_connections_closed_total", 2)
    friend = peers.client(zmq.REQ, weir.endpoint, **right)
    friend.send(b"hello")
    assert app.recv() == b"hello"
    assert not app.poll(200)

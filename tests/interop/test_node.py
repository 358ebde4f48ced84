# SPDX-License-Identifier: MPL-2.0
"""The npm package zeromq 6 (its own, newer libzmq) through the gate."""
import pytest
import zmq
from foreign import APP_TYPES, serve
from harness import net
from harness.security import MECHANISMS, secure
from messages import messages

OPTION_NAMES = {"PLAIN_USERNAME": "plainUsername", "PLAIN_PASSWORD": "plainPassword", "CURVE_SERVERKEY": "curveServerKey",
                "CURVE_PUBLICKEY": "curvePublicKey", "CURVE_SECRETKEY": "curveSecretKey"}


def node_options(options):
    return {OPTION_NAMES[name]: value.decode() for name, value in options.items()}


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("kind", list(APP_TYPES))
def test_client(kind, mechanism, node, start_weir, peers, paths):
    forward = paths.ipc()
    app_security, client_security = secure(mechanism, peers)
    app = peers.app(APP_TYPES[kind], forward, **app_security)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    serve(kind, app, node(kind, connect=weir.endpoint, options=node_options(client_security)))


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_application(transport, mechanism, node, start_weir, peers, paths):
    """Node behind the gate, libzmq in front of it."""
    public, secret = zmq.curve_keypair()
    server, client = {}, {}
    if mechanism == "CURVE":
        server = {"curveServer": True, "curveSecretKey": secret.decode()}
        mine = zmq.curve_keypair()
        client = {"CURVE_SERVERKEY": public, "CURVE_PUBLICKEY": mine[0], "CURVE_SECRETKEY": mine[1]}
    app = node("reply", bind=paths.ipc() if transport == "ipc" else net.tcp(), options=server)
    forward = app.wait_line(lambda line: line.startswith("ready "))[0].split()[1]
    req = peers.client(zmq.REQ, start_weir(listen="tcp://127.0.0.1:*", forward=forward).endpoint, **client)
    for wanted in messages():
        req.send_multipart(wanted)
        assert req.recv_multipart() == wanted



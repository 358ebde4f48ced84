# SPDX-License-Identifier: MPL-2.0
"""Large messages and messages inside CURVE obey the rule that small ones obey: healthy ones pass as without a gate. With unmodified libzmq on both
sides, bare and behind Weir."""
import time

import pytest
import zmq
from harness.net import from_source

LARGE = 100_000  # streams: beyond message.hold


def keys(mechanism):
    """The secret key of the application, and options of its clients. It asks nobody who may come in."""
    if mechanism == "NULL":
        return None, {}
    server, client = zmq.curve_keypair(), zmq.curve_keypair()
    return server[1].decode(), {"CURVE_SERVERKEY": server[0], "CURVE_PUBLICKEY": client[0], "CURVE_SECRETKEY": client[1]}


# ---- inside CURVE nothing is different for who behaves ----

BEAT = {"HEARTBEAT_IVL": 100, "HEARTBEAT_TIMEOUT": 3000}
CLIENTS, ROUNDS = 8, 150


def exchanges(peers, endpoint, options, kind, parts):
    """All clients ask at once and again as soon as they are answered. Returns how long it took, and the monitors of them all."""
    clients = [peers.client(kind, **options) for _ in range(CLIENTS)]
    monitors = [peers.monitor(c) for c in clients]
    for n, c in enumerate(clients):
        c.connect(from_source(f"127.78.3.{n + 1}", endpoint))
    poller, left = zmq.Poller(), {c: ROUNDS for c in clients}
    for c in clients:
        c.send_multipart(parts)
        assert c.recv_multipart() == parts
        poller.register(c, zmq.POLLIN)
    began = time.monotonic()
    for c in clients:
        c.send_multipart(parts)
    while left:
        for c, _ in poller.poll(20000):
            assert c.recv_multipart() == parts
            left[c] -= 1
            if left[c]:
                c.send_multipart(parts)
            else:
                poller.unregister(c)
                del left[c]
    return time.monotonic() - began, monitors


@pytest.mark.parametrize("app_kind, kind, parts", [("rep", zmq.REQ, [b"a request"]), ("router", zmq.DEALER, [b"three", b"", b"parts"]),
                                                   ("router", zmq.DEALER, [bytes(100), bytes(LARGE)])], ids=["request", "parts", "large"])
@pytest.mark.parametrize("beat", [{}, BEAT], ids=["silent", "heartbeats"])
def test_healthy_curve(start_app, start_weir, peers, paths, app_kind, kind, parts, beat):
    secret, client_options = keys("CURVE")
    app_options = {"CURVE_SERVER": 1, "CURVE_SECRETKEY": secret}
    took = {}
    for where in ("bare", "through"):
        app = start_app(app_kind, paths.ipc() if where == "through" else "tcp://127.0.0.1:*", options={**app_options, **beat})
        weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint) if where == "through" else None
        took[where], monitors = exchanges(peers, (weir or app).endpoint, {**client_options, **beat}, kind, parts)
        if beat and where == "through":
            time.sleep(1)  # ten heartbeats either way
        for m in monitors:
            assert m.count("DISCONNECTED") == 0
    print(f"\n{CLIENTS * ROUNDS} answers in {took['bare']:.2f} s bare, {took['through']:.2f} s behind Weir")
    assert took["through"] < 2 * took["bare"] + 1
    assert weir.metric("weir_connections_in_line") == 0
    assert [labels for name, labels, value in weir.samples() if name == "weir_verdicts_total" and value and labels["verdict"] != "pass"] == []


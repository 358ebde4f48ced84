# SPDX-License-Identifier: MPL-2.0
"""Routing ids in use: nobody can take the id of a client that is alive, and one whose cable was pulled does not keep its id."""
import os

import pytest
import zmq
from harness.net import wait_until
from harness.network import OFFENDER, Network, run, why_not


@pytest.fixture
def network():
    if why_not():
        if os.environ.get("WEIR_KERNEL_TESTS") == "1":
            pytest.fail(why_not())
        pytest.skip(why_not())
    n = Network()
    yield n
    n.close()


def exchange(client, app, identity, body):
    client.send(body)
    assert app.recv_multipart() == [identity, body]
    app.send_multipart([identity, body])
    assert client.recv() == body


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "takes-nothing"])
def test_the_id_of_a_live_client_cannot_be_taken(busy, peers, start_weir, paths):
    """Again and again, while the holder is idle, or takes nothing of what is sent to it."""
    app = peers.app(zmq.ROUTER, paths.ipc(), SNDHWM=0)
    weir = start_weir(config={"workers": 2, "gates": [{"listen": "tcp://127.0.0.1:*", "forward": app.last_endpoint.decode()}]})
    holder = peers.client(zmq.DEALER, weir.endpoint, ROUTING_ID=b"mine", **({"RCVHWM": 1, "RCVBUF": 65536} if busy else {}))
    exchange(holder, app, b"mine", b"first")
    for n in range(20 if busy else 0):
        app.send_multipart([b"mine", bytes(1 << 20)])
    if busy:
        weir.wait_metric("weir_connections_blocked", 1, direction="out")
    thieves = [peers.client(zmq.DEALER, weir.endpoint, ROUTING_ID=b"mine", RCVTIMEO=0) for _ in range(4)]
    for thief in thieves:
        thief.send(b"stolen")
    weir.wait_metric("weir_verdicts_total", 8, verdict="duplicate_routing_id")
    for n in range(20 if busy else 0):
        assert holder.recv() == bytes(1 << 20)
    for n in range(20):
        exchange(holder, app, b"mine", b"%d" % n)
    assert not app.poll(100) and not any(thief.poll(0) for thief in thieves)
    assert weir.metric("weir_verdicts_total", verdict="holder_vanished") == 0
    assert weir.metric("weir_verdicts_total", verdict="application_gone") == 0


@pytest.mark.parametrize("gate", [False, True], ids=["bare", "weir"])
@pytest.mark.parametrize("says", [False, True], ids=["idle", "sends"])
def test_a_pulled_cable_costs_seconds(gate, says, network, peers, start_weir, paths):
    """The client's machine is gone without a word, whether something is on its way to it or not. It comes back elsewhere with its id."""
    app = peers.app(zmq.ROUTER, "tcp://*:*" if not gate else paths.ipc(), SNDTIMEO=0)
    endpoint = app.last_endpoint.decode()
    if gate:
        weir = start_weir(config={"workers": 2, "gates": [{"listen": "tcp://*:*", "forward": endpoint}]})
        endpoint = weir.listen
    port = endpoint.rpartition(":")[2]
    gone = network.zmq_client(zmq.DEALER, OFFENDER, port, ROUTING_ID=b"me")
    exchange(gone, app, b"me", b"before")
    with network.clients():
        run("ip", "link", "set", "peer0", "down")
    if says:
        for _ in range(3):
            app.send_multipart([b"me", b"lost"])
    back = peers.client(zmq.DEALER, f"tcp://127.0.0.1:{port}", ROUTING_ID=b"me")
    back.send(b"after")
    if not gate:
        assert not app.poll(4000)
        return
    assert app.poll(15000)
    assert app.recv_multipart() == [b"me", b"after"]
    app.send_multipart([b"me", b"welcome"])
    wait_until(lambda: back.recv() == b"welcome", "the answer")
    assert weir.metric("weir_verdicts_total", verdict="holder_vanished") == 1
    refused = {labels["verdict"] for name, labels, value in weir.samples() if name == "weir_verdicts_total" and value}
    assert refused <= {"holder_vanished", "duplicate_routing_id", "pass"}

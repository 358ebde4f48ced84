# SPDX-License-Identifier: MPL-2.0
"""Routing ids in use: nobody can take the id of a client that is alive, or whose line is out for seconds, and one whose cable was pulled does
not keep its id."""
import os

import pytest
import zmq
from harness.net import wait_until
from harness.network import NEIGHBOUR, OFFENDER, Network, run, why_not


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
    wait_until(lambda: '"mine" belongs to 127.0.0.1:' in weir.stderr(), "a line that says whose it is")
    for n in range(20 if busy else 0):
        assert holder.recv() == bytes(1 << 20)
    for n in range(20):
        exchange(holder, app, b"mine", b"%d" % n)
    assert not app.poll(100) and not any(thief.poll(0) for thief in thieves)
    assert weir.metric("weir_verdicts_total", verdict="holder_vanished") == 0
    assert weir.metric("weir_verdicts_total", verdict="application_gone") == 0


def break_line(network, address):
    """Of the connections that come from there, while those that are made later go on."""
    with network.clients():
        lines = run("ss", "-Htn", "src", address).splitlines()
        port = "{ " + ", ".join(line.split()[3].rpartition(":")[2] for line in lines) + " }"
        run("nft", "add table inet line; add chain inet line in { type filter hook input priority 0; };"
            "add chain inet line out { type filter hook output priority 0; };"
            f"add rule inet line in tcp dport {port} drop; add rule inet line out tcp sport {port} drop")


def mend_line(network):
    with network.clients():
        run("nft", "delete table inet line")


def start(network, gate, peers, start_weir, paths):
    app = peers.app(zmq.ROUTER, "tcp://*:*" if not gate else paths.ipc(), SNDTIMEO=0)
    endpoint, weir = app.last_endpoint.decode(), None
    if gate:
        weir = start_weir(config={"workers": 2, "gates": [{"listen": "tcp://*:*", "forward": endpoint}]})
        endpoint = weir.listen
    return app, weir, endpoint.rpartition(":")[2]


def comes_in(app, back, weir):
    assert app.poll(15000)
    assert app.recv_multipart() == [b"me", b"after"]
    app.send_multipart([b"me", b"welcome"])
    wait_until(lambda: back.recv() == b"welcome", "the answer")
    assert weir.metric("weir_verdicts_total", verdict="holder_vanished") == 1
    refused = {labels["verdict"] for name, labels, value in weir.samples() if name == "weir_verdicts_total" and value}
    assert refused <= {"holder_vanished", "duplicate_routing_id", "pass"}


@pytest.mark.parametrize("gate", [False, True], ids=["bare", "weir"])
@pytest.mark.parametrize("says", [False, True], ids=["idle", "sends"])
def test_a_pulled_cable_costs_seconds(gate, says, network, peers, start_weir, paths):
    """The client is gone without a word, whether something is on its way to it or not. It comes back from its address with its id."""
    app, weir, port = start(network, gate, peers, start_weir, paths)
    gone = network.zmq_client(zmq.DEALER, OFFENDER, port, ROUTING_ID=b"me")
    exchange(gone, app, b"me", b"before")
    break_line(network, OFFENDER)
    if says:
        for _ in range(3):
            app.send_multipart([b"me", b"lost"])
    back = network.zmq_client(zmq.DEALER, OFFENDER, port, ROUTING_ID=b"me")
    back.send(b"after")
    if not gate:
        assert not app.poll(4000)
        return
    comes_in(app, back, weir)


@pytest.mark.parametrize("gate", [False, True], ids=["bare", "weir"])
@pytest.mark.parametrize("says", [False, True], ids=["idle", "sends"])
def test_a_line_that_is_out_for_seconds_costs_no_id(gate, says, network, peers, start_weir, paths):
    """Meanwhile a client of another address wants the id again and again."""
    app, weir, port = start(network, gate, peers, start_weir, paths)
    holder = network.zmq_client(zmq.DEALER, OFFENDER, port, ROUTING_ID=b"me")
    exchange(holder, app, b"me", b"before")
    break_line(network, OFFENDER)
    if says:
        app.send_multipart([b"me", b"late"])
    stranger = network.zmq_client(zmq.DEALER, NEIGHBOUR, port, ROUTING_ID=b"me")
    stranger.send(b"stolen")
    assert not app.poll(4000)
    if gate:
        weir.wait_metric("weir_verdicts_total", 4, verdict="duplicate_routing_id")
    mend_line(network)
    if says:
        assert holder.recv() == b"late"
    for n in range(20):
        exchange(holder, app, b"me", b"%d" % n)
    assert not app.poll(100) and not stranger.poll(0)
    assert not gate or weir.metric("weir_verdicts_total", verdict="holder_vanished") == 0


def test_who_waits_for_an_id_holds_up_nobody(network, peers, start_weir, paths):
    """All places of unfinished handshakes are taken by clients that wait for ids whose holders do not answer."""
    ids = [b"a", b"b", b"c", b"d"]
    app = peers.app(zmq.ROUTER, paths.ipc())
    gate = {"listen": "tcp://*:*", "forward": app.last_endpoint.decode(), "connections": {"half_open": len(ids)}}
    weir = start_weir(config={"workers": 1, "gates": [gate]})
    port = weir.listen.rpartition(":")[2]
    holders = [network.zmq_client(zmq.DEALER, OFFENDER, port, ROUTING_ID=i) for i in ids]
    for holder, identity in zip(holders, ids):
        exchange(holder, app, identity, b"before")
    break_line(network, OFFENDER)
    claims = [network.zmq_client(zmq.DEALER, OFFENDER, port, ROUTING_ID=i) for i in ids]
    weir.wait_metric("weir_connections_half_open", len(ids))
    exchange(network.zmq_client(zmq.DEALER, NEIGHBOUR, port, ROUTING_ID=b"new"), app, b"new", b"hello")
    assert weir.metric("weir_verdicts_total", verdict="half_open_give_way") >= 1
    for claim in claims:
        claim.send(b"back")
    assert {app.recv_multipart()[0] for _ in ids} == set(ids)

# SPDX-License-Identifier: MPL-2.0
"""A thousand clients at once, and what is left when they have gone."""
import pytest
import zmq
from harness import net
from harness.zmtp import connect

COUNT = 1000
ROOM = {"connections": {"max": 2 * COUNT, "half_open": 2 * COUNT},
        "source": {"connections": {"rate": "10000/s", "burst": 10000, "half_open": 2 * COUNT}}}


def addresses(how):
    if how == "one":
        return ["127.0.0.1"] * COUNT
    return [f"127.{1 + i % 7}.{i // 250}.{1 + i % 250}" for i in range(COUNT)]


@pytest.mark.parametrize("how", ["one", "many"])
@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_thousand_clients(how, kind, start_weir, start_app, peers, paths):
    app = start_app("router", paths.ipc() if kind == "ipc" else net.tcp(), nofile=4096, options={"BACKLOG": 4096, "SNDHWM": 0})
    weir = start_weir(config={"gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": app.endpoint, **ROOM}]}, nofile=8192)
    clients = [peers.client(zmq.DEALER, net.from_source(source, weir.endpoint)) for source in addresses(how)]
    for round in range(3):
        for i, client in enumerate(clients):
            client.send_multipart([b"%d" % i, b"round %d" % round])
        for i, client in enumerate(clients):
            assert client.recv_multipart() == [b"%d" % i, b"round %d" % round]
    assert weir.metric("weir_connections") == COUNT
    for client in clients:
        client.close()
    weir.wait_metric("weir_connections", lambda n: n == 0)
    assert app.stats()["messages"] == 3 * COUNT


def test_more_newcomers_than_the_rate_wait_their_turn(start_weir, start_app, peers, paths):
    """400 at once from one address, with the default of 100/s and a burst of 200: late, but all of them, and none refused."""
    app = start_app("router", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    clients = [peers.client(zmq.DEALER, weir.endpoint) for _ in range(400)]
    for i, client in enumerate(clients):
        client.send(b"%d" % i)
    for i, client in enumerate(clients):
        assert client.recv() == b"%d" % i
    assert weir.metric("weir_connections") == 400


def test_nothing_is_left_of_connections_that_came_and_went(start_weir, start_app, paths):
    app = start_app("router", paths.ipc())
    weir = start_weir(config={"gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": app.endpoint, **ROOM}]})

    def visit():
        client = connect(weir.endpoint)
        client.send(b"hello")
        assert client.recv() == [b"hello"]
        client.close()

    for _ in range(50):
        visit()
    weir.wait_metric("weir_connections", lambda n: n == 0)
    descriptors, memory = weir.fd_count(), weir.rss_bytes()
    for _ in range(1500):
        visit()
    weir.wait_metric("weir_connections", lambda n: n == 0)
    net.wait_until(lambda: weir.fd_count() <= descriptors + 4, "the descriptors to be given back")
    assert weir.rss_bytes() < memory + (16 << 20)
    assert weir.metric("weir_held_bytes") == 0

# SPDX-License-Identifier: MPL-2.0
"""Listeners and upstreams in every form of address."""
import os
import socket

import pytest
import zmq
from harness import net

IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")


def echo_through(weir, app, peers, endpoint=None):
    client = peers.client(zmq.REQ, endpoint or weir.endpoint)
    client.send_multipart([b"ping", b"x" * 100000])
    assert app.recv_multipart() == [b"ping", b"x" * 100000]
    app.send(b"pong")
    assert client.recv() == b"pong"
    client.close()


def any_port():
    return net.free_port()


@pytest.mark.parametrize("listen", [
    lambda: f"tcp://127.0.0.1:{any_port()}", lambda: "tcp://127.0.0.1:*", lambda: "tcp://127.0.0.1:0", lambda: f"tcp://*:{any_port()}",
    lambda: f"tcp://0.0.0.0:{any_port()}", lambda: f"tcp://localhost:{any_port()}", lambda: "tcp://*:*",
    pytest.param(lambda: f"tcp://[::1]:{net.free_port('::1')}", marks=pytest.mark.skipif(not IPV6, reason="no IPv6 here")),
    pytest.param(lambda: "tcp://[::1]:*", marks=pytest.mark.skipif(not IPV6, reason="no IPv6 here")),
], ids=["v4", "v4-wildcard", "v4-zero", "any", "any-v4", "name", "all-wild", "v6", "v6-wildcard"])
def test_listen(listen, start_weir, peers, paths):
    forward, wanted = paths.ipc(), listen()
    app = peers.app(zmq.REP, forward)
    weir = start_weir(listen=wanted, forward=forward)
    port = net.split_tcp(weir.listen)[1]
    assert port > 0
    if wanted[-1] != "*" and not wanted.endswith(":0"):
        assert port == net.split_tcp(wanted)[1]
    assert weir.gates[0][1] == forward
    echo_through(weir, app, peers)


def test_listen_on_ipc(start_weir, peers, paths):
    forward, listen = paths.ipc(), paths.ipc()
    app = peers.app(zmq.REP, forward)
    weir = start_weir(listen=listen, forward=forward)
    assert weir.listen == listen
    echo_through(weir, app, peers)


def test_stale_ipc_listener_is_taken_over(start_weir, peers, paths):
    """A Weir that was killed leaves its socket file behind."""
    forward, listen = paths.ipc(), paths.ipc()
    app = peers.app(zmq.REP, forward)
    first = start_weir(listen=listen, forward=forward)
    first.expected_exit = -9
    first.kill()
    assert os.path.exists(listen.removeprefix("ipc://"))
    echo_through(start_weir(listen=listen, forward=forward), app, peers)


@pytest.mark.parametrize("forward", [
    lambda paths: net.tcp(), lambda paths: paths.ipc(), lambda paths: f"tcp://localhost:{any_port()}",
    pytest.param(lambda paths: net.tcp("::1"), marks=pytest.mark.skipif(not IPV6, reason="no IPv6 here")),
], ids=["tcp", "ipc", "name", "v6"])
def test_forward(forward, start_weir, peers, paths):
    forward = forward(paths)
    app = peers.app(zmq.REP, forward.replace("localhost", "127.0.0.1"))
    echo_through(start_weir(listen="tcp://127.0.0.1:*", forward=forward), app, peers)


def test_several_gates_of_one_weir(start_weir, peers, paths):
    forwards = [paths.ipc(), net.tcp(), paths.ipc()]
    apps = [peers.app(zmq.REP, forward) for forward in forwards]
    listens = ["tcp://127.0.0.1:*", paths.ipc(), net.tcp()]
    weir = start_weir(config={"gates": [{"name": f"g{i}", "listen": listen, "forward": forward}
                                        for i, (listen, forward) in enumerate(zip(listens, forwards))]})
    assert sorted(forward for _, forward in weir.gates) == sorted(forwards)
    for listen, forward in weir.gates:
        echo_through(weir, apps[forwards.index(forward)], peers, listen)


def test_client_addresses_all_over_loopback(start_weir, peers, paths):
    forward = paths.ipc()
    app = peers.app(zmq.REP, forward)
    weir = start_weir(listen=f"tcp://*:{any_port()}", forward=forward)
    for source in ("127.0.0.1", "127.1.2.3", "127.200.0.9", "127.255.255.1"):
        echo_through(weir, app, peers, net.from_source(source, weir.endpoint))

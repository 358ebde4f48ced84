# SPDX-License-Identifier: MPL-2.0
"""The harness itself: the smallest use of each piece."""
import zmq
from harness import net


def test_echo_through_the_gate(start_weir, start_app, peers, paths):
    app = start_app("rep", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    req = peers.client(zmq.REQ, weir.endpoint)
    req.send_multipart([b"", b"hello"])
    assert req.recv_multipart() == [b"", b"hello"]
    assert app.stats()["messages"] == 1
    assert weir.wait_metric("weir_connections", 1) == 1
    assert weir.rss_bytes() > 0 and weir.fd_count() > 2


def test_ready_before_the_application(start_weir, paths):
    endpoint = net.tcp()
    weir = start_weir(listen=endpoint, forward=paths.ipc())
    assert weir.listen == endpoint


def test_everything_at_another_budget(start_weir, paths, monkeypatch):
    monkeypatch.setenv("WEIR_TEST_MEMORY", "9MiB")
    plain = start_weir(listen="tcp://127.0.0.1:*", forward=paths.ipc())
    assert plain.metric("weir_memory_limit_bytes") == 9 << 20
    own = start_weir(config={"memory": "10MiB", "gates": [{"listen": "tcp://127.0.0.1:*", "forward": paths.ipc()}]})
    assert own.metric("weir_memory_limit_bytes") == 10 << 20

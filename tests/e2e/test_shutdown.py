# SPDX-License-Identifier: MPL-2.0
"""SIGTERM lets what is under way come to its end; a second one does not wait."""
import signal
import time

import pytest
import zmq
from harness import net, zmtp


def gate(start_weir, forward, drain):
    return start_weir(config={"drain": drain, "gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward}]})


def refuses(weir):
    try:
        net.raw_connect(weir.endpoint, timeout=5).close()
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_reply_under_way_arrives(kind, start_weir, start_app, peers, paths):
    app = start_app("slow-rep", paths.ipc() if kind == "ipc" else net.tcp(), work_ms=1000)
    weir = gate(start_weir, app.endpoint, "30s")
    req = peers.client(zmq.REQ, weir.endpoint)
    req.send(b"slow question")
    weir.wait_metric("weir_messages_total", 1, direction="in")
    weir.signal(signal.SIGTERM)
    assert req.recv() == b"slow question"
    weir.expected_exit = 0
    assert weir.wait() == 0


def test_newcomers_are_not_let_in_during_the_drain(start_weir, start_app, peers, paths):
    app = start_app("slow-rep", paths.ipc(), work_ms=2000)
    weir = gate(start_weir, app.endpoint, "30s")
    req = peers.client(zmq.REQ, weir.endpoint)
    req.send(b"slow question")
    weir.wait_metric("weir_messages_total", 1, direction="in")
    weir.signal(signal.SIGTERM)
    weir.expected_exit = 0
    net.wait_until(lambda: refuses(weir), "the listener to be closed")
    assert req.recv() == b"slow question"
    assert weir.wait() == 0


def test_idle_connections_do_not_hold_up_the_end(start_weir, start_app, peers, paths):
    """A drain of an hour ends at once when nothing is under way."""
    app = start_app("pull", paths.ipc())
    weir = gate(start_weir, app.endpoint, "1h")
    push = peers.client(zmq.PUSH, weir.endpoint)
    push.send(b"x")
    net.wait_until(lambda: app.stats()["messages"] == 1, "the message")
    weir.signal(signal.SIGTERM)
    weir.expected_exit = 0
    assert weir.wait() == 0


def test_the_drain_is_bounded(start_weir, start_app, paths):
    """A client in the middle of a message for ever is cut after `drain`."""
    app = start_app("pull", paths.ipc())
    weir = gate(start_weir, app.endpoint, "500ms")
    client = zmtp.connect(weir.endpoint, socket_type="PUSH")
    client.send_raw(zmtp.frame_header(1 << 20) + bytes(1 << 19))
    weir.wait_metric("weir_sent_bytes_total", 1 << 19, direction="in")
    weir.signal(signal.SIGTERM)
    weir.expected_exit = 0
    assert weir.wait() == 0
    assert client.closed_by_peer()
    assert app.stats()["messages"] == 0


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_second_signal_stops_at_once(number, start_weir, start_app, peers, paths):
    app = start_app("slow-rep", paths.ipc(), work_ms=3600000)
    weir = gate(start_weir, app.endpoint, "1h")
    req = peers.client(zmq.REQ, weir.endpoint)
    req.send(b"a question that takes an hour")
    weir.wait_metric("weir_messages_total", 1, direction="in")
    weir.signal(getattr(signal, number))
    net.wait_until(lambda: refuses(weir), "the first signal to be heard")
    time.sleep(0.5)
    assert weir.alive(), "the first signal waits for the reply"
    weir.expected_exit = weir.process.returncode
    weir.signal(getattr(signal, number))
    weir.expected_exit = weir.wait()
    assert weir.expected_exit in (0, 1)

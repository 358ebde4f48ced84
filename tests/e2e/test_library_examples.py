# SPDX-License-Identifier: MPL-2.0
"""The examples in C: each runs, and does what its page says."""
import re
from pathlib import Path

import pytest
import zmq
from harness.examples import BUILD, example
from harness.net import wait_until
from harness.weir import ROOT

__all__ = ["example"]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.c"))
BELIEVED, SLOW = 1, 2

pytestmark = pytest.mark.skipif(not (BUILD / "example_pool").exists(), reason="this build has no libweir (-Dlibrary=enabled)")


def ask(client, *frames):
    client.send_multipart(frames)
    return client.recv()


def test_every_example_is_built_and_installed():
    assert EXAMPLES == sorted(re.findall(r"'(\w+)'", re.search(r"foreach example : (\[.*?\])", (ROOT / "examples" / "meson.build").read_text()).group(1)))
    assert EXAMPLES == sorted(re.findall(r"'examples' / '(\w+)\.c'", (ROOT / "dist" / "meson.build").read_text()))


def test_the_pool(example, peers, paths):
    endpoint = paths.ipc()
    example("pool", endpoint)
    client = peers.client(zmq.REQ, endpoint)
    for i in range(10):
        assert ask(client, b"%d" % i) == b"%d" % i


def test_the_service_places_an_order_once(example, peers, paths):
    endpoint, metrics = paths.ipc(), Path(paths.file("metrics"))
    example("service", endpoint, metrics)
    client = peers.client(zmq.REQ, endpoint)
    first = ask(client, b"id 1", b"tea")
    assert first == b"order 1: tea"
    assert ask(client, b"id 1", b"tea") == first
    assert ask(peers.client(zmq.REQ, endpoint), b"id 1", b"tea") == first
    assert ask(client, b"id 2", b"tea") == b"order 2: tea"
    wait_until(lambda: metrics.exists() and 'weir_stage_work_total{stage="orders",outcome="ok"} 4' in metrics.read_text(), "the metrics")


def test_the_service_refuses_at_once_while_its_database_fails(example, peers, paths):
    endpoint = paths.ipc()
    example("service", endpoint)
    client = peers.client(zmq.REQ, endpoint)
    for i in range(10):
        assert ask(client, b"id %d" % i, b"broken") == b"unavailable"
    assert ask(client, b"id 0", b"tea") == b"unavailable", "the breaker is open, whatever is asked for"
    wait_until(lambda: ask(client, b"id 0", b"tea") == b"order 1: tea", "the breaker to close", step=0.2)


def test_the_broker(example, peers, paths):
    front, back = paths.ipc(), f"ipc://{paths.file('back')}"
    example("broker", front, back, "2")
    worker = peers.app(zmq.REP)
    worker.connect(back)
    client = peers.client(zmq.REQ, front)
    for i in range(10):
        client.send(b"%d" % i)
        assert worker.recv() == b"%d" % i
        worker.send(b"done")
        assert client.recv() == b"done"


def test_a_gate_knows_what_lies_in_the_brokers_queue(example, peers, paths, start_weir):
    """The broker takes all requests at once; what its workers do not have yet does not count as taken."""
    front, back, counter = paths.ipc(), f"ipc://{paths.file('back')}", paths.file("main.taken")
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": front, "counter": counter}]})
    example("broker", front, back, "2", counter)
    worker = peers.app(zmq.DEALER)
    worker.connect(back)
    weir.wait_metric("weir_counter_state", lambda value: value in (BELIEVED, SLOW))
    client = peers.client(zmq.DEALER, weir.endpoint)
    for i in range(10):
        client.send_multipart([b"", b"%d" % i])
    jobs = [worker.recv_multipart() for _ in range(2)]
    weir.wait_metric("weir_counter_taken_messages_total", 2)
    assert not worker.poll(300) and weir.metric("weir_counter_taken_messages_total") == 2
    for _ in range(8):
        worker.send_multipart(jobs.pop(0))
        jobs.append(worker.recv_multipart())
    for job in jobs:
        worker.send_multipart(job)
    weir.wait_metric("weir_counter_taken_messages_total", 10)
    assert [client.recv_multipart()[1] for _ in range(10)] == [b"%d" % i for i in range(10)]

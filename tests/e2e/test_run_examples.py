# SPDX-License-Identifier: MPL-2.0
"""The examples in C under `weir run`: clients and workers get the same words as without it."""
import pytest
import zmq
from harness import net
from harness.examples import BUILD
from harness.run import Ran
from test_library_examples import EXAMPLES

pytestmark = pytest.mark.skipif(not (BUILD / "example_pool").exists(), reason="this build has no libweir (-Dlibrary=enabled)")


def requests(peers, endpoint, *asked):
    client = peers.client(zmq.REQ, endpoint, RECONNECT_IVL=20)
    heard = []
    for frames in asked:
        client.send_multipart(frames)
        heard.append(client.recv_multipart())
    return heard


def pool(start, peers):
    endpoint = net.tcp()
    start("pool", endpoint)
    return requests(peers, endpoint, *([b"%d" % i] for i in range(50))), 1


def service(start, peers):
    endpoint = net.tcp()
    start("service", endpoint)
    heard = requests(peers, endpoint, [b"id 1", b"tea"], [b"id 1", b"tea"], [b"id 2", b"tea"])
    heard += requests(peers, endpoint, [b"id 2", b"tea"], *([b"id %d" % i, b"broken"] for i in range(3, 13)), [b"id 1", b"tea"])
    return heard, 1


def broker(start, peers):
    front, back = net.tcp(), net.tcp()
    start("broker", front, back, "2")
    workers = [peers.app(zmq.REP) for _ in range(2)]
    for worker in workers:
        worker.connect(back)
    clients = [peers.client(zmq.REQ, front, RECONNECT_IVL=20) for _ in range(3)]
    heard = []
    for i, client in enumerate(clients * 5):
        client.send_multipart([b"%d" % i, b""])
        worker = next(w for w in workers * 3000 if w.poll(5))
        heard.append(worker.recv_multipart())
        worker.send(b"done %d" % i)
        heard.append(client.recv())
    return heard, 2


CONVERSATIONS = {"pool": pool, "service": service, "broker": broker}


def test_each_example_has_a_conversation():
    assert sorted(CONVERSATIONS) == EXAMPLES


@pytest.mark.parametrize("name", sorted(CONVERSATIONS))
def test_an_example_under_run(name, peers, paths):
    heard = []
    for bare in (True, False):
        started = []

        def start(program, *words):
            started.append(Ran(paths.folder, [BUILD / f"example_{program}", *words], bare=bare))
        try:
            said, gates = CONVERSATIONS[name](start, peers)
            heard.append(said)
            assert len(started[0].gates()) == (0 if bare else gates), started[0].describe("gates")
            assert started[0].terminate() == 0, started[0].describe("its end")
            assert not started[0].said_itself()
        finally:
            for child in started:
                child.kill()
                assert not child.sanitizer_report()
    assert heard[0] == heard[1] and heard[0]

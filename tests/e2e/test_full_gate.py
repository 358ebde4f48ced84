# SPDX-License-Identifier: MPL-2.0
"""Who stays at a full gate, and who comes in: connections that were used a little and stand idle, and workers that wait for their first job."""
import time

import zmq
from harness import zmtp
from harness.net import from_source, raw_connect, wait_until

MOST = 48


def crowded_gate(start_weir, app):
    return start_weir(config={"gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": app, "connections": {"max": MOST}}]})


def idle_after_a_word(endpoint, source):
    """A connection that is served once and says nothing more."""
    peer = zmtp.RawPeer(raw_connect(endpoint, source)).handshake()
    peer.send(b"hi")
    peer.recv()
    return peer


def ask(client):
    client.send(b"?")
    assert client.recv() == b"?"


def test_idle_connections_of_few_sources_do_not_keep_newcomers_out(start_weir, start_app, peers, paths):
    """Three sources take the whole gate with one message on each connection; who was there before stays."""
    app = start_app("router", paths.ipc())
    weir = crowded_gate(start_weir, app.endpoint)
    regulars = [peers.client(zmq.DEALER, from_source(f"127.60.{n}.1", weir.endpoint)) for n in range(4)]
    monitors = [peers.monitor(client) for client in regulars]
    for client in regulars:
        ask(client)
    idle = [idle_after_a_word(weir.endpoint, f"127.70.0.{1 + n % 3}") for n in range(MOST - 4 - 3)]
    assert weir.metric("weir_connections") == MOST - 3  # the rest is kept for who was served and holds few
    newcomers = [peers.client(zmq.DEALER, from_source(source, weir.endpoint)) for source in ["127.60.0.1", *(f"127.50.{n}.1" for n in range(6))]]
    for client in newcomers:
        ask(client)
    assert weir.metric("weir_verdicts_total", verdict="give_way") >= 6
    for client in regulars:
        ask(client)
    assert [m.count("DISCONNECTED") for m in monitors] == [0] * len(monitors)
    for peer in idle:
        peer.sock.close()


def test_workers_that_wait_for_their_first_job_stay(start_weir, peers, paths):
    """Workers of one network that have never had a job, and a flood that finishes its handshakes from everywhere."""
    app = peers.app(zmq.PUSH, paths.ipc())
    weir = crowded_gate(start_weir, app.last_endpoint.decode())
    workers = [peers.client(zmq.PULL) for _ in range(12)]
    monitors = [peers.monitor(worker) for worker in workers]
    for n, worker in enumerate(workers):
        worker.connect(from_source(f"127.60.0.{1 + n}", weir.endpoint))
    wait_until(lambda: weir.metric("weir_connections_established_total") == len(workers), "the workers to come in")
    time.sleep(4)  # they have stood for a while
    flood = []
    for n in range(150):
        time.sleep(0.02)  # slower than those of which each is spared for a moment
        sock = raw_connect(weir.endpoint, f"127.80.{n}.1")
        try:
            flood.append(zmtp.RawPeer(sock, "PULL").handshake())
        except (zmtp.Closed, OSError):
            sock.close()  # refused
    assert weir.metric("weir_verdicts_total", verdict="give_way") >= 50
    assert [m.count("DISCONNECTED") for m in monitors] == [0] * len(monitors)
    for peer in flood:
        peer.sock.close()
    weir.wait_metric("weir_connections", lambda n: n == len(workers))
    for _ in range(4 * len(workers)):
        app.send(b"job")
    for worker in workers:
        assert worker.recv() == b"job"

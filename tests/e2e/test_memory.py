# SPDX-License-Identifier: MPL-2.0
"""The memory budget under pressure: 16 MiB for everything, and floods that want much more. Customers with messages of 60 KiB, old and
new, are served; the admin port answers throughout; a busy day without a flood is not noticed by anybody."""
import threading

import pytest
import zmq
from attacks.customers import Requester
from attacks.scene import *
from attacks.scene import wait_until
from harness.net import from_source

PATIENT = {"connections": {"max": 4000, "half_open": 4000}, "message": {"complete_within": "60s"},
           "source": {"connections": {"rate": "5000/s", "burst": 5000, "half_open": 4000}}}
PART = {"type": "DEALER", "announce": 60000, "size": 59000}  # nearly all of a message that is held until it is whole


@pytest.fixture(autouse=True)
def budget(monkeypatch):
    monkeypatch.setenv("WEIR_TEST_MEMORY", "16MiB")


class Bulk(Requester):
    """A request of 60 KiB, and its reply."""

    def exchange(self):
        self.count += 1
        request = b"%d of %d " % (self.count, id(self)) + bytes(60 << 10)
        self.socket.send(request)
        assert self.socket.recv() == request


class Watch:
    """Asks for /metrics again and again; remembers the highest pressure and the most that was held."""

    def __init__(self, weir):
        self.weir, self.highest, self.most, self.asked = weir, 0, 0, 0
        self.failure, self.stopped = None, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopped.wait(0.05):
                found = self.weir.metrics()
                self.highest = max(self.highest, found["weir_memory_pressure"])
                self.most = max(self.most, found["weir_memory_held_bytes"])
                self.asked += 1
        except Exception as e:  # told by stop()
            self.failure = e

    def stop(self):
        self.stopped.set()
        self.thread.join()
        assert self.failure is None, f"/metrics was out of reach: {self.failure!r}"
        assert self.asked > 0 and self.most <= 16 * MIB
        return self.highest


def serve(g, peers, regular, rounds, base):
    """The regular customer goes on, and newcomers of addresses of their own come in between."""
    for i in range(rounds):
        regular.exchange()
        if i % 5 == 2:
            late = Bulk(peers, g.app, g.endpoint, f"127.79.{base}.{i + 1}")
            late.exchange()
            late.close()


def presses(g, level):
    g.weir.wait_metric("weir_memory_pressure", level)


def within_budget(g):
    assert g.weir.metric("weir_memory_peak_bytes") <= g.weir.metric("weir_memory_limit_bytes") == 16 * MIB
    assert g.verdicts("no_memory") == 0


def test_unfinished_messages_of_one_source(gate, flood, peers):
    """2000 connections that bring nearly all of a message and wait: seven times the budget."""
    g = gate("router", config=PATIENT, nofile=8192)
    regular, watch = Bulk(peers, g.app, g.endpoint, "127.79.0.1"), Watch(g.weir)
    regular.exchange()
    f = flood("huge", g.endpoint, **PART, connections=2000, opens=100000)
    f.wait_figure("established", 1500)
    presses(g, 1)
    serve(g, peers, regular, 40, 1)
    assert f.alive()
    assert g.weir.metric("weir_reads_deferred_total") > 0
    within_budget(g)
    f.stop()
    presses(g, lambda level: level == 0)
    assert watch.stop() >= 1
    regular.close()


def test_unfinished_messages_of_many_sources(gate, flood, peers):
    """The same from 250 addresses: none holds more than others, and the oldest unfinished messages give way."""
    g = gate("router", config=PATIENT, nofile=8192)
    regular, watch = Bulk(peers, g.app, g.endpoint, "127.79.0.1"), Watch(g.weir)
    regular.exchange()
    f = flood("huge", g.endpoint, **PART, connections=1000, sources=250, opens=100000)
    wait_until(g.expects(50, "memory_give_way"), "messages to be cut")
    regular.exchange()
    assert f.alive()
    within_budget(g)
    f.stop()
    presses(g, lambda level: level == 0)
    assert watch.stop() >= 2
    regular.close()


def test_everything_at_once(gate, flood, peers):
    """At its worst a newcomer may be refused, and comes again; who is there is served."""
    g = gate("router", config=PATIENT, nofile=8192)
    regular, watch = Bulk(peers, g.app, g.endpoint, "127.79.0.1"), Watch(g.weir)
    regular.exchange()
    floods = [flood("huge", g.endpoint, source="127.66.0.1", **PART, connections=700, opens=100000),
              flood("messages", g.endpoint, source="127.66.0.2", type="DEALER", size=30000, connections=100, never_read=True, opens=100000),
              flood("silent", g.endpoint, source="127.66.0.3", connections=700, opens=100000)]
    presses(g, 1)
    for _ in range(30):
        regular.exchange()
    assert all(f.alive() for f in floods)
    within_budget(g)
    for f in floods:
        f.stop()
    presses(g, lambda level: level == 0)
    watch.stop()
    regular.close()


def test_a_busy_day_notices_nothing(gate, peers):
    """50 customers with requests of 60 KiB in flight, all day long."""
    g = gate("router", config=PATIENT)
    watch = Watch(g.weir)
    busy = [peers.client(zmq.DEALER) for _ in range(50)]
    for i, s in enumerate(busy):
        s.connect(from_source(f"127.79.3.{i + 1}", g.endpoint))
    for round_ in range(20):
        request = b"%d" % round_ + bytes(60 << 10)
        for s in busy:
            s.send_multipart([b"", request])
        for s in busy:
            assert s.recv_multipart() == [b"", request]
    assert watch.stop() == 0
    assert g.weir.metric("weir_reads_deferred_total") == 0
    assert not refusals(g.weir)
    within_budget(g)

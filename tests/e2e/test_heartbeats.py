# SPDX-License-Identifier: MPL-2.0
"""Heartbeats of both ends survive silence and pauses: neither gives the other up, nothing is lost or reordered.

The timeouts are far above what a busy machine delays a thread, the pauses are far above the timeouts.
"""
import threading
import time

import pytest
import zmq
from harness.net import wait_until
from harness.peers import Peers
from harness.security import MECHANISMS, secure

HEARTBEATS = [(100, 1500), (500, 3000)]  # interval and timeout (also the announced TTL), in ms


def heartbeat(interval, timeout):
    return {"HEARTBEAT_IVL": interval, "HEARTBEAT_TIMEOUT": timeout, "HEARTBEAT_TTL": timeout}


class Line:
    """A client, a gate and an application with monitors on both sides."""

    def __init__(self, label, peers, start_weir, forward, mechanism, client_beat, app_beat, kinds=(zmq.DEALER, zmq.DEALER), **keys):
        self.label = label
        app_security, client_security = secure(mechanism, peers)
        self.app = peers.app(kinds[0], **app_security, **app_beat)
        self.app_events = peers.monitor(self.app)
        self.app.bind(forward)
        self.weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, **keys}]})
        self.client = peers.client(kinds[1], **client_security, **client_beat)
        self.client_events = peers.monitor(self.client)
        self.client.connect(self.weir.endpoint)
        self.client_events.wait("HANDSHAKE_SUCCEEDED")
        self.app_events.wait("HANDSHAKE_SUCCEEDED")

    def unbroken(self):
        """Weir may look at an application's greeting and leave; a connection that shook hands must not be lost."""
        assert self.client_events.count("DISCONNECTED") == 0, (self.label, self.client_events.events)
        for events in (self.client_events, self.app_events):
            assert events.count("HANDSHAKE_SUCCEEDED") == 1, (self.label, events.events)
        after = self.app_events.events[self.app_events.events.index("HANDSHAKE_SUCCEEDED"):]
        assert "DISCONNECTED" not in after, (self.label, after)

    def echo(self, what):
        self.client.send(what)
        assert self.app.recv() == what, self.label
        self.app.send(what)
        assert self.client.recv() == what, self.label


@pytest.fixture
def line(start_weir, start_app, paths):
    """line(label, mechanism, client_beat, app_beat, ...) -> a Line with contexts of its own, because ZAP belongs to a context."""
    made = []

    def make(label, mechanism, client_beat, app_beat, **keys):
        made.append(Peers())
        return Line(label, made[-1], start_weir, paths.ipc(), mechanism, client_beat, app_beat, **keys)

    yield make
    for peers in made:
        peers.close()


def test_idle(line):
    """Every mechanism and timeout at once, silent for twice the longest timeout."""
    lines = []
    for mechanism in MECHANISMS:
        for interval, timeout in HEARTBEATS:
            beat = heartbeat(interval, timeout)
            lines.append(line(f"{mechanism} {interval}", mechanism, beat, beat))
    for one in lines:
        one.echo(b"before")
    time.sleep(2.2 * max(timeout for _, timeout in HEARTBEATS) / 1000)
    for one in lines:
        one.echo(b"after")
        one.unbroken()


def test_long_pauses(line):
    """One message in 4 s against timeouts of 1.5 s: every pause would be fatal if Weir were silent."""
    beat, lines = heartbeat(100, 1500), []
    for mechanism in ("NULL", "PLAIN"):
        for side, of_client, of_app in (("both", beat, beat), ("client", beat, {}), ("application", {}, beat)):
            lines.append(line(f"{mechanism} {side}", mechanism, of_client, of_app,
                              source={"messages": {"rate": "15/m", "burst": 0, "over": "pause"}}))
    for i in range(3):
        for one in lines:
            one.client.send(b"%d" % i)
    for i in range(3):
        for one in lines:
            assert one.app.recv() == b"%d" % i, one.label
    for one in lines:
        one.unbroken()
        assert one.weir.metric("weir_pauses_total") > 0, one.label
        assert one.weir.metric("weir_keepalives_total") > 0, one.label


def test_a_trickle_for_several_seconds(line):
    """A few messages per second, the application talking back meanwhile. Inside CURVE Weir cannot speak: there heartbeat.max_pause
    bounds each pause instead."""
    beat, lines = heartbeat(200, 2000), []
    for mechanism in MECHANISMS:
        lines.append(line(mechanism, mechanism, beat, beat, heartbeat={"max_pause": "300ms"},
                          source={"messages": {"rate": "5/s", "burst": 1, "over": "pause"}}))
    for i in range(30):
        for one in lines:
            one.client.send(b"%d " % i + b"x" * 3000 * (i % 4))
    for i in range(30):
        for one in lines:
            assert one.app.recv() == b"%d " % i + b"x" * 3000 * (i % 4), one.label
            one.app.send(b"ok %d" % i)
            assert one.client.recv() == b"ok %d" % i, one.label
    for one in lines:
        one.unbroken()


def test_a_stalled_application(line):
    """A consumer that takes nothing for some seconds: its client's libzmq still hears from the gate and keeps the connection."""
    one = line("stalled", "NULL", heartbeat(200, 1500), {}, kinds=(zmq.PULL, zmq.PUSH))
    sent = 0

    def stuffed():
        nonlocal sent
        try:
            for _ in range(200):
                one.client.send(b"%d " % sent + bytes(20000), zmq.NOBLOCK)
                sent += 1
            return False
        except zmq.Again:
            return one.weir.metric("weir_connections_blocked", direction="in") == 1

    wait_until(stuffed, "backpressure to reach the client", step=0.1)
    time.sleep(4)
    for i in range(sent):
        assert one.app.recv() == b"%d " % i + bytes(20000)
    one.unbroken()


@pytest.mark.parametrize("beat", [{}, heartbeat(100, 3000)], ids=["no-heartbeats", "heartbeats"])
def test_answers_of_the_size_of_a_ping(beat, line):
    """Inside CURVE, an answer of seven octets is as large as a PING. It is an answer all the same: what counts as unanswered would hold up
    newcomers. Fewer than twelve, because a connection that is not answered is left out of account from there on."""
    x = line("seven octets", "CURVE", {}, beat)
    for _ in range(10):
        x.echo(b"SUCCESS")
        time.sleep(0.06)  # only one PING in 50 ms was one
    x.weir.wait_metric("weir_unanswered_messages", lambda value: value == 0)
    x.unbroken()


def test_a_client_that_closes_behind_a_backlog_loses_nothing(start_weir, peers, paths):
    """Its kernel still holds what it has sent when it is gone; whatever comes for it then would be answered with a reset, and all that dropped."""
    count, body = 500, b"x" * 20000
    app = peers.app(zmq.PULL, RCVHWM=1)
    forward = paths.ipc()
    app.bind(forward)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    context = zmq.Context()
    client = context.socket(zmq.PUSH)
    client.sndhwm, client.linger = 1, -1
    client.connect(weir.endpoint)
    left = threading.Thread(target=lambda: ([client.send(b"%d " % n + body) for n in range(count)], client.close(), context.term()))
    left.start()
    for n in range(count):  # slowly: the pauses are far longer than heartbeat.interval
        assert app.recv().startswith(b"%d " % n)
        time.sleep(0.004)
    left.join()

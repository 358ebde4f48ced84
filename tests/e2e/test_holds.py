# SPDX-License-Identifier: MPL-2.0
"""What is held back says why: metrics, `weir ctl show`, `weir explain`, by the proof that each hold rests on; and where nothing can be held, that."""
import contextlib
import json
import re
import subprocess
import threading

import pytest
import zmq
from harness.net import from_source, wait_until
from harness.weir import program
from test_counter import counted  # the fixture
from test_ctl import Setting

CUSTOMER = "127.9.4.1"
STRANGERS, EACH = 40, 6  # so many requests of each are open at a time: a bounded backlog, whatever becomes of it


__all__ = ["counted"]


@pytest.fixture
def setting(paths, start_app, start_weir):
    """setting("slow-rep", work_ms=5) -> a started Setting in front of such an application."""
    def make(kind, start=start_app, gate=None, **options):
        s = Setting(paths, lambda k, endpoint: start(k, endpoint, **options), start_weir, kind)
        s.start(ban={"strikes": 0}, **(gate or {}))
        return s

    return make


class Asker(threading.Thread):
    """Asks from a thread of its own until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over = threading.Event()

    def stop(self):
        self.over.set()
        self.join(60)


class Customer(Asker):
    """Asks a little, all the time: what it is served in calm time is its claim."""

    def __init__(self, peers, weir, one_way):
        super().__init__()
        self.one_way = one_way
        self.socket = peers.client(zmq.PUSH if one_way else zmq.REQ, from_source(CUSTOMER, weir.endpoint))

    def run(self):
        while not self.over.wait(0.02):
            self.socket.send(b"a request")
            if not self.one_way:
                self.socket.recv()


class Strangers(Asker):
    """Each asks as fast as it is answered; where nothing is, all together send more than the application takes."""

    def __init__(self, peers, weir, one_way):
        super().__init__()
        self.one_way = one_way
        kind = zmq.PUSH if one_way else zmq.DEALER
        self.sockets = [peers.client(kind, from_source(f"127.9.5.{n + 1}", weir.endpoint), SNDHWM=EACH) for n in range(STRANGERS)]

    def run(self):
        if self.one_way:
            self.push()
        else:
            self.ask()
        for socket in self.sockets:
            socket.close()

    def push(self):
        while not self.over.wait(0.02):
            for socket in self.sockets:
                with contextlib.suppress(zmq.Again):
                    socket.send(b"a message", zmq.DONTWAIT)

    def ask(self):
        poller = zmq.Poller()
        for socket in self.sockets:
            poller.register(socket, zmq.POLLIN)
            for _ in range(EACH):
                socket.send_multipart([b"", b"a request"])
        while not self.over.is_set():
            for socket, _ in poller.poll(100):
                socket.send_multipart(socket.recv_multipart())


@pytest.fixture
def asking(peers):
    """asking(Customer, weir, one_way) -> a running Asker, stopped before the sockets are closed."""
    mine = []

    def start(kind, weir, one_way):
        mine.append(kind(peers, weir, one_way))
        mine[-1].start()
        return mine[-1]

    yield start
    for asker in mine:
        asker.stop()


def held(weir, proof):
    return weir.metric("weir_held_messages_total", proof=proof)


@pytest.mark.parametrize("proof", ["latency", "counter"])
def test_a_hold_says_on_what_proof(proof, setting, counted, paths, asking):
    """Strangers are held once the answers of a REP become slower and not more, or, where there is a counter, while messages lie untaken. The customer is not."""
    page, one_way = paths.file("main.taken"), proof == "counter"
    if one_way:
        s = setting("pull", start=counted, gate={"counter": page}, work_us=5000, counter=page)
        s.app.ask("open")  # it was there before Weir
        s.weir.wait_metric("weir_counter_state", 1)
    else:
        s = setting("slow-rep", work_ms=5)
    weir = s.weir
    customer = asking(Customer, weir, one_way)
    weir.wait_metric("weir_limiter_connections", 1, standing="established")
    assert weir.metric("weir_plain_service") == (0 if one_way else 1) and held(weir, proof) == 0
    strangers = asking(Strangers, weir, one_way)
    found = []

    def seen():
        found[:] = [c for c in s.show("connections") if c["hold"] and c["hold"]["proof"] == proof]
        return found

    wait_until(seen, "somebody to be held")
    for c in found:
        assert not c["peer"].startswith(CUSTOMER + ":") and c["paused"], c
    text = []
    wait_until(lambda: text.append(s.ctl("show", "connections").stdout) or re.search(rf" in line \d+s \({proof}\)$", text[-1], re.M), "the table to show it")
    gates = []

    def active():
        gates.append(s.show("gates")[0]["limiter"])
        return gates[-1]["state"] == "active" and gates[-1]["in_line"] > 0 and gates[-1]["proof"] == proof

    wait_until(active, "the limiter to be active")
    assert gates[-1]["why_not"] is None and gates[-1]["established"] >= 1
    weir.wait_metric("weir_limiter_connections", STRANGERS / 2, standing="stranger")
    strangers.stop()
    customer.stop()
    weir.wait_metric("weir_connections_queued", lambda n: n == 0)
    assert weir.metric("weir_held_messages") == 0
    assert 0 < weir.metric("weir_held_messages_passed_total", proof=proof) <= held(weir, proof)
    assert held(weir, "latency") + held(weir, "counter") + held(weir, "max") == weir.metric("weir_held_messages_total")
    assert held(weir, "max") == 0


def test_where_nothing_can_be_held_it_says_so(setting, peers):
    s = setting("pull")
    client = peers.client(zmq.PUSH, s.weir.endpoint)
    client.send(b"a message")
    s.weir.wait_metric("weir_messages_total", 1, direction="in")
    assert "main: nothing is held, and could not be: no counter, and it is not known to be a plain request/reply service\n" in s.ctl("show", "gates").stdout
    (gate,) = s.show("gates")
    assert (gate["gate"], gate["connections"], gate["limiter"]["state"], gate["limiter"]["counter"]) == ("main", 1, "none", "none")
    # After a change of the configuration, too.
    s.config(ban={"strikes": 0}, concurrency={"limit": "off"})
    s.ctl("reload")
    assert "main: nothing is held, and could not be: concurrency.limit is off\n" in s.ctl("show", "gates").stdout
    assert s.call("GET", "/v1/gates?limit=9")[0] == 400
    assert "has no meaning here" in s.ctl("show", "gates", "--gate", "main", code=2).stderr


@pytest.mark.parametrize("keys, said", [
    ({"socket": "rep"}, "waits for others only on proof (the counter, or latency)"),
    ({"socket": "pull"}, "waits for others only where the application's counter proves it; without one, never"),
    ({}, "or, of a plain request/reply service, latency), and never within its claim"),
    ({"concurrency": {"limit": "off"}}, "it never waits for others"),
    ({"concurrency": {"max": 3}}, "waits while so many are not answered"),
])
def test_explain_says_on_what_a_hold_could_rest(keys, said, paths):
    path = paths.file("weir.yaml")
    with open(path, "w") as f:
        json.dump({"gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": paths.ipc(), **keys}]}, f)
    done = subprocess.run([*program(), "explain", "-c", path, "--from", CUSTOMER, "--size", "10"], capture_output=True, text=True, timeout=60)
    line = next(line for line in done.stdout.splitlines() if " concurrency." in line)
    assert said in line and done.stdout.endswith("passes\n") and done.returncode == 0


def test_explain_says_whether_there_is_a_counter(paths):
    def explained(**keys):
        path = paths.file("weir.yaml")
        with open(path, "w") as f:
            json.dump({"gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": paths.ipc(), **keys}]}, f)
        done = subprocess.run([*program(), "explain", "-c", path, "--from", CUSTOMER, "--size", "10"], capture_output=True, text=True, timeout=60)
        return [line.split(maxsplit=2) for line in done.stdout.splitlines() if " counter " in line]

    where = paths.file("counter.sock")
    assert explained() == [["counter", "none", "default                 so the application cannot say how many messages it has taken"]]
    ((key, value, rest),) = explained(counter=where)
    assert (key, value) == ("counter", where) and rest.endswith("the application says there how many messages it has taken")
    assert explained(concurrency={"limit": "off"}) == explained(socket="pub") == []

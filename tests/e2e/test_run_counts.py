# SPDX-License-Identifier: MPL-2.0
"""`weir run`: each gate has the application's counter by itself. Real programs in C and Python, whose gates are asked over HTTP what they believe."""
import os
import signal

import pytest
import zmq
from attacks.scene import flood, refusals
from harness import proc
from harness.net import PATIENCE, free_port, reachable, split_tcp, wait_until
from harness.run import Ran
from harness.weir import Weir, program
from test_count import ECHO, PLAIN, count, exchange, python, said
from test_counter import COSTLY, CROWD, PATTERNS, make_counted, steady

ABSENT, BELIEVED, SLOW, DOUBTED = range(4)
__all__ = ["flood", "steady"]


class Gates:
    """What the admin address of a `weir run` says."""

    get, samples, metric, wait_metric = Weir.get, Weir.samples, Weir.metric, Weir.wait_metric

    def __init__(self):
        self.admin, self.admin_seen = f"127.0.0.1:{free_port()}", False

    def alive(self):
        return True

    def wait_state(self, state, endpoint):
        self.wait_metric("weir_counter_state", lambda value: value == state, gate=name_of(endpoint))

    def wait_taken(self, count, endpoint):
        """They are so many, and no more."""
        assert self.wait_metric("weir_counter_taken_messages_total", count, gate=name_of(endpoint)) == count


def name_of(endpoint):
    return f"tcp-{split_tcp(endpoint)[1]}"


@pytest.fixture
def run(paths):
    """run(command) -> a program under `weir run` that has said "ready ENDPOINT..."; its gates."""
    mine = []

    def start(command, *options, ready="ready"):
        gates = Gates()
        child = Ran(paths.folder, command, options=["--admin", gates.admin, *options], stdin=True)
        mine.append(child)
        child.endpoints = [reachable(e) for e in child.wait_line(lambda line: line.startswith(ready))[0].split()[1:]]
        return child, gates

    yield start
    for child in mine:
        for grandchild in children(child):
            os.kill(grandchild, signal.SIGKILL)
        child.kill()
        assert not child.sanitizer_report()


def children(app):
    try:
        with open(f"/proc/{app.pid}/task/{app.pid}/children") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


ANY = "tcp://127.0.0.1:*"


# ---- what is counted ----

@pytest.mark.parametrize("call", ["recv", "msg_recv", "recvmsg", "recviov", "poll", "lone-poll", "events", "moves", "timeout"])
def test_each_call_counts_each_message_once(run, peers, call):
    app, gates = run([PLAIN, call, ANY])
    endpoint = app.endpoints[0]
    client = peers.client(zmq.DEALER, endpoint)
    exchange(client, 30)
    exchange(client, 10, parts=3)
    gates.wait_taken(40, endpoint)
    gates.wait_state(BELIEVED, endpoint)
    assert gates.metric("weir_holds_without_progress_total") == 0 and refusals(gates) == {} and said(app) == []


@pytest.mark.parametrize("way", ["blocks", "poller", "asyncio"])
def test_python_counts(run, peers, way):
    app, gates = run([*python(ECHO[way]), ANY])
    exchange(peers.client(zmq.REQ, app.endpoints[0]), 30)
    gates.wait_taken(30, app.endpoints[0])
    gates.wait_state(BELIEVED, app.endpoints[0])


def test_several_sockets_each_at_its_gate(run, peers):
    app, gates = run([PLAIN, "msg_recv", ANY, "tcp://*:*", ANY])
    for n, endpoint in enumerate(app.endpoints):
        exchange(peers.client(zmq.DEALER, endpoint), 10 + n)
    for n, endpoint in enumerate(app.endpoints):
        gates.wait_taken(10 + n, endpoint)
        gates.wait_state(BELIEVED, endpoint)


def test_more_sockets_than_are_counted(run, peers):
    """Sixteen of a process are; all of them work."""
    app, gates = run(python("""
        import zmq
        c = zmq.Context()
        all = [c.socket(zmq.REP) for n in range(18)]
        for s in all:
            s.bind("tcp://127.0.0.1:*")
        print("ready", *[s.last_endpoint.decode() for s in all])
        p = zmq.Poller()
        for s in all:
            p.register(s, zmq.POLLIN)
        while True:
            for s, _ in p.poll():
                s.send(s.recv())
        """))
    for endpoint in app.endpoints:
        exchange(peers.client(zmq.REQ, endpoint), 3)
    for endpoint in app.endpoints[:16]:
        gates.wait_taken(3, endpoint)
    assert [gates.metric("weir_counter_state", gate=name_of(e)) for e in app.endpoints[16:]] == [ABSENT] * 2


def test_a_socket_with_two_endpoints_cannot_tell_whose_messages_it_takes(run, peers):
    app, gates = run(python("""
        import zmq
        s = zmq.Context().socket(zmq.ROUTER)
        s.bind("tcp://127.0.0.1:*")
        one = s.last_endpoint.decode()
        s.bind("tcp://127.0.0.1:*")
        print("ready", one, s.last_endpoint.decode())
        while True:
            s.send_multipart(s.recv_multipart())
        """))
    for endpoint in app.endpoints:
        exchange(peers.client(zmq.DEALER, endpoint), 20)
        gates.wait_state(ABSENT, endpoint)
    assert said(app) == []


def test_a_proxy_does_not_count(run, peers):
    app, gates = run([PLAIN, "device", ANY])
    exchange(peers.client(zmq.REQ, app.endpoints[0]), 20)
    gates.wait_state(ABSENT, app.endpoints[0])
    assert said(app) == []


# ---- it comes and goes ----

def test_it_ends_with_the_gate_and_comes_again(run, peers):
    port = free_port()
    app, gates = run(python(f"""
        import sys, zmq
        c = zmq.Context()
        s = c.socket(zmq.REP)
        for line in ["bind", "unbind", "bind", "close", "new"]:
            if line in ("new",): s = c.socket(zmq.REP)
            if line in ("bind", "new"): s.bind("tcp://127.0.0.1:{port}")
            if line == "unbind": s.unbind("tcp://127.0.0.1:{port}")
            if line == "close": s.close()
            print("ready" if line == "bind" else line, "tcp://127.0.0.1:{port}")
            if line in ("bind", "new"):
                for n in range(10):
                    s.send(s.recv())
            sys.stdin.readline()
        """))
    endpoint, total, ends = app.endpoints[0], 0, 0
    for step in ("bind", "unbind", "bind", "close", "new"):
        if step in ("bind", "new"):
            total += 10
            exchange(peers.client(zmq.REQ, endpoint), 10)
            gates.wait_state(BELIEVED, endpoint)
            gates.wait_taken(total, endpoint)
        else:  # libzmq closes the listener in a thread of its own
            ends += 1
            wait_until(lambda ends=ends: app.stderr().count("closed: nobody listens") == ends, "the end of the gate")
            gates.wait_state(ABSENT, endpoint)
        app.process.stdin.write("\n")
        app.process.stdin.flush()
    assert app.wait() == 0


def test_a_child_counts_for_its_own_gate(run, peers):
    """It has the memory of its parent's counter, and leaves that alone; one that is executed counts as well."""
    app, gates = run(python("""
        import os, subprocess, sys, textwrap, zmq
        def serve(s):
            while True:
                s.send(s.recv())
        own = zmq.Context().socket(zmq.REP)
        own.bind("tcp://127.0.0.1:*")
        read, write = os.pipe()
        if os.fork() == 0:
            s = zmq.Context().socket(zmq.REP)
            s.bind("tcp://127.0.0.1:*")
            os.write(write, s.last_endpoint)
            serve(s)
        forked = os.read(read, 100).decode()
        text = '''
        import zmq
        s = zmq.Context().socket(zmq.REP)
        s.bind("tcp://127.0.0.1:*")
        print(s.last_endpoint.decode(), flush=True)
        while True:
            s.send(s.recv())
        '''
        executed = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE, text=True)
        print("ready", own.last_endpoint.decode(), forked, executed.stdout.readline().strip())
        serve(own)
        """))
    for n, endpoint in enumerate(app.endpoints):
        exchange(peers.client(zmq.REQ, endpoint), 10 + n)
        gates.wait_taken(10 + n, endpoint)
        gates.wait_state(BELIEVED, endpoint)


def test_a_child_that_has_inherited_the_socket_does_not_count(run, peers):
    app, gates = run([PLAIN, "fork", ANY])
    endpoint = app.endpoints[0]
    wait_until(lambda: "child: -1" in app.stderr(), "the child's receive")
    exchange(peers.client(zmq.DEALER, endpoint), 20)
    gates.wait_taken(20, endpoint)
    gates.wait_state(BELIEVED, endpoint)
    left = children(app)
    app.signal(signal.SIGKILL)
    gates.wait_state(ABSENT, endpoint)
    for child in left:
        os.kill(child, signal.SIGKILL)


def test_threads_bind_and_close_at_the_same_time(run, peers):
    app, gates = run(python("""
        import sys, threading, zmq
        c = zmq.Context()
        def work(n):
            for turn in range(15):
                s, client = c.socket(zmq.REP), c.socket(zmq.REQ)
                s.bind("tcp://127.0.0.1:*")
                client.connect(s.last_endpoint.decode())
                for i in range(20):
                    client.send(b"x"); s.send(s.recv()); client.recv()
                client.close(); s.close()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        [t.start() for t in threads]; [t.join() for t in threads]
        s = c.socket(zmq.REP); s.bind("tcp://127.0.0.1:*")
        print("ready", s.last_endpoint.decode())
        for n in range(10):
            s.send(s.recv())
        sys.stdin.readline()
        """))
    exchange(peers.client(zmq.REQ, app.endpoints[0]), 10)
    gates.wait_taken(10, app.endpoints[0])
    gates.wait_state(BELIEVED, app.endpoints[0])


# ---- a flood ----

@pytest.mark.parametrize("kind, client, strangers", PATTERNS)
def test_a_flood_of_costly_messages(flood, steady, paths, request, kind, client, strangers):
    """With no configuration at all: those who were there before are served as if nothing were (test_counter.py has it bare)."""
    gates = Gates()
    app = make_counted(paths.folder, kind, ANY, under=[*program(), "run", "--admin", gates.admin, "--"], **COSTLY)
    request.addfinalizer(app.kill)
    clients = steady(app, app.endpoint, client)
    clients.wait_known(gates)
    clients.wait_usual()
    f = flood(endpoint=app.endpoint, **CROWD, **strangers)
    wait_until(lambda: app.stats()["large"] > 20, "the flood to be worked on")
    clients.wait_usual()
    gates.wait_state(BELIEVED, app.endpoint)
    assert gates.metric("weir_connections_queued") > 10 and f.alive()
    f.stop()


# ---- without it, and beside `weir count` ----

def test_it_can_be_switched_off(run, peers):
    app, gates = run([PLAIN, "recv", ANY], "--no-counter")
    exchange(peers.client(zmq.DEALER, app.endpoints[0]), 20)
    assert gates.metric("weir_counter_state") == ABSENT and gates.metric("weir_counter_taken_messages_total") == 0
    assert said(app) == []


@pytest.mark.parametrize("outside", ["run", "count"])
def test_weir_count_beside_it(run, start_weir, peers, paths, outside):
    """A socket that `weir count` names counts for the gate that it names, and all others for the gate in front of them."""
    page, forward = paths.file("main.taken"), paths.ipc()
    weir = start_weir(config={"gates": [{"listen": ANY, "forward": forward, "counter": page}]})
    words, gates = count(f"{forward}={page}"), Gates()
    beneath = [*program(), "run", "--admin", gates.admin, "--"]
    child = proc.Child([*(beneath + words if outside == "run" else words + beneath), PLAIN, "recv", forward, ANY], paths.folder, "both", stdin=True)
    try:
        own = reachable(child.wait_line(lambda line: line.startswith("ready"), limit=PATIENCE)[0].split()[2])
        exchange(peers.client(zmq.DEALER, weir.endpoint), 20)
        exchange(peers.client(zmq.DEALER, own), 30)
        assert weir.wait_metric("weir_counter_taken_messages_total", 20) == 20
        gates.wait_taken(30, own)
        gates.wait_state(BELIEVED, own)
        assert said(child) == []
    finally:
        child.kill()

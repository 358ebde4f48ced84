# SPDX-License-Identifier: MPL-2.0
"""`weir count`: unmodified programs, in C, Python and JavaScript, whose messages the gate's counter counts, and who run as they do without it."""
import os
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest
import zmq
from attacks.scene import flood, refusals
from harness.net import PATIENCE, free_port, reachable, tcp, wait_until
from harness.proc import Child
from harness.weir import ROOT, program
from test_counter import COSTLY, CROWD, PATTERNS, make_counted, steady

ABSENT, BELIEVED, SLOW, DOUBTED = range(4)
__all__ = ["flood", "steady"]
BUILD = Path(program()[0]).resolve().parent
PLAIN = BUILD / "tests" / "e2e" / "counted" / "plain"
NODE = Path(os.environ.get("WEIR_INTEROP", ROOT / "build-interop")) / "node"


def count(*counters):
    return [*program(), "count", *(word for c in counters for word in ("--counter", c)), "--"]


@pytest.fixture
def run(paths):
    """run(command, *counters) -> a program under `weir count` that is ready; without counters: bare."""
    mine = []

    def start(command, *counters, env=None):
        child = Child([*(count(*counters) if counters else []), *command], paths.folder, "program", stdin=True, env=env)
        mine.append(child)
        child.endpoints = child.wait_line(lambda line: line.startswith("ready"))[0].split()[1:]
        return child

    yield start
    for child in mine:
        child.kill()


@pytest.fixture
def gate(start_weir, paths):
    """gate(forward) -> a Weir with a counter; its path is weir.page."""
    def start(*forwards):
        pages = [paths.file(f"{n}.taken") for n in range(len(forwards))]
        weir = start_weir(config={"gates": [{"name": f"g{n}", "listen": tcp(), "forward": forward, "counter": page, "ban": {"strikes": 0}}
                                            for n, (forward, page) in enumerate(zip(forwards, pages))]})
        weir.pages, weir.page, weir.forward = pages, pages[0], forwards[0]
        weir.endpoints = [reachable(listen) for listen, _ in weir.gates]
        return weir
    return start


def said(program):
    return [line for line in program.stderr().splitlines() if line.startswith("weir count:")]


def taken(weir, gate="g0"):
    return weir.metric("weir_counter_taken_messages_total", gate=gate)


def wait_state(weir, state, gate="g0"):
    weir.wait_metric("weir_counter_state", lambda value: value == state, gate=gate)


def exchange(client, n, parts=1):
    for i in range(n):
        client.send_multipart([b"part"] * (parts - 1) + [b"%d" % i])
        assert client.recv_multipart()[-1] == b"%d" % i


def python(code):
    return ["/usr/bin/python3", "-u", "-c", textwrap.dedent(code)]


# ---- C ----

@pytest.mark.parametrize("call", ["recv", "msg_recv", "recvmsg", "recviov", "poll", "lone-poll", "events", "moves", "timeout"])
def test_each_call_counts_each_message_once(gate, run, peers, paths, call):
    weir = gate(paths.ipc())
    app = run([PLAIN, call, weir.forward], weir.page)
    client = peers.client(zmq.DEALER, weir.endpoint)
    exchange(client, 30)
    exchange(client, 10, parts=3)
    for i in range(200):
        client.send(b"many")
    for i in range(200):
        client.recv()
    weir.wait_metric("weir_counter_taken_messages_total", 240)
    assert taken(weir) == 240 and weir.metric("weir_counter_state") == BELIEVED
    assert weir.metric("weir_holds_without_progress_total") == 0 and refusals(weir) == {} and said(app) == []


def test_results_are_those_of_libzmq(run, paths):
    """Right calls and wrong ones, interrupted, timed out, at the end of the context: same results, errno and time waited."""
    def results(*counters):
        done = subprocess.run([*(count(*counters) if counters else []), PLAIN, "results", paths.ipc()], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    bare, counted = results(), results(paths.file("nobody.taken"))
    assert len(bare.splitlines()) > 70
    assert counted == bare


def test_sockets_in_threads_of_their_own(gate, run, peers, paths):
    ends = [paths.ipc(), f"tcp://127.0.0.1:{free_port()}", paths.ipc()]
    weir = gate(*ends)
    app = run([PLAIN, "msg_recv", *ends], f"{ends[0]}={weir.pages[0]}", f"{ends[1].replace('127.0.0.1', '*')}={weir.pages[1]}", f"{ends[2]}={weir.pages[2]}")
    for n, endpoint in enumerate(weir.endpoints):
        exchange(peers.client(zmq.DEALER, endpoint), 10 + n)
    for n in range(3):
        weir.wait_metric("weir_counter_taken_messages_total", 10 + n, gate=f"g{n}")
        assert taken(weir, f"g{n}") == 10 + n
    assert said(app) == []


def test_what_a_program_has_put_in_place_of_standard_error_is_left_alone(paths):
    """It may be a client's connection by then."""
    ends, kept = [paths.ipc(), paths.ipc()], paths.file("kept")
    script = f"""import os, zmq
os.dup2(os.open({kept!r}, os.O_CREAT | os.O_WRONLY), 2)
sockets = [zmq.Context.instance().socket(zmq.PULL) for _ in range(2)]
for s, end in zip(sockets, {ends!r}):
    s.bind(end)
zmq.Context.instance().destroy(0)"""
    for gone in (True, False):
        text = "\n".join(line for line in script.splitlines() if gone or "dup2" not in line)
        done = subprocess.run([*count(paths.file("nobody.taken")), "/usr/bin/python3", "-c", text], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        assert ("both match the counter" in done.stderr) != gone
    assert open(kept).read() == ""


def test_two_sockets_that_might_be_meant_do_not_count(gate, run, peers, paths):
    ends = [paths.ipc(), paths.ipc()]
    weir = gate(ends[0])
    app = run([PLAIN, "recv", *ends], weir.page)
    assert len(said(app)) == 1 and all(end in said(app)[0] for end in ends) and "--counter ENDPOINT=PATH" in said(app)[0]
    exchange(peers.client(zmq.DEALER, weir.endpoint), 20)
    wait_state(weir, ABSENT)


def test_a_proxy_does_not_count(gate, run, peers, paths):
    weir = gate(paths.ipc())
    app = run([PLAIN, "device", weir.forward], weir.page)
    exchange(peers.client(zmq.REQ, weir.endpoint), 20)
    wait_state(weir, ABSENT)
    assert len(said(app)) == 1 and "zmq_proxy()" in said(app)[0]


def test_a_child_does_not_count(gate, run, peers, paths):
    """It has the socket's memory and descriptors. The counter stays the parent's, and its end is the end."""
    weir = gate(paths.ipc())
    app = run([PLAIN, "fork", weir.forward], weir.page)
    wait_until(lambda: "child: -1" in app.stderr(), "the child's receive")
    exchange(peers.client(zmq.DEALER, weir.endpoint), 20)
    weir.wait_metric("weir_counter_taken_messages_total", 20)
    assert weir.metric("weir_counter_state") == BELIEVED
    app.signal(signal.SIGKILL)
    wait_state(weir, ABSENT)


def test_a_program_that_dies_and_comes_back(gate, run, peers, paths):
    weir = gate(paths.ipc())
    app = run([PLAIN, "recv", weir.forward], weir.page)
    exchange(peers.client(zmq.DEALER, weir.endpoint), 5)
    wait_state(weir, BELIEVED)
    app.kill()
    wait_state(weir, ABSENT)
    app = run([PLAIN, "recv", weir.forward], weir.page)
    wait_state(weir, BELIEVED)
    exchange(peers.client(zmq.DEALER, weir.endpoint), 5)
    weir.wait_metric("weir_counter_taken_messages_total", 10)
    assert said(app) == []


def test_a_weir_that_comes_later_and_again(start_weir, run, peers, paths):
    page, forward = paths.file("main.taken"), paths.ipc()
    app = run([PLAIN, "recv", forward], page)
    assert len(said(app)) == 1 and "No such file" in said(app)[0]
    for _ in range(2):
        weir = start_weir(config={"gates": [{"listen": tcp(), "forward": forward, "counter": page}]})
        client = peers.client(zmq.DEALER, weir.endpoint)

        def believed():
            exchange(client, 1)
            return weir.metric("weir_counter_state") == BELIEVED

        wait_until(believed, "the counter to be believed")
        weir.stop()
    assert app.alive() and len(said(app)) == 1


def test_a_second_program_is_told(gate, run, paths):
    weir = gate(paths.ipc())
    run([PLAIN, "recv", weir.forward], weir.page)
    second = run([PLAIN, "recv", paths.ipc()], weir.page)
    assert len(said(second)) == 1 and "another program counts there" in said(second)[0]


@pytest.mark.parametrize("kind, client, strangers", PATTERNS)
def test_a_flood_of_costly_messages(gate, flood, steady, paths, request, kind, client, strangers):
    """As with a counter of its own (test_counter.py): those who were there before are served as if nothing were."""
    weir = gate(paths.ipc())
    app = make_counted(paths.folder, kind, weir.forward, under=count(weir.page), **COSTLY)
    request.addfinalizer(app.kill)
    clients = steady(app, weir.endpoint, client)
    clients.wait_known(weir)
    clients.wait_usual()
    f = flood(endpoint=weir.endpoint, **CROWD, **strangers)
    wait_until(lambda: app.stats()["large"] > 20, "the flood to be worked on")
    clients.wait_usual()
    assert weir.metric("weir_counter_state") == BELIEVED and weir.metric("weir_connections_queued") > 10
    assert f.alive() and said(app) == []
    f.stop()


# ---- Python ----

ECHO = {
    "blocks": """
        import sys, zmq
        s = zmq.Context().socket(zmq.REP)
        s.bind(sys.argv[1])
        print("ready", s.last_endpoint.decode())
        while True:
            s.send_multipart(s.recv_multipart())
        """,
    "poller": """
        import sys, zmq
        c = zmq.Context()
        s, other = c.socket(zmq.REP), c.socket(zmq.PUB)
        s.bind(sys.argv[1])
        other.bind("tcp://127.0.0.1:*")
        p = zmq.Poller()
        p.register(s, zmq.POLLIN)
        p.register(0, zmq.POLLIN)
        print("ready", s.last_endpoint.decode())
        while True:
            if (s, zmq.POLLIN) in p.poll(20):
                s.send_multipart(s.recv_multipart(zmq.NOBLOCK))
        """,
    "asyncio": """
        import asyncio, sys, zmq, zmq.asyncio
        async def main():
            s = zmq.asyncio.Context().socket(zmq.REP)
            s.bind(sys.argv[1])
            print("ready", s.last_endpoint.decode())
            while True:
                parts = await s.recv_multipart()
                await asyncio.sleep(0)
                await s.send_multipart(parts)
        asyncio.run(main())
        """,
    "rebinds": """
        import sys, zmq
        c = zmq.Context()
        for turn in range(3):
            s = c.socket(zmq.REP)
            s.bind(sys.argv[1])
            if turn == 1:
                s.unbind(sys.argv[1])
                s.bind(sys.argv[1])
            if turn < 2:
                s.close()
        print("ready", s.last_endpoint.decode())
        while True:
            s.send_multipart(s.recv_multipart())
        """,
}


@pytest.mark.parametrize("way", ECHO)
def test_python_counts(gate, run, peers, paths, way):
    weir = gate(paths.ipc())
    app = run([*python(ECHO[way]), weir.forward], weir.page)
    client = peers.client(zmq.REQ, weir.endpoint)
    exchange(client, 30)
    exchange(client, 10, parts=3)
    weir.wait_metric("weir_counter_taken_messages_total", 40)
    assert taken(weir) == 40 and weir.metric("weir_counter_state") == BELIEVED
    assert weir.metric("weir_holds_without_progress_total") == 0 and refusals(weir) == {} and said(app) == []


def test_ctypes_is_out_of_reach(gate, run, peers, paths):
    """A function that is looked up in the library by name is libzmq's own: one line says that nothing is counted."""
    code = """
        import ctypes, sys
        z = ctypes.CDLL("libzmq.so.5")
        z.zmq_ctx_new.restype = z.zmq_socket.restype = ctypes.c_void_p
        s = ctypes.c_void_p(z.zmq_socket(ctypes.c_void_p(z.zmq_ctx_new()), 4))
        assert z.zmq_bind(s, sys.argv[1].encode()) == 0
        print("ready")
        b = ctypes.create_string_buffer(100)
        while True:
            z.zmq_send(s, b, z.zmq_recv(s, b, 100, 0), 0)
        """
    weir = gate(paths.ipc())
    app = run([*python(code), weir.forward], weir.page)
    exchange(peers.client(zmq.REQ, weir.endpoint), 10)
    assert len(said(app)) == 1 and "out of reach" in said(app)[0] and "libzmq.so.5" in said(app)[0]
    assert weir.metric("weir_counter_state") == ABSENT


# ---- JavaScript: libzmq is linked into the addon, which calls it by its exported names ----

@pytest.mark.skipif(not shutil.which("node") or not (NODE / "node_modules" / "zeromq").exists(), reason="needs node and npm zeromq (scripts/interop-deps.sh)")
def test_node_counts(gate, run, peers, paths):
    code = "const zmq=require('zeromq');(async()=>{const s=new zmq.Reply();await s.bind(process.argv[1]);console.log('ready');for await(const m of s)await s.send(m)})()"
    weir = gate(paths.ipc())
    app = run(["node", "-e", code, weir.forward], weir.page, env={"NODE_PATH": str(NODE / "node_modules")})
    client = peers.client(zmq.REQ, weir.endpoint)
    exchange(client, 30)
    exchange(client, 10, parts=3)
    weir.wait_metric("weir_counter_taken_messages_total", 40)
    assert taken(weir) == 40 and weir.metric("weir_counter_state") == BELIEVED
    assert weir.metric("weir_holds_without_progress_total") == 0 and refusals(weir) == {} and said(app) == []


def test_weir_run_still_sees_who_listens(paths):
    """Both objects stand before listen(): what is counted is moved behind its gate all the same."""
    done = subprocess.run([*program(), "run", "--", *count(paths.file("nobody.taken")), PLAIN, "recv", "tcp://127.0.0.1:*"],
                          capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and done.stdout.startswith("ready tcp://127.0.0.1:")
    assert f"weir: ready: {done.stdout.split()[1]} -> " in done.stderr


# ---- the command ----

@pytest.mark.parametrize("words, code, text", [
    ((), 2, "--counter PATH is missing"),
    (("--counter", "/x"), 2, "a COMMAND is missing"),
    (("--counter", "tcp://*:5555"), 2, "ENDPOINT=PATH"),
    (("--counter", "/x", "--counter", "/y", "--", "true"), 2, "a second counter without ENDPOINT"),
    (("--counter", "/x", "--", "no-such-command"), 127, "no-such-command: No such file or directory"),
    (("--counter", "/x", "--", "/"), 126, "Permission denied"),
    (("--counter", "/x", "--", "sh", "-c", "exit 7"), 7, "/x: No such file or directory"),
    (("--counter", "/x", "--", "sh", "-c", "kill -TERM $$"), -15, ""),
], ids=lambda value: None)
def test_arguments_and_exit_codes(words, code, text):
    done = subprocess.run([*program(), "count", *words], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code and text in done.stderr


def test_what_the_user_preloads_stays(paths):
    done = subprocess.run([*count("main.taken"), "env"], capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "LD_PRELOAD": "libz.so.1"}, cwd=paths.folder)
    assert f"LD_PRELOAD={BUILD}/src/preload/libweir-count.so:libz.so.1" in done.stdout.splitlines()
    assert f"WEIR_COUNT={paths.folder}/main.taken" in done.stdout.splitlines()

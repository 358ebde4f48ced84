# SPDX-License-Identifier: MPL-2.0
"""The counter: a real libzmq application that says with weir/taken.h what it has taken, the page that it says it in, and who else may write to that."""
import contextlib
import mmap
import os
import re
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
import zmq
from attacks.scene import flood, refusals
from attacks.scene import wait_until
from harness import proc
from harness.app import App
from harness.net import PATIENCE, from_source, tcp
from harness.proc import Child
from harness.weir import ROOT, program

ABSENT, BELIEVED, SLOW, DOUBTED = range(4)
__all__ = ["flood"]


def make_counted(folder, kind, bind, work_us=0, blocking=False, under=(), **options):
    """counted.c as a process; options: large=US, counter=PATH, lie="double"; under: the words of a command that starts it."""
    tool = Path(program()[0]).resolve().parent / "tests" / "e2e" / "counted" / "counted"
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))] + ["--blocking"] * blocking
    app = App([*under, tool, kind, bind, str(work_us), *words], folder, f"counted-{kind}", nofile=1024, stdin=True)
    app.endpoint = app.wait_line(lambda line: line.startswith("ready "))[0].split()[1]
    return app


@pytest.fixture
def counted(request, paths, start_weir):
    """counted('router', endpoint, counter=path, ...) -> an application, killed at the end."""
    mine = []

    def start(kind, bind, **options):
        app = make_counted(paths.folder, kind, bind, **options)
        request.node.weir_children.append(app)
        mine.append(app)
        return app

    yield start
    for app in mine:
        app.kill()


class Counted:
    """An application with a counter, and Weir in front of it."""

    def __init__(self, start_weir, counted, paths, kind, config=None, **options):
        self.page, self.bind = paths.file("main.taken"), paths.ipc()
        self.config = {"gates": [{"listen": tcp(), "forward": self.bind, "counter": self.page, "ban": {"strikes": 0}, **(config or {})}]}
        self.start_weir = lambda: start_weir(config=self.config)
        self.start_app = lambda: counted(kind, self.bind, **{"counter": self.page, **options})
        self.weir = self.start_weir()
        self.app = self.start_app()

    def counter_said(self):
        return self.app.wait_line(lambda line: line.startswith("counter "))[0].removeprefix("counter ")

    def wait_state(self, state):
        self.weir.wait_metric("weir_counter_state", lambda value: value == state)

    def taken(self):
        return self.weir.metric("weir_counter_taken_messages_total")


@pytest.fixture
def gate(start_weir, counted, paths):
    """gate('router', work_us=500) -> a Counted."""
    return lambda kind, **options: Counted(start_weir, counted, paths, kind, **options)


def exchange(client, n=1):
    for i in range(n):
        client.send(b"%d" % i)
        assert client.recv() == b"%d" % i


# ---- it comes, it goes, it comes back ----

@pytest.mark.parametrize("blocking", [False, True], ids=["polls", "blocks"])
@pytest.mark.parametrize("kind", ["rep", "router"])
def test_what_is_taken_is_counted(gate, peers, kind, blocking):
    g = gate(kind, blocking=blocking)
    assert g.counter_said() == "ok"
    g.wait_state(BELIEVED)
    exchange(peers.client(zmq.REQ, g.weir.endpoint), 50)
    g.weir.wait_metric("weir_counter_taken_messages_total", 50)
    assert g.taken() == 50 and refusals(g.weir) == {}


def test_a_message_of_several_parts_counts_once(gate, peers):
    g = gate("pull")
    client = peers.client(zmq.PUSH, g.weir.endpoint)
    for i in range(100):
        client.send_multipart([b"part"] * (1 + i % 8))
    g.weir.wait_metric("weir_counter_taken_messages_total", 100)
    wait_until(lambda: g.app.stats()["messages"] == 100, "all messages")
    assert g.taken() == 100


def test_it_goes_with_the_application_and_comes_back(gate, peers):
    g = gate("router")
    client = peers.client(zmq.DEALER, g.weir.endpoint, RCVTIMEO=500)
    client.send(b"first")
    assert client.recv() == b"first"
    g.wait_state(BELIEVED)
    g.app.kill()
    g.wait_state(ABSENT)
    g.app = g.start_app()
    assert g.counter_said() == "ok"
    g.wait_state(BELIEVED)

    def answered():
        client.send(b"second")
        with contextlib.suppress(zmq.Again):
            return client.recv() == b"second"

    wait_until(answered, "an answer of the new application")
    assert g.weir.has_said("counter is gone") and g.weir.has_said("counter is here")


def test_it_finds_a_weir_that_starts_again(gate, peers):
    """The application is there first, too: it does not wait for Weir."""
    g = gate("router")
    client = peers.client(zmq.REQ, g.weir.endpoint, REQ_RELAXED=1, REQ_CORRELATE=1, RCVTIMEO=500)
    exchange(client, 5)
    g.wait_state(BELIEVED)
    g.weir.stop()
    assert not os.path.exists(g.page)
    g.weir = g.start_weir()

    def answered():
        client.send(b"again")
        with contextlib.suppress(zmq.Again):
            return client.recv() == b"again" and g.weir.metric("weir_counter_state") == BELIEVED

    wait_until(answered, "the counter to be believed by the new Weir")
    assert g.app.alive()


def test_the_application_may_start_first(start_weir, counted, peers, paths):
    page = paths.file("main.taken")
    app = counted("rep", paths.ipc(), counter=page)
    assert app.lines[0] == "counter ok"
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": app.endpoint, "counter": page}]})
    client = peers.client(zmq.REQ, weir.endpoint)

    def believed():
        exchange(client)
        return weir.metric("weir_counter_state") == BELIEVED

    wait_until(believed, "the counter to be believed")


def test_a_second_application_is_refused(gate, counted, paths):
    g = gate("router")
    g.wait_state(BELIEVED)
    second = counted("router", paths.ipc(), counter=g.page)
    assert second.lines[0] == "counter Device or resource busy"
    assert g.weir.metric("weir_counter_state") == BELIEVED
    assert g.weir.has_said("a second application wants to count")
    g.app.kill()
    g.wait_state(ABSENT)
    second.ask("open")
    g.wait_state(BELIEVED)


def test_it_is_told(gate, paths):
    events = paths.file("events.jsonl")
    g = gate("rep")
    g.weir.stop()
    g.config["events"] = {"file": events}
    g.weir = g.start_weir()
    g.app.ask("close")
    g.app.ask("open")
    g.wait_state(BELIEVED)
    g.app.ask("close")
    g.wait_state(ABSENT)
    wait_until(lambda: Path(events).read_text().count('"event":"counter"') >= 2, "the events")


# ---- it stands still, it lies: nobody is worse off ----

def answers(peers, endpoints, clients=8, seconds=1.5):
    """How many answers as many clients in lockstep get at each endpoint, at the same time, each from an address of its own."""
    counts, at, poller = [0] * len(endpoints), {}, zmq.Poller()
    for place, endpoint in enumerate(endpoints):
        for n in range(clients):
            s = peers.client(zmq.REQ, from_source(f"127.77.3.{n + 1}", endpoint))
            at[s] = place
            poller.register(s, zmq.POLLIN)
            s.send(b"work")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for s, _ in poller.poll(100):
            s.recv()
            s.send(b"work")
            counts[at[s]] += 1
    for s in at:
        s.close(linger=0)
    return counts


@pytest.mark.parametrize("lie", ["", "double", "half", "none"], ids=lambda lie: lie or "honest")
def test_a_counter_costs_nobody_anything(gate, counted, peers, lie):
    """Whether it says the truth or not: as many answers as without Weir, at the same time, from an application that works 2 ms on each."""
    bare = counted("rep", "tcp://127.0.0.1:*", work_us=2000)
    g = gate("rep", work_us=2000, **({"lie": lie} if lie else {}))
    exchange(peers.client(zmq.REQ, g.weir.endpoint), 200)
    g.wait_state(DOUBTED if lie else BELIEVED)
    words = "counter contradicts what passes here"
    assert g.weir.has_said(words) if lie else words not in g.weir.stderr()
    through, without = answers(peers, [g.weir.endpoint, bare.endpoint])
    assert through >= 0.8 * without, f"{through} answers, {without} without Weir"
    assert refusals(g.weir) == {}


def test_an_application_that_stands_still_loses_nothing(gate, peers):
    g = gate("pull")
    client = peers.client(zmq.PUSH, g.weir.endpoint, SNDHWM=0)
    client.send(b"first")
    g.weir.wait_metric("weir_counter_taken_messages_total", 1)
    g.app.ask("stall 2000")
    for _ in range(5000):
        client.send(b"more")
    g.wait_state(SLOW)
    wait_until(lambda: g.app.stats()["messages"] == 5001, "all messages")
    g.weir.wait_metric("weir_counter_taken_messages_total", 5001)
    assert refusals(g.weir) == {}
    g.wait_state(BELIEVED)


# ---- a flood ----

class Steady(threading.Thread):
    """Clients with a message every 50 ms each, from an address of their own; those that ask wait for the answer first."""

    EVERY_S = 0.05
    USUAL = 160  # a second, of eight

    def __init__(self, peers, app, endpoint, kind, clients=8):
        super().__init__(daemon=True)
        self.app, self.asks, self.over = app, kind == zmq.REQ, threading.Event()
        self.sockets = [peers.client(kind, from_source(f"127.77.4.{n + 1}", endpoint)) for n in range(clients)]

    def run(self):
        poller, due, idle = zmq.Poller(), {s: time.monotonic() for s in self.sockets}, set(self.sockets)
        for s in self.sockets:
            poller.register(s, zmq.POLLIN)
        while not self.over.is_set():
            now = time.monotonic()
            for s in [s for s in idle if due[s] <= now]:
                s.send(b"steady")
                due[s] = max(due[s] + self.EVERY_S, now)
                if self.asks:
                    idle.remove(s)
            for s, _ in poller.poll(2):
                s.recv()
                idle.add(s)
        for s in self.sockets:
            s.close(linger=0)

    def served(self):
        stats = self.app.stats()
        return stats["messages"] - stats["large"]

    def rate(self, seconds):
        """Messages of theirs a second that the application has worked on."""
        before, begin = self.served(), time.monotonic()
        time.sleep(seconds)
        return (self.served() - before) / (time.monotonic() - begin)

    def wait_known(self, weir):
        """Until Weir has seen enough calm time to know them: what they were served in it is theirs."""
        weir.wait_metric("weir_limiter_connections", len(self.sockets), standing="established")

    def wait_usual(self):
        """Until they are served as if nothing were, for a while: the tests may not have the machine for themselves."""
        rates = []
        while len(rates) < 2 or min(rates[-2:]) < 0.75 * self.USUAL:
            assert len(rates) < 12, f"served a second: {[round(rate) for rate in rates]}, {self.USUAL} without a flood"
            rates.append(self.rate(0.7))

    def stop(self):
        self.over.set()
        self.join()


@pytest.fixture
def steady(peers):
    started = []

    def start(app, endpoint, kind):
        started.append(Steady(peers, app, endpoint, kind))
        started[-1].start()
        return started[-1]

    yield start
    for s in started:
        s.stop()


COSTLY = {"work_us": 500, "large": 10000}
CROWD = {"size": 200, "connections": 40, "sources": 40, "opens": 100000}
# The application, its clients, and what the strangers send, in messages of 10 ms.
PATTERNS = [pytest.param("router", zmq.REQ, {"name": "requests"}, id="router"), pytest.param("pull", zmq.PUSH, {"name": "messages", "type": "PUSH"}, id="pull")]


@pytest.mark.parametrize("kind, client, strangers", PATTERNS)
def test_a_flood_of_costly_messages_bare(counted, flood, steady, kind, client, strangers):
    """Forty strangers: whoever was there before hardly gets a turn."""
    app = counted(kind, "tcp://127.0.0.1:*", **COSTLY)
    clients = steady(app, app.endpoint, client)
    clients.wait_usual()
    f = flood(endpoint=app.endpoint, **CROWD, **strangers)
    wait_until(lambda: app.stats()["large"] > 20, "the flood to be worked on")
    assert max(clients.rate(0.7) for _ in range(3)) < 0.5 * clients.USUAL
    f.stop()


@pytest.mark.parametrize("kind, client, strangers", PATTERNS)
def test_a_flood_of_costly_messages_through(gate, flood, steady, kind, client, strangers):
    """Behind Weir with a counter those who were there before are served as if nothing were."""
    g = gate(kind, **COSTLY)
    clients = steady(g.app, g.weir.endpoint, client)
    clients.wait_known(g.weir)
    clients.wait_usual()
    f = flood(endpoint=g.weir.endpoint, **CROWD, **strangers)
    wait_until(lambda: g.app.stats()["large"] > 20, "the flood to be worked on")
    clients.wait_usual()
    assert g.weir.metric("weir_counter_state") == BELIEVED and g.weir.metric("weir_connections_queued") > 10
    if client == zmq.PUSH:  # nothing is ever answered, so nothing is unanswered
        assert g.weir.metric("weir_unanswered_messages") == 0
    assert f.alive()
    f.stop()


# ---- whoever else may write there ----

LAYOUT = struct.Struct("<IIQQQQQ")  # magic, size, generation, heartbeat, taken, empty polls, idle since
MAGIC = 0x57544B31


class Writer:
    """A process of the socket's group that is nobody's counter: it has the page, and writes what it likes."""

    def __init__(self, path):
        self.line = socket.socket(socket.AF_UNIX)
        self.line.settimeout(10)
        self.line.connect(path)
        hello, self.fds, _, _ = socket.recv_fds(self.line, 16, 2)
        self.error = struct.unpack("<IIiI", hello)[2]
        self.page = mmap.mmap(self.fds[0], os.fstat(self.fds[0]).st_size) if self.fds else None

    def begin(self):
        self.page[:LAYOUT.size] = LAYOUT.pack(MAGIC, len(self.page), 1, time.monotonic_ns(), 0, 0, 0)

    def close(self):
        self.line.close()
        for fd in self.fds:
            os.close(fd)


def test_a_hostile_writer_costs_protection_only(start_weir, counted, peers, paths):
    """Garbage on the page, wake-ups and connections without end: clients are served, Weir neither spins nor ends nor floods its log."""
    page = paths.file("main.taken")
    app = counted("rep", paths.ipc())
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": app.endpoint, "counter": page}]})
    client = peers.client(zmq.REQ, weir.endpoint)
    exchange(client, 5)
    writer = Writer(page)
    assert writer.error == 0
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(writer.fds[0], size)
    writer.begin()
    weir.wait_metric("weir_counter_state", BELIEVED)
    over, wakes = threading.Event(), [0]

    def disturb():
        """As fast as it can."""
        one, garbage = struct.pack("<Q", 1), os.urandom(4096)
        while not over.is_set():
            os.write(writer.fds[1], one)
            wakes[0] += 1
            if wakes[0] % 3 == 0:
                writer.page[24:4120] = garbage
                writer.page[16:24] = struct.pack("<Q", time.monotonic_ns())
            if wakes[0] % 5 == 0:
                garbage = garbage[1:] + garbage[:1]

    def knock():
        while not over.is_set():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
                s.settimeout(1)
                s.connect(page)

    threads = [threading.Thread(target=f, daemon=True) for f in (disturb, knock)]
    before = proc.cpu_seconds(weir.pid)
    begin = time.monotonic()
    for t in threads:
        t.start()
    served = 0
    while time.monotonic() < begin + 2 or served < 50:
        exchange(client)
        served += 1
    over.set()
    for t in threads:
        t.join()
    used = (proc.cpu_seconds(weir.pid) - before) / (time.monotonic() - begin)
    writer.close()
    weir.check()
    lines = [line for line in weir.stderr().splitlines() if "counter" in line]
    assert len(lines) <= 8, lines
    assert wakes[0] > 1000
    assert used < 0.9, f"{used:.2f} of a processor"
    weir.wait_metric("weir_counter_state", lambda value: value == ABSENT)
    exchange(peers.client(zmq.REQ, weir.endpoint), 5)


def test_the_layout_is_the_headers(gate):
    """What Writer does is what the header does."""
    g = gate("rep")
    g.wait_state(BELIEVED)
    g.app.kill()
    g.wait_state(ABSENT)
    writer = Writer(g.page)
    assert writer.error == 0 and len(writer.page) == 4224
    writer.begin()
    g.wait_state(BELIEVED)
    writer.close()
    g.wait_state(ABSENT)


# ---- the file ----

@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_another_user_must_be_in_the_group(start_weir, paths):
    page = paths.file("main.taken")
    os.chmod(paths.folder, 0o755)
    start_weir(config={"gates": [{"listen": paths.ipc(), "forward": paths.ipc(), "counter": page}]})
    group = os.stat(page).st_gid

    def connects(*rights):
        tries = f"import socket; socket.socket(socket.AF_UNIX).connect({page!r})"
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", *rights, "/usr/bin/python3", "-c", tries], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0 or "PermissionError" in done.stderr, done.stderr
        return done.returncode == 0

    assert not connects("--clear-groups")
    assert connects(f"--groups={group}")


def test_a_place_that_is_taken(start_weir, paths):
    page = paths.file("main.taken")
    Path(page).write_text("mine")
    weir = start_weir(config={"gates": [{"listen": paths.ipc(), "forward": paths.ipc(), "counter": page}]}, wait=False)
    weir.expected_exit = 1
    assert weir.wait() == 1
    assert weir.has_said(f"gate main: counter: cannot listen on {page}: Address already in use")
    assert Path(page).read_text() == "mine"


def test_what_a_killed_weir_has_left_is_taken_over(gate, peers):
    g = gate("router")
    g.wait_state(BELIEVED)
    g.weir.expected_exit = -9
    g.weir.kill()
    assert os.path.exists(g.page)
    g.weir = g.start_weir()
    client = peers.client(zmq.REQ, g.weir.endpoint)

    def believed():
        exchange(client)
        return g.weir.metric("weir_counter_state") == BELIEVED

    wait_until(believed, "the counter to be believed")


def test_another_place_needs_a_restart(gate, paths):
    g = gate("rep")
    g.wait_state(BELIEVED)
    g.config["gates"][0]["counter"] = paths.file("other.taken")
    g.weir.write(g.config)
    g.weir.signal(1)
    wait_until(lambda: g.weir.metric("weir_reloads_total", result="refused") == 1, "the reload to be refused")
    assert g.weir.has_said("counter") and g.weir.metric("weir_counter_state") == BELIEVED


def test_the_program_of_the_guide(start_weir, peers, paths):
    guide, bind, page = (ROOT / "docs" / "guide.md").read_text(), paths.ipc(), paths.file("main.taken")
    text = next(block for block in re.findall(r"^```c\n(.*?)^```$", guide, re.M | re.S) if "weir_taken_open" in block)
    source, binary = paths.file("app.c"), paths.file("app")
    Path(source).write_text(text.replace("tcp://127.0.0.1:5556", bind).replace("/run/weir/main.taken", page))
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "include", "-o", binary, source, "-lzmq", "-pthread"], check=True, timeout=PATIENCE)
    weir = start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": bind, "counter": page}]})
    app = Child([binary], paths.folder, "app")
    try:
        client = peers.client(zmq.REQ, weir.endpoint)
        for _ in range(3):
            client.send(b"a request")
            assert client.recv() == b"ok"
        weir.wait_metric("weir_counter_taken_messages_total", 3)
        assert weir.metric("weir_counter_state") == BELIEVED
    finally:
        app.kill()

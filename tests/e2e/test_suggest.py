# SPDX-License-Identifier: MPL-2.0
"""`weir suggest hwm`: a running Weir is asked what marks fit what it has seen, and `weir run --hwm` sets them."""
import json
import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import zmq
from harness import net
from harness.net import PATIENCE, free_port
from harness.run import Ran
from harness.weir import program
from test_count import python
from test_run_counts import Gates, name_of

SERVER = python("""
    import sys, threading, zmq
    c = zmq.Context()
    service, telemetry, news, jobs, feed = [c.socket(k) for k in (zmq.ROUTER, zmq.PULL, zmq.PUB, zmq.PUSH, zmq.SUB)]
    feed.subscribe(b"")
    for s, url in zip((service, telemetry, news, jobs, feed), sys.argv[1:]):
        s.bind(url)
    print("ready", *[s.last_endpoint.decode() for s in (service, telemetry, news, jobs, feed)], flush=True)
    print("marks", *["%d/%d" % (s.getsockopt(zmq.RCVHWM), s.getsockopt(zmq.SNDHWM)) for s in (service, telemetry, news, jobs, feed)], flush=True)
    def serve():
        p = zmq.Poller()
        for s in (service, telemetry, feed):
            p.register(s, zmq.POLLIN)
        while True:
            for s, _ in p.poll():
                m = s.recv_multipart()
                if s is service: s.send_multipart(m)
    def publish():
        while True:
            news.send(b"x" * 2000)
            jobs.send(b"job")
            threading.Event().wait(0.005)
    threading.Thread(target=publish, daemon=True).start()
    serve()
    """)
NAMES = ["service", "telemetry", "news", "jobs", "feed"]


def suggest(*args, code=0):
    done = subprocess.run([*program(), "suggest", *args], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == code, done
    return done


class Site:
    """The server under `weir run`."""

    def __init__(self, folder, urls, *options):
        self.gates = Gates()
        self.child = Ran(folder, [*SERVER, *urls], options=["--admin", self.gates.admin, *options])
        self.endpoints = dict(zip(NAMES, [net.reachable(e) for e in self.child.wait_line(lambda line: line.startswith("ready"))[0].split()[1:]]))
        self.marks = dict(zip(NAMES, self.child.wait_line(lambda line: line.startswith("marks"))[0].split()[1:]))

    def suggest(self, *args):
        """{name: row}, in JSON."""
        document = json.loads(suggest("hwm", "--admin", self.gates.admin, "--json", *args).stdout)
        rows = {row["gate"]: row for row in document["gates"]}
        return {name: rows[name_of(endpoint)] for name, endpoint in self.endpoints.items() if name_of(endpoint) in rows}, document


@pytest.fixture
def site(paths):
    mine = []

    def start(urls, *options):
        mine.append(Site(paths.folder, urls, *options))
        return mine[-1]

    yield start
    for s in mine:
        s.child.kill()
        assert not s.child.sanitizer_report()


def test_marks_follow_from_what_was_seen_and_can_be_set(site, peers):
    """Clients of each kind, for ten busy seconds. The marks proposed are then set, and seen by the program."""
    urls = [f"tcp://127.0.0.1:{free_port()}" for _ in NAMES]
    first = site(urls)
    little, _ = first.suggest()
    for row in little.values():
        assert row["receive"]["hwm"] is None and row["send"]["hwm"] is None and row["option"] is None

    over = threading.Event()
    clients = [peers.client(kind, first.endpoints[name])
               for kind, name in ((zmq.DEALER, "service"), (zmq.DEALER, "service"), (zmq.PUSH, "telemetry"), (zmq.SUB, "news"), (zmq.PULL, "jobs"), (zmq.PUB, "feed"))]
    clients[3].setsockopt(zmq.SUBSCRIBE, b"")

    def talk():
        p = zmq.Poller()
        for s in clients:
            if s.type != zmq.PUB and s.type != zmq.PUSH:
                p.register(s, zmq.POLLIN)
        while not over.is_set():
            for s in clients[:2]:
                s.send(b"a" * 100)
            clients[2].send(b"b" * 50)
            clients[5].send(b"c" * 50)
            end = time.monotonic() + 0.01
            while time.monotonic() < end:
                for s, _ in p.poll(2):
                    s.recv()

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        for name, way in (("service", "in"), ("service", "out"), ("telemetry", "in"), ("news", "out"), ("jobs", "out"), ("feed", "in")):
            for metric, least in (("weir_active_seconds_total", 10), ("weir_messages_total", 1000)):
                first.gates.wait_metric(metric, least, gate=name_of(first.endpoints[name]), direction=way)
        rows, document = first.suggest()
        text = suggest("hwm", "--admin", first.gates.admin).stdout
    finally:
        over.set()
        thread.join()

    assert document["delay_seconds"] == 0.1 and document["memory_bytes"] == first.gates.metric("weir_memory_limit_bytes")
    assert {name: row["socket"] for name, row in rows.items()} == {"service": "router", "telemetry": "pull", "news": "pub", "jobs": "push", "feed": "sub"}
    assert rows["service"]["connections"] == 2 and rows["telemetry"]["connections"] == 1
    # Senders wait: what the delay allows, and no fewer than ten. Where messages are lost, the default, unless more came in a second.
    assert 10 <= rows["service"]["receive"]["hwm"] < 100 and 10 <= rows["telemetry"]["receive"]["hwm"] < 100 and 10 <= rows["jobs"]["send"]["hwm"] < 100
    assert rows["service"]["send"]["hwm"] >= 1000 and rows["news"]["send"]["hwm"] >= 1000 and rows["feed"]["receive"]["hwm"] >= 1000
    assert [rows["news"]["receive"]["basis"], rows["feed"]["send"]["basis"]] == ["subscriptions"] * 2
    assert [rows["telemetry"]["send"]["basis"], rows["jobs"]["receive"]["basis"]] == ["unused"] * 2
    assert "application took" in rows["service"]["receive"]["reason"] and "loses what is sent" in rows["news"]["send"]["trade_off"]
    # News of 2000 bytes: libzmq's own memory for each is counted.
    held = rows["news"]["send"]
    assert 2064 <= held["held_bytes"] / held["held_messages"] < 2300 and held["held_messages"] == held["hwm"]

    options = [word for row in rows.values() for word in ("--hwm", row["option"])]
    # The text was asked for a moment later, so its numbers may be others.
    assert re.search(r"^without code: weir run" + "".join(rf" --hwm {net.split_tcp(endpoint)[1]}=\d*/\d*" for endpoint in first.endpoints.values()) + " -- COMMAND$", text, re.M)
    for name, endpoint in first.endpoints.items():
        assert f"{name_of(endpoint)}: {rows[name]['socket']} at {endpoint}; " in text
    assert {(row[way]["now"]) for row in rows.values() for way in ("receive", "send")} == {1000}
    assert re.search(r"^  ZMQ_RCVHWM \d+ \(now 1000\): ", text, re.M)
    first.child.kill()
    second = site(urls, *options)
    want = {name: f"{row['receive']['hwm'] or 1000}/{row['send']['hwm'] or 1000}" for name, row in rows.items()}
    assert second.marks == want
    rows, _ = second.suggest()
    assert {name: f"{row['receive']['now']}/{row['send']['now']}" for name, row in rows.items()} == want


def test_less_memory_and_another_delay_give_lower_marks():
    """Known numbers: what the metrics say is what the advice rests on."""
    page = METRICS % {"rate": 10000, "bytes": 1000, "connections": 40}
    with pretended(page) as admin:
        def marks(*args):
            row, = json.loads(suggest("hwm", "--admin", admin, "--json", *args).stdout)["gates"]
            return row["receive"]["hwm"], row["receive"]["basis"], row["send"]["hwm"], row["send"]["basis"]
        assert marks() == (25, "delay", 1000, "default")
        assert marks("--delay", "1s") == (250, "delay", 1000, "default")
        assert marks("--delay", "10ms") == (10, "fewest", 1000, "default")
        assert marks("--memory", "1MiB") == (12, "memory", 12, "memory")
        assert marks("--memory", "64KiB") == (1, "memory", 1, "memory")
        assert marks("--gate", "main") == marks()
        done = suggest("hwm", "--admin", admin, "--gate", "other", code=1)
        assert done.stderr == 'weir suggest: there is no gate "other"\n'
        text = suggest("hwm", "--admin", admin).stdout
        assert "ZMQ_RCVHWM 25: 100 ms of the 10000 messages that the application took in the busiest second, shared by 40 connections\n" in text
        assert "without code: weir run --hwm 5555=25/1000 -- COMMAND\n" in text


METRICS = """# TYPE weir_build_info gauge
weir_build_info{version="1"} 1
weir_memory_limit_bytes 268435456
weir_gate_info{gate="main",listen="tcp://0.0.0.0:5555",forward="tcp://127.0.0.1:1",socket="router",mechanism="NULL"} 1
weir_connections_peak{gate="main"} %(connections)d
weir_busiest_second_taken_messages{gate="main"} %(rate)d
weir_busiest_second_messages_each{gate="main"} 250
weir_messages_total{gate="main",direction="in"} 100000
weir_messages_total{gate="main",direction="out"} 100000
weir_frames_total{gate="main",direction="in"} 100000
weir_frames_total{gate="main",direction="out"} 100000
weir_heaviest_second_message_bytes{gate="main",direction="in"} %(bytes)d
weir_heaviest_second_message_bytes{gate="main",direction="out"} %(bytes)d
weir_active_seconds_total{gate="main",direction="in"} 100
weir_active_seconds_total{gate="main",direction="out"} 100
"""


class pretended:
    """A server with this page."""

    def __init__(self, page, status=200):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                assert "Authorization" not in self.headers
                self.send_response(status)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{self.server.server_port}"

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("page, status, words", [
    ("hello\n", 200, "is no Weir"),
    ("", 200, "is no Weir"),
    ("gone\n", 404, "answered 404"),
])
def test_what_is_no_weir_is_told(page, status, words):
    with pretended(page, status) as admin:
        assert words in suggest("hwm", "--admin", admin, code=1).stderr


def test_a_weir_without_gates_and_none_at_all():
    with pretended('weir_build_info{version="1"} 1\n') as admin:
        assert suggest("hwm", "--admin", admin).stdout == "(no gates)\n"
        assert json.loads(suggest("hwm", "--admin", admin, "--json").stdout)["gates"] == []
    assert "no Weir can be reached" in suggest("hwm", "--admin", f"127.0.0.1:{free_port()}", code=1).stderr


@pytest.mark.parametrize("args, words", [
    ([], "what is to be suggested"),
    (["marks"], '"marks" is nothing that can be suggested, allowed hwm'),
    (["hwm", "more"], '"more" is nothing'),
    (["hwm", "--delay", "0"], "--delay is no duration"),
    (["hwm", "--delay", "2h"], "1ms to 1h"),
    (["hwm", "--memory", "much"], "--memory is no size"),
    (["hwm", "--memory", "1k"], "64KiB or more"),
    (["hwm", "--admin", "nowhere"], "--admin is not an address"),
    (["hwm", "--json", "--gate"], "--gate needs a value"),
    (["hwm", "--gate", "a", "--gate", "b"], "given twice"),
    (["hwm", "--token-file", "x"], "unknown option"),
])
def test_wrong_arguments_are_told(args, words):
    done = suggest(*args, code=2)
    assert words in done.stderr and done.stderr.startswith("weir suggest: ")


def test_the_address_of_a_configuration(paths):
    with pretended(METRICS % {"rate": 10000, "bytes": 100, "connections": 40}) as admin:
        path = paths.file("weir.yaml")
        with open(path, "w") as f:
            json.dump({"admin": {"listen": admin}, "gates": [{"listen": paths.ipc(), "forward": paths.ipc()}]}, f)
        assert "main: router" in suggest("hwm", "-c", path).stdout

# SPDX-License-Identifier: MPL-2.0
"""The admin address: pages, the Prometheus exposition read by a strict parser of our own, hostile callers, and series that no peer can multiply."""
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import zmq
from harness import net
from harness.weir import program
from harness.zmtp import connect, message

ROOT = Path(__file__).resolve().parents[2]
MARKER = "sTrAnGeR7"


# ---- the parser: the text format 0.0.4, and not a byte more than it allows ----

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
VALUE = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


class BadPage(Exception):
    pass


def expect(condition, why, line=""):
    if not condition:
        raise BadPage(f"{why}: {line!r}")


def parse_labels(text, line):
    labels, at = {}, 0
    while True:
        match = LABEL.match(text, at)
        expect(match, "bad label", line)
        expect(match[1] not in labels, "a label twice", line)
        labels[match[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])
        at = match.end()
        if at == len(text):
            return labels
        expect(text[at] == ",", "bad separator", line)
        at += 1


def parse_sample(line):
    name = NAME.match(line)
    expect(name, "no name", line)
    rest, labels = line[name.end():], {}
    if rest.startswith("{"):
        inside, brace, rest = rest[1:].rpartition("}")
        expect(brace, "no closing brace", line)
        labels = parse_labels(inside, line)
    expect(rest.startswith(" ") and VALUE.fullmatch(rest[1:]), "bad value", line)
    return name[0], tuple(sorted(labels.items())), float(rest[1:])


def parse(text):
    """{metric: (type, {labels: value})}; raises BadPage for whatever is not exactly as it should be."""
    families, current = {}, None
    expect(text.endswith("\n"), "the last line does not end")
    lines = iter(text[:-1].split("\n"))
    for line in lines:
        if line.startswith("# HELP "):
            _, _, current, help_text = line.split(" ", 3)
            expect(NAME.fullmatch(current) and help_text, "bad HELP", line)
            expect(current not in families, "a family twice", line)
            kind = re.fullmatch(f"# TYPE {re.escape(current)} (counter|gauge)", next(lines, ""))
            expect(kind, "no TYPE after HELP", line)
            families[current] = (kind[1], {})
            continue
        name, labels, value = parse_sample(line)
        expect(name == current, "a sample outside its family", line)
        expect(labels not in families[current][1], "a series twice", line)
        families[current][1][labels] = value
    return families


GOOD = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"y\\\"\\\\\\n\",z=\"\"} 1\n# HELP b B.\n# TYPE b gauge\nb 1.5\n"


def test_the_parser_reads_a_good_page():
    assert parse(GOOD) == {"a_total": ("counter", {(("x", 'y"\\\n'), ("z", "")): 1}), "b": ("gauge", {(): 1.5})}


@pytest.mark.parametrize("old,new", [
    ("b 1.5\n", "b 1.5"), ("b 1.5", "b  1.5"), ("b 1.5", "b NaN"), ("b 1.5", "b -1"), ("b 1.5", "b 1,5"), ("b 1.5", "b 1.5\nb 2"),
    ("b 1.5", "c 1"), ("b 1.5", "a_total 1"), ("b 1.5", "\nb 1.5"), ("b 1.5", "b{} 1"), ('z=""', 'x=""'), ('z=""', 'z=""x'), ('z=""', "z="),
    ('z=""', '1=""'), ('z=""}', 'z=""'), ('\\"', '"'), ("\\n", "\n"), ("\\n", "\\x0a"), ("# TYPE b gauge\n", ""),
    ("# TYPE b gauge", "# TYPE b histogram"), ("# HELP b B.\n", ""), ("# HELP b", "# HELP a_total"), (" B.", ""),
])
def test_the_parser_refuses(old, new):
    assert old in GOOD
    with pytest.raises((BadPage, ValueError)):
        parse(GOOD.replace(old, new, 1))


# ---- helpers ----

def ask(weir, method, path, body=None, headers=None):
    """(status, headers, body) of one request on a connection of its own."""
    host, port = weir.admin.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=net.PATIENCE)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def dial(weir):
    return net.raw_connect(f"tcp://{weir.admin}")


def families(weir):
    return parse(weir.get("/metrics"))


def series(found):
    """Every series there is; of weir_gate_info, whose labels tell what Weir has learned, only the gate."""
    return {(name, labels if name != "weir_gate_info" else dict(labels)["gate"])
            for name, (_, samples) in found.items() for labels in samples}


def documented(page):
    """The first column of the tables of a page in docs/."""
    return re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / page).read_text(), re.M)


@pytest.fixture
def echo(start_weir, start_app, paths):
    """A gate in front of an echoing application."""
    app = start_app("router", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    weir.get("/version")
    return weir


def round_trips(peers, weir, count):
    """Returns the client: without a reference to it, pyzmq closes it."""
    client = peers.client(zmq.DEALER, weir.endpoint)
    for i in range(count):
        client.send(b"%d" % i)
        assert client.recv() == b"%d" % i
    return client


# ---- the pages ----

def test_the_exposition_is_what_the_documentation_says(echo, peers):
    round_trips(peers, echo, 10)
    found = families(echo)
    assert sorted(found) == sorted(documented("metrics.md"))
    for name, (kind, samples) in found.items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert samples or name.startswith(("weir_class_", "weir_application_hwm")), name  # only where classes are configured, and under weir run
    verdicts = [dict(labels)["verdict"] for labels in found["weir_verdicts_total"][1]]
    assert sorted(verdicts) == sorted(documented("verdicts.md"))


def test_the_page_is_typed_and_safe(echo):
    for path, status in [("/metrics", 200), ("/healthz", 200), ("/version", 200), ("/", 200), (f"/{MARKER}", 404)]:
        for method in ("GET", "HEAD"):
            got, headers, body = ask(echo, method, path)
            assert got == status
            assert headers["Content-Type"] == ("text/plain; version=0.0.4; charset=utf-8" if path == "/metrics" else "text/plain; charset=utf-8")
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert bool(body) == (method == "GET")
            assert MARKER not in body + str(headers)


def test_only_reading_is_allowed(echo):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        status, headers, _ = ask(echo, method, "/metrics")
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_version_is_that_of_the_program(echo):
    printed = subprocess.run([*program(), "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    assert echo.get("/version").strip() == printed
    assert list(families(echo)["weir_build_info"][1]) == [(("version", printed.split()[1]),)]


def test_health_tells_of_an_application_that_is_not_up(start_weir, start_app, peers, paths):
    endpoint = paths.ipc()
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=endpoint)
    client = peers.client(zmq.DEALER, weir.endpoint)  # somebody must want the application for Weir to try
    net.wait_until(lambda: f"gate main: the application at {endpoint} is not up\n" in weir.get("/healthz"), "the word of it")
    assert weir.get("/healthz").startswith("ok\n")
    assert weir.metric("weir_upstream_up") == 0
    start_app("router", endpoint)
    client.send(b"hello")
    assert client.recv() == b"hello"
    net.wait_until(lambda: weir.get("/healthz") == "ok\n", "health")
    assert weir.metric("weir_upstream_up") == 1


def test_health_tells_a_load_balancer_of_the_drain(start_weir, start_app, paths):
    """With half a message under way, so that the drain lasts until it is whole."""
    app = start_app("pull", paths.ipc())
    weir = start_weir(config={"drain": "1h", "gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": app.endpoint}]})
    peer = connect(weir.endpoint, socket_type="PUSH")
    peer.send_raw(message(b"whole"))
    weir.wait_metric("weir_messages_total", 1, direction="in")
    peer.send_raw(message(b"in two parts")[:5])
    weir.wait_metric("weir_held_bytes", 1)
    assert weir.get("/healthz") == "ok\n"
    weir.signal(signal.SIGTERM)
    weir.expected_exit = 0
    net.wait_until(lambda: ask(weir, "GET", "/healthz")[::2] == (503, "not ok\ngate main: listens no more\n"), "the word of the drain")
    assert families(weir)["weir_connections"][1] == {(("gate", "main"),): 1}
    peer.send_raw(message(b"in two parts")[5:])
    assert weir.wait() == 0
    net.wait_until(lambda: app.stats()["messages"] == 2, "the message that was under way")


def test_two_gates_are_told_apart(start_weir, start_app, peers, paths):
    apps = [start_app("router", paths.ipc()) for _ in range(2)]
    gates = [{"name": name, "listen": "tcp://127.0.0.1:*", "forward": app.endpoint} for name, app in zip(["one", "two"], apps)]
    weir = start_weir(config={"gates": gates})
    client = peers.client(zmq.DEALER, net.reachable(weir.gates[1][0]))
    client.send(b"hello")
    assert client.recv() == b"hello"
    assert weir.metric("weir_messages_total", gate="one") == 0
    assert weir.metric("weir_messages_total", gate="two", direction="in") == 1
    info = [dict(labels) for labels in families(weir)["weir_gate_info"][1]]
    assert [(i["gate"], i["listen"], i["forward"]) for i in info] == [(g["name"], *real) for g, real in zip(gates, weir.gates)]


def test_the_process_is_told_truly(echo):
    found = {name: list(samples.values())[0] for name, (_, samples) in families(echo).items() if name.startswith("process_")}
    assert abs(found["process_open_fds"] - echo.fd_count()) <= 3  # the connection of the scrape itself, and what it left in closing
    assert abs(found["process_resident_memory_bytes"] - echo.rss_bytes()) < 16 << 20
    assert found["process_max_fds"] >= found["process_open_fds"]
    assert 0 <= time.time() - found["process_start_time_seconds"] < 3600
    assert found["process_cpu_seconds_total"] < 3600


def test_counters_count_and_never_fall(echo, peers):
    first = round_trips(peers, echo, 25)
    assert echo.metric("weir_messages_total", direction="in") == 25
    assert echo.metric("weir_messages_total", direction="out") == 25
    assert echo.metric("weir_connections") == 1
    before = families(echo)
    client = round_trips(peers, echo, 25)
    client.close()
    first.close()
    echo.wait_metric("weir_connections_closed_total", 2)
    after = families(echo)
    assert series(before) == series(after)
    for name, (kind, samples) in before.items():
        for labels, value in samples.items():
            if kind == "counter":
                assert after[name][1][labels] >= value, (name, labels)


# ---- callers who mean no good ----

GARBAGE = [
    b"",
    b"\r\n" * 1000,
    f"{MARKER}\r\n\r\n".encode(),
    f"GET /{MARKER} HTTP/1.1\r\n{MARKER}\r\n\r\n".encode(),
    f"GET / HTTP/7.7\r\nHost: {MARKER}\r\n\r\n".encode(),
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"GET /" + b"a" * (1 << 20),
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL" + bytes(100),
    os.urandom(65536),
]


def say_and_hear(weir, data):
    heard = b""
    with dial(weir) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                heard += chunk
        except OSError:  # closed upon us, in whatever state
            pass
    return heard


def test_garbage_at_the_admin_port(echo, peers):
    client = round_trips(peers, echo, 1)
    echo.get("/metrics")
    fds = echo.fd_count()
    for _ in range(10):
        for data in GARBAGE:
            assert MARKER.encode() not in say_and_hear(echo, data)
        client.send(b"still there")
        assert client.recv() == b"still there"
    parse(echo.get("/metrics"))
    net.wait_until(lambda: echo.fd_count() <= fds, "the descriptors to come back")
    assert MARKER not in echo.stderr()


def test_connections_held_open_lock_nobody_out(echo, peers):
    client = round_trips(peers, echo, 1)
    fds, rss = echo.fd_count(), echo.rss_bytes()
    held = []
    try:
        for i in range(300):
            s = dial(echo)
            held.append(s)
            s.sendall([b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"][i % 3])
            if i % 10 == 0:
                families(echo)
        assert echo.fd_count() <= fds + 40
        assert echo.rss_bytes() <= rss + (16 << 20)
        client.send(b"still there")
        assert client.recv() == b"still there"
    finally:
        for s in held:
            s.close()
    net.wait_until(lambda: echo.fd_count() <= fds, "the descriptors to come back")


def test_reachable_when_descriptors_run_short(start_weir, start_app, peers, paths):
    app = start_app("router", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint, nofile=256)
    crowd = [peers.client(zmq.DEALER, net.from_source(f"127.7.0.{1 + i}", weir.endpoint)) for i in range(200)]
    for client in crowd:
        client.send(b"hello")
    weir.wait_metric("weir_connections", lambda n: n >= weir.metric("weir_connections_max") / 2)
    with net.raw_connect(weir.endpoint) as s:
        s.sendall(b"one more")
        for _ in range(20):
            found = families(weir)
            assert found["process_open_fds"][1][()] < found["process_max_fds"][1][()] == 256


def test_reachable_while_the_workers_are_busy(start_weir, start_app, peers, paths):
    """At full speed through one worker: every page that is asked for meanwhile comes whole."""
    app = start_app("pull", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    count, done = 200000, threading.Event()

    def push():
        client = peers.client(zmq.PUSH, weir.endpoint)
        for _ in range(count):
            client.send(bytes(64))
        weir.wait_metric("weir_messages_total", count, direction="in")
        client.close()
        done.set()

    thread = threading.Thread(target=push)
    thread.start()
    pages = 0
    while not done.is_set() and thread.is_alive():
        families(weir)
        pages += 1
    thread.join()
    assert done.is_set()
    assert pages > 0
    assert weir.metric("weir_messages_total", direction="in") == count


# ---- peers cannot make series ----

HOSTILE = [b'a"b', b"a\nb 1", b"a\\", b"{}", b"\xff\xfe", b"\x1b[2J", "h\u00e9".encode(), MARKER.encode(), b'"} 1\nweir_evil 1']


def test_peers_cannot_make_series(echo, peers):
    round_trips(peers, echo, 1)
    before = families(echo)
    for i in range(150):
        source = f"127.9.{i // 100}.{1 + i % 100}"
        with net.raw_connect(echo.endpoint, source=source) as s:
            s.sendall(HOSTILE[i % len(HOSTILE)] * 10)
    for i, name in enumerate(HOSTILE):
        client = peers.client(zmq.DEALER, net.from_source(f"127.8.0.{1 + i}", echo.endpoint), ROUTING_ID=name)
        client.send(name)
        assert client.recv() == name
    echo.wait_metric("weir_connections_accepted_total", 1 + 150 + len(HOSTILE))
    after = families(echo)
    assert series(after) == series(before)
    page = echo.get("/metrics")
    assert MARKER not in page
    assert "127.9." not in page and "127.8." not in page
    assert len(page) < 64 << 10


def test_hostile_topics_do_not_show(start_weir, start_app, peers, paths):
    app = start_app("pub", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    before = series(families(weir))
    subscribers = [peers.client(zmq.SUB, weir.endpoint, SUBSCRIBE=topic) for topic in HOSTILE]
    weir.wait_metric("weir_subscriptions", len(subscribers))
    assert series(families(weir)) == before
    assert MARKER not in weir.get("/metrics")


def test_strangers_with_wild_greetings_are_only_counted(echo):
    before = series(families(echo))
    for name in HOSTILE:
        with net.raw_connect(echo.endpoint) as s:
            s.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + name[:20].ljust(20, b"\0") + bytes(32))
    echo.wait_metric("weir_connections_accepted_total", len(HOSTILE))
    assert series(families(echo)) == before
    assert MARKER not in echo.get("/metrics")

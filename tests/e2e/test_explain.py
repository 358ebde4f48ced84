# SPDX-License-Identifier: MPL-2.0
"""weir explain against the gate itself: for each case, what it says is what happens to a real client; and its arguments and answers."""
import contextlib
import re
import subprocess

import pytest
import yaml
import zmq
from harness import net, zmtp
from harness.net import PATIENCE, from_source, raw_connect, wait_until
from harness.weir import program

CLIENT = "127.7.7.1"


def run(*args):
    return subprocess.run([*program(), "explain", *map(str, args)], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)


def write(path, forward, **keys):
    gate = {"name": "main", "listen": "tcp://127.0.0.1:*", "forward": forward, **keys}
    with open(path, "w") as f:
        yaml.safe_dump({"gates": [gate]}, f, sort_keys=False)
    return path


# ---- the same as a real gate ----

def one_message(size, frames=1):
    """A message as explain has it: frames of the same size, or nearly."""
    left, parts = size, []
    for n in range(frames, 0, -1):
        parts.append(b"x" * (left // n))
        left -= left // n
    return parts


class Case:
    """A gate (application, keys), what explain is asked, and the same done by a client of libzmq."""

    def __init__(self, app, keys, ask, do):
        self.app, self.keys, self.ask, self.do = app, yaml.safe_load(keys), ask, do


def send(kind, size, frames=1, times=1):
    def do(weir, peers):
        client = peers.client(kind, from_source(CLIENT, weir.endpoint), IMMEDIATE=0, SNDTIMEO=1000)
        for _ in range(times):
            with contextlib.suppress(zmq.Again):
                client.send_multipart(one_message(size, frames))
        return client
    return do


def subscribe(topic):
    return lambda weir, peers: peers.client(zmq.SUB, from_source(CLIENT, weir.endpoint), SUBSCRIBE=topic)


def connect(count):
    """Connections from one process, each with a message; those that are refused try again."""
    def do(weir, peers):
        clients = [peers.client(zmq.PUSH, from_source(CLIENT, weir.endpoint)) for _ in range(count)]
        for client in clients:
            client.send(b"x", zmq.NOBLOCK) if client.poll(200, zmq.POLLOUT) else None
        return clients
    return do


def hold(count):
    """Connections that say nothing: what shakes hands gives its token of the rate back."""
    return lambda weir, peers: [raw_connect(weir.endpoint, CLIENT) for _ in range(count)]


def handshake(kind, identity=b""):
    """A peer of the tests' own: libzmq refuses to set ids that are too long."""
    def do(weir, peers):
        with contextlib.suppress(zmtp.Closed, OSError):
            peer = zmtp.connect(weir.endpoint, CLIENT, socket_type=kind, identity=identity)
            peer.send(b"x")
            return peer
        return None
    return do


PULL_SIZE = "{socket: pull, message: {size: 1KiB, frames: 4, over: %s}}"
RATE = "{socket: pull, source: {messages: {rate: 1/h, burst: 9, over: %s%s}}}"
CASES = {
    "small": Case("pull", PULL_SIZE % "close", ["--size", 1000], send(zmq.PUSH, 1000)),
    "too large": Case("pull", PULL_SIZE % "close", ["--size", 1025], send(zmq.PUSH, 1025)),
    "dropped": Case("pull", PULL_SIZE % "drop", ["--size", 1025], send(zmq.PUSH, 1025)),
    "in frames": Case("pull", PULL_SIZE % "close", ["--size", 900, "--frames", 4], send(zmq.PUSH, 900, 4)),
    "too many frames": Case("pull", PULL_SIZE % "close", ["--size", 900, "--frames", 5], send(zmq.PUSH, 900, 5)),
    "too large in frames": Case("pull", PULL_SIZE % "drop", ["--size", 1100, "--frames", 3], send(zmq.PUSH, 1100, 3)),
    "frames count 64 bytes": Case("pull", "{socket: pull, message: {size: 256B}}", ["--size", 5, "--frames", 5], send(zmq.PUSH, 5, 5)),
    "streams": Case("pull", "{socket: pull, message: {size: 1MiB}}", ["--size", 1000000], send(zmq.PUSH, 1000000)),
    "streams and is too large": Case("pull", "{socket: pull, message: {size: 200kB, over: drop}}", ["--size", 300000, "--frames", 10],
                                     send(zmq.PUSH, 300000, 10)),
    "size in shadow": Case("pull", "{socket: pull, message: {size: 1KiB, enforce: shadow}}", ["--size", 5000], send(zmq.PUSH, 5000)),
    "size off": Case("pull", "{socket: pull, message: {size: 1KiB}, enforce: off}", ["--size", 5000], send(zmq.PUSH, 5000)),
    "request": Case("rep", "{socket: rep, message: {frames: 2}}", ["--type", "req", "--size", 10], send(zmq.REQ, 10)),
    "request, too many frames": Case("rep", "{socket: rep, message: {frames: 2}}", ["--type", "req", "--size", 10, "--frames", 2],
                                     send(zmq.REQ, 10, 2)),
    "request without a delimiter": Case("rep", "{socket: rep}", ["--type", "dealer", "--size", 10], send(zmq.DEALER, 10)),
    "rate kept": Case("pull", RATE % ("drop", ""), ["--size", 10, "--rate", "1/h"], send(zmq.PUSH, 10)),
    "rate, paused": Case("pull", RATE % ("pause", ""), ["--size", 10, "--rate", "1000/s"], send(zmq.PUSH, 10, times=12)),
    "rate, dropped": Case("pull", RATE % ("drop", ""), ["--size", 10, "--rate", "1000/s"], send(zmq.PUSH, 10, times=12)),
    "rate, closed": Case("pull", RATE % ("close", ""), ["--size", 10, "--rate", "1000/s"], send(zmq.PUSH, 10, times=12)),
    "rate in shadow": Case("pull", RATE % ("close", ", enforce: shadow"), ["--size", 10, "--rate", "1000/s"], send(zmq.PUSH, 10, times=12)),
    "bytes": Case("pull", "{socket: pull, source: {bytes: {rate: 1KiB/h, burst: 20KiB, over: close}}}", ["--size", 9000, "--rate", "1000/s"],
                  send(zmq.PUSH, 9000, times=5)),
    "topic": Case("pub", "{socket: pub, subscriptions: {topic: 10B}}", ["--topic", "a" * 10], subscribe(b"a" * 10)),
    "topic too long": Case("pub", "{socket: pub, subscriptions: {topic: 10B}}", ["--topic", "a" * 11], subscribe(b"a" * 11)),
    "topic too long, dropped": Case("pub", "{socket: pub, subscriptions: {topic: 10B, over: drop}}", ["--topic", "a" * 11], subscribe(b"a" * 11)),
    "topics over the source's": Case("pub", "{socket: pub, subscriptions: {source_bytes: 1KiB, topic: 1KiB}}", ["--topic", "a" * 1020],
                                     subscribe(b"a" * 1020)),
    "connections": Case("pull", "{socket: pull, source: {connections: {max: 3}}}", ["--connections", 3], connect(3)),
    "too many connections": Case("pull", "{socket: pull, source: {connections: {max: 3}}}", ["--connections", 4], connect(4)),
    "connections over the gate's": Case("pull", "{socket: pull, connections: {max: 3}}", ["--connections", 4], connect(4)),
    "connections over the rate": Case("pull", "{socket: pull, source: {connections: {rate: 1/h, burst: 2}}}", ["--connections", 4], hold(4)),
    "the right type": Case("router", "{socket: router}", ["--type", "dealer"], handshake("DEALER")),
    "the wrong type": Case("router", "{socket: router}", ["--type", "pub"], handshake("PUB")),
    "a routing id": Case("router", "{socket: router}", ["--type", "dealer", "--identity", "me"], handshake("DEALER", b"me")),
    "a reserved routing id": Case("router", "{socket: router}", ["--type", "dealer", "--identity", "0x006d656d65"], handshake("DEALER", b"\0meme")),
    "a routing id that begins with zero": Case("router", "{socket: router}", ["--type", "dealer", "--identity", "0x0000"],
                                               handshake("DEALER", b"\0\0")),
    "a long routing id": Case("router", "{socket: router}", ["--type", "dealer", "--identity", "m" * 256], handshake("DEALER", b"m" * 256)),
}

QUIET = {"handshake_abandoned", "message_abandoned", "application_gone"}  # what becomes of a test's own end


def verdicts(weir, name):
    return {labels["verdict"] for found, labels, value in weir.samples() if found == name and value} - QUIET


def what_happened(weir):
    """(verdict, what was done) from the metrics alone."""
    seen = verdicts(weir, "weir_verdicts_total")
    if not seen:
        return None
    assert len(seen) == 1, seen
    done = "waits" if weir.metric("weir_pauses_total") or weir.metric("weir_connections_waiting") else None
    if weir.metric("weir_dropped_messages_total"):
        done = "dropped"
    return next(iter(seen)), done or "closed"


ACTIONS = {"waits": "the connection waits", "dropped": "the message is dropped", "closed": "the connection is closed"}


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_happens(start_app, start_weir, peers, paths, name):
    case = CASES[name]
    app = start_app(case.app, paths.ipc())
    path = write(paths.file("case.yaml"), app.endpoint, **case.keys)
    said = run("-c", path, "--from", CLIENT, *case.ask)
    weir = start_weir(args=("-c", path))
    kept = case.do(weir, peers)
    last = said.stdout.splitlines()[-1]
    if said.returncode == 0:
        assert last == "passes", said
        if case.app == "pub":
            weir.wait_metric("weir_subscriptions", 1)
        elif "--rate" in case.ask or "--size" in case.ask or case.app == "pull":
            wait_until(lambda: app.stats()["messages"] >= 1, "the message")
        else:
            weir.wait_metric("weir_connections_established_total", 1)
        in_shadow = re.findall(r"^  in shadow .*\((\w+)\)$", said.stdout, re.M)
        wait_until(lambda: verdicts(weir, "weir_shadow_verdicts_total") == set(in_shadow), f"{in_shadow} in shadow")
        assert what_happened(weir) is None
        return
    assert said.returncode == 1, said
    wait_until(lambda: verdicts(weir, "weir_verdicts_total"), f"'{last}' to happen")
    verdict, done = what_happened(weir)
    if "subscriptions" in case.keys and case.keys["subscriptions"].get("over") == "drop":
        done = "dropped" if weir.metric("weir_connections_closed_total") == 0 else "closed"  # it is no message
    assert last == f"{verdict}: {ACTIONS[done]}" and kept is not name


def test_how_many_pass(start_app, start_weir, peers, paths):
    """As many as it says, to the message, and not one more."""
    app = start_app("pull", paths.ipc())
    path = write(paths.file("rate.yaml"), app.endpoint, socket="pull", source={"messages": {"rate": "1/h", "burst": 41, "over": "drop"}})
    said = run("-c", path, "--from", CLIENT, "--size", 10, "--rate", "1000/s")
    passed = int(re.search(r"(\d+) messages pass within", said.stdout)[1])
    weir = start_weir(args=("-c", path))
    client = peers.client(zmq.PUSH, from_source(CLIENT, weir.endpoint))
    for _ in range(100):
        client.send(b"x" * 10)
    weir.wait_metric("weir_dropped_messages_total", 100 - passed)
    wait_until(lambda: app.stats()["messages"] == passed, "those that pass")
    assert passed == 42


def test_shares(start_app, start_weir, peers, paths):
    """Whom it says the rule is in force for is limited; the others are not."""
    app = start_app("pull", paths.ipc())
    path = write(paths.file("share.yaml"), app.endpoint, socket="pull", message={"size": "1KiB", "enforce": "40%"})
    weir = start_weir(args=("-c", path))
    said = set()
    for n in range(40):
        source = f"127.7.8.{n + 1}"
        limited = run("-c", path, "--from", source, "--size", 2000).returncode == 1
        said.add(limited)
        name = "weir_verdicts_total" if limited else "weir_shadow_verdicts_total"
        before = weir.metric(name, verdict="frame_too_large")
        zmtp.connect(weir.endpoint, source, socket_type="PUSH").send(b"x" * 2000)
        weir.wait_metric(name, before + 1, verdict="frame_too_large")
    assert said == {True, False}


# ---- what it prints ----

def test_each_line_names_key_value_and_place(paths):
    path = paths.file("lines.yaml")
    with open(path, "w") as f:
        f.write("gates:\n  - listen: tcp://127.0.0.1:5555\n    forward: tcp://127.0.0.1:5556\n    message: {frames: 3,\n      size: 1MiB}\n"
                "    ban: {strikes: 4, within: 2m, for: 5m}\n")
    done = run("-c", path, "--from", "203.0.113.7", "--size", "2MiB")
    assert re.search(rf"^  passes     message.frames 3 +{path}:4:23 +1$", done.stdout, re.M)
    assert re.search(r"^  passes     connections.max 960 +default ", done.stdout, re.M)
    assert "2 strikes; 4 within 2m get it banned for 5m" in done.stdout
    assert done.stdout.splitlines()[-1] == "frame_too_large: the connection is closed" and done.returncode == 1


@pytest.mark.parametrize(("client", "code", "last"), [
    ("203.0.113.7", 0, "passes"),
    ("127.0.0.9", 0, "passes"),
    ("2001:db8::1", 1, "no_upstream_source: the connection is closed"),
])
def test_clients_that_cannot_come_from_their_address(client, code, last, paths):
    path = paths.file("source.yaml")
    with open(path, "w") as f:
        f.write("gates:\n  - {listen: 'tcp://*:5555', forward: 'tcp://127.0.0.1:5556', upstream: {source: client}}\n")
    done = run("-c", path, "--from", client)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (code, last)
    checked = subprocess.run([*program(), "check", path], capture_output=True, text=True, timeout=PATIENCE)
    assert checked.returncode == 0 and "warning: upstream.source: client closes clients on IPv6" in checked.stdout


@pytest.mark.parametrize(("listen", "client", "why"), [
    ("tcp://0.0.0.0:5555", "::1", "it takes IPv4 only"),
    ("tcp://[::1]:5555", "127.0.0.1", "it takes IPv6 only"),
    ("tcp://*:5555", "::1", None),
    ("tcp://*:5555", "127.0.0.1", None),
    ("tcp://*:5555", "uid:1000", "users have their ids on ipc:// only"),
    ("ipc:///run/x", "uid:1000", None),
    ("ipc:///run/x", "127.0.0.1", "clients on ipc:// have no address but their user's id, such as uid:1000"),
])
def test_clients_that_cannot_come_at_all(listen, client, why):
    done = run("--listen", listen, "--forward", "tcp://127.0.0.1:5556", "--from", client)
    if why is None:
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "passes")
        return
    said = f"weir explain: no client {client} can come to gate main, which listens on {listen}: {why}"
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (2, "", said)


def test_without_a_file():
    done = run("--listen", "tcp://127.0.0.1:5555", "--forward", "tcp://127.0.0.1:5556", "--from", "127.0.0.9", "--size", "1KiB")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.splitlines()[-1] == "passes"


@pytest.mark.parametrize(("args", "word"), [
    ([], "--from is missing"),
    (["--from", "203.0.113.0/24"], "--from is not an address"),
    (["--from", "somebody"], "--from is not an address"),
    (["--from", "::1", "--type", "stream"], "--type is not a socket type"),
    (["--from", "::1", "--size", "lots"], "--size is not a size"),
    (["--from", "::1", "--frames", "0"], "--frames is not a number"),
    (["--from", "::1", "--rate", "0/s"], "--rate is not a rate"),
    (["--from", "::1", "--connections", "x"], "--connections is not a number"),
    (["--from", "::1", "--identity", "0xabc"], "--identity is not"),
    (["--from", "::1", "--topic"], "--topic needs a value"),
    (["--from", "::1", "--gate", "other"], "there is no gate"),
    (["--from", "::1", "--json"], "unknown option"),
    (["--from", "::1", "more"], "no argument is expected"),
])
def test_wrong_arguments(args, word):
    done = run("--listen", "tcp://127.0.0.1:5555", "--forward", "tcp://127.0.0.1:5556", *args)
    assert (done.returncode, done.stdout) == (2, "") and word in done.stderr, done


@pytest.mark.parametrize("options, said", [
    ("MAXMSGSIZE", 'not a list of NAME=VALUE: "MAXMSGSIZE"'), ("NOSUCH=1", 'nothing is known of "NOSUCH"'), ("TYPE=nosuch", '"nosuch"'),
    ("MAXMSGSIZE=1k", '"1k"'), ("MAXMSGSIZE=99999999999999999999", "not a number"), ("RCVHWM=router", "not a number"), ("TYPE=1,", "not a list"),
    ("TYPE=" + "1" * 600, "too long")])
def test_wrong_options_of_the_socket(options, said):
    done = run("--from", "203.0.113.7", "--options", options)
    assert done.returncode == 2 and done.stdout == "" and said in done.stderr, done


def test_options_of_the_socket_are_for_gates_of_weir_run(paths):
    done = run("--listen", "tcp://127.0.0.1:1", "--forward", "tcp://127.0.0.1:2", "--from", "127.0.0.1", "--options", "TYPE=router")
    assert done.returncode == 2 and "give either" in done.stderr
    path = paths.file("run.yaml")
    with open(path, "w") as f:
        f.write("gates:\n  - message: {frame: 500B}\n")
    done = run("-c", path, "--from", "203.0.113.7", "--options", "TYPE=router,ZMQ_MAXMSGSIZE=1000", "--size", 400)
    assert done.returncode == 0 and ["passes", "message.frame", "500B", f"{path}:2:22", "400B"] in [line.split() for line in done.stdout.splitlines()], done


def test_a_wrong_file(paths):
    path = write(paths.file("wrong.yaml"), paths.ipc(), message={"size": "lots"})
    done = run("-c", path, "--from", "::1")
    assert done.returncode == 2 and f"{path}:6:11: message.size is not a size" in done.stderr
    done = run("-c", paths.file("none.yaml"), "--from", "::1")
    assert done.returncode == 2 and "cannot be opened" in done.stderr


def test_which_gate(paths):
    path = paths.file("two.yaml")
    gates = [{"name": name, "listen": f"tcp://127.0.0.1:{net.free_port()}", "forward": paths.ipc(), "message": {"size": size}}
             for name, size in (("small", "1KiB"), ("large", "1MiB"))]
    with open(path, "w") as f:
        yaml.safe_dump({"gates": gates}, f)
    assert "--gate is missing: the file has 2 gates" in run("-c", path, "--from", "127.0.0.9").stderr
    assert run("-c", path, "--from", "127.0.0.9", "--gate", "small", "--size", 5000).returncode == 1
    assert run("-c", path, "--from", "127.0.0.9", "--gate", "large", "--size", 5000).returncode == 0

# SPDX-License-Identifier: MPL-2.0
"""`weir run`: the gate knows the socket's type and options from libzmq, and keeps to them as libzmq itself does. Programs run bare too where the two can be compared."""
import json
import os
import pathlib
import subprocess
import textwrap

import pytest
import zmq
from harness import net, zmtp
from harness.net import free_port, wait_until
from harness.weir import Weir, program
from test_run import ended, heard, run

__all__ = ["run"]

# The application's events, by libzmq's monitor: names in order, of those that clients bring about.
MONITOR = """
NAMES = {zmq.EVENT_ACCEPTED: "accepted", zmq.EVENT_HANDSHAKE_SUCCEEDED: "handshake", zmq.EVENT_DISCONNECTED: "disconnected"}
def watch(socket):
    return socket.get_monitor_socket(sum(NAMES))
def seen(monitor, count):
    from zmq.utils.monitor import recv_monitor_message
    names = []
    while len(names) < count and monitor.poll(20000):
        names.append(NAMES[recv_monitor_message(monitor)["event"]])
    return names
"""


class Gates:
    """What the admin address of a `weir run` says."""

    get, samples, metric, wait_metric = Weir.get, Weir.samples, Weir.metric, Weir.wait_metric

    def __init__(self):
        self.admin, self.admin_seen = f"127.0.0.1:{free_port()}", False

    def alive(self):
        return True

    def refused(self, verdict):
        return self.metric("weir_verdicts_total", verdict=verdict)


def start(run, text, bare=False, options=()):
    """A program, and its gates' admin address (None: it runs bare)."""
    gates = None if bare else Gates()
    return run(MONITOR + textwrap.dedent(text), bare=bare, stdin=True, options=[] if bare else ["--admin", gates.admin, *options]), gates


# ---- what is known before a client has come ----

SOCKETS = {"ROUTER": "router", "PULL": "pull", "XPUB": "xpub", "PAIR": "pair", "SUB": "sub"}


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN", "CURVE"])
def test_type_and_mechanism_are_known_before_a_client_has_come(mechanism, run):
    if mechanism == "CURVE" and not zmq.has("curve"):
        pytest.skip("libzmq has no CURVE")
    app, gates = start(run, f"""
        for name in {sorted(SOCKETS)!r}:
            s = ctx.socket(getattr(zmq, name))
            if "{mechanism}" == "PLAIN": s.setsockopt(zmq.PLAIN_SERVER, 1)
            if "{mechanism}" == "CURVE":
                s.setsockopt(zmq.CURVE_SERVER, 1); s.setsockopt(zmq.CURVE_SECRETKEY, zmq.curve_keypair()[1])
            s.bind("tcp://127.0.0.1:*")
            say(name, last(s))
        sys.stdin.read()
    """)
    for name, endpoint in heard(app, len(SOCKETS)):
        gates.wait_metric("weir_gate_info", 1, gate=f"tcp-{net.split_tcp(endpoint)[1]}", socket=SOCKETS[name], mechanism=mechanism)


def test_of_a_program_without_libzmq_nothing_is_known(run):
    port = free_port()
    app, gates = start(run, f"""
        s = socket.create_server(("127.0.0.1", {port}))
        say("ready")
        sys.stdin.read()
    """, options=["--port", str(port)])
    heard(app)
    gates.wait_metric("weir_gate_info", 1, gate=f"tcp-{port}", socket="auto", mechanism="")


# ---- ZMQ_MAXMSGSIZE ----

OVERSIZE = """
    s = ctx.socket(zmq.PULL); s.setsockopt(zmq.MAXMSGSIZE, 1000)
    monitor = watch(s)
    s.bind("tcp://127.0.0.1:*")
    c = ctx.socket(zmq.PUSH); c.setsockopt(zmq.RECONNECT_IVL, 50); c.connect(last(s))
    theirs = watch_client(c)
    for i in range(3): c.send_multipart([b"%d" % i, bytes(1000), bytes(1000)])
    for i in range(3): say([len(part) for part in s.recv_multipart()])
    c.send_multipart([b"first", bytes(1001), b"last"])
    say(seen(monitor, 3), seen_client(theirs, 1))
    c.send(b"again")
    say(s.recv().decode(), seen(monitor, 2))
"""


def test_a_message_over_maxmsgsize_ends_its_connection_as_without(run):
    """A frame may have so many bytes, a message of several frames more. The client is cut off, comes back, and is served."""
    text = OVERSIZE.replace("watch_client(c)", "c.get_monitor_socket(zmq.EVENT_DISCONNECTED)").replace("seen_client(theirs, 1)", "seen(theirs, 1)")
    bare = ended(start(run, text, bare=True)[0])
    assert bare == [[1, 1000, 1000]] * 3 + [[["accepted", "handshake", "disconnected"], ["disconnected"]], ["again", ["accepted", "handshake"]]]
    app, gates = start(run, text + "    sys.stdin.read()\n")
    assert heard(app, len(bare)) == bare
    gates.wait_metric("weir_verdicts_total", 1, verdict="over_maxmsgsize")
    wait_until(lambda: "announced 1001B" in app.stderr(), "the line")
    assert "over_maxmsgsize" not in app.said_itself()


def test_what_came_before_a_message_over_maxmsgsize_arrives(run):
    """In one segment with it. The client is not held to blame, however often it comes back."""
    app, gates = start(run, """
        s = ctx.socket(zmq.PULL); s.setsockopt(zmq.MAXMSGSIZE, 100)
        s.bind("tcp://127.0.0.1:*")
        say(last(s))
        while True: say(s.recv().decode())
    """)
    endpoint = heard(app)[0]
    for i in range(30):  # thrice what would get the client banned, if it were held against it
        client = zmtp.connect(endpoint, socket_type="PUSH")
        client.send_raw(b"".join(zmtp.message(b"%d-%d" % (i, n)) for n in range(3)) + zmtp.message(bytes(101)) + zmtp.message(b"never"))
        client.closed_by_peer()
        client.close()
    assert sorted(heard(app, 91)[1:]) == sorted(f"{i}-{n}" for i in range(30) for n in range(3))
    gates.wait_metric("weir_verdicts_total", 30, verdict="over_maxmsgsize")
    assert gates.metric("weir_bans_total") == 0


def test_inside_curve_the_limit_is_that_of_the_box(run):
    """libzmq compares the frame on the wire: 33 bytes more than the message."""
    if not zmq.has("curve"):
        pytest.skip("libzmq has no CURVE")
    text = """
        s, c = ctx.socket(zmq.PULL), ctx.socket(zmq.PUSH)
        public, secret = zmq.curve_keypair()
        s.setsockopt(zmq.CURVE_SERVER, 1); s.setsockopt(zmq.CURVE_SECRETKEY, secret); s.setsockopt(zmq.MAXMSGSIZE, 1000)
        monitor = watch(s)
        s.bind("tcp://127.0.0.1:*")
        c.setsockopt(zmq.CURVE_SERVERKEY, public)
        c.setsockopt(zmq.CURVE_PUBLICKEY, public); c.setsockopt(zmq.CURVE_SECRETKEY, secret)
        c.connect(last(s))
        c.send(bytes(967)); say(len(s.recv()))
        c.send(bytes(968)); say(seen(monitor, 3))
    """
    bare = ended(start(run, text, bare=True)[0])
    assert bare == [967, ["accepted", "handshake", "disconnected"]]
    app, gates = start(run, text.rstrip() + "\n        sys.stdin.read()\n")
    assert heard(app, 2) == bare
    gates.wait_metric("weir_verdicts_total", 1, verdict="over_maxmsgsize")


# ---- ZMQ_HANDSHAKE_IVL ----

def test_a_silent_client_has_handshake_ivl(run):
    app, gates = start(run, """
        s = ctx.socket(zmq.ROUTER); s.setsockopt(zmq.HANDSHAKE_IVL, 300)
        s.bind("tcp://127.0.0.1:*")
        say(last(s))
        sys.stdin.read()
    """)
    client = zmtp.raw_connect(heard(app)[0])
    client.settimeout(net.PATIENCE)
    while client.recv(100):
        pass
    gates.wait_metric("weir_verdicts_total", 1, verdict="over_handshake_ivl")
    assert gates.refused("handshake_timeout") == 0


# ---- ZMQ_ROUTER_HANDOVER ----

# What is due is waited for; what must not come, for a moment.
HANDOVER = """
    s = ctx.socket(zmq.ROUTER); s.setsockopt(zmq.ROUTER_HANDOVER, {handover})
    s.bind("tcp://127.0.0.1:*")
    clients = []
    for i in range(2):
        c = ctx.socket(zmq.DEALER); c.setsockopt(zmq.ROUTING_ID, b"one name"); c.setsockopt(zmq.LINGER, 0)
        c.connect(last(s))
        c.send(b"%d" % i)
        say([part.decode() for part in s.recv_multipart()] if s.poll(1500 if i and not {second} else 20000) else "nothing")
        clients.append(c)
    s.send_multipart([b"one name", b"to one"])
    clients[{second}].poll(20000)
    say([c.recv().decode() if c.poll(100) else "nothing" for c in clients])
"""


def test_with_router_handover_a_newcomer_takes_the_name(run):
    text = HANDOVER.format(handover=1, second=1)
    bare = ended(start(run, text, bare=True)[0])
    assert bare == [["one name", "0"], ["one name", "1"], ["nothing", "to one"]]
    assert ended(start(run, text)[0]) == bare


def test_without_it_the_first_one_keeps_the_name(run):
    text = HANDOVER.format(handover=0, second=0)
    bare = ended(start(run, text, bare=True)[0])
    assert bare == [["one name", "0"], "nothing", ["to one", "nothing"]]
    assert ended(start(run, text)[0]) == bare


def test_handover_may_be_set_and_taken_back_after_binding(run):
    """At each of two endpoints. Each newcomer gets the name while it is set."""
    text = """
        s = ctx.socket(zmq.ROUTER)
        s.bind("tcp://127.0.0.1:*"); first = last(s)
        s.bind("tcp://127.0.0.1:*"); second = last(s)
        clients = []
        def come(where, word, patience=20000):
            c = ctx.socket(zmq.DEALER); c.setsockopt(zmq.ROUTING_ID, b"one name"); c.setsockopt(zmq.LINGER, 0)
            c.connect(where)
            c.send(word)
            clients.append(c)
            say([part.decode() for part in s.recv_multipart()] if s.poll(patience) else "nothing")
        come(first, b"0")
        s.setsockopt(zmq.ROUTER_HANDOVER, 1)
        come(second, b"1")
        come(first, b"2")
        s.setsockopt(zmq.ROUTER_HANDOVER, 0)
        come(second, b"3", 1500)
    """
    bare = ended(start(run, text, bare=True)[0])
    assert bare == [["one name", "0"], ["one name", "1"], ["one name", "2"], "nothing"]
    assert ended(start(run, text)[0]) == bare


def test_the_file_may_refuse_handover(run, paths):
    file = pathlib.Path(paths.folder, "weir.yaml")
    file.write_text("gates:\n  - routing_ids: {duplicates: refuse}\n")
    app, _ = start(run, HANDOVER.format(handover=1, second=0), options=["-c", str(file)])
    assert ended(app) == [["one name", "0"], "nothing", ["to one", "nothing"]]


# ---- the file ----

def test_a_type_in_the_file_that_is_not_the_sockets_gives_way(run, paths):
    file = pathlib.Path(paths.folder, "weir.yaml")
    file.write_text("gates:\n  - socket: router\n")
    app, gates = start(run, """
        s = ctx.socket(zmq.PULL); s.bind("tcp://127.0.0.1:*")
        c = ctx.socket(zmq.PUSH); c.connect(last(s)); c.send(b"hello")
        say(s.recv().decode())
        sys.stdin.read()
    """, options=["-c", str(file)])
    assert heard(app) == ["hello"]
    wait_until(lambda: "says socket: router, but the application has bound a pull" in app.stderr(), "the warning")
    gates.wait_metric("weir_gate_info", 1, socket="pull")


# ---- where each value comes from ----

def settings_of(paths, gates, *args):
    done = subprocess.run([*program(), "ctl", "show", "settings", "--admin", gates.admin, "--token-file", paths.file("token"), *args],
                          capture_output=True, text=True, timeout=net.PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done
    return done.stdout


def test_settings_show_where_each_value_comes_from(run, paths):
    token = pathlib.Path(paths.file("token"))
    token.write_text("a-token-of-the-tests-0123456789\n")
    os.chmod(token, 0o600)
    file = pathlib.Path(paths.folder, "weir.yaml")
    file.write_text(f"admin: {{token_file: {token}}}\ngates:\n  - handshake: {{within: 200ms}}\n    message: {{frame: 64KiB, frames: 10}}\n")
    app, gates = start(run, """
        first, second = ctx.socket(zmq.ROUTER), ctx.socket(zmq.PUB)
        for option, value in ((zmq.MAXMSGSIZE, 1000), (zmq.HANDSHAKE_IVL, 300), (zmq.ROUTER_HANDOVER, 1), (zmq.RCVHWM, 77)):
            first.setsockopt(option, value)
        for s in (first, second):
            s.bind("tcp://127.0.0.1:*")
            say(last(s))
        sys.stdin.read()
    """, options=["-c", str(file)])
    first, second = (f"tcp-{net.split_tcp(endpoint)[1]}" for endpoint in heard(app, 2))
    rows = json.loads(settings_of(paths, gates, "--json"))["settings"]
    found = {(row["gate"], row["key"] or row["option"]): (row["value"], row["option"] if row["from"] == "option" else row["from"]) for row in rows}
    assert found[first, "socket"] == ("router", "ZMQ_TYPE")
    assert found[first, "message.frame"] == ("1kB", "ZMQ_MAXMSGSIZE")
    assert found[first, "message.frames"] == ("10", "file")
    assert found[first, "handshake.within"] == ("200ms", "file")
    assert found[first, "ZMQ_HANDSHAKE_IVL"] == ("300", "ZMQ_HANDSHAKE_IVL")
    assert found[first, "routing_ids.duplicates"] == ("pass", "ZMQ_ROUTER_HANDOVER")
    assert found[first, "ZMQ_RCVHWM"] == ("77", "ZMQ_RCVHWM")
    assert found[first, "message.hold"] == ("64KiB", "default")
    assert found[second, "socket"] == ("pub", "ZMQ_TYPE")
    assert found[second, "message.frame"] == ("64KiB", "file")
    assert found[second, "routing_ids.duplicates"] == ("refuse", "default")
    table = settings_of(paths, gates, "--gate", second)
    assert first not in table and "keys have their defaults" in table.splitlines()[-1]
    assert ["message.frame", "64KiB", "file"] in [line.split()[1:] for line in table.splitlines()]


@pytest.mark.parametrize("size, passes", [(1000, True), (1001, False)])
def test_explain_says_the_same_as_the_gate(size, passes, run):
    app, gates = start(run, f"""
        s = ctx.socket(zmq.PULL); s.setsockopt(zmq.MAXMSGSIZE, 1000)
        s.bind("tcp://127.0.0.1:*")
        c = ctx.socket(zmq.PUSH); c.connect(last(s))
        c.send(bytes({size}))
        say(len(s.recv()) if s.poll({20000 if passes else 1000}) else "nothing")
        sys.stdin.read()
    """)
    assert heard(app) == [size if passes else "nothing"]
    gates.wait_metric("weir_verdicts_total", 0 if passes else 1, verdict="over_maxmsgsize")
    said = subprocess.run([*program(), "explain", "--from", "203.0.113.7", "--options", "TYPE=pull,MAXMSGSIZE=1000", "--size", str(size)],
                          capture_output=True, text=True, timeout=net.PATIENCE, stdin=subprocess.DEVNULL)
    assert said.stdout.splitlines()[-1] == ("passes" if passes else "over_maxmsgsize: the connection is closed"), said


# ---- heartbeats ----

def test_a_paused_client_outlives_the_heartbeats_of_the_application(run, paths):
    """Inside CURVE Weir cannot answer PINGs for a client that it holds back. So it lets a message pass before the application gives the client up."""
    if not zmq.has("curve"):
        pytest.skip("libzmq has no CURVE")
    file = pathlib.Path(paths.folder, "weir.yaml")
    file.write_text("gates:\n  - source: {messages: {rate: 1/h, burst: 1}}\n")
    app, gates = start(run, """
        s, c = ctx.socket(zmq.PULL), ctx.socket(zmq.PUSH)
        public, secret = zmq.curve_keypair()
        s.setsockopt(zmq.CURVE_SERVER, 1); s.setsockopt(zmq.CURVE_SECRETKEY, secret)
        s.setsockopt(zmq.HEARTBEAT_IVL, 250); s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 1000)
        monitor = watch(s)
        s.bind("tcp://127.0.0.1:*")
        c.setsockopt(zmq.CURVE_SERVERKEY, public)
        c.setsockopt(zmq.CURVE_PUBLICKEY, public); c.setsockopt(zmq.CURVE_SECRETKEY, secret)
        c.connect(last(s))
        for i in range(4): c.send(b"%d" % i)
        say([s.recv().decode() for i in range(4)])
        c.send(b"the end")
        say(s.recv().decode(), seen(monitor, 2), "disconnected" if monitor.poll(0) else "connected")
    """, options=["-c", str(file)])
    assert ended(app) == [["0", "1", "2", "3"], ["the end", ["accepted", "handshake"], "connected"]]

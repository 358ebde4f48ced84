# SPDX-License-Identifier: MPL-2.0
"""`weir run`: a program under it is what it is without, but for the gate. Each program below is run both ways where the two can be compared."""
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
import zmq
from harness import net, zmtp
from harness.net import PATIENCE, wait_until
from harness.run import Ran

PROLOGUE = """
import json, os, signal, socket, subprocess, sys, threading, time
import zmq
def say(*what):
    print(json.dumps(what if len(what) != 1 else what[0]), flush=True)
def last(socket):
    return socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\\0").decode()
def named(f):
    try:
        f()
    except zmq.ZMQError as e:
        return zmq.error.strerror(e.errno)
    return "done"
ctx = zmq.Context()
ctx.max_sockets = 1000
"""


@pytest.fixture
def run(request, paths):
    """run(text) starts a Python program; run(command=[...]) any other. lines(): what it says, read as JSON."""
    started = request.node.weir_children = getattr(request.node, "weir_children", [])

    def start(text=None, command=None, **kwargs):
        command = command or [sys.executable, "-c", PROLOGUE + textwrap.dedent(text)]
        child = Ran(paths.folder, command, **kwargs)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        assert not child.sanitizer_report()


def heard(child, count=1, start=0):
    return [json.loads(line) for line in child.wait_line(lambda line: line[:1] in '["{tfn0123456789', count=count, start=start)[start:start + count]]


def ended(child, code=0):
    assert child.wait() == code, child.describe("ended otherwise")
    return [json.loads(line) for line in child.lines]


# ---- addresses ----

@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:*", "tcp://*:*", "tcp://[::1]:*", "tcp://[::]:*"])
def test_the_application_sees_its_own_addresses_and_its_clients(bind, run, peers):
    """LAST_ENDPOINT is where clients connect; Peer-Address is the client's, and the descriptor of a message tells the same."""
    app = run(f"""
        s = ctx.socket(zmq.ROUTER)
        s.setsockopt(zmq.IPV6, {int("[" in bind)})
        s.bind("{bind}")
        say(last(s))
        m = s.recv_multipart(copy=False)[-1]
        c = socket.socket(fileno=os.dup(m.get(zmq.SRCFD)))
        say(m.get("Peer-Address"), c.getpeername(), c.getsockname(), m.get("X-Weir-Peer"))
    """)
    endpoint = heard(app)[0]
    host, port = net.split_tcp(endpoint)
    assert app.gates() and net.split_tcp(app.gates()[0][0])[1] == port
    source = "127.9.8.7" if host in ("0.0.0.0", "127.0.0.1") else "::1"
    client = zmtp.connect(net.reachable(endpoint), source=source) if source == "127.9.8.7" else zmtp.connect(net.reachable(endpoint))
    client.send(b"hello")
    me, there = client.sock.getsockname(), client.sock.getpeername()
    address, peer, own, told = heard(app, 2)[1]
    assert told == net.text_of(me)
    mapped = "::ffff:" if host == "::" and me[0].count(".") else ""
    assert (address, peer[:2], own[:2]) == (mapped + me[0], [mapped + me[0], me[1]], [mapped + there[0], there[1]])
    ended(app)


def test_two_programs_that_exit_differently(run):
    assert run("sys.exit(7)").wait() == 7
    killed = run("os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.wait() == -signal.SIGKILL
    assert run(command=["/nowhere/program"]).wait() == 127
    assert run(command=["/etc/passwd"]).wait() == 126
    for child in (killed,):
        child.wait_weir()

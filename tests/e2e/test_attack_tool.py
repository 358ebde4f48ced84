# SPDX-License-Identifier: MPL-2.0
"""The flood tool keeps to this machine and to its bounds."""
import subprocess

import pytest
from attacks.scene import *
from attacks.tool import tool
from harness.net import free_port, wait_until


def run(*args):
    return subprocess.run([tool(), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("url", ["tcp://192.0.2.1:5555", "tcp://10.0.0.1:80", "tcp://128.0.0.1:80", "tcp://126.255.255.255:80", "tcp://0.0.0.0:80",
                                 "tcp://[::2]:80", "tcp://[fe80::1]:80", "tcp://[::ffff:192.0.2.1]:80", "tcp://localhost:80", "tcp://example.org:80",
                                 "tcp://127.0.0.1.example.org:80", "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536", "tcp://127.0.0.1", "udp://127.0.0.1:5",
                                 "ipc://", "192.0.2.1:80", ""])
def test_other_machines_are_refused(url):
    done = run("silent", "--to", url)
    assert done.returncode == 2 and "this very machine" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("args", [("--from", "192.0.2.1"), ("--from", "127.255.255.255", "--sources", "2"), ("--from", "126.0.0.1"), ("--seconds", "61"),
                                  ("--connections", "4097"), ("--connections", "0"), ("--opens", "100001"), ("--bytes", str(9 << 30)), ("--chunk", "0"),
                                  ("--chunk", "65537")])
def test_bounds_are_hard(args):
    done = run("silent", "--to", f"tcp://127.0.0.1:{free_port()}", *args)
    assert done.returncode == 2 and done.stdout == ""


def test_it_stops_by_itself(bare, flood):
    """By time, by bytes, and when whoever started it is gone."""
    app = bare("pull")
    assert flood("messages", app.endpoint, type="PUSH", size=10, seconds=1).wait() == 0
    by_bytes = flood("messages", app.endpoint, type="PUSH", size=10, bytes=100000)
    assert by_bytes.wait() == 0 and 100000 <= by_bytes.figures()["sent_bytes"] < 1000000
    orphan = flood("silent", app.endpoint)
    orphan.wait_figure("established", 1)
    orphan.process.stdin.close()
    assert orphan.wait() == 0


def test_it_speaks_zmtp(bare, flood):
    """An honest run of the tool is an honest client: all that it counts as sent arrives."""
    app = bare("pull")
    f = flood("messages", app.endpoint, type="PUSH", size=1000, frames=3, each=300, connections=5)
    f.wait_figure("holding", 5)
    wait_until(lambda: app.stats()["messages"] == 500, "500 messages")
    assert app.stats()["bytes"] == 5 * 300 * 1000
    assert f.stop()["units"] == 1500

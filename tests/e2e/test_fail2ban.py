# SPDX-License-Identifier: MPL-2.0
"""The shipped filter and jail with the real fail2ban, on an event log that Weir has written under attack."""
import ast
import os
import shutil
import subprocess

import pytest
import zmq
from harness import net, zmtp
from harness.events import EventLog
from harness.net import from_source, raw_connect, wait_until
from harness.proc import Child
from harness.weir import ROOT
from test_bans import NEIGHBOUR, echoes
from test_events import HOSTILE, logging, offend

pytestmark = pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="fail2ban is not installed")

FOLDER = ROOT / "dist" / "fail2ban"
ATTACKERS = ["127.9.7.1", "127.9.7.2", "127.9.7.3"]


@pytest.fixture
def log(paths):
    return EventLog(paths.file("events.jsonl"))


@pytest.fixture
def app(start_app, paths):
    return start_app("router", paths.ipc())


def attack(weir, source):
    """OFFENCES that cost strikes, and mistakes that do not, with identities that look like somebody else."""
    offend(weir, source)
    for said in (b"GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n", zmtp.greeting("PLAIN"), zmtp.greeting() + zmtp.message(b"x")):
        with raw_connect(weir.endpoint, source) as s:
            s.sendall(said)
            try:
                while s.recv(4096):
                    pass
            except OSError:
                pass
    for identity in HOSTILE:
        peer = zmtp.RawPeer(raw_connect(weir.endpoint, source), identity=identity)
        try:
            peer.handshake()
        except (zmtp.Closed, OSError):
            pass
        peer.close()
    offend(weir, source)


OFFENCES = 4


def work(weir, peers):
    """An honest client that is served, and also leaves in the middle of a handshake."""
    client = peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint))
    for _ in range(100):
        assert echoes(client)
    raw_connect(weir.endpoint, NEIGHBOUR).close()
    client.close()


def matches(path, mode):
    """The addresses that fail2ban takes from the log, in order."""
    done = subprocess.run(["fail2ban-regex", "-o", "row", path, f"{FOLDER}/filter.d/weir.conf[mode={mode}]"],
                          capture_output=True, text=True, timeout=net.PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return [ast.literal_eval(line.rstrip(","))[0] for line in done.stdout.splitlines() if line.startswith("[")]


def test_every_offence_with_its_address_and_nothing_else(app, log, start_weir, peers):
    weir = start_weir(config=logging(log, app.endpoint, ban={"strikes": 0}, events={"source_burst": 1000, "burst": 1000}))
    work(weir, peers)
    for source in ATTACKERS:
        attack(weir, source)
    work(weir, peers)
    offend(weir, NEIGHBOUR)  # somebody else behind the address of an honest client
    wait_until(lambda: len(log.all("offence")) == 3 * OFFENCES + 1, "all offences")
    log.wait("closed", source=NEIGHBOUR)
    assert [e["standing"] for e in log.all("offence", source=NEIGHBOUR)] == ["good"]
    weir.stop()
    assert matches(log.path, "offences") == [source for source in ATTACKERS for _ in range(OFFENCES)]
    assert matches(log.path, "bans") == []


def test_every_ban(app, log, start_weir, peers):
    weir = start_weir(config=logging(log, app.endpoint, ban={"action": "close"}))
    for source in ATTACKERS:
        attack(weir, source)
    work(weir, peers)
    wait_until(lambda: len(log.all("ban")) == 3, "all bans")
    weir.stop()
    assert matches(log.path, "bans") == ATTACKERS


ACTION = """[Definition]
actionban = echo "ban <ip>" >> <told>
actionunban = echo "unban <ip>" >> <told>
[Init]
told = {told}
"""


@pytest.fixture
def fail2ban(request, paths, log):
    """A fail2ban-server in a folder of its own, with the shipped jail, whose action writes a file in place of a firewall."""
    folder, told = paths.file("fail2ban"), paths.file("told")
    for part in ("filter.d", "jail.d", "action.d", "fail2ban.d"):
        os.makedirs(f"{folder}/{part}")
    for name in ("filter.d/weir.conf", "jail.d/weir.conf"):
        text = (FOLDER / name).read_text().replace("/var/log/weir/events.jsonl", log.path).replace("%(banaction_allports)s", "dummy")
        with open(f"{folder}/{name}", "w") as f:
            f.write(text.replace("backend = auto", "backend = polling"))
    files = {"jail.conf": "[DEFAULT]\naction = %(banaction)s\n", "action.d/dummy.conf": ACTION.format(told=told),
             "fail2ban.conf": "[Definition]\nloglevel = INFO\nlogtarget = stdout\nsyslogsocket = auto\n"
                              f"socket = {folder}/socket\npidfile = {folder}/pid\ndbfile = None\ndbmaxmatches = 10\ndbpurgeage = 1d\n[Thread]\n"}
    for name, text in files.items():
        with open(f"{folder}/{name}", "w") as f:
            f.write(text)
    started = []

    def start():
        open(log.path, "a").close()
        server = Child(["fail2ban-server", "-f", "-c", folder, "-s", f"{folder}/socket", "-p", f"{folder}/pid", "start"], folder, "fail2ban")
        request.node.weir_children.append(server)
        started.append(server)
        server.wait_line(lambda line: "Jail 'weir' started" in line)
        return server

    def lines():
        if not os.path.exists(told):
            return []
        with open(told) as f:
            return f.read().splitlines()

    start.lines = lines
    yield start
    for server in started:
        server.kill()


def test_a_real_server_bans_the_right_ones(app, log, start_weir, peers, fail2ban):
    weir = start_weir(config=logging(log, app.endpoint, ban={"action": "close"}))
    fail2ban()
    work(weir, peers)
    for source in ATTACKERS:
        attack(weir, source)
    work(weir, peers)
    wait_until(lambda: len(fail2ban.lines()) >= 3, "the bans", limit=2 * net.PATIENCE)
    assert sorted(fail2ban.lines()) == [f"ban {source}" for source in ATTACKERS]

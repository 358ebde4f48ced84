# SPDX-License-Identifier: MPL-2.0
"""The event log: attackers are in it with their address, honest clients are not, and nothing that a peer says breaks a line."""
import os
import re
import signal
import subprocess

import pytest
import zmq
from harness import net, zmtp
from harness.events import EventLog
from harness.net import from_source, raw_connect, wait_until
from harness.weir import ROOT
from test_bans import NEIGHBOUR, OFFENDER, RESERVED_FLAGS, ban_by_protocol, config, echoes

ATTACKER = OFFENDER


@pytest.fixture
def log(paths):
    return EventLog(paths.file("events.jsonl"))


@pytest.fixture
def app(start_app, paths):
    return start_app("router", paths.ipc())


def logging(log, forward, *, events=None, top=None, **keys):
    return config(forward, top={"events": {"file": log.path, **(events or {})}, **(top or {})}, **keys)


def offend(weir, source=ATTACKER):
    """Breaks the protocol once, and is closed or kept for it; returns the port that it came from."""
    before = weir.metric("weir_verdicts_total", verdict="reserved_flags")
    peer = zmtp.RawPeer(raw_connect(weir.endpoint, source)).handshake()
    port = peer.sock.getsockname()[1]
    peer.send_raw(RESERVED_FLAGS)
    weir.wait_metric("weir_verdicts_total", before + 1, verdict="reserved_flags")
    peer.close()
    return port


def test_from_offence_to_the_end_of_the_ban(app, log, start_weir):
    weir = start_weir(config=logging(log, app.endpoint, ban={"for": "1s", "max": "1s"}))
    ports = [offend(weir), offend(weir)]
    ban_by_protocol(weir)
    first = log.wait("offence")[0]
    assert list(first) == ["time", "event", "gate", "source", "port", "standing", "verdict", "strikes", "of", "done"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (first["gate"], first["source"], first["verdict"]) == ("main", ATTACKER, "reserved_flags")
    assert (first["strikes"], first["of"], first["done"], first["standing"]) == (5, 10, "closed", "none")
    assert [e["port"] for e in log.all("offence")][:2] == ports
    warning = log.wait("warning")[0]
    assert (warning["source"], warning["done"]) == (ATTACKER, "warned")
    ban = log.wait("ban")[0]
    assert (ban["source"], ban["network"], ban["reason"], ban["level"], ban["seconds"]) == (ATTACKER, ATTACKER, "protocol", 1, 1)
    assert ban["verdict"] == "reserved_flags" and ban["done"] == "banned"
    s = raw_connect(weir.endpoint, ATTACKER)
    ended = log.wait("ban_ended")[0]
    assert (ended["network"], ended["reason"], ended["done"]) == (ATTACKER, "protocol", "ended")
    s.close()
    kinds = [e["event"] for e in log.all()]
    assert kinds[0] == "start" and kinds.index("offence") < kinds.index("warning") < kinds.index("ban") < kinds.index("ban_ended")


def test_the_banned_are_told_as_refused(app, log, start_weir):
    weir = start_weir(config=logging(log, app.endpoint))
    ban_by_protocol(weir)
    s = raw_connect(weir.endpoint, ATTACKER)
    refused = log.wait("refused", verdict="banned", done="tarpitted")
    assert s.getsockname()[1] in [e["port"] for e in refused]
    s.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_busy_healthy_system_is_not_in_it(workers, app, log, start_weir, peers):
    """Clients of several kinds come, work hard, are paused by a rate, leave and come again."""
    weir = start_weir(config={**logging(log, app.endpoint, source={"messages": {"rate": "200/s", "burst": 5}}), "workers": workers})
    for n in range(3):
        clients = [peers.client(zmq.DEALER if i % 2 else zmq.REQ, from_source(f"127.9.9.{1 + i % 5}", weir.endpoint),
                                HEARTBEAT_IVL=100, HEARTBEAT_TIMEOUT=5000, ROUTING_ID=b"client-%d" % i) for i in range(30)]
        for _ in range(20):
            for client in clients:
                client.send(b"x" * 3000)
            for client in clients:
                assert client.recv() == b"x" * 3000
        for client in clients:
            client.close()
        weir.wait_metric("weir_connections", lambda count: count == 0)
    assert weir.metric("weir_pauses_total") > 0
    weir.stop()
    assert [e["event"] for e in log.all()] == ["start", "stop"]


HOSTILE = [
    b'\0","source":"203.0.113.1","port":1,"x":"',
    b'\0"}\n{"time":"2026-11-25T16:53:47.123Z","event":"ban","gate":"main","source":"203.0.113.1","port":1,"x":"',
    b'\0\\","source":"203.0.113.1',
    b"\0\r\n\x1b[2J\x7f\x80\xff\xe2\x80\xa8 203.0.113.1 <HOST>",
    bytes(range(256))[:255],
]


@pytest.mark.parametrize("identity", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_identities(identity, app, log, start_weir):
    """Routing ids that are too long are an offence, and are told as they are, as far as there is room."""
    identity = identity.ljust(256, b"x")
    weir = start_weir(config=logging(log, app.endpoint))
    peer = zmtp.RawPeer(raw_connect(weir.endpoint, ATTACKER), identity=identity)
    with pytest.raises((zmtp.Closed, OSError)):
        peer.handshake().read(1)  # the first client of all has the application's READY before its own was read
    peer.close()
    told = log.wait("offence", verdict="bad_routing_id")[0]
    assert told["source"] == ATTACKER
    assert told["identity"].encode("latin-1") == identity[:255]
    assert len(log.all("offence")) == 1 and not log.all("ban")
    assert b'"source":"203.0.113.1"' not in log.text()


def test_what_is_left_out_is_counted(app, log, start_weir):
    """Sixty offences of one source: some lines, and a number; another source is not hidden by it."""
    weir = start_weir(config=logging(log, app.endpoint, events={"source_rate": "1/m", "source_burst": 4}, ban={"strikes": 0}))
    for _ in range(60):
        offend(weir)
    offend(weir, NEIGHBOUR)
    lines = log.wait("offence", source=NEIGHBOUR)
    assert lines[0]["suppressed"] == 55
    assert len(log.all("offence", source=ATTACKER)) == 5
    for _ in range(7):
        offend(weir)
    # nobody comes any more: told by itself
    alone = log.wait("suppressed", of_event="offence", verdict="reserved_flags")
    assert sum(e["suppressed"] for e in alone) == 7
    assert weir.metric("weir_events_total", result="suppressed") == 62
    weir.wait_metric("weir_events_total", len(log.all()), result="written")


def test_all_sources_together_are_limited(app, log, start_weir):
    """And bans are not."""
    weir = start_weir(config=logging(log, app.endpoint, events={"rate": "1/m", "burst": 9}, ban={"strikes": 5}))
    for n in range(1, 31):
        offend(weir, f"127.9.8.{n}")
    assert len(log.wait("ban", 30)) == 30
    assert len(log.all("offence")) == 10


# ---- the file ----

def test_moved_away(app, log, start_weir):
    weir = start_weir(config=logging(log, app.endpoint, ban={"strikes": 0}))
    offend(weir)
    log.wait("offence")
    os.rename(log.path, log.path + ".1")
    wait_until(lambda: os.path.exists(log.path), "a new file")
    offend(weir, NEIGHBOUR)
    log.wait("offence", source=NEIGHBOUR)
    assert not log.all("offence", source=ATTACKER)
    assert [e["event"] for e in EventLog(log.path + ".1").all()] == ["start", "offence"]


def test_logrotate(app, log, paths, start_weir):
    """The example that is installed, with the real logrotate."""
    weir = start_weir(config=logging(log, app.endpoint, ban={"strikes": 0}))
    offend(weir)
    log.wait("offence")
    conf = paths.file("logrotate.conf")
    with open(conf, "w") as f:
        f.write((ROOT / "dist" / "logrotate" / "weir").read_text().replace("/var/log/weir/events.jsonl", log.path))
    os.chmod(os.path.dirname(log.path), 0o755)
    done = subprocess.run(["logrotate", "-f", "-s", paths.file("rotated"), conf], capture_output=True, text=True, timeout=net.PATIENCE)
    assert done.returncode == 0, done.stderr
    assert [e["event"] for e in EventLog(log.path + ".1").all()] == ["start", "offence"]
    wait_until(lambda: os.path.exists(log.path), "a new file")
    offend(weir, NEIGHBOUR)
    log.wait("offence", source=NEIGHBOUR)


def test_a_reload_opens_it_anew_and_is_told(app, log, start_weir):
    weir = start_weir(config=logging(log, app.endpoint))
    log.wait("start")
    os.rename(log.path, log.path + ".1")
    weir.signal(signal.SIGHUP)
    assert log.wait("reloaded")[0]["detail"] == "nothing changed"
    path = weir.command[weir.command.index("-c") + 1]
    with open(path, "a") as f:
        f.write("nonsense: true\n")
    weir.signal(signal.SIGHUP)
    assert 'unknown key in the file: "nonsense"' in log.wait("reload_refused")[0]["detail"]


def test_a_full_disk_holds_up_nobody(app, log, start_weir, peers):
    log.path = "/dev/full"
    weir = start_weir(config=logging(log, app.endpoint, ban={"strikes": 0}))
    client = peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint))
    for _ in range(20):
        offend(weir)
        assert echoes(client)
    weir.wait_metric("weir_events_total", 21, result="failed")
    assert weir.metric("weir_events_total", result="written") == 0
    wait_until(lambda: "event log /dev/full" in weir.stderr(), "the line that says so")
    assert weir.says("event log /dev/full cannot be written: No space left on device")


def test_a_folder_that_comes_later(app, log, paths, start_weir):
    log.path = paths.file("later/events.jsonl")
    weir = start_weir(config=logging(log, app.endpoint, ban={"strikes": 0}))
    wait_until(lambda: "cannot be written: No such file or directory" in weir.stderr(), "the line that says so")
    os.mkdir(paths.file("later"))
    wait_until(lambda: os.path.exists(log.path), "the file")
    offend(weir)
    log.wait("offence")
    wait_until(lambda: "is written again" in weir.stderr(), "the line that says so")


def test_the_breaker(app, log, start_weir, start_app, peers):
    weir = start_weir(config=logging(log, app.endpoint, socket="router", breaker={"failures": 3}))
    client = peers.client(zmq.DEALER, weir.endpoint, RECONNECT_IVL=50, RECONNECT_IVL_MAX=200)
    assert echoes(client)
    app.kill()
    opened = log.wait("breaker_opened")[0]
    assert opened["gate"] == "main" and opened["seconds"] >= 1 and "cannot be reached" in opened["detail"]
    start_app("router", app.endpoint)
    log.wait("breaker_closed")


def test_a_user_on_ipc(app, log, paths, start_weir):
    keys = logging(log, app.endpoint)
    keys["gates"][0]["listen"] = paths.ipc()
    weir = start_weir(config=keys)
    peer = zmtp.RawPeer(raw_connect(weir.endpoint)).handshake()
    peer.send_raw(RESERVED_FLAGS)
    assert peer.closed_by_peer()
    peer.close()
    told = log.wait("offence")[0]
    assert told["source"] == f"uid:{os.getuid()}" and "port" not in told

# SPDX-License-Identifier: MPL-2.0
"""Ban lists from files: who stands there does not come in, a reload adds and lifts, and a wrong file is refused with its place."""
import re
import signal
import subprocess

import pytest
import zmq
from harness import net
from harness.events import EventLog
from harness.net import from_source, raw_connect, wait_until
from harness.weir import program
from test_bans import NEIGHBOUR, OFFENDER, banned, config, echoes


@pytest.fixture
def app(start_app, paths):
    return start_app("rep", paths.ipc())


@pytest.fixture
def listed(paths):
    """listed(text): writes the list; listed.path is where it is."""
    def write(text):
        with open(write.path, "w") as f:
            f.write(text)
    write.path = paths.file("drop.txt")
    return write


def with_list(listed, forward, *, top=None, **keys):
    return config(forward, top={"ban": {"lists": [listed.path]}, **(top or {})}, **keys)


def reload(weir, result="done"):
    before, logged = weir.metric("weir_reloads_total", result=result), len(weir.stderr())
    weir.signal(signal.SIGHUP)
    weir.wait_metric("weir_reloads_total", before + 1, result=result)
    wait_until(lambda: re.search(r"reloaded .*\n|refused: .*\n", weir.stderr()[logged:]), "the line that says what came of it")
    return weir.stderr()[logged:]


def is_kept_out(weir, source):
    """Banned: in the tarpit nothing is said, and with ban.action close it is closed at once."""
    before = weir.metric("weir_verdicts_total", verdict="banned")
    s = raw_connect(weir.endpoint, source)
    weir.wait_metric("weir_verdicts_total", before + 1, verdict="banned")
    s.close()
    return True


SPAMHAUS = "; Spamhaus DROP List 2026/11/25\n127.9.9.1/32 ; SBL256894\n203.0.113.0/24 ; SBL434604\n"


def test_a_listed_source_does_not_come_in(app, listed, start_weir, peers):
    listed(SPAMHAUS)
    weir = start_weir(config={**with_list(listed, app.endpoint), "workers": 2})
    assert weir.metric("weir_bans_total", reason="list") == banned(weir) == 2
    assert is_kept_out(weir, OFFENDER)
    neighbour = peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint))
    for i in range(100):
        assert echoes(neighbour, b"%d" % i)
    wait_until(lambda: "ban.lists: 2 networks in 1 file: 2 banned now, 0 lifted" in weir.stderr(), "the line that says so")


def test_a_reload_adds_and_lifts(app, listed, start_weir, peers, paths):
    log = EventLog(paths.file("events.jsonl"))
    listed("# nobody yet\n")
    weir = start_weir(config=with_list(listed, app.endpoint, top={"events": {"file": log.path}}, ban={"action": "close"}))
    client = peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint), RECONNECT_IVL=50)
    neighbour = peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint))
    watch, neighbours = peers.monitor(client), peers.monitor(neighbour)
    assert echoes(client) and echoes(neighbour)
    listed("127.9.9.0/31\n")
    assert re.search(r"ban.lists: 1 network in 1 file: 1 banned now, 0 lifted\n(.*\n)*.*: no key changed\n", reload(weir))  # the closed client may have a line between
    wait_until(lambda: watch.count("DISCONNECTED") >= 1, "the client to be closed")
    assert is_kept_out(weir, OFFENDER)
    assert echoes(neighbour)
    logged = reload(weir)
    assert "banned now" not in logged and "nothing changed" in logged
    listed("127.9.9.77\n")
    assert "1 banned now, 1 lifted" in reload(weir)
    assert echoes(client) and echoes(neighbour)  # it has come back by itself
    assert neighbours.count("DISCONNECTED") == 0
    assert [e["detail"] for e in log.wait("ban_lists", 2)] == ["1 network in 1 file: 1 banned now, 0 lifted",
                                                               "1 network in 1 file: 1 banned now, 1 lifted"]
    assert not log.all("ban") and not log.all("ban_lifted")


def test_exempt_networks_win(app, listed, start_weir, peers):
    listed("127.0.0.0/8\n")
    weir = start_weir(config=with_list(listed, app.endpoint, ban={"exempt": [NEIGHBOUR]}))
    assert is_kept_out(weir, OFFENDER)
    assert echoes(peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint)))


WRONG = [("192.0.2.1\n  evil.example # x\n", '2:3: not in a ban list: "evil.example"'),
         ("127.9.9.1/24\n", '1:1: not in a ban list: "127.9.9.1/24" (bits are set behind the prefix)'),
         ("0.0.0.0/0\n", '1:1: not in a ban list: "0.0.0.0/0" (that would ban everybody)'),
         ("8.0.0.0/7\n", '1:1: not in a ban list: "8.0.0.0/7" (that would ban a large part of the world: allowed are /8'),
         ("192.0.2.1\n2000::/3\n", '2:1: not in a ban list: "2000::/3" (that would ban a large part of the world'),
         ("\n".join(f"{i}.0.0.0/8" for i in range(256)), " with this file ban.lists bans every address that a client can have"),
         ("127.9.9.1 127.9.9.2\n", '1:11: not in a ban list: "127.9.9.2"')]


@pytest.mark.parametrize("text, said", WRONG, ids=range(len(WRONG)))
def test_a_wrong_list(text, said, app, listed, start_weir, peers):
    """At the start: refused. At a reload: refused whole, and the old list stays in force."""
    listed("127.9.9.1\n")
    weir = start_weir(config=with_list(listed, app.endpoint))
    listed(text)
    logged = reload(weir, "refused")
    assert f"{listed.path}:{said}" in logged and "the configuration in force stays" in logged
    assert banned(weir) == 1 and is_kept_out(weir, OFFENDER)
    assert echoes(peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint)))
    path = weir.command[weir.command.index("-c") + 1]
    for command in ("check", "serve"):
        done = subprocess.run([*program(), command, *(["-c"] if command == "serve" else []), path],
                              capture_output=True, text=True, timeout=net.PATIENCE)
        assert done.returncode == 1 and f"{listed.path}:{said}" in done.stdout + done.stderr


def test_a_list_that_is_not_there(app, listed, start_weir):
    listed("127.9.9.1\n")
    weir = start_weir(config=with_list(listed, app.endpoint))
    subprocess.run(["rm", listed.path], check=True)
    assert f"{listed.path}: cannot be read: No such file or directory" in reload(weir, "refused")
    assert banned(weir) == 1


def test_fifty_thousand(app, listed, start_weir, peers):
    """As many as there may be, and one more; a client is served all the while."""
    networks = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(50000)]
    listed("127.9.9.1\n")
    weir = start_weir(config={**with_list(listed, app.endpoint), "workers": 2})
    client = peers.client(zmq.REQ, from_source(NEIGHBOUR, weir.endpoint))
    assert echoes(client)
    listed("\n".join(networks[:49999] + [OFFENDER]) + "\n")
    reload(weir)
    assert echoes(client)
    assert banned(weir) == 50000 and is_kept_out(weir, OFFENDER)
    assert weir.metric("weir_bans_refused_total") == weir.metric("weir_bans_replaced_total") == 0
    listed("\n".join(networks + [OFFENDER]) + "\n")
    assert "too many networks: number 50001, allowed 50000" in reload(weir, "refused")
    listed("")
    reload(weir)
    assert banned(weir) == 0
    assert echoes(client)
    assert echoes(peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint)))


def test_a_list_is_not_in_the_state_file(app, listed, paths, start_weir, peers):
    listed("127.9.9.1\n")
    state = {"state": {"file": paths.file("state")}}
    weir = start_weir(config=with_list(listed, app.endpoint, top=state))
    assert banned(weir) == 1
    weir.stop()
    listed("")
    weir = start_weir(config=with_list(listed, app.endpoint, top=state))
    assert banned(weir) == weir.metric("weir_bans_remembered") == 0
    assert echoes(peers.client(zmq.REQ, from_source(OFFENDER, weir.endpoint)))

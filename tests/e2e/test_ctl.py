# SPDX-License-Identifier: MPL-2.0
"""weir ctl and the JSON API behind it, with real libzmq clients: what it says is so, what it does is done, and nobody else notices."""
import calendar
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest
import zmq
from harness import net, zmtp
from harness.net import from_source, raw_connect, wait_until
from harness.weir import program
from test_bans import ban_by_protocol

TOKEN = "a-token-of-the-tests-0123456789"
ISO = "%Y-%m-%dT%H:%M:%SZ"
BOB, EVE = "127.7.7.1", "127.7.7.2"  # of one /24


class Setting:
    """A gate in front of an echoing application, an admin port, a token, and `weir ctl`."""

    def __init__(self, paths, start_app, start_weir, kind="rep"):
        self.paths, self.start_weir = paths, start_weir
        self.app = start_app(kind, paths.ipc())
        self.token_file = self.write("token", TOKEN + "\n", 0o600)
        self.admin = f"127.0.0.1:{net.free_port()}"
        self.path = paths.file("weir.yaml")
        self.weir = None

    def write(self, name, text, mode=0o644):
        path = self.paths.file(name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def config(self, *, top=None, admin=None, **gate):
        gate = {"name": "main", "listen": "tcp://127.0.0.1:*", "forward": self.app.endpoint, **gate}
        admin = {"listen": self.admin, "token_file": self.token_file} if admin is None else admin
        text = json.dumps({"admin": admin, "workers": 2, **(top or {}), "gates": [gate]}, indent=1)  # YAML as well
        return self.write("weir.yaml", text)

    def start(self, **keys):
        self.config(**keys)
        self.weir = self.start_weir(args=("-c", self.path), admin=False)
        self.weir.admin = self.admin
        self.weir.get("/version")
        return self.weir

    def ctl(self, *args, code=0, env=None, token=True):
        command = [*program(), "ctl", *args, "--admin", self.admin, *(["--token-file", self.token_file] if token else [])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=net.PATIENCE, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(env or {})})
        assert done.returncode == code, done
        return done

    def show(self, what, *args):
        return json.loads(self.ctl("show", what, "--json", *args).stdout)[what]

    def call(self, method, path, body=None, token=TOKEN, headers=None):
        """(status, document, headers) of a request of our own."""
        c = http.client.HTTPConnection(*self.admin.rsplit(":", 1), timeout=net.PATIENCE)
        try:
            c.request(method, path, body, {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})})
            answer = c.getresponse()
            return answer.status, json.loads(answer.read()), dict(answer.getheaders())
        finally:
            c.close()


@pytest.fixture
def setting(paths, start_app, start_weir):
    return Setting(paths, start_app, start_weir)


def echoes(client, body=b"hello"):
    client.send(body)
    return client.recv() == body


# ---- bans ----

def test_a_ban_and_its_end(setting, peers):
    """A live client is cut off and cannot come in again; its neighbour stays; unbanned, it is served again by itself."""
    weir = setting.start(ban={"action": "close"})
    bob, eve = (peers.client(zmq.REQ, from_source(a, weir.endpoint), RECONNECT_IVL=50, REQ_RELAXED=1, REQ_CORRELATE=1) for a in (BOB, EVE))
    bob_sees, eve_sees = peers.monitor(bob), peers.monitor(eve)
    assert echoes(bob) and echoes(eve)
    said = setting.ctl("ban", EVE, "--for", "10m").stdout
    assert re.fullmatch(rf"{EVE} is banned until \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", said)
    eve_sees.wait("DISCONNECTED")
    weir.wait_metric("weir_verdicts_total", 3, verdict="banned")
    eve.send(b"let me in")
    assert not eve.poll(200)
    assert all(echoes(bob, b"%d" % n) for n in range(20))
    (ban,) = setting.show("bans")
    assert (ban["network"], ban["reason"], ban["banned"], ban["forever"]) == (EVE, "operator", True, False)
    assert 500 < ban["seconds_left"] <= 600
    assert setting.ctl("unban", EVE).stdout == f"{EVE} is not banned any more\n"
    assert setting.show("bans") == [] and setting.ctl("show", "bans").stdout == "(none)\n"
    assert eve.recv() == b"let me in"
    assert bob_sees.count("DISCONNECTED") == 0
    assert weir.metric("weir_bans_total", reason="operator") == 1
    wait_until(lambda: f"admin: {EVE}: banned for 10m (asked by 127.0.0.1:" in weir.stderr(), "the line that says who did it")


def test_a_ban_for_ever_of_a_network(setting, peers):
    weir = setting.start(ban={"action": "close"})
    bob = peers.client(zmq.REQ, from_source(BOB, weir.endpoint))
    assert echoes(bob)
    watch = peers.monitor(bob)
    assert setting.ctl("ban", "127.7.0.0/16", "--for", "forever").stdout == "127.7.0.0/16 is banned for ever\n"
    watch.wait("DISCONNECTED")
    assert setting.ctl("ban", "2001:db8::/48").stdout.startswith("2001:db8::/48 is banned until ")  # an hour, by default
    text = setting.ctl("show", "bans").stdout
    assert re.search(r"^NETWORK +REASON +LEVEL +LEFT +UNTIL +SINCE$", text, re.M)
    assert re.search(r"^127\.7\.0\.0/16 +operator +0 +for ever +- ", text, re.M)
    assert re.search(r"^2001:db8::/48 +operator +0 +(59m\d\ds|1h00m) ", text, re.M)
    wrong = setting.ctl("unban", BOB, code=1)
    assert f"{BOB} is banned as a part of 127.7.0.0/16: lift that" in wrong.stderr and wrong.stdout == ""
    assert "198.51.100.1 is not banned" in setting.ctl("unban", "198.51.100.1", code=1).stderr
    setting.ctl("unban", "127.7.0.0/16")
    assert echoes(peers.client(zmq.REQ, from_source(BOB, weir.endpoint)))


def test_a_ban_that_is_over_is_history(setting):
    weir = setting.start(ban={"for": "1s", "max": "1h", "warm_up": "0s"})
    ban_by_protocol(weir, EVE)
    wait_until(lambda: setting.show("bans") == [], "the end of the ban")
    (ban,) = setting.show("bans", "--history")
    assert (ban["network"], ban["reason"], ban["level"], ban["banned"], ban["until"]) == (EVE, "protocol", 1, False, None)
    assert re.search(rf"^{re.escape(EVE)} +protocol +1 +over +- ", setting.ctl("show", "bans", "--history").stdout, re.M)
    assert setting.ctl("unban", EVE, code=1).stderr  # not banned


def test_hundreds_of_bans_are_shown_page_by_page(setting):
    setting.start()
    for n in range(1200):
        assert setting.call("PUT", "/v1/bans", json.dumps({"network": f"10.0.{n // 250}.{n % 250}"}))[0] == 200
    assert len({ban["network"] for ban in setting.show("bans")}) == 1200
    assert len(setting.show("bans", "--limit", "9")) == 9
    status, page, _ = setting.call("GET", "/v1/bans?limit=16")
    assert status == 200 and 0 < len(page["bans"]) <= 16 and page["next"] > 0
    assert len(setting.ctl("show", "bans").stdout.splitlines()) == 1201


def test_who_must_not_be_banned(paths, start_app, start_weir, peers):
    """Everybody, an application, the admin address, oneself, and those who are exempt at every gate: 409, with the reason."""
    setting = Setting(paths, start_app, start_weir)
    far = start_app("rep", net.tcp("127.5.5.5"))
    setting.app = far
    setting.start(ban={"exempt": ["198.51.100.0/24"]})
    for network, reason in (("0.0.0.0/0", "everybody"), ("127.5.5.5", "the application of gate main answers at tcp://127.5.5.5"),
                            ("127.5.0.0/16", "the application of gate main answers"), ("127.0.0.1", "the admin address"),
                            ("0.0.0.0/1", "a large part of the world"), ("10.0.0.0/7", "allowed are /8 and narrower, of IPv6 /16"),
                            ("2000::/3", "a large part of the world"), ("::/1", "a large part of the world"),
                            ("198.51.100.7", "exempt at every gate"), ("198.51.100.0/25", "ban.exempt")):
        done = setting.ctl("ban", network, code=1)
        assert reason in done.stderr and "(409 of " in done.stderr
    assert setting.show("bans") == []
    assert setting.weir.metric("weir_bans_total") == 0
    setting.ctl("ban", "198.51.0.0/16")  # holds others too


def test_bans_that_together_leave_nobody(setting):
    """Each of them is narrow enough: the one that would be the last is refused."""
    setting.start()
    wide = [i for i in range(1, 224) if i != 127]
    for i in wide[:-1]:
        assert setting.call("PUT", "/v1/bans", json.dumps({"network": f"{i}.0.0.0/8"}))[0] == 200
    done = setting.ctl("ban", f"{wide[-1]}.0.0.0/8", code=1)
    assert "nobody of its kind of address could come in" in done.stderr and "(409 of " in done.stderr
    setting.ctl("ban", f"{wide[-1]}.0.0.0/9")
    assert "nobody" in setting.ctl("ban", f"{wide[-1]}.128.0.0/9", code=1).stderr
    setting.ctl("unban", "10.0.0.0/8")
    setting.ctl("ban", f"{wide[-1]}.128.0.0/9")


def test_a_ban_keeps_its_time_over_a_restart(paths, start_app, start_weir):
    """`show bans` says since when somebody is banned, and not since when Weir runs."""
    setting = Setting(paths, start_app, start_weir)
    state = {"state": {"file": paths.file("state")}}
    weir = setting.start(top=state)
    setting.ctl("ban", EVE, "--for", "10m")
    since = setting.show("bans")[0]["since"]
    wait_until(lambda: time.time() > calendar.timegm(time.strptime(since, ISO)) + 2, "two seconds")
    weir.stop()
    setting.start(top=state)
    again = calendar.timegm(time.strptime(setting.show("bans")[0]["since"], ISO))
    assert abs(again - calendar.timegm(time.strptime(since, ISO))) <= 1


# ---- kicking ----

def test_a_kick_closes_one_source_and_no_other(setting, peers):
    weir = setting.start()
    bobs = [peers.client(zmq.REQ, from_source(BOB, weir.endpoint)) for _ in range(10)]
    eves = [peers.client(zmq.REQ, from_source(EVE, weir.endpoint)) for _ in range(10)]
    assert all(echoes(c) for c in bobs + eves)
    watches = [peers.monitor(c) for c in bobs + eves]
    assert setting.ctl("kick", EVE).stdout == "10 connections closed\n"
    for watch in watches[10:]:
        watch.wait("DISCONNECTED")
    assert weir.metric("weir_verdicts_total", verdict="kicked") == 10
    assert all(echoes(c) for c in bobs)
    assert all(watch.count("DISCONNECTED") == 0 for watch in watches[:10])
    assert weir.metric("weir_bans") == weir.metric("weir_strikes_total") == 0
    assert all(echoes(c) for c in eves)  # back by themselves
    assert "there is no such connection" in setting.ctl("kick", "198.51.100.1", code=1).stderr


def test_a_kick_of_one_connection(setting, peers):
    weir = setting.start()
    clients = [peers.client(zmq.REQ, from_source(EVE, weir.endpoint)) for _ in range(5)]
    for n, client in enumerate(clients):
        assert all(echoes(client) for _ in range(n + 1))
    busiest = setting.show("connections", "--limit", "8")[0]
    assert busiest["traffic"]["messages_in"] == 5
    watches = [peers.monitor(c) for c in clients]
    assert setting.ctl("kick", str(busiest["id"]), "--gate", "main").stdout == "1 connection closed\n"
    watches[4].wait("DISCONNECTED")
    assert [w.count("DISCONNECTED") for w in watches[:4]] == [0] * 4
    assert "there is no such connection" in setting.ctl("kick", str(busiest["id"]), code=1).stderr
    assert 'there is no gate "other"' in setting.ctl("kick", EVE, "--gate", "other", code=1).stderr


# ---- lists ----

def test_connections_are_told_as_they_are(setting, peers):
    weir = setting.start()
    bob = peers.client(zmq.REQ, from_source(BOB, weir.endpoint))
    for n in range(7):
        assert echoes(bob, b"x" * 100)
    half = raw_connect(weir.endpoint, EVE)
    half.sendall(zmtp.greeting()[:10])
    weir.wait_metric("weir_connections", 2)
    first, second = setting.show("connections")
    assert first["peer"].startswith(BOB + ":") and second["peer"].startswith(EVE + ":")
    assert (first["gate"], first["state"], first["socket"], first["paused"], first["blocked"]) == ("main", "open", "req", False, False)
    assert (second["state"], second["socket"]) == ("handshake", None)
    assert first["traffic"]["messages_in"] == first["traffic"]["messages_out"] == 7
    assert 700 < first["traffic"]["bytes_in"] < 1000 and 700 < first["traffic"]["bytes_out"] < 1000
    assert 0 <= first["idle_seconds"] <= first["age_seconds"] < net.PATIENCE
    assert [c["id"] for c in setting.show("connections", "--network", "127.7.7.0/31")] == [first["id"]]
    assert setting.show("connections", "--network", "198.51.100.0/24", "--gate", "main") == []
    text = setting.ctl("show", "connections").stdout
    assert re.search(rf"^ *{first['id']}  main  {BOB}:\d+ +open +req +\d+s +\d+s +7 +7 +\d+ B +\d+ B  -$", text, re.M)
    assert re.search(rf"^ *{second['id']}  main  {EVE}:\d+ +handshake +- ", text, re.M)
    half.close()


def test_who_waits_is_told_to_be_paused(paths, start_app, start_weir, peers):
    setting = Setting(paths, start_app, start_weir, kind="pull")
    weir = setting.start(source={"messages": {"rate": "1/m", "burst": 1}})
    client = peers.client(zmq.PUSH, from_source(EVE, weir.endpoint))
    for _ in range(10):
        client.send(b"x")
    weir.wait_metric("weir_connections_paused", 1)
    (connection,) = setting.show("connections")
    assert connection["paused"] and connection["socket"] == "push"
    (source,) = setting.show("sources")
    assert (source["source"], source["connections"], source["paused"]) == (EVE, 1, 1)


def test_sources_are_told_as_they_are(setting, peers):
    """All connections of both workers together, the busiest first; strikes and exemptions; more than are shown are counted."""
    weir = setting.start(ban={"exempt": [BOB]})
    bobs = [peers.client(zmq.REQ, from_source(BOB, weir.endpoint)) for _ in range(8)]
    eve = peers.client(zmq.REQ, from_source(EVE, weir.endpoint))
    assert echoes(eve)
    for _ in range(5):
        assert all(echoes(c, b"y" * 500) for c in bobs)
    offender = zmtp.RawPeer(raw_connect(weir.endpoint, EVE), socket_type="REQ").handshake()
    offender.send_raw(b"\x80\x01x")
    weir.wait_metric("weir_verdicts_total", 1, verdict="reserved_flags")
    first, second = setting.show("sources")
    assert (first["source"], first["gate"], first["connections"], first["exempt"], first["banned"]) == (BOB, "main", 8, True, False)
    assert first["traffic"]["messages_in"] == first["traffic"]["messages_out"] == 40 and first["traffic"]["bytes_in"] > 20000
    assert (second["source"], second["connections"], second["exempt"], second["strikes"]) == (EVE, 1, False, 5)
    assert second["traffic"]["messages_in"] == 1
    text = setting.ctl("show", "sources").stdout
    assert re.search(rf"^{BOB}  main +8 +0 +0 +40 +40 +\d+\.\d KiB +\d+\.\d KiB  exempt$", text, re.M)
    offender.close()


def test_more_than_are_shown(setting, peers):
    weir = setting.start()
    clients = [peers.client(zmq.REQ, from_source(f"127.7.8.{n + 1}", weir.endpoint)) for n in range(20)]
    assert all(echoes(c) for c in clients)
    done = setting.ctl("show", "sources", "--limit", "8")
    assert len(done.stdout.splitlines()) == 9 and "the 8 that have moved most of 20" in done.stderr
    assert len(setting.show("connections")) == 20


def test_looking_in_a_loop_disturbs_nobody(setting, peers):
    """A busy client of a gate with many connections loses nothing and nobody is disconnected while all lists are asked for."""
    weir = setting.start()
    idle = [peers.client(zmq.REQ, from_source(f"127.7.9.{n % 50 + 1}", weir.endpoint)) for n in range(300)]
    assert all(echoes(c) for c in idle)
    busy = peers.client(zmq.DEALER, from_source(BOB, weir.endpoint), SNDHWM=0, RCVHWM=0)
    watch = peers.monitor(busy)
    over, asked = threading.Event(), []

    def look():
        while not over.is_set():
            for path in ("/v1/connections?limit=1000", "/v1/sources?limit=1000", "/v1/bans"):
                asked.append(setting.call("GET", path)[0])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for n in range(3000):
            busy.send_multipart([b"", b"%d" % n])
            if n % 100 == 99:
                for m in range(n - 99, n + 1):
                    assert busy.recv_multipart() == [b"", b"%d" % m]
        wait_until(lambda: len(asked) >= 60, "the lists")
    finally:
        over.set()
        thread.join()
    assert set(asked) == {200}
    assert watch.count("DISCONNECTED") == 0
    assert weir.metric("weir_connections_closed_total") == 0
    assert len(setting.show("connections", "--limit", "1000")) == 301


# ---- reload ----

def test_a_reload_is_done_or_refused_with_the_reasons(setting, peers):
    weir = setting.start(zmtp2=False)
    client = peers.client(zmq.REQ, weir.endpoint)
    assert echoes(client)
    assert setting.ctl("reload").stdout == f"reloaded {setting.path}: nothing changed\n"
    setting.config(zmtp2=True)
    assert setting.ctl("reload").stdout == f"reloaded {setting.path}: 1 key changed: gates.main.zmtp2 false -> true\n"
    setting.write("weir.yaml", f"gates:\n  - name: main\n    listen: tcp://127.0.0.1:*\n    forward: {setting.app.endpoint}\n"
                               "    message: {size: much}\n    colour: blue\n")
    done = setting.ctl("reload", code=1)
    assert done.stdout == ""
    assert f"{setting.path}:5:21: message.size is not a size" in done.stderr and f"{setting.path}:6:5: " in done.stderr
    assert "the configuration in force stays (409 of " in done.stderr
    listed = setting.write("drop.txt", "192.0.2.1\n192.0.2.2\n")
    setting.config(zmtp2=True, top={"ban": {"lists": [listed]}})
    said = setting.ctl("reload").stdout
    assert "ban.lists: 2 networks in 1 file: 2 banned now, 0 lifted\n" in said and "1 key changed: ban.lists" in said
    setting.write("drop.txt", "192.0.2.2\n192.0.2.3\n192.0.2.4\n")
    assert setting.ctl("reload").stdout == (f"ban.lists: 3 networks in 1 file: 2 banned now, 1 lifted\n"
                                            f"reloaded {setting.path}: no key changed\n")
    setting.config(zmtp2=True, top={"memory": "64MiB"})
    assert "memory cannot change without a restart: 256MiB -> 64MiB" in setting.ctl("reload", code=1).stderr
    assert weir.metric("weir_reloads_total", result="done") == 4 and weir.metric("weir_reloads_total", result="refused") == 2
    assert weir.metric("weir_config_generation") == 5
    assert echoes(client) and weir.metric("weir_connections_closed_total") == 0


def test_a_wrong_file_reaches_weir(setting):
    """Weir itself refuses it, with all that follows; the command line needs the admin section of the file alone."""
    def reload(code):
        done = subprocess.run([*program(), "ctl", "-c", setting.path, "reload"], capture_output=True, text=True, timeout=net.PATIENCE)
        assert (done.returncode, done.stdout) == (code, ""), done
        return done.stderr

    events = setting.paths.file("events.log")
    weir = setting.start(top={"events": {"file": events}})
    admin = f"admin: {{listen: '{setting.admin}', token_file: {setting.token_file}}}\n"
    rest = f"events: {{file: {events}}}\ngates:\n  - {{listen: 'tcp://127.0.0.1:*', forward: '{setting.app.endpoint}', colour: blue}}\n"
    for count, text in enumerate((admin + rest, rest + admin, admin + "gates: [\n"), 1):
        setting.write("weir.yaml", text)
        assert "the configuration in force stays (409 of " in reload(1)
        assert weir.metric("weir_reloads_total", result="refused") == count
        assert weir.has_said(f"reload of {setting.path} refused")
    net.wait_until(lambda: open(events).read().count('"reload_refused"') == 3, "the events")
    for text in ("gates: [\n" + admin, "admin: {listen: 9700}\n" + rest):
        setting.write("weir.yaml", text)
        said = reload(1)
        assert said.startswith(f"{setting.path}:") and "give --admin ADDRESS:PORT and --token-file FILE in place of -c" in said
    assert weir.metric("weir_reloads_total", result="refused") == 3


def test_many_reloads_at_once(setting):
    """From many callers, and SIGHUP between them: everybody hears that it was done."""
    weir = setting.start()
    results = []
    threads = [threading.Thread(target=lambda: results.append(setting.call("POST", "/v1/reload")[:2])) for _ in range(8)]
    for t in threads:
        t.start()
        weir.signal(1)
    for t in threads:
        t.join()
    assert len(results) == 8 and all(status == 200 and answer["reloaded"] for status, answer in results)


def test_a_reload_reads_the_token_again(setting):
    weir = setting.start()
    setting.write("token", "another-token-0123456789", 0o600)
    assert setting.call("GET", "/v1/bans", token="another-token-0123456789")[0] == 401
    assert setting.call("POST", "/v1/reload")[0] == 200
    assert setting.call("GET", "/v1/bans")[0] == 401
    assert setting.show("bans") == []  # ctl reads the file, too
    setting.write("token", "short", 0o600)
    status, answer, _ = setting.call("POST", "/v1/reload", token="another-token-0123456789")
    assert status == 409 and any(f"token file {setting.token_file} holds no token" in line for line in answer["lines"])
    assert setting.call("GET", "/v1/bans", token="another-token-0123456789")[0] == 200
    setting.config(admin={"listen": setting.admin})
    assert setting.call("POST", "/v1/reload", token="another-token-0123456789")[0] == 200
    assert setting.call("GET", "/v1/bans", token="another-token-0123456789")[0] == 403
    assert weir.get("/healthz").startswith("ok\n")


def test_without_a_file_there_is_nothing_to_reload(setting, start_weir):
    """--admin on the command line alone: no token, so the API is off, and says how it is switched on."""
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=setting.app.endpoint)
    setting.admin = weir.admin
    weir.get("/version")
    status, answer, _ = setting.call("GET", "/v1/bans")
    assert status == 403 and "admin.token_file" in answer["error"]
    assert "admin.token_file" in setting.ctl("show", "bans", code=1).stderr
    assert weir.metric("weir_admin_unauthorized_total") == 0


# ---- the token ----

@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN,
                                    "Bearer " + "x" * 4000, f"Bearer  {TOKEN}"])
def test_a_wrong_token_is_sent_away_and_counted(setting, header):
    weir = setting.start()
    for n, (method, path) in enumerate((("GET", "/v1/bans"), ("PUT", "/v1/bans"), ("POST", "/v1/reload"), ("GET", "/v1/nothing"), ("BREW", "/v1/x"))):
        headers = {} if header is None else {"Authorization": header}
        status, answer, got = setting.call(method, path, body=b"{}" if method != "GET" else None, token=None, headers=headers)
        assert status == 401 and got["WWW-Authenticate"] == 'Bearer realm="weir"' and "token" in answer["error"]
        assert weir.metric("weir_admin_unauthorized_total") == n + 1
    assert weir.metric("weir_reloads_total") == 0
    wait_until(lambda: "asked for the API with" in weir.stderr(), "the line that says so")
    assert setting.call("GET", "/v1/bans")[0] == 200
    assert weir.says("asked for the API with")  # one line in ten seconds
    for page in ("/metrics", "/healthz", "/version"):
        assert weir.get(page)


def test_ctl_with_a_wrong_token(setting):
    weir = setting.start()
    done = setting.ctl("show", "bans", code=1, token=False, env={"WEIR_TOKEN": "not-the-token-0123456789"})
    assert "this is not the token of admin.token_file (401 of " in done.stderr
    assert weir.metric("weir_admin_unauthorized_total") == 1
    assert setting.ctl("show", "bans", "--json", token=False, env={"WEIR_TOKEN": TOKEN}).returncode == 0


@pytest.mark.parametrize("text, mode, said", [("", 0o600, "it is empty"), ("short\n", 0o600, "too short or too long"), ("x" * 257, 0o600, "too short or too long"),
                                              ("two lines of\n" + "x" * 20, 0o600, "holds no token"), ("with a space in it 012345", 0o600, "holds no token"),
                                              (TOKEN, 0o640, "its mode is 0640, allowed 0600"), (TOKEN, 0o604, "open to others"), (None, 0, "No such file")])
def test_a_token_file_that_is_none(setting, start_weir, text, mode, said):
    """Weir does not start with it, and ctl does not use it; both name the file."""
    if text is None:
        os.unlink(setting.token_file)
    else:
        setting.write("token", text, mode)
    done = subprocess.run([*program(), "serve", "-c", setting.config()], capture_output=True, text=True, timeout=net.PATIENCE)
    assert done.returncode == 1 and f"admin: token file {setting.token_file}" in done.stderr and said in done.stderr
    done = setting.ctl("show", "bans", code=1)
    assert f"token file {setting.token_file}" in done.stderr and said in done.stderr


# ---- hostile and mistaken requests ----

@pytest.mark.parametrize("method, path, body, status, said", [
    ("PUT", "/v1/bans", "", 400, "not JSON"),
    ("PUT", "/v1/bans", "[]", 400, "not an object"),
    ("PUT", "/v1/bans", "{}", 400, "network is missing"),
    ("PUT", "/v1/bans", '{"network": "1.2.3.4", "for": "0s"}', 400, "allowed 1s to 365d"),
    ("PUT", "/v1/bans", '{"network": "1.2.3.4", "for": 60}', 400, "for is not a string"),
    ("PUT", "/v1/bans", '{"network": "1.2.3.4", "network": "1.2.3.5"}', 400, "not JSON"),
    ("PUT", "/v1/bans", '{"network": "1.2.3.4", "colour": "blue"}', 400, 'not known: "colour", allowed network, for'),
    ("PUT", "/v1/bans", '{"network": "1.2.3.4/8"}', 400, "the network is 1.0.0.0/8"),
    ("PUT", "/v1/bans", '{"network": "\\u001b[2J\\u009b"}', 400, "network is not one"),
    ("PUT", "/v1/bans", b'{"network": "\xff\xfe"}', 400, "not JSON"),
    ("PUT", "/v1/bans", "[" * 4000, 400, "nested too deep"),
    ("PUT", "/v1/bans?x=y", '{"network": "1.2.3.4"}', 400, "an argument is not known"),
    ("PUT", "/v1/bans", "x" * 4097, 413, "up to 4096 bytes"),
    ("POST", "/v1/kick", '{"network": "1.2.3.4", "connection": 7}', 400, "both given"),
    ("POST", "/v1/kick", '{"connection": -7}', 400, "not the number"),
    ("POST", "/v1/reload", '{"a": 1}', 400, "has members"),
    ("GET", "/v1/bans?limit=7", None, 400, "allowed 8 to 1000"),
    ("GET", "/v1/connections?limit=9&limit=9", None, 400, "given twice"),
    ("GET", "/v1/connections?network=%00%ff", None, 400, "network is not one"),
    ("GET", "/v1/sources?" + "&".join(f"a{n}=1" for n in range(20)), None, 400, "too many arguments"),
    ("GET", "/v1/bans", "{}", 413, "no body is taken here"),
    ("DELETE", "/v1/bans", None, 400, "network is missing"),
    ("PATCH", "/v1/bans", None, 405, "Allow"),
    ("GET", "/v1/kick", None, 405, "Allow"),
    ("GET", "/v1/", None, 404, "no such page"),
    ("GET", "/v1/bans/1", None, 404, "no such page"),
])
def test_what_is_wrong_is_refused_with_the_reason(setting, method, path, body, status, said):
    weir = setting.start()
    got, answer, headers = setting.call(method, path, body)
    assert got == status and said in answer["error"] and answer["error"].isprintable() and answer["error"].isascii()
    assert headers["Content-Type"] == "application/json"
    assert weir.metric("weir_bans_total") == 0
    assert setting.call("GET", "/v1/bans")[1]["bans"] == []


def test_a_large_body_without_a_length(setting):
    setting.start()
    host, port = setting.admin.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=net.PATIENCE)
    c.request("PUT", "/v1/bans", iter([b'{"network": "' + b"1" * 3000, b"2" * 3000]), {"Authorization": f"Bearer {TOKEN}"}, encode_chunked=True)
    assert c.getresponse().status == 413
    c.close()
    c = http.client.HTTPConnection(host, int(port), timeout=net.PATIENCE)
    c.request("PUT", "/v1/bans", iter([b'{"netw', b'ork": "203.0.113.9"}']), {"Authorization": f"Bearer {TOKEN}"}, encode_chunked=True)
    assert c.getresponse().status == 200
    c.close()
    assert [ban["network"] for ban in setting.show("bans")] == ["203.0.113.9"]


# ---- the command line ----

def test_the_address_and_the_token_from_the_configuration(setting):
    setting.start()
    done = subprocess.run([*program(), "ctl", "-c", setting.path, "ban", "203.0.113.5"], capture_output=True, text=True, timeout=net.PATIENCE)
    assert done.returncode == 0 and done.stdout.startswith("203.0.113.5 is banned until ")
    assert [ban["network"] for ban in setting.show("bans")] == ["203.0.113.5"]


def test_nobody_is_there(setting):
    done = setting.ctl("show", "bans", code=1)
    assert f"no Weir can be reached at {setting.admin}: Connection refused" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("answer", [b"", b"\xff\0\0\0\0\0\0\0\1\x7f", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
                                    b"HTTP/1.1 abc\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n\r\n[" + b"[" * 3000, b"\x1b]0;evil\x07" * 50])
def test_somebody_else_is_there(setting, answer):
    with socket.create_server(("127.0.0.1", int(setting.admin.rsplit(":", 1)[1]))) as server:
        def serve():
            s, _ = server.accept()
            s.recv(65536)
            s.sendall(answer)
            s.close()
        thread = threading.Thread(target=serve)
        thread.start()
        done = setting.ctl("show", "bans", code=1)
        thread.join()
    assert done.stdout == "" and done.stderr.startswith("weir ctl: ") and "\x1b" not in done.stderr


def test_hostile_texts_in_an_answer_do_not_reach_the_terminal(setting):
    rows = [{"network": "\x1b[2J\u009b31m", "reason": 7, "level": -1, "banned": True, "forever": False, "seconds_left": 1e300, "until": ["x"], "since": None}]
    body = json.dumps({"bans": rows, "next": 0}).encode()
    for arguments in ((), ("--json",)):
        with socket.create_server(("127.0.0.1", int(setting.admin.rsplit(":", 1)[1]))) as server:
            def serve():
                s, _ = server.accept()
                s.recv(65536)
                s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)
                s.close()
            thread = threading.Thread(target=serve)
            thread.start()
            done = setting.ctl("show", "bans", *arguments)
            thread.join()
        assert done.stdout.isascii() and "\x1b" not in done.stdout and len(done.stdout.splitlines()) >= 2


@pytest.mark.parametrize("args, said", [
    ((), "what is to be done?"),
    (("frobnicate",), 'unknown command: "frobnicate", allowed ban, unban'),
    (("ban",), "ban needs a NETWORK"),
    (("ban", "1.2.3.4", "5.6.7.8"), '"5.6.7.8" is too much'),
    (("ban", "everybody"), '"everybody" is no network'),
    (("ban", "192.0.2.1/24"), "the network is 192.0.2.0/24"),
    (("ban", "1.2.3.4", "--for", "soon"), 'no duration: "soon", allowed 1s to 365d'),
    (("ban", "1.2.3.4", "--for", "366d"), "allowed 1s to 365d"),
    (("ban", "1.2.3.4", "--gate", "main"), "--gate has no meaning here"),
    (("kick", "0"), '"0" is no network'),
    (("kick", "nosuch"), '"nosuch" is no network, and no ID of a connection'),
    (("show",), "show needs bans, sources, connections, gates or settings"),
    (("show", "everything"), "allowed bans, sources, connections"),
    (("show", "bans", "--gate", "main"), "--gate has no meaning here"),
    (("show", "sources", "--limit", "1001"), "allowed 8 to 1000"),
    (("show", "sources", "--history"), "--history has no meaning here"),
    (("show", "sources", "--network", "x"), '"x" is no network'),
    (("show", "sources", "--gate", "a b"), "--gate is no name of a gate"),
    (("reload", "now"), '"now" is too much'),
    (("reload", "--for", "1m"), "--for has no meaning here"),
    (("reload", "--json", "--wrong"), "unknown option: --wrong"),
    (("reload", "--admin"), "--admin needs a value"),
    (("reload", "--admin", "nowhere"), "--admin is not an address and port"),
])
def test_wrong_arguments(args, said, setting):
    env = {**os.environ, "WEIR_TOKEN": TOKEN}
    done = subprocess.run([*program(), "ctl", *args], capture_output=True, text=True, timeout=net.PATIENCE, env=env)
    assert done.returncode == 2 and done.stdout == "" and said in done.stderr
    assert done.stderr.splitlines()[-1] == "Try: weir ctl --help"


def test_without_a_token():
    env = {k: v for k, v in os.environ.items() if k != "WEIR_TOKEN"}
    done = subprocess.run([*program(), "ctl", "show", "bans"], capture_output=True, text=True, timeout=net.PATIENCE, env=env)
    assert done.returncode == 2 and "the token is missing: give -c FILE with admin.token_file" in done.stderr

# SPDX-License-Identifier: MPL-2.0
"""SIGHUP: the configuration changes under traffic, nothing is lost and nobody is disconnected; what is wrong is refused whole."""
import os
import re
import signal

import pytest
import yaml
import zmq
from harness import net, zmtp
from harness.net import from_source, raw_connect
from test_bans import OFFENDER, ban_by_protocol, banned


class Setting:
    """One gate in front of an echoing application, with a file that can be written again."""

    def __init__(self, folder, forward):
        self.path = os.path.join(folder, f"reload-{os.urandom(3).hex()}.yaml")
        self.forward = forward
        self.weir = None

    def write(self, top=None, **gate):
        gate = {"name": "orders", "listen": "tcp://127.0.0.1:*", "forward": self.forward, **gate}
        self.write_text(yaml.safe_dump({**(top or {}), "gates": [gate]}, sort_keys=False))

    def write_text(self, text):
        with open(self.path, "w") as f:
            f.write(text)

    def reloads(self, result="done"):
        return self.weir.metric("weir_reloads_total", result=result)

    def reload(self, result="done"):
        """Returns what was logged meanwhile."""
        before, logged = self.reloads(result), len(self.weir.stderr())
        self.weir.signal(signal.SIGHUP)
        net.wait_until(lambda: self.reloads(result) == before + 1, f"a reload that is {result}")
        net.wait_until(lambda: re.search(r"reloaded .*\n|refused: .*\n|SIGHUP: .*\n", self.weir.stderr()[logged:]), "its last line")
        return self.weir.stderr()[logged:]


@pytest.fixture
def setting(paths, tmp_path, start_app, start_weir):
    s = Setting(str(tmp_path), paths.ipc())
    s.app = start_app("router", s.forward)

    def start(top=None, **gate):
        s.write(top, **gate)
        s.weir = start_weir(args=("-c", s.path))
        return s.weir
    s.start = start
    return s


def messages(rate, burst=0, **more):
    return {"messages": {"rate": rate, "burst": burst, **more}}


def test_a_rate_changes_under_traffic(setting, peers):
    """Paused for a minute at the old rate, served at once at the new one, and paused again at the old one; one connection all the time."""
    weir = setting.start(source=messages("1/m"))
    client = peers.client(zmq.DEALER, weir.endpoint)
    for n in range(500):
        client.send(b"%d" % n)
    weir.wait_metric("weir_connections_paused", lambda n: n == 1)
    assert client.recv() == b"0"
    setting.write(source=messages("100000/s", burst=1000))
    log = setting.reload()
    assert f"reloaded {setting.path}: 2 keys changed: " in log
    assert "gates.orders.source.messages.rate 1/m -> 100000/s, gates.orders.source.messages.burst 0 -> 1000" in log
    for n in range(1, 500):
        assert client.recv() == b"%d" % n
    setting.write(source=messages("1/m"))
    setting.reload()
    for n in range(5):
        client.send(b"again %d" % n)
    weir.wait_metric("weir_connections_paused", lambda n: n == 1)
    assert weir.metric("weir_config_generation") == 3
    assert weir.metric("weir_connections_closed_total") == 0
    assert weir.metric("weir_connections_accepted_total") == 1


def test_a_wrong_file_is_refused_whole(setting, peers):
    """With file, line and column; the old configuration stays, also the keys that were right."""
    weir = setting.start(source=messages("1000000/s"))
    client = peers.client(zmq.DEALER, weir.endpoint)
    loaded = weir.metric("weir_config_loaded_timestamp_seconds")
    setting.write_text("gates:\n"
                       "  - name: orders\n"
                       "    listen: tcp://127.0.0.1:*\n"
                       f"    forward: {setting.forward}\n"
                       "    source: {messages: {rate: 1/d, burst: 0}}\n"
                       "    message: {size: much}\n"
                       "    colour: blue\n")
    log = setting.reload("refused")
    assert f"{setting.path}:6:21: message.size is not a size" in log
    assert f"{setting.path}:7:5: " in log
    assert "refused" in log and "the configuration in force stays" in log
    for n in range(100):
        client.send(b"%d" % n)
    assert [client.recv() for _ in range(100)] == [b"%d" % n for n in range(100)]
    os.unlink(setting.path)
    assert f"{setting.path}: cannot be opened" in setting.reload("refused")
    assert weir.metric("weir_config_generation") == 1
    assert weir.metric("weir_config_loaded_timestamp_seconds") == loaded
    assert weir.metric("weir_connections_closed_total") == 0


def test_what_needs_a_restart_is_named(setting, peers):
    weir = setting.start(top={"memory": "64MiB"}, zmtp2=False)
    setting.write(top={"memory": "32MiB", "workers": 7, "drain": "1s"}, zmtp2=True, forward="ipc:///elsewhere")
    log = setting.reload("refused")
    assert "memory cannot change without a restart: 64MiB -> 32MiB" in log
    assert "workers cannot change without a restart: 0 -> 7" in log
    assert f"gates.orders.forward cannot change without a restart: {setting.forward} -> ipc:///elsewhere" in log
    assert "drain" not in log and "zmtp2" not in log
    setting.write(top={"memory": "64MiB"}, name="bills")
    log = setting.reload("refused")
    assert "gates.bills cannot change without a restart: none -> " in log
    assert "gates.orders cannot change without a restart: " in log
    client = peers.client(zmq.DEALER, weir.endpoint)
    client.send(b"still there")
    assert client.recv() == b"still there"


def test_classes_need_a_restart(setting, peers):
    def classes(weight):
        return [{"name": "partners", "match": {"networks": ["127.1.0.0/16"]}, "weight": weight}]
    weir = setting.start(classes=classes(3), zmtp2=False)
    setting.write(classes=classes(4))
    log = setting.reload("refused")
    assert "gates.orders.classes cannot change without a restart: [{name: partners, match.networks: [127.1.0.0/16], weight: 3, priority: 2}] -> " in log
    setting.write()
    assert "] -> none" in setting.reload("refused")
    setting.write(classes=classes(3), zmtp2=True)
    assert "1 key changed: gates.orders.zmtp2 false -> true" in setting.reload()
    client = peers.client(zmq.DEALER, from_source("127.1.2.3", weir.endpoint))
    client.send(b"hello")
    assert client.recv() == b"hello"
    assert weir.metric("weir_class_connections", **{"class": "partners"}) == 1


def test_an_exemption_holds_at_once(setting):
    """Who is banned is let go of the tarpit and may come again; when the exemption ends before the ban does, a connection
    in good order stays, and speaks for the address: the ban is lifted."""
    at_once = {"warm_up": "0s"}
    weir = setting.start(ban=at_once)
    ban_by_protocol(weir)
    stuck = raw_connect(weir.endpoint, OFFENDER, timeout=10)
    weir.wait_metric("weir_connections_tarpitted", 1)
    setting.write(ban={**at_once, "exempt": [OFFENDER]})
    assert f"1 key changed: gates.orders.ban.exempt none -> [{OFFENDER}]" in setting.reload()
    assert stuck.recv(1) == b""
    stuck.close()
    peer = zmtp.RawPeer(raw_connect(weir.endpoint, OFFENDER, timeout=10), socket_type="DEALER").handshake()
    assert banned(weir) == 1
    setting.write(ban=at_once)
    setting.reload()
    weir.wait_metric("weir_bans", lambda n: n == 0)
    assert weir.metric("weir_connections") == 1
    peer.close()


def test_fewer_connections_are_for_newcomers_only(setting, peers):
    weir = setting.start()
    clients = [peers.client(zmq.DEALER, weir.endpoint) for _ in range(4)]
    for client in clients:
        client.send(b"in")
        assert client.recv() == b"in"
    setting.write(connections={"max": 2})
    setting.reload()
    assert weir.metric("weir_connections_max") == 2
    newcomer = net.raw_connect(weir.endpoint)
    assert newcomer.recv(64) == b""
    newcomer.close()
    assert weir.metric("weir_verdicts_total", verdict="table_full") >= 1
    for client in clients:
        client.send(b"still in")
        assert client.recv() == b"still in"
    assert weir.metric("weir_connections") == 4


def test_a_hundred_reloads_under_load_lose_nothing(setting, peers):
    """A busy client at limits that come and go, and a healthy one beside it that never meets them."""
    weir = setting.start(top={"workers": 2})
    busy = peers.client(zmq.DEALER, weir.endpoint, SNDHWM=0, RCVHWM=0)
    healthy = peers.client(zmq.REQ, weir.endpoint)
    sent = 0
    for n in range(100):
        for _ in range(50):
            busy.send(b"%d" % sent)
            sent += 1
        setting.write(top={"workers": 2}, source=messages(f"{20000 + n}/s", burst=100), message={"frames": 100 + n})
        setting.reload()
        healthy.send(b"healthy %d" % n)
        assert healthy.recv() == b"healthy %d" % n
    for n in range(sent):
        assert busy.recv() == b"%d" % n
    assert weir.metric("weir_config_generation") == 101
    assert weir.metric("weir_connections_closed_total") == 0
    assert weir.metric("weir_dropped_messages_total") == 0
    assert weir.metric("weir_connections_accepted_total") == 2


def test_the_log_level_changes_and_the_admin_option_stays(setting):
    weir = setting.start(top={"log": {"level": "error"}})
    setting.write(top={"log": {"level": "info"}})
    assert "log.level error -> info" in setting.reload()
    setting.write(top={"log": {"level": "info"}})
    assert "nothing changed" in setting.reload()
    assert weir.metric("weir_config_generation") == 3


def test_without_a_file_there_is_nothing_to_reload(start_weir, start_app, peers, paths, no_file):
    forward = paths.ipc()
    start_app("router", forward)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    weir.signal(signal.SIGHUP)
    net.wait_until(lambda: "there is no file to reload" in weir.stderr(), "the line that says so")
    client = peers.client(zmq.DEALER, weir.endpoint)
    client.send(b"goes on")
    assert client.recv() == b"goes on"


def test_shedding_is_switched_on_for_who_waits(setting, peers, paths):
    """Requests behind one that the application works on wait, and no longer once the file says so.

    One that is not answered within a second is no longer counted, so that the next goes on: a line of ten stands for
    long enough to be seen and to be told, on a busy machine too."""
    setting.forward = paths.ipc()
    app = peers.app(zmq.REP, setting.forward)
    weir = setting.start(concurrency={"max": 1})
    first, *others = (peers.client(zmq.REQ, weir.endpoint) for _ in range(11))
    first.send(b"first")
    assert app.recv() == b"first"
    for other in others:
        other.send(b"next")
    weir.wait_metric("weir_connections_queued", lambda n: n >= 1)
    setting.write(concurrency={"max": 1, "shed": {"over": "reply", "interval": "10ms"}})
    setting.reload()
    assert others[-1].recv() == b"overloaded"
    app.send(b"done")
    assert first.recv() == b"done"

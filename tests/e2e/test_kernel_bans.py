# SPDX-License-Identifier: MPL-2.0
"""ban.kernel: with real packets over a virtual cable between two network namespaces. What the banned send does not arrive any more."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.request

import pytest
import zmq
from harness import net, proc, zmtp
from harness.balancer import header_v2
from harness.net import wait_until
from harness.network import NEIGHBOUR, NEIGHBOUR6, OFFENDER, OFFENDER6, SERVER4, THIRD, Network, run, why_not
from harness.weir import program

TOKEN = "a-token-of-the-tests-0123456789"
RESERVED_FLAGS = b"\x80\x01x"


@pytest.fixture(params=["nftables", "xdp"])
def means(request):
    return request.param


def not_built_in(means):
    library = {"nftables": "libnftables", "xdp": "libbpf", "off": "nothing"}[means]
    said = subprocess.run([*program(), "--version"], capture_output=True, text=True).stdout
    return f"{library} is not built in" if f"{library} not built in" in said else None


@pytest.fixture
def network(means):
    reason = why_not() or not_built_in(means)
    if reason and os.environ.get("WEIR_KERNEL_TESTS"):
        pytest.fail(f"bans in the kernel must be tested: {reason}")
    if reason:
        pytest.skip(reason)
    n = Network()
    yield n
    n.close()


xdp_only = pytest.mark.parametrize("means", ["xdp"], indirect=True)
nftables_only = pytest.mark.parametrize("means", ["nftables"], indirect=True)


@pytest.fixture
def app(network, start_app, paths):
    return start_app("rep", paths.ipc())


def config(app, means, *, top=None, ban=None, gates=(), **keys):
    """Gates that all ask for the same means."""
    kernel = {"kernel": means, "strikes": 3, **({"interface": "weir0"} if means == "xdp" else {}), **(ban or {})}
    gates = [{"name": "main", **keys}, *gates]
    return {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, **(top or {}),
            "gates": [{"listen": f"tcp://*:{net.free_port()}", "forward": app.endpoint, "ban": dict(kernel), **gate} for gate in gates]}


def port_of(weir, gate=0):
    return net.split_tcp(weir.gates[gate][0])[1]


def in_force(weir):
    weir.wait_metric("weir_kernel_bans_in_force", 1)


def misbehave(network, weir, source, gate=0):
    """Connects, shakes hands, sends a frame that ZMTP forbids. False: it was not let in."""
    peer = None
    try:
        peer = zmtp.RawPeer(network.connect(source, port_of(weir, gate), timeout=1), socket_type="REQ")
        peer.sock.settimeout(1)
        peer.handshake()
        peer.send_raw(RESERVED_FLAGS)
        while peer.sock.recv(4096):
            pass
    except (zmtp.Closed, OSError):
        return False
    finally:
        if peer:
            peer.close()
    return True


def get_banned(network, weir, source, gate=0):
    """Until the ban is in the kernel."""
    before = weir.metric("weir_bans_total")
    wait_until(lambda: misbehave(network, weir, source, gate) and False or weir.metric("weir_bans_total") > before, "the ban", step=0)
    wait_until(lambda: network.is_dropped(source, port_of(weir)) or network.is_dropped(source, port_of(weir, gate)), "the ban in the kernel")


def ruleset(table="weir"):
    try:
        return run("nft", "list", "table", "inet", table)
    except Exception:  # there is none yet
        return ""


def elements():
    """The addresses in the sets of Weir's table."""
    return [word for part in re.findall(r"elements = \{(.*?)\}", ruleset(), re.S) for word in re.findall(r"([0-9a-f:.]+) timeout", part)]


def echoes(client, body=b"hello"):
    client.send(body)
    return client.recv() == body


@pytest.mark.parametrize("offender, neighbour", [(OFFENDER, NEIGHBOUR), (OFFENDER6, NEIGHBOUR6)], ids=["ipv4", "ipv6"])
def test_the_banned_do_not_arrive(offender, neighbour, means, network, app, start_weir):
    """The offender's packets are dropped, at this gate; the busy client of the same network never notices."""
    other = {"name": "other", "ban": {"action": "close"}}
    weir = start_weir(config=config(app, means, ban={"for": "10m"}, gates=[other]))
    in_force(weir)
    busy = network.zmq_client(zmq.REQ, neighbour, port_of(weir))
    monitor = busy.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    assert echoes(busy)
    assert not network.is_dropped(offender, port_of(weir))
    get_banned(network, weir, offender)
    reached = weir.metric("weir_verdicts_total", gate="main", verdict="banned")
    assert network.is_dropped(offender, port_of(weir))
    weir.wait_metric("weir_kernel_dropped_packets_total", 1)
    assert weir.metric("weir_kernel_dropped_bytes_total") >= 40
    assert weir.metric("weir_kernel_bans") == 1
    assert weir.metric("weir_verdicts_total", gate="main", verdict="banned") == reached  # Weir never saw it
    assert not network.is_dropped(offender, port_of(weir, gate=1))  # not asked for there: Weir closes it itself
    for i in range(50):
        assert echoes(busy, b"%d" % i)
    assert echoes(network.zmq_client(zmq.REQ, neighbour, port_of(weir)))
    assert monitor.poll(0) == 0
    assert weir.metric("weir_kernel_failures_total") == 0


def test_who_only_sends_too_much(means, network, app, start_weir):
    """Nothing but valid messages, over a rate that is configured."""
    weir = start_weir(config=config(app, means, ban={"shared": "ban"}, source={"messages": {"rate": "50/s", "over": "drop"}}))
    in_force(weir)
    neighbour, flooder = network.zmq_client(zmq.REQ, NEIGHBOUR, port_of(weir)), network.zmq_client(zmq.DEALER, OFFENDER, port_of(weir))
    flooder.sndtimeo = 50
    assert echoes(neighbour)

    def floods():
        with contextlib.suppress(zmq.Again):
            for _ in range(500):
                flooder.send_multipart([b"", b"x"])
        return weir.metric("weir_bans_total", reason="excess") == 1
    wait_until(floods, "the flooder to be banned", step=0.05)
    wait_until(lambda: network.is_dropped(OFFENDER, port_of(weir)), "the ban in the kernel")
    assert echoes(neighbour)


def test_a_ban_ends_by_itself(means, network, app, start_weir):
    weir = start_weir(config=config(app, means, ban={"for": "3s", "max": "3s"}))
    in_force(weir)
    get_banned(network, weir, OFFENDER)
    assert network.is_dropped(OFFENDER, port_of(weir))
    wait_until(lambda: not network.is_dropped(OFFENDER, port_of(weir)), "the end of the ban")
    assert echoes(network.zmq_client(zmq.REQ, OFFENDER, port_of(weir)))
    weir.wait_metric("weir_kernel_bans", lambda n: n == 0)


def test_killed(means, network, app, start_weir):
    """Whatever becomes of Weir: its helper ends with it, and what the kernel was told stays and runs out."""
    weir = start_weir(config=config(app, means, ban={"for": "5s", "max": "5s"}))
    in_force(weir)
    helper = helper_of(weir)
    get_banned(network, weir, OFFENDER)
    weir.expected_exit = -signal.SIGKILL
    weir.signal(signal.SIGKILL)
    weir.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{helper}") or proc.status(helper, "State").startswith("Z"), "the end of the helper")
    assert network.is_dropped(OFFENDER, port_of(weir))
    assert not network.is_dropped(NEIGHBOUR, port_of(weir))  # refused: nobody listens, but it hears that
    wait_until(lambda: not network.is_dropped(OFFENDER, port_of(weir)), "the ban to run out")


def test_restart(means, network, app, start_weir, paths):
    """Bans stay while Weir is away, and are never out of force while the next one puts the kernel right."""
    c = config(app, means, ban={"for": "1h", "max": "1h"}, top={"state": {"file": paths.file("state")}})
    first = start_weir(config=c)
    in_force(first)
    get_banned(network, first, OFFENDER)
    first.stop()
    probes, enough = [], threading.Event()

    def probe():
        while not enough.is_set():
            probes.append(network.is_dropped(OFFENDER, port_of(first), timeout=0.05))

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        second = start_weir(config=c)
        in_force(second)
        seen = len(probes)
        wait_until(lambda: len(probes) > seen + 3, "some more probes")
    finally:
        enough.set()
        prober.join()
    assert all(probes)
    assert second.metric("weir_kernel_bans") == 1
    assert not network.is_dropped(NEIGHBOUR, port_of(second))
    assert second.metric("weir_kernel_failures_total") == 0


def test_restart_without_a_state_file(means, network, app, start_weir):
    """What is in the kernel and not in the table goes."""
    c = config(app, means, ban={"for": "1h", "max": "1h"})
    first = start_weir(config=c)
    in_force(first)
    get_banned(network, first, OFFENDER)
    first.stop()
    assert network.is_dropped(OFFENDER, port_of(first))
    second = start_weir(config=c)
    in_force(second)
    assert not network.is_dropped(OFFENDER, port_of(second))
    assert echoes(network.zmq_client(zmq.REQ, OFFENDER, port_of(second)))


@nftables_only
def test_the_set_is_put_right(means, network, app, start_weir, paths):
    """In one step: what does not belong there goes, what is missing comes, what belongs there is there in every listing."""
    c = config(app, means, ban={"for": "1h", "max": "1h"}, top={"state": {"file": paths.file("state")}})
    first = start_weir(config=c)
    in_force(first)
    get_banned(network, first, OFFENDER)
    get_banned(network, first, THIRD)
    first.stop()
    assert sorted(elements()) == [OFFENDER, THIRD]  # an end leaves them
    run("nft", "add", "element", "inet", "weir", "v4_32", "{ 10.98.0.99 timeout 1h }")
    run("nft", "delete", "element", "inet", "weir", "v4_32", "{ " + THIRD + " }")
    seen, enough = [], threading.Event()

    def watch():
        while not enough.is_set():
            seen.append(elements())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        second = start_weir(config=c)
        in_force(second)
        wait_until(lambda: sorted(elements()) == [OFFENDER, THIRD], "the table to be put right")
        wait_until(lambda: len(seen) > 2, "some listings")
    finally:
        enough.set()
        watcher.join()
    assert all(OFFENDER in each for each in seen)
    assert network.is_dropped(THIRD, port_of(second)) and not network.is_dropped(NEIGHBOUR, port_of(second))


@nftables_only
def test_somebody_flushes_the_ruleset(means, network, app, start_weir):
    """As a reload of the operator's own firewall does."""
    weir = start_weir(config=config(app, means, ban={"for": "1h"}))
    in_force(weir)
    get_banned(network, weir, OFFENDER)
    run("nft", "flush", "ruleset")
    assert elements() == []
    wait_until(lambda: elements() == [OFFENDER], "the bans to come back")
    assert weir.metric("weir_kernel_bans") == 1 and weir.metric("weir_kernel_failures_total") >= 1
    assert network.is_dropped(OFFENDER, port_of(weir))
    assert "ban.kernel" not in weir.stderr()


def test_exempt_networks_change_by_a_reload(means, network, app, start_weir):
    c = config(app, means, ban={"for": "1h", "shared": "ban"}, gates=[{"name": "strict"}])
    c["gates"][0]["ban"] = {**c["gates"][0]["ban"], "exempt": [f"{OFFENDER}/31"]}
    weir = start_weir(config=c)
    in_force(weir)
    get_banned(network, weir, OFFENDER, gate=1)
    assert network.is_dropped(OFFENDER, port_of(weir, gate=1))
    assert echoes(network.zmq_client(zmq.REQ, OFFENDER, port_of(weir)))  # exempt here
    c["gates"][0]["ban"]["exempt"] = []
    weir.write(c)
    weir.signal(signal.SIGHUP)
    weir.wait_metric("weir_kernel_replacements_total", 2)
    assert network.is_dropped(OFFENDER, port_of(weir))


def test_without_the_right_to(means, network, app, start_weir, monkeypatch):
    """One warning that says what is missing and what to do, and Weir itself keeps the banned out."""
    monkeypatch.setenv("WEIR", " ".join(["setpriv", "--bounding-set", "-net_admin", *program()]))
    weir = start_weir(config=config(app, means, ban={"for": "1h"}))
    wait_until(lambda: not misbehave(network, weir, OFFENDER) and weir.metric("weir_bans"), "the ban", step=0)
    wait_until(lambda: "ban.kernel" in weir.stderr(), "the warning")
    warnings = [line for line in weir.stderr().splitlines() if "ban.kernel" in line]
    assert len(warnings) == 1 and "CAP_NET_ADMIN is missing" in warnings[0] and "AmbientCapabilities" in warnings[0]
    assert weir.metric("weir_kernel_bans_in_force") == weir.metric("weir_kernel_bans") == 0
    assert ruleset() == ""
    with network.connect(OFFENDER, port_of(weir)) as s:  # the tarpit
        s.settimeout(1)
        s.sendall(zmtp.greeting())
        with pytest.raises(socket.timeout):
            s.recv(1)
    assert echoes(network.zmq_client(zmq.REQ, NEIGHBOUR, port_of(weir)))


def helper_of(weir):
    with open(f"/proc/{weir.pid}/task/{weir.pid}/children") as f:
        return int(f.read().split()[0])


def test_the_helper_dies(means, network, app, start_weir):
    weir = start_weir(config=config(app, means, ban={"for": "1h"}))
    in_force(weir)
    get_banned(network, weir, OFFENDER)
    os.kill(helper_of(weir), signal.SIGKILL)
    weir.wait_metric("weir_kernel_bans_in_force", lambda n: n == 0)
    wait_until(lambda: "ban.kernel" in weir.stderr(), "the warning")
    wait_until(lambda: not misbehave(network, weir, THIRD) and weir.metric("weir_bans") == 2, "a ban in Weir itself", step=0)
    assert weir.says("ban.kernel")
    assert echoes(network.zmq_client(zmq.REQ, NEIGHBOUR, port_of(weir)))


def kernel_has(means):
    return bool(ruleset()) if means == "nftables" else bool(re.search(r"\bxdp\b", run("ip", "link", "show", "weir0")))


@pytest.mark.parametrize("then", ["off", "other"])
def test_what_an_earlier_run_has_left(then, means, network, app, start_weir, paths):
    """A table or a program that this Weir does not use is removed at the start: else it would drop for up to a day what nobody can lift."""
    state = {"state": {"file": paths.file("state")}}
    first = start_weir(config=with_token(config(app, means, ban={"for": "1h", "max": "1h"}, top=state), paths))
    in_force(first)
    get_banned(network, first, OFFENDER)
    first.stop()
    assert network.is_dropped(OFFENDER, port_of(first)) and kernel_has(means)
    now = "off" if then == "off" else {"nftables": "xdp", "xdp": "nftables"}[means]
    if not_built_in(now):
        pytest.skip(not_built_in(now))
    second = start_weir(config=with_token(config(app, now, ban={"for": "1h", "max": "1h"}, top=state), paths))
    assert not kernel_has(means)
    assert second.says("of an earlier Weir was still in the kernel and is removed")
    if now == "off":
        assert not network.is_dropped(OFFENDER, port_of(second))
        second.wait_metric("weir_verdicts_total", 1, verdict="banned")  # by Weir itself
    else:
        in_force(second)
    assert api(second, "DELETE", f"/v1/bans?network={OFFENDER}") == {"network": OFFENDER}
    assert echoes(network.zmq_client(zmq.REQ, OFFENDER, port_of(second)))


@nftables_only
def test_a_table_of_another_name_and_one_that_is_in_use(means, network, app, start_weir):
    """Of a Weir that has ended, with another kernel.table: it goes. Of one that runs: it stays. And what is not Weir's is not touched."""
    run("nft", "add", "table", "inet", "weird")
    run("nft", "add", "chain", "inet", "weird", "banned")
    old = start_weir(config=config(app, means, top={"kernel": {"table": "weir_old"}}))
    in_force(old)
    old.stop()
    assert ruleset("weir_old")
    running = start_weir(config=config(app, means, ban={"for": "1h"}))
    in_force(running)
    assert not ruleset("weir_old") and running.has_said("table inet weir_old of an earlier Weir")
    get_banned(network, running, OFFENDER)
    start_weir(config=config(app, "off"))
    start_weir(config=config(app, means, top={"kernel": {"table": "weir_two"}}))
    assert elements() == [OFFENDER] and ruleset("weird")
    assert running.metric("weir_kernel_failures_total") == 0


@nftables_only
def test_unban_says_when_the_kernel_cannot_be_told(means, network, app, start_weir, paths):
    weir = start_weir(config=with_token(config(app, means), paths))
    in_force(weir)
    api(weir, "PUT", "/v1/bans", {"network": OFFENDER, "for": "1h"})
    api(weir, "PUT", "/v1/bans", {"network": THIRD, "for": "1h"})
    wait_until(lambda: network.is_dropped(OFFENDER, port_of(weir)) and network.is_dropped(THIRD, port_of(weir)), "the bans in the kernel")
    assert api(weir, "DELETE", f"/v1/bans?network={THIRD}") == {"network": THIRD}
    os.kill(helper_of(weir), signal.SIGKILL)
    weir.wait_metric("weir_kernel_bans_in_force", lambda n: n == 0)
    done = subprocess.run([*program(), "ctl", "unban", OFFENDER, "--admin", weir.admin, "--token-file", paths.file("token")],
                          capture_output=True, text=True, timeout=net.PATIENCE)
    assert done.returncode == 0 and done.stdout == f"{OFFENDER} is not banned any more\n"
    assert "the kernel cannot be told now" in done.stderr
    assert network.is_dropped(OFFENDER, port_of(weir))


@nftables_only
def test_the_helper_stands_still(means, network, app, start_weir):
    """After a second that shows; when it goes on, so do the bans; and it keeps nobody from ending."""
    weir = start_weir(config=config(app, means, ban={"for": "1h"}))
    in_force(weir)
    helper = helper_of(weir)
    os.kill(helper, signal.SIGSTOP)
    wait_until(lambda: not misbehave(network, weir, OFFENDER) and weir.metric("weir_bans") == 1, "a ban in Weir itself", step=0)
    weir.wait_metric("weir_kernel_bans_in_force", lambda n: n == 0)
    wait_until(lambda: "ban.kernel: the kernel is not told of bans: the helper process does not answer" in weir.stderr(), "the warning")
    assert not network.is_dropped(OFFENDER, port_of(weir))
    os.kill(helper, signal.SIGCONT)
    in_force(weir)
    wait_until(lambda: network.is_dropped(OFFENDER, port_of(weir)), "the ban in the kernel")
    wait_until(lambda: "the kernel is told of bans again" in weir.stderr(), "the line that says so")
    os.kill(helper, signal.SIGSTOP)
    weir.wait_metric("weir_kernel_bans_in_force", lambda n: n == 0)
    weir.stop(limit=net.PATIENCE)  # a minute, once
    wait_until(lambda: not os.path.exists(f"/proc/{helper}"), "the end of the helper")


def api(weir, method, path, body=None):
    """A request of the API, whose token is TOKEN."""
    request = urllib.request.Request(f"http://{weir.admin}{path}", method=method, data=json.dumps(body).encode() if body else None,
                                     headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=net.PATIENCE) as answer:
        return json.loads(answer.read())


def with_token(c, paths):
    path = paths.file("token")
    with open(path, "w") as f:
        f.write(TOKEN)
    os.chmod(path, 0o600)
    c["admin"]["token_file"] = path
    return c


def connections_with(address):
    """What this machine's kernel holds of connections with an address, whatever their state."""
    packed = f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}"
    found = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/thread-self/net/{table}") as f:
            found += [line.split()[3] for line in f if line.split()[2].split(":")[0].endswith(packed)]
    return found


def test_nothing_is_left_of_connections_of_the_banned(means, network, app, start_weir, paths):
    """They end with a reset: a FIN would not be answered any more, and would be sent again and again."""
    weir = start_weir(config=with_token(config(app, means), paths))
    in_force(weir)
    clients = [zmtp.RawPeer(network.connect(OFFENDER, port_of(weir)), socket_type="REQ") for _ in range(20)]
    for client in clients:
        client.handshake()
    assert len(connections_with(OFFENDER)) == 20
    api(weir, "PUT", "/v1/bans", {"network": OFFENDER, "for": "1h"})
    for client in clients:
        with pytest.raises(ConnectionResetError):
            while client.sock.recv(4096):
                pass
            raise AssertionError("it ended with a FIN")
    wait_until(lambda: connections_with(OFFENDER) == [], "the end of all of them")  # a minute with FIN
    for client in clients:
        client.close()


@xdp_only
def test_the_interface_is_made_anew(means, network, app, start_weir):
    weir = start_weir(config=config(app, means, ban={"for": "1h"}))
    in_force(weir)
    get_banned(network, weir, OFFENDER)
    network.cut_cable()
    weir.wait_metric("weir_kernel_bans_in_force", lambda n: n == 0)
    wait_until(lambda: "no such network interface" in weir.stderr(), "the warning")
    network.lay_cable()
    assert echoes(network.zmq_client(zmq.REQ, NEIGHBOUR, port_of(weir)))
    in_force(weir)
    wait_until(lambda: network.is_dropped(OFFENDER, port_of(weir)), "the program to come back")
    wait_until(lambda: "the kernel is told of bans again" in weir.stderr(), "the line that says so")
    assert echoes(network.zmq_client(zmq.REQ, NEIGHBOUR, port_of(weir)))


@xdp_only
def test_the_program_is_taken_off(means, network, app, start_weir):
    """By an operator's ip link: it comes back."""
    weir = start_weir(config=config(app, means, ban={"for": "1h"}))
    in_force(weir)
    get_banned(network, weir, OFFENDER)
    assert re.search(r"\bxdp\b", run("ip", "link", "show", "weir0"))  # in the driver, not xdpgeneric
    run("ip", "link", "set", "weir0", "xdp", "off")
    assert not network.is_dropped(OFFENDER, port_of(weir))
    wait_until(lambda: network.is_dropped(OFFENDER, port_of(weir)), "the program to come back")
    assert "ban.kernel" not in weir.stderr()


def test_a_ban_that_covers_a_load_balancer(means, network, app, start_weir, paths):
    """Its packets are its clients': the kernel lets them through, and Weir keeps out the one that is meant. Others it keeps out as ever."""
    with open(paths.file("bans"), "w") as f:
        f.write(f"{OFFENDER}\n{NEIGHBOUR}\n192.0.2.66\n")
    weir = start_weir(config=config(app, means, top={"ban": {"lists": [paths.file("bans")]}}, proxy_protocol={"from": [OFFENDER]}))
    in_force(weir)
    wait_until(lambda: network.is_dropped(NEIGHBOUR, port_of(weir)), "the ban in the kernel")
    for i in range(3):
        with network.connect(OFFENDER, port_of(weir)) as s:
            s.sendall(header_v2((f"192.0.2.{i}", 4711), (SERVER4, 5555)))
            zmtp.RawPeer(s, socket_type="REQ").handshake()
    with network.connect(OFFENDER, port_of(weir)) as s:
        s.sendall(header_v2(("192.0.2.66", 4711), (SERVER4, 5555)))
        weir.wait_metric("weir_verdicts_total", 1, verdict="banned")


@xdp_only
def test_no_such_interface(means, network, app, start_weir):
    weir = start_weir(config=config(app, means, ban={"interface": "nowhere"}))
    assert weir.has_said("no such network interface") and weir.says("ban.kernel")
    assert echoes(network.zmq_client(zmq.REQ, NEIGHBOUR, port_of(weir)))


@pytest.mark.parametrize("means, user", [("nftables", 0), ("nftables", 12345), ("xdp", 0)], indirect=["means"])
def test_rights(means, user, network, app, start_weir, paths, monkeypatch):
    """The main process has none; the helper one, no other descriptors, and a user of nobody's where Weir is root. The other user is as
    kernel-bans.conf has it."""
    if user:
        os.chmod(paths.folder, 0o755)
        monkeypatch.setenv("WEIR", f"setpriv --reuid {user} --regid {user} --clear-groups --inh-caps +net_admin --ambient-caps +net_admin "
                                   f"--bounding-set -all,+net_admin {' '.join(program())}")
    weir = start_weir(config=config(app, means))
    in_force(weir)
    helper = helper_of(weir)
    net_admin, bpf = 1 << 12, 1 << 39
    kept = net_admin | (bpf if means == "xdp" else 0)
    for key in ("CapPrm", "CapEff", "CapAmb") + (() if user else ("CapBnd",)):
        assert int(proc.status(weir.pid, key), 16) & (net_admin | bpf) == 0, key
    assert int(proc.status(helper, "CapEff"), 16) == int(proc.status(helper, "CapPrm"), 16) == kept
    assert int(proc.status(helper, "CapBnd"), 16) & ~kept == 0
    assert proc.status(helper, "Uid").split() == [str(user or 65534)] * 4
    assert proc.status(helper, "Seccomp") == "2" and proc.status(helper, "NoNewPrivs") == "1"
    assert proc.fd_count(helper) <= (15 if means == "xdp" else 5)
    assert helper_of(weir) == helper and weir.alive()

# SPDX-License-Identifier: MPL-2.0
"""upstream.source: an application that judges by address (pyzmq's authenticator, ZMQ_TCP_ACCEPT_FILTER), with clients on the other end of
a virtual cable. Without the key it sees Weir alone; with it, the clients."""
import os
import signal
import socket
import subprocess

import pytest
import zmq
from harness import net, proc, zmtp
from harness.balancer import header_v2
from harness.net import wait_until
from harness.network import NEIGHBOUR, NEIGHBOUR6, OFFENDER, OFFENDER6, SERVER4, SERVER6, Network, run, why_not
from harness.weir import program


@pytest.fixture
def network():
    reason = why_not()
    if reason and os.environ.get("WEIR_KERNEL_TESTS"):
        pytest.fail(f"upstream.source must be tested: {reason}")
    if reason:
        pytest.skip(reason)
    n = Network()
    yield n
    n.close()


def config(forward, source="client", **keys):
    gate = {"name": "main", "listen": f"tcp://*:{net.free_port()}", "forward": forward, "upstream": {"source": source}, **keys}
    return {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, "gates": [gate]}


def port_of(weir):
    return net.split_tcp(weir.listen)[1]


def rules():
    return [line for family in ("-4", "-6") for line in run("ip", family, "rule").splitlines() if line.startswith("20570:")]


def routes():
    return [line for family in ("-4", "-6") for line in run("ip", family, "route", "show", "table", "all").splitlines()
            if "proto 87" in line]


def is_served(network, weir, source, kind=zmq.REQ):
    """False: its connection was ended before it had an answer."""
    client = network.zmq_client(kind, source, port_of(weir), RECONNECT_IVL=-1)
    monitor = client.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    client.send(b"hello")
    poller = zmq.Poller()
    poller.register(client, zmq.POLLIN)
    poller.register(monitor, zmq.POLLIN)
    ready = dict(poller.poll(int(net.PATIENCE * 1000)))
    assert ready, "neither served nor refused"
    client.disable_monitor()
    return client in ready


# The denied and the allowed client, and where the application listens.
PLACES = {"loopback": ("127.0.0.1", OFFENDER, NEIGHBOUR), "own address": (SERVER4, OFFENDER, NEIGHBOUR),
          "IPv6 loopback": ("::1", OFFENDER6, NEIGHBOUR6), "own IPv6 address": (SERVER6, OFFENDER6, NEIGHBOUR6)}


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def place(request):
    return request.param


def start(start_app, kind, host, options=None, **kwargs):
    return start_app(kind, net.tcp(host), options={"IPV6": int(":" in host), **(options or {})}, **kwargs)


def authenticated(start_app, host, **zap):
    return start(start_app, "rep", host, options={"ZAP_DOMAIN": "global"}, zap=zap)


def test_a_deny_list(place, network, start_app, start_weir):
    host, denied, allowed = place
    app = authenticated(start_app, host, deny=[denied])
    weir = start_weir(config=config(app.endpoint))
    assert not is_served(network, weir, denied)
    assert is_served(network, weir, allowed)
    weir.wait_metric("weir_verdicts_total", 1, verdict="application_refused")
    assert len(rules()) == len(routes()) == 1


def test_an_allow_list(network, start_app, start_weir):
    app = authenticated(start_app, "127.0.0.1", allow=[NEIGHBOUR])
    weir = start_weir(config=config(app.endpoint))
    assert not is_served(network, weir, OFFENDER)
    assert is_served(network, weir, NEIGHBOUR)


def test_an_accept_filter(network, start_app, start_weir):
    """It must let Weir in, too, which looks at the application."""
    app = start(start_app, "rep", "127.0.0.1", options={"TCP_ACCEPT_FILTER": [NEIGHBOUR]})
    weir = start_weir(config=config(app.endpoint, handshake={"within": "1s"}))
    assert not is_served(network, weir, OFFENDER)
    assert is_served(network, weir, NEIGHBOUR)


@pytest.mark.parametrize("how", [{"options": {"TCP_ACCEPT_FILTER": [NEIGHBOUR]}},
                                 {"options": {"ZAP_DOMAIN": "global"}, "zap": {"allow": [NEIGHBOUR]}}], ids=["filter", "ZAP"])
def test_the_denied_go_on_trying(how, network, start_app, start_weir):
    """What the application does to them is no failure of its: the breaker stays closed."""
    app = start(start_app, "rep", "127.0.0.1", **how)
    weir = start_weir(config=config(app.endpoint))
    assert is_served(network, weir, NEIGHBOUR)
    denied = [network.zmq_client(zmq.REQ, OFFENDER, port_of(weir)) for _ in range(3)]
    if "zap" in how:  # libzmq gives up when it is told why
        weir.wait_metric("weir_verdicts_total", 3, verdict="application_refused")
    else:
        weir.wait_metric("weir_verdicts_total", 20, verdict="application_gone")
    assert weir.metric("weir_breaker_opened_total") == 0
    assert is_served(network, weir, NEIGHBOUR)
    assert not any(client.poll(0, zmq.POLLIN) for client in denied)


@pytest.mark.parametrize("zap", [{"deny": [OFFENDER]}, {"allow": ["127.0.0.1"]}], ids=["deny", "allow"])
def test_without_the_key_such_lists_are_void(zap, network, start_app, start_weir):
    """What the first page of the documentation warns of."""
    app = authenticated(start_app, "127.0.0.1", **zap)
    weir = start_weir(config=config(app.endpoint, source="weir"))
    assert is_served(network, weir, OFFENDER) and is_served(network, weir, NEIGHBOUR)
    assert rules() == []


def test_a_client_that_a_balancer_names(network, start_app, start_weir):
    """Its address is of no network here."""
    app = authenticated(start_app, "127.0.0.1", deny=["192.0.2.66"])
    weir = start_weir(config=config(app.endpoint, proxy_protocol={"from": [OFFENDER]}))
    for client, served in (("192.0.2.66", False), ("192.0.2.67", True)):
        peer = zmtp.RawPeer(network.connect(OFFENDER, port_of(weir)), socket_type="REQ")
        peer.send_raw(header_v2((client, 4711), (SERVER4, 5555)))
        if not served:
            with pytest.raises((zmtp.Closed, AssertionError)):
                peer.handshake()
            continue
        peer.handshake().send(b"", b"hello")
        assert peer.recv() == [b"", b"hello"]


def test_what_the_application_sees(network, start_weir, peers):
    """Addresses in the message's properties; a client on loopback has Weir's."""
    app = peers.app(zmq.REP, net.tcp())
    weir = start_weir(config=config(app.last_endpoint.decode()))
    for source in (OFFENDER, NEIGHBOUR):
        client = network.zmq_client(zmq.REQ, source, port_of(weir))
        for _ in range(3):
            client.send(b"x" * 100000)
            frame = app.recv(copy=False)
            assert frame.get("Peer-Address").removeprefix("::ffff:") == source and frame.get("X-Weir-Peer").startswith(source + ":")
            app.send(b"y" * 100000)
            assert client.recv() == b"y" * 100000
    here = peers.client(zmq.REQ, f"tcp://{SERVER4}:0;{SERVER4}:{port_of(weir)}")  # a client on this machine, from its other address
    here.send(b"hello")
    assert app.recv(copy=False).get("Peer-Address").removeprefix("::ffff:") == SERVER4
    app.send(b"hello")
    assert here.recv() == b"hello"
    local = peers.client(zmq.REQ, f"tcp://127.0.0.5:0;127.0.0.1:{port_of(weir)}")
    local.send(b"hello")
    frame = app.recv(copy=False)
    assert frame.get("Peer-Address").removeprefix("::ffff:") == "127.0.0.1" and frame.get("X-Weir-Peer").startswith("127.0.0.5:")


def test_a_client_of_the_other_ip_version(network, start_app, start_weir):
    """It cannot come from its address, so it does not come at all: no list would mean it."""
    app = start(start_app, "rep", "127.0.0.1")
    weir = start_weir(config=config(app.endpoint))
    assert not is_served(network, weir, OFFENDER6)
    assert is_served(network, weir, OFFENDER)
    weir.wait_metric("weir_verdicts_total", 1, verdict="no_upstream_source")
    assert weir.metric("weir_strikes_total") == weir.metric("weir_breaker_opened_total") == 0


def test_an_application_that_comes_back(place, network, start_app, start_weir):
    """A refusal finds its way back, too: nobody waits for a time-out."""
    host, _, source = place
    endpoint = net.tcp(host)
    options = {"IPV6": int(":" in host)}
    app = start_app("rep", endpoint, options=options)
    weir = start_weir(config=config(endpoint, handshake={"within": "1m"}))
    client = network.zmq_client(zmq.REQ, source, port_of(weir), REQ_RELAXED=1)
    client.send(b"before")
    assert client.recv() == b"before"
    app.kill()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.setsockopt(*((socket.IPPROTO_IPV6, 75) if ":" in host else (socket.IPPROTO_IP, 19)), 1)  # IPV6_TRANSPARENT, IP_TRANSPARENT
        s.settimeout(net.PATIENCE)
        s.bind((source, 0))
        with pytest.raises(ConnectionRefusedError):
            s.connect(net.split_tcp(endpoint))
    wait_until(lambda: "cannot be reached (Connection refused)" in weir.stderr(), "Weir to notice")
    app = start_app("rep", endpoint, options=options)
    client.send(b"after")
    assert client.recv() == b"after"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT], ids=lambda s: s.name)
def test_the_end(how, network, start_app, start_weir):
    """Rules and routes go with Weir, however it ends; and a new one may begin at once."""
    run("ip", "rule", "add", "priority", "20571", "from", "192.0.2.1", "lookup", "77")
    before = run("ip", "rule"), run("ip", "-6", "rule")
    app, app6 = start(start_app, "rep", "127.0.0.1"), start(start_app, "rep", "::1")
    gates = [config(app.endpoint)["gates"][0], {**config(app6.endpoint)["gates"][0], "name": "six"},
             {**config(app.endpoint)["gates"][0], "name": "same"}]
    both = {"admin": {"listen": f"127.0.0.1:{net.free_port()}"}, "gates": gates}
    weir = start_weir(config=both)
    assert len(rules()) == len(routes()) == 2
    helper = children(weir.pid)
    assert len(helper) == 1
    weir.expected_exit = 0 if how == signal.SIGTERM else -how
    weir.signal(how)
    weir.wait()
    wait_until(lambda: not rules() and not routes(), "the rules to go")
    wait_until(lambda: not os.path.exists(f"/proc/{helper[0]}"), "the helper to end")
    assert (run("ip", "rule"), run("ip", "-6", "rule")) == before
    weir = start_weir(config=both)
    assert len(rules()) == 2
    assert is_served(network, weir, NEIGHBOUR)


def test_the_helper_is_killed(network, start_app, start_weir):
    """What it leaves behind the next Weir takes over, and removes."""
    app = start(start_app, "rep", "127.0.0.1")
    weir = start_weir(config=config(app.endpoint))
    os.kill(children(weir.pid)[0], signal.SIGKILL)
    assert is_served(network, weir, NEIGHBOUR)
    weir.stop()
    assert len(rules()) == 1
    weir = start_weir(config=config(app.endpoint))
    assert len(rules()) == 1 and is_served(network, weir, NEIGHBOUR)
    weir.stop()
    assert rules() == routes() == []


def test_rules_that_somebody_removes(network, start_app, start_weir):
    """As systemd-networkd does when it starts anew: they come back."""
    app = start(start_app, "rep", "127.0.0.1")
    weir = start_weir(config=config(app.endpoint))
    run("ip", "rule", "del", "priority", "20570")
    run("ip", "route", "flush", "proto", "87", "table", "all")
    assert rules() == routes() == []
    wait_until(lambda: rules() and routes(), "the rules to come back")
    assert is_served(network, weir, NEIGHBOUR)


@pytest.mark.parametrize("kernel", [False, True], ids=["", "ban.kernel"])
def test_rights(kernel, network, start_app, start_weir):
    """The main process keeps CAP_NET_RAW and a filter of system calls, the helper CAP_NET_ADMIN."""
    app = start(start_app, "rep", "127.0.0.1")
    weir = start_weir(config=config(app.endpoint, **({"ban": {"kernel": "nftables"}} if kernel else {})))
    net_admin, net_raw = 1 << 12, 1 << 13
    for key in ("CapPrm", "CapEff"):
        assert int(proc.status(weir.pid, key), 16) & (net_admin | net_raw) == net_raw
    for key in ("CapAmb", "CapBnd"):
        assert int(proc.status(weir.pid, key), 16) & (net_admin | net_raw) == 0
    assert proc.status(weir.pid, "Seccomp") == "2" and proc.status(weir.pid, "NoNewPrivs") == "1"
    helper = [pid for pid in children(weir.pid) if proc.status(pid, "Name") == "weir-source"][0]
    for key in ("CapPrm", "CapEff", "CapBnd"):
        assert int(proc.status(helper, key), 16) == net_admin
    assert proc.status(helper, "Seccomp") == "2" and proc.status(helper, "NoNewPrivs") == "1"
    assert proc.status(helper, "Uid").split() == ["65534"] * 4
    assert is_served(network, weir, NEIGHBOUR)


def test_another_user_with_just_these_rights(network, start_app, start_weir, paths, monkeypatch):
    """As client-source.conf has it."""
    os.chmod(paths.folder, 0o755)
    monkeypatch.setenv("WEIR", f"setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps +net_admin,+net_raw --ambient-caps "
                               f"+net_admin,+net_raw --bounding-set -all,+net_admin,+net_raw {' '.join(program())}")
    app = authenticated(start_app, "127.0.0.1", deny=[OFFENDER])
    weir = start_weir(config=config(app.endpoint))
    assert not is_served(network, weir, OFFENDER)
    assert is_served(network, weir, NEIGHBOUR)
    weir.stop()
    assert rules() == []


def fails_to_start(paths, conf, *wrapper):
    path = paths.file("weir.yaml")
    with open(path, "w") as f:
        import yaml
        yaml.safe_dump(conf, f)
    done = subprocess.run([*wrapper, *program(), "serve", "-c", path], capture_output=True, text=True, timeout=net.PATIENCE)
    assert done.returncode != 0
    return done.stderr


def test_what_cannot_be(network, start_app, start_weir, paths):
    """Refused at the start, with the reason; nobody is served from another address than was asked for."""
    app = start(start_app, "rep", "127.0.0.1")
    for missing in ("net_raw", "net_admin"):
        said = fails_to_start(paths, config(app.endpoint), "setpriv", "--bounding-set", f"-{missing}", "--inh-caps", f"-{missing}")
        assert "gate main: upstream.source: client: CAP_NET_ADMIN and CAP_NET_RAW are missing" in said
    said = fails_to_start(paths, config(f"tcp://{OFFENDER}:5555"))
    assert "the application is not on this machine" in said
    said = fails_to_start(paths, config("ipc:///run/x"))
    assert "upstream.source: client needs an application on tcp" in said
    assert rules() == routes() == []
    start_weir(config=config(app.endpoint))
    said = fails_to_start(paths, config(app.endpoint))
    assert "another Weir on this machine connects to the same application" in said
    assert len(rules()) == 1

# SPDX-License-Identifier: MPL-2.0
"""`weir run`: a program under it is what it is without, but for the gate. Each program below is run both ways where the two can be compared."""
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import textwrap

import pytest
import zmq
from harness import net, zmtp
from harness.events import EventLog
from harness.net import PATIENCE, wait_until
from harness.run import Ran
from harness.weir import program

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
        return e.strerror
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
    child.read_all()
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


# ---- binding ----

def test_an_address_in_use_and_one_that_is_not_ours(run):
    port = net.free_port()
    app = run(f"""
        a, b = ctx.socket(zmq.PULL), ctx.socket(zmq.PULL)
        a.bind("tcp://127.0.0.1:{port}")
        for url in ("tcp://127.0.0.1:{port}", "tcp://203.0.113.1:{port}", "tcp://no-such-interface:{port}"):
            say(named(lambda: b.bind(url)))
    """)
    assert ended(app) == ["Address already in use", "Cannot assign requested address", "No such device"]


def test_a_port_below_1024_without_the_right(run):
    app = run("""
        os.setuid(65534)
        s = ctx.socket(zmq.PULL)
        say(named(lambda: s.bind("tcp://127.0.0.1:1023")))
    """) if os.getuid() == 0 and open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read().strip() != "0" else None
    if app is None:
        pytest.skip("needs root, and ports for root alone")
    assert ended(app) == ["Permission denied"]


def test_unbind_and_bind_again(run):
    """The address is free when the listener is closed: at once, twenty times, and each time the first client is served."""
    app = run("""
        s = ctx.socket(zmq.REP)
        s.bind("tcp://127.0.0.1:*")
        where = last(s)
        monitor = s.get_monitor_socket(zmq.EVENT_CLOSED)
        for i in range(20):
            c = ctx.socket(zmq.REQ); c.connect(where)
            c.send(b"x"); s.recv(); s.send(b"y"); c.recv(); c.close()
            s.unbind(where)
            monitor.recv_multipart()
            s.bind(where)
            assert last(s) == where
        say(where)
    """)
    where = ended(app)[0]
    assert [listen for listen, _ in app.gates()] == [where] * 21


def test_many_ports_one_after_the_other(run):
    """More than there is room for at one time: a gate without connections makes room."""
    app = run("""
        for i in range(150):
            s = ctx.socket(zmq.PULL)
            port = s.bind_to_random_port("tcp://127.0.0.1")
            c = ctx.socket(zmq.PUSH); c.connect("tcp://127.0.0.1:%d" % port)
            c.send(b"%d" % i)
            assert s.recv() == b"%d" % i
            c.close(0); s.close(0)
        say("done")
    """)
    assert ended(app) == ["done"]
    assert len(app.gates()) == 150


def test_a_program_without_room_for_the_addresses_of_its_clients(run):
    """It would take all of them for Weir: it has no gate."""
    port = net.free_port()
    app = run(f"""
        import resource
        now = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + (8 << 20),) * 2)
        s = socket.create_server(("127.0.0.1", {port})); say(s.getsockname())
        c, peer = s.accept(); say(peer == c.getpeername(), peer[0])
    """, options=["--port", str(port)])
    heard(app)
    socket.create_connection(("127.0.0.1", port), source_address=("127.9.8.7", 0), timeout=PATIENCE).close()
    assert ended(app) == [["127.0.0.1", port], [True, "127.9.8.7"]]
    assert app.gates() == [] and app.stderr().count("no memory, or no descriptor, for the addresses of clients") == 1


def test_beyond_64_gates_the_program_goes_on_without(run):
    app = run("""
        all = []
        for i in range(70):
            s = ctx.socket(zmq.PULL)
            port = s.bind_to_random_port("tcp://127.0.0.1")
            c = ctx.socket(zmq.PUSH); c.connect("tcp://127.0.0.1:%d" % port)
            c.send(b"x")
            assert s.recv() == b"x"
            all += [s, c]
        say("done")
    """)
    assert ended(app) == ["done"]
    assert len(app.gates()) == 64
    assert app.says("listens without a gate: too many gates", 6)


def test_several_listeners_share_a_port(run):
    """SO_REUSEPORT: two sockets on one port, of which each has a gate. --port: it is not libzmq that listens."""
    port = net.free_port()
    app = run(f"""
        def one():
            s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(("127.0.0.1", {port})); s.listen(); return s
        a, b = one(), one()
        say(a.getsockname(), b.getsockname())
    """, options=["--port", str(port)])
    assert ended(app) == [[["127.0.0.1", port]] * 2]
    assert [listen for listen, _ in app.gates()] == [f"tcp://127.0.0.1:{port}"] * 2


def test_other_listeners_of_the_program_stay_as_they_are(run):
    app = run("""
        http = socket.create_server(("127.0.0.1", 0))
        s = ctx.socket(zmq.PULL); s.bind("tcp://127.0.0.1:*")
        say(http.getsockname()[1])
        c, peer = http.accept()
        say(c.recv(100).decode(), peer)
        c.sendall(b"HTTP/1.0 200 OK")
    """)
    port = heard(app)[0]
    with socket.create_connection(("127.0.0.1", port)) as c:
        c.sendall(b"GET / HTTP/1.0")
        assert c.recv(100) == b"HTTP/1.0 200 OK"
        assert heard(app, 2)[1] == ["GET / HTTP/1.0", list(c.getsockname())]
    ended(app)
    assert len(app.gates()) == 1


# ---- who may come in ----

def test_address_lists_of_zap_and_the_accept_filter(run, peers):
    """Both judge the client's own address."""
    app = run("""
        import zmq.auth.thread
        auth = zmq.auth.thread.ThreadAuthenticator(ctx); auth.start(); auth.allow("127.9.8.7")
        zap = ctx.socket(zmq.PULL); zap.zap_domain = b"x"
        zap.bind("tcp://127.0.0.1:*")
        some = ctx.socket(zmq.PULL)
        some.setsockopt(zmq.TCP_ACCEPT_FILTER, b"127.9.8.0/24")
        some.bind("tcp://127.0.0.1:*")
        say(last(zap), last(some))
        say([zap.recv().decode(), some.recv().decode()])
        auth.stop()
    """)
    clients = []
    for endpoint in heard(app)[0]:
        where = endpoint.removeprefix("tcp://")
        for source in ("127.1.1.1", "127.9.8.7"):
            clients.append(peers.client(zmq.PUSH, f"tcp://{source}:{net.free_port(source)};{where}"))
            clients[-1].send(source.encode())
    assert heard(app, 2)[1] == ["127.9.8.7"] * 2


def past_the_gate(app, number=0):
    """Connects to the port that the program really listens on, as anybody on this machine can. Whether it was served."""
    with zmtp.raw_connect(app.gates()[number][1]) as c:
        try:
            c.sendall(b"\xff" + bytes(8) + b"\x7f\x03")
            return c.recv(1) != b""
        except OSError:
            return False


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:*", "tcp://[::1]:*"])
def test_a_local_program_does_not_get_past_the_gate(bind, run, peers):
    app = run(f"""
        s = ctx.socket(zmq.REP); s.setsockopt(zmq.IPV6, 1)
        s.bind("{bind}"); say(last(s))
        for i in range(7): s.send(s.recv())
    """)
    endpoint = heard(app)[0]
    for i in range(3):
        client = peers.client(zmq.REQ, endpoint, IPV6=1)
        for _ in range(2):
            client.send(b"x")
            assert client.recv() == b"x"
            assert not past_the_gate(app)
        client.close()
    last = peers.client(zmq.REQ, endpoint, IPV6=1)
    last.send(b"x")
    ended(app)
    assert app.stderr().count("has connected past the gate") == 1


def test_one_that_waits_in_accept_does_not_wake(run):
    """The program has its next client, and no error."""
    port = net.free_port()
    app = run(f"""
        s = socket.create_server(("127.0.0.1", {port}))
        say("ready")
        c, peer = s.accept()
        say(peer, c.getpeername())
    """, options=["--port", str(port)])
    heard(app)
    assert not past_the_gate(app)
    client = zmtp.raw_connect(f"tcp://127.0.0.1:{port}")
    client.sendall(b"\xff" + bytes(8) + b"\x7f\x03")
    assert heard(app, 2)[1] == [list(client.getsockname())] * 2
    ended(app)


# ---- processes ----

def test_the_process_is_the_commands_own(run):
    """Its id, parent, group, terminal and children are as without Weir."""
    app = run("""
        try: os.waitpid(-1, os.WNOHANG); child = "a child"
        except ChildProcessError: child = "none"
        say(os.getpid(), os.getppid(), os.getpgrp(), os.getsid(0), child, sys.stdin.read())
    """)
    assert ended(app) == [[app.pid, os.getpid(), os.getpgrp(), os.getsid(0), "none", ""]]


def processes_of_session(session):
    """{name: process group}"""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
                group, its_session = rest.split()[2:4]
                if int(its_session) == session:
                    found[name] = int(group)
    return found


def test_weir_stays_in_the_session_of_the_command(run, paths):
    """A session of its own would be another group for the scheduler: on a busy machine brokers then do half of what they do bare. It is no part of the group that a terminal
    signals, and goes on to write where a terminal stops what writes in the background."""
    master, slave = os.openpty()
    flags = termios.tcgetattr(slave)
    flags[3] |= termios.TOSTOP
    termios.tcsetattr(slave, termios.TCSANOW, flags)
    text = 'import sys, zmq; s = zmq.Context().socket(zmq.REP); s.bind("tcp://127.0.0.1:*"); print("bound", flush=True); sys.stdin.readline()'
    child = subprocess.Popen([*program(), "run", "--", sys.executable, "-c", text], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                             preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(slave)
    try:
        seen = b""
        while b"bound" not in seen or b"weir: ready: tcp://" not in seen:
            assert select.select([master], [], [], PATIENCE)[0], seen
            seen += os.read(master, 4096)
        groups = processes_of_session(child.pid)
        assert len(groups) == 2 and groups.pop("weir") != child.pid and list(groups.values()) == [child.pid]
        os.write(master, b"\n")
        assert child.wait(PATIENCE) == 0
    finally:
        child.kill()
        os.close(master)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH])
def test_signals_reach_the_command(number, run):
    app = run(f"""
        signal.signal({int(number)}, lambda n, f: (os.write(1, b'"got"\\n'), os._exit(5)))
        say("ready")
        while True: signal.pause()
    """)
    heard(app)
    app.signal(number)
    assert ended(app, 5) == ["ready", "got"]


def test_exit_codes(run):
    assert run("sys.exit(7)").wait() == 7
    killed = run("os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.wait() == -signal.SIGKILL
    killed.wait_weir()
    assert run(command=["/nowhere/program"]).wait() == 127
    assert run(command=["/etc/passwd"]).wait() == 126


def test_the_port_is_free_when_the_program_is_killed(run):
    app = run("""
        s = ctx.socket(zmq.PULL); s.bind("tcp://127.0.0.1:*")
        say(last(s)); time.sleep(60)
    """)
    host, port = net.split_tcp(heard(app)[0])
    app.signal(signal.SIGKILL)
    app.wait()

    def is_free():
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return s.connect_ex((host, port)) != 0
    wait_until(is_free, "the port to be free")
    app.wait_weir()


def test_started_again_and_again(run):
    port = net.free_port()
    for _ in range(5):
        app = run(f"""
            s = ctx.socket(zmq.PULL)
            say(named(lambda: s.bind("tcp://127.0.0.1:{port}")))
        """)
        assert ended(app) == ["done"]


def test_a_child_that_is_forked_and_one_that_is_executed(run, peers):
    """Each has its gates, and a listener that a child has inherited stays open until the child has closed it."""
    app = run("""
        text = "; ".join(["import zmq", "s = zmq.Context().socket(zmq.REP)", "s.bind('tcp://127.0.0.1:*')",
                          "print(s.getsockopt(zmq.LAST_ENDPOINT).rstrip(bytes(1)).decode(), flush=True)",
                          "print(s.recv().decode(), flush=True)", "s.send(b'executed')"])
        executed = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
        read, write = os.pipe()
        if os.fork() == 0:
            own = zmq.Context(); s = own.socket(zmq.REP); s.bind("tcp://127.0.0.1:*")
            os.write(write, last(s).encode())
            s.recv(); s.send(b"forked"); s.close(); own.term(); os._exit(0)
        say([executed.stdout.readline().strip(), os.read(read, 100).decode()])
        say(executed.stdout.readline().strip())
        os.wait()
    """)
    for endpoint, name in zip(heard(app)[0], (b"executed", b"forked")):
        client = peers.client(zmq.REQ, endpoint)
        client.send(b"hello")
        assert client.recv() == name
    ended(app)
    assert len(app.gates()) == 2


def test_a_daemon_that_closes_all_that_it_has_inherited(run):
    """It has no descriptor of Weir any more, and its parents have ended, when it takes its time before it binds."""
    app = run("""
        read, write = os.pipe()
        if os.fork():
            os.close(write); os.read(read, 1); os._exit(0)
        os.setsid()
        os.closerange(3, 4096)
        time.sleep(0.7)
        s = zmq.Context().socket(zmq.PULL); s.bind("tcp://127.0.0.1:*")
        c = s.context.socket(zmq.PUSH); c.connect(last(s)); c.send(b"x")
        say(s.recv().decode())
    """)
    assert heard(app) == ["x"]
    app.wait_weir()
    assert len(app.gates()) == 1 and "Weir is not there" not in app.stderr()


def test_a_listener_outlives_its_process_in_a_child(run):
    port = net.free_port()
    app = run(f"""
        s = socket.create_server(("127.0.0.1", {port}))
        if os.fork() == 0:
            time.sleep(1.5)
            c, peer = s.accept()
            say(c.recv(100).hex()[:2], peer, c.getpeername(), c.getsockname())
            os._exit(0)
        os._exit(3)
    """, options=["--port", str(port)])
    assert app.wait() == 3
    client = zmtp.raw_connect(f"tcp://127.0.0.1:{port}")
    client.sendall(b"\xff" + bytes(8) + b"\x7f\x03")
    me = list(client.getsockname())
    assert heard(app) == [["ff", me, me, ["127.0.0.1", port]]]
    app.wait_weir()


def test_threads_bind_at_the_same_time(run):
    app = run("""
        def work():
            for i in range(10):
                s = ctx.socket(zmq.PULL); port = s.bind_to_random_port("tcp://127.0.0.1")
                c = ctx.socket(zmq.PUSH); c.connect("tcp://127.0.0.1:%d" % port)
                c.send(b"x"); assert s.recv() == b"x"
                c.close(0); s.close(0)
            done.append(1)
        done = []
        threads = [threading.Thread(target=work) for _ in range(8)]
        [t.start() for t in threads]; [t.join() for t in threads]
        say(len(done))
    """)
    assert ended(app) == [8]


# ---- traffic ----

def test_the_first_publication_reaches_a_subscriber_that_waits(run, peers):
    """A client that tries to connect before the program listens is served as soon as it does: the gate is open when bind() returns."""
    port = net.free_port()
    sub = peers.client(zmq.SUB, f"tcp://127.0.0.1:{port}", RECONNECT_IVL=5, SUBSCRIBE=b"")
    app = run(f"""
        s = ctx.socket(zmq.XPUB); s.bind("tcp://127.0.0.1:{port}")
        s.recv()
        s.send(b"first")
        sys.stdin.read()
        say("done")
        s.close(-1); ctx.term()
    """)
    assert sub.recv() == b"first"
    ended(app)


def test_what_was_sent_before_the_end_arrives(run, peers):
    """A program that sends and exits: Weir delivers what it has taken."""
    port = net.free_port()
    pull = peers.client(zmq.PULL, f"tcp://127.0.0.1:{port}", RECONNECT_IVL=5)
    app = run(f"""
        s = ctx.socket(zmq.PUSH); s.bind("tcp://127.0.0.1:{port}")
        for i in range(2000): s.send(b"%d" % i + bytes(1000))
        s.close(-1); ctx.term()
    """)
    assert [int(pull.recv().split(b"\0")[0]) for _ in range(2000)] == list(range(2000))
    ended(app)


def test_a_monitor_sees_what_clients_do_and_no_more(run, peers):
    text = """
        import zmq.utils.monitor
        s = ctx.socket(zmq.PULL)
        m = s.get_monitor_socket()
        s.bind("tcp://127.0.0.1:*")
        say(last(s))
        for i in range(3): s.recv()
        seen = []
        while seen.count("DISCONNECTED") < 3:
            e = zmq.utils.monitor.recv_monitor_message(m)
            seen.append(zmq.constants.Event(e["event"]).name)
        say(sorted(seen))
    """
    both = []
    for bare in (True, False):
        app = run(text, bare=bare)
        endpoint = heard(app)[0]
        for _ in range(3):
            client = peers.client(zmq.PUSH, endpoint)
            client.send(b"x")
            client.close(5000)
        both.append(heard(app, 2)[1])
        ended(app)
    assert both[0] == both[1]


# ---- what is given on the command line ----

def test_limits_come_from_the_file_by_port(run, peers, paths):
    one, other = net.free_port(), net.free_port()
    path = paths.file("run.yaml")
    with open(path, "w") as f:
        f.write(f"gates:\n  - {{name: small, listen: 'tcp://*:{one}', message: {{size: 1KiB}}}}\n  - {{name: rest, listen: 'tcp://*:*'}}\n")
    app = run(f"""
        a, b = ctx.socket(zmq.PULL), ctx.socket(zmq.PULL)
        a.bind("tcp://127.0.0.1:{one}"); b.bind("tcp://127.0.0.1:{other}")
        say("ready")
        say(len(b.recv())); say(len(a.recv()))
    """, options=["-c", path])
    heard(app)
    clients = [peers.client(zmq.PUSH, f"tcp://127.0.0.1:{port}") for port in (one, one, other)]
    for client, size in zip(clients, (2000, 500, 2000)):
        client.send(bytes(size))
    assert heard(app, 3)[1:] == [2000, 500]
    ended(app)


def test_the_admin_address_shows_gates_as_they_come_and_go(run):
    import urllib.request
    admin = f"127.0.0.1:{net.free_port()}"
    app = run("""
        s = ctx.socket(zmq.PULL); s.bind("tcp://127.0.0.1:*")
        say(last(s)); sys.stdin.readline()
    """, options=["--admin", admin], stdin=True)
    port = net.split_tcp(heard(app)[0])[1]
    text = urllib.request.urlopen(f"http://{admin}/metrics", timeout=PATIENCE).read().decode()
    assert f'gate="tcp-{port}"' in text
    app.process.stdin.write("\n")
    app.process.stdin.flush()
    ended(app)


def test_gates_that_come_and_go_are_counted_and_in_the_event_log(run, peers, paths):
    """A closed gate is no fault: health stays good, and the list of gates has it no more."""
    import urllib.request
    admin, log, path = f"127.0.0.1:{net.free_port()}", EventLog(paths.file("events.jsonl")), paths.file("run.yaml")
    one, other = net.free_port(), net.free_port()
    with open(path, "w") as f:
        f.write(f"events: {{file: {log.path}}}\ngates:\n  - {{name: one, listen: 'tcp://*:{one}'}}\n")
    app = run(f"""
        s = ctx.socket(zmq.REP); s.bind("tcp://127.0.0.1:{one}")
        t = ctx.socket(zmq.REP); t.bind("tcp://127.0.0.1:{other}")
        s.unbind("tcp://127.0.0.1:{one}")
        say("ready"); sys.stdin.readline()
    """, options=["-c", path, "--admin", admin], stdin=True)

    def page(name):
        return urllib.request.urlopen(f"http://{admin}/{name}", timeout=PATIENCE).read().decode()
    heard(app)
    opened, closed = log.wait("gate_opened")[0], log.wait("gate_closed")[0]
    listen, forward = app.gates()[0]
    assert (opened["gate"], opened["detail"]) == (f"tcp-{one}", f"{listen} -> {forward}")
    assert (closed["gate"], closed["detail"]) == (f"tcp-{one}", listen)
    text = page("metrics")
    assert "\nweir_gates 0\n" in text and "\nweir_gates_opened_total 1\n" in text and "\nweir_gates_refused_total 1\n" in text
    assert f'weir_messages_total{{gate="tcp-{one}",direction="in"}} 0' in text
    assert page("healthz") == "ok\n"
    app.process.stdin.write("\n")
    app.process.stdin.flush()
    ended(app)


def test_a_weir_that_cannot_start_starts_nothing(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = run("say('started')", options=["--admin", "127.0.0.1:%d" % taken.getsockname()[1]])
        assert ended(app, 1) == []


@pytest.mark.parametrize("args", [[], ["--port", "0", "--", "true"], ["--port", "x", "true"], ["--nonsense", "true"], ["-c"]])
def test_wrong_arguments(args):
    done = subprocess.run([*program(), "run", *args], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("weir: ") or "weir run" in done.stderr


def test_a_preload_object_of_the_user_is_kept(run):
    app = run(command=[sys.executable, "-c", "import os; print(repr(os.environ['LD_PRELOAD']))"], env={"LD_PRELOAD": "libm.so.6", "ASAN_OPTIONS": "verify_asan_link_order=0"})
    assert app.wait() == 0
    assert app.lines[0].endswith("libweir-run.so:libm.so.6'")


def test_without_weir_the_program_goes_on(run, peers):
    """Weir is killed: a new listener is the program's own again, with one line that says so."""
    app = run("""
        s = ctx.socket(zmq.REP); s.bind("tcp://127.0.0.1:*")
        say(last(s)); sys.stdin.readline()
        t = ctx.socket(zmq.REP); t.bind("tcp://127.0.0.1:*")
        say(last(t)); t.recv(); t.send(b"here")
        u = ctx.socket(zmq.REP); u.bind("tcp://127.0.0.1:*")
        t.close(); u.close(); s.close(); ctx.term()
    """, stdin=True)
    heard(app)
    weir = weirs_of(app)
    assert len(weir) == 1
    os.kill(weir[0], signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{weir[0]}/fd/0"), "the end of Weir")
    app.process.stdin.write("\n")
    app.process.stdin.flush()
    client = peers.client(zmq.REQ, heard(app, 2)[1])
    client.send(b"x")
    assert client.recv() == b"here"
    ended(app)
    assert app.says("Weir is not there any more")


def weirs_of(app):
    """The processes of Weir whose standard error is the program's."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/fd/2") == app.stderr_path and open(f"/proc/{pid}/comm").read().strip() == "weir":
                found.append(int(pid))
        except OSError:
            continue
    return found


def test_a_listener_that_the_program_has_made_itself(run, peers):
    """ZMQ_USE_FD, as with socket activation: libzmq does not listen. With --port it has a gate all the same."""
    port = net.free_port()
    app = run(f"""
        listener = socket.create_server(("127.0.0.1", {port}))
        s = ctx.socket(zmq.PULL); s.setsockopt(zmq.USE_FD, listener.detach())
        s.bind("tcp://127.0.0.1:{port}"); say(last(s))
        m = s.recv(copy=False); say(m.get("Peer-Address"), m.get("X-Weir-Peer") != "")
    """, options=["--port", str(port)])
    heard(app)
    client = peers.client(zmq.PUSH, f"tcp://127.9.8.7:{net.free_port('127.9.8.7')};127.0.0.1:{port}")
    client.send(b"x")
    assert ended(app) == [f"tcp://127.0.0.1:{port}", ["127.9.8.7", True]]
    assert len(app.gates()) == 1


@pytest.mark.parametrize("named", [False, True])
def test_a_stream_socket_has_no_gate(named, run):
    """Its type is known where libzmq's functions can be replaced; a port that is named is left alone in any case."""
    port = net.free_port()
    app = run(f"""
        s = ctx.socket(zmq.STREAM); s.bind("tcp://127.0.0.1:{port}")
        c = socket.create_connection(("127.0.0.1", {port})); c.sendall(b"GET / HTTP/1.0")
        s.recv_multipart()
        say(s.recv_multipart()[1].decode())
        t = ctx.socket(zmq.PULL); t.bind("tcp://127.0.0.1:*")
    """, options=["--leave", str(port)] if named else [])
    assert ended(app) == ["GET / HTTP/1.0"]
    assert len(app.gates()) == 1
    assert app.stderr().count("a ZMQ_STREAM socket speaks no ZMTP") == (0 if named else 1)


def test_a_transport_that_has_no_gate_is_named_once(run, paths):
    """Multicast: two sockets and one line, which says what weir serve can do. ipc is untouched without a word, and a bind that fails says nothing."""
    app = run(f"""
        def bind(url):
            s = ctx.socket(zmq.PUB); s.linger = 0
            try: s.bind(url)
            except zmq.ZMQError as e: return e.strerror
        multicast = bind("epgm://127.0.0.1;239.192.1.1:5555")
        bind("epgm://127.0.0.1;239.192.1.1:5556")
        say(multicast, bind("tipc://nonsense") is not None, bind("ipc://{paths.file('s')}"), bind("tcp://127.0.0.1:*"))
    """)
    multicast, *others = heard(app)[0]  # openpgm says things of its own
    assert app.wait() == 0
    if multicast:
        pytest.skip(f"libzmq without epgm: {multicast}")
    assert others == [True, None, None]
    assert len(app.gates()) == 1
    assert app.stderr().count("epgm:// has no connections") == 1
    assert "an endpoint of tcp:// beside it has a gate" in app.stderr()
    assert app.stderr().count("listens without a gate") == 1


def test_a_range_of_descriptors_is_closed(run):
    port = net.free_port()
    app = run(f"""
        for i in range(20):
            s = socket.create_server(("127.0.0.1", {port}), reuse_port=False)
            fd = s.detach()
            os.closerange(fd, fd + 10)
            assert socket.socket().connect_ex(("127.0.0.1", {port})) != 0
        say("done")
    """, options=["--port", str(port)])
    assert ended(app) == ["done"]
    assert len(app.gates()) == 20


def test_a_program_that_cannot_be_reached_is_named(run):
    """Statically linked, as Go's programs are: it runs as it is, with a line that says so."""
    program = "/sbin/ldconfig"
    if not os.path.exists(program) or b"/ld-linux" in open(program, "rb").read()[:4096]:
        pytest.skip("no statically linked program here")
    app = run(command=[program, "--version"])
    assert app.wait() == 0
    assert app.has_said(f"warning: {program} has no gates: it is statically linked")


def test_limits_are_reloaded_for_gates_that_are_open(run, peers, paths):
    path = paths.file("run.yaml")

    def write(size):
        with open(path, "w") as f:
            f.write(f"gates:\n  - {{name: all, listen: 'tcp://*:*', message: {{size: {size}}}}}\n")
    write("1KiB")
    app = run("""
        s = ctx.socket(zmq.PULL); s.bind("tcp://127.0.0.1:*"); say(last(s))
        while True: say(len(s.recv()))
    """, options=["-c", path])
    endpoint = heard(app)[0]
    client = peers.client(zmq.PUSH, endpoint)
    client.send(bytes(1000))
    heard(app, 2)
    write("1MiB")
    os.kill(weirs_of(app)[0], signal.SIGHUP)
    wait_until(lambda: "reloaded" in app.stderr(), "the reload")
    client.send(bytes(100000))
    assert heard(app, 3)[1:] == [1000, 100000]


def test_nothing_is_left_of_closed_gates(run):
    """Descriptors of Weir, after hundreds of gates."""
    app = run("""
        def some(n):
            for i in range(n):
                s = ctx.socket(zmq.PULL); port = s.bind_to_random_port("tcp://127.0.0.1")
                c = ctx.socket(zmq.PUSH); c.connect("tcp://127.0.0.1:%d" % port)
                c.send(b"x"); s.recv(); c.close(0); s.close(0)
        for n in (20, 300):
            some(n); say("done"); sys.stdin.readline()
    """, stdin=True)

    def descriptors():
        return len(os.listdir(f"/proc/{weirs_of(app)[0]}/fd"))
    heard(app)
    wait_until(lambda: app.stderr().count("closed: nobody listens") == 20, "the end of the gates")
    before = descriptors()
    app.process.stdin.write("\n")
    app.process.stdin.flush()
    heard(app, 2)
    wait_until(lambda: app.stderr().count("closed: nobody listens") == 320, "the end of the gates")
    wait_until(lambda: descriptors() <= before + 2, f"as few descriptors as before ({before})")

# SPDX-License-Identifier: MPL-2.0
"""`weir run --ipc`: Unix sockets behind gates. Each program is run with and without Weir, and says the same."""
import os
import socket

import pytest
import zmq
from harness import net
from harness.net import PATIENCE, wait_until
from test_run import ended, heard, run  # noqa: F401  (a fixture)

IPC = ["--ipc"]
CREDENTIALS = """
        import struct
        def credentials(s):
            return struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
"""
OTHER_USER = 65534


def both(run, text, meanwhile=lambda app: None, **kwargs):  # noqa: F811
    """What the program says, bare and behind a gate; and the latter's standard error."""
    said = []
    for bare in (True, False):
        app = run(text, bare=bare, **({} if bare else {"options": IPC}), **kwargs)
        meanwhile(app)
        said.append(ended(app))
    assert app.gates()
    return *said, app.stderr()


def test_the_application_sees_its_own_path_and_its_clients_credentials(run, paths):  # noqa: F811
    """In the endpoint, in the descriptor of a message, for ZAP, and in the metadata."""
    path = paths.file("s")
    text = CREDENTIALS + f"""
        zap = ctx.socket(zmq.REP); zap.bind("inproc://zeromq.zap.01")
        def judge():
            m = zap.recv_multipart()
            say(m[3].decode().replace(str(child.pid), "CHILD"))
            zap.send_multipart([m[0], m[1], b"200", b"OK", b"", b""])
            zap.close(-1)
        s = ctx.socket(zmq.ROUTER); s.zap_domain = b"x"
        s.bind("ipc://{path}")
        say(last(s), os.path.exists("{path}"))
        child = subprocess.Popen([sys.executable, "-c", "import zmq, sys; s = zmq.Context().socket(zmq.DEALER); s.connect('ipc://{path}'); s.send(b'x'); s.recv()"])
        judging = threading.Thread(target=judge); judging.start()
        m = s.recv_multipart(copy=False)
        c = socket.socket(fileno=os.dup(m[-1].get(zmq.SRCFD)))
        pid, uid, gid = credentials(c)
        say(pid == child.pid, uid, gid, c.getsockname(), c.getpeername(), m[-1].get("Peer-Address").replace(str(child.pid), "CHILD"))
        s.send_multipart([bytes(m[0]), b""]); child.wait(); judging.join()
        s.close(0); ctx.term()
        say(os.path.exists("{path}"))
    """
    bare, gated, _ = both(run, text)
    assert bare == gated
    assert [f"ipc://{path}", True] in gated


@pytest.mark.parametrize("who", ["own", "other", "pid"])
def test_the_filter_of_users_judges_the_client(who, run, peers, paths):  # noqa: F811
    """ZMQ_IPC_FILTER_UID and _PID."""
    path = paths.file("s")
    option, value = {"own": ("IPC_FILTER_UID", os.getuid()), "other": ("IPC_FILTER_UID", OTHER_USER), "pid": ("IPC_FILTER_PID", os.getpid())}[who]
    text = f"""
        s = ctx.socket(zmq.PULL); s.setsockopt(zmq.{option}, {value}); s.RCVTIMEO = {1000 if who == "other" else int(1000 * PATIENCE)}
        s.bind("ipc://{path}")
        say("ready")
        say(named(s.recv))
    """

    def meanwhile(app):
        heard(app)
        client = peers.client(zmq.PUSH, f"ipc://{path}", LINGER=0)
        client.send(b"x")
        if who != "other":
            heard(app, 2)
    bare, gated, _ = both(run, text, meanwhile)
    assert bare == gated == ["ready", "Resource temporarily unavailable" if who == "other" else "done"]


def test_a_client_of_another_user(run, paths):  # noqa: F811
    """And whom a client sees: the program, and not Weir."""
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    path = paths.file("s")
    text = CREDENTIALS + f"""
        s = ctx.socket(zmq.REP); s.bind("ipc://{path}")
        os.chmod("{path}", 0o777)
        text = "import zmq; s = zmq.Context().socket(zmq.REQ); s.connect('ipc://{path}'); s.send(b''); s.recv()"
        child = subprocess.Popen([sys.executable, "-c", text], user={OTHER_USER}, group={OTHER_USER}, extra_groups=[])
        m = s.recv_multipart(copy=False)[-1]
        pid, uid, gid = credentials(socket.socket(fileno=os.dup(m.get(zmq.SRCFD))))
        say(pid == child.pid, uid, gid)
        s.send(b""); child.wait()
        c = socket.socket(socket.AF_UNIX); c.connect("{path}")
        say(credentials(c)[0] == os.getpid())
    """
    os.chmod(paths.folder, 0o755)
    bare, gated, _ = both(run, text)
    assert bare == gated == [[True, OTHER_USER, OTHER_USER], True]


def test_unbind_and_bind_again(run, paths):  # noqa: F811
    path = paths.file("orders.sock")
    app = run(f"""
        for i in range(20):
            s = ctx.socket(zmq.REP); s.bind("ipc://{path}")
            c = ctx.socket(zmq.REQ); c.connect("ipc://{path}")
            c.send(b"x"); s.recv(); s.send(b"y"); c.recv(); c.close(0)
            m = s.get_monitor_socket(zmq.EVENT_CLOSED)
            s.unbind("ipc://{path}"); m.recv_multipart()
            s.disable_monitor(); s.close(0)
        s = ctx.socket(zmq.PULL); s.bind("ipc://*")
        say(os.path.exists(last(s)[6:]))
    """, options=IPC)
    assert ended(app) == [True]
    assert [listen for listen, _ in app.gates()][:20] == [f"ipc://{path}"] * 20
    assert "gate ipc-orders_sock: closed" in app.stderr()


def test_what_reaches_the_program_is_judged_and_counted(run, peers, paths):  # noqa: F811
    """Limits of the file by path, and the application's counter."""
    import urllib.request
    path, config, admin = paths.file("s"), paths.file("run.yaml"), f"127.0.0.1:{net.free_port()}"
    with open(config, "w") as f:
        f.write(f"gates:\n  - {{name: small, listen: 'ipc://{path}', message: {{size: 1KiB}}}}\n  - {{name: rest, listen: 'tcp://*:*'}}\n")
    app = run(f"""
        s = ctx.socket(zmq.PULL); s.bind("ipc://{path}")
        t = ctx.socket(zmq.PULL); t.bind("ipc://{path}2")
        say("ready")
        while True: say(len(zmq.select([s, t], [], [])[0][0].recv()))
    """, options=["-c", config, "--admin", admin, *IPC])
    heard(app)
    clients = [peers.client(zmq.PUSH, f"ipc://{path}{other}") for other in ("", "2", "")]
    for client, size in zip(clients, (2000, 3000, 500)):
        client.send(bytes(size))
    assert sorted(heard(app, 3)[1:]) == [500, 3000]
    name = os.path.basename(path)
    wait_until(lambda: f'weir_counter_taken_messages_total{{gate="ipc-{name}"}} 1\n' in
               urllib.request.urlopen(f"http://{admin}/metrics", timeout=PATIENCE).read().decode(), "the counter")


def test_nobody_gets_past_the_gate(run, peers, paths):  # noqa: F811
    path = paths.file("s")
    app = run(f"""
        s = ctx.socket(zmq.REP); s.bind("ipc://{path}"); say("ready")
        for i in range(3): s.send(s.recv())
    """, options=IPC)
    heard(app)
    client = peers.client(zmq.REQ, f"ipc://{path}")
    for _ in range(3):
        hidden = app.gates()[0][1].removeprefix("ipc://@")
        with socket.socket(socket.AF_UNIX) as c:
            c.connect("\0" + hidden)
            assert c.recv(1) == b""
        client.send(b"x")
        assert client.recv() == b"x"
    ended(app)
    assert app.stderr().count("has connected past the gate") == 1


def test_ipc_is_left_alone_unless_it_is_asked_for(run, paths):  # noqa: F811
    app = run(f"""
        s = ctx.socket(zmq.PULL); s.bind("ipc://{paths.file("s")}")
        c = ctx.socket(zmq.PUSH); c.connect("ipc://{paths.file("s")}"); c.send(b"x"); say(s.recv().decode())
    """)
    assert ended(app) == ["x"]
    assert app.gates() == [] and "listens without a gate" not in app.stderr()


def test_what_the_command_starts_has_gates_too(run, peers, paths):  # noqa: F811
    path = paths.file("s")
    app = run(f"""
        text = "import zmq; s = zmq.Context().socket(zmq.REP); s.bind('ipc://{path}'); s.send(s.recv())"
        say(subprocess.call([sys.executable, "-c", text]))
    """, options=IPC)
    client = peers.client(zmq.REQ, f"ipc://{path}", RECONNECT_IVL=10)
    client.send(b"x")
    assert client.recv() == b"x"
    assert ended(app) == [0]
    assert len(app.gates()) == 1

# SPDX-License-Identifier: MPL-2.0
"""`weir run --hwm`: real programs whose sockets have the operator's high-water marks, and nothing else is changed."""
import subprocess

import pytest
from harness import net, zmtp
from harness.net import PATIENCE
from harness.weir import program
from test_run import ended, heard, run

__all__ = ["run"]

MARKS = """
def marks(s):
    return [s.getsockopt(zmq.RCVHWM), s.getsockopt(zmq.SNDHWM)]
def bound(kind, url="tcp://127.0.0.1:*", receive=None, send=None):
    s = ctx.socket(kind)
    if receive is not None: s.setsockopt(zmq.RCVHWM, receive)
    if send is not None: s.setsockopt(zmq.SNDHWM, send)
    s.bind(url)
    return s
"""


def hwm(run, text, *marks, **kwargs):
    options = [word for m in marks for word in ("--hwm", m)]
    return run(MARKS + "\n".join(line[8:] if line.startswith("        ") else line for line in text.splitlines()), options=[*options, *kwargs.pop("options", [])], **kwargs)


def lines_of(app):
    return [line for line in app.stderr().splitlines() if "--hwm" in line]


def test_each_kind_of_socket_has_the_marks_that_count_messages(run):
    """What counts subscriptions is left alone: they would be lost."""
    app = hwm(run, """
        for kind in (zmq.REP, zmq.ROUTER, zmq.DEALER, zmq.REQ, zmq.PAIR, zmq.PULL, zmq.PUSH, zmq.PUB, zmq.XPUB, zmq.SUB, zmq.XSUB):
            say(marks(bound(kind)))
    """, "7")
    both, receive, send = [7, 7], [7, 1000], [1000, 7]
    assert ended(app) == [both] * 5 + [receive, send, send, send, receive, receive]
    assert not lines_of(app) and len(app.gates()) == 11


def test_only_sockets_that_bind_tcp_have_them(run, paths):
    app = hwm(run, f"""
        say(marks(bound(zmq.PULL, "inproc://a")), marks(bound(zmq.PULL, "{paths.ipc()}")))
        s = ctx.socket(zmq.PUSH)
        s.connect("tcp://127.0.0.1:1")
        say(marks(s))
        say(marks(bound(zmq.STREAM)))
    """, "7")
    assert ended(app) == [[[1000, 1000], [1000, 1000]], [1000, 1000], [1000, 1000]]


def test_unix_sockets_that_have_gates_have_marks(run, paths):
    app = hwm(run, f"""
        say(marks(bound(zmq.PULL, "{paths.ipc()}")), marks(bound(zmq.ROUTER, "{paths.ipc()}")), marks(bound(zmq.ROUTER)))
    """, "7", options=["--ipc"])
    assert ended(app) == [[[7, 1000], [7, 7], [7, 7]]]
    app = hwm(run, f"""
        say(marks(bound(zmq.ROUTER, "{paths.ipc()}")), marks(bound(zmq.ROUTER)))
    """, "ipc=5/", options=["--ipc"])
    assert ended(app) == [[[5, 1000], [1000, 1000]]]


def test_marks_of_unix_sockets_need_gates_of_unix_sockets():
    done = subprocess.run([*program(), "run", "--hwm", "ipc=5", "--", "true"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2 and "--hwm ipc=N needs --ipc" in done.stderr


def test_a_port_has_its_own_and_either_may_be_left_out(run):
    one, two, three, other = (net.free_port() for _ in range(4))
    app = hwm(run, f"""
        for port in ({one}, {two}, {three}, {other}):
            say(marks(bound(zmq.ROUTER, "tcp://127.0.0.1:%d" % port)))
        say(marks(bound(zmq.ROUTER)))
    """, f"{one}=20", f"{two}=50/300", f"{three}=/5", "9/")
    assert ended(app) == [[20, 20], [50, 300], [1000, 5], [9, 1000], [9, 1000]]


def test_a_port_that_is_left_alone_keeps_its_own(run):
    left, named = net.free_port(), net.free_port()
    app = hwm(run, f"""
        say(marks(bound(zmq.PULL, "tcp://127.0.0.1:{left}")), marks(bound(zmq.PULL, "tcp://127.0.0.1:{named}")))
    """, "7", f"{named}=8", options=["--leave", str(left), "--leave", str(named)])
    assert ended(app) == [[[1000, 1000], [8, 1000]]]


def test_the_operator_comes_before_what_the_program_has_set_and_says_so_once(run):
    app = hwm(run, """
        say(marks(bound(zmq.ROUTER, receive=0, send=5000)))
        say(marks(bound(zmq.ROUTER, receive=3)))
    """, "7")
    assert ended(app) == [[7, 7], [7, 7]]
    line, = lines_of(app)
    assert f"process {app.pid} has set ZMQ_RCVHWM 0 for tcp://127.0.0.1:*: 7 is in force" in line


def test_what_the_program_sets_after_it_has_bound_is_its_own(run):
    app = hwm(run, """
        s = bound(zmq.ROUTER)
        s.setsockopt(zmq.RCVHWM, 33)
        say(marks(s))
    """, "7")
    assert ended(app) == [[33, 7]]


def test_a_bind_that_fails_changes_nothing(run):
    app = hwm(run, """
        s = ctx.socket(zmq.ROUTER)
        s.setsockopt(zmq.RCVHWM, 12)
        say(named(lambda: s.bind("tcp://203.0.113.1:5555")), marks(s))
        say(named(lambda: s.bind("tcp://no port")), marks(s))
    """, "7")
    assert ended(app) == [["Cannot assign requested address", [12, 1000]], ["Invalid argument", [12, 1000]]]


def test_programs_that_it_starts_have_them_too(run):
    app = hwm(run, """
        subprocess.run([sys.executable, "-c", "import zmq; s = zmq.Context().socket(zmq.PULL); s.bind('tcp://127.0.0.1:*'); print(s.getsockopt(zmq.RCVHWM), flush=True)"])
    """, "7")
    assert ended(app) == [7]


@pytest.mark.parametrize("mark", [None, "/5"])
def test_so_many_messages_are_held_for_a_client_that_does_not_read(run, mark):
    """Of 1 MiB each: the mark, and what sockets and Weir hold."""
    app = hwm(run, """
        s = bound(zmq.PUSH)
        say(last(s))
        s.poll(20000, zmq.POLLOUT)
        sent, message = 0, b"x" * (1 << 20)
        while s.poll(1000, zmq.POLLOUT):
            s.send(message, zmq.DONTWAIT)
            sent += 1
            if sent == 100: break
        say(sent)
        os._exit(0)
    """, *([mark] if mark else []))
    client = zmtp.connect(net.reachable(heard(app)[0]), socket_type="PULL")
    sent = heard(app, 2)[1]
    client.sock.close()
    assert 5 <= sent < 60 if mark else sent == 100, sent


def test_a_libzmq_out_of_reach_is_told_once(run):
    app = run("""
        import ctypes
        z = ctypes.CDLL("libzmq.so.5")
        z.zmq_ctx_new.restype = z.zmq_socket.restype = ctypes.c_void_p
        z.zmq_socket.argtypes, z.zmq_bind.argtypes = [ctypes.c_void_p, ctypes.c_int], [ctypes.c_void_p, ctypes.c_char_p]
        c = z.zmq_ctx_new()
        for i in range(3):
            say(z.zmq_bind(z.zmq_socket(c, zmq.PULL), b"tcp://127.0.0.1:*"))
        os._exit(0)
    """, options=["--hwm", "7"])
    assert ended(app) == [0] * 3
    line, = lines_of(app)
    assert "warning" in line and f"process {app.pid}" in line and len(app.gates()) == 3


def test_something_else_than_libzmq_is_told_once_and_only_where_it_was_to_have_marks(run):
    port, other = net.free_port(), net.free_port()
    for mark, lines in ((f"{port}=7", 1), (f"{other}=7", 0)):
        app = run(f"""
            s = socket.socket()
            s.bind(("127.0.0.1", {port}))
            s.listen()
            say("done")
        """, options=["--port", str(port), "--hwm", mark])
        assert ended(app) == ["done"]
        assert len(lines_of(app)) == lines


@pytest.mark.parametrize("marks, words", [
    (["0"], "0 means no limit"),
    (["5555=5/0"], "0 means no limit"),
    (["many"], "no number of messages"),
    (["-3"], "no number of messages"),
    (["3000000000"], "1 to 2147483647"),
    (["0=5"], "no port"),
    (["tcp://*:5555=5"], "no port"),
    (["/"], "missing"),
    (["5", "6"], "already"),
    (["5555=5", "5555=6"], "already"),
    ([f"{n}=5" for n in range(1, 18)], "16 at most"),
])
def test_bad_values_are_refused(marks, words):
    options = [word for m in marks for word in ("--hwm", m)]
    done = subprocess.run([*program(), "run", *options, "--", "true"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2 and words in done.stderr and f"--hwm {marks[-1]}" in done.stderr

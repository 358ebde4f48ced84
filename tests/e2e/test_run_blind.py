# SPDX-License-Identifier: MPL-2.0
"""`weir run` where the type of the socket is not known: what speaks no ZMTP is passed on, and what does is judged, also when it stalls."""
import os
import signal
import socket
import urllib.request

import pytest
import zmq
from harness import net
from harness.net import PATIENCE, wait_until
from test_run import ended, heard, run  # noqa: F401  (a fixture)

# libzmq by a handle of its own: its functions are not replaced, so what it binds is known to be libzmq's and no more.
BY_HANDLE = """
        import ctypes, ctypes.util
        z = ctypes.CDLL(ctypes.util.find_library("zmq") or "libzmq.so.5")
        for name in ("zmq_ctx_new", "zmq_socket"): getattr(z, name).restype = ctypes.c_void_p
        c = ctypes.c_void_p(z.zmq_ctx_new())
        def bound(type, port):
            s = ctypes.c_void_p(z.zmq_socket(c, type))
            assert z.zmq_bind(s, b"tcp://127.0.0.1:%d" % port) == 0
            return s
        def receive(s):
            buffer = ctypes.create_string_buffer(1000)
            n = z.zmq_recv(s, buffer, 1000, 0)
            return buffer.raw[:n]
"""
PASSED_ON = "passed on without judging it"


def test_an_http_server_works_behind_a_gate(run, paths):  # noqa: F811
    """Its clients are neither refused nor banned, and the first waits no more than a second or two."""
    port, admin = net.free_port(), f"127.0.0.1:{net.free_port()}"
    app = run(f"""
        import http.server
        class Server(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200); self.end_headers(); self.wfile.write(repr(self.client_address[0]).encode() + bytes(100000))
            def log_message(self, *args): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Server)
        say("ready")
        server.serve_forever()
    """, options=["--port", str(port), "--admin", admin])
    heard(app)
    for i in range(20):
        body = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE).read()
        assert body == b"'127.0.0.1'" + bytes(100000)
    assert app.stderr().count(PASSED_ON) == 1
    with socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET / HTTP/1.0\r\n")
        wait_until(lambda: 'weir_connections_unjudged{gate="tcp-%d"} 1' % port in
                   urllib.request.urlopen(f"http://{admin}/metrics", timeout=PATIENCE).read().decode(), "the connection")
        idle.sendall(b"\r\n")
        assert idle.recv(12) == b"HTTP/1.0 200"


def test_a_stream_socket_of_an_unknown_libzmq(run):  # noqa: F811
    port = net.free_port()
    app = run(BY_HANDLE + f"""
        s = bound({int(zmq.STREAM)}, {port})
        say("ready")
        while True:
            identity, words = receive(s), receive(s)
            if words:
                z.zmq_send(s, identity, len(identity), 2); z.zmq_send(s, words, len(words), 0)
    """)
    heard(app)
    assert len(app.gates()) == 1
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as c:
            c.sendall(b"hello")
            assert c.recv(5) == b"hello"
    assert app.stderr().count(PASSED_ON) == 1


def test_one_that_speaks_first(run):  # noqa: F811
    port = net.free_port()
    app = run(f"""
        s = socket.create_server(("127.0.0.1", {port}))
        say("ready")
        for i in range(2):
            c, peer = s.accept()
            c.sendall(b"220 ready"); say(c.recv(100).decode()); c.close()
    """, options=["--port", str(port)])
    heard(app)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as c:
            assert c.recv(9) == b"220 ready"
            c.sendall(b"QUIT")
            assert c.recv(1) == b""
    assert ended(app) == ["ready", "QUIT", "QUIT"]


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.0\r\n\r\n", b""])
def test_a_socket_with_zmtp_is_judged_from_its_first_greeting_on(junk, run, peers):  # noqa: F811
    """Although its first client was no ZMTP peer."""
    port = net.free_port()
    app = run(BY_HANDLE + f"""
        s = bound({int(zmq.PULL)}, {port})
        say("ready")
        say(receive(s).decode())
    """)
    heard(app)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as c:
        c.sendall(junk)
        wait_until(lambda: "speaks ZMTP after all" in app.stderr(), "the greeting")
    client = peers.client(zmq.PUSH, f"tcp://127.0.0.1:{port}")
    client.send(b"x")
    assert heard(app, 2)[1] == "x"
    ended(app)
    assert PASSED_ON not in app.stderr()


def has_stopped(pid):
    return all(open(f"/proc/{pid}/task/{thread}/stat").read().rsplit(")", 1)[1].split()[0] == "T" for thread in os.listdir(f"/proc/{pid}/task"))


def test_a_stalled_socket_is_judged_again_as_soon_as_it_greets(run, peers):  # noqa: F811
    """The belief is wrong, harms no client of ZMTP, and ends with the first greeting."""
    port = net.free_port()
    app = run(BY_HANDLE + f"""
        s = bound({int(zmq.PULL)}, {port})
        say("ready")
        say(receive(s).decode())
    """)
    heard(app)
    os.kill(app.pid, signal.SIGSTOP)
    wait_until(lambda: has_stopped(app.pid), "the stop of each thread")
    try:
        client = peers.client(zmq.PUSH, f"tcp://127.0.0.1:{port}")
        client.send(b"x")
        junk = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        junk.sendall(b"GET / HTTP/1.0\r\n\r\n")
        wait_until(lambda: PASSED_ON in app.stderr(), "the belief")
    finally:
        os.kill(app.pid, signal.SIGCONT)
    assert heard(app, 2)[1] == "x"
    ended(app)
    with junk:
        assert junk.recv(100) == b""
    assert "the application at" in app.stderr()


def test_a_client_of_zmtp_waits_for_nothing(run, peers):  # noqa: F811
    """The gate asks for no connection of its own: the application has one for each client."""
    port = net.free_port()
    app = run(BY_HANDLE + f"""
        s = bound({int(zmq.REP)}, {port})
        say("ready")
        for i in range(3): say(receive(s).decode()); z.zmq_send(s, b"y", 1, 0)
    """)
    heard(app)
    for _ in range(3):
        client = peers.client(zmq.REQ, f"tcp://127.0.0.1:{port}")
        client.send(b"x")
        assert client.recv() == b"y"
        client.close()
    ended(app)
    assert "passed on" not in app.stderr() and "after all" not in app.stderr()

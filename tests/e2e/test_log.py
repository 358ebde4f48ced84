# SPDX-License-Identifier: MPL-2.0
"""Lines on standard error, and who reads them."""
import contextlib
import fcntl
import os
import re
import subprocess
import threading

import pytest
import yaml
import zmq
from harness import net, zmtp
from harness.net import wait_until
from harness.weir import READY, Weir, program

LOST = re.compile(r"weir: (\d+) lines of the log were lost: standard error took no more")


class Unread:
    """Weir whose standard error is a small pipe that is full and that nobody reads until read() is called."""

    def __init__(self, folder, config):
        self.reader, writer = os.pipe()
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.reader, False)
        self.fill(writer)
        self.text = ""
        path = os.path.join(folder, "unread.yaml")
        with open(path, "w") as f:
            yaml.safe_dump(config, f)
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *program(), "serve", "-c", path],
                                        stdout=subprocess.PIPE, stderr=writer, text=True)
        os.close(writer)
        timer = threading.Timer(net.PATIENCE, self.process.kill)
        timer.start()
        self.listen = READY.match(next(line for line in self.process.stdout if READY.match(line)))[1]
        timer.cancel()

    @staticmethod
    def fill(writer):
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"#" * 64)
        except BlockingIOError:
            os.set_blocking(writer, True)

    def read(self):
        try:
            self.text += os.read(self.reader, 65536).decode(errors="replace")
        except BlockingIOError:
            pass
        return self.text

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        os.close(self.reader)


@pytest.fixture
def unread(paths, start_app):
    started = []

    def start(app, **top):
        config = {"workers": 1, **top,
                  "gates": [{"name": "main", "listen": "tcp://127.0.0.1:*", "forward": app.endpoint, "ban": {"strikes": 0}}]}
        started.append(Unread(paths.folder, config))
        return started[-1]
    yield start
    for weir in started:
        weir.close()


def garbage(endpoint):
    """A client that is no ZMTP peer: a line of the log each, of another kind."""
    with net.raw_connect(endpoint) as s:
        s.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(64))
        s.settimeout(net.PATIENCE)
        with contextlib.suppress(ConnectionResetError):  # of what it had not read
            while s.recv(4096):
                pass


def test_a_full_standard_error_stops_nobody(unread, start_app, peers, paths):
    """The worker goes on while its line waits for room; when there is room, the line comes."""
    weir = unread(start_app("rep", paths.ipc()))
    client = peers.client(zmq.REQ, net.reachable(weir.listen))
    for i in range(20):
        garbage(net.reachable(weir.listen))
        client.send(b"%d" % i)
        assert client.recv() == b"%d" % i
    wait_until(lambda: "bad_greeting" in weir.read(), "the line")


def test_lost_lines_are_counted_and_told(unread, start_app, peers, paths):
    """More lines than there is room for: each reload writes one, at least."""
    admin = f"127.0.0.1:{net.free_port()}"
    weir = unread(start_app("rep", paths.ipc()), admin={"listen": admin})
    client = peers.client(zmq.REQ, net.reachable(weir.listen))

    def lost():
        weir.process.send_signal(1)
        found = re.search(r"^weir_log_lines_lost_total (\d+)$", Weir.get(Asked(admin), "/metrics"), re.M)
        return int(found[1])
    wait_until(lambda: lost() > 3, "lines to be lost", step=0)
    client.send(b"x")
    assert client.recv() == b"x"
    wait_until(lambda: LOST.search(weir.read()), "the line that tells")


def test_the_end_does_not_wait_for_a_reader(unread, start_app, paths):
    weir = unread(start_app("rep", paths.ipc()))
    garbage(net.reachable(weir.listen))
    weir.process.terminate()
    assert weir.process.wait(timeout=net.PATIENCE) == 0


class Asked:
    """What Weir.get() needs."""
    admin_seen = False

    def __init__(self, admin):
        self.admin = admin

    @staticmethod
    def alive():
        return True


def test_what_was_held_back_is_told_although_nothing_follows(start_app, start_weir, paths):
    app = start_app("pull", paths.ipc())
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=app.endpoint)
    for _ in range(4):
        with net.raw_connect(weir.endpoint) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert zmtp.RawPeer(s).closed_by_peer()
    wait_until(lambda: "gate main: 3 more lines not shown: the first bytes are not a ZMTP greeting (bad_greeting)" in weir.stderr(), "their number", 60)

# SPDX-License-Identifier: MPL-2.0
"""Load balancers for TCP that say for whom they connect (PROXY protocol): one of our own, and HAProxy."""
import ipaddress
import os
import select
import shutil
import socket
import struct
import threading

from .net import free_port, raw_connect, split_tcp, wait_until
from .proc import Child

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"
UNKNOWN = b"PROXY UNKNOWN\r\n"


def header_v1(client, to):
    family = "TCP6" if ":" in client[0] else "TCP4"
    return f"PROXY {family} {client[0]} {to[0]} {client[1]} {to[1]}\r\n".encode()


def header_v2(client, to, tlvs=b""):
    packed = [ipaddress.ip_address(host).packed for host in (client[0], to[0])]
    body = b"".join(packed) + struct.pack(">HH", client[1], to[1]) + tlvs
    return SIGNATURE + bytes([0x21, 0x21 if ":" in client[0] else 0x11]) + struct.pack(">H", len(body)) + body


HEADERS = {"v1": header_v1, "v2": header_v2, "none": lambda client, to: b""}


class Balancer:
    """Relays each connection to `to`, from the address `source`, behind a header that names its client; `sees` may say that the client
    is somebody else. In small pieces if `pieces`."""

    def __init__(self, to, version="v2", source="127.0.0.1", sees=lambda address: address, pieces=False):
        self.to, self.header, self.source, self.sees, self.pieces = to, HEADERS[version], source, sees, pieces
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.endpoint = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.closing, self.signal = socket.socketpair()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _accept(self, others):
        client, address = self.listener.accept()
        try:
            server = raw_connect(self.to, self.source)
        except OSError:
            client.close()
            return
        header = self.header(self.sees(address[:2]), split_tcp(self.endpoint))
        for i in range(0, len(header), 5 if self.pieces else len(header) or 1):
            server.sendall(header[i:i + 5] if self.pieces else header)
        others[client], others[server] = server, client

    def _run(self):
        others = {}
        while True:
            ready, _, _ = select.select([self.listener, self.closing, *others], [], [])
            if self.closing in ready:
                break
            for s in ready:
                if s is self.listener:
                    self._accept(others)
                elif s in others:
                    self._pump(s, others)
        for s in [self.listener, *others]:
            s.close()

    @staticmethod
    def _pump(s, others):
        try:
            data = s.recv(65536)
            others[s].sendall(data)
        except OSError:
            data = b""
        if not data:
            other = others.pop(s)
            del others[other]
            s.close()
            other.close()

    def close(self):
        self.signal.close()
        self.thread.join()
        self.closing.close()


class HAProxy(Child):
    """The real one. `check`: with a health check every 50 ms."""

    def __init__(self, folder, to, version="v2", source="127.0.0.1", check=False):
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.socket = os.path.join(folder, "haproxy.sock")
        send = {"v1": "send-proxy", "v2": "send-proxy-v2", "none": ""}[version]
        how = f"check inter 50ms {'check-send-proxy' if send else ''}" if check else ""
        path = os.path.join(folder, "haproxy.cfg")
        with open(path, "w") as f:
            f.write(f"""
global
    maxconn 4000
    stats socket {self.socket} level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen relay
    bind {self.endpoint.removeprefix("tcp://")}
    server gate {to.removeprefix("tcp://")} source {source} {send} {how}
""")
        super().__init__(["haproxy", "-q", "-db", "-f", path], folder, "haproxy")
        wait_until(self._is_there, "HAProxy")

    def _is_there(self):
        try:
            raw_connect(self.endpoint).close()
            return True
        except ConnectionRefusedError:
            assert self.alive(), self.describe("died")
            return False

    def server_state(self):
        """UP, DOWN, ... and how many checks have failed."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.sendall(b"show stat relay 4 -1\n")
            text = b""
            while data := s.recv(65536):
                text += data
        names, values = text.decode().lstrip("# ").strip().split("\n")[:2]
        row = dict(zip(names.split(","), values.split(",")))
        return row["status"], int(row["chkfail"] or 0)

    def close(self):
        self.kill()


def have_haproxy():
    return shutil.which("haproxy") is not None

# SPDX-License-Identifier: MPL-2.0
"""Free ports, short ipc paths, endpoints in the forms that libzmq and plain sockets want, and waiting on conditions."""
import contextlib
import ipaddress
import os
import shutil
import socket
import tempfile
import time

PATIENCE = float(os.environ.get("WEIR_E2E_PATIENCE", "30"))  # seconds; a limit against hanging, not a measurement


def wait_until(condition, what="the condition", limit=PATIENCE, step=0.02):
    """Polls until condition() is true and returns its value; the only way that tests here wait for something they cannot receive."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:.0f} s in vain for {what}")
        time.sleep(step)


def my_ports():
    """This process's share of the ports outside the ephemeral range, where pytest-xdist runs some side by side."""
    count, name = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return range(10000 + int(name.removeprefix("gw")), 30000, count)


PORTS_GIVEN = set()


def free_port(host="127.0.0.1"):
    """A port that nobody listens on now, and that no outgoing connection and no other process of the tests takes meanwhile. Not one that was returned before: its test may not
    have bound it yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = my_ports()
    if len(PORTS_GIVEN) > len(ports) // 2:
        PORTS_GIVEN.clear()
    for _ in range(500):
        port = ports[int.from_bytes(os.urandom(4), "big") % len(ports)]
        if port in PORTS_GIVEN:
            continue
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as s:
            with contextlib.suppress(OSError):
                s.bind((host, port))
                PORTS_GIVEN.add(port)
                return port
    raise RuntimeError(f"no free port on {host}")


class Paths:
    """Short-lived ipc endpoints. The kernel allows 107 bytes, so pytest's own long tmp_path will not do."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="weir-e2e-")
        self.count = 0

    def ipc(self):
        self.count += 1
        return f"ipc://{self.folder}/{self.count}.sock"

    def file(self, name):
        return os.path.join(self.folder, name)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def tcp(host="127.0.0.1"):
    """An endpoint with a free port."""
    return f"tcp://[{host}]:{free_port(host)}" if ":" in host else f"tcp://{host}:{free_port(host)}"


def split_tcp(endpoint):
    """tcp://127.0.0.1:5555 or tcp://[::1]:5555 -> (host, port)"""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)


def reachable(endpoint):
    """Where a client connects to reach a listener: loopback in place of a wildcard address."""
    if not endpoint.startswith("tcp://"):
        return endpoint
    host, port = split_tcp(endpoint)
    if host == "*" or ipaddress.ip_address(host).is_unspecified:
        return f"tcp://127.0.0.1:{port}"
    return endpoint


def from_source(source, endpoint):
    """A libzmq endpoint that connects from the given loopback address: 'tcp://127.1.2.3:0;127.0.0.1:5555'."""
    assert_loopback(source)
    return f"tcp://{source}:0;{endpoint.removeprefix('tcp://')}"


def raw_connect(endpoint, source=None, timeout=PATIENCE):
    """A connected plain socket; `source` is a loopback address to come from."""
    if endpoint.startswith("ipc://"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        s.connect(endpoint.removeprefix("ipc://"))
        return s
    host, port = split_tcp(reachable(endpoint))
    assert_loopback(host)
    s = socket.create_connection((host, port), timeout=timeout, source_address=(source, 0) if source else None)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def assert_loopback(host):
    """Traffic of tests never leaves this machine."""
    assert ipaddress.ip_address(host).is_loopback, f"{host} is not a loopback address"


def text_of(sockaddr):
    """What X-Weir-Peer says of a socket: '127.0.0.1:4711', '[::1]:4711'."""
    host, port = sockaddr[0], sockaddr[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

# SPDX-License-Identifier: MPL-2.0
"""Network namespaces of a test's own: one for Weir and its application, one for clients, a virtual cable between them. They go when the
processes that hold them do, so nothing is left behind. The test's main thread lives in the server's; `with network.clients():` moves it."""
import contextlib
import ctypes
import os
import socket
import subprocess

import zmq

from .net import PATIENCE, wait_until

CLONE_NEWNET = 0x40000000
SERVER4, SERVER6 = "10.98.0.1", "fd98:0:0:1::1"
OFFENDER, NEIGHBOUR, THIRD = "10.98.0.66", "10.98.0.67", "10.98.0.68"  # of one /24
OFFENDER6, NEIGHBOUR6 = "fd98:0:0:66::2", "fd98:0:0:67::2"  # of one /56

_libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def enter(fd):
    """The calling thread's namespace; threads and processes that it starts later inherit it."""
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def why_not():
    """Why namespaces cannot be had here, or None."""
    for tool in ("ip", "nft", "unshare"):
        if not any(os.access(os.path.join(folder, tool), os.X_OK) for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin")):
            return f"{tool} is missing"
    done = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"no right to make network namespaces ({done.stderr.strip()}): run as root"


class Network:
    def __init__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.holders = []
        self.contexts = []
        self.server_fd, self.clients_fd = self._make(), self._make()
        enter(self.server_fd)
        run("ip", "link", "set", "lo", "up")
        with self.clients():
            run("ip", "link", "set", "lo", "up")
        self.lay_cable()

    def lay_cable(self):
        run("ip", "link", "add", "weir0", "type", "veth", "peer", "name", "peer0", "netns", str(self.holders[1].pid))
        self._address("weir0", f"{SERVER4}/24", f"{SERVER6}/64")
        with self.clients():
            self._address("peer0", *[f"{a}/24" for a in (OFFENDER, NEIGHBOUR, THIRD)], f"{OFFENDER6}/64", f"{NEIGHBOUR6}/64")
            run("ip", "-6", "route", "add", "fd98:0:0:1::/64", "dev", "peer0")
        for network in ("fd98:0:0:66::/64", "fd98:0:0:67::/64"):
            run("ip", "-6", "route", "add", network, "dev", "weir0")

    @staticmethod
    def cut_cable():
        """Both ends go."""
        run("ip", "link", "delete", "weir0")

    def _make(self):
        holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sleep", "infinity"])
        self.holders.append(holder)
        path = f"/proc/{holder.pid}/ns/net"
        wait_until(lambda: os.readlink(path) != os.readlink("/proc/thread-self/ns/net"), "the namespace")
        return os.open(path, os.O_RDONLY)

    @staticmethod
    def _address(device, *addresses):
        for address in addresses:
            run("ip", "address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
        run("ip", "link", "set", device, "up")

    @contextlib.contextmanager
    def clients(self):
        enter(self.clients_fd)
        try:
            yield
        finally:
            enter(self.server_fd)

    def connect(self, source, port, timeout=PATIENCE):
        """A connected socket of the clients' side. Raises TimeoutError when what it sends is dropped."""
        server = SERVER6 if ":" in source else SERVER4
        with self.clients():
            s = socket.create_connection((server, port), timeout=timeout, source_address=(source, 0))
        s.settimeout(PATIENCE)
        return s

    def is_dropped(self, source, port, timeout=0.5):
        """Whether a SYN is answered by nothing at all: no acceptance, no refusal."""
        try:
            self.connect(source, port, timeout=timeout).close()
        except TimeoutError:
            return True
        except ConnectionRefusedError:
            pass
        return False

    def zmq_client(self, kind, source, port, **options):
        """A libzmq socket whose I/O thread lives on the clients' side."""
        with self.clients():
            ctx = zmq.Context()
            self.contexts.append(ctx)
            s = ctx.socket(kind)  # starts the threads
        for name, value in {"LINGER": 0, "RCVTIMEO": int(PATIENCE * 1000), "SNDTIMEO": int(PATIENCE * 1000), "IPV6": 1, **options}.items():
            s.setsockopt(getattr(zmq, name), value)
        s.connect(f"tcp://[{source}]:0;[{SERVER6}]:{port}" if ":" in source else f"tcp://{source}:0;{SERVER4}:{port}")
        return s

    def close(self):
        for ctx in self.contexts:
            ctx.destroy(linger=0)
        enter(self.home)
        for holder in self.holders:
            holder.kill()
            holder.wait()
        for fd in (self.home, self.server_fd, self.clients_fd):
            os.close(fd)

# SPDX-License-Identifier: MPL-2.0
"""Descriptors, signals and namespaces of a program that binds."""
import os
import resource
import signal
import socket
import subprocess
import sys
import threading

import zmq

from .case import PATIENCE, port_of
from .processes import SERVER


def _round(host="127.0.0.1"):
    """A server and a client, with a context of their own."""
    ctx = zmq.Context()
    rep, req = ctx.socket(zmq.REP), ctx.socket(zmq.REQ)
    rep.rcvtimeo = req.rcvtimeo = PATIENCE * 1000
    rep.bind(f"tcp://{host}:*")
    req.connect(rep.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    req.send(b"hello")
    got = rep.recv(copy=False)
    rep.send(b"hello to you")
    result = got.bytes, got.get("Peer-Address"), req.recv()
    ctx.destroy(linger=0)
    return result


def without_standard_descriptors(t):
    """0, 1 and 2 are free: libzmq gets them."""
    t.say_of_a_child(_round, lambda keep: [os.close(fd) for fd in range(3) if fd != keep])


def with_many_descriptors(t):
    """The listener has a high number."""
    def many(keep):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
        null = os.open("/dev/null", os.O_RDONLY)
        for _ in range(900):
            os.dup(null)
    t.say_of_a_child(_round, many)


def with_standard_error_closed_later(t):
    """Whatever has its number then is not written to."""
    def other(keep):
        os.close(2)
        assert os.open("/dev/null", os.O_WRONLY) == 2
    t.say_of_a_child(_round, other)


def at_the_limit_of_descriptors(t):
    """One after the other becomes rarer: the errors are those of libzmq, and what was bound works."""
    def few(keep):
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, used + 30))

    def fill():
        s = zmq.Context().socket(zmq.PULL)
        s.rcvtimeo = PATIENCE * 1000
        s.bind("tcp://127.0.0.1:*")
        where = s.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        kept, said = [], "done"
        while said == "done" and len(kept) < 100:
            said = t.tried(lambda: kept.append(os.dup(0)))
        other = t.tried(s.bind, "tcp://127.0.0.1:*")
        for fd in kept:
            os.close(fd)
        c = s.context.socket(zmq.PUSH)
        c.connect(where)
        c.send(b"x")
        return said, other, s.recv()
    t.say_of_a_child(fill, few)


def with_signals_all_the_time(t):
    """A profiler interrupts each call of the kernel."""
    def often(keep):
        signal.signal(signal.SIGALRM, lambda number, frame: None)
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)

    def bind():
        said = []
        for _ in range(20):
            s = zmq.Context.instance().socket(zmq.PULL)
            said.append(t.tried(s.bind, "tcp://127.0.0.1:*"))
            s.close(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return said
    t.say_of_a_child(bind, often)


def with_all_signals_blocked(t):
    t.say_of_a_child(_round, lambda keep: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()))


def with_children_that_end(t):
    """SIGCHLD has a handler that waits for every child."""
    ended = []

    def reap(number, frame):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                ended.append(1)
        except ChildProcessError:
            pass

    def work():
        subprocess.run(["true"])
        said = _round()
        os.spawnlp(os.P_NOWAIT, "true", "true")
        while not ended:
            signal.sigtimedwait([signal.SIGUSR1], 0.01)
        return said
    t.say_of_a_child(work, lambda keep: signal.signal(signal.SIGCHLD, reap))


def forks_while_threads_bind(t):
    """A fork leaves a child whole, whatever other threads were at."""
    over = threading.Event()

    def bind():
        ctx = zmq.Context()
        while not over.is_set():
            s = ctx.socket(zmq.PULL)
            s.bind("tcp://127.0.0.1:*")
            s.close(0)
        ctx.term()
    threads = [threading.Thread(target=bind) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        t.say_of_a_child(_round)
    over.set()
    for thread in threads:
        thread.join()


def an_address_of_ipv6_with_a_scope(t):
    """Link-local addresses are told with their interface."""
    with open("/proc/net/if_inet6") as f:
        found = [line.split() for line in f]
    local = [(":".join(row[0][i:i + 4] for i in range(0, 32, 4)), row[5]) for row in found if row[3] == "20"]
    for host, device in local[:1]:
        s = t.socket(zmq.PULL, IPV6=1)
        t.say(t.tried(s.bind, f"tcp://[{host}%{device}]:*"))
        t.connected(zmq.PUSH, t.endpoint(s), IPV6=1).send(b"x")
        m = s.recv(copy=False)
        t.say(m.bytes, t.endpoint(s), m.get("Peer-Address"))
    t.say(len(local) > 0)


def by_the_name_of_an_interface(t):
    """With IPv4, and where libzmq is asked for IPv6."""
    for _, device in socket.if_nameindex()[:4]:
        for ipv6 in (0, 1):
            s = t.socket(zmq.PULL, IPV6=ipv6)
            said = t.tried(s.bind, f"tcp://{device}:*")
            t.say(device, ipv6, said, t.endpoint(s))
            if said == "done":
                c = t.connected(zmq.PUSH, t.endpoint(s), IPV6=1)
                c.send(b"x")
                t.say(s.recv(copy=False).get("Peer-Address"))


def _started(t, *before):
    """A server behind such a command, its first words, and what one gets that asks it."""
    child = subprocess.Popen([*before, sys.executable, "-c", SERVER, "tcp://127.0.0.1:*"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    where = child.stdout.readline().strip()
    if where:
        req = t.connected(zmq.REQ, where, source="127.9.12.1")
        req.send(b"who am I?")
        t.say(where, req.recv())
    else:
        t.say("not allowed here")
    child.kill()
    child.wait()
    child.stdout.close()


def with_process_ids_of_its_own(t):
    _started(t, "unshare", "--pid", "--fork", "--kill-child")


def with_users_of_its_own(t):
    _started(t, "unshare", "--user")


def with_a_network_of_its_own(t):
    """Nobody outside reaches it, and it cannot reach Weir: it works as without."""
    text = "import sys; sys.path.insert(0, '.')\nfrom behaviour.descriptors import _round\nprint(_round())"
    done = subprocess.run(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', sys.executable, "-c", text], capture_output=True, text=True,
                          timeout=4 * PATIENCE)
    t.say(done.stdout)


def with_little_memory(t):
    """RLIMIT_AS: a program that may have 300 MiB more than it has, and uses little."""
    def little(keep):
        with open("/proc/self/statm") as f:
            now = int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + (300 << 20),) * 2)
    t.say_of_a_child(_round, little)


def a_plain_server_beside(t):
    """What is not libzmq's stays as it is, with its own addresses at both ends."""
    s, where = t.bound(zmq.PULL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, peer = server.accept()
        t.say(accepted.getpeername() == client.getsockname() == peer, accepted.getsockname() == server.getsockname() == client.getpeername())
        t.say(server.getsockname()[1] != port_of(where))
        client.sendall(b"x")
        t.say(accepted.recv(1))
        accepted.close()
        client.close()


def sockets_of_other_kinds(t):
    """UDP, Unix sockets and pairs tell of themselves what they are."""
    t.bound(zmq.PULL)
    a, b = socket.socketpair()
    t.say(a.getsockname(), b.getpeername(), a.family.name)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("127.0.0.1", 0))
    u.connect(u.getsockname())
    t.say(u.getpeername() == u.getsockname())
    for s in (a, b, u):
        s.close()
    t.say(t.tried(a.getsockname), t.tried(socket.socket().getpeername))


def nothing_piles_up(t):
    """Descriptors and maps of a program that binds and unbinds for a long time."""
    def counts():
        with open("/proc/self/maps") as f:
            return len(os.listdir("/proc/self/fd")), sum("weir" in line or "memfd" in line or "anon_inode" in line for line in f)

    def some():
        own = zmq.Context()
        for _ in range(30):
            s = own.socket(zmq.REP)
            s.bind("tcp://127.0.0.1:*")
            req = own.socket(zmq.REQ)
            req.connect(t.endpoint(s))
            req.send(b"x")
            s.recv()
            s.send(b"y")
            req.recv()
            s.close(0)
            req.close(0)
        own.term()
    some()
    before = counts()
    some()
    t.say([now - then for now, then in zip(counts(), before)])

# SPDX-License-Identifier: MPL-2.0
"""Forks, programs that are started, threads, and a process that ends without a word."""
import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading

import zmq

from .case import PATIENCE, port_of

SERVER = """
import sys, zmq
s = zmq.Context().socket(zmq.REP)
s.bind(sys.argv[1])
print(s.getsockopt(zmq.LAST_ENDPOINT).rstrip(bytes(1)).decode(), flush=True)
while True: s.send(s.recv(copy=False).get("Peer-Address").encode())
"""


def _server(t, url="tcp://127.0.0.1:*", before=()):
    child = subprocess.Popen([*before, sys.executable, "-c", SERVER, url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    t.ends.callback(_end, child)
    return child, child.stdout.readline().strip()


def _end(child):
    child.kill()
    child.wait()
    child.stdout.close()


def _asked(t, where, source):
    req = t.connected(zmq.REQ, where, source=source)
    req.send(b"who am I?")
    return req.recv()


def a_server_that_is_started(t):
    _, where = _server(t)
    t.say(where, _asked(t, where, "127.9.11.1"))


def a_server_started_by_a_shell(t):
    _, where = _server(t, before=["/bin/sh", "-c", 'exec "$0" "$@"'])
    t.say(_asked(t, where, "127.9.11.2"))


def a_server_in_a_session_of_its_own(t):
    _, where = _server(t, before=["setsid", "-w"])
    t.say(_asked(t, where, "127.9.11.3"))


def several_servers(t):
    wheres = [_server(t)[1] for _ in range(3)]
    t.say(wheres, [_asked(t, where, f"127.9.11.{i + 4}") for i, where in enumerate(wheres)])


def a_server_that_is_killed_and_comes_back(t):
    """At the same address, at once; its client goes on by itself."""
    where = t.free()
    req = t.socket(zmq.REQ, REQ_RELAXED=1, REQ_CORRELATE=1, RECONNECT_IVL=10)
    req.connect(f"tcp://127.9.11.8:0;{where.removeprefix('tcp://')}")
    for _ in range(3):
        child, said = _server(t, where)
        req.send(b"x")
        t.say(said == where, req.recv())
        _end(child)


def _told(child, number):
    """Again and again: Python looks at a signal that has come before it was in the call only when that returns. Not at once: what handles the first is not to be disturbed."""
    for _ in range(PATIENCE):
        child.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(1)
    return child.wait(0)


def a_server_that_is_told_to_end(t):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        child, _ = _server(t)
        t.say(_told(child, number) in (-number, 1), number.name)


def _round(where=None):
    """A server and a client, with a context of their own."""
    ctx = zmq.Context()
    rep, req = ctx.socket(zmq.REP), ctx.socket(zmq.REQ)
    rep.rcvtimeo = req.rcvtimeo = PATIENCE * 1000
    rep.bind(where or "tcp://127.0.0.1:*")
    req.connect(rep.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    req.send(b"hello")
    got = rep.recv(copy=False)
    rep.send(b"hello to you")
    result = got.bytes, got.get("Peer-Address"), req.recv()
    ctx.destroy(linger=0)
    return result


def fork_before_bind(t):
    t.say_of_a_child(_round)


def fork_after_bind(t):
    """The child has a server of its own; the parent's goes on."""
    s, where = t.bound(zmq.PULL)
    t.say_of_a_child(_round)
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(s.recv())


def fork_of_fork(t):
    def again():
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, repr(_round()).encode())
            os._exit(0)
        said = os.read(read, 1000)
        os.waitpid(pid, 0)
        return said.decode(), _round()
    t.say_of_a_child(again)


def a_child_has_the_address_of_its_parent(t):
    """In use, for the child as well."""
    s, where = t.bound(zmq.PULL)

    def bind():
        return t.tried(zmq.Context().socket(zmq.PULL).bind, where)
    t.say_of_a_child(bind)


def a_listener_that_a_child_holds(t):
    """The parent has closed its socket; the child's copy keeps the address in use until it ends."""
    s, where = t.bound(zmq.PULL)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    with t.watching(s, zmq.EVENT_CLOSED) as seen:
        s.unbind(where)
        seen.next()
    other = t.socket(zmq.PULL)
    t.say(t.tried(other.bind, where))
    os.close(write)
    os.close(read)
    os.waitpid(pid, 0)
    t.until(lambda: t.tried(other.bind, where) == "done")
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(other.recv())


def a_program_does_not_inherit_the_listener(t):
    """An exec closes it, so the address is free."""
    s, where = t.bound(zmq.PULL)
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    with t.watching(s, zmq.EVENT_CLOSED) as seen:
        s.unbind(where)
        seen.next()
    t.until(lambda: t.tried(s.bind, where) == "done")
    t.say(t.endpoint(s) == where)
    child.kill()
    child.wait()


def workers_of_multiprocessing(t):
    """Forked, and spawned."""
    pull, where = t.bound(zmq.PULL)
    for method in ("fork", "spawn"):
        workers = [multiprocessing.get_context(method).Process(target=_push, args=(where, b"%d" % i)) for i in range(3)]
        for w in workers:
            w.start()
        t.say(method, sorted(pull.recv() for _ in workers))
        for w in workers:
            w.join()


def _push(where, text):
    ctx = zmq.Context()
    s = ctx.socket(zmq.PUSH)
    s.connect(where)
    s.send(text)
    s.close(PATIENCE * 1000)
    ctx.term()


def a_server_in_each_of_several_processes(t):
    """Prefork: each binds an address of its own, and the parent is their client."""
    reads, pids = [], []
    for i in range(3):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            ctx = zmq.Context()
            s = ctx.socket(zmq.REP)
            s.bind("tcp://127.0.0.1:*")
            os.write(write, s.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0"))
            s.recv()
            s.send(b"worker %d" % i)
            s.close()
            ctx.term()
            os._exit(0)
        os.close(write)
        reads.append(read)
        pids.append(pid)
    for read, pid in zip(reads, pids):
        t.say(_asked(t, os.read(read, 100).decode(), "127.9.11.9"))
        os.waitpid(pid, 0)
        os.close(read)


def threads_with_a_server_each(t):
    said = []
    threads = [threading.Thread(target=lambda: said.append(_round())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.say(said)


def a_socket_that_moves_to_another_thread(t):
    s, where = t.bound(zmq.REP)
    req = t.connected(zmq.REQ, where)

    def serve():
        s.send(s.recv() + b"!")
    for i in range(5):
        thread = threading.Thread(target=serve)
        thread.start()
        req.send(b"%d" % i)
        t.say(req.recv())
        thread.join()


def other_users_rights(t):
    """A child that has given up its rights binds as before."""
    def less():
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        return _round()
    t.say_of_a_child(less)


def a_child_with_few_descriptors(t):
    """The limit is met where it is without a gate: at bind or at accept, never before."""
    def few():
        import resource
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, used + 40))
        return _round()
    t.say_of_a_child(few)


def a_child_that_closes_all_it_inherited(t):
    """As daemons do."""
    s, where = t.bound(zmq.PULL)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, 1)
        os.closerange(3, 1024)
        os.write(1, repr(_round()).encode())
        os._exit(0)
    os.close(write)
    t.say(os.read(read, 1000).decode())
    os.waitpid(pid, 0)
    os.close(read)
    t.connected(zmq.PUSH, where).send(b"still there")
    t.say(s.recv())


def the_environment_of_a_child(t):
    """Nothing that a program sets is lost on the way."""
    said = subprocess.run(["env"], capture_output=True, text=True, env={**os.environ, "MINE": "yes"}, timeout=PATIENCE).stdout
    t.say("MINE=yes" in said.splitlines(), subprocess.run(["sh", "-c", "exit 7"]).returncode, subprocess.run(["false"]).returncode)


def a_server_without_the_environment(t):
    """A child that is started with an empty environment: it has no gate, and works."""
    child = subprocess.Popen([sys.executable, "-c", SERVER, "tcp://127.0.0.1:*"], stdout=subprocess.PIPE, text=True, env={})
    t.ends.callback(_end, child)
    t.say(_asked(t, child.stdout.readline().strip(), "127.9.11.10"))


def a_listener_that_is_handed_over(t):
    """A descriptor sent to a child over a Unix socket: the child's libzmq takes it (ZMQ_USE_FD)."""
    listener = socket.create_server(("127.0.0.1", 0))
    where = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _, fds, _, _ = socket.recv_fds(there, 10, 1)
        ctx = zmq.Context()
        s = ctx.socket(zmq.REP)
        s.setsockopt(zmq.USE_FD, fds[0])
        s.bind(where)
        s.send(s.recv() + b" received")
        s.close()
        ctx.term()
        os._exit(0)
    socket.send_fds(here, [b"x"], [listener.fileno()])
    listener.close()
    t.say(_asked(t, where, "127.9.11.11"))
    os.waitpid(pid, 0)
    here.close()
    there.close()
    t.say(port_of(where) > 0)

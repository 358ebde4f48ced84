# SPDX-License-Identifier: MPL-2.0
"""An address that is used again at once, however its listener has ended."""
import ctypes
import os
import signal
import socket
import subprocess
import sys

import zmq

from .case import PATIENCE, is_free, port_of

BINDS = """
import os, sys, zmq
s = zmq.Context().socket(zmq.PULL)
try:
    s.bind(sys.argv[1])
    print(sys.argv[2], "done", flush=True)
except zmq.ZMQError as e:
    print(sys.argv[2], e.strerror, flush=True)
if int(sys.argv[2]):
    os.execv(sys.executable, [sys.executable, "-c", open("/proc/self/cmdline").read().split(chr(0))[2], sys.argv[1], str(int(sys.argv[2]) - 1)])
"""


def a_program_that_starts_itself_anew(t):
    """An exec in the same process: the listener ends with it, and the new program has the address at once."""
    done = subprocess.run([sys.executable, "-c", BINDS, t.free(), "3"], capture_output=True, text=True, timeout=4 * PATIENCE)
    t.say(done.stdout.splitlines(), done.returncode)


def _bound_in_a_child(where):
    """A forked child that has bound, and waits."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        s = zmq.Context().socket(zmq.PULL)
        s.bind(where)
        os.write(write, b"x")
        signal.pause()
    os.close(write)
    assert os.read(read, 1) == b"x"
    os.close(read)
    return pid


def a_child_is_killed(t):
    """The kernel frees the address with the process; who waits for its end has it."""
    where = t.free()
    for _ in range(5):
        pid = _bound_in_a_child(where)
        t.say(t.tried(t.socket(zmq.PULL).bind, where))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        s = t.socket(zmq.PULL)
        t.say(t.tried(s.bind, where))
        t.connected(zmq.PUSH, where).send(b"x")
        t.say(s.recv())
        s.close()
        t.until(lambda: is_free(where))


def a_plain_socket_takes_the_address_of_a_killed_child(t):
    where = t.free()
    pid = _bound_in_a_child(where)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        t.say(t.tried(s.bind, ("127.0.0.1", port_of(where))), t.tried(s.listen))


def a_child_exits_without_closing(t):
    where = t.free()
    pid = os.fork()
    if pid == 0:
        s = zmq.Context().socket(zmq.PULL)
        s.bind(where)
        os._exit(0)
    os.waitpid(pid, 0)
    t.say(t.tried(t.socket(zmq.PULL).bind, where))


def a_child_that_starts_another_program(t):
    """It has bound, and execs a program that does not: the listener has ended."""
    where = t.free()
    pid = os.fork()
    if pid == 0:
        s = zmq.Context().socket(zmq.PULL)
        s.bind(where)
        os.execv("/bin/sleep", ["sleep", "30"])
    t.until(lambda: b"sleep" in open(f"/proc/{pid}/cmdline", "rb").read())
    t.say(t.tried(t.socket(zmq.PULL).bind, where))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def a_child_closes_all_that_it_has_inherited(t):
    """closefrom() of the C library, as daemons use it: the copy of the listener has ended without close()."""
    read, write = os.pipe()  # of lower numbers than the listener
    s, where = t.bound(zmq.PULL)
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).closefrom(max(read, write) + 1)
        os.write(write, b"x")
        signal.pause()
    t.say(os.read(read, 1))
    with t.watching(s, zmq.EVENT_CLOSED) as seen:
        s.unbind(where)
        seen.next()
    other = t.socket(zmq.PULL)
    t.say(t.tried(other.bind, where))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)


def programs_that_close_what_they_inherit(t):
    """A subprocess closes all descriptors between fork and exec, in memory that it shares with its parent."""
    s, where = t.bound(zmq.PULL)
    for _ in range(3):
        subprocess.run(["true"], close_fds=True)
        t.connected(zmq.PUSH, where).send(b"x")
        t.say(s.recv())
    with t.watching(s, zmq.EVENT_CLOSED) as seen:
        s.unbind(where)
        seen.next()
    other = t.socket(zmq.PULL)
    t.say(t.tried(other.bind, where))


def closed_and_bound_at_once(t):
    """The monitor has said that the listener is closed: the address is free."""
    where = t.free()
    for _ in range(20):
        s = t.socket(zmq.PULL)
        with t.watching(s, zmq.EVENT_LISTENING | zmq.EVENT_CLOSED) as seen:
            said = t.tried(s.bind, where)
            events = [seen.next()[0]]
            s.unbind(where)
            events.append(seen.next()[0])
        t.say(said, events)


def a_context_that_has_ended(t):
    """Behind zmq_ctx_term() everything is free."""
    where = t.free()
    for _ in range(10):
        own = zmq.Context()
        s = own.socket(zmq.REP)
        t.say(t.tried(s.bind, where))
        s.close()
        own.term()


def while_clients_are_there(t):
    """Connections of its clients are still open, or wait for their end, when it is bound again."""
    where = t.free()
    clients = [t.connected(zmq.PUSH, where, RECONNECT_IVL=10) for _ in range(5)]
    for n in range(5):
        own = zmq.Context()
        s = own.socket(zmq.PULL)
        s.rcvtimeo = PATIENCE * 1000
        t.say(t.tried(s.bind, where))
        for c in clients:
            c.send(b"%d" % n)
        got = []
        while got.count(b"%d" % n) < 5:
            got.append(s.recv())
        t.say(len(got))
        s.close(0)
        own.term()

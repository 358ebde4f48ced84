# SPDX-License-Identifier: MPL-2.0
"""zmq_ipc(7), with --ipc: paths and abstract names behind a gate."""
import os
import signal
import socket
import struct
import tempfile

import zmq

from .case import PATIENCE


def _folder(t):
    folder = tempfile.TemporaryDirectory(prefix="weir-")
    t.ends.callback(folder.cleanup)
    return folder.name


def _shown(t, folder, text):
    return text.replace(folder, "FOLDER").replace(str(os.getpid()), "PID")


def _unbound(t, s, url):
    """Until the listener has ended: libzmq removes its file then, whoever has made it meanwhile."""
    with t.watching(s, zmq.EVENT_CLOSED) as seen:
        s.unbind(url)
        seen.next()


def a_path(t):
    folder = _folder(t)
    s, where = t.bound(zmq.REP, f"ipc://{folder}/a")
    req = t.connected(zmq.REQ, where)
    for i in range(5):
        req.send(b"%d" % i)
        t.say(s.recv())
        s.send(b"answer")
        t.say(req.recv())
    t.say(_shown(t, folder, where), os.listdir(folder))
    _unbound(t, s, where)
    t.say(os.listdir(folder))


def a_relative_path(t):
    folder = _folder(t)
    before = os.getcwd()
    os.chdir(folder)
    t.ends.callback(os.chdir, before)
    s, where = t.bound(zmq.PULL, "ipc://here")
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(s.recv(), where, os.listdir("."))


def any_path(t):
    """ipc://*: libzmq makes a name."""
    s, where = t.bound(zmq.PULL, "ipc://*")
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(s.recv(), where.startswith("ipc://"), os.path.exists(where.removeprefix("ipc://")))


def an_abstract_name(t):
    s, where = t.bound(zmq.PULL, f"ipc://@weir-{os.getpid()}-abstract")
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(s.recv(), _shown(t, "?", where))


def addresses_that_are_none(t):
    s = t.socket(zmq.PULL)
    for url in ("ipc:///no/such/folder/x", "ipc://", "ipc:///proc/x", "ipc:///tmp/" + "x" * 200):
        t.say(url[:30], t.tried(s.bind, url))


def an_address_in_use(t):
    """A path is taken over by who binds last; an abstract name is not."""
    folder = _folder(t)
    for url in (f"ipc://{folder}/a", f"ipc://@weir-{os.getpid()}-use"):
        first, where = t.bound(zmq.PULL, url)
        second = t.socket(zmq.PULL)
        said = t.tried(second.bind, url)
        t.connected(zmq.PUSH, where).send(b"x")
        t.say(said, (second if said == "done" else first).recv(), t.quiet(first))


def a_file_that_is_there(t):
    folder = _folder(t)
    with open(f"{folder}/a", "w"):
        pass
    os.mkdir(f"{folder}/b")
    for name in "ab":
        t.say(name, t.tried(t.socket(zmq.PULL).bind, f"ipc://{folder}/{name}"))


def bound_again(t):
    folder = _folder(t)
    for url in (f"ipc://{folder}/a", f"ipc://@weir-{os.getpid()}-again"):
        s = t.socket(zmq.PULL)
        for i in range(5):
            t.until(lambda: t.tried(s.bind, url) == "done")
            t.connected(zmq.PUSH, url, RECONNECT_IVL=10).send(b"%d" % i)
            t.say(s.recv())
            _unbound(t, s, url)


def a_child_is_killed(t):
    folder = _folder(t)
    for url in (f"ipc://{folder}/a", f"ipc://@weir-{os.getpid()}-killed"):
        for _ in range(3):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                s = zmq.Context().socket(zmq.PULL)
                s.bind(url)
                os.write(write, b"x")
                signal.pause()
            t.say(os.read(read, 1))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(read)
            os.close(write)
            s = t.socket(zmq.PULL)
            t.say(t.tried(s.bind, url))
            t.connected(zmq.PUSH, url).send(b"x")
            t.say(s.recv())
            _unbound(t, s, url)


def a_program_that_starts_another(t):
    """An exec closes the listener: an abstract name is free then."""
    url = f"ipc://@weir-{os.getpid()}-exec"
    pid = os.fork()
    if pid == 0:
        s = zmq.Context().socket(zmq.PULL)
        s.bind(url)
        os.execv("/bin/sleep", ["sleep", "30"])
    t.until(lambda: b"sleep" in open(f"/proc/{pid}/cmdline", "rb").read())
    t.say(t.tried(t.socket(zmq.PULL).bind, url))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def metadata(t):
    folder = _folder(t)
    s, where = t.bound(zmq.ROUTER, f"ipc://{folder}/a")
    t.connected(zmq.DEALER, where, ROUTING_ID=b"me").send(b"x")
    for frame in s.recv_multipart(copy=False):
        t.say(frame.bytes, {name: _property(frame, name) for name in ("Socket-Type", "Identity", "Peer-Address", "User-Id")})
        with socket.socket(fileno=os.dup(frame.get(zmq.SRCFD))) as c:
            pid, uid, gid = struct.unpack("3i", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            t.say(c.family.name, pid == os.getpid(), uid == os.getuid(), gid == os.getgid(), _shown(t, folder, str(c.getsockname())))
        break


def _property(frame, name):
    try:
        return frame.get(name).replace(str(os.getpid()), "PID")
    except zmq.ZMQError as e:
        return zmq.strerror(e.errno)


def a_child_as_client(t):
    folder = _folder(t)
    s, where = t.bound(zmq.PULL, f"ipc://{folder}/a")
    pid = os.fork()
    if pid == 0:
        c = zmq.Context().socket(zmq.PUSH)
        c.connect(where)
        c.send(b"x")
        signal.pause()
    m = s.recv(copy=False)
    with socket.socket(fileno=os.dup(m.get(zmq.SRCFD))) as c:
        t.say(struct.unpack("3i", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0] == pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def monitor(t):
    folder = _folder(t)
    s = t.socket(zmq.PULL)
    seen = t.watch(s)
    s.bind(f"ipc://{folder}/a")
    where = t.endpoint(s)
    c = t.connected(zmq.PUSH, where)
    c.send(b"x")
    events = seen.until(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    t.say(s.recv())
    c.close()
    events += seen.until(zmq.EVENT_DISCONNECTED)
    s.unbind(where)
    events += seen.until(zmq.EVENT_CLOSED)
    t.say([[_shown(t, folder, str(word)) for word in e] for e in events])


def publisher(t):
    folder = _folder(t)
    xpub, where = t.bound(zmq.XPUB, f"ipc://{folder}/a")
    subs = [t.connected(zmq.SUB, where, SUBSCRIBE=b"%d" % i) for i in range(3)]
    t.say(sorted(xpub.recv() for _ in subs))
    for i in range(4):
        xpub.send_multipart([b"%d" % i, b"text"])
    t.say([s.recv_multipart() for s in subs], [t.quiet(s, 50) for s in subs])


def large_and_many(t):
    folder = _folder(t)
    s, where = t.bound(zmq.PULL, f"ipc://{folder}/a", RCVHWM=0)
    c = t.connected(zmq.PUSH, where, SNDHWM=0)
    c.send(b"large" * (1 << 20))
    for i in range(5000):
        c.send_multipart([b"%d" % i, b""])
    t.say(len(s.recv()), [int(s.recv_multipart()[0]) for _ in range(5000)] == list(range(5000)))


def rights_of_the_file(t):
    """What the mask leaves."""
    folder = _folder(t)
    for mask in (0o077, 0o022, 0):
        before = os.umask(mask)
        s = t.socket(zmq.PULL)
        s.bind(f"ipc://{folder}/{mask}")
        os.umask(before)
        t.say(oct(os.stat(f"{folder}/{mask}").st_mode), os.stat(f"{folder}/{mask}").st_uid == os.getuid())


def zap(t):
    """The address that a handler is asked about."""
    folder = _folder(t)
    handler = t.socket(zmq.REP)
    handler.bind("inproc://zeromq.zap.01")
    s, where = t.bound(zmq.PULL, f"ipc://{folder}/a", ZAP_DOMAIN=b"mine")
    t.connected(zmq.PUSH, where).send(b"x")
    version, number, *rest = handler.recv_multipart()
    handler.send_multipart([version, number, b"200", b"OK", b"user", b""])
    m = s.recv(copy=False)
    t.say([_shown(t, folder, word.decode()) for word in rest], m.get("User-Id"))


def a_client_that_comes_first(t):
    folder = _folder(t)
    c = t.connected(zmq.PUSH, f"ipc://{folder}/a", RECONNECT_IVL=10)
    c.send(b"early")
    s = t.socket(zmq.PULL)
    s.bind(f"ipc://{folder}/a")
    t.say(s.recv())
    _unbound(t, s, f"ipc://{folder}/a")
    with t.watching(c, zmq.EVENT_DISCONNECTED) as seen:
        s.close()
        seen.next()
    again = t.socket(zmq.PULL)
    t.until(lambda: t.tried(again.bind, f"ipc://{folder}/a") == "done")
    c.send(b"late")
    t.say(again.recv())


def a_stream_socket(t):
    """Not on ipc."""
    folder = _folder(t)
    t.say(t.tried(t.socket(zmq.STREAM).bind, f"ipc://{folder}/a"))


def a_plain_socket_beside(t):
    folder = _folder(t)
    t.bound(zmq.PULL, f"ipc://{folder}/a")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/b")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(f"{folder}/b")
            accepted, peer = server.accept()
            t.say(peer, accepted.getsockname() == f"{folder}/b", client.getpeername() == f"{folder}/b")
            t.say(struct.unpack("3i", accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0] == os.getpid())
            accepted.close()

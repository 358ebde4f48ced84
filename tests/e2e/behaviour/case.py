# SPDX-License-Identifier: MPL-2.0
"""What the cases use: sockets that end with their case, and a transcript in which ports and descriptors have names."""
import contextlib
import errno
import importlib
import inspect
import os
import re
import socket
import time

import zmq
from harness.net import free_port, wait_until
from zmq.utils.monitor import recv_monitor_message

PATIENCE = 10  # seconds that something may take that has to happen
QUIET_MS = 150  # how long nothing happens before it is said that nothing does
OPENED = {zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED, zmq.EVENT_CONNECTED}
ENDED = {zmq.EVENT_CLOSED, zmq.EVENT_DISCONNECTED}

__all__ = ["PATIENCE", "QUIET_MS", "Case", "cases_of", "host_of", "is_free", "name_of", "port_of", "shown", "wait_until", "words"]


def cases_of(subject):
    """The public functions of a subject, in their order."""
    module = importlib.import_module(f"behaviour.{subject}")
    return {name: f for name, f in vars(module).items()
            if not name.startswith("_") and inspect.isfunction(f) and f.__module__ == module.__name__}


def port_of(endpoint):
    return int(endpoint.rpartition(":")[2])


def is_free(endpoint):
    """Whether its port can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port_of(endpoint)))
        except OSError:
            return False
        return True


def host_of(endpoint):
    return endpoint.removeprefix("tcp://").rpartition(":")[0]


def name_of(address):
    """A socket address of Python as text."""
    if isinstance(address, (str, bytes)):
        return "a path"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shown(message):
    """Frames as text; long ones by their size and both ends."""
    if isinstance(message, (list, tuple)):
        return [shown(frame) for frame in message]
    data = message.bytes if isinstance(message, zmq.Frame) else bytes(message)
    return data.decode("latin-1") if len(data) <= 60 else f"{len(data)} octets, {data[:4]!r} to {data[-4:]!r}"


def words(value):
    """What JSON can say."""
    if isinstance(value, (bytes, zmq.Frame)):
        return shown(value)
    if isinstance(value, dict):
        return {str(words(k)): words(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [words(v) for v in value]
    return value if value is None or type(value) in (str, int, float, bool) else str(value)


class Case:
    def __init__(self):
        self.said = []
        self.ports = {}
        self.ctx = zmq.Context()
        self.ctx.linger = 0
        self.kept = []  # a socket that nobody has any more would be closed
        self.ends = contextlib.ExitStack()

    def close(self):
        self.ends.close()
        self.ctx.destroy(linger=0)

    # ---- the transcript ----

    def say(self, *what):
        self.said.append(self.named(words(what if len(what) != 1 else what[0])))

    def named(self, value):
        """Ports are told apart by the order in which they were seen first."""
        if isinstance(value, dict):
            return {self.named(k): self.named(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.named(v) for v in value]
        if not isinstance(value, str):
            return value
        return re.sub(r":(\d{4,5})\b", lambda m: ":" + self.ports.setdefault(int(m[1]), f"port{len(self.ports) + 1}"), value)

    def tried(self, f, *args, **kwargs):
        """What comes of a call: "done", or the name of the error."""
        try:
            f(*args, **kwargs)
        except zmq.ZMQError as e:
            return errno.errorcode.get(e.errno) or {zmq.EFSM: "EFSM", zmq.ETERM: "ETERM", zmq.EMTHREAD: "EMTHREAD", zmq.ENOCOMPATPROTO: "ENOCOMPATPROTO"}.get(e.errno, e.strerror)
        except OSError as e:
            return errno.errorcode.get(e.errno, str(e))
        return "done"

    # ---- sockets ----

    def socket(self, kind, ctx=None, **options):
        s = (ctx or self.ctx).socket(kind)
        self.kept.append(s)
        s.linger = 0
        s.rcvtimeo = s.sndtimeo = PATIENCE * 1000
        for name, value in options.items():
            if isinstance(value, str):
                value = value.encode()
            for one in value if isinstance(value, list) else [value]:
                s.setsockopt(getattr(zmq, name), one)
        return s

    def bound(self, kind, url="tcp://127.0.0.1:*", **options):
        """(socket, where clients reach it)"""
        s = self.socket(kind, **options)
        s.bind(url)
        return s, self.endpoint(s)

    def connected(self, kind, to, source=None, **options):
        """`source`: the address that it comes from, of 127.0.0.0/8."""
        s = self.socket(kind, **options)
        s.connect(f"tcp://{source}:0;{to.removeprefix('tcp://')}" if source else to)
        return s

    def knocks(self, s, message):
        """Sends what will not arrive. The socket may have been turned away already, and has nobody to send to then."""
        self.tried(s.send, message, zmq.DONTWAIT)
        return s

    def endpoint(self, s):
        return s.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()

    def free(self, host="127.0.0.1"):
        return f"tcp://{f'[{host}]' if ':' in host else host}:{free_port(host)}"

    def raw(self, endpoint, source=None, data=b""):
        """A client that is no libzmq."""
        s = socket.create_connection((host_of(endpoint).strip("[]"), port_of(endpoint)), timeout=PATIENCE, source_address=(source, 0) if source else None)
        self.ends.callback(s.close)
        s.sendall(data)
        return s

    def greeted(self, endpoint, kind=b"PUSH", properties=(), source=None):
        """A raw client that has shaken hands."""
        def read(n):
            return b"" if n == 0 else (lambda more: more + read(n - len(more)))(s.recv(n))
        s = self.raw(endpoint, source, b"\xff" + bytes(8) + b"\x7f\3\1NULL" + bytes(16 + 32))
        read(64)
        body = b"\5READY" + b"".join(bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
                                     for name, value in [(b"Socket-Type", kind), *properties])
        s.sendall(bytes([4, len(body)]) + body)
        read(read(2)[1])
        return s

    def both(self, bind_kind, connect_kind, **options):
        """A pair of sockets of which one has greeted the other: connected() has returned, and the next message is delivered at once."""
        server, where = self.bound(bind_kind, **options.pop("server", {}))
        with self.watching(server, zmq.EVENT_HANDSHAKE_SUCCEEDED) as seen:
            client = self.connected(connect_kind, where, **options)
            seen.next()
        return server, client

    # ---- monitors ----

    def watch(self, s, events=zmq.EVENT_ALL):
        return Watch(self, s, events)

    @contextlib.contextmanager
    def watching(self, s, events=zmq.EVENT_ALL):
        watch = Watch(self, s, events)
        yield watch
        watch.stop()

    # ---- processes ----

    def say_of_a_child(self, work, before=lambda keep: None):
        """What work() says in a fork of this process, behind before(); that keeps the descriptor that it is given."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                before(write)
                os.write(write, repr(work()).encode())
            except BaseException as e:
                os.write(write, repr(e).encode())
            os._exit(0)
        os.close(write)
        said = b""
        while more := os.read(read, 1000):
            said += more
        os.close(read)
        os.waitpid(pid, 0)
        self.say(said.decode())

    # ---- waiting ----

    def quiet(self, s, ms=QUIET_MS):
        """Whether nothing comes."""
        return not s.poll(ms)

    def all_of(self, s, count=None, ms=QUIET_MS):
        """`count` messages; without a count, all that come until none does."""
        got = []
        while len(got) != count and (count is not None or s.poll(ms)):
            got.append(shown(s.recv_multipart()))
        return got

    def until(self, condition):
        wait_until(condition, limit=PATIENCE)

    def attended(self, server, s):
        """A message at `s` for which `server` has to do something first. libzmq does so within calls of its owner."""
        end = time.monotonic() + PATIENCE
        while not s.poll(10) and time.monotonic() < end:
            server.getsockopt(zmq.EVENTS)
        return s.recv_multipart()

    def receives(self, publisher, subscriber, topic=b"?"):
        """Publishes until the subscriber gets it, and takes what is left."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            publisher.send(topic)
            if subscriber.poll(20):
                break
        publisher.send(topic + b"last")
        while subscriber.recv() != topic + b"last":
            pass


class Watch:
    """The events of a socket."""

    def __init__(self, case, s, events):
        self.case, self.socket = case, s
        self.descriptors, self.count = {}, 0
        self.monitor = case.socket(zmq.PAIR)
        where = f"inproc://watch-{time.monotonic_ns()}"  # pyzmq's own name would still be in use at the second watch of a socket
        s.monitor(where, events)
        self.monitor.connect(where)

    def stop(self):
        self.socket.monitor(None, 0)

    def raw(self):
        return recv_monitor_message(self.monitor)

    def next(self):
        return self.tell(self.raw())

    def tell(self, e):
        """Name, value and endpoint. A descriptor is told by what it is connected to."""
        event, value = zmq.Event(e["event"]), e["value"]
        if event in OPENED:
            self.count += 1
            self.descriptors[value] = f"socket {self.count}"
            value = f"socket {self.count} {described(value)}"
        elif event in ENDED:
            value = self.descriptors.get(value, "unknown")
        elif event in (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_CONNECT_DELAYED):
            value = errno.errorcode.get(value, value)
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            value = f"{value:#x}"
        elif event == zmq.EVENT_CONNECT_RETRIED:
            value = "some time"
        return [event.name.removeprefix("EVENT_") if event.name else str(event), value, e["endpoint"].decode()]

    def until(self, event, count=1):
        """All up to the `count`th of these."""
        seen = []
        while count:
            e = self.raw()
            seen.append(self.tell(e))
            count -= e["event"] == event
        return seen

    def quiet(self, ms=QUIET_MS):
        return not self.monitor.poll(ms)

    def rest(self, ms=QUIET_MS):
        seen = []
        while self.monitor.poll(ms):
            seen.append(self.next())
        return seen


def described(fd):
    """A TCP socket, by its ends."""
    try:
        with socket.socket(fileno=os.dup(fd)) as s:
            own = s.getsockname()
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return f"listens on {name_of(own)}"
            return f"{name_of(own)} to {name_of(s.getpeername())}"
    except OSError as e:
        return f"a descriptor: {errno.errorcode.get(e.errno, e.errno)}"

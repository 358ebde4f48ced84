# SPDX-License-Identifier: MPL-2.0
"""ZMTP spoken over a plain socket: honest peers of versions 3.0, 3.1 and 2.0 on either side, and the pieces for dishonest ones.

RawPeer(raw_connect(weir.endpoint), socket_type="DEALER").handshake() is a client that is ready to send().
"""
import queue
import socket
import struct
import threading

from .net import PATIENCE, raw_connect

MORE, LONG, COMMAND = 1, 2, 4
SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
TYPES_2 = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"]


class Closed(Exception):
    """The other side ended the connection."""


def greeting(mechanism="NULL", minor=1, as_server=False, major=3):
    return SIGNATURE[:8] + b"\x00\x7f" + bytes([major, minor]) + mechanism.encode().ljust(20, b"\0") + bytes([as_server]) + bytes(31)


def frame(body=b"", more=False, command=False, long=None):
    """One frame; long=True forces the 8-byte size."""
    long = len(body) > 255 if long is None else long
    return frame_header(len(body), (MORE if more else 0) | (COMMAND if command else 0), long) + body


def frame_header(size, flags=0, long=None):
    """A header that may announce anything."""
    if size > 255 if long is None else long:
        return bytes([flags | LONG]) + struct.pack(">Q", size)
    return bytes([flags, size])


def message(*frames):
    return b"".join(frame(body, more=i + 1 < len(frames)) for i, body in enumerate(frames))


def command(name, data=b""):
    name = name.encode() if isinstance(name, str) else name
    return frame(bytes([len(name)]) + name + data, command=True)


def properties(*pairs):
    """Metadata from (name, value) pairs, in order, duplicates allowed."""
    out = b""
    for name, value in pairs:
        name = name.encode() if isinstance(name, str) else name
        value = value.encode() if isinstance(value, str) else value
        out += bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    return out


def parse_properties(data):
    found, at = [], 0
    while at < len(data):
        name = data[at + 1:at + 1 + data[at]]
        at += 1 + data[at]
        size = struct.unpack(">I", data[at:at + 4])[0]
        found.append((name.decode(), data[at + 4:at + 4 + size]))
        at += 4 + size
    return found


class RawPeer:
    """One end of a connection. minor=0 speaks ZMTP 3.0. extra: more (name, value) properties for READY or INITIATE."""

    def __init__(self, sock, socket_type="DEALER", mechanism="NULL", minor=1, identity=b"", as_server=False, user=b"", password=b"", extra=()):
        self.sock = sock
        self.socket_type, self.mechanism, self.minor, self.as_server = socket_type, mechanism, minor, as_server
        self.user, self.password = user, password
        self.metadata = [("Socket-Type", socket_type), *([("Identity", identity)] if identity or socket_type in ("REQ", "DEALER", "ROUTER") else []), *extra]
        self.peer_greeting = b""
        self.peer_metadata = []
        self.buffer = bytearray()
        self.pongs = True  # answer PINGs

    # ---- bytes ----

    def send_raw(self, data):
        self.sock.sendall(data)

    def read(self, count):
        while len(self.buffer) < count:
            try:
                data = self.sock.recv(max(65536, min(count - len(self.buffer), 1 << 20)))
            except ConnectionError as e:
                raise Closed(str(e)) from None
            if not data:
                raise Closed(f"end of stream with {len(self.buffer)} of {count} bytes")
            self.buffer += data
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def closed_by_peer(self, limit=PATIENCE):
        """Reads until the other side closes; True when it does, whatever it sent before."""
        self.sock.settimeout(limit)
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass
        return True

    # ---- the handshake ----

    def exchange_greetings(self):
        """In libzmq's steps: signature, wait for the peer's, the rest."""
        mine = greeting(self.mechanism, self.minor, self.as_server)
        self.send_raw(mine[:10])
        self.peer_greeting = self.read(10)
        self.send_raw(mine[10:])
        self.peer_greeting += self.read(54)

    def handshake(self):
        self.exchange_greetings()
        if self.mechanism == "PLAIN":
            self._plain_server() if self.as_server else self._plain_client()
        else:
            self.send_raw(command("READY", properties(*self.metadata)))
            self.peer_metadata = parse_properties(self.expect_command(b"READY"))
        return self

    def _plain_client(self):
        hello = bytes([len(self.user)]) + self.user + bytes([len(self.password)]) + self.password
        self.send_raw(command("HELLO", hello))
        self.expect_command(b"WELCOME")
        self.send_raw(command("INITIATE", properties(*self.metadata)))
        self.peer_metadata = parse_properties(self.expect_command(b"READY"))

    def _plain_server(self):
        self.expect_command(b"HELLO")
        self.send_raw(command("WELCOME"))
        self.peer_metadata = parse_properties(self.expect_command(b"INITIATE"))
        self.send_raw(command("READY", properties(*self.metadata)))

    def expect_command(self, name):
        flags, body = self.recv_frame()
        got, data = body[1:1 + body[0]], body[1 + body[0]:]
        assert flags & COMMAND and got == name, f"{name} expected, got flags {flags}, {body[:80]}"
        return data

    # ---- traffic ----

    def recv_frame(self):
        flags = self.read(1)[0]
        size = struct.unpack(">Q", self.read(8))[0] if flags & LONG else self.read(1)[0]
        return flags, self.read(size)

    def send(self, *frames):
        self.send_raw(message(*frames))

    def send_command(self, name, data=b""):
        self.send_raw(command(name, data))

    def recv_any(self):
        """('message', [frames]) or ('command', name, data)."""
        frames = []
        while True:
            flags, body = self.recv_frame()
            if flags & COMMAND:
                assert not frames, "a command inside a message"
                return "command", body[1:1 + body[0]], body[1 + body[0]:]
            frames.append(body)
            if not flags & MORE:
                return "message", frames

    def recv(self):
        """The next message; PINGs before it are answered, other commands are skipped."""
        while True:
            got = self.recv_any()
            if got[0] == "message":
                return got[1]
            if got[1] == b"PING" and self.pongs:
                self.send_command("PONG", got[2][2:])

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends with RST, as a crashed host's kernel does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class RawPeer2(RawPeer):
    """A ZMTP 2.0 peer: signature, revision 1, socket type, identity frame; no commands, no metadata."""

    def handshake(self):
        self.send_raw(SIGNATURE)
        assert self.read(10)[::9] == b"\xff\x7f"
        self.send_raw(b"\x01" + bytes([TYPES_2.index(self.socket_type)]))
        self.peer_revision, self.peer_type = self.read(2)
        self.send_raw(frame(dict(self.metadata).get("Identity", b"")))
        flags, self.peer_identity = self.recv_frame()
        assert not flags & (MORE | COMMAND)
        return self


class RawApp:
    """A listening mini-application that speaks ZMTP by hand (tcp only). Each connection does its handshake on a thread; those that complete it
    wait in next(). Connections that end before (Weir looks at an application's greeting beforehand) are only counted."""

    def __init__(self, host="127.0.0.1", peer=RawPeer, **kwargs):
        self.peer, self.kwargs = peer, kwargs
        self.unfinished = 0
        self.established = queue.Queue()
        self.sockets = []
        self.listener = socket.create_server((host, 0))
        self.endpoint = f"tcp://{host}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            conn.settimeout(PATIENCE)
            self.sockets.append(conn)
            threading.Thread(target=self._handshake, args=(conn,), daemon=True).start()

    def _handshake(self, conn):
        try:
            self.established.put(self.peer(conn, **self.kwargs).handshake())
        except (Closed, OSError):
            self.unfinished += 1
            conn.close()

    def next(self, limit=PATIENCE):
        """The next connection whose handshake is done."""
        return self.established.get(timeout=limit)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            s.close()


def connect(endpoint, source=None, **kwargs):
    """A RawPeer with its handshake done."""
    return RawPeer(raw_connect(endpoint, source), **kwargs).handshake()

#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Records what real libzmq peers say to each other, both directions, into tests/seeds/zmtp/ (loopback only, a few seconds),
and cuts the seeds of the fuzz harnesses from it.

Usage: /usr/bin/python3 tests/seeds/capture.py [DIR]

Each file is one direction of one connection from its first byte: PATTERN-MECHANISM-SIDE, where the client is the side that connects.
A tee between the two sockets does the recording. What libzmq 4.3 does not speak by itself (ZMTP 3.0, 2.0) is said by a hand-made
peer; the other direction is still libzmq's. Bodies are counters, so that the files stay small in the repository. CURVE's bytes
differ from run to run.
"""
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

PATIENCE_MS = 10000
MORE, COMMAND = 1, 4


def body(size):
    return bytes(i % 251 for i in range(size))


class Tee:
    """Listens, passes one connection on to `target`, keeps what both sides said."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.said = {"client": b"", "server": b""}
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        client, _ = self.listener.accept()
        self.listener.close()
        server = socket.create_connection(("127.0.0.1", int(self.target.rsplit(":", 1)[1])))
        back = threading.Thread(target=self._pass, args=("server", server, client))
        back.start()
        self._pass("client", client, server)
        back.join()
        client.close()
        server.close()

    def _pass(self, side, source, sink):
        try:
            while data := source.recv(65536):
                self.said[side] += data
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def finish(self):
        self.thread.join(PATIENCE_MS / 1000)
        assert not self.thread.is_alive(), "the connection did not end"


def secure(mechanism, server, client):
    if mechanism == "plain":
        server.plain_server = True
        client.plain_username, client.plain_password = b"anna", b"geheim"
    if mechanism == "curve":
        public, secret = zmq.curve_keypair()
        server.curve_server, server.curve_secretkey, server.curve_publickey = True, secret, public
        client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
        client.curve_serverkey = public


# ---- what the patterns say: each gets (server, client) sockets ----

def req_rep(server, client):
    for size in (0, 5, 300):
        client.send(body(size))
        server.send(server.recv() + b"!")
        client.recv()


def dealer_router(server, client):
    for size in (1, 255, 256):
        client.send_multipart([b"", body(size)])
        server.send_multipart(server.recv_multipart())
        client.recv_multipart()


def push_pull(server, client):
    for size in (0, 1, 16, 254, 255, 256, 1000):
        client.send(body(size))
    for _ in range(7):
        server.recv()


def subscriptions(server, client, subscribe, cancel):
    for topic in (b"", b"prices", b"p" * 240, b"t" * 300):
        subscribe(topic)
    cancel(b"p" * 240)
    while server.poll(200) and server.recv():
        pass
    server.send_multipart([b"prices.eur", body(40)])
    client.recv_multipart()


def pub_sub(server, client):
    subscriptions(server, client, client.subscribe, client.unsubscribe)


def xpub_xsub(server, client):
    subscriptions(server, client, lambda t: client.send(b"\1" + t), lambda t: client.send(b"\0" + t))
    client.send(b"a message of the subscriber")
    server.recv()


def pair(server, client):
    client.send_multipart([b"to", b"and"])
    server.send_multipart(server.recv_multipart() + [b"fro"])
    client.recv_multipart()


def multipart(server, client):
    for count in (2, 3, 20):
        client.send_multipart([body(n * 7) for n in range(count)])
        server.recv_multipart()
    client.send_multipart([b""] * 40)
    server.recv_multipart()


def long_frames(server, client):
    for size in (8191, 8192, 20000):
        client.send_multipart([body(size), b"", body(257)])
        server.recv_multipart()


def heartbeats(server, client):
    """Long enough for several PINGs of either side; a message proves that both are still there."""
    time.sleep(0.5)
    client.send(b"still here")
    server.recv()


PATTERNS = [
    (zmq.REP, zmq.REQ, req_rep),
    (zmq.ROUTER, zmq.DEALER, dealer_router),
    (zmq.PULL, zmq.PUSH, push_pull),
    (zmq.XPUB, zmq.SUB, pub_sub),
    (zmq.XPUB, zmq.XSUB, xpub_xsub),
    (zmq.PAIR, zmq.PAIR, pair),
    (zmq.PULL, zmq.PUSH, multipart),
    (zmq.PULL, zmq.PUSH, long_frames),
    (zmq.PULL, zmq.PUSH, heartbeats),
]


def new_socket(context, kind):
    s = context.socket(kind)
    s.linger = s.rcvtimeo = s.sndtimeo = PATIENCE_MS
    if kind == zmq.XPUB:
        s.xpub_verboser = True
    if kind == zmq.DEALER:
        s.routing_id = b"client-7"
    return s


def heartbeat(*sockets):
    for s in sockets:
        s.heartbeat_ivl, s.heartbeat_ttl, s.heartbeat_timeout = 100, 3000, PATIENCE_MS


def record(out, name, said):
    for side, data in said.items():
        (out / f"{name}-{side}").write_bytes(data)


def capture_pattern(out, mechanism, server_kind, client_kind, talk):
    context = zmq.Context()
    # libzmq lets no PLAIN user in unless a ZAP handler says so.
    zap = ThreadAuthenticator(context)
    zap.start()
    zap.configure_plain(domain="*", passwords={"anna": "geheim"})
    zap.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
    server, client = new_socket(context, server_kind), new_socket(context, client_kind)
    secure(mechanism, server, client)
    if talk is heartbeats:
        heartbeat(server, client)
    if talk is wrong_password:
        client.plain_password = b"geraten"
    port = server.bind_to_random_port("tcp://127.0.0.1")
    tee = Tee(f"tcp://127.0.0.1:{port}")
    client.connect(tee.endpoint)
    talk(server, client)
    client.close()
    server.close()
    tee.finish()
    zap.stop()
    context.term()
    record(out, f"{talk.__name__}-{mechanism}", tee.said)


def wrong_password(server, client):
    """The server refuses the client with an ERROR command."""
    monitor = server.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED)
    assert monitor.poll(PATIENCE_MS), "the client was not refused"
    server.disable_monitor()
    monitor.close()


# ---- hand-made peers ----

def frame(data, flags=0):
    if len(data) > 255:
        return bytes([flags | 2]) + struct.pack(">Q", len(data)) + data
    return bytes([flags, len(data)]) + data


def ready(socket_type):
    return frame(b"\5READY\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type, COMMAND)


def greeting_3(minor):
    return b"\xff" + bytes(8) + b"\x7f" + bytes([3, minor]) + b"NULL".ljust(20, b"\0") + bytes(32)


def greeting_2(socket_code, routing_id=b""):
    return b"\xff" + bytes(8) + b"\x7f\1" + bytes([socket_code]) + frame(routing_id)


class ByHand:
    """A plain socket that keeps what it heard and what it said."""

    def __init__(self, sock):
        self.sock, self.heard, self.said = sock, b"", b""
        sock.settimeout(PATIENCE_MS / 1000)

    def say(self, data):
        self.said += data
        self.sock.sendall(data)

    def hear(self, count):
        while len(self.heard) < count:
            data = self.sock.recv(65536)
            assert data, f"the peer left after {self.heard}"
            self.heard += data

    def hear_until(self, last, slowly):
        while last not in self.heard:
            data = self.sock.recv(4096)
            assert data, f"the peer left before {last}"
            self.heard += data
            time.sleep(slowly)

    def hear_to_the_end(self):
        while data := self.sock.recv(65536):
            self.heard += data


def capture_by_hand(out, name, server_kind, opening, more, talk):
    """A hand-made client of a libzmq server."""
    context = zmq.Context()
    server = new_socket(context, server_kind)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    peer = ByHand(socket.create_connection(("127.0.0.1", port)))
    peer.say(opening[0])
    peer.hear(opening[1])
    peer.say(more)
    talk(server)
    server.close()
    peer.hear_to_the_end()
    context.term()
    record(out, name, {"client": peer.said, "server": peer.heard})


def take_two(server):
    server.recv_multipart()
    server.send_multipart(server.recv_multipart())


def take_topics_and_publish(server):
    server.recv()
    server.recv()
    server.send(b"prices.usd 1")


def capture_old_versions(out):
    messages = frame(b"one") + frame(b"two", MORE) + frame(body(300), MORE) + frame(b"")
    capture_by_hand(out, "dealer_router_30-null", zmq.ROUTER, (greeting_3(0), 64), ready(b"DEALER") + messages, take_two)
    # ZMTP 2.0: the application answers 12 bytes of greeting and its identity frame.
    capture_by_hand(out, "dealer_router_20-null", zmq.ROUTER, (greeting_2(5, b"old"), 14), messages, take_two)
    topics = frame(b"\1prices") + frame(b"\1" + b"t" * 300) + frame(b"\0" + b"t" * 300)
    capture_by_hand(out, "pub_sub_30-null", zmq.XPUB, (greeting_3(0), 64), ready(b"SUB") + topics, take_topics_and_publish)
    capture_by_hand(out, "pub_sub_20-null", zmq.XPUB, (greeting_2(2), 14), topics, take_topics_and_publish)


def capture_from_hand_made_server(out, name, client_kind, prepare, server_says, talk, slowly=0.0):
    """A libzmq client of a hand-made server."""
    context = zmq.Context()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = new_socket(context, client_kind)
    prepare(client)
    client.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
    peer = ByHand(listener.accept()[0])
    listener.close()
    peer.say(server_says[0])
    peer.hear(11)
    peer.say(server_says[1])
    talk(client)
    if slowly:
        peer.hear_until(frame(b"the end"), slowly)
    client.close()
    peer.hear_to_the_end()
    context.term()
    record(out, name, {"client": peer.heard, "server": peer.said})


def subscribe(client):
    for topic in (b"", b"prices", b"t" * 300):
        client.subscribe(topic)
    client.unsubscribe(b"prices")


def impatient(client):
    client.heartbeat_ivl, client.heartbeat_timeout, client.sndbuf = 20, PATIENCE_MS, 2048


def one_long_message(client):
    """libzmq writes a PING between the frames of a message when it is due while the writing takes long: a slow reader makes it so."""
    client.send_multipart([body(300)] * 120)
    client.send(b"the end")


def capture_hand_made_servers(out):
    news = frame(b"prices 7")
    capture_from_hand_made_server(out, "subscriber_30-null", zmq.SUB, subscribe, (greeting_3(0), ready(b"PUB") + news), zmq.Socket.recv)
    capture_from_hand_made_server(out, "subscriber_20-null", zmq.SUB, subscribe, (greeting_2(1)[:12], frame(b"") + news), zmq.Socket.recv)
    capture_from_hand_made_server(
        out, "ping_in_message-null", zmq.PUSH, impatient, (greeting_3(1), ready(b"PULL")), one_long_message, slowly=0.02)


# ---- seeds of the fuzz harnesses, cut from the recordings ----

MECHANISMS = {"null": 1, "plain": 2, "curve": 3}
ALLOW_ZMTP2 = 4


def write_metadata(recordings, out):
    """What stands behind the name of each READY in the clear: the input of metadata_fuzz.c."""
    out.mkdir(exist_ok=True)
    seen = set()
    for path in sorted(recordings.glob("*-null-*")):
        data = path.read_bytes()
        if data[64:65] != bytes([COMMAND]) or data[66:72] != b"\5READY":
            continue
        metadata = data[72:66 + data[65]]
        if metadata not in seen:
            seen.add(metadata)
            (out / path.name).write_bytes(metadata)


def write_handshakes(recordings, out):
    """Both sides of each handshake, with a little of what follows: the input of handshake_fuzz.c."""
    out.mkdir(exist_ok=True)
    for path in sorted(recordings.glob("*-client")):
        name = path.name.removesuffix("-client")
        client, server = path.read_bytes()[:700], (recordings / f"{name}-server").read_bytes()[:500]
        choices = MECHANISMS[name.rsplit("-", 1)[1]] | (ALLOW_ZMTP2 if "_20-" in name else 0)
        (out / name).write_bytes(bytes([choices]) + struct.pack(">H", len(client)) + client + server)


def main(args):
    seeds = Path(args[0]) if args else Path(__file__).resolve().parent
    out = seeds / "zmtp"
    out.mkdir(parents=True, exist_ok=True)
    for mechanism in ("null", "plain", "curve"):
        for kinds in PATTERNS:
            capture_pattern(out, mechanism, *kinds)
    capture_pattern(out, "plain", zmq.ROUTER, zmq.DEALER, wrong_password)
    capture_old_versions(out)
    capture_hand_made_servers(out)
    write_metadata(out, seeds / "metadata")
    write_handshakes(out, seeds / "handshake")
    print(f"{len(list(out.iterdir()))} recordings in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

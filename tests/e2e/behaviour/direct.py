# SPDX-License-Identifier: MPL-2.0
"""libzmq's functions by their address (dlsym), as language bindings call them: no call of the program to them can be replaced, so its sockets are not known."""
import ctypes

import zmq

from .case import PATIENCE

LIBRARY = "libzmq.so.5"


class _Direct:
    """A bound socket."""

    def __init__(self, t, kind, url="tcp://127.0.0.1:*", **options):
        self.zmq = ctypes.CDLL(LIBRARY, use_errno=True)
        for name in ("zmq_ctx_new", "zmq_socket"):
            getattr(self.zmq, name).restype = ctypes.c_void_p
        self.ctx = ctypes.c_void_p(self.zmq.zmq_ctx_new())
        self.socket = ctypes.c_void_p(self.zmq.zmq_socket(self.ctx, kind))
        t.ends.callback(self.close)
        for name, value in {"LINGER": 0, "RCVTIMEO": PATIENCE * 1000, **options}.items():
            self.zmq.zmq_setsockopt(self.socket, getattr(zmq, name), ctypes.byref(ctypes.c_int(value)), ctypes.c_size_t(4))
        self.bound = self.bind(url)

    def bind(self, url):
        return self.result(self.zmq.zmq_bind(self.socket, url.encode()))

    def unbind(self, url):
        return self.result(self.zmq.zmq_unbind(self.socket, url.encode()))

    def result(self, code):
        return code if code >= 0 else zmq.strerror(ctypes.get_errno())

    def endpoint(self):
        text, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
        self.zmq.zmq_getsockopt(self.socket, zmq.LAST_ENDPOINT, text, ctypes.byref(size))
        return text.value.decode()

    def recv(self):
        text = ctypes.create_string_buffer(256)
        n = self.zmq.zmq_recv(self.socket, text, ctypes.c_size_t(256), 0)
        return text.raw[:n] if n >= 0 else self.result(n)

    def send(self, text, more=False):
        return self.result(self.zmq.zmq_send(self.socket, text, ctypes.c_size_t(len(text)), zmq.SNDMORE if more else 0))

    def close(self):
        if self.socket:
            self.zmq.zmq_close(self.socket)
            self.zmq.zmq_ctx_term(self.ctx)
        self.socket = None


def pull(t):
    s = _Direct(t, zmq.PULL)
    t.say(s.bound, s.endpoint())
    t.connected(zmq.PUSH, s.endpoint()).send(b"hello")
    t.say(s.recv())


def rep(t):
    s = _Direct(t, zmq.REP)
    req = t.connected(zmq.REQ, s.endpoint())
    for i in range(5):
        req.send(b"%d" % i)
        t.say(s.recv(), s.send(b"answer"), req.recv())


def xpub(t):
    s = _Direct(t, zmq.XPUB)
    sub = t.connected(zmq.SUB, s.endpoint(), SUBSCRIBE=b"a")
    t.say(s.recv(), s.send(b"b1"), s.send(b"a1"), sub.recv())


def dealer_that_speaks_first(t):
    """It has nothing to wait for but its client."""
    s = _Direct(t, zmq.DEALER)
    client = t.connected(zmq.DEALER, s.endpoint())
    client.send(b"x")
    t.say(s.recv(), s.send(b"y"), client.recv())


def stream(t):
    """The gate does not know that it speaks no ZMTP."""
    s = _Direct(t, zmq.STREAM)
    client = t.raw(s.endpoint(), source="127.9.14.1", data=b"GET /")
    who = s.recv()
    t.say(len(who), s.recv(), s.recv() == who, s.recv())
    t.say(s.send(who, more=True), s.send(b"200 OK"), client.recv(100))
    client.close()
    t.say(s.recv() == who, s.recv())


def stream_whose_client_waits(t):
    """The server speaks first, as those of FTP and SMTP do."""
    s = _Direct(t, zmq.STREAM)
    client = t.raw(s.endpoint(), source="127.9.14.2")
    who = s.recv()
    t.say(s.recv(), s.send(who, more=True), s.send(b"220 ready"), client.recv(100))
    client.sendall(b"HELO")
    t.say(s.recv() == who, s.recv())


def two_streams_at_once(t):
    s = _Direct(t, zmq.STREAM)
    for i in range(2):
        client = t.raw(s.endpoint(), source=f"127.9.14.{i + 3}", data=b"%d" % i)
        who = s.recv()
        t.say(s.recv(), s.recv() == who, s.recv())
        s.send(who, more=True)
        s.send(b"to %d" % i)
        t.say(client.recv(100))


def unbind_and_bind(t):
    s = _Direct(t, zmq.PULL)
    where = s.endpoint()
    for _ in range(3):
        t.say(s.unbind(where))
        t.until(lambda: s.bind(where) == 0)
        t.connected(zmq.PUSH, where).send(b"x")
        t.say(s.recv(), s.endpoint() == where)


def an_address_in_use(t):
    s = _Direct(t, zmq.PULL)
    t.say(_Direct(t, zmq.PULL, s.endpoint()).bound, _Direct(t, zmq.PULL, "tcp://203.0.113.1:*").bound)

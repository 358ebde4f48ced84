# SPDX-License-Identifier: MPL-2.0
"""zmq_null(7), zmq_plain(7), zmq_curve(7), and ZAP (RFC 27): what the handler is asked, and what its answers do."""
import threading

import zmq
import zmq.auth.thread

EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
SERVER = (b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", b"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
CLIENT = (b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", b"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")


class _Handler:
    """Answers with what it was given, and keeps what it was asked."""

    def __init__(self, t, code=b"200", text=b"OK", user=b"", metadata=b""):
        self.asked, self.answer = [], [code, text, user, metadata]
        self.socket = t.socket(zmq.REP)
        self.socket.rcvtimeo = 20
        self.socket.bind("inproc://zeromq.zap.01")
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        t.ends.callback(self.stop)

    def serve(self):
        while not self.over.is_set():
            try:
                frames = self.socket.recv_multipart()
            except zmq.Again:
                continue
            version, number, *rest = frames
            self.asked.append([version, len(number)] + rest)
            self.socket.send_multipart([version, number, *self.answer])
        self.socket.close()

    def stop(self):
        self.over.set()
        self.thread.join()


def _domain(name):
    return {"ZAP_DOMAIN": name} if name else {}


def _curve(server=SERVER, client=CLIENT, domain=b"global"):
    """Options of both sides."""
    return ({"CURVE_SERVER": 1, "CURVE_SECRETKEY": server[1], **_domain(domain)},
            {"CURVE_SERVERKEY": SERVER[0], "CURVE_PUBLICKEY": client[0], "CURVE_SECRETKEY": client[1]})


def _plain(password=b"word", domain=b"global"):
    return {"PLAIN_SERVER": 1, **_domain(domain)}, {"PLAIN_USERNAME": b"user", "PLAIN_PASSWORD": password}


def _admitted(t, handler, server, client, source="127.9.4.1"):
    """One client, one message, and what the handler was asked."""
    s, where = t.bound(zmq.PULL, **server)
    seen = t.watch(s, EVENTS)
    c = t.connected(zmq.PUSH, where, source=source, **client)
    c.send(b"hello")
    m = s.recv(copy=False)
    t.say(m.bytes, seen.next(), m.get("Peer-Address"), _user(m), handler.asked if handler else None)
    return m


def _user(m):
    try:
        return m.get("User-Id")
    except zmq.ZMQError:
        return "none"


def _refused(t, handler, server, client, source):
    """One client that may not come in and does not try again."""
    s, where = t.bound(zmq.PULL, **server)
    seen = t.watch(s, EVENTS)
    c = t.socket(zmq.PUSH, RECONNECT_IVL=-1, **client)
    client_seen = t.watch(c, EVENTS)
    c.connect(f"tcp://{source}:0;{where.removeprefix('tcp://')}")
    t.say(seen.next(), client_seen.next()[:2], handler.asked if handler else None)
    t.say(t.quiet(s), client_seen.rest(), seen.rest())


def null_without_a_handler(t):
    _admitted(t, None, {}, {})


def null_with_a_handler_and_no_domain(t):
    _admitted(t, _Handler(t), {}, {})


def null_with_a_handler(t):
    _admitted(t, _Handler(t), {"ZAP_DOMAIN": b"mine"}, {})


def null_with_an_id(t):
    _admitted(t, _Handler(t), {"ZAP_DOMAIN": b"mine", "ROUTING_ID": b"server"}, {"ROUTING_ID": b"client"})


def null_refused(t):
    _refused(t, _Handler(t, b"400", b"no"), {"ZAP_DOMAIN": b"mine"}, {}, "127.9.4.2")


def null_later(t):
    """300: nobody tells the client. It may be cut off, or not, as the order of things was."""
    handler = _Handler(t, b"300", b"later")
    s, where = t.bound(zmq.PULL, ZAP_DOMAIN=b"mine")
    seen = t.watch(s, zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_SUCCEEDED)
    t.knocks(t.connected(zmq.PUSH, where, source="127.9.4.3", RECONNECT_IVL=-1), b"x")
    t.say(seen.next(), handler.asked, t.quiet(s))


def null_with_a_broken_handler(t):
    _refused(t, _Handler(t, b"500", b"oh"), {"ZAP_DOMAIN": b"mine"}, {}, "127.9.4.4")


def a_domain_without_a_handler(t):
    """ZMQ_ZAP_ENFORCE_DOMAIN is off: without a handler everybody comes in."""
    _admitted(t, None, {"ZAP_DOMAIN": b"mine"}, {})


def a_user_and_metadata(t):
    m = _admitted(t, _Handler(t, user=b"alice", metadata=b"\5Group\0\0\0\5staff"), {"ZAP_DOMAIN": b"mine"}, {})
    t.say(m.get("Group"), m.get("User-Id"), m.get("Socket-Type"))


def the_handler_is_asked_once_for_each_client(t):
    handler = _Handler(t)
    s, where = t.bound(zmq.ROUTER, ZAP_DOMAIN=b"mine")
    for i in range(10):
        c = t.connected(zmq.DEALER, where, source=f"127.9.4.{i + 50}", ROUTING_ID=b"%d" % i)
        c.send(b"x")
        t.say(s.recv_multipart())
    t.say(t.quiet(s), handler.asked)


def over_ipv6(t):
    handler = _Handler(t)
    s, where = t.bound(zmq.PULL, "tcp://[::1]:*", IPV6=1, ZAP_DOMAIN=b"mine")
    t.connected(zmq.PUSH, where, IPV6=1).send(b"x")
    t.say(s.recv(), handler.asked)


def over_dual_stack(t):
    handler = _Handler(t)
    s, where = t.bound(zmq.PULL, "tcp://*:*", IPV6=1, ZAP_DOMAIN=b"mine")
    t.connected(zmq.PUSH, where.replace("[::]", "127.0.0.1"), source="127.9.4.5").send(b"x")
    t.say(s.recv(), handler.asked)


def plain_without_a_handler(t):
    """Nobody comes in."""
    server, client = _plain(domain=b"")
    s, where = t.bound(zmq.PULL, **server)
    t.knocks(t.connected(zmq.PUSH, where, source="127.9.4.11", **client), b"x")
    t.say(t.quiet(s, 300))


def plain_with_a_handler(t):
    _admitted(t, _Handler(t, user=b"user"), *_plain())


def plain_with_the_wrong_password(t):
    _refused(t, _Handler(t, b"400", b"no"), *_plain(b"wrong"), "127.9.4.6")


def plain_client_at_null(t):
    """The mechanisms differ: no message arrives."""
    s, where = t.bound(zmq.PULL)
    c = t.connected(zmq.PUSH, where, source="127.9.4.7", **_plain()[1])
    t.knocks(c, b"x")
    t.say(t.quiet(s, 300))
    other = t.connected(zmq.PUSH, where)
    other.send(b"right")
    t.say(s.recv())


def null_client_at_plain(t):
    _Handler(t)
    s, where = t.bound(zmq.PULL, **_plain()[0])
    c = t.connected(zmq.PUSH, where, source="127.9.4.8")
    t.knocks(c, b"x")
    t.say(t.quiet(s, 300))
    other = t.connected(zmq.PUSH, where, **_plain()[1])
    other.send(b"right")
    t.say(s.recv())


def plain_with_the_client_as_server(t):
    """The bound socket has the password, and the one that connects judges."""
    handler = _Handler(t)
    s, where = t.bound(zmq.PULL, **_plain()[1])
    c = t.connected(zmq.PUSH, where, **_plain()[0])
    c.send(b"x")
    t.say(s.recv(), handler.asked)


def curve_without_a_handler(t):
    _admitted(t, None, *_curve(domain=b""))


def curve_with_a_handler(t):
    m = _admitted(t, _Handler(t, user=b"key"), *_curve())
    t.say(m.get("Socket-Type"))


def curve_refused(t):
    _refused(t, _Handler(t, b"400", b"no"), *_curve(), "127.9.4.9")


def curve_with_the_wrong_server_key(t):
    s, where = t.bound(zmq.PULL, **_curve(domain=b"")[0])
    wrong = dict(_curve()[1], CURVE_SERVERKEY=CLIENT[0])
    c = t.connected(zmq.PUSH, where, source="127.9.4.10", **wrong)
    t.knocks(c, b"x")
    t.say(t.quiet(s, 300))
    t.connected(zmq.PUSH, where, **_curve()[1]).send(b"right")
    t.say(s.recv())


def curve_both_ways(t):
    server, client = _curve(domain=b"")
    s, where = t.bound(zmq.ROUTER, **server)
    c = t.connected(zmq.DEALER, where, ROUTING_ID=b"me", **client)
    for i in range(20):
        c.send_multipart([b"%d" % i, b"", b"x" * i * 1000])
        frames = s.recv_multipart()
        s.send_multipart(frames)
        t.say(c.recv_multipart() == [b"%d" % i, b"", b"x" * i * 1000])


def curve_publisher(t):
    server, client = _curve(domain=b"")
    xpub, where = t.bound(zmq.XPUB, **server)
    sub = t.connected(zmq.SUB, where, SUBSCRIBE=[b"a", b"b"], **client)
    t.say(sorted(xpub.recv() for _ in range(2)))
    for topic in (b"a1", b"c1", b"b1"):
        xpub.send(topic)
    t.say(sub.recv(), sub.recv(), t.quiet(sub))


def curve_keys_are_told_by_address(t):
    handler = _Handler(t)
    server, client = _curve()
    s, where = t.bound(zmq.PULL, **server)
    for i in range(3):
        t.connected(zmq.PUSH, where, source=f"127.9.4.{i + 20}", ROUTING_ID=b"%d" % i, **client).send(b"x")
        m = s.recv(copy=False)
        t.say(m.get("Peer-Address"))
    t.say(handler.asked)


def mechanism_of_the_socket(t):
    for options in ({}, _plain()[0], _plain()[1], _curve()[0], _curve()[1]):
        s, _ = t.bound(zmq.PULL, **options)
        t.say(s.getsockopt(zmq.MECHANISM), s.getsockopt(zmq.PLAIN_SERVER), s.getsockopt(zmq.CURVE_SERVER))


def an_authenticator_with_addresses(t):
    """pyzmq's: who is denied does not come in, and who is not denied does."""
    auth = zmq.auth.thread.ThreadAuthenticator(t.ctx)
    auth.start()
    auth.deny("127.9.4.30")
    s, where = t.bound(zmq.PULL, ZAP_DOMAIN=b"mine")
    seen = t.watch(s, EVENTS)
    t.knocks(t.connected(zmq.PUSH, where, source="127.9.4.30", RECONNECT_IVL=-1), b"denied")
    t.say(seen.next())
    t.connected(zmq.PUSH, where, source="127.9.4.31").send(b"not denied")
    t.say(seen.next(), s.recv())
    auth.stop()


def an_authenticator_that_allows(t):
    auth = zmq.auth.thread.ThreadAuthenticator(t.ctx)
    auth.start()
    auth.allow("127.9.4.32")
    s, where = t.bound(zmq.PULL, ZAP_DOMAIN=b"mine")
    seen = t.watch(s, EVENTS)
    t.knocks(t.connected(zmq.PUSH, where, source="127.9.4.33", RECONNECT_IVL=-1), b"not allowed")
    t.say(seen.next())
    t.connected(zmq.PUSH, where, source="127.9.4.32").send(b"allowed")
    t.say(seen.next(), s.recv())
    auth.stop()


def an_authenticator_with_passwords(t):
    auth = zmq.auth.thread.ThreadAuthenticator(t.ctx)
    auth.start()
    auth.configure_plain("global", {"user": "word"})
    s, where = t.bound(zmq.PULL, **_plain()[0])
    seen = t.watch(s, EVENTS)
    t.knocks(t.connected(zmq.PUSH, where, source="127.9.4.34", RECONNECT_IVL=-1, **_plain(b"wrong")[1]), b"wrong")
    t.say(seen.next())
    t.connected(zmq.PUSH, where, **_plain()[1]).send(b"right")
    m = s.recv(copy=False)
    t.say(seen.next(), m.bytes, m.get("User-Id"))
    auth.stop()


def an_authenticator_with_keys(t):
    auth = zmq.auth.thread.ThreadAuthenticator(t.ctx)
    auth.start()
    auth.configure_curve_callback("global", type("Keys", (), {"callback": lambda self, domain, key: key == CLIENT[0]})())
    server, client = _curve()
    s, where = t.bound(zmq.PULL, **server)
    seen = t.watch(s, EVENTS)
    stranger = zmq.curve_keypair()
    t.knocks(t.connected(zmq.PUSH, where, source="127.9.4.35", RECONNECT_IVL=-1, **_curve(client=stranger)[1]), b"stranger")
    t.say(seen.next())
    t.connected(zmq.PUSH, where, **client).send(b"friend")
    m = s.recv(copy=False)
    t.say(seen.next(), m.bytes, m.get("User-Id"))
    auth.stop()


def accept_filter(t):
    s, where = t.bound(zmq.PULL, TCP_ACCEPT_FILTER=[b"127.9.5.0/24", b"127.9.6.1"])
    seen = t.watch(s, EVENTS)
    for source in ("127.9.7.1", "127.9.5.1", "127.9.6.2", "127.9.6.1", "127.9.5.255"):
        t.knocks(t.connected(zmq.PUSH, where, source=source, RECONNECT_IVL=-1), source.encode())
        t.say(source, s.recv() if s.poll(200) else "not heard", seen.rest(0))


def accept_filter_of_ipv6(t):
    s, where = t.bound(zmq.PULL, "tcp://[::]:*", IPV6=1, TCP_ACCEPT_FILTER=b"::1")
    t.knocks(t.connected(zmq.PUSH, where.replace("[::]", "127.0.0.1"), source="127.9.7.2", RECONNECT_IVL=-1), b"four")
    t.say(s.recv() if s.poll(200) else "not heard")
    t.connected(zmq.PUSH, where.replace("[::]", "[::1]"), IPV6=1).send(b"six")
    t.say(s.recv())


def accept_filter_that_is_no_address(t):
    s = t.socket(zmq.PULL)
    for text in (b"300.1.1.1", b"127.0.0.1/33", b"", b"host name"):
        t.say(text, t.tried(s.setsockopt, zmq.TCP_ACCEPT_FILTER, text))

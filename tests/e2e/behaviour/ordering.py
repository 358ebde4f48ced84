# SPDX-License-Identifier: MPL-2.0
"""What is sent arrives whole, once, and in the order in which it was sent."""
import hashlib
import threading

import zmq

SIZES = [*range(0, 20), 127, 128, 254, 255, 256, 257, 4095, 4096, 8191, 8192, 8193, 65534, 65535, 65536, 65537, 100000, 524287, 524288, 524289, 1 << 20]


def _body(n, size):
    return (b"%08d" % n * (size // 8 + 1))[:size]


def all_sizes(t):
    pull, push = t.both(zmq.PULL, zmq.PUSH)
    for i, size in enumerate(SIZES):
        push.send(_body(i, size))
    t.say([len(m) if m == _body(i, len(m)) else "altered" for i, m in enumerate(pull.recv() for _ in SIZES)])


def all_sizes_to_the_client(t):
    push, pull = t.both(zmq.PUSH, zmq.PULL)
    for i, size in enumerate(SIZES):
        push.send(_body(i, size))
    t.say([len(m) if m == _body(i, len(m)) else "altered" for i, m in enumerate(pull.recv() for _ in SIZES)])


def all_sizes_there_and_back(t):
    router, dealer = t.both(zmq.ROUTER, zmq.DEALER)
    for i, size in enumerate(SIZES):
        dealer.send_multipart([b"%d" % i, _body(i, size)])
        router.send_multipart(router.recv_multipart())
        number, body = dealer.recv_multipart()
        t.say(number, len(body), body == _body(i, size))


def ten_thousand_multipart_messages(t):
    pull, push = t.both(zmq.PULL, zmq.PUSH)

    def send():
        for i in range(10000):
            push.send_multipart([b"%d" % i] + [b"part %d" % n for n in range(i % 5)])
    thread = threading.Thread(target=send)
    thread.start()
    got = [pull.recv_multipart() for _ in range(10000)]
    thread.join()
    t.say([int(m[0]) for m in got] == list(range(10000)), all(m[1:] == [b"part %d" % n for n in range(i % 5)] for i, m in enumerate(got)))


def ten_thousand_to_the_client(t):
    push, pull = t.both(zmq.PUSH, zmq.PULL)

    def send():
        for i in range(10000):
            push.send_multipart([b"%d" % i, b"x" * (i % 100)])
    thread = threading.Thread(target=send)
    thread.start()
    got = [pull.recv_multipart() for _ in range(10000)]
    thread.join()
    t.say([int(m[0]) for m in got] == list(range(10000)), all(len(m[1]) == i % 100 for i, m in enumerate(got)))


def frames_never_mix(t):
    """Eight clients, each in its own thread, with messages of several frames."""
    pull, where = t.bound(zmq.PULL)

    def send(n):
        c = t.ctx.socket(zmq.PUSH)
        c.connect(where)
        for i in range(500):
            c.send_multipart([b"%d" % n, b"%d" % i, b"end %d" % n])
        c.close(10000)
    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    next_of, right = [0] * 8, True
    for _ in range(4000):
        who, number, end = pull.recv_multipart()
        right &= end == b"end " + who and int(number) == next_of[int(who)]
        next_of[int(who)] += 1
    for thread in threads:
        thread.join()
    t.say(right, next_of)


def both_ways_at_once(t):
    a, b = t.both(zmq.DEALER, zmq.DEALER)
    for i in range(2000):
        a.send(b"a%d" % i)
        b.send(b"b%d" % i)
    t.say([b.recv() for _ in range(2000)] == [b"a%d" % i for i in range(2000)], [a.recv() for _ in range(2000)] == [b"b%d" % i for i in range(2000)])


def a_thousand_requests_at_once(t):
    rep, dealer = t.both(zmq.REP, zmq.DEALER)

    def serve():
        for _ in range(1000):
            rep.send(rep.recv() + b"!")
    thread = threading.Thread(target=serve)
    thread.start()
    for i in range(1000):
        dealer.send_multipart([b"", b"%d" % i])
    got = [dealer.recv_multipart()[1] for _ in range(1000)]
    thread.join()
    t.say(got == [b"%d!" % i for i in range(1000)])


def messages_of_many_frames(t):
    pull, push = t.both(zmq.PULL, zmq.PUSH)
    for count in (1, 2, 10, 1000, 5000):
        push.send_multipart([b"%d" % i for i in range(count)])
        t.say(pull.recv_multipart() == [b"%d" % i for i in range(count)])


def empty_frames(t):
    pull, push = t.both(zmq.PULL, zmq.PUSH)
    for message in ([b""], [b"", b""], [b"", b"x", b""], [b""] * 100):
        push.send_multipart(message)
        t.say(pull.recv_multipart() == message, len(message))


def sixteen_megabytes(t):
    pull, push = t.both(zmq.PULL, zmq.PUSH)
    body = hashlib.sha256(b"weir").digest() * (1 << 19)
    push.send_multipart([b"before", body, b"after"])
    got = pull.recv_multipart()
    t.say(got[0], len(got[1]), got[1] == body, got[2])


def sixteen_megabytes_to_the_client(t):
    rep, req = t.both(zmq.REP, zmq.REQ)
    body = hashlib.sha256(b"weir").digest() * (1 << 19)
    req.send(body)
    rep.send(rep.recv())
    t.say(req.recv() == body)


def small_behind_large(t):
    """Of one client in order, and another client's small messages arrive too."""
    pull, where = t.bound(zmq.PULL)
    one, two = t.connected(zmq.PUSH, where), t.connected(zmq.PUSH, where)
    one.send(b"1" * (4 << 20))
    one.send(b"1small")
    two.send(b"2small")
    got = [pull.recv() for _ in range(3)]
    t.say(sorted(m[:6] for m in got), [len(m) for m in got if m[:1] == b"1"])


def publications_in_order(t):
    pub, where = t.bound(zmq.PUB, SNDHWM=0)
    subs = [t.connected(zmq.SUB, where, SUBSCRIBE=b"", RCVHWM=0) for _ in range(3)]
    for s in subs:
        t.receives(pub, s)
    for i in range(3000):
        pub.send_multipart([b"%d" % i, b"text"])
    for s in subs:
        got = []
        while len(got) < 3000:  # the messages by which others waited for their subscription have one frame
            m = s.recv_multipart()
            got += [int(m[0])] if len(m) == 2 else []
        t.say(got == list(range(3000)))


def what_was_sent_before_close(t):
    """The client closes at once, with a long linger."""
    pull, where = t.bound(zmq.PULL)
    for n in range(3):
        c = t.connected(zmq.PUSH, where)
        for i in range(1000):
            c.send(b"%d" % i)
        c.close(10000)
        t.say([int(pull.recv()) for _ in range(1000)] == list(range(1000)))


def what_was_sent_before_the_server_closed(t):
    push, where = t.bound(zmq.PUSH)
    c = t.connected(zmq.PULL, where)
    for i in range(1000):
        push.send(b"%d" % i)
    push.close(10000)
    t.say([int(c.recv()) for _ in range(1000)] == list(range(1000)))


def a_message_that_is_not_finished(t):
    """A client that leaves in the middle of a message: nobody sees a part of it."""
    pull, where = t.bound(zmq.PULL)
    c = t.greeted(where, source="127.9.10.1")
    c.sendall(b"\0\5first" + b"\1\3two" + b"\1\x0aonly a p")
    t.say(pull.recv())
    c.close()
    t.connected(zmq.PUSH, where).send(b"another")
    t.say(pull.recv_multipart(), t.quiet(pull))


def octet_by_octet(t):
    pull, where = t.bound(zmq.PULL)
    c = t.greeted(where)
    for octet in b"\1\3abc\0\4defg\0\0":
        c.sendall(bytes([octet]))
    t.say(pull.recv_multipart(), pull.recv_multipart())


def a_long_size_for_a_short_frame(t):
    pull, where = t.bound(zmq.PULL)
    c = t.greeted(where)
    c.sendall(b"\2" + (5).to_bytes(8, "big") + b"hello\3" + (1).to_bytes(8, "big") + b"a\0\1b")
    t.say(pull.recv_multipart(), pull.recv_multipart())

# SPDX-License-Identifier: MPL-2.0
"""The publish-subscribe patterns of zmq_socket(3), with the bound side behind the gate."""
import zmq


def pub_sub_prefixes(t):
    pub, where = t.bound(zmq.PUB)
    sub = t.connected(zmq.SUB, where, SUBSCRIBE=[b"a", b"bc", b"?"])
    t.receives(pub, sub)
    for topic in (b"a", b"ab", b"b", b"bc", b"bcd", b"cb", b"", b"A"):
        pub.send_multipart([topic, b"text"])
    t.say(t.all_of(sub, 4), t.quiet(sub))


def sub_unsubscribes(t):
    xpub, where = t.bound(zmq.XPUB)
    sub = t.connected(zmq.SUB, where, SUBSCRIBE=[b"a", b"b"])
    t.say(sorted(xpub.recv() for _ in range(2)))
    xpub.send(b"a1")
    t.say(sub.recv())
    sub.unsubscribe(b"a")
    t.say(xpub.recv())
    xpub.send(b"a2")
    xpub.send(b"b2")
    t.say(sub.recv(), t.quiet(sub))
    t.say(t.tried(sub.unsubscribe, b"never"), t.quiet(xpub))


def sub_that_subscribes_twice(t):
    """It has to cancel as often."""
    xpub, where = t.bound(zmq.XPUB)
    sub = t.connected(zmq.SUB, where)
    for change in (sub.subscribe, sub.subscribe, sub.unsubscribe):
        change(b"a")
    sub.subscribe(b"z")
    t.say(t.all_of(xpub, 2))
    xpub.send(b"a1")
    t.say(sub.recv())
    sub.unsubscribe(b"a")
    t.say(xpub.recv())


def xpub_hears_each_topic_once(t):
    xpub, where = t.bound(zmq.XPUB)
    one, two = t.connected(zmq.SUB, where), t.connected(zmq.SUB, where)
    one.subscribe(b"a")
    t.say(xpub.recv())
    two.subscribe(b"a")
    two.subscribe(b"b")
    t.say(xpub.recv())
    one.unsubscribe(b"a")
    t.say(t.quiet(xpub))
    two.unsubscribe(b"a")
    t.say(xpub.recv())


def xpub_hears_the_end_of_a_subscriber(t):
    xpub, where = t.bound(zmq.XPUB)
    sub = t.connected(zmq.SUB, where, SUBSCRIBE=[b"one", b"two", b"three"])
    t.say(sorted(xpub.recv() for _ in range(3)))
    sub.close()
    t.say(sorted(xpub.recv() for _ in range(3)), t.quiet(xpub))


def xpub_verbose(t):
    xpub, where = t.bound(zmq.XPUB, XPUB_VERBOSE=1)
    one, two = t.connected(zmq.SUB, where), t.connected(zmq.SUB, where)
    one.subscribe(b"a")
    t.say(xpub.recv())
    two.subscribe(b"a")
    t.say(xpub.recv())
    one.unsubscribe(b"a")
    two.unsubscribe(b"a")
    t.say(xpub.recv(), t.quiet(xpub))


def xpub_verboser(t):
    xpub, where = t.bound(zmq.XPUB, XPUB_VERBOSER=1)
    one, two = t.connected(zmq.SUB, where), t.connected(zmq.SUB, where)
    for s in (one, two):
        s.subscribe(b"a")
        t.say(xpub.recv())
    for s in (one, two):
        s.unsubscribe(b"a")
        t.say(xpub.recv())


def xpub_manual(t):
    """The application subscribes in the client's place."""
    xpub, where = t.bound(zmq.XPUB, XPUB_MANUAL=1)
    sub = t.connected(zmq.SUB, where, SUBSCRIBE=b"a")
    t.say(xpub.recv())
    xpub.subscribe(b"b")
    sub.subscribe(b"")
    t.say(xpub.recv())
    xpub.send(b"a1")
    xpub.send(b"b1")
    t.say(sub.recv(), t.quiet(sub))


def xpub_welcome_message(t):
    xpub, where = t.bound(zmq.XPUB, XPUB_WELCOME_MSG=b"welcome")
    for _ in range(3):
        sub = t.connected(zmq.SUB, where, SUBSCRIBE=b"welcome")
        t.say(t.attended(xpub, sub))
    other = t.connected(zmq.SUB, where, SUBSCRIBE=b"x")
    t.say(t.quiet(other))


def xsub_speaks_to_xpub(t):
    """Messages of its own, beside subscriptions; in both forms of several frames."""
    xpub, xsub = t.both(zmq.XPUB, zmq.XSUB)
    for frames in ([b"\1topic"], [b"a message"], [b"two", b"frames"], [b"\0topic"], [b"\2"], [b""]):
        xsub.send_multipart(frames)
        t.say(xpub.recv_multipart())


def xsub_bound(t):
    """Publishers connect to a bound subscriber, and hear what it wants."""
    xsub, where = t.bound(zmq.XSUB)
    xsub.send(b"\1a")
    xpub = t.connected(zmq.XPUB, where)
    t.say(t.attended(xsub, xpub))
    xpub.send(b"a1")
    xpub.send(b"b1")
    xsub.send(b"\1b")
    t.say(xsub.recv(), xpub.recv())
    xpub.send(b"b2")
    xsub.send(b"\0a")
    t.say(xsub.recv(), xpub.recv())


def sub_bound_to_many_publishers(t):
    sub, where = t.bound(zmq.SUB, SUBSCRIBE=b"")
    for i in range(5):
        pub = t.connected(zmq.PUB, where)
        t.receives(pub, sub)
        pub.send_multipart([b"%d" % i, b"text"])
        t.say(sub.recv_multipart())


def sub_invert_matching(t):
    pub, where = t.bound(zmq.PUB, INVERT_MATCHING=1)
    sub = t.connected(zmq.SUB, where, INVERT_MATCHING=1, SUBSCRIBE=b"a")
    t.receives(pub, sub, b"x")
    for topic in (b"a", b"ab", b"b", b"c"):
        pub.send(topic)
    t.say(t.all_of(sub, 2), t.quiet(sub))


def late_subscriber(t):
    pub, where = t.bound(zmq.PUB)
    early = t.connected(zmq.SUB, where, SUBSCRIBE=b"")
    t.receives(pub, early)
    for i in range(5):
        pub.send(b"%d" % i)
    t.say(t.all_of(early, 5))
    late = t.connected(zmq.SUB, where, SUBSCRIBE=b"")
    t.receives(pub, late)
    pub.send(b"now")
    t.say(late.recv(), t.quiet(late))


def ten_thousand_topics(t):
    xpub, where = t.bound(zmq.XPUB, RCVHWM=0)
    sub = t.connected(zmq.SUB, where, SNDHWM=0)
    for i in range(10000):
        sub.subscribe(b"topic %d." % i)
    got = [xpub.recv() for _ in range(10000)]
    t.say(got == [b"\1topic %d." % i for i in range(10000)])
    for i in (0, 9999, 10000, 5, 12345):
        xpub.send(b"topic %d." % i)
    t.say(t.all_of(sub, 3), t.quiet(sub))


def conflating_publisher(t):
    pub, where = t.bound(zmq.PUB, CONFLATE=1)
    sub = t.connected(zmq.SUB, where, SUBSCRIBE=b"")
    t.receives(pub, sub)
    pub.send(b"a")
    t.say(sub.recv())

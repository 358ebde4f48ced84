# SPDX-License-Identifier: MPL-2.0
"""The patterns of zmq_socket(3) but publish-subscribe, with the bound side behind the gate."""
import zmq

from .case import PATIENCE


def req_rep(t):
    rep, req = t.both(zmq.REP, zmq.REQ)
    for i in range(10):
        req.send_multipart([b"question", b"%d" % i])
        t.say(rep.recv_multipart())
        rep.send(b"answer %d" % i)
        t.say(req.recv())


def req_rep_out_of_turn(t):
    rep, req = t.both(zmq.REP, zmq.REQ)
    t.say(t.tried(rep.send, b"x"), t.tried(req.recv, zmq.DONTWAIT))
    req.send(b"x")
    t.say(t.tried(req.send, b"y"))
    t.say(rep.recv(), t.tried(rep.recv, zmq.DONTWAIT))
    rep.send(b"z")
    t.say(req.recv(), t.tried(req.recv, zmq.DONTWAIT))


def req_bound_rep_connected(t):
    req, rep = t.both(zmq.REQ, zmq.REP)
    req.send(b"question")
    t.say(rep.recv())
    rep.send(b"answer")
    t.say(req.recv())


def req_takes_turns_between_servers(t):
    servers = [t.bound(zmq.REP) for _ in range(3)]
    req = t.socket(zmq.REQ)
    with t.watching(req, zmq.EVENT_HANDSHAKE_SUCCEEDED) as seen:
        for _, where in servers:
            req.connect(where)
            seen.next()
    for i in range(9):
        req.send(b"%d" % i)
        rep = next(s for s in [s for s, _ in servers] * 500 if s.poll(10))
        t.say([s for s, _ in servers].index(rep), rep.recv())
        rep.send(b"to %d" % i)
        t.say(req.recv())


def req_relaxed_and_correlated(t):
    router, req = t.both(zmq.ROUTER, zmq.REQ, REQ_RELAXED=1, REQ_CORRELATE=1)
    req.send(b"first")
    first = router.recv_multipart()
    t.say(len(first), len(first[1]), first[2:])
    req.send(b"second")
    second = router.recv_multipart()
    t.say(len(second[1]), second[2:], first[1] != second[1])
    router.send_multipart(first[:3] + [b"late"])
    router.send_multipart(second[:3] + [b"right"])
    t.say(req.recv())


def req_leaves_a_server_without_manners(t):
    """A reply without the empty frame ends the connection, and the request is lost."""
    router, req = t.both(zmq.ROUTER, zmq.REQ)
    with t.watching(router, zmq.EVENT_DISCONNECTED) as seen:
        req.send(b"q")
        who, empty, text = router.recv_multipart()
        router.send_multipart([who, b"no delimiter"])
        t.say(empty, text, seen.next(), t.quiet(req))


def dealer_to_rep(t):
    rep, dealer = t.both(zmq.REP, zmq.DEALER)
    for i in range(5):
        dealer.send_multipart([b"", b"%d" % i])
    for _ in range(5):
        rep.send(rep.recv() + b"!")
    t.say(t.all_of(dealer, 5))


def dealer_to_rep_with_addresses(t):
    """What stands before the empty frame comes back with the reply."""
    rep, dealer = t.both(zmq.REP, zmq.DEALER)
    dealer.send_multipart([b"a", b"b", b"", b"text", b"", b"more"])
    t.say(rep.recv_multipart())
    rep.send_multipart([b"answer", b"of two"])
    t.say(dealer.recv_multipart())


def router_and_dealers_with_ids(t):
    router, where = t.bound(zmq.ROUTER)
    dealers = [t.connected(zmq.DEALER, where, ROUTING_ID=b"dealer %d" % i) for i in range(4)]
    for d in dealers:
        d.send_multipart([b"hello", b""])
        t.say(router.recv_multipart())
    for i in (3, 1, 0, 2, 2):
        router.send_multipart([b"dealer %d" % i, b"to", b"%d" % i])
        t.say(i, dealers[i].recv_multipart())


def router_makes_ids(t):
    router, where = t.bound(zmq.ROUTER)
    ids = set()
    for _ in range(5):
        dealer = t.connected(zmq.DEALER, where)
        dealer.send(b"x")
        who, text = router.recv_multipart()
        ids.add(who)
        t.say(len(who), who[0], text)
        router.send_multipart([who, b"y"])
        t.say(dealer.recv())
    t.say(len(ids))


def router_ids_of_any_octets(t):
    router, where = t.bound(zmq.ROUTER)
    for name in (b"\1", b"\xff" * 255, b"a\0b", bytes(range(1, 256)), " ä€".encode()):
        dealer = t.connected(zmq.DEALER, where, ROUTING_ID=name)
        dealer.send(b"x")
        who = router.recv_multipart()[0]
        router.send_multipart([who, b"y"])
        t.say(who == name, dealer.recv())


def router_mandatory(t):
    router, where = t.bound(zmq.ROUTER, ROUTER_MANDATORY=1)
    t.say(t.tried(router.send_multipart, [b"nobody", b"x"]))
    with t.watching(router, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED) as seen:
        dealer = t.connected(zmq.DEALER, where, ROUTING_ID=b"me")
        dealer.send(b"x")
        t.say(router.recv_multipart())
        t.say(t.tried(router.send_multipart, [b"me", b"y"]), dealer.recv())
        dealer.close()
        t.say(seen.until(zmq.EVENT_DISCONNECTED)[-1][0])
    t.until(lambda: t.tried(router.send_multipart, [b"me", b"y"]) == "EHOSTUNREACH")
    t.say("unreachable again")


def router_drops_what_it_cannot_route(t):
    router, where = t.bound(zmq.ROUTER)
    dealer = t.connected(zmq.DEALER, where, ROUTING_ID=b"me")
    dealer.send(b"x")
    router.recv_multipart()
    for _ in range(3):
        router.send_multipart([b"nobody", b"lost"])
    router.send_multipart([b"me", b"found"])
    t.say(dealer.recv())


def router_handover(t):
    """The newcomer takes the id over."""
    router, where = t.bound(zmq.ROUTER, ROUTER_HANDOVER=1)
    first = t.connected(zmq.DEALER, where, ROUTING_ID=b"same")
    first.send(b"first")
    t.say(router.recv_multipart())
    second = t.connected(zmq.DEALER, where, ROUTING_ID=b"same")
    second.send(b"second")
    t.say(router.recv_multipart())
    router.send_multipart([b"same", b"for the second"])
    t.say(second.recv(), t.quiet(first))


def router_without_handover(t):
    """Who has the id keeps it, and the newcomer is not heard."""
    router, where = t.bound(zmq.ROUTER)
    first = t.connected(zmq.DEALER, where, ROUTING_ID=b"same")
    first.send(b"first")
    t.say(router.recv_multipart())
    second = t.connected(zmq.DEALER, where, source="127.9.1.1", ROUTING_ID=b"same")
    second.send(b"second")
    t.say(t.quiet(router))
    router.send_multipart([b"same", b"for the first"])
    first.send(b"still here")
    t.say(first.recv(), router.recv_multipart(), t.quiet(second))


def routing_id_is_free_after_the_end(t):
    router, where = t.bound(zmq.ROUTER, ROUTER_MANDATORY=1)
    for i in range(5):
        dealer = t.connected(zmq.DEALER, where, ROUTING_ID=b"same")
        dealer.send(b"%d" % i)
        t.say(router.recv_multipart())
        router.send_multipart([b"same", b"to %d" % i])
        t.say(dealer.recv())
        dealer.close()
        t.until(lambda: t.tried(router.send_multipart, [b"same", b"gone?"]) == "EHOSTUNREACH")
        t.quiet(router, 50)  # and it forgets the id


def probe_router_of_the_client(t):
    router, where = t.bound(zmq.ROUTER)
    dealer = t.connected(zmq.DEALER, where, ROUTING_ID=b"me", PROBE_ROUTER=1)
    t.say(router.recv_multipart())
    router.send_multipart([b"me", b"you first"])
    t.say(dealer.recv_multipart())


def probe_router_of_the_server(t):
    router, where = t.bound(zmq.ROUTER, PROBE_ROUTER=1)
    dealer = t.connected(zmq.DEALER, where)
    t.say(t.attended(router, dealer), t.quiet(router))


def router_to_router(t):
    a, where = t.bound(zmq.ROUTER, ROUTING_ID=b"server")
    b = t.socket(zmq.ROUTER, ROUTING_ID=b"client", PROBE_ROUTER=1)
    b.setsockopt(zmq.CONNECT_ROUTING_ID, b"my name for it")
    b.connect(where)
    t.say(a.recv_multipart())
    a.send_multipart([b"client", b"hello", b"you"])
    t.say(b.recv_multipart())
    b.send_multipart([b"my name for it", b"hello"])
    t.say(a.recv_multipart())


def routing_id_of_the_server(t):
    """A ROUTER that connects sees the id of the bound socket."""
    dealer, where = t.bound(zmq.DEALER, ROUTING_ID=b"the server")
    router = t.connected(zmq.ROUTER, where)
    dealer.send(b"hello")
    t.say(router.recv_multipart())
    router.send_multipart([b"the server", b"hello to you"])
    t.say(dealer.recv_multipart())


def dealer_to_dealer(t):
    a, b = t.both(zmq.DEALER, zmq.DEALER)
    for i in range(5):
        a.send_multipart([b"a", b"%d" % i])
        b.send_multipart([b"b", b"%d" % i, b""])
    t.say(t.all_of(b, 5), t.all_of(a, 5))


def dealer_takes_turns(t):
    server, where = t.bound(zmq.DEALER)
    clients = []
    with t.watching(server, zmq.EVENT_HANDSHAKE_SUCCEEDED) as seen:
        for _ in range(3):
            clients.append(t.connected(zmq.DEALER, where))
            seen.next()
    for i in range(9):
        server.send(b"%d" % i)
    t.say([t.all_of(c, 3) for c in clients])


def push_takes_turns(t):
    push, where = t.bound(zmq.PUSH)
    pulls = []
    with t.watching(push, zmq.EVENT_HANDSHAKE_SUCCEEDED) as seen:
        for _ in range(4):
            pulls.append(t.connected(zmq.PULL, where))
            seen.next()
    for i in range(20):
        push.send_multipart([b"%d" % i, b"part"])
    t.say([t.all_of(p, 5) for p in pulls])


def push_skips_who_has_left(t):
    push, where = t.bound(zmq.PUSH)
    with t.watching(push, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED) as seen:
        a = t.connected(zmq.PULL, where)
        seen.next()
        b = t.connected(zmq.PULL, where)
        seen.next()
        a.close()
        seen.next()
    t.quiet(push)  # the end of `a` reaches it
    for i in range(10):
        push.send(b"%d" % i)
    t.say(t.all_of(b, 10))


def pull_takes_turns(t):
    """Messages of several clients that wait come in turn: each has as many among the first 3 * n as the others."""
    pull, where = t.bound(zmq.PULL)
    clients = []
    for i in range(3):
        clients.append(t.connected(zmq.PUSH, where))
        clients[-1].send(b"%d" % i)
        t.say(pull.recv())
    for i, c in enumerate(clients):
        for _ in range(50):
            c.send(b"%d" % i)
    got = [pull.recv() for _ in range(150)]
    t.say([got.count(b"%d" % i) for i in range(3)])


def pair(t):
    a, b = t.both(zmq.PAIR, zmq.PAIR)
    a.send_multipart([b"to b", b""])
    b.send(b"to a")
    t.say(a.recv(), b.recv_multipart())


def pair_takes_one_client(t):
    """A second one is not heard while the first is there."""
    a, where = t.bound(zmq.PAIR)
    first = t.connected(zmq.PAIR, where)
    first.send(b"first")
    t.say(a.recv())
    second = t.connected(zmq.PAIR, where, source="127.9.1.2")
    second.send(b"second")
    t.say(t.quiet(a))
    first.send(b"still")
    a.send(b"you")
    t.say(a.recv(), first.recv(), t.quiet(second))


def conflate(t):
    """Only the last message waits."""
    pull, where = t.bound(zmq.PULL, CONFLATE=1)
    push = t.connected(zmq.PUSH, where)
    push.send(b"first")
    t.say(pull.recv())
    for i in range(1000):
        push.send(b"%d" % i)
    got = [-1]
    while got[-1] != 999:
        got.append(int(pull.recv()))
    t.say(got == sorted(got), len(got) < 1000)

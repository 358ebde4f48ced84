# SPDX-License-Identifier: MPL-2.0
"""zmq_bind(3), zmq_unbind(3), zmq_tcp(7): addresses, errors, late and early binds, binding again."""
import os
import socket
import subprocess
import sys
import threading

import zmq

from .case import PATIENCE, host_of, is_free, name_of, port_of


def _reached(t, url, host=None, **options):
    """Where it is bound, and that a client reaches it there."""
    s, where = t.bound(zmq.PULL, url, **options)
    t.say(url, where)
    t.connected(zmq.PUSH, where.replace(host_of(where), host) if host else where, IPV6=1).send(b"x")
    t.say(s.recv())


def any_port(t):
    _reached(t, "tcp://127.0.0.1:*")


def port_zero(t):
    _reached(t, "tcp://127.0.0.1:0")


def any_address(t):
    _reached(t, "tcp://*:*", "127.0.0.1")


def any_address_of_ipv4(t):
    _reached(t, "tcp://0.0.0.0:*", "127.0.0.1")


def any_address_with_ipv6(t):
    _reached(t, "tcp://*:*", "[::1]", IPV6=1)


def any_address_with_ipv6_from_ipv4(t):
    _reached(t, "tcp://*:*", "127.0.0.1", IPV6=1)


def any_address_of_ipv6(t):
    _reached(t, "tcp://[::]:*", "[::1]", IPV6=1)


def ipv6_loopback(t):
    _reached(t, "tcp://[::1]:*", IPV6=1)


def an_interface(t):
    _reached(t, "tcp://lo:*")


def another_address_of_loopback(t):
    _reached(t, "tcp://127.8.7.6:*")


def a_named_host(t):
    s = t.socket(zmq.PULL)
    t.say(t.tried(s.bind, "tcp://localhost:*"))


def all_addresses_of_this_host(t):
    """Not loopback alone: what a machine is reached by from elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.255", 9))
            own = probe.getsockname()[0]
        except OSError:
            own = "127.0.0.1"
    s, where = t.bound(zmq.PULL, f"tcp://{own}:*")
    t.connected(zmq.PUSH, where).send(b"x")
    m = s.recv(copy=False)
    t.say(m.bytes, host_of(where) == own, m.get("Peer-Address") == own)


def a_fixed_port(t):
    _reached(t, t.free())


def addresses_that_are_none(t):
    s = t.socket(zmq.PULL)
    for url in ("tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:65536", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:port", "tcp://:5555", "tcp://", "tcp:5555", "",
                "nothing://here", "tcp://203.0.113.9:*", "tcp://no-such-interface:*", "tcp://[::1]:*", "tcp://256.1.1.1:*", "ipc:///no/such/folder/socket", "inproc://"):
        t.say(url, t.tried(s.bind, url))


def the_last_endpoint(t):
    s = t.socket(zmq.PULL)
    t.say(s.getsockopt(zmq.LAST_ENDPOINT))
    for url in ("inproc://a", "tcp://127.0.0.1:*", "tcp://*:*", t.free()):
        s.bind(url)
        t.say(s.getsockopt(zmq.LAST_ENDPOINT))
    where = t.endpoint(s)
    s.unbind(where)
    t.say(s.getsockopt(zmq.LAST_ENDPOINT))


def the_descriptor_tells_the_same(t):
    """A listener's own name, by the monitor's descriptor, for each form of address."""
    for url, ipv6 in (("tcp://127.0.0.1:*", 0), ("tcp://*:*", 0), ("tcp://*:*", 1), ("tcp://[::1]:*", 1)):
        s = t.socket(zmq.PULL, IPV6=ipv6)
        seen = t.watch(s, zmq.EVENT_LISTENING)
        s.bind(url)
        t.say(t.endpoint(s), seen.next())


def an_address_in_use(t):
    s, where = t.bound(zmq.PULL)
    for kind in (zmq.PULL, zmq.ROUTER, zmq.PUB):
        t.say(t.tried(t.socket(kind).bind, where))
    t.say(t.tried(s.bind, where))
    t.connected(zmq.PUSH, where).send(b"x")
    t.say(s.recv())


def an_address_in_use_by_another_context(t):
    _, where = t.bound(zmq.PULL)
    other = zmq.Context()
    s = other.socket(zmq.PULL)
    t.say(t.tried(s.bind, where))
    s.close()
    other.term()


def an_address_in_use_by_another_process(t):
    text = "import sys, zmq; s = zmq.Context().socket(zmq.PULL)\ntry: s.bind(sys.argv[1])\nexcept zmq.ZMQError as e: print(e.strerror)"
    _, where = t.bound(zmq.PULL)
    t.say(subprocess.run([sys.executable, "-c", text, where], capture_output=True, text=True, timeout=PATIENCE).stdout)


def an_address_in_use_by_no_libzmq(t):
    with socket.create_server(("127.0.0.1", 0)) as other:
        t.say(t.tried(t.socket(zmq.PULL).bind, "tcp://" + name_of(other.getsockname())))


def a_socket_of_the_program_at_a_bound_address(t):
    _, where = t.bound(zmq.PULL)
    for reuse in (0, 1):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            t.say(t.tried(s.bind, ("127.0.0.1", port_of(where))), t.tried(s.listen))


def one_port_at_two_addresses(t):
    """Each has its own socket."""
    a, where = t.bound(zmq.PULL)
    second = where.replace("127.0.0.1", "127.0.0.2")
    b = t.socket(zmq.PULL)
    t.say(t.tried(b.bind, second), t.endpoint(b))
    for s, at in ((a, where), (b, second)):
        t.connected(zmq.PUSH, at).send(at.encode())
        t.say(s.recv())


def any_address_beside_one(t):
    _, where = t.bound(zmq.PULL)
    t.say(t.tried(t.socket(zmq.PULL).bind, f"tcp://*:{port_of(where)}"))
    _, where = t.bound(zmq.PULL, "tcp://*:*")
    t.say(t.tried(t.socket(zmq.PULL).bind, f"tcp://127.0.0.1:{port_of(where)}"))


def ipv4_beside_ipv6(t):
    """One port, two families, two sockets."""
    a, where = t.bound(zmq.PULL)
    b = t.socket(zmq.PULL, IPV6=1)
    six = f"tcp://[::1]:{port_of(where)}"
    t.say(t.tried(b.bind, six), t.endpoint(b))
    for s, at in ((a, where), (b, six)):
        t.connected(zmq.PUSH, at, IPV6=1).send(at.encode())
        t.say(s.recv())


def unbind_and_bind_at_once(t):
    s = t.socket(zmq.REP)
    where = t.free()
    for i in range(10):
        s.bind(where)
        req = t.connected(zmq.REQ, where)
        req.send(b"%d" % i)
        t.say(s.recv())
        s.send(b"ok")
        t.say(req.recv())
        s.unbind(where)
        t.until(lambda: is_free(where))


def unbind_of_what_is_not_bound(t):
    s, where = t.bound(zmq.PULL)
    for url in ("tcp://127.0.0.1:1", "tcp://*:*", "tcp://127.0.0.1:*", "inproc://a", "nothing", ""):
        t.say(url, t.tried(s.unbind, url))
    t.say(t.tried(s.unbind, where), t.tried(s.unbind, where))


def unbind_by_another_name(t):
    """What was bound as * is unbound by its last endpoint."""
    s, where = t.bound(zmq.PULL, "tcp://*:*")
    t.say(where, t.tried(s.unbind, f"tcp://*:{port_of(where)}"), t.tried(s.unbind, where))


def unbind_of_one_of_three(t):
    s = t.socket(zmq.PULL)
    wheres, clients = [], []
    for i in range(3):
        s.bind("tcp://127.0.0.1:*")
        wheres.append(t.endpoint(s))
        clients.append(t.connected(zmq.PUSH, wheres[-1], RECONNECT_IVL=-1))
        clients[-1].send(b"%d" % i)
        t.say(s.recv())
    s.unbind(wheres[1])
    t.until(lambda: is_free(wheres[1]))
    for i in (0, 2):
        clients[i].send(b"still %d" % i)
        t.say(s.recv())
        t.connected(zmq.PUSH, wheres[i]).send(b"another %d" % i)
        t.say(s.recv())


def bind_and_connect_of_one_socket(t):
    """A PULL that is bound, and connected to a bound PUSH."""
    push, there = t.bound(zmq.PUSH)
    pull, here = t.bound(zmq.PULL)
    pull.connect(there)
    push.send(b"from the one it is connected to")
    t.say(pull.recv())
    t.connected(zmq.PUSH, here).send(b"from the one that has connected")
    t.say(pull.recv())


def tcp_ipc_and_inproc_at_once(t):
    s = t.socket(zmq.PULL)
    for url in ("inproc://there", f"ipc://@weir-behaviour-{os.getpid()}", "tcp://127.0.0.1:*"):
        s.bind(url)
        t.connected(zmq.PUSH, t.endpoint(s)).send(url[:5].encode())
        t.say(s.recv())


def bind_late(t):
    """Clients are there first, and have sent."""
    where = t.free()
    clients = [t.connected(zmq.PUSH, where, RECONNECT_IVL=10) for _ in range(5)]
    for i, c in enumerate(clients):
        c.send(b"%d" % i)
    s = t.socket(zmq.PULL)
    s.bind(where)
    t.say(sorted(s.recv() for _ in clients))


def bind_late_for_requests(t):
    where = t.free()
    req = t.connected(zmq.REQ, where, RECONNECT_IVL=10)
    req.send(b"question")
    rep = t.socket(zmq.REP)
    rep.bind(where)
    t.say(rep.recv())
    rep.send(b"answer")
    t.say(req.recv())


def bind_late_for_subscribers(t):
    """An XPUB that waits for its subscriber loses nothing."""
    where = t.free()
    sub = t.connected(zmq.SUB, where, RECONNECT_IVL=10, SUBSCRIBE=b"a")
    xpub = t.socket(zmq.XPUB)
    xpub.bind(where)
    t.say(xpub.recv())
    for i in range(5):
        xpub.send(b"a%d" % i)
    t.say(t.all_of(sub, 5))


def another_socket_takes_the_address(t):
    """Clients come back to the new one by themselves."""
    where = t.free()
    client = t.connected(zmq.DEALER, where, RECONNECT_IVL=10)
    for kind in (zmq.ROUTER, zmq.DEALER, zmq.REP, zmq.ROUTER):
        s = t.socket(kind)
        t.until(lambda: t.tried(s.bind, where) == "done")
        client.send_multipart([b"", b"hello"])
        t.say(s.recv_multipart()[-1])
        s.close()
        t.until(lambda: is_free(where))


def many_endpoints(t):
    s = t.socket(zmq.REP)
    for i in range(20):
        s.bind("tcp://127.0.0.1:*")
        req = t.connected(zmq.REQ, t.endpoint(s))
        req.send(b"%d" % i)
        t.say(s.recv())
        s.send(b"ok")
        t.say(req.recv())


def bind_of_another_thread(t):
    s = t.socket(zmq.PULL)
    thread = threading.Thread(target=s.bind, args=("tcp://127.0.0.1:*",))
    thread.start()
    thread.join()
    t.connected(zmq.PUSH, t.endpoint(s)).send(b"x")
    t.say(t.endpoint(s), s.recv())


def bind_of_a_context_that_ends(t):
    own = zmq.Context()
    s = own.socket(zmq.PULL)
    ending = threading.Thread(target=own.term)
    ending.start()
    t.until(lambda: t.tried(s.getsockopt, zmq.EVENTS) == "ETERM")
    t.say(t.tried(s.bind, "tcp://127.0.0.1:*"))
    s.close()
    ending.join()


def bind_of_a_closed_socket(t):
    s = t.socket(zmq.PULL)
    s.close()
    t.say(t.tried(s.bind, "tcp://127.0.0.1:*"))


def bind_without_io_threads(t):
    own = zmq.Context(io_threads=0)
    s = own.socket(zmq.PULL)
    t.say(t.tried(s.bind, "tcp://127.0.0.1:*"))
    s.close()
    own.term()


def sockets_beyond_the_maximum(t):
    own = zmq.Context()
    own.max_sockets = 2
    a, b = own.socket(zmq.PULL), own.socket(zmq.PULL)
    t.say(t.tried(own.socket, zmq.PULL), t.tried(a.bind, "tcp://127.0.0.1:*"), t.tried(b.bind, "tcp://127.0.0.1:*"))
    for s in (a, b):
        s.close()
    own.term()


def connect_with_a_source(t):
    s, where = t.bound(zmq.PULL)
    source = t.free("127.9.8.1")
    c = t.socket(zmq.PUSH)
    c.connect(f"{source};{where.removeprefix('tcp://')}")
    c.send(b"x")
    t.say(s.recv(copy=False).get("Peer-Address"), t.endpoint(c))
    t.say(t.tried(c.disconnect, f"{source};{where.removeprefix('tcp://')}"))


def a_descriptor_of_the_program(t):
    """ZMQ_USE_FD: a listener that the program has made itself, as with socket activation."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        where = "tcp://" + name_of(listener.getsockname())
        s = t.socket(zmq.PULL, USE_FD=listener.detach())
    t.say(t.tried(s.bind, where), s.getsockopt(zmq.USE_FD) > 2, t.endpoint(s) == where)
    t.connected(zmq.PUSH, where).send(b"x")
    m = s.recv(copy=False)
    t.say(m.bytes, m.get("Peer-Address"))


def a_device(t):
    """ZMQ_BINDTODEVICE: clients come in by that device alone."""
    s = t.socket(zmq.PULL)
    t.say(t.tried(s.setsockopt, zmq.BINDTODEVICE, b"lo"), t.tried(s.bind, "tcp://*:*"))
    where = t.endpoint(s)
    if where:
        t.connected(zmq.PUSH, where.replace("0.0.0.0", "127.0.0.1")).send(b"x")
        t.say(s.recv(copy=False).get("Peer-Address"))

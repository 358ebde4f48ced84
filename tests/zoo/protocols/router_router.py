# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol
from zoo.roles import body


def server(me, endpoint, work_s):
    """Knows of a peer when that has said hello, or by the empty message of ZMQ_PROBE_ROUTER."""
    socket = me.socket(zmq.ROUTER, bind=endpoint, identity=b"server", router_mandatory=1)
    while True:
        peer, *frames = me.recv(socket)
        if frames == [b""]:
            me.send(socket, peer, b"WELCOME")
            continue
        me.work(work_s)
        me.send(socket, peer, *frames)


def client(me, endpoint):
    """Cannot send before it knows that the server is there: waits for the answer to its probe."""
    socket = me.socket(zmq.ROUTER, identity=b"client %d" % me.index, probe_router=1, router_mandatory=1)
    socket.connect(endpoint)
    me.must(me.recv(socket) == [b"server", b"WELCOME"], "the probe was not answered")
    for number, due in enumerate(me.ops()):
        me.send(socket, b"server", body(me, number))
        if me.must(me.recv(socket) == [b"server", body(me, number)], "an answer was another's"):
            me.done(due)


@protocol("server", quick=True)
def router_to_router(cell):
    """ROUTER on both sides, names set, ZMQ_PROBE_ROUTER as the handshake, ZMQ_ROUTER_MANDATORY."""
    clients, work_s = cell.draw.randint(3, 12), cell.draw.uniform(0.002, 0.005)
    cell.says(f"{clients} clients, {work_s * 1e3:.1f} ms of work")
    cell.application(server, cell.bind("server"), work_s)
    cell.clients(client, cell.connect("server"), count=clients, capacity=1 / work_s)

# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol
from zoo.roles import body

BEATS = {"heartbeat_ivl": 50, "heartbeat_timeout": 1000, "heartbeat_ttl": 1000}


def server(me, endpoint, work_s):
    socket = me.socket(zmq.ROUTER, **BEATS)
    socket.bind(endpoint)
    while True:
        client, number = me.recv(socket)
        me.work(work_s)
        me.send(socket, client, number)


def client(me, endpoint):
    """Counts how often it had to connect: once."""
    socket = me.socket(zmq.DEALER, **BEATS)
    events = socket.get_monitor_socket(zmq.EVENT_CONNECTED)
    socket.connect(endpoint)
    for number, due in enumerate(me.ops()):
        me.send(socket, body(me, number))
        if me.must(me.recv(socket) == [body(me, number)], "an answer was another's"):
            me.done(due)
    connected = 0
    while events.poll(0):
        events.recv_multipart()
        connected += 1
    me.must(connected == 1, "a connection was made anew")
    socket.disable_monitor()


@protocol("server")
def zmtp_heartbeats(cell):
    """DEALERs and a ROUTER with ZMQ_HEARTBEAT_IVL in both directions, mostly idle; no connection is lost."""
    clients, work_s = cell.draw.randint(5, 30), cell.draw.uniform(0.002, 0.005)
    cell.says(f"{clients} clients, a PING each 50 ms, {work_s * 1e3:.1f} ms of work")
    cell.application(server, cell.bind("server"), work_s)
    cell.clients(client, cell.connect("server"), count=clients, capacity=1 / work_s)

# SPDX-License-Identifier: MPL-2.0
"""Load balancing: whoever has been idle longest works next."""
from collections import deque

import zmq
from zoo import protocol
from zoo.roles import lazy_client, req_client


def broker(me, front, back):
    front = me.socket(zmq.ROUTER, bind=front)
    back = me.socket(zmq.ROUTER, bind=back)
    idle = deque()
    while True:
        ready = me.poll(*([back, front] if idle else [back]))
        if back in ready:
            worker, _, *rest = back.recv_multipart()
            idle.append(worker)
            if rest != [b"READY"]:
                me.send(front, *rest)
        if front in ready and idle:
            me.send(back, idle.popleft(), b"", *front.recv_multipart())


def worker(me, back, work_s):
    socket = me.socket(zmq.REQ, connect=back)
    me.send(socket, b"READY")
    while True:
        client, empty, request = me.recv(socket)
        me.work(work_s)
        me.send(socket, client, empty, request)


def drawn(cell):
    """(workers, clients, work in seconds); the numbers keep the broker, which is Python, far from the limits of the machine."""
    workers, clients = cell.draw.randint(2, 6), cell.draw.randint(4, 24)
    work_s = workers / cell.draw.uniform(200, 700)
    cell.says(f"{workers} workers, {clients} clients, {work_s * 1e3:.1f} ms of work")
    return workers, clients, work_s


@protocol("front", "back", quick=True)
def lru_broker(cell):
    """Two ROUTERs: clients ask one, workers (REQ) offer themselves at the other, each message to the one that has been idle longest."""
    workers, clients, work_s = drawn(cell)
    cell.application(broker, cell.bind("front"), cell.bind("back"))
    cell.peers(worker, cell.connect("back"), work_s, count=workers)
    cell.clients(req_client, cell.connect("front"), count=clients, capacity=workers / work_s)


@protocol("front", "back")
def simple_pirate(cell):
    """The same broker with clients that ask anew when they are not answered in time."""
    workers, clients, work_s = drawn(cell)
    cell.application(broker, cell.bind("front"), cell.bind("back"))
    cell.peers(worker, cell.connect("back"), work_s, count=workers)
    cell.clients(lazy_client, [cell.connect("front")], 1.0, 3, count=clients, capacity=workers / work_s)

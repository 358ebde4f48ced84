# SPDX-License-Identifier: MPL-2.0
"""Two clusters whose brokers send each other what their own workers have no time for."""
from collections import deque

import zmq
from zoo import protocol
from zoo.roles import req_client

SITES = ("east", "west")
KINDS = ("front", "back", "cloud", "state")


class Broker:
    """Four bound sockets: clients, workers, requests of the other broker (cloud), what this one has to offer (state)."""

    def __init__(self, me, name, bound, other):
        self.me, self.name, self.other = me, name, other["name"]
        self.front = me.socket(zmq.ROUTER, bind=bound["front"])
        self.back = me.socket(zmq.ROUTER, bind=bound["back"])
        self.cloud = me.socket(zmq.ROUTER, bind=bound["cloud"], identity=name)
        self.state = me.socket(zmq.PUB, bind=bound["state"])
        self.over = me.socket(zmq.ROUTER, identity=name)
        self.over.connect(other["cloud"])
        self.news = me.socket(zmq.SUB, connect=other["state"], subscribe=b"")
        self.idle, self.offered = deque(), 0

    def run(self):
        while True:
            before = len(self.idle)
            wanted = [self.back, self.over, self.news] + [self.front] * bool(self.idle or self.offered > 0) + [self.cloud] * bool(self.idle)
            ready = self.me.poll(*wanted, timeout=0.1)
            if self.news in ready:
                self.offered = int(self.news.recv())
            if self.back in ready:
                worker, _, *rest = self.back.recv_multipart()
                self.idle.append(worker)
                self.answer(rest)
            if self.over in ready:
                self.answer(self.over.recv_multipart()[1:])
            self.requests(ready)
            if len(self.idle) != before or not ready:
                self.state.send(b"%d" % len(self.idle))

    def requests(self, ready):
        """Those of the other broker are for workers here alone; those of clients here may go over."""
        if self.cloud in ready and self.idle:
            sender, *frames = self.cloud.recv_multipart()
            self.me.send(self.back, self.idle.popleft(), b"", sender, *frames)
        if self.front in ready and self.idle:
            self.me.send(self.back, self.idle.popleft(), b"", b"", *self.front.recv_multipart())
        elif self.front in ready and self.offered > 0:
            self.offered -= 1
            self.me.tally("sent over")
            self.me.send(self.over, self.other, *self.front.recv_multipart())

    def answer(self, frames):
        """[where from, client, "", answer]: to the other broker or to a client here."""
        if len(frames) == 1:
            return  # READY
        if len(frames) == 4:
            origin, *frames = frames
            if origin:
                return self.me.send(self.cloud, origin, *frames)
        return self.me.send(self.front, *frames)


def broker(me, name, bound, other):
    Broker(me, name, bound, other).run()


def worker(me, back, work_s):
    socket = me.socket(zmq.REQ, connect=back)
    me.send(socket, b"READY")
    while True:
        task = me.recv(socket)
        me.work(work_s)
        me.send(socket, *task)


@protocol(*[f"{site}-{kind}" for site in SITES for kind in KINDS], settle_s=0.6)
def inter_broker(cell):
    """Two brokers with clients and workers of their own; each publishes how many workers are free and takes the other's requests (ROUTER to ROUTER)."""
    workers, clients = [cell.draw.randint(2, 4) for _ in SITES], [cell.draw.randint(2, 12) for _ in SITES]
    work_s = sum(workers) / cell.draw.uniform(200, 400)
    cell.says(f"{workers[0]} and {workers[1]} workers, {clients[0]} and {clients[1]} clients, {work_s * 1e3:.1f} ms of work")
    for index, site in enumerate(SITES):
        other = SITES[1 - index]
        bound = {kind: cell.bind(f"{site}-{kind}") for kind in KINDS}
        reached = {kind: cell.connect(f"{other}-{kind}") for kind in KINDS}
        cell.application(broker, site.encode(), bound, {"name": other.encode(), **reached})
        cell.peers(worker, cell.connect(f"{site}-back"), work_s, count=workers[index])
        cell.clients(req_client, cell.connect(f"{site}-front"), count=clients[index], capacity=workers[index] / work_s)

# SPDX-License-Identifier: MPL-2.0
"""A pair of servers of which one serves, and the other takes over when clients ask it and it hears no more of the first."""
import zmq
from zoo import protocol
from zoo.roles import lazy_client

BEAT_S, DEAD_S = 0.05, 0.25
ASK_AGAIN_S = 0.2
GONE = ("application_gone", "application_absent", "breaker_open", "handshake_abandoned")  # a server that ends, and clients that give it up


class Star:
    def __init__(self, me, active, front, state, peer_state, work_s):
        self.me, self.active, self.work_s = me, active, work_s
        self.front = me.socket(zmq.ROUTER, bind=front)
        self.state = me.socket(zmq.PUB, bind=state)
        self.peer = me.socket(zmq.SUB, connect=peer_state, subscribe=b"")
        self.heard, self.beat = me.now(), 0.0

    def run(self, until):
        """Until it dies."""
        while not until or not self.me.shared.start or self.me.now() < until():
            if self.me.now() >= self.beat:
                self.beat = self.me.now() + BEAT_S
                self.state.send(b"active" if self.active else b"passive")
            ready = self.me.poll(self.front, self.peer, timeout=max(0, self.beat - self.me.now()))
            if self.peer in ready:
                self.peer.recv()
                self.heard = self.me.now()
            if self.front in ready:
                self.request(self.front.recv_multipart())

    def request(self, frames):
        """A passive server answers nobody, and a request is the vote to become active when the other is silent."""
        if not self.active and self.me.now() - self.heard > DEAD_S:
            self.active = True
            self.me.tally("taken over")
        if self.active:
            self.me.work(self.work_s)
            self.me.send(self.front, *frames)


def primary(me, *args):
    """Dies in the middle of the load."""
    Star(me, True, *args).run(lambda: me.shared.start + me.plan.seconds * 0.4)


def backup(me, *args):
    Star(me, False, *args).run(None)


@protocol("primary", "backup", "primary-state", "backup-state", allows=GONE)
def binary_star(cell):
    """Two servers that hear each other's state (PUB, SUB); the first dies, and clients (REQ) that ask anew find the second."""
    clients, work_s = cell.draw.randint(3, 10), cell.draw.uniform(0.002, 0.005)
    cell.says(f"{clients} clients that ask the other after {ASK_AGAIN_S * 1e3:.0f} ms, {work_s * 1e3:.1f} ms of work")
    cell.application(primary, cell.bind("primary"), cell.bind("primary-state"), cell.connect("backup-state"), work_s)
    cell.application(backup, cell.bind("backup"), cell.bind("backup-state"), cell.connect("primary-state"), work_s)
    cell.clients(lazy_client, [cell.connect("primary"), cell.connect("backup")], ASK_AGAIN_S, 8, count=clients, capacity=1 / work_s)

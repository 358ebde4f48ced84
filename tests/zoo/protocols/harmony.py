# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol

NODES = ("node-0", "node-1", "node-2", "node-3")
BEAT_S = 0.1


class Node:
    """A ROUTER that hears, and a DEALER to each peer; a message down one pipe is answered down another."""

    def __init__(self, me, index, bind, peers, work_s):
        self.me, self.work_s, self.name, self.waiting, self.beat = me, work_s, b"%d" % index, {}, 0.0
        self.ears = me.socket(zmq.ROUTER, bind=bind)
        self.peers = {b"%d" % other: me.socket(zmq.DEALER, connect=endpoint, identity=b"node %d" % index) for other, endpoint in peers}

    def turn(self, timeout):
        """Beats if it is time to, and takes one message."""
        if self.me.now() >= self.beat:
            self.beat = self.me.now() + BEAT_S
            for socket in self.peers.values():
                self.me.send(socket, b"BEAT", self.name)
        message = self.me.recv(self.ears, timeout=max(0, min(timeout, self.beat - self.me.now())))
        if not message or message[1] == b"BEAT":
            return
        _, kind, sender, number = message
        if kind == b"WHISPER":
            self.me.work(self.work_s)
            self.me.send(self.peers[sender], b"HEARD", self.name, number)
        elif self.me.must(number in self.waiting, "an answer came twice"):
            self.me.done(self.waiting.pop(number))


def node(me, index, bind, peers, work_s, goodbye_s):
    """Whispers to one peer after the other; answers all the time, also after its own time is over."""
    mine = Node(me, index, bind, peers, work_s)
    for number, due in enumerate(me.ops(mine.turn)):
        name = b"%d" % number
        mine.waiting[name] = due
        me.send(list(mine.peers.values())[number % len(mine.peers)], b"WHISPER", mine.name, name)
        while name in mine.waiting and not me.plan.period_s:
            mine.turn(0.05)
    me.wait_until(me.end + goodbye_s, mine.turn)
    me.must(not mine.waiting, "a whisper was not answered")
    me.tally("whispers", len(mine.waiting))


@protocol(*NODES, late=NODES, allows=("application_absent", "application_gone"), settle_s=0.8)
def harmony(cell):
    """Peers without a centre: each has a ROUTER and a DEALER to every other; what is asked down one connection is answered down another, and all beat."""
    count, work_s = cell.draw.randint(3, 4), cell.draw.uniform(0.003, 0.006)
    cell.says(f"{count} peers, {work_s * 1e3:.1f} ms of work, a beat each {BEAT_S * 1e3:.0f} ms")
    for index in range(count):
        peers = [(other, cell.connect(NODES[other])) for other in range(count) if other != index]
        cell.clients(node, index, cell.bind(NODES[index]), peers, work_s, 0.5, capacity=1 / work_s)

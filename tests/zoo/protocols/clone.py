# SPDX-License-Identifier: MPL-2.0
import hashlib

import zmq
from zoo import protocol

KEYS = 40


def server(me, snapshots, updates, collector, work_s):
    snapshots = me.socket(zmq.ROUTER, bind=snapshots)
    updates = me.socket(zmq.PUB, bind=updates, sndhwm=0)
    collector = me.socket(zmq.PULL, bind=collector)
    state, number = {}, 0
    while True:
        ready = me.poll(snapshots, collector)
        if collector in ready:
            key, value = collector.recv_multipart()
            number += 1
            me.work(work_s)
            state[key] = (number, value)
            updates.send_multipart([key, b"%d" % number, value])
        if snapshots in ready:
            client, _ = snapshots.recv_multipart()
            for key, (when, value) in state.items():
                me.send(snapshots, client, key, b"%d" % when, value)
            me.send(snapshots, client, b"", b"%d" % number, b"")


class Clone:
    """One client's copy of the state. Takes a snapshot, then the updates that are newer."""

    def __init__(self, me, snapshots, updates, collector):
        self.me, self.state, self.mine = me, {}, {}
        self.updates = me.socket(zmq.SUB, connect=updates, rcvhwm=0, subscribe=b"")
        self.push = me.socket(zmq.PUSH, connect=collector)
        snapshot = me.socket(zmq.DEALER, connect=snapshots)
        me.wait_until(me.now() + 0.2)  # for the subscription to arrive before the snapshot is asked for
        me.send(snapshot, b"GIVE")
        while (message := me.recv(snapshot))[0]:
            self.state[message[0]] = message[2]
        self.number = int(message[1])

    def set(self, due, key, value):
        self.mine[value] = due
        self.me.send(self.push, key, value)

    def receive(self, timeout=None):
        """Whether there was an update."""
        message = self.me.recv(self.updates, timeout=timeout)
        if message is None:
            return False
        key, number, value = message
        if int(number) <= self.number:
            return True
        self.me.must(int(number) == self.number + 1, "an update was missed")
        self.number = int(number)
        self.state[key] = value
        if value in self.mine:
            self.me.done(self.mine.pop(value))
        return True


def client(me, snapshots, updates, collector):
    """At full load it waits for its own update before it makes the next one."""
    clone = Clone(me, snapshots, updates, collector)
    for number, due in enumerate(me.ops(clone.receive)):
        clone.set(due, b"key-%d" % me.draw.randrange(KEYS), b"%d/%d" % (me.index, number))
        while not me.plan.period_s and clone.mine:
            clone.receive()
    while clone.mine:
        clone.receive()
    while clone.receive(0.4):  # until all others are through
        pass
    me.agree("the state in the end", hashlib.sha256(repr((clone.number, sorted(clone.state.items()))).encode()).hexdigest())


@protocol("snapshots", "updates", "collector", settle_s=0.8)
def clone_state(cell):
    """A shared state: clients ask for a snapshot (DEALER to ROUTER), follow updates (SUB), and send their own (PUSH to PULL)."""
    clients, work_s = cell.draw.randint(3, 8), cell.draw.uniform(0.003, 0.006)
    cell.says(f"{clients} clients, {KEYS} keys, {work_s * 1e3:.1f} ms of work")
    cell.application(server, *map(cell.bind, ("snapshots", "updates", "collector")), work_s)
    cell.clients(client, *map(cell.connect, ("snapshots", "updates", "collector")), count=clients, capacity=1 / work_s)

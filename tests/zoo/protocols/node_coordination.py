# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol


def publisher(me, updates, sync, subscribers, period_s):
    """Waits until all subscribers have said that they hear it, publishes."""
    updates = me.socket(zmq.PUB, bind=updates, sndhwm=0)
    sync = me.socket(zmq.REP, bind=sync)
    here = set()
    while len(here) < subscribers:
        if me.poll(sync, timeout=0.01):
            here.add(sync.recv())
            sync.send(b"")
        updates.send(b"hello")
    me.wait_start()
    number = 0
    while me.now() < me.end:
        me.work(period_s)
        updates.send_multipart([b"update", b"%d" % number, b"%r" % me.now()])
        number += 1
    updates.send_multipart([b"end", b"%d" % number])
    me.poll(sync)



def subscriber(me, updates, sync):
    updates = me.socket(zmq.SUB, connect=updates, subscribe=b"", rcvhwm=0)
    sync = me.socket(zmq.REQ, connect=sync)
    me.recv(updates)  # the subscription has arrived
    me.send(sync, b"%d" % me.index)
    me.recv(sync)
    expected = 0
    while (message := me.recv(updates))[0] != b"end":
        if message[0] == b"update":
            me.must(int(message[1]) == expected, "an update was missed or out of order")
            expected += 1
            me.done(float(message[2]))
    me.must(int(message[1]) == expected, "the last updates were missed")


@protocol("updates", "sync", settle_s=0.6)
def node_coordination(cell):
    """A publisher begins when all subscribers have told it (REQ to REP) that they hear it; nobody misses an update."""
    subscribers = cell.draw.randint(3, 10)
    period_s = {"low": 0.05, "normal": 0.01, "full": 0.003}[cell.load]
    cell.says(f"{subscribers} subscribers")
    cell.application(publisher, cell.bind("updates"), cell.bind("sync"), subscribers, period_s)
    cell.clients(subscriber, cell.connect("updates"), cell.connect("sync"), count=subscribers)

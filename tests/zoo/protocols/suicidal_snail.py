# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol

LATE_S = 0.25  # a stall of the publisher delays what it stamps, not what it has stamped


def publisher(me, endpoint, period_s):
    socket = me.socket(zmq.PUB, bind=endpoint, sndhwm=0)
    while True:
        me.work(period_s)
        socket.send(b"%r" % me.now())


def subscriber(me, endpoint, work_s):
    """Takes each publication, works, and ends itself when one is too old."""
    socket = me.socket(zmq.SUB, connect=endpoint, subscribe=b"", rcvhwm=0)
    me.wait_start()
    while me.poll(socket, timeout=0):
        socket.recv()
    while me.running():
        sent = float(me.recv(socket)[0])
        me.done(sent)
        if me.now() - sent > LATE_S:
            return me.must(work_s, "a subscriber that was fast enough has given up")
        me.work(work_s)
    return me.must(not work_s, "a subscriber that was too slow has not noticed")


@protocol("publisher", settle_s=0.6)
def suicidal_snail(cell):
    """Publications carry their time; a subscriber that falls behind ends itself, and only such a one."""
    fast, slow = cell.draw.randint(2, 6), cell.draw.randint(1, 3)
    period_s = {"low": 0.02, "normal": 0.01, "full": 0.004}[cell.load]
    cell.says(f"{fast} fast and {slow} slow subscribers")
    cell.application(publisher, cell.bind("publisher"), period_s)
    cell.clients(subscriber, cell.connect("publisher"), 0, count=fast)
    cell.clients(subscriber, cell.connect("publisher"), 3 * period_s, count=slow)

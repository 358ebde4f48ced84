# SPDX-License-Identifier: MPL-2.0
"""Load balancing with heartbeats, so that neither side waits for one that has gone."""
from collections import OrderedDict

import zmq
from zoo import protocol
from zoo.roles import lazy_client

READY, BEAT = b"\1", b"\2"
BEAT_S, LIVES_S = 0.1, 0.6


def broker(me, front, back):
    front = me.socket(zmq.ROUTER, bind=front)
    back = me.socket(zmq.ROUTER, bind=back)
    idle, beat = OrderedDict(), me.now() + BEAT_S  # worker -> until when it counts as alive
    while True:
        ready = me.poll(*([back, front] if idle else [back]), timeout=max(0, beat - me.now()))
        if back in ready:
            worker, *rest = back.recv_multipart()
            idle[worker] = me.now() + LIVES_S
            if rest[0] not in (READY, BEAT):
                me.send(front, *rest)
                idle.move_to_end(worker)
        if front in ready and idle:
            me.send(back, idle.popitem(last=False)[0], *front.recv_multipart())
        if me.now() >= beat:
            beat = me.now() + BEAT_S
            for worker in [name for name, until in idle.items() if until < me.now()]:
                del idle[worker]
                me.tally("workers given up")
            for worker in idle:
                me.send(back, worker, BEAT)


def worker(me, back, work_s, crashes):
    """Crashes are shares of the time of the load, for the first worker alone: it leaves without a word and is back a little later."""
    pending = list(crashes) if me.index == 0 else []
    while True:
        crash = me.plan.seconds * pending.pop(0) if pending else None
        _work(me, back, work_s, crash)
        me.tally("workers that connect again")


def _work(me, back, work_s, crash_after):
    socket = me.socket(zmq.DEALER, connect=back)
    me.send(socket, READY)
    beat, heard = me.now() + BEAT_S, me.now()
    while me.now() - heard < LIVES_S:
        message = me.recv(socket, timeout=max(0, beat - me.now()))
        if message:
            if len(message) > 1:
                me.work(work_s)
                me.send(socket, *message)
            heard = me.now()
        if crash_after and me.now() > me.shared.start + crash_after:
            me.drop(socket)
            return me.wait_until(me.now() + 0.1)
        if me.now() >= beat:
            me.send(socket, BEAT)
            beat = me.now() + BEAT_S
    return me.drop(socket)


def drawn(cell, crashes=()):
    workers, clients = cell.draw.randint(2, 6), cell.draw.randint(4, 24)
    work_s = workers / cell.draw.uniform(200, 700)
    cell.says(f"{workers} workers, {clients} clients that ask anew after 0.5 s, {work_s * 1e3:.1f} ms of work")
    cell.application(broker, cell.bind("front"), cell.bind("back"))
    cell.peers(worker, cell.connect("back"), work_s, crashes, count=workers)
    cell.clients(lazy_client, [cell.connect("front")], 0.5, 4, count=clients, capacity=workers / work_s)


@protocol("front", "back")
def paranoid_pirate(cell):
    """Two ROUTERs; workers (DEALER) and broker send each other beats, and clients ask anew when they are not answered."""
    drawn(cell)


@protocol("front", "back")
def paranoid_pirate_crash(cell):
    """The same; a worker leaves without a word in the middle of the load."""
    drawn(cell, crashes=(0.3,))

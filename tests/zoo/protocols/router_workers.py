# SPDX-License-Identifier: MPL-2.0
"""Custom routing: the application is the ROUTER, those who connect are workers, and what they send first is "give me something to do"."""
from collections import deque

import zmq
from zoo import protocol


def boss(me, endpoint, delimiter, workers):
    """Hands a task to whoever has asked longest; at low and normal load at the pace of me.ops()."""
    socket = me.socket(zmq.ROUTER, bind=endpoint)
    idle, given = deque(), {}

    def take(timeout=None):
        message = me.recv(socket, timeout=timeout)
        if message:
            if message[-1] != b"HI":
                me.must(message[-1] in given, "a result came twice")
                me.done(given.pop(message[-1]))
            idle.append(message[0])

    for number, due in enumerate(me.ops(take)):
        while not idle or me.poll(socket, timeout=0):
            take()
        task = b"%d" % number
        given[task] = due if me.plan.period_s else me.now()
        me.send(socket, idle.popleft(), *delimiter, task)
    while given:
        take()
    while len(idle) < workers:
        take()
    for worker in idle:
        me.send(socket, worker, *delimiter, b"FIRED")
    me.wait_until(me.now() + 5)


def worker(me, kind, endpoint, work_s):
    socket = me.socket(kind, connect=endpoint)
    me.send(socket, b"HI")
    while True:
        task = me.recv(socket)[-1]
        if task == b"FIRED":
            return
        me.work(work_s)
        me.send(socket, task)


def declare(cell, kind, delimiter):
    workers = cell.draw.randint(2, 10)
    work_s = workers / cell.draw.uniform(200, 700)
    cell.says(f"{workers} workers, {work_s * 1e3:.1f} ms of work")
    cell.application(boss, cell.bind("boss"), delimiter, workers, capacity=workers / work_s)
    cell.clients(worker, kind, cell.connect("boss"), work_s, count=workers)


@protocol("boss")
def router_req_workers(cell):
    """A ROUTER hands out tasks to REQs that ask for them; a result is the next question, and the last ones are fired."""
    declare(cell, zmq.REQ, [b""])


@protocol("boss")
def router_dealer_workers(cell):
    """The same with DEALERs."""
    declare(cell, zmq.DEALER, [])

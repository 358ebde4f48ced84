# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol


def waiting(me, endpoint, work_s):
    socket = me.socket(zmq.PAIR, bind=endpoint)
    while True:
        signal = me.recv(socket)
        me.work(work_s)
        me.send(socket, *signal)


def signalling(me, endpoint):
    socket = me.socket(zmq.PAIR, connect=endpoint)
    for number, due in enumerate(me.ops()):
        me.send(socket, b"%d" % number)
        if me.must(me.recv(socket) == [b"%d" % number], "a signal was lost or came twice"):
            me.done(due)


@protocol("pair")
def pair_signals(cell):
    """Two PAIRs that signal each other in turn."""
    work_s = cell.draw.uniform(0.002, 0.005)
    cell.says(f"{work_s * 1e3:.1f} ms of work")
    cell.application(waiting, cell.bind("pair"), work_s)
    cell.clients(signalling, cell.connect("pair"), capacity=0.8 / work_s)

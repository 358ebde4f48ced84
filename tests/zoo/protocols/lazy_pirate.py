# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol
from zoo.roles import lazy_client

GONE = ("application_gone", "application_absent", "breaker_open", "handshake_abandoned")  # a server that ends, and clients that give it up
AWAY_S = 0.15


def server(me, endpoint, work_s, restarts):
    """A REP that goes away once without a word, and comes back at the same endpoint."""
    socket = me.socket(zmq.REP, bind=endpoint)
    pending = list(restarts)
    while True:
        if pending and me.shared.start and me.now() > me.shared.start + me.plan.seconds * pending[0]:
            pending.pop(0)
            me.drop(socket)
            me.wait_until(me.now() + AWAY_S)
            socket = me.socket(zmq.REP, bind=endpoint)
        if me.poll(socket, timeout=0.05):
            request = socket.recv_multipart()
            me.work(work_s)
            me.send(socket, *request)


def drawn(cell, restarts, timeout_s):
    clients, work_s = cell.draw.randint(3, 10), cell.draw.uniform(0.002, 0.005)
    cell.says(f"{clients} clients that ask anew after {timeout_s * 1e3:.0f} ms, {work_s * 1e3:.1f} ms of work")
    cell.application(server, cell.bind("server"), work_s, restarts)
    cell.clients(lazy_client, [cell.connect("server")], timeout_s, 8, count=clients, capacity=1 / work_s)


@protocol("server", allows=GONE)
def lazy_pirate_restart(cell):
    """Clients (REQ) that close their socket and ask anew when a REP does not answer; the REP is restarted in the middle."""
    drawn(cell, (0.4,), 0.3)

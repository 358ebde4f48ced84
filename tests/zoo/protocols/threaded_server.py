# SPDX-License-Identifier: MPL-2.0
import time

import zmq
from zoo import protocol
from zoo.roles import req_client, serve_by_threads


def worker(me, endpoint, work_s):
    socket = me.context.socket(zmq.REP)
    socket.connect(endpoint)
    while not me.shared.over:
        if socket.poll(50):
            request = socket.recv()
            time.sleep(work_s)
            socket.send(request)
    socket.close(linger=0)


@protocol("server", quick=True)
def threaded_server(cell):
    """A ROUTER, a DEALER, and a pool of threads (REP) in one process; clients are REQs, more than threads."""
    workers = cell.draw.randint(2, 8)
    clients, work_s = workers * cell.draw.randint(2, 4), workers / cell.draw.uniform(200, 700)
    cell.says(f"{workers} threads, {clients} clients, {work_s * 1e3:.1f} ms of work")
    cell.application(serve_by_threads, cell.bind("server"), workers, worker, work_s)
    cell.clients(req_client, cell.connect("server"), count=clients, capacity=workers / work_s)

# SPDX-License-Identifier: MPL-2.0
import threading
import time

import zmq
from zoo import protocol
from zoo.roles import req_client


def server(me, endpoint, workers, work_s):
    front = me.socket(zmq.ROUTER, bind=endpoint)
    back = me.socket(zmq.DEALER, bind="inproc://workers")
    threads = [threading.Thread(target=_worker, args=(me, work_s)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        while True:
            ready = me.poll(front, back)
            if front in ready:
                me.send(back, *front.recv_multipart())
            if back in ready:
                me.send(front, *back.recv_multipart())
    finally:
        for thread in threads:
            thread.join()


def _worker(me, work_s):
    socket = me.context.socket(zmq.REP)
    socket.connect("inproc://workers")
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
    cell.application(server, cell.bind("server"), workers, work_s)
    cell.clients(req_client, cell.connect("server"), count=clients, capacity=workers / work_s)

# SPDX-License-Identifier: MPL-2.0
"""libzmq's own zmq_proxy() as the broker."""
import threading

import zmq
from zoo import protocol
from zoo.roles import dealer_client, rep_worker


def proxy(me, kinds, front, back):
    """Until a thread beside it says so; zmq_proxy() itself never looks up."""
    control = me.socket(zmq.PAIR, bind="inproc://control")
    front, back = me.socket(kinds[0], bind=front), me.socket(kinds[1], bind=back)
    watcher = threading.Thread(target=_watch, args=(me,))
    watcher.start()
    zmq.proxy_steerable(front, back, None, control)
    watcher.join()


def _watch(me):
    control = me.context.socket(zmq.PAIR)
    control.connect("inproc://control")
    while not me.shared.over:
        threading.Event().wait(0.02)
    control.send(b"TERMINATE")
    control.close()


@protocol("front", "back")
def zmq_proxy(cell):
    """zmq_proxy() between ROUTER and DEALER: clients (DEALER) with several requests on the way, services (REP)."""
    services, clients, credit = cell.draw.randint(2, 6), cell.draw.randint(3, 12), cell.draw.randint(1, 5)
    work_s = services / cell.draw.uniform(200, 700)
    cell.says(f"{services} services, {clients} clients with {credit} requests on the way, {work_s * 1e3:.1f} ms of work")
    cell.application(proxy, (zmq.ROUTER, zmq.DEALER), cell.bind("front"), cell.bind("back"))
    cell.peers(rep_worker, cell.connect("back"), work_s, count=services)
    cell.clients(dealer_client, cell.connect("front"), credit, count=clients, capacity=services / work_s)

# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol
from zoo.roles import forward, rep_worker, req_client


def queue(me, front, back):
    front = me.socket(zmq.ROUTER, bind=front)
    back = me.socket(zmq.DEALER, bind=back)
    forward(me, front, back)


@protocol("front", "back", quick=True)
def queue_broker(cell):
    """ROUTER in front, DEALER behind, both bound: clients (REQ) and services (REP) connect, requests go round robin."""
    services, clients = cell.draw.randint(2, 6), cell.draw.randint(4, 24)
    work_s = services / cell.draw.uniform(200, 700)
    size = cell.draw.choice([10, 100, 1000, 20000])
    cell.says(f"{services} services, {clients} clients, {work_s * 1e3:.1f} ms of work, {size} octets")
    cell.application(queue, cell.bind("front"), cell.bind("back"))
    cell.peers(rep_worker, cell.connect("back"), work_s, count=services)
    cell.clients(req_client, cell.connect("front"), size, count=clients, capacity=services / work_s)

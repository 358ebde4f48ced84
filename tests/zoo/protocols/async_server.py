# SPDX-License-Identifier: MPL-2.0
import time

import zmq
from zoo import protocol
from zoo.roles import body, serve_by_threads


def worker(me, endpoint, work_s):
    """Between one and three answers to a request, which says how many."""
    socket = me.context.socket(zmq.DEALER)
    socket.connect(endpoint)
    while not me.shared.over:
        if socket.poll(50):
            client, answers, request = socket.recv_multipart()
            for number in range(int(answers)):
                time.sleep(work_s / int(answers))
                socket.send_multipart([client, b"%d" % number, answers, request])
    socket.close(linger=0)


class Client:
    """Up to `credit` requests on the way; counts the answers of each."""

    def __init__(self, me, endpoint, credit):
        self.me, self.credit, self.sent = me, credit, {}
        self.socket = me.socket(zmq.DEALER, connect=endpoint)

    def receive(self, timeout=None):
        message = self.me.recv(self.socket, timeout=timeout)
        if not message:
            return
        number, answers, request = message
        due, expected = self.sent.pop(request, (0, None))
        self.me.must(expected == int(number), "an answer is missing, came twice, or was another's")
        if int(number) + 1 == int(answers):
            self.me.done(due)
        else:
            self.sent[request] = (due, int(number) + 1)


def client(me, endpoint, credit):
    mine = Client(me, endpoint, credit)
    for number, due in enumerate(me.ops(mine.receive)):
        request = body(me, number)
        mine.sent[request] = (due, 0)
        me.send(mine.socket, b"%d" % me.draw.randint(1, 3), request)
        while len(mine.sent) >= credit:
            mine.receive()
    while mine.sent:
        mine.receive()


@protocol("server")
def asynchronous_server(cell):
    """DEALER, ROUTER, DEALER: clients with several requests on the way, a pool of threads, and one to three answers to each request."""
    workers, clients, credit = cell.draw.randint(2, 6), cell.draw.randint(3, 12), cell.draw.randint(1, 6)
    work_s = workers / cell.draw.uniform(150, 400)
    cell.says(f"{workers} threads, {clients} clients with {credit} requests on the way, {work_s * 1e3:.1f} ms of work")
    cell.application(serve_by_threads, cell.bind("server"), workers, worker, work_s)
    cell.clients(client, cell.connect("server"), credit, count=clients, capacity=workers / work_s)

# SPDX-License-Identifier: MPL-2.0
"""RFC 7: one ROUTER for clients and workers, services by name, heartbeats in both directions."""
from collections import deque

import zmq
from zoo import protocol
from zoo.roles import OnTheWay, body

CLIENT, WORKER = b"MDPC01", b"MDPW01"
READY, REQUEST, REPLY, HEARTBEAT, DISCONNECT = b"\1", b"\2", b"\3", b"\4", b"\5"
BEAT_S, LIVES_S = 0.1, 1.0


class Broker:
    def __init__(self, me, endpoint):
        self.me, self.socket = me, me.socket(zmq.ROUTER, bind=endpoint)
        self.idle, self.waiting = {}, {}   # service -> workers, requests
        self.services, self.heard = {}, {}  # worker -> service, when

    def run(self):
        beat = self.me.now() + BEAT_S
        while True:
            if self.me.poll(self.socket, timeout=max(0, beat - self.me.now())):
                sender, _, kind, *rest = self.socket.recv_multipart()
                self.from_worker(sender, *rest) if kind == WORKER else self.from_client(sender, *rest)
            if self.me.now() >= beat:
                beat = self.me.now() + BEAT_S
                self.beat()

    def from_client(self, client, service, request):
        self.waiting.setdefault(service, deque()).append((client, request))
        self.dispatch(service)

    def from_worker(self, worker, command, *rest):
        self.heard[worker] = self.me.now()
        if command == READY:
            self.services[worker] = rest[0]
        elif worker not in self.services:
            return self.me.send(self.socket, worker, b"", WORKER, DISCONNECT)
        if command == REPLY:
            client, _, answer = rest
            self.me.send(self.socket, client, b"", CLIENT, self.services[worker], answer)
        if command in (READY, REPLY):
            self.idle.setdefault(self.services[worker], deque()).append(worker)
            self.dispatch(self.services[worker])
        return None

    def dispatch(self, service):
        idle, waiting = self.idle.get(service), self.waiting.get(service)
        while idle and waiting:
            client, request = waiting.popleft()
            self.me.send(self.socket, idle.popleft(), b"", WORKER, REQUEST, client, b"", request)

    def beat(self):
        now = self.me.now()
        for service, workers in self.idle.items():
            alive = [worker for worker in workers if now - self.heard[worker] < LIVES_S]
            self.me.tally("workers given up", len(workers) - len(alive))
            for worker in set(workers) - set(alive):
                del self.services[worker]
            self.idle[service] = deque(alive)
        for worker in self.services:
            self.me.send(self.socket, worker, b"", WORKER, HEARTBEAT)


def broker(me, endpoint):
    Broker(me, endpoint).run()


def worker(me, endpoint, services, work_s):
    service = services[me.index % len(services)]
    while True:
        _work(me, endpoint, service, work_s)
        me.tally("workers that connect again")


def _work(me, endpoint, service, work_s):
    """Until the broker is silent or sends the worker away."""
    socket = me.socket(zmq.DEALER, connect=endpoint)
    me.send(socket, b"", WORKER, READY, service)
    beat, heard = me.now() + BEAT_S, me.now()
    while me.now() - heard < LIVES_S:
        message = me.recv(socket, timeout=max(0, beat - me.now()))
        if message:
            heard = me.now()
            command, *rest = message[2:]
            if command == DISCONNECT:
                break
            if command == REQUEST:
                me.work(work_s)
                me.send(socket, b"", WORKER, REPLY, *rest)
                heard = me.now()
        if me.now() >= beat:
            me.send(socket, b"", WORKER, HEARTBEAT)
            beat = me.now() + BEAT_S
    me.drop(socket)


def client(me, endpoint, services):
    socket = me.socket(zmq.REQ, connect=endpoint)
    for number, due in enumerate(me.ops()):
        service, request = services[me.draw.randrange(len(services))], body(me, number)
        me.send(socket, CLIENT, service, request)
        if me.must(me.recv(socket) == [CLIENT, service, request], "an answer was another's"):
            me.done(due)


def async_client(me, endpoint, services, credit):
    """A DEALER with up to `credit` requests on the way."""
    on_the_way = OnTheWay(me, me.socket(zmq.DEALER, connect=endpoint), credit)
    for number, due in enumerate(me.ops(on_the_way.receive)):
        on_the_way.ask(due, b"", CLIENT, services[number % len(services)], body(me, number))
    on_the_way.finish()


def drawn(cell):
    services = [b"service-%d" % i for i in range(cell.draw.randint(1, 3))]
    workers, clients = len(services) * cell.draw.randint(1, 3), cell.draw.randint(4, 24)
    work_s = workers / cell.draw.uniform(200, 700)
    cell.says(f"{len(services)} services, {workers} workers, {clients} clients, {work_s * 1e3:.1f} ms of work, a beat each {BEAT_S * 1e3:.0f} ms")
    cell.application(broker, cell.bind("broker"))
    cell.peers(worker, cell.connect("broker"), services, work_s, count=workers)
    return services, clients, workers / work_s


@protocol("broker", quick=True)
def majordomo(cell):
    """Clients (REQ) and workers (DEALER) of named services at one ROUTER, with heartbeats."""
    services, clients, capacity = drawn(cell)
    cell.clients(client, cell.connect("broker"), services, count=clients, capacity=capacity)


@protocol("broker")
def majordomo_async(cell):
    """The same with clients (DEALER) that have several requests on the way."""
    services, clients, capacity = drawn(cell)
    cell.clients(async_client, cell.connect("broker"), services, cell.draw.randint(3, 10), count=clients, capacity=capacity)

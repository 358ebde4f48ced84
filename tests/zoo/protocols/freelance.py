# SPDX-License-Identifier: MPL-2.0
"""Clients and several servers, and nothing in between."""
import zmq
from zoo import protocol
from zoo.roles import body, lazy_client, rep_server

AWAY = ("application_absent", "breaker_open", "handshake_abandoned")  # a server that was never there, and clients that give it up


def drawn(cell):
    clients = cell.draw.randint(3, 10)
    work_s = 1 / cell.draw.uniform(150, 400)
    cell.says(f"{clients} clients, {work_s * 1e3:.1f} ms of work")
    return clients, work_s


@protocol("first", "second", "third", late=("first",), allows=AWAY)
def freelance_failover(cell):
    """Model one: a client (REQ) tries one server (REP) after the other until one answers; the first is away."""
    clients, work_s = drawn(cell)
    for link in ("second", "third"):
        cell.application(rep_server, cell.bind(link), work_s)
    cell.clients(lazy_client, [cell.connect(link) for link in ("first", "second", "third")], 0.3, 4, count=clients, capacity=1 / work_s)


def shotgun(me, connects):
    socket = me.socket(zmq.DEALER, immediate=1)
    for endpoint in connects:
        socket.connect(endpoint)
    late = asked = 0
    for number, due in enumerate(me.ops()):
        request, asked = body(me, number), asked + 1
        for _ in connects:
            me.send(socket, b"", request)
        while me.recv(socket)[-1] != request:
            late += 1
        me.done(due)
    while late < asked * (len(connects) - 1) and me.must(me.recv(socket, timeout=2.0), "a server did not answer"):
        late += 1


@protocol("first", "second", "third")
def freelance_shotgun(cell):
    """Model two: a client (DEALER) asks all servers (REP) and takes the first answer."""
    clients, work_s = drawn(cell)
    links = ("first", "second", "third")[:cell.draw.randint(2, 3)]
    for link in ("first", "second", "third"):
        cell.application(rep_server, cell.bind(link), work_s)
    cell.clients(shotgun, [cell.connect(link) for link in links], count=clients, capacity=0.6 / work_s)


BEAT_S, LIVES_S = 0.1, 0.8


def named_server(me, endpoint, name, work_s):
    socket = me.socket(zmq.ROUTER, identity=name)
    socket.bind(endpoint)
    while True:
        client, kind, *rest = me.recv(socket)
        if kind == b"ASK":
            me.work(work_s)
        me.send(socket, client, b"PONG" if kind == b"PING" else b"OK", *rest)


class Agent:
    """A ROUTER that knows servers by name, beats, and asks one that is alive."""

    def __init__(self, me, servers):
        self.me, self.socket = me, me.socket(zmq.ROUTER)
        self.alive, self.beat, self.answers = {}, 0.0, {}
        for _, endpoint in servers:
            self.socket.connect(endpoint)
        self.servers = [name for name, _ in servers]

    def turn(self, timeout):
        """Beats if it is time to, and takes one message."""
        if self.me.now() >= self.beat:
            self.beat = self.me.now() + BEAT_S
            for name in self.servers:
                self.me.send(self.socket, name, b"PING")
        message = self.me.recv(self.socket, timeout=max(0, min(timeout, self.beat - self.me.now())))
        if message:
            self.alive[message[0]] = self.me.now()
            if message[1] == b"OK":
                self.answers[message[2]] = True

    def ask(self, request):
        """True when it was answered, by the second server if the first does not."""
        for _ in range(4):
            while not (able := [name for name in self.servers if self.me.now() - self.alive.get(name, 0) < LIVES_S]):
                self.turn(0.05)
            self.me.send(self.socket, able[(self.me.index + len(self.answers)) % len(able)], b"ASK", request)
            end = self.me.now() + 1.0
            while self.me.now() < end:
                self.turn(0.05)
                if self.answers.pop(request, False):
                    return True
            self.me.tally("retries")
        return False


def agent(me, servers):
    mine = Agent(me, servers)
    me.wait_until(me.shared.start, mine.turn)
    for number, due in enumerate(me.ops(mine.turn)):
        if me.must(mine.ask(body(me, number)), "a request was given up"):
            me.done(due)


@protocol("first", "second", "third", late=("third",), allows=AWAY)
def freelance_names(cell):
    """Model three: ROUTER to ROUTER; clients know servers by name, beat, and ask whoever is alive; the third is away."""
    clients, work_s = drawn(cell)
    for link in ("first", "second"):
        cell.application(named_server, cell.bind(link), link.encode(), work_s)
    servers = [(link.encode(), cell.connect(link)) for link in ("first", "second", "third")]
    cell.clients(agent, servers, count=clients, capacity=1.6 / work_s)

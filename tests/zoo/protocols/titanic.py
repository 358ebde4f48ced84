# SPDX-License-Identifier: MPL-2.0
import os
import uuid

import zmq
from zoo import protocol
from zoo.roles import body, rep_worker

POLL_S = 0.01


def titanic(me, front, back, folder):
    """Requests and answers are files; what a client is told is on disk."""
    front = me.socket(zmq.ROUTER, bind=front)
    back = me.socket(zmq.DEALER, bind=back)

    def path(name, kind):
        return os.path.join(folder, name.decode() + kind)

    def write(name, kind, content):
        with open(path(name, kind) + ".new", "wb") as file:
            file.write(content)
        os.rename(path(name, kind) + ".new", path(name, kind))

    def read(name, kind):
        try:
            with open(path(name, kind), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def serve(verb, argument):
        if verb == b"REQUEST":
            name = uuid.uuid4().hex.encode()
            write(name, ".request", argument)
            me.send(back, b"", name, argument)
            return [b"200", name]
        if verb == b"REPLY":
            answer = read(argument, ".answer")
            return [b"200", answer] if answer is not None else [b"300"] if read(argument, ".request") is not None else [b"400"]
        for kind in (".request", ".answer"):
            os.remove(path(argument, kind))
        return [b"200"]

    while True:
        ready = me.poll(front, back)
        if front in ready:
            client, _, verb, argument = front.recv_multipart()
            me.send(front, client, b"", *serve(verb, argument))
        if back in ready:
            _, name, answer = back.recv_multipart()
            write(name, ".answer", answer)


def client(me, endpoint):
    socket = me.socket(zmq.REQ, connect=endpoint)

    def ask(*frames):
        me.send(socket, *frames)
        return me.recv(socket)

    for number, due in enumerate(me.ops()):
        request = body(me, number)
        name = ask(b"REQUEST", request)[1]
        while (answer := ask(b"REPLY", name))[0] == b"300":
            me.work(POLL_S)
        me.must(answer == [b"200", request], "an answer was another's")
        me.must(ask(b"CLOSE", name) == [b"200"], "a request could not be closed")
        me.done(due)


@protocol("front", "back")
def titanic_service(cell):
    """Disconnected reliability: requests go to disk, are answered by workers (REP), and clients (REQ) come for the answers."""
    workers, clients = cell.draw.randint(2, 5), cell.draw.randint(4, 16)
    work_s = workers / cell.draw.uniform(100, 250)
    cell.says(f"{workers} workers, {clients} clients that look each {POLL_S * 1e3:.0f} ms, {work_s * 1e3:.1f} ms of work")
    cell.application(titanic, cell.bind("front"), cell.bind("back"), cell.folder)
    cell.peers(rep_worker, cell.connect("back"), work_s, count=workers)
    cell.clients(client, cell.connect("front"), count=clients, capacity=workers / work_s)

# SPDX-License-Identifier: MPL-2.0
"""Parts that many protocols share."""
import threading

import zmq


def body(me, number, size=0):
    """A request that no other is equal to."""
    return (b"%d/%d" % (me.index, number)).ljust(size, b".")


def req_client(me, endpoint, size=0):
    """Asks and waits; the answer is the request."""
    socket = me.socket(zmq.REQ, connect=endpoint)
    for number, due in enumerate(me.ops()):
        request = body(me, number, size)
        me.send(socket, request)
        if me.must(me.recv(socket) == [request], "an answer was another's"):
            me.done(due)


def rep_worker(me, endpoint, work_s):
    """A REP that connects or, at an application's own endpoint, binds: see rep_server."""
    _serve(me, me.socket(zmq.REP, connect=endpoint), work_s)


def rep_server(me, endpoint, work_s):
    _serve(me, me.socket(zmq.REP, bind=endpoint), work_s)


def _serve(me, socket, work_s):
    while True:
        request = me.recv(socket)
        me.work(work_s)
        me.send(socket, *request)


def forward(me, front, back):
    """Requests go back, answers go to the front."""
    while True:
        ready = me.poll(front, back)
        if front in ready:
            me.send(back, *front.recv_multipart())
        if back in ready:
            me.send(front, *back.recv_multipart())


def serve_by_threads(me, endpoint, workers, serve, *args):
    """A ROUTER for clients, a DEALER for the threads of this process: serve(me, endpoint, *args) each."""
    front = me.socket(zmq.ROUTER, bind=endpoint)
    back = me.socket(zmq.DEALER, bind="inproc://workers")
    threads = [threading.Thread(target=serve, args=(me, "inproc://workers", *args)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        forward(me, front, back)
    finally:
        for thread in threads:
            thread.join()


def lazy_client(me, connects, timeout_s, tries, work=body):
    """A REQ that gives up after timeout_s, asks the next of `connects` with a socket of its own, and so on."""
    at = 0
    socket = me.socket(zmq.REQ, connect=connects[at])
    for number, due in enumerate(me.ops()):
        request = work(me, number)
        for _ in range(tries):
            me.send(socket, request)
            reply = me.recv(socket, timeout=timeout_s)
            if reply is not None:
                me.must(reply == [request], "an answer was another's")
                me.done(due)
                break
            me.tally("retries")
            me.drop(socket)
            at = (at + 1) % len(connects)
            socket = me.socket(zmq.REQ, connect=connects[at])
        else:
            me.must(False, "a request was given up")


class OnTheWay:
    """A socket with up to `credit` requests on the way; an answer's last frame is its request's."""

    def __init__(self, me, socket, credit):
        self.me, self.socket, self.credit, self.sent = me, socket, credit, {}

    def ask(self, due, *frames):
        self.sent[frames[-1]] = due
        self.me.send(self.socket, *frames)
        while len(self.sent) >= self.credit:
            self.receive()

    def receive(self, timeout=None):
        message = self.me.recv(self.socket, timeout=timeout)
        if message and self.me.must(message[-1] in self.sent, "an answer came twice or was another's"):
            self.me.done(self.sent.pop(message[-1]))

    def finish(self):
        while self.sent:
            self.receive()


def dealer_client(me, endpoint, credit, size=0):
    """A DEALER that asks a REP, or what behaves like one."""
    on_the_way = OnTheWay(me, me.socket(zmq.DEALER, connect=endpoint), credit)
    for number, due in enumerate(me.ops(on_the_way.receive)):
        on_the_way.ask(due, b"", body(me, number, size))
    on_the_way.finish()

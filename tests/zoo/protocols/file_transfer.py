# SPDX-License-Identifier: MPL-2.0
import hashlib
import random

import zmq
from zoo import protocol

FILE = random.Random(11).randbytes(1 << 20)


def server(me, endpoint, work_s):
    """Each chunk takes as long as a disk would."""
    socket = me.socket(zmq.ROUTER, bind=endpoint)
    while True:
        client, offset, size = me.recv(socket)
        me.work(work_s)
        me.send(socket, client, offset, FILE[int(offset):int(offset) + int(size)])


class Fetch:
    """One file, with `credit` chunks on the way; the pipe keeps their order."""

    def __init__(self, me, socket, chunk, credit):
        self.me, self.socket, self.chunk, self.credit = me, socket, chunk, credit
        self.asked, self.got = {}, b""

    def receive(self, timeout=None):
        message = self.me.recv(self.socket, timeout=timeout)
        if message and self.me.must(int(message[0]) == len(self.got) and message[0] in self.asked, "a chunk was out of order"):
            self.got += message[1]
            self.me.done(self.asked.pop(message[0]))
            if len(self.got) == len(FILE):
                self.me.fact("digest", hashlib.sha256(self.got).hexdigest())
                self.me.tally("files")
                self.got = b""

    def ask(self, due, offset):
        while len(self.asked) >= self.credit:
            self.receive()
        self.asked[b"%d" % offset] = due
        self.me.send(self.socket, b"%d" % offset, b"%d" % self.chunk)


def client(me, endpoint, chunk, credit):
    """Whole files until the time is over; the last one is read to its end."""
    fetch = Fetch(me, me.socket(zmq.DEALER, connect=endpoint), chunk, credit)
    offset = 0
    for due in me.ops(fetch.receive):
        fetch.ask(due, offset)
        offset = (offset + chunk) % len(FILE)
        while offset == 0 and fetch.asked:
            fetch.receive()
    while offset:
        fetch.ask(me.now(), offset)
        offset = (offset + chunk) % len(FILE)
    while fetch.asked:
        fetch.receive()


@protocol("server")
def file_transfer(cell):
    """Credit-based file transfer: clients (DEALER) ask a ROUTER for chunks, several at a time, and put the file together."""
    clients, credit = cell.draw.randint(2, 6), cell.draw.randint(2, 10)
    chunk, work_s = 1 << cell.draw.randint(15, 17), cell.draw.uniform(0.004, 0.008)
    cell.says(f"{clients} clients, {chunk >> 10} KiB a chunk, {credit} on the way, {work_s * 1e3:.1f} ms of work")
    cell.application(server, cell.bind("server"), work_s)
    cell.clients(client, cell.connect("server"), chunk, credit, count=clients, capacity=1 / work_s)

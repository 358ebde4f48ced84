# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol

PIECE = bytes(4096)


def server(me, endpoint, work_s):
    """Publishes down the pipes of those who have subscribed and given credit; one word of credit brings many pieces."""
    socket = me.socket(zmq.ROUTER, bind=endpoint)
    credit, number = {}, {}
    while True:
        able = [client for client, left in credit.items() if left > 0]
        while me.poll(socket, timeout=0 if able else 0.05):
            client, verb, *rest = socket.recv_multipart()
            if verb == b"HELLO":
                credit[client], number[client] = 0, 0
                me.send(socket, client, b"WELCOME")
            else:
                credit[client] += int(rest[0])
            able = [client for client, left in credit.items() if left > 0]
        if able:
            me.work(work_s)
            for client in able:
                me.send(socket, client, b"PIECE", b"%d" % number[client], PIECE)
                credit[client] -= 1
                number[client] += 1


def client(me, endpoint, window):
    """Gives credit for as many pieces as it wants at a time; an operation is a piece, from the credit to the piece."""
    socket = me.socket(zmq.DEALER, connect=endpoint)
    me.send(socket, b"HELLO")
    me.must(me.recv(socket) == [b"WELCOME"], "no welcome")
    expected = 0
    for due in me.ops():
        me.send(socket, b"CREDIT", b"%d" % window)
        for _ in range(window):
            _, number, piece = me.recv(socket)
            me.must(int(number) == expected and piece == PIECE, "a piece was missed or out of order")
            expected += 1
            me.done(due)


@protocol("server")
def filemq(cell):
    """Credit flows up (DEALER), pieces of files down (ROUTER); one message of credit brings many pieces, and no request has one answer."""
    clients, window, work_s = cell.draw.randint(2, 8), cell.draw.randint(3, 20), cell.draw.uniform(0.004, 0.008)
    cell.says(f"{clients} clients, credit for {window} pieces of 4 KiB, {work_s * 1e3:.1f} ms a round of pieces")
    cell.application(server, cell.bind("server"), work_s)
    cell.clients(client, cell.connect("server"), window, count=clients, capacity=clients / work_s / window)

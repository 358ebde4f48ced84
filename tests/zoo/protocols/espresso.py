# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol


def proxy(me, front, back):
    """XSUB in front, XPUB behind, and an ear on what passes in both directions."""
    front = me.socket(zmq.XSUB, bind=front, rcvhwm=0)
    back = me.socket(zmq.XPUB, bind=back, sndhwm=0)
    while True:
        ready = me.poll(front, back)
        if back in ready:
            me.tally("subscriptions")
            me.send(front, *back.recv_multipart())
        if front in ready:
            me.tally("publications")
            me.send(back, *front.recv_multipart())


def publisher(me, front, topics, goodbye):
    """The last one to every topic is the end."""
    socket = me.socket(zmq.PUB, connect=front, sndhwm=0)
    for number, due in enumerate(me.ops()):
        socket.send_multipart([topics[number % len(topics)], b"%d" % me.index, b"%d" % (number // len(topics)), b"%r" % due])
    for topic in topics:
        socket.send_multipart([topic, b"%d" % me.index, goodbye, b""])


def subscriber(me, back, topics, publishers, goodbye):
    mine = topics[me.index % len(topics)]
    socket = me.socket(zmq.SUB, connect=back, subscribe=mine, rcvhwm=0)
    expected, left = {}, publishers
    while left:
        topic, source, number, sent = me.recv(socket)
        me.must(topic == mine, "a topic that was not subscribed")
        if number == goodbye:
            left -= 1
            continue
        me.must(int(number) == expected.get(source, 0), "a publication was missed or out of order")
        expected[source] = int(number) + 1
        me.done(float(sent))


@protocol("front", "back", settle_s=1.0)
def espresso(cell):
    """Publishers and subscribers both connect to a proxy (XSUB, XPUB) that listens in on what passes; each topic goes to those who asked for it."""
    publishers, subscribers = cell.draw.randint(2, 4), cell.draw.randint(3, 9)
    topics = [b"%c" % (65 + i) for i in range(cell.draw.randint(2, 4))]
    rate = cell.draw.uniform(200, 500)
    cell.says(f"{publishers} publishers, {subscribers} subscribers, {len(topics)} topics, {rate:.0f} publications/s at full load")
    cell.application(proxy, cell.bind("front"), cell.bind("back"))
    cell.clients(publisher, cell.connect("front"), topics, b"bye", count=publishers, capacity=rate, paced=True)
    cell.clients(subscriber, cell.connect("back"), topics, publishers, b"bye", count=subscribers)

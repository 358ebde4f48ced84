# SPDX-License-Identifier: MPL-2.0
import zmq
from zoo import protocol

TOPICS = 200


def cache(me, front, back):
    """A new subscription is answered with the topic's last value at once."""
    front = me.socket(zmq.SUB, bind=front, subscribe=b"", rcvhwm=0)
    back = me.socket(zmq.XPUB, bind=back, xpub_verbose=1, sndhwm=0)
    last = {}
    while True:
        ready = me.poll(front, back)
        if front in ready:
            topic, value = front.recv_multipart()
            last[topic] = value
            me.send(back, topic, value)
        if back in ready:
            event = back.recv()
            if event[0] == 1 and event[1:] in last:
                me.send(back, event[1:], last[event[1:]])


def publisher(me, front):
    """Every topic before the load begins, then one after the other."""
    socket = me.socket(zmq.PUB, connect=front, sndhwm=0)
    me.wait_until(me.now() + 0.3)
    for topic in range(TOPICS):
        socket.send_multipart([b"%03d" % topic, b"first"])
    while True:
        me.work(0.005)
        socket.send_multipart([b"%03d" % me.draw.randrange(TOPICS), b"later"])


def subscriber(me, back):
    """One topic at a time; an operation is from the subscription to the first value."""
    socket = me.socket(zmq.SUB, connect=back, rcvhwm=0)
    for due in me.ops():
        topic = b"%03d" % me.draw.randrange(TOPICS)
        socket.subscribe(topic)
        while me.recv(socket)[0] != topic:
            me.tally("values of the topic before")
        me.done(due)
        socket.unsubscribe(topic)
        me.work(0.004)


@protocol("front", "back", settle_s=0.8)
def last_value_cache(cell):
    """A cache between publishers and subscribers (SUB, XPUB_VERBOSE): who subscribes gets the topic's last value at once."""
    subscribers = cell.draw.randint(2, 8)
    cell.says(f"{subscribers} subscribers that go from one of {TOPICS} topics to the next")
    cell.application(cache, cell.bind("front"), cell.bind("back"))
    cell.peers(publisher, cell.connect("front"))
    cell.clients(subscriber, cell.connect("back"), count=subscribers, capacity=subscribers / 0.006)

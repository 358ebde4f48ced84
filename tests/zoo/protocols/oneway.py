# SPDX-License-Identifier: MPL-2.0
"""One-way traffic: PUSH to PULL, publishers and subscribers. What arrived, and how old it was then, is counted where it arrives."""
import time

import zmq
import zmq.utils.z85

from zoo.loop import Protocol, number_of, row, sent_at, stamp

SERVER_SECRET = zmq.utils.z85.encode(bytes(range(1, 33)))  # the same in every process of a cell
SERVER_PUBLIC = zmq.curve_public(SERVER_SECRET)


class Pushers(Protocol):
    """Base: producers that push on a schedule to a PULL application; when all is sent, each says so, and all must have arrived."""
    options = {}
    connect_options = {}

    def application(self, side):
        socket = side.socket(zmq.PULL, bind="main", **self.options)
        asked = side.socket(zmq.REP, bind="asked")
        taken = [0]

        def take(frames):
            taken[0] += 1
            side.done(sent_at(frames[0]))
            self.work(frames)

        side.loop.on(socket, take)
        side.loop.on(asked, lambda _: asked.send(b"%d" % taken[0]))
        side.loop.run()

    gates = ("main", "asked")

    def work(self, frames):
        pass

    def arrived(self, side, sent):
        """Asks the application until it has all of it."""
        asked = side.socket(zmq.REQ, connect="asked")
        got, end = -1, time.monotonic() + 3
        while got < sent and time.monotonic() < end:
            asked.send(b"")
            got = int(side.me.recv(asked)[0])
            side.loop.run(0.02)
        side.expect("messages that arrived", got, sent)


@row
class TelemetryFanIn(Pushers):
    """200 producers of small messages."""
    loads = {"low": {"per_s": 2}, "normal": {"per_s": 3}, "full": {"per_s": 6}}
    producers = 200

    def peers(self, side):
        sockets = [side.socket(zmq.PUSH, connect="main", **self.connect_options) for _ in range(self.producers)]
        sent = [0]

        def send(socket):
            if side.asking():
                socket.send_multipart([stamp(), b"cpu=17 mem=42"])
                sent[0] += 1

        side.settle()
        for socket in sockets:
            side.loop.every(1 / side.load["per_s"], send, socket, first=side.random.uniform(0, 1 / side.load["per_s"]))
        side.whole_load()
        self.arrived(side, sent[0])


@row
class PushLargeAmongSmall(Pushers):
    """Four producers: frames of 1 to 8 MiB mixed with small messages on the same connections."""
    loads = {"low": {"every_s": 0.5}, "normal": {"every_s": 0.35}, "full": {"every_s": 0.2}}

    def peers(self, side):
        sockets = [side.socket(zmq.PUSH, connect="main") for _ in range(4)]
        sent = [0]

        def send(socket, body):
            if side.asking():
                socket.send_multipart([stamp(), body()], copy=False)
                sent[0] += 1

        side.settle()
        large = bytes(8 << 20)
        for i, socket in enumerate(sockets):
            side.loop.every(side.load["every_s"], send, socket, lambda: memoryview(large)[:side.random.randint(1, 8) << 20], first=0.03 * i)
            side.loop.every(0.02, send, socket, lambda: b"small")
        side.whole_load()
        self.arrived(side, sent[0])


@row
class ShortLivedPush(Pushers):
    """Each producer connects, pushes ten messages, and is gone."""
    loads = {"low": {"per_s": 5}, "normal": {"per_s": 30}, "full": {"per_s": 80}}

    def peers(self, side):
        sent = [0]

        def push_and_go():
            if side.asking():
                socket = side.socket(zmq.PUSH, connect="main")
                socket.linger = 10000
                for i in range(10):
                    socket.send_multipart([stamp(i), b"x" * 100])
                side.me.sockets.remove(socket)
                socket.close()
                sent[0] += 10

        side.settle()
        side.loop.every(1 / side.load["per_s"], push_and_go)
        side.whole_load()
        self.arrived(side, sent[0])


@row
class CurvePush(TelemetryFanIn):
    """30 producers inside CURVE."""
    loads = {"low": {"per_s": 5}, "normal": {"per_s": 12}, "full": {"per_s": 30}}
    producers = 30

    def __init__(self):
        public, secret = zmq.curve_keypair()
        self.options = {"CURVE_SERVER": 1, "CURVE_SECRETKEY": SERVER_SECRET}
        self.connect_options = {"CURVE_SERVERKEY": SERVER_PUBLIC, "CURVE_PUBLICKEY": public, "CURVE_SECRETKEY": secret}


@row
class PullWithRcvhwm1(Pushers):
    """A PULL that works 2 ms on each, with RCVHWM 1: what it has not taken stands at the producers."""
    loads = {"low": {"per_s": 50}, "normal": {"per_s": 250}, "full": {"per_s": 400}}
    options = {"RCVHWM": 1}

    def work(self, frames):
        time.sleep(0.002)

    def peers(self, side):
        sockets = [side.socket(zmq.PUSH, connect="main", SNDHWM=2) for _ in range(4)]
        sent = [0]

        def send():
            if side.asking():
                for socket in sockets[sent[0] % 4:] + sockets[:sent[0] % 4]:
                    try:
                        socket.send_multipart([stamp()], zmq.NOBLOCK)
                    except zmq.Again:
                        continue
                    sent[0] += 1
                    return

        side.settle()
        side.loop.every(1 / side.load["per_s"], send)
        side.whole_load()
        self.arrived(side, sent[0])


class Publisher(Protocol):
    """Base: the application publishes on a schedule as soon as the peers say b"begin" on a REP of its own."""
    gates = ("main", "control")
    options = {}
    published = 0

    def application(self, side):
        socket = side.socket(zmq.PUB, bind="main", **self.options)
        control = side.socket(zmq.REP, bind="control")

        def command(frames):
            if frames == [b"begin"]:
                self.publish(side, socket)
            control.send(b"%d" % self.published)

        side.loop.on(control, command)
        side.loop.run()

    def publish(self, side, socket):
        raise NotImplementedError

    def begin(self, side):
        control = side.socket(zmq.REQ, connect="control")
        control.send(b"begin")
        side.me.recv(control)
        return control


@row
class MarketData(Publisher):
    """Thousands of instruments, a topic each; subscribers that want a third of them, one by one."""
    settle_s = 2.5
    loads = {"low": {"topics": 300, "per_s": 300, "subscribers": 2}, "normal": {"topics": 3000, "per_s": 800, "subscribers": 3},
             "full": {"topics": 15000, "per_s": 1500, "subscribers": 3}}

    def publish(self, side, socket):
        count = [0]

        def quote():
            for _ in range(10):
                count[0] += 1
                if count[0] <= side.load["per_s"] * side.seconds:
                    socket.send_multipart([b"SYM%05d " % (count[0] % side.load["topics"]), stamp(count[0])])

        side.loop.every(10 / side.load["per_s"], quote)

    def peers(self, side):
        seen = [0]
        topics, total = side.load["topics"], int(side.load["per_s"] * side.seconds)

        def hear(frames):
            seen[0] += 1
            side.done(sent_at(frames[1]))

        wanted = 0
        for s in range(side.load["subscribers"]):
            socket = side.socket(zmq.SUB, RCVHWM=0)
            mine = range(s % 3, topics, 3)
            for t in mine:
                socket.setsockopt(zmq.SUBSCRIBE, b"SYM%05d " % t)
            socket.connect(side.at["main"])
            side.loop.on(socket, hear)
            wanted += sum(1 for n in range(1, total + 1) if n % topics % 3 == s % 3)
        side.settle()
        self.begin(side)
        side.loop.run(side.seconds + 3, until=lambda: seen[0] >= wanted)
        side.expect("quotes that arrived", seen[0], wanted)


@row
class PubNearAndFar(Publisher):
    """Bursts of 100 messages of 10 kB for subscribers that read at once, and for one that reads slowly. The near ones count."""
    loads = {"low": {"near": 1, "every_s": 0.5}, "normal": {"near": 3, "every_s": 0.25}, "full": {"near": 5, "every_s": 0.2}}
    options = {"SNDHWM": 1000}

    def publish(self, side, socket):
        left = [int(side.seconds / side.load["every_s"])]
        body = b"v" * 10000

        def burst():
            if left[0] > 0:
                left[0] -= 1
                for i in range(100):
                    socket.send_multipart([b"video", stamp(i), body])

        side.loop.every(side.load["every_s"], burst)

    def peers(self, side):
        seen, far_seen = [0], [0]
        wanted = side.load["near"] * 100 * int(side.seconds / side.load["every_s"])

        def hear(frames):
            seen[0] += 1
            side.done(sent_at(frames[1]))

        for _ in range(side.load["near"]):
            side.loop.on(side.socket(zmq.SUB, connect="main", SUBSCRIBE=b"video"), hear)
        far = side.socket(zmq.SUB, RCVHWM=10, RCVBUF=16384, SUBSCRIBE=b"video")
        far.connect(side.at["main"])

        def read_a_few():
            for _ in range(3):
                if far.poll(0):
                    far.recv_multipart()
                    far_seen[0] += 1

        side.loop.every(0.02, read_a_few)
        side.settle()
        self.begin(side)
        side.loop.run(side.seconds + 3, until=lambda: seen[0] >= wanted)
        side.expect("messages at the near subscribers", seen[0], wanted)
        side.expect("the far subscriber hears", far_seen[0] > 50, True)


@row
class ConflatingSub(Publisher):
    """ZMQ_CONFLATE: subscribers that look each 20 ms and want the newest only."""
    loads = {"low": {"subscribers": 2, "per_s": 200}, "normal": {"subscribers": 4, "per_s": 300}, "full": {"subscribers": 8, "per_s": 400}}

    def publish(self, side, socket):
        count = [0]

        def publish():
            if side.asking():
                count[0] += 1
                self.published = count[0]
                socket.send(stamp(count[0]))

        side.loop.every(1 / side.load["per_s"], publish)

    def peers(self, side):
        sockets = [side.socket(zmq.SUB, CONFLATE=1, SUBSCRIBE=b"") for _ in range(side.load["subscribers"])]
        newest = {}

        def look():
            for socket in sockets:
                if socket.poll(0):
                    frame = socket.recv()
                    newest[socket] = number_of(frame)
                    side.done(sent_at(frame))

        for socket in sockets:
            socket.connect(side.at["main"])
        side.settle()
        control = self.begin(side)
        side.loop.every(0.02, look)
        side.loop.run(side.seconds + 0.3)
        control.send(b"how many")
        last = int(side.me.recv(control)[0])
        side.expect("the newest that each saw", set(newest.values()), {last})
        side.expect("subscribers that saw any", len(newest), len(sockets))


@row
class XsubThatBinds(Protocol):
    """An XSUB that binds, and publishers that connect to it (collectors of logs)."""
    gates = ("main", "asked")
    loads = {"low": {"publishers": 2, "per_s": 20}, "normal": {"publishers": 15, "per_s": 20}, "full": {"publishers": 40, "per_s": 20}}

    def application(self, side):
        socket = side.socket(zmq.XSUB, bind="main")
        socket.send(b"\x01log.")
        asked = side.socket(zmq.REP, bind="asked")
        taken = [0]

        def take(frames):
            taken[0] += 1
            side.done(sent_at(frames[1]))

        side.loop.on(socket, take)
        side.loop.on(asked, lambda _: asked.send(b"%d" % taken[0]))
        side.loop.run()

    def peers(self, side):
        sockets = [side.socket(zmq.PUB, connect="main") for _ in range(side.load["publishers"])]
        sent = [0]

        def send(socket):
            if side.asking():
                socket.send_multipart([b"log.info", stamp()])
                socket.send_multipart([b"debug", stamp()])
                sent[0] += 1

        side.settle()
        for socket in sockets:
            side.loop.every(1 / side.load["per_s"], send, socket, first=side.random.uniform(0, 1 / side.load["per_s"]))
        side.whole_load()
        Pushers.arrived(self, side, sent[0])


@row
class XpubMessageBus(Protocol):
    """XPUB that binds; subscribers (XSUB) send messages upstream, which the application publishes to all."""
    loads = {"low": {"members": 2, "per_s": 10}, "normal": {"members": 4, "per_s": 30}, "full": {"members": 5, "per_s": 60}}

    def application(self, side):
        socket = side.socket(zmq.XPUB, bind="main")

        def handle(frames):
            if frames[0][:1] not in (b"\x00", b"\x01"):
                socket.send_multipart(frames)

        side.loop.on(socket, handle)
        side.loop.run()

    def peers(self, side):
        members, seen, sent = [], [0], [0]

        def hear(frames):
            seen[0] += 1
            side.done(sent_at(frames[1][1:]))

        def say(socket):
            if side.asking():
                socket.send_multipart([b"room", b"s" + stamp()])  # libzmq 4.3.4 takes any part that begins with 00 or 01 for a subscription
                sent[0] += 1

        for _ in range(side.load["members"]):
            socket = side.socket(zmq.XSUB, connect="main")
            socket.send(b"\x01room")
            side.loop.on(socket, hear)
            members.append(socket)
        side.settle()
        for socket in members:
            side.loop.every(1 / side.load["per_s"], say, socket)
        side.whole_load()
        side.rest(lambda: seen[0] >= sent[0] * len(members))
        side.expect("messages at all members", seen[0], sent[0] * len(members))

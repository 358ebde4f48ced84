# SPDX-License-Identifier: MPL-2.0
"""Requests and answers, one for one: many small clients, odd socket options, connections of one request, security, large and many-part messages."""
import threading
import time

import zmq
import zmq.utils.z85

from zoo.loop import Asker, Protocol, row, sent_at, stamp

SERVER_SECRET = zmq.utils.z85.encode(bytes(range(1, 33)))  # the same in every process of a cell
SERVER_PUBLIC = zmq.curve_public(SERVER_SECRET)
CONTEXTS = []  # of threads that nobody ends: their process does


def echo(side, kind=zmq.REP, work_s=0.0, **options):
    """An application that answers each message with itself, after `work_s` of work on one at a time."""
    socket = side.socket(kind, bind="main", **options)

    def answer(frames):
        if work_s:
            time.sleep(work_s)
        socket.send_multipart(frames)

    side.loop.on(socket, answer)
    side.loop.run()
    return socket


@row
class ManySmallClients(Protocol):
    """REP, and many REQ clients that think for 200 ms."""
    loads = {"low": {"clients": 5}, "normal": {"clients": 40}, "full": {"clients": 150}}

    def application(self, side):
        echo(side)

    def peers(self, side):
        Asker(side, zmq.REQ, side.load["clients"], think_s=0.2).run()


@row
class RepInLockstep(Protocol):
    """REP that works 2 ms on each request; clients that ask as soon as they have their answer."""
    loads = {"low": {"clients": 1}, "normal": {"clients": 4}, "full": {"clients": 40}}

    def application(self, side):
        echo(side, work_s=0.002)

    def peers(self, side):
        Asker(side, zmq.REQ, side.load["clients"]).run()


@row
class PipelinedRouter(Protocol):
    """ROUTER that works 2 ms on each, DEALERs with a window of requests."""
    loads = {"low": {"clients": 2, "depth": 2}, "normal": {"clients": 4, "depth": 8}, "full": {"clients": 8, "depth": 32}}

    def application(self, side):
        echo(side, zmq.ROUTER, work_s=0.002)

    def peers(self, side):
        Asker(side, zmq.DEALER, side.load["clients"], depth=side.load["depth"]).run()


@row
class ReqRelaxed(Protocol):
    """REQ_RELAXED and REQ_CORRELATE: clients that ask again when no answer came, on the same socket; one request in ten is answered too late."""
    loads = {"low": {"clients": 2}, "normal": {"clients": 20}, "full": {"clients": 60}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        seen = [0]

        def answer(frames):
            seen[0] += 1
            late = 0.25 if seen[0] % 10 == 0 else 0.004
            side.loop.after(late, socket.send_multipart, frames)

        side.loop.on(socket, answer)
        side.loop.run()

    def peers(self, side):
        options = {"REQ_RELAXED": 1, "REQ_CORRELATE": 1}
        Asker(side, zmq.REQ, side.load["clients"], think_s=0.06, give_up_s=0.15, options=options).run()


@row
class LazyPirates(Protocol):
    """REQ clients that close their socket after 300 ms without an answer and ask anew; at full load some more than can be answered."""
    loads = {"low": {"clients": 4}, "normal": {"clients": 20}, "full": {"clients": 70}}
    seconds = 2.0

    def application(self, side):
        echo(side, zmq.REP, work_s=0.004)

    def peers(self, side):
        def gave_up(client):
            asker.close(client)
            asker.open(client)

        asker = Asker(side, zmq.REQ, side.load["clients"], think_s=0.05, give_up_s=0.3, gave_up=gave_up)
        asker.run()


@row
class OneInSevenUnanswered(Protocol):
    """A ROUTER that leaves one request in seven unanswered. Its clients go on after 200 ms."""
    loads = {"low": {"clients": 2}, "normal": {"clients": 15}, "full": {"clients": 50}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        seen = [0]

        def answer(frames):
            seen[0] += 1
            if seen[0] % 7:
                socket.send_multipart(frames)

        side.loop.on(socket, answer)
        side.loop.run()

    def peers(self, side):
        Asker(side, zmq.DEALER, side.load["clients"], think_s=0.02, give_up_s=0.2).run()


@row
class ConnectionPerRequest(Protocol):
    """Short-lived REQ: each request on a connection of its own, all from one address."""
    loads = {"low": {"per_s": 10}, "normal": {"per_s": 80}, "full": {"per_s": 150}}

    def application(self, side):
        echo(side)

    def peers(self, side):
        loop = side.loop
        waiting = set()

        def ask():
            start = time.monotonic()
            socket = side.socket(zmq.REQ, connect="main")
            waiting.add(socket)

            def answered(_):
                waiting.discard(socket)
                loop.forget(socket)
                side.me.drop(socket)
                side.done(start)

            loop.on(socket, answered)
            socket.send(stamp())

        def begin():
            if side.asking():
                ask()

        side.settle()
        loop.every(1 / side.load["per_s"], begin)
        side.whole_load()
        side.rest(lambda: not waiting)
        side.expect("requests without an answer", len(waiting), 0)


@row
class StateSnapshots(Protocol):
    """State snapshots: a small request, an answer of 20 MiB in two parts; beside it quick requests of others."""
    loads = {"low": {"large": 1, "small": 1}, "normal": {"large": 2, "small": 5}, "full": {"large": 3, "small": 10}}
    seconds = 2.0
    size = 20 << 20

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        state = bytes(self.size // 2)

        def answer(frames):
            socket.send_multipart([*frames[:2], state, state] if frames[2] == b"state" else frames)

        side.loop.on(socket, answer)
        side.loop.run()

    def peers(self, side):
        def whole(client, frames):
            side.expect("octets of a snapshot", sum(map(len, frames[1:])), self.size)
            return True

        large = Asker(side, zmq.DEALER, side.load["large"], think_s=1.0, request=lambda c, n: [stamp(n), b"state"], answered=whole)
        small = Asker(side, zmq.DEALER, side.load["small"], think_s=0.05, request=lambda c, n: [stamp(n), b"ping"])
        large.begin()
        small.run()
        large.end()


@row
class HundredsOfParts(Protocol):
    """Messages of 300 parts, there and back."""
    loads = {"low": {"clients": 1}, "normal": {"clients": 3}, "full": {"clients": 8}}

    def application(self, side):
        echo(side, zmq.ROUTER)

    def peers(self, side):
        def whole(client, frames):
            side.expect("parts", len(frames), 301)
            return True

        Asker(side, zmq.DEALER, side.load["clients"], think_s=0.15, request=lambda c, n: [stamp(n), *[b"part"] * 300], answered=whole).run()


@row
class HeartbeatsAndStalls(Protocol):
    """ZMQ_HEARTBEAT_* on both sides, an application that stands still for 150 ms now and then, clients that are quiet for longer than the timeout."""
    loads = {"low": {"clients": 8}, "normal": {"clients": 20}, "full": {"clients": 60}}
    beats = {"HEARTBEAT_IVL": 50, "HEARTBEAT_TIMEOUT": 500, "HEARTBEAT_TTL": 1000}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main", **self.beats)
        side.loop.on(socket, socket.send_multipart)
        side.loop.every(0.7, time.sleep, 0.15)
        side.loop.run()

    def peers(self, side):
        ended = []
        asker = Asker(side, zmq.DEALER, side.load["clients"], think_s=0.3, options=self.beats)
        for socket in asker.sockets:
            monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            side.me.sockets.append(monitor)
            side.loop.on(monitor, ended.append)
        asker.run()
        side.expect("connections that ended", len(ended), 0)


@row
class ThreadPoolBehindProxy(Protocol):
    """A ROUTER in front of a pool of REP threads, joined by zmq_proxy inside the application."""
    loads = {"low": {"clients": 2}, "normal": {"clients": 8}, "full": {"clients": 64}}
    threads = 8

    def application(self, side):
        context = zmq.Context()
        CONTEXTS.append(context)
        front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        front.bind(side.at["main"])
        back.bind("inproc://pool")

        def work():
            socket = context.socket(zmq.REP)
            socket.connect("inproc://pool")
            while True:
                frames = socket.recv_multipart()
                time.sleep(0.02)
                socket.send_multipart(frames)

        for _ in range(self.threads):
            threading.Thread(target=work, daemon=True).start()
        threading.Thread(target=zmq.proxy, args=(front, back), daemon=True).start()
        side.loop.run()

    def peers(self, side):
        Asker(side, zmq.REQ, side.load["clients"]).run()


@row
class DealerToDealer(Protocol):
    """DEALER to DEALER, one client: requests and answers without envelopes."""
    loads = {"low": {"depth": 1}, "normal": {"depth": 8}, "full": {"depth": 64}}

    def application(self, side):
        echo(side, zmq.DEALER, work_s=0.002)

    def peers(self, side):
        Asker(side, zmq.DEALER, 1, depth=side.load["depth"]).run()


@row
class PairBothSpeak(Protocol):
    """PAIR: both sides speak whenever they like."""
    loads = {"low": {"per_s": 20}, "normal": {"per_s": 100}, "full": {"per_s": 250}}

    def application(self, side):
        socket = side.socket(zmq.PAIR, bind="main")
        heard = [False]

        def say():
            if heard[0]:
                socket.send(stamp(), zmq.NOBLOCK)

        def hear(frames):
            heard[0] = frames != [b"end"]
            if frames == [b"end"]:
                socket.send(b"end")
            elif frames != [b"begin"]:
                socket.send_multipart(frames)

        side.loop.on(socket, hear)
        side.loop.every(1 / side.load["per_s"], say)
        side.loop.run()

    def peers(self, side):
        socket = side.socket(zmq.PAIR, connect="main")
        state = {"sent": 0, "back": 0, "end": False}

        def hear(frames):
            if frames == [b"end"]:
                state["end"] = True
                return
            side.done(sent_at(frames[0]))
            state["back"] += len(frames) > 1

        def say():
            if side.asking():
                socket.send_multipart([stamp(), b"mine"])
                state["sent"] += 1

        side.loop.on(socket, hear)
        socket.send(b"begin")
        side.settle()
        side.loop.every(1 / side.load["per_s"], say)
        side.whole_load()
        socket.send(b"end")
        side.rest(lambda: state["end"])
        side.expect("messages that came back", state["back"], state["sent"])


@row
class CurveRequestReply(Protocol):
    """Requests and answers inside CURVE."""
    loads = {"low": {"clients": 2}, "normal": {"clients": 15}, "full": {"clients": 40}}

    def application(self, side):
        echo(side, zmq.REP, CURVE_SERVER=1, CURVE_SECRETKEY=SERVER_SECRET)

    def peers(self, side):
        public, secret = zmq.curve_keypair()
        options = {"CURVE_SERVERKEY": SERVER_PUBLIC, "CURVE_PUBLICKEY": public, "CURVE_SECRETKEY": secret}
        Asker(side, zmq.REQ, side.load["clients"], think_s=0.05, options=options).run()


@row
class PlainRequestReply(Protocol):
    """Requests and answers behind PLAIN, with a ZAP handler."""
    loads = CurveRequestReply.loads

    def application(self, side):
        from zmq.auth.thread import ThreadAuthenticator
        auth = ThreadAuthenticator(side.context)
        auth.start()
        auth.configure_plain(domain="*", passwords={"alice": "open sesame"})
        try:
            echo(side, zmq.REP, PLAIN_SERVER=1)
        finally:
            auth.stop()

    def peers(self, side):
        options = {"PLAIN_USERNAME": b"alice", "PLAIN_PASSWORD": b"open sesame"}
        Asker(side, zmq.REQ, side.load["clients"], think_s=0.05, options=options).run()

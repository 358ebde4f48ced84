# SPDX-License-Identifier: MPL-2.0
"""Masters and workers: who binds gives out work, who connects asks for it, reports and beats."""
import collections
import threading
import time

import zmq

from zoo.loop import Protocol, row, sent_at, stamp


def employ(side, work, stop):
    """Each worker is a thread, work(its number), until the load is over."""
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(side.load["workers"])]
    for thread in threads:
        thread.start()
    side.settle()
    side.whole_load()
    stop.set()
    for thread in threads:
        thread.join()


@row
class JobMasterWithBeats(Protocol):
    """A ROUTER master keeps two jobs at each worker; workers (DEALER) accept, report three times, beat each 50 ms, and return the result."""
    loads = {"low": {"workers": 2, "job_s": 0.05}, "normal": {"workers": 8, "job_s": 0.05}, "full": {"workers": 20, "job_s": 0.05}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")

        def handle(frames):
            worker, word = frames[0], frames[1]
            if word == b"ready":
                for _ in range(2):
                    socket.send_multipart([worker, b"job", stamp()])
            elif word == b"result":
                side.done(sent_at(frames[2]))
                socket.send_multipart([worker, b"job", stamp()])

        side.loop.on(socket, handle)
        side.loop.run()

    def peers(self, side):
        job_s = side.load["job_s"]

        def worker(name):
            socket = side.socket(zmq.DEALER, connect="main", ROUTING_ID=name)
            queue, done = collections.deque(), [0]

            def take(frames):
                queue.append(frames[1])
                socket.send_multipart([b"accepted", frames[1]])
                if len(queue) == 1:
                    work()

            def work():
                for i in range(3):
                    side.loop.after(job_s * i / 3, socket.send_multipart, [b"report", b"%d %%" % (33 * i)])
                side.loop.after(job_s, finish)

            def finish():
                socket.send_multipart([b"result", queue.popleft(), b"r" * 100])
                done[0] += 1
                if queue:
                    work()

            side.loop.on(socket, take)
            side.loop.every(0.05, socket.send_multipart, [b"beat"])
            socket.send_multipart([b"ready"])
            return done

        workers = [worker(b"worker-%d" % i) for i in range(side.load["workers"])]
        side.whole_load()
        side.expect("workers without a job", sum(done[0] == 0 for done in workers), 0)


@row
class WorkersThatAsk(Protocol):
    """LRU workers: REQ sockets that ask for work and bring their last result with the next question. Jobs come in at a rate of their own, so
    that the questions are kept, or jobs wait."""
    loads = {"low": {"workers": 4, "jobs_per_s": 20}, "normal": {"workers": 10, "jobs_per_s": 150}, "full": {"workers": 20, "jobs_per_s": 900}}
    work_s = 0.04

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        idle, jobs = collections.deque(), collections.deque()

        def give():
            while idle and jobs:
                socket.send_multipart([idle.popleft(), b"", jobs.popleft()])

        def handle(frames):
            if frames[2] != b"ready":
                side.done(sent_at(frames[2]))
            idle.append(frames[0])
            give()

        def offer():
            if len(jobs) < 50:
                jobs.append(stamp())
            give()

        side.loop.on(socket, handle)
        side.loop.every(1 / side.load["jobs_per_s"], offer)
        side.loop.run()

    def peers(self, side):
        def worker():
            socket = side.socket(zmq.REQ, connect="main")
            side.loop.on(socket, lambda frames: side.loop.after(self.work_s, socket.send, frames[0]))
            socket.send(b"ready")

        for _ in range(side.load["workers"]):
            worker()
        side.whole_load()


@row
class MandatoryBusyWorkers(Protocol):
    """ROUTER_MANDATORY: a master that offers tasks of 256 KiB to workers that take one at a time (RCVHWM 1) and work 50 ms."""
    loads = {"low": {"workers": 1}, "normal": {"workers": 4}, "full": {"workers": 10}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main", ROUTER_MANDATORY=1, SNDHWM=1, SNDTIMEO=0)
        workers, out = [], collections.Counter()
        task = b"t" * (256 << 10)

        def handle(frames):
            if frames[1] == b"ready":
                workers.append(frames[0])
            else:
                out[frames[0]] -= 1
                side.done(sent_at(frames[2]))

        def offer():
            for worker in workers:
                while out[worker] < 4:
                    try:
                        socket.send_multipart([worker, stamp(), task])
                    except zmq.ZMQError:
                        break
                    out[worker] += 1

        side.loop.on(socket, handle)
        side.loop.every(0.01, offer)
        side.loop.run()

    def peers(self, side):
        results = []

        def work(_):
            socket = side.socket(zmq.DEALER, connect="main", RCVHWM=1, RCVTIMEO=100)
            socket.send_multipart([b"ready", b""])
            count = 0
            while not stop.is_set():
                try:
                    frames = socket.recv_multipart()
                except zmq.Again:
                    continue
                time.sleep(0.05)
                socket.send_multipart([b"result", frames[0]])
                count += 1
            results.append(count)

        stop = threading.Event()
        employ(side, work, stop)
        side.expect("workers without a task", results.count(0), 0)


@row
class UnequalWorkersRcvhwm1(Protocol):
    """PUSH that binds gives tasks to workers with RCVHWM 1, whose results go to a PULL that binds; one worker in four is ten times as slow."""
    gates = ("tasks", "results")
    loads = {"low": {"workers": 2, "per_s": 20}, "normal": {"workers": 8, "per_s": 40}, "full": {"workers": 16, "per_s": 120}}
    seconds = 2.0

    def application(self, side):
        tasks = side.socket(zmq.PUSH, bind="tasks", SNDHWM=1)
        results = side.socket(zmq.PULL, bind="results")

        def offer():
            try:
                tasks.send_multipart([stamp(), b"task"], zmq.NOBLOCK)
            except zmq.Again:
                pass

        side.loop.on(results, lambda frames: side.done(sent_at(frames[0])))
        side.loop.every(1 / side.load["per_s"], offer)
        side.loop.run()

    def peers(self, side):
        counts = []

        def work(i):
            tasks = side.socket(zmq.PULL, connect="tasks", RCVHWM=1, RCVTIMEO=100)
            results = side.socket(zmq.PUSH, connect="results")
            count = 0
            while not stop.is_set():
                try:
                    frames = tasks.recv_multipart()
                except zmq.Again:
                    continue
                time.sleep(0.1 if i % 4 == 3 else 0.01)
                results.send_multipart(frames)
                count += 1
            counts.append(count)

        stop = threading.Event()
        employ(side, work, stop)
        side.expect("workers without a task", counts.count(0), 0)


@row
class EngineRanks(Protocol):
    """ROUTER to ROUTER with fixed identities, two little-endian octets each (engine ranks: rank 0 is 00 00)."""
    loads = {"low": {"peers": 2, "depth": 1}, "normal": {"peers": 6, "depth": 2}, "full": {"peers": 12, "depth": 3}}

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main", ROUTING_ID=b"hub", ROUTER_MANDATORY=1)
        side.loop.on(socket, socket.send_multipart)
        side.loop.run()

    def peers(self, side):
        waiting = [0]

        def ask(socket):
            socket.send_multipart([b"hub", stamp()])
            waiting[0] += 1

        def peer(rank):
            socket = side.socket(zmq.ROUTER, connect="main", ROUTING_ID=rank.to_bytes(2, "little"))

            def hear(frames):
                waiting[0] -= 1
                side.done(sent_at(frames[1]))
                if side.asking():
                    side.loop.after(0.05, ask, socket)

            side.loop.on(socket, hear)
            return socket

        sockets = [peer(rank) for rank in range(side.load["peers"])]
        side.settle()
        for socket in sockets:
            for _ in range(side.load["depth"]):
                ask(socket)
        side.whole_load()
        side.rest(lambda: waiting[0] == 0)
        side.expect("messages that came to no answer", waiting[0], 0)


@row
class JupyterPorts(Protocol):
    """A kernel's five sockets: shell ROUTER, iopub PUB, stdin ROUTER, control ROUTER and a REP that echoes beats; front ends that execute,
    watch the output, answer a question from stdin, and ask control something now and then."""
    gates = ("shell", "iopub", "stdin", "control", "beat")
    loads = {"low": {"frontends": 1}, "normal": {"frontends": 3}, "full": {"frontends": 6}}
    seconds = 2.0

    def application(self, side):
        shell, control, stdin = (side.socket(zmq.ROUTER, bind=name) for name in ("shell", "control", "stdin"))
        iopub, beat = side.socket(zmq.PUB, bind="iopub"), side.socket(zmq.REP, bind="beat")

        def execute(frames):
            iopub.send_multipart([b"status", frames[0], b"busy"])
            for i in range(10):
                iopub.send_multipart([b"stream", frames[0], b"line %d\n" % i])
            stdin.send_multipart([frames[0], b"input_request", frames[1]])
            waiting[frames[0]] = frames[1]

        def answered(frames):
            if frames[0] in waiting and frames[1] != b"hello":
                shell.send_multipart([frames[0], waiting.pop(frames[0])])
                iopub.send_multipart([b"status", frames[0], b"idle"])

        waiting = {}
        side.loop.on(shell, execute)
        side.loop.on(stdin, answered)
        side.loop.on(control, control.send_multipart)
        side.loop.on(beat, beat.send_multipart)
        side.loop.run()

    def peers(self, side):
        missing, watched, beats = [0], collections.Counter(), [0, 0]

        def frontend(name):
            shell, control, stdin = (side.socket(zmq.DEALER, connect=port, ROUTING_ID=name) for port in ("shell", "control", "stdin"))
            beat, iopub = side.socket(zmq.REQ, connect="beat"), side.socket(zmq.SUB, connect="iopub", SUBSCRIBE=b"")
            stdin.send(b"hello")

            def execute():
                if side.asking():
                    shell.send(stamp())
                    missing[0] += 1

            def reply(frames):
                missing[0] -= 1
                side.done(sent_at(frames[0]))
                side.loop.after(0.02, execute)

            def watch(frames):
                watched[name] += 1

            def pulse(_=None):
                if side.asking():
                    beats[0] += 1
                    beat.send(stamp())

            def pulsed(frames):
                beats[1] += 1
                side.done(sent_at(frames[0]))
                side.loop.after(0.1, pulse)

            side.loop.on(shell, reply)
            side.loop.on(stdin, lambda frames: stdin.send_multipart([b"input_reply", frames[1]]))
            side.loop.on(control, lambda frames: side.done(sent_at(frames[0])))
            side.loop.on(iopub, watch)
            side.loop.on(beat, pulsed)
            side.loop.every(0.25, lambda: side.asking() and control.send(stamp()))
            return execute, pulse

        starts = [frontend(b"frontend-%d" % i) for i in range(side.load["frontends"])]
        side.settle()
        for execute, pulse in starts:
            execute()
            pulse()
        side.whole_load()
        side.rest(lambda: missing[0] == 0 and beats[0] == beats[1])
        side.expect("cells without a reply", missing[0], 0)
        side.expect("beats without an echo", beats[0] - beats[1], 0)

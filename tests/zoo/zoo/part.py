# SPDX-License-Identifier: MPL-2.0
"""What a part of a protocol (a broker, a worker, a client) is given as `me`: its sockets, its pace, and where it reports to. A part is a thread
of the process of its group; only the words in Shared concern more than one process."""
import array
import math
import mmap
import os
import random
import struct
import time
import traceback

import zmq

STEP_S = 0.05  # how long a wait lasts before it looks whether the cell is over
LINGER_MS = 1000


class Stop(Exception):
    """The cell is over. Ends a part; a part that has something to settle may catch it."""


class Shared:
    """One page that all processes of a cell map: whether the cell is over, and when the load starts. `descriptor`: of one that is there already."""

    def __init__(self, descriptor=None):
        self.descriptor = os.memfd_create("zoo") if descriptor is None else descriptor
        if descriptor is None:
            os.truncate(self.descriptor, mmap.PAGESIZE)
        self.page = mmap.mmap(self.descriptor, mmap.PAGESIZE)

    def close(self):
        os.close(self.descriptor)

    @property
    def over(self):
        return self.page[0] != 0

    def stop(self):
        self.page[0] = 1

    @property
    def start(self):
        return struct.unpack_from("d", self.page, 8)[0]

    @start.setter
    def start(self, when):
        struct.pack_into("d", self.page, 8, when)


class Report:
    """What parts have to say; plain data, so that it passes through a pipe."""

    def __init__(self):
        self.times, self.latencies = array.array("d"), array.array("d")
        self.broken, self.facts, self.counts, self.agreed = {}, {}, {}, {}

    def add(self, other):
        self.times.extend(other.times)
        self.latencies.extend(other.latencies)
        self.facts.update(other.facts)
        for name, values in other.agreed.items():
            self.agreed.setdefault(name, set()).update(values)
        for mine, more in ((self.broken, other.broken), (self.counts, other.counts)):
            for key, value in more.items():
                mine[key] = mine.get(key, 0) + value


class Part:
    def __init__(self, context, shared, role, index, count, plan, seed):
        self.context, self.shared, self.role, self.index, self.count, self.plan = context, shared, role, index, count, plan
        self.draw = random.Random(f"{seed} {role} {index}")
        self.report = Report()
        self.sockets, self.pollers = [], {}
        self.stalled = not plan.stall_s

    # ---- sockets ----

    def socket(self, kind, bind=None, connect=None, **options):
        """A socket; options are libzmq's in lower case: rcvhwm=1, identity=b"a"."""
        socket = self.context.socket(kind)
        socket.linger = LINGER_MS
        for name, value in options.items():
            setattr(socket, name, value)
        if bind:
            socket.bind(bind)
        if connect:
            socket.connect(connect)
        self.sockets.append(socket)
        return socket

    def drop(self, socket):
        """Closes a socket in the middle of the cell."""
        self.sockets.remove(socket)
        self.pollers = {key: poller for key, poller in self.pollers.items() if all(s is not socket for s, _ in key)}
        socket.close(linger=0)

    def poll(self, *sockets, timeout=None, flags=zmq.POLLIN):
        """The set of sockets that are ready; an empty one after `timeout` seconds. Raises Stop when the cell is over."""
        key = tuple((socket, flags) for socket in sockets)
        poller = self.pollers.get(key)
        if not poller:
            poller = self.pollers[key] = zmq.Poller()
            for socket in sockets:
                poller.register(socket, flags)
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self.check()
            left = STEP_S if end is None else min(STEP_S, max(0, end - time.monotonic()))
            ready = poller.poll(math.ceil(left * 1000))
            if ready or (end is not None and time.monotonic() >= end):
                return {socket for socket, _ in ready}

    def recv(self, socket, timeout=None):
        """The frames of the next message, or None after `timeout` seconds."""
        if not self.poll(socket, timeout=timeout):
            return None
        return socket.recv_multipart()

    def send(self, socket, *frames):
        """Waits where libzmq would, but not past the end of the cell."""
        while True:
            try:
                return socket.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                self.poll(socket, flags=zmq.POLLOUT)

    # ---- time ----

    @staticmethod
    def now():
        """Seconds, the same clock in every process: a time may travel in a message."""
        return time.monotonic()

    @property
    def end(self):
        return self.shared.start + self.plan.seconds

    def check(self):
        """Every wait comes by here: the end of the cell, and the stall of an application in the middle of the load."""
        if self.shared.over:
            raise Stop
        if not self.stalled and self.shared.start and time.monotonic() > self.shared.start + self.plan.seconds / 2:
            self.stalled = True
            time.sleep(self.plan.stall_s)

    def work(self, seconds):
        """What a message costs: the part works, and does nothing else meanwhile."""
        time.sleep(seconds)
        self.check()

    def wait_until(self, when, meanwhile=time.sleep):
        """`meanwhile(seconds)` is called again and again: it may take a message that comes within that time."""
        while (left := when - time.monotonic()) > 0:
            meanwhile(min(left, STEP_S))
            self.check()

    def wait_start(self):
        while not self.shared.start:
            time.sleep(0.005)
            self.check()
        self.wait_until(self.shared.start)

    def running(self):
        """Whether the time of the load is not over."""
        self.check()
        return time.monotonic() < self.end

    def ops(self, meanwhile=time.sleep):
        """The times at which this client's operations are due, until the end of the load: paced by the capacity that the protocol has stated for
        its clients, or, at full load, now. An operation that is late is due when it was due. `meanwhile`: see wait_until."""
        self.wait_start()
        period = self.plan.period_s
        due = self.shared.start + self.draw.random() * period
        while True:
            if period:
                if due >= self.end:
                    return
                self.wait_until(due, meanwhile)
                yield due
                due += period * self.draw.uniform(0.5, 1.5)
            else:
                if not self.running():
                    return
                yield time.monotonic()

    # ---- what came of it ----

    def done(self, since, operations=1):
        """One operation, due or sent at `since`, is complete."""
        now = time.monotonic()
        for _ in range(operations):
            self.report.times.append(now)
            self.report.latencies.append(now - since)

    def must(self, holds, what):
        """What the protocol promises; `what` says what went wrong, without numbers that differ each time."""
        if not holds:
            self.report.broken[what] = self.report.broken.get(what, 0) + 1
        return holds

    def fact(self, name, value):
        """A result that must be the same bare and behind Weir, such as a digest."""
        self.report.facts[name] = value

    def agree(self, name, value):
        """Something that all parts of a cell must find the same, such as the state in the end."""
        self.report.agreed.setdefault(name, set()).add(value)

    def tally(self, name, value=1):
        """A number worth printing: retries, snapshots."""
        self.report.counts[name] = self.report.counts.get(name, 0) + value

    # ---- the life of a part ----

    def run(self, function, args):
        try:
            function(self, *args)
        except Stop:
            pass
        except Exception:  # pylint: disable=broad-except
            self.must(False, f"{self.role} failed: " + traceback.format_exc(limit=-3).strip())
        finally:
            for socket in self.sockets:
                socket.close(linger=0 if self.shared.over else None)

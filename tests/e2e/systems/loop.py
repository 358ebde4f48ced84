# SPDX-License-Identifier: MPL-2.0
"""Sockets and timers of a whole system on one thread, so that dozens of clients and workers that mostly sleep cost next to nothing."""
import ctypes
import heapq
import itertools
import os
import time

import zmq

_libc = ctypes.CDLL(None, use_errno=True)
_NONBLOCK = 0o4000
AT_ONCE = 200  # messages of one socket before others and the timers have their turn


class _Timespec(ctypes.Structure):
    _fields_ = [("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long), ("s", ctypes.c_long), ("ns", ctypes.c_long)]


class Loop:
    """on(socket, handler): handler(frames) for each message; after(seconds, call): once. Timers are as exact as the kernel's: poll()
    itself knows milliseconds only, and two of them are what some work takes."""

    def __init__(self):
        self.poller = zmq.Poller()
        self.handlers = {}
        self.timers = []
        self.order = itertools.count()
        self.running = True
        self.at_once = AT_ONCE
        self.armed = 0
        self.timer_fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK)
        self.poller.register(self.timer_fd, zmq.POLLIN)

    def on(self, socket, handler):
        if socket not in self.handlers:
            self.poller.register(socket, zmq.POLLIN)
        self.handlers[socket] = handler

    def off(self, socket):
        """Nothing more is taken from it."""
        if self.handlers.pop(socket, None):
            self.poller.unregister(socket)

    def after(self, seconds, call, *args):
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), call, args))

    def on_line(self, handler):
        """Lines of stdin."""
        self.handlers[0] = handler
        self.poller.register(0, zmq.POLLIN)

    def stop(self):
        self.running = False

    def _arm(self):
        at_ns = int(self.timers[0][0] * 1e9) + 1 if self.timers else 0
        if at_ns != self.armed:
            spec = _Timespec(0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000)
            _libc.timerfd_settime(self.timer_fd, 1, ctypes.byref(spec), None)
            self.armed = at_ns

    def _call_due(self):
        while self.timers and self.timers[0][0] <= time.monotonic():
            _, _, call, args = heapq.heappop(self.timers)
            call(*args)

    def _take(self, socket):
        for _ in range(self.at_once):
            handler = self.handlers.get(socket)
            if not handler or socket.closed:
                return
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.ZMQError as e:
                if e.errno not in (zmq.EAGAIN, zmq.EFSM):  # a REQ that has its answer, too, has nothing more
                    raise
                return
            handler(frames)

    def run(self):
        while self.running:
            self._arm()
            for ready, _ in self.poller.poll():
                if ready == self.timer_fd:
                    os.read(self.timer_fd, 8)
                    self.armed = 0
                elif ready == 0:
                    self.handlers[0](os.read(0, 4096))
                else:
                    self._take(ready)
            self._call_due()

# SPDX-License-Identifier: MPL-2.0
"""pyzmq peers inside the test process: clients and applications in contexts of their own, with limits against hanging, monitors and ZAP."""
import threading

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import parse_monitor_message

from .net import PATIENCE

EVENT_NAMES = {value: name.removeprefix("EVENT_") for name, value in vars(zmq).items()
               if name.startswith("EVENT_") and not name.startswith("EVENT_ALL")}


class Peers:
    """Two contexts, because ZAP belongs to a context and only the application has it."""

    def __init__(self):
        self.client_ctx = zmq.Context()
        self.app_ctx = zmq.Context()
        for ctx in (self.client_ctx, self.app_ctx):
            ctx.max_sockets = 16384
        self.monitors = []
        self.authenticators = []

    def _socket(self, ctx, kind, options):
        s = ctx.socket(kind)
        settings = {"LINGER": 0, "RCVTIMEO": int(PATIENCE * 1000), "SNDTIMEO": int(PATIENCE * 1000), "IPV6": 1, **options}
        for name, value in settings.items():
            s.setsockopt(getattr(zmq, name), value)
        return s

    def client(self, kind, endpoint=None, **options):
        """A connecting socket: client(zmq.DEALER, weir.endpoint, ROUTING_ID=b'me', SUBSCRIBE=b'')."""
        s = self._socket(self.client_ctx, kind, options)
        if endpoint:
            s.connect(endpoint)
        return s

    def app(self, kind, endpoint=None, **options):
        """A binding socket; its real endpoint is s.last_endpoint.decode()."""
        s = self._socket(self.app_ctx, kind, options)
        if endpoint:
            s.bind(endpoint)
        return s

    def zap(self):
        """A real ZAP handler thread in the application's context; configure it with configure_plain(), configure_curve()."""
        auth = ThreadAuthenticator(self.app_ctx)
        auth.start()
        self.authenticators.append(auth)
        return auth

    def monitor(self, socket):
        m = Monitor(socket)
        self.monitors.append(m)
        return m

    def close(self):
        for m in self.monitors:
            m.stop()
        for auth in self.authenticators:
            auth.stop()
        for ctx in (self.client_ctx, self.app_ctx):
            ctx.destroy(linger=0)


class Monitor:
    """Reads a socket's events on a thread (an unread monitor would hang libzmq's I/O thread)."""

    def __init__(self, socket):
        self.socket = socket
        self.events = []
        self._more = threading.Condition()
        self._end = threading.Event()
        self._reader = socket.get_monitor_socket()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._end.is_set():
            if not self._reader.poll(50):
                continue
            event = parse_monitor_message(self._reader.recv_multipart())
            with self._more:
                self.events.append(EVENT_NAMES.get(event["event"], str(event["event"])))
                self._more.notify_all()

    def count(self, name):
        with self._more:
            return self.events.count(name)

    def wait(self, name, count=1, limit=PATIENCE):
        with self._more:
            if not self._more.wait_for(lambda: self.events.count(name) >= count, timeout=limit):
                raise AssertionError(f"no {count} x {name} within {limit:.0f} s; {len(self.events)} events, first and last: "
                                     f"{self.events[:12]} {self.events[-12:]}")

    def stop(self):
        if self._end.is_set():
            return
        self._end.set()
        self._thread.join()
        if not self.socket.closed:
            self.socket.disable_monitor()
        if not self._reader.closed:
            self._reader.close(linger=0)

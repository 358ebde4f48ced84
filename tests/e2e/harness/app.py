# SPDX-License-Identifier: MPL-2.0
"""Ordinary libzmq applications as processes of their own, with library defaults: what Weir protects.

Run as a script: app.py KIND '{"bind": ..., "options": {...}}'. It prints "ready ENDPOINT" and answers each line on stdin with one JSON line:
"stats" -> {"messages": n, "bytes": n, "digest": hex of everything received in order}; "quit" ends it; pub also takes
"publish TOPIC COUNT SIZE", push "push COUNT SIZE".

Kinds: rep, router (echo), slow-rep (option "work_ms" of sleep per request), router-sink (never answers), polls (a
ROUTER that answers "poll" after "poll_ms" and anything else after "work_ms" of work), dealer, pair (echo), pull (counts),
slow-pull (the same with "work_ms"), stuck-pull (never receives), sub, xsub (count), pub, xpub, push.
"""
import collections
import hashlib
import json
import os
import sys
import time

if __name__ != "__main__":
    from .net import PATIENCE
    from .proc import Child

TYPES = {"rep": "REP", "slow-rep": "REP", "router": "ROUTER", "dealer": "DEALER", "pair": "PAIR", "pull": "PULL", "stuck-pull": "PULL",
         "slow-pull": "PULL", "router-sink": "ROUTER", "polls": "ROUTER",
         "sub": "SUB", "xsub": "XSUB", "pub": "PUB", "xpub": "XPUB", "push": "PUSH"}
ECHO = {"rep", "slow-rep", "router", "dealer", "pair"}


def make_app(folder, kind, bind, nofile=1024, options=None, zap=None, **spec):
    """Starts an application and waits until it is bound. options: {"RCVHWM": 10, "CURVE_SERVER": 1, "CURVE_SECRETKEY": "z85..."};
    zap: {"plain": {user: password}} or {"curve": [z85 public keys]}, with {"allow": [addresses]} or {"deny": [addresses]}; nofile: its descriptor limit (libzmq's habitual 1024)."""
    spec.update(bind=bind, options=options or {}, zap=zap or {})
    app = App([sys.executable, __file__, kind, json.dumps(spec)], folder, f"app-{kind}", nofile=nofile, stdin=True)
    app.endpoint = app.wait_line(lambda line: line.startswith("ready "))[0].split()[1]
    return app


if __name__ != "__main__":
    class App(Child):
        endpoint = None

        def ask(self, command, limit=PATIENCE):
            """Sends a command line, returns its JSON answer."""
            seen = len(self.lines)
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            return json.loads(self.wait_line(lambda line: line.startswith("{"), limit=limit, start=seen)[0])

        def stats(self):
            return self.ask("stats")


class Application:
    def __init__(self, kind, spec):
        import zmq
        self.zmq, self.kind, self.spec = zmq, kind, spec
        self.ctx = zmq.Context()
        self.ctx.max_sockets = 4096
        self.messages = self.bytes = 0
        self.kept = collections.deque()
        self.digest = hashlib.sha256()
        self._authenticate(spec["zap"])
        self.socket = self.ctx.socket(getattr(zmq, TYPES[kind]))
        self.socket.linger = 0
        for name, values in spec["options"].items():
            for value in values if isinstance(values, list) else [values]:
                self.socket.setsockopt(getattr(zmq, name), value.encode() if isinstance(value, str) else value)
        if kind == "sub":
            self.socket.subscribe(b"")
        if kind == "xsub":
            self.socket.send(b"\x01")
        self.socket.bind(spec["bind"])

    def _authenticate(self, zap):
        if not zap:
            return
        from zmq.auth.thread import ThreadAuthenticator
        self.auth = ThreadAuthenticator(self.ctx)
        self.auth.start()
        if "allow" in zap:
            self.auth.allow(*zap["allow"])
        if "deny" in zap:
            self.auth.deny(*zap["deny"])
        if "plain" in zap:
            self.auth.configure_plain(domain="*", passwords=zap["plain"])
        if "curve" in zap:
            allowed = {key.encode() for key in zap["curve"]}

            class Keys:
                def callback(self, domain, key):
                    return key in allowed

            self.auth.configure_curve_callback(domain="*", credentials_provider=Keys())

    def run(self):
        zmq = self.zmq
        print("ready", self.socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode(), flush=True)
        poller = zmq.Poller()
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        if self.kind not in ("stuck-pull", "pub", "push"):
            poller.register(self.socket, zmq.POLLIN)
        while True:
            for ready, _ in poller.poll(self._until_next()):
                if ready is self.socket:
                    self._receive()
                elif not self._command(self._line()):
                    return
            self._answer_kept()

    def _until_next(self):
        return max(0, (self.kept[0][0] - time.monotonic()) * 1000) if self.kept else None

    def _answer_kept(self):
        while self.kept and self.kept[0][0] <= time.monotonic():
            self.socket.send_multipart(self.kept.popleft()[1])

    def _line(self):
        """One line from stdin, unbuffered, so that poll() and the reader never disagree."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(sys.stdin.fileno(), 1)
            if not byte:
                return b"quit"
            line += byte
        return line

    def _receive(self):
        """Takes some messages at a time, so that commands are heard during a flood."""
        zmq = self.zmq
        slow = self.kind.startswith("slow-")
        for _ in range(10 if slow else 1000):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            body = frames[1:] if self.kind == "router" else frames
            self.messages += 1
            for frame in body:
                self.bytes += len(frame)
                self.digest.update(frame)
            if self.kind == "polls":
                self._keep_or_answer(frames)
            if slow:
                time.sleep(self.spec.get("work_ms", 5) / 1000)
            if self.kind in ECHO:
                self.socket.send_multipart(frames)

    def _keep_or_answer(self, frames):
        if frames[-1] == b"poll":
            self.kept.append((time.monotonic() + self.spec["poll_ms"] / 1000, frames))
            return
        time.sleep(self.spec.get("work_ms", 0) / 1000)
        self.socket.send_multipart(frames)

    def _command(self, line):
        words = line.decode().split()
        if not words or words[0] == "quit":
            return False
        answer = {"messages": self.messages, "bytes": self.bytes, "digest": self.digest.hexdigest()}
        if words[0] == "publish":
            topic, count, size = words[1].encode(), int(words[2]), int(words[3])
            for i in range(count):
                self.socket.send_multipart([topic, b"%d" % i, bytes(size)])
        if words[0] == "push":
            count, size = int(words[1]), int(words[2])
            for i in range(count):
                self.socket.send_multipart([b"%d" % i, bytes(size)])
        print(json.dumps(answer), flush=True)
        return True


if __name__ == "__main__":
    Application(sys.argv[1], json.loads(sys.argv[2])).run()

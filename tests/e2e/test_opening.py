# SPDX-License-Identifier: MPL-2.0
"""From a client's first byte to its first message: what Weir learns of an application, and what happens when that changes."""
import threading
import time

import zmq
from harness import net


def gate(start_weir, forward, **keys):
    return start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, **keys}]})


# ---- what comes behind READY ----

class PausedAuthenticator:
    """A ZAP handler that lets everybody in, and holds Weir up from before the answer until `resume` is set: READY and whatever the
    application says behind it are there together when Weir reads on."""

    def __init__(self, ctx, weir):
        self.resume = threading.Event()
        self.weir = weir
        self.socket = ctx.socket(zmq.REP)
        self.socket.bind("inproc://zeromq.zap.01")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self.socket:
            request = self.socket.recv_multipart()
            self.weir.suspend()
            self.socket.send_multipart([request[0], request[1], b"200", b"OK", b"user", b""])
            self.resume.wait(net.PATIENCE)
            self.weir.resume()


def test_a_backlog_that_comes_with_ready(start_weir, peers, paths):
    """Large messages of an application that had them ready: none is lost, and the application has done nothing wrong. With CURVE, since
    its READY needs no word of the client's after the authenticator's answer."""
    forward = paths.ipc()
    (server_key, server_secret), (key, secret) = zmq.curve_keypair(), zmq.curve_keypair()
    weir = gate(start_weir, forward)
    zap = PausedAuthenticator(peers.app_ctx, weir)
    app = peers.app(zmq.PUSH, forward, CURVE_SERVER=1, CURVE_SECRETKEY=server_secret)
    client = peers.client(zmq.PULL, weir.endpoint, CURVE_SERVERKEY=server_key, CURVE_PUBLICKEY=key, CURVE_SECRETKEY=secret)
    wanted = [b"%d" % i + bytes(200_000) for i in range(20)]
    for message in wanted:
        app.send(message)
    time.sleep(0.2)  # libzmq's thread fills the socket meanwhile
    zap.resume.set()
    assert [client.recv() for _ in wanted] == wanted
    assert weir.metric("weir_verdicts_total", verdict="application_protocol") == 0
    assert weir.metric("weir_connections_closed_total") == 0


# ---- an application that comes back as another ----

def test_an_application_comes_back_as_another_socket_type(start_weir, start_app, peers, paths):
    """Restart it as you like: its new clients are served, and nobody is punished for not fitting what was there before."""
    forward = paths.ipc()
    weir = gate(start_weir, forward)
    for kind, client_kind in (("router", zmq.DEALER), ("pub", zmq.SUB), ("rep", zmq.REQ), ("pull", zmq.PUSH), ("router", zmq.DEALER)):
        app = start_app(kind, forward)
        options = {"SUBSCRIBE": b"news"} if kind == "pub" else {}
        clients = [peers.client(client_kind, weir.endpoint, RECONNECT_IVL=50, **options) for _ in range(3)]
        for client in clients:
            if kind == "pub":
                net.wait_until(lambda c=client: app.ask("publish news 1 10") and c.poll(50), "what is published")
                continue
            client.send(b"hello")
            assert kind == "pull" or client.recv() == b"hello"
        if kind == "pull":
            net.wait_until(lambda a=app: a.stats()["messages"] == 3, "all that was pushed")
        for client in clients:
            client.close()
        app.kill()
    assert weir.metric("weir_verdicts_total", verdict="banned") == 0

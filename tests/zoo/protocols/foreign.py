# SPDX-License-Identifier: MPL-2.0
"""Peers of other implementations: libzmq from C, zeromq.js with a libzmq of its own, and JeroMQ 0.3.6, which speaks ZMTP 2.0. They are installed by
scripts/deps.sh and scripts/interop-deps.sh."""
import os
import shutil
from pathlib import Path

import zmq

from zoo.loop import Asker, Protocol, drawn, row, sent_at

ROOT = Path(__file__).resolve().parents[3]
FOREIGN = Path(__file__).resolve().parents[1] / "foreign"
INSTALLED = Path(os.environ.get("WEIR_INTEROP", ROOT / "build-interop"))
JEROMQ = Path(os.environ.get("WEIR_JEROMQ", "/usr/share/java/jeromq.jar"))
PEER_C = ROOT / os.environ.get("BUILD", "build") / "tests/zoo/foreign/zoo_peer"


class Mixed(Protocol):
    """Base: one side or both are a program. program_side() says which command each is; None is the side written here."""
    loads = {"low": {"clients": 2, "think_ms": 50.0}, "normal": {"clients": 12, "think_ms": 50.0}, "full": {"clients": 40, "think_ms": 50.0}}
    environment = {}
    settle_s = 1.5

    def application_command(self, at):
        return None

    def client_command(self, at, load):
        return None

    def build(self, cell):
        load = drawn(cell, self.loads[cell.load])
        here = {gate: cell.bind(gate) for gate in self.gates}
        there = {gate: cell.connect(gate) for gate in self.gates}
        application, clients = self.application_command(here), self.client_command(there, load)
        if application:
            cell.program(application, "application", env=self.environment)
        else:
            cell.application(self.run_application, load, here)
        if clients:
            cell.program(clients, "clients", env=self.environment)
        else:
            cell.clients(self.run_peers, load, there)

    def application(self, side):
        socket = side.socket(zmq.ROUTER, bind="main")
        side.loop.on(socket, socket.send_multipart)
        side.loop.run()

    def peers(self, side):
        Asker(side, zmq.REQ, side.load["clients"], think_s=side.load["think_ms"] / 1000).run()


class WithC(Mixed):
    """Base: zoo_peer in C."""
    settle_s = 0.5

    def needs(self):
        return None if PEER_C.exists() else f"{PEER_C} is not built (-Dbench=true)"

    def pool(self, at):
        return [PEER_C, "pool", at["main"], 8, 20000]

    def ask(self, at, load):
        return [PEER_C, "ask", at["main"], load["clients"], round(load["think_ms"] * 1000)]


@row
class ThreadPoolInC(WithC):
    """C on both sides: a ROUTER before eight REP threads, joined by zmq_proxy, and REQ clients."""

    def application_command(self, at):
        return self.pool(at)

    def client_command(self, at, load):
        return self.ask(at, load)


class WithNode(Mixed):
    """Base: foreign/peer.js."""
    environment = {"NODE_PATH": str(INSTALLED / "node" / "node_modules")}

    def needs(self):
        if shutil.which("node") and (INSTALLED / "node" / "node_modules" / "zeromq").exists():
            return None
        return "node or its package zeromq is missing: scripts/interop-deps.sh"

    def node(self, *words):
        return ["node", FOREIGN / "peer.js", *words]


@row
class NodeClients(WithNode):
    """zeromq.js: Dealers that ask a ROUTER of libzmq."""
    def client_command(self, at, load):
        return self.node("dealer", at["main"], load["clients"], round(load["think_ms"]))


@row
class NodeApplication(WithNode):
    """zeromq.js: a Reply that echoes, behind REQ clients of libzmq."""
    def application_command(self, at):
        return self.node("reply", at["main"])


@row
class NodeRouterCClients(WithNode):
    """zeromq.js: a Router that echoes; REQ clients in C."""
    def needs(self):
        return super().needs() or WithC.needs(self)

    def application_command(self, at):
        return self.node("router", at["main"])

    def client_command(self, at, load):
        return WithC.ask(self, at, load)


@row
class NodePubSub(WithNode):
    """zeromq.js: a Publisher of 400 messages/s, and its Subscribers."""
    loads = {"low": {"clients": 1, "think_ms": 0.0}, "normal": {"clients": 2, "think_ms": 0.0}, "full": {"clients": 4, "think_ms": 0.0}}

    def application_command(self, at):
        return self.node("publish", at["main"])

    def client_command(self, at, load):
        return self.node("sub", at["main"], load["clients"], round(load["think_ms"]))


class WithJava(Mixed):
    """Base: foreign/ZooPeer.java."""
    loads = {"low": {"clients": 2, "think_ms": 50.0}, "normal": {"clients": 8, "think_ms": 50.0}, "full": {"clients": 25, "think_ms": 50.0}}
    settle_s = 2.0

    def needs(self):
        if shutil.which("java") and JEROMQ.exists() and (INSTALLED / "java" / "ZooPeer.class").exists():
            return None
        return "java, libjeromq-java or the compiled peer is missing: scripts/interop-deps.sh"

    def java(self, *words):
        return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{INSTALLED / 'java'}:{JEROMQ}", "ZooPeer",
                *words]


@row
class JeromqClients(WithJava):
    """JeroMQ 0.3.6: DEALERs that ask a ROUTER of libzmq, in ZMTP 2.0."""
    def client_command(self, at, load):
        return self.java("dealer", at["main"], load["clients"], round(load["think_ms"]))


@row
class JeromqApplication(WithJava):
    """JeroMQ 0.3.6: a ROUTER that echoes, behind REQ clients of libzmq."""
    def application_command(self, at):
        return self.java("router", at["main"])


@row
class JeromqPush(WithJava):
    """JeroMQ 0.3.6: producers that push to a PULL of libzmq."""
    def client_command(self, at, load):
        return self.java("push", at["main"], load["clients"], round(load["think_ms"]))

    def application(self, side):
        socket = side.socket(zmq.PULL, bind="main")
        side.loop.on(socket, lambda frames: side.done(sent_at(frames[0])))
        side.loop.run()

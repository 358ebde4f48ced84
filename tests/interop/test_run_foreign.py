# SPDX-License-Identifier: MPL-2.0
"""`weir run` over programs whose libzmq is no library of the system: linked into a module (the npm package zeromq), or no libzmq at all (JeroMQ)."""
import json
import shutil

import zmq
from foreign import HERE, INSTALLED, JEROMQ, need
from harness import net
from harness.weir import READY, program
from messages import messages


def echoes(peers, endpoint):
    req = peers.client(zmq.REQ, endpoint)
    for wanted in messages():
        req.send_multipart(wanted)
        assert req.recv_multipart() == wanted


def gates(app):
    return [READY.match(line).group(1) for line in app.stderr().splitlines() if READY.match(line)]


def unmarked(app):
    """How often it was said that --hwm has no effect."""
    return app.stderr().count("--hwm has no effect")


def test_node(start_peer, peers):
    """The module is found to contain libzmq, though it exports nothing of it."""
    need("node", shutil.which("node"))
    need("the npm package zeromq", INSTALLED / "node" / "node_modules" / "zeromq")
    endpoint = net.tcp()
    app = start_peer("node", [*program(), "run", "--hwm", "50", "--", "node", HERE / "node" / "peer.js", json.dumps({"kind": "reply", "bind": endpoint, "options": {}})],
                     {"NODE_PATH": str(INSTALLED / "node" / "node_modules")})
    assert app.wait_line(lambda line: line.startswith("ready "))[0].split()[1] == endpoint
    echoes(peers, endpoint)
    assert gates(app) == [endpoint] and unmarked(app) == 0


def test_jeromq(start_peer, peers):
    """Java's sockets, by --port. The address is that of a dual-stack socket."""
    need("java", shutil.which("java"))
    need("libjeromq-java", JEROMQ)
    need("the compiled tests/interop/java", INSTALLED / "java" / "Peer.class")
    endpoint = net.tcp()
    port = net.split_tcp(endpoint)[1]
    app = start_peer("java", [*program(), "run", "--port", str(port), "--hwm", "50", "--", "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m",
                              "-cp", f"{INSTALLED / 'java'}:{JEROMQ}", "Peer", "bind", "rep", endpoint])
    app.wait_line(lambda line: line == "ready")
    echoes(peers, endpoint)
    assert [net.split_tcp(gate)[1] for gate in gates(app)] == [port] and unmarked(app) == 1

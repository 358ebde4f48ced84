# SPDX-License-Identifier: MPL-2.0
"""Fixtures that run peers written for other implementations, and the application's side of what they do."""
import json
import os
import shutil
from pathlib import Path

import pytest
import zmq
from harness.proc import Child
from harness.weir import ROOT
from messages import messages

HERE = Path(__file__).resolve().parent
INSTALLED = Path(os.environ.get("WEIR_INTEROP", ROOT / "build-interop"))
JEROMQ = Path(os.environ.get("WEIR_JEROMQ", "/usr/share/java/jeromq.jar"))
APP_TYPES = {"req": zmq.REP, "dealer": zmq.DEALER, "push": zmq.PULL, "sub": zmq.XPUB, "pair": zmq.PAIR}


def jeromq_version():
    """(0, 3, 6), or () where there is none: Debian's jar has its version in the name of a link, or in its own."""
    found = [path.stem.removeprefix("jeromq-") for path in JEROMQ.parent.glob("jeromq-*.jar")]
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def need(what, where):
    """Without a tool these tests are skipped at home and fail in CI."""
    if where and (not isinstance(where, Path) or where.exists()):
        return
    reason = f"{what} is missing: run scripts/interop-deps.sh"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def start_peer(request, paths, start_weir):
    """start_peer(command, env) -> a child whose output is shown when the test fails, killed at the end."""
    mine = []

    def start(name, command, env=None):
        child = Child(command, paths.folder, name, env=env, stdin=True)
        mine.append(child)
        request.node.weir_children.append(child)
        return child

    yield start
    for child in mine:
        child.kill()


@pytest.fixture
def node(start_peer):
    """node(kind, connect=..., options={...}): a peer on the npm package zeromq 6."""
    need("node", shutil.which("node"))
    need("the npm package zeromq", INSTALLED / "node" / "node_modules" / "zeromq")

    def start(kind, options=None, **spec):
        spec.update(kind=kind, options=options or {})
        return start_peer(f"node-{kind}", ["node", HERE / "node" / "peer.js", json.dumps(spec)],
                          {"NODE_PATH": str(INSTALLED / "node" / "node_modules")})

    return start


@pytest.fixture
def java(start_peer):
    """java(kind, endpoint[, identity]): a client on Debian's JeroMQ 0.3.6, which speaks ZMTP 2.0 and has no security."""
    need("java", shutil.which("java"))
    need("libjeromq-java", JEROMQ)
    need("the compiled tests/interop/java", INSTALLED / "java" / "Peer.class")

    def start(kind, *args):
        return start_peer(f"java-{kind}", ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp",
                                           f"{INSTALLED / 'java'}:{JEROMQ}", "Peer", kind, *args])

    return start


def serve(kind, app, child):
    """The application's half of what peer `kind` does; both sides compare every byte."""
    if kind == "sub":
        assert app.recv() == b"\x01news"
    for m, wanted in enumerate(messages()):
        if kind == "sub":
            app.send_multipart([b"other", b"not for you"])
            app.send_multipart([b"news", *wanted])
            continue
        assert app.recv_multipart() == wanted, f"message {m}"
        if kind != "push":
            app.send_multipart(wanted)
    child.wait_line(lambda line: line == "done")
    child.process.stdin.write("\n")
    child.process.stdin.flush()
    assert child.wait() == 0, child.describe("failed")

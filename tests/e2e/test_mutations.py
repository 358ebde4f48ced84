# SPDX-License-Identifier: MPL-2.0
"""Mutations of valid streams, through a running Weir, to real applications: Weir lives, gives back what it held, and the application answers.

WEIR_MUTATION_MIB: how much is sent to each application (default 8). WEIR_MUTATION_SEED repeats a run; the seed is printed."""
import os
import random
import time

import pytest
from attacks.scene import *
from harness import zmtp
from harness.net import raw_connect

MEBIBYTES = float(os.environ.get("WEIR_MUTATION_MIB", "8"))
TOGETHER = 16  # connections at once


# ---- valid streams ----

def small_messages(rng):
    return b"".join(zmtp.message(b"", rng.randbytes(rng.randrange(300))) for _ in range(rng.randrange(1, 400)))


def multipart(rng):
    return b"".join(zmtp.message(*(rng.randbytes(rng.choice((0, 1, 20, 255, 256, 1000))) for _ in range(rng.randrange(1, 50)))) for _ in range(10))


def large_message(rng):
    return zmtp.message(b"", rng.randbytes(rng.randrange(60000, 300000)), b"end")


def commands(rng):
    kinds = [zmtp.command("PING", b"\0\x0a" + rng.randbytes(rng.randrange(17))), zmtp.command("PONG", rng.randbytes(rng.randrange(17))), zmtp.message(b"", b"x")]
    return b"".join(rng.choice(kinds) for _ in range(100))


def subscriptions(rng):
    """As a subscriber sends them; to other applications they are out of place."""
    kinds = ["SUBSCRIBE", "CANCEL"]
    as_commands = b"".join(zmtp.command(rng.choice(kinds), rng.randbytes(rng.randrange(20))) for _ in range(50))
    return as_commands + b"".join(zmtp.message(bytes([rng.randrange(2)]) + rng.randbytes(rng.randrange(20))) for _ in range(50))


STREAMS = [small_messages, multipart, large_message, commands, subscriptions]


# ---- mutations ----

def flip_bits(rng, data):
    for _ in range(rng.randrange(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def edge_bytes(rng, data):
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7f, 0x80, 0xff))


def cut_out(rng, data):
    at = rng.randrange(len(data))
    del data[at:at + rng.randrange(1, 300)]


def repeat(rng, data):
    at = rng.randrange(len(data))
    data[at:at] = data[at:at + rng.randrange(1, 300)]


def insert_noise(rng, data):
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.randrange(1, 40))


def insert_header(rng, data):
    """A frame header that announces something between nothing and everything."""
    at = rng.randrange(len(data))
    data[at:at] = zmtp.frame_header(rng.choice((0, 1, 255, 256, 1 << 16, 1 << 25, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63)), rng.randrange(8), rng.choice((True, None)))


def truncate(rng, data):
    del data[rng.randrange(1, len(data) + 1):]


MUTATIONS = [flip_bits, edge_bytes, cut_out, repeat, insert_noise, insert_header, truncate]


def mutate(rng, stream):
    data = bytearray(stream)
    for _ in range(rng.randrange(1, 4)):
        if data:
            rng.choice(MUTATIONS)(rng, data)
    return bytes(data)


# ---- one mutated connection ----

class Mutant:
    """A connection that behaves until its point of mutation: in the greeting, in READY, or in the traffic after it."""

    def __init__(self, endpoint, socket_type, rng):
        self.socket = raw_connect(endpoint, source=f"127.66.1.{rng.randrange(1, 200)}")
        self.data, self.ends_rudely = b"", rng.random() < 0.3
        peer = zmtp.RawPeer(self.socket, socket_type=socket_type, minor=rng.randrange(2))
        where = rng.random()
        try:
            if where < 0.1:
                self.data = mutate(rng, zmtp.greeting(minor=peer.minor))
                return
            if where < 0.3:
                peer.exchange_greetings()
                self.data = mutate(rng, zmtp.command("READY", zmtp.properties(*peer.metadata, ("Resource", rng.randbytes(20)))))
                return
            peer.handshake()
            self.data = mutate(rng, rng.choice(STREAMS)(rng))
        except (zmtp.Closed, OSError):
            pass
        finally:
            self.socket.setblocking(False)
            self.ended = time.monotonic() + 2

    def step(self):
        """Sends and reads what goes without waiting. False when this connection has come to its end."""
        try:
            if self.socket.recv(1 << 18) == b"":
                return False
        except BlockingIOError:
            pass
        except OSError:
            return False
        try:
            self.data = self.data[self.socket.send(self.data[:65536]):] if self.data else b""
        except BlockingIOError:
            pass
        except OSError:
            return False
        return bool(self.data) and time.monotonic() < self.ended

    def close(self):
        if self.ends_rudely:
            zmtp.RawPeer(self.socket).reset()
        self.socket.close()


def flood_of_mutants(endpoint, socket_type, rng, size):
    """At least `size` bytes of mutated streams; returns the number of connections."""
    sent, count, mutants = 0, 0, []
    while sent < size or mutants:
        while sent < size and len(mutants) < TOGETHER:
            mutants.append(Mutant(endpoint, socket_type, rng))
            sent += len(mutants[-1].data) + 64
            count += 1
        for mutant in [m for m in mutants if not m.step()]:
            mutant.close()
            mutants.remove(mutant)
        time.sleep(0.0005)
    return count


APPLICATIONS = [("pull", "PUSH"), ("router", "DEALER"), ("sub", "PUB"), ("xpub", "XSUB")]


@pytest.mark.parametrize("kind,peer", APPLICATIONS)
def test_mutations(gate, kind, peer):
    seed = int(os.environ.get("WEIR_MUTATION_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"WEIR_MUTATION_SEED={seed} WEIR_MUTATION_MIB={MEBIBYTES}")
    config = {"source": {"connections": {"rate": "100000/s"}}, "message": {"complete_within": "1s", "min_rate": "16MiB"}, "handshake": {"within": "1s"}}
    g = gate(kind, config=config)
    with g.survives():
        count = flood_of_mutants(g.endpoint, peer, random.Random(seed), int(MEBIBYTES * MIB))
        assert count > 20 and refusals(g.weir)
        for _ in range(20):
            g.customers.regular.exchange()
        g.customers.newcomer()
        g.weir.wait_metric("weir_connections", lambda n: n == 1)

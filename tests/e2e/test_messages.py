# SPDX-License-Identifier: MPL-2.0
"""What goes in comes out: sizes from nothing to 100 MiB, any number of frames, byte for byte and in order."""
import hashlib
import os
import random

import pytest
import zmq
from harness import net
from harness.security import MECHANISMS, secure

MIB = 1 << 20
BIG = {"size": "128MiB", "frame": "128MiB"}


def digest(frames):
    """Of the bytes and of where the frames end."""
    h = hashlib.blake2b()
    for f in frames:
        data = f.buffer if isinstance(f, zmq.Frame) else f
        h.update(len(data).to_bytes(8, "big"))
        h.update(data)
    return h.hexdigest()


def gate(start_weir, forward, **keys):
    return start_weir(config={"gates": [{"listen": "tcp://127.0.0.1:*", "forward": forward, **keys}]})


@pytest.fixture
def noise():
    seed = int(os.environ.get("WEIR_E2E_SEED", random.SystemRandom().getrandbits(32)))
    print(f"WEIR_E2E_SEED={seed}")
    rng = random.Random(seed)
    return rng, rng.randbytes(4 * MIB)


def random_frame(rng, block, largest):
    """Log-uniform sizes, with the edges of the wire format and of Weir's buffers in between."""
    if rng.random() < 0.3:
        size = rng.choice([0, 1, 2, 254, 255, 256, 257, 4095, 4096, 8191, 8192, 65524, 65526, 65527, 65535, 65536, 65537, 131072])
    else:
        size = int(2 ** rng.uniform(0, largest.bit_length() - 1)) - 1
    size = min(size, largest)
    at = rng.randrange(len(block) - size)
    return memoryview(block)[at:at + size]


def random_messages(rng, block, total, largest):
    left = total
    while left > 0:
        count = rng.choice([1, 1, 1, 2, 3, rng.randrange(1, 12), rng.randrange(1, 300)])
        frames = [random_frame(rng, block, largest if count < 12 else 2000) for _ in range(count)]
        left -= sum(map(len, frames)) + 1000
        yield frames


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_random_messages_both_ways(mechanism, kind, start_weir, peers, paths, noise):
    """A dealer sends batches and the application sends them back; both sides compare."""
    rng, block = noise
    forward = paths.ipc() if kind == "ipc" else net.tcp()
    app_security, client_security = secure(mechanism, peers)
    app = peers.app(zmq.DEALER, forward, **app_security)
    client = peers.client(zmq.DEALER, gate(start_weir, forward).endpoint, **client_security)
    messages = [frames for frames in random_messages(rng, block, 24 * MIB, MIB)]
    for start in range(0, len(messages), 500):
        batch = messages[start:start + 500]
        for frames in batch:
            client.send_multipart(frames)
        for i, frames in enumerate(batch):
            got = app.recv_multipart(copy=False)
            assert digest(got) == digest(frames), f"message {start + i} towards the application"
            app.send_multipart(got, copy=False)
        for i, frames in enumerate(batch):
            assert digest(client.recv_multipart(copy=False)) == digest(frames), f"message {start + i} towards the client"


# After the handshake PLAIN is NULL, and to CURVE every frame is a message of its own.
@pytest.mark.parametrize("mechanism, shape", [
    ("NULL", [100 * MIB]), ("NULL", [MIB] * 100), ("NULL", [100 * 1024] * 1000), ("NULL", [0, 50 * MIB, 0, 49 * MIB, 1]), ("PLAIN", [100 * MIB]),
    ("CURVE", [100 * MIB]), ("CURVE", [MIB] * 100)],
    ids=["NULL-1x100MiB", "NULL-100x1MiB", "NULL-1000x100KiB", "NULL-mixed", "PLAIN-1x100MiB", "CURVE-1x100MiB", "CURVE-100x1MiB"])
def test_100_mib(mechanism, shape, start_weir, peers, paths, noise):
    rng, block = noise
    forward = paths.ipc()
    app_security, client_security = secure(mechanism, peers)
    app = peers.app(zmq.DEALER, forward, **app_security)
    weir = gate(start_weir, forward, message=BIG)
    client = peers.client(zmq.DEALER, weir.endpoint, **client_security)
    whole = block * 26
    frames = [memoryview(whole)[at:at + size] for size in shape for at in [rng.randrange(4 * MIB)]]
    wanted = digest(frames)
    client.send_multipart(frames, copy=False)
    client.send(b"after")
    got = app.recv_multipart(copy=False)
    assert digest(got) == wanted
    assert app.recv() == b"after"
    app.send_multipart(got, copy=False)
    app.send(b"after")
    del got
    assert digest(client.recv_multipart(copy=False)) == wanted
    assert client.recv() == b"after"
    assert weir.rss_bytes() < 256 * MIB, "a message of 100 MiB must stream, not be collected"


def test_default_limits_let_ordinary_messages_through(start_weir, peers, paths):
    """Just inside message.size, message.frame and message.frames."""
    forward = paths.ipc()
    app = peers.app(zmq.PULL, forward)
    client = peers.client(zmq.PUSH, start_weir(listen="tcp://127.0.0.1:*", forward=forward).endpoint)
    for frames in ([bytes(32 * MIB)], [b""] * 4096, [b"x" * 1000] * 4096, [bytes(MIB)] * 31):
        client.send_multipart(frames)
        assert app.recv_multipart() == frames


def test_messages_of_many_clients_stay_apart(start_weir, peers, paths, noise):
    """Large and small messages of 20 clients at once: each connection keeps its own order."""
    rng, block = noise
    forward = paths.ipc()
    router = peers.app(zmq.ROUTER, forward)
    weir = gate(start_weir, forward)
    clients = {b"c%d" % i: peers.client(zmq.DEALER, weir.endpoint, ROUTING_ID=b"c%d" % i) for i in range(20)}
    wanted = {name: [] for name in clients}
    for _ in range(40):
        for name, client in clients.items():
            frames = [random_frame(rng, block, 200000) for _ in range(rng.randrange(1, 4))]
            wanted[name].append(digest(frames))
            client.send_multipart(frames)
    got = {name: [] for name in clients}
    for _ in range(40 * len(clients)):
        name, *frames = router.recv_multipart(copy=False)
        got[name.bytes].append(digest(frames))
        router.send_multipart([name, *frames], copy=False)
    assert got == wanted
    for name, client in clients.items():
        assert [digest(client.recv_multipart(copy=False)) for _ in range(40)] == wanted[name]


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_large_messages_of_many_clients_at_once(mechanism, start_weir, peers, paths):
    """More than message.unfinished lets in at a time, from more clients than an application that answers nothing has places for (request_flow.h):
    who has a place but no room must not keep those waiting who have room but no place."""
    forward = paths.ipc()
    app_security, client_security = secure(mechanism, peers)
    app = peers.app(zmq.PULL, forward, **app_security)
    weir = gate(start_weir, forward)
    clients = [peers.client(zmq.PUSH, weir.endpoint, **client_security) for _ in range(16)]
    message = bytes(12 * MIB)
    for pusher in clients:
        for _ in range(2):
            pusher.send(message, copy=False)
    for _ in range(2 * len(clients)):
        assert len(app.recv()) == len(message)
    assert weir.metric("weir_verdicts_total", verdict="message_too_slow") == 0


def test_bursts_of_small_messages(start_weir, peers, paths):
    """A full-speed client is not slowed, dropped or reordered by default."""
    forward = paths.ipc()
    app = peers.app(zmq.PULL, forward)
    weir = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    client = peers.client(zmq.PUSH, weir.endpoint, SNDHWM=0)
    for i in range(100000):
        client.send(b"%d" % i)
    for i in range(100000):
        assert int(app.recv()) == i
    assert weir.metric("weir_dropped_messages_total") == 0
    assert weir.metric("weir_pauses_total") == 0
    assert weir.wait_metric("weir_messages_total", 100000, direction="in") == 100000


@pytest.mark.parametrize("keys, sizes, said", [
    ({"frame": "1KiB"}, [2048], "a frame larger than message.frame: announced 2KiB, allowed 1KiB (frame_too_large)"),
    ({"size": "3KiB"}, [2048, 2048], "a message larger than message.size: announced so far 4KiB, allowed 3KiB (message_too_large)"),
    ({"frames": 2}, [1, 1, 1], "a message with more frames than message.frames: allowed 2 (too_many_frames)"),
])
def test_the_log_names_the_size_and_the_limit(keys, sizes, said, start_app, start_weir, peers):
    weir = gate(start_weir, start_app("pull", net.tcp()).endpoint, message=keys)
    client = peers.client(zmq.PUSH, weir.endpoint)
    client.send_multipart([b"x" * size for size in sizes])
    net.wait_until(lambda: said in weir.stderr(), "the line in the log")

# SPDX-License-Identifier: MPL-2.0
"""libweir from another language: Python's ctypes, with nothing but the header's structs. What works here works for any foreign function interface."""
import ctypes
import subprocess
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from pathlib import Path

import pytest
import zmq
from harness.weir import program

LIBRARY = Path(program()[0]).resolve().parent / "src" / "embed" / "libweir.so"
EAGAIN, FOREVER, MS = 11, 2**64 - 1, 10**6
HANDLER = CFUNCTYPE(c_int, c_void_p, c_void_p)
KEY = CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_size_t, c_void_p)


class PoolOptions(Structure):
    """struct weir_pool_options."""
    _fields_ = [("size", c_size_t), ("handler", HANDLER), ("handler_arg", c_void_p), ("key", KEY), ("key_arg", c_void_p),
                *[(name, c_uint32) for name in ("workers_min", "workers_max", "source_workers", "sources", "queue", "frames", "full", "shed_order", "envelope", "peer_property")],
                *[(name, c_uint64) for name in ("queue_bytes", "deadline_ns", "shed_target_ns", "shed_interval_ns")],
                ("busy", c_char_p), ("busy_size", c_size_t), ("meter", c_void_p), ("stage", c_void_p), ("counter", c_void_p)]


@pytest.fixture(scope="module")
def lib():
    if not LIBRARY.exists():
        pytest.skip("this build has no libweir (-Dlibrary=enabled)")
    if "san_init" in subprocess.run(["nm", "-D", LIBRARY], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the library is built with a sanitizer")
    lib = ctypes.CDLL(str(LIBRARY), use_errno=True)
    for name, result, *arguments in [
            ("weir_pool_options_init", None, POINTER(PoolOptions)), ("weir_pool_new", c_void_p, c_void_p, POINTER(PoolOptions)),
            ("weir_pool_run", c_int, c_void_p, c_uint64), ("weir_pool_stop", None, c_void_p, c_uint64), ("weir_pool_free", None, c_void_p),
            ("weir_task_frame", c_void_p, c_void_p, c_size_t, POINTER(c_size_t)), ("weir_task_reply", c_int, c_void_p, c_char_p, c_size_t),
            ("weir_once_new", c_void_p, c_void_p), ("weir_once_free", None, c_void_p), ("weir_free", None, c_void_p),
            ("weir_once_begin", c_int, c_void_p, c_char_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t)),
            ("weir_once_done", c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def test_once(lib):
    once = lib.weir_once_new(None)
    reply, size = c_void_p(), c_size_t()
    assert lib.weir_once_begin(once, b"id", 2, byref(reply), byref(size)) == 0
    assert lib.weir_once_done(once, b"id", 2, b"answer", 6) == 0
    assert lib.weir_once_begin(once, b"id", 2, byref(reply), byref(size)) == 2
    assert ctypes.string_at(reply, size.value) == b"answer"
    lib.weir_free(reply)
    lib.weir_once_free(once)


def test_a_pool(lib, peers, paths):
    """Handlers in Python, called from the pool's threads; the socket is pyzmq's."""
    socket = peers.app(zmq.ROUTER, endpoint := paths.ipc())
    threads = set()

    @HANDLER
    def work(task, _):
        size = c_size_t()
        request = ctypes.string_at(lib.weir_task_frame(task, 0, byref(size)), size.value)
        threads.add(threading.get_ident())
        return 0 if lib.weir_task_reply(task, request.upper(), len(request)) == 0 else 1

    options = PoolOptions()
    lib.weir_pool_options_init(byref(options))
    assert options.size == sizeof(PoolOptions), "the struct here is that of the header"
    options.handler, options.workers_min = work, 2
    pool = lib.weir_pool_new(socket.underlying, byref(options))
    assert pool, ctypes.get_errno()
    clients = [peers.client(zmq.REQ, endpoint) for _ in range(4)]
    for i in range(20):
        for client in clients:
            client.send(b"hello %d" % i)
        waiting = set(clients)
        while waiting:
            assert lib.weir_pool_run(pool, MS) == -EAGAIN
            waiting -= {client for client in waiting if client.poll(0) and client.recv() == b"HELLO %d" % i}
    lib.weir_pool_stop(pool, 0)
    assert lib.weir_pool_run(pool, FOREVER) == 0
    lib.weir_pool_free(pool)
    assert threading.get_ident() not in threads

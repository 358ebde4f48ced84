# SPDX-License-Identifier: MPL-2.0
"""Flood protection for ZeroMQ applications in Python: libweir through ctypes.

    import weir, zmq

    server = zmq.Context().socket(zmq.REP)
    gate = weir.bind(server, "tcp://*:5555")      # for server.bind("tcp://*:5555")

A gate (`bind`), a circuit breaker (`Breaker`), work that is done once (`Once`, `once`) and a pool of threads (`Pool`). The headers of libweir
(<weir.h>, weir(3)) say what each does, what it costs, and what happens when it is full; names, options and defaults are theirs.

The library is found as libweir.so.0, or where the environment variable WEIR_LIBRARY says. A gate works with any libzmq that pyzmq has, a pip wheel's
included. A pool uses pyzmq's socket itself, so it needs pyzmq to have the libzmq that libweir is linked to (Debian's python3-zmq has); otherwise it
raises ImportError.

Threads: a gate belongs to the thread that has its socket; Breaker and Once are for any thread. After os.fork() the child has no gate.
"""
import ctypes
import functools
import os

__all__ = ["Breaker", "BreakerOpen", "Gate", "Once", "Pool", "Task", "bind", "once", "version"]

_void, _size, _u32, _u64, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p
_lib = ctypes.CDLL(os.environ.get("WEIR_LIBRARY", "libweir.so.0"), use_errno=True)

NS = 1_000_000_000
OK, FAILED, IGNORED = 0, 1, 2
_AGAIN = 11


def _function(name, result, *arguments):
    function = getattr(_lib, name)
    function.restype, function.argtypes = result, arguments
    return function


def version():
    """(major, minor, patch) of the library."""
    number = _function("weir_version", _u32)()
    return number >> 16, number >> 8 & 255, number & 255


def _fail(error, why=""):
    text = why.strip() or os.strerror(error)
    if error == 22:  # EINVAL: a mistake of the caller's
        raise ValueError(text)
    raise OSError(error, text)


def _check(error, why=""):
    if error < 0:
        _fail(-error, why)
    return error


class _Struct(ctypes.Structure):
    """Options and statistics of libweir: they begin with their size."""

    def set(self, **values):
        names = {name for name, *_ in self._fields_ if name not in ("size", "reserved")}
        for name, value in values.items():
            if name not in names:
                raise TypeError(f"unknown option {name!r}: there are {', '.join(sorted(names))}")
            setattr(self, name, value)
        return self

    def values(self):
        return {name: getattr(self, name) for name, *_ in self._fields_ if name not in ("size", "reserved")}


def _options(kind, init, values):
    options = kind()
    _function(init, None, ctypes.POINTER(kind))(ctypes.byref(options))
    return options.set(**values)


class _Object:
    """Something that libweir has made, and that is freed with close(), `with`, or the object."""
    _free = None

    def __init__(self, pointer, why=""):
        self._pointer = pointer
        if not pointer:
            _fail(ctypes.get_errno(), why)

    def close(self):
        pointer, self._pointer = getattr(self, "_pointer", None), None
        if pointer:
            _function(self._free, None, _void)(pointer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def _there(self):
        if not self._pointer:
            raise ValueError("it is closed")
        return self._pointer

    def _read(self, name, kind):
        stats = kind(size=ctypes.sizeof(kind))
        _check(_function(name, ctypes.c_int, _void, ctypes.POINTER(kind))(self._there(), ctypes.byref(stats)))
        return stats.values()


# ---- the gate ----

class _GateOptions(_Struct):
    _fields_ = [("size", _size), ("config", _text), ("file", _text), ("socket", _text), ("message_max", _u64), ("drain_ns", _u64), ("workers", _u32),
                ("counter", _u32), ("why", _void), ("why_size", _size), ("frame_max", _u64), ("handshake_ms", _u32), ("handover", _u32)]


class _GateStats(_Struct):
    _fields_ = [("size", _size)] + [(name, _u64) for name in (
        "connections", "connections_total", "messages_in", "messages_out", "bytes_in", "bytes_out", "held_bytes", "queued", "untaken", "refused", "paused")]


class Gate(_Object):
    """A gate in front of a socket of this program. Made by bind()."""
    _free = "weir_gate_free"

    def __init__(self, **values):
        self._why = ctypes.create_string_buffer(8192)
        options = _options(_GateOptions, "weir_gate_options_init", values).set(why=ctypes.addressof(self._why), why_size=len(self._why))
        super().__init__(_function("weir_gate_new", _void, ctypes.POINTER(_GateOptions))(ctypes.byref(options)), self._why.value.decode())
        self._bound = None

    @property
    def inside(self):
        """Where the application's socket is bound."""
        return _function("weir_gate_inside", _text, _void)(self._there()).decode()

    @property
    def endpoint(self):
        """Where clients connect, with the real port."""
        return _function("weir_gate_endpoint", _text, _void)(self._there()).decode()

    def listen(self, endpoint):
        """Opens the gate; the application's socket is bound to `inside` already."""
        self._why.value = b""
        error = _function("weir_gate_listen", ctypes.c_int, _void, _text)(self._there(), endpoint.encode())
        _check(error, self._why.value.decode())

    def stats(self):
        return self._read("weir_gate_read", _GateStats)

    def close(self):
        """Lets messages end (drain_ns at most), unbinds the socket, and frees the gate."""
        socket, self._bound = getattr(self, "_bound", None), None
        if getattr(self, "_pointer", None):
            _function("weir_gate_close", None, _void)(self._pointer)
            if socket is not None and not socket.closed:
                socket.unbind(self.inside)
        super().close()


def bind(socket, endpoint, config=None, file=None, **options):
    """As socket.bind(endpoint), with a gate. `config`: text of a configuration in YAML; `file`: the same as a file. Returns the Gate, which lasts until
    it is closed or forgotten. A socket with ZMQ_ROUTER_HANDOVER needs handover=1. OSError as of bind (EADDRINUSE, ...); ValueError with every mistake of the configuration and its line."""
    import zmq
    for name, option in (("frame_max", zmq.MAXMSGSIZE), ("handshake_ms", zmq.HANDSHAKE_IVL)):
        options.setdefault(name, max(socket.getsockopt(option), 0))
    texts = {"config": config and config.encode(), "file": file and os.fspath(file).encode(), "socket": _type_name(zmq, socket).encode()}
    gate = Gate(**options, **{key: text for key, text in texts.items() if text})
    socket.bind(gate.inside)
    gate._bound = socket
    try:
        gate.listen(endpoint)
    except BaseException:
        gate.close()
        raise
    return gate


def _type_name(zmq, socket):
    kind = socket.getsockopt(zmq.TYPE)
    for name in ("PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"):
        if kind == getattr(zmq, name):
            return name.lower()
    raise OSError(95, "a socket of this type has no gate")


# ---- the circuit breaker ----

class _Clock(ctypes.Structure):
    _fields_ = [("now_ns", _void), ("arg", _void)]


class _BreakerOptions(_Struct):
    _fields_ = [("size", _size)] + [(name, _u32) for name in ("failures", "failure_percent", "slow_percent", "calls_min", "trials", "reserved")] + [
        (name, _u64) for name in ("window_ns", "slow_ns", "open_ns", "open_max_ns", "slow_start_ns")] + [
        ("changed", _void), ("changed_arg", _void), ("clock", _Clock)]


class _BreakerCall(ctypes.Structure):
    _fields_ = [(name, _u64) for name in ("wait_ns", "began_ns", "place", "opened")]


class _BreakerStats(_Struct):
    _fields_ = [("size", _size), ("state", _u32), ("failures_in_row", _u32)] + [
        (name, _u64) for name in ("calls", "failures", "slow", "opened", "refused", "calls_in_all", "open_until_ns")]


class BreakerOpen(Exception):
    """The call was not made: the other side fails. `wait_s`: trying again earlier is of no use."""

    def __init__(self, wait_s):
        super().__init__(f"the circuit breaker is open for {wait_s:.1f} s")
        self.wait_s = wait_s


class Breaker(_Object):
    """Around calls that may fail or become slow:

        breaker = weir.Breaker(failures=3)
        with breaker.call():          # BreakerOpen: refused at once
            query_database()          # an exception counts as a failure
    """
    _free = "weir_breaker_free"

    def __init__(self, **options):
        options = _options(_BreakerOptions, "weir_breaker_options_init", options)
        super().__init__(_function("weir_breaker_new", _void, ctypes.POINTER(_BreakerOptions))(ctypes.byref(options)))

    @property
    def state(self):
        return ("closed", "half-open", "open")[_function("weir_breaker_state", ctypes.c_int, _void)(self._there())]

    def stats(self):
        return self._read("weir_breaker_read", _BreakerStats)

    def call(self):
        return _Call(self)

    def __call__(self, function):
        """As a decorator."""
        @functools.wraps(function)
        def guarded(*words, **names):
            with self.call():
                return function(*words, **names)
        return guarded


class _Call:
    def __init__(self, breaker):
        self._breaker, self._call = breaker, _BreakerCall()

    def __enter__(self):
        enter = _function("weir_breaker_enter", ctypes.c_int, _void, ctypes.POINTER(_BreakerCall))
        if enter(self._breaker._there(), ctypes.byref(self._call)) == -_AGAIN:
            raise BreakerOpen(self._call.wait_ns / NS)
        return self

    def __exit__(self, kind, *_):
        leave = _function("weir_breaker_leave", None, _void, ctypes.POINTER(_BreakerCall), ctypes.c_int)
        leave(self._breaker._there(), ctypes.byref(self._call), FAILED if kind else OK)


# ---- once ----

class _OnceOptions(_Struct):
    _fields_ = [("size", _size), ("window_ns", _u64), ("bytes", _u64), ("entries", _u32), ("when_full", _u32), ("clock", _Clock)]


class _OnceStats(_Struct):
    _fields_ = [("size", _size)] + [(name, _u64) for name in (
        "entries", "running", "bytes", "fresh", "duplicates", "forgotten", "refused", "replies_left_out")]


class Once(_Object):
    """A window of request ids, bounded in memory and time."""
    _free = "weir_once_free"
    NEW, RUNNING, DONE = 0, 1, 2

    def __init__(self, **options):
        options = _options(_OnceOptions, "weir_once_options_init", options)
        super().__init__(_function("weir_once_new", _void, ctypes.POINTER(_OnceOptions))(ctypes.byref(options)))

    def begin(self, key):
        """(NEW, RUNNING or DONE, the reply that is kept, or None)."""
        reply, size = _void(), _size()
        begin = _function("weir_once_begin", ctypes.c_int, _void, _text, _size, ctypes.POINTER(_void), ctypes.POINTER(_size))
        answer = _check(begin(self._there(), key, len(key), ctypes.byref(reply), ctypes.byref(size)))
        try:
            return answer, ctypes.string_at(reply.value, size.value) if reply.value else None
        finally:
            _function("weir_free", None, _void)(reply)

    def done(self, key, reply=None):
        done = _function("weir_once_done", ctypes.c_int, _void, _text, _size, _text, _size)
        _check(done(self._there(), key, len(key), reply, len(reply or b"")))

    def cancel(self, key):
        _check(_function("weir_once_cancel", ctypes.c_int, _void, _text, _size)(self._there(), key, len(key)))

    def stats(self):
        return self._read("weir_once_read", _OnceStats)


def once(key, window=None, running=None, **options):
    """A decorator for a function that returns bytes (or None): a call with a key that was seen in the window gets the kept reply, and the function is
    not called. `key(*arguments)` returns bytes. While the first call still runs, duplicates get `running`. A call that raises may be repeated. The
    attribute `window` of the result is the Once.

        @weir.once(key=lambda order, payload: order)
        def book(order, payload): ...
    """
    window = window or Once(**options)

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*words, **names):
            this = key(*words, **names)
            answer, reply = window.begin(this)
            if answer != Once.NEW:
                return running if answer == Once.RUNNING else reply
            try:
                reply = function(*words, **names)
            except BaseException:
                window.cancel(this)
                raise
            window.done(this, reply)
            return reply
        wrapper.window = window
        return wrapper
    return decorate


# ---- the pool ----

_HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, _void, _void)


class _PoolOptions(_Struct):
    _fields_ = [("size", _size), ("handler", _HANDLER), ("handler_arg", _void), ("key", _void), ("key_arg", _void)] + [
        (name, _u32) for name in ("workers_min", "workers_max", "source_workers", "sources", "queue", "frames", "full", "shed_order", "envelope", "reserved")] + [
        (name, _u64) for name in ("queue_bytes", "deadline_ns", "shed_target_ns", "shed_interval_ns")] + [
        ("busy", _text), ("busy_size", _size), ("meter", _void), ("stage", _void), ("counter", _void)]


class _PoolStats(_Struct):
    _fields_ = [("size", _size)] + [(name, _u32) for name in ("workers", "running", "waiting", "sources")] + [(name, _u64) for name in (
        "waiting_bytes", "received", "begun", "ok", "failed", "ignored", "shed_delay", "shed_full", "shed_deadline", "shed_drain", "late", "refused",
        "replies", "replies_lost", "full", "no_thread")]


class Task:
    """What a handler has got. Valid until the handler returns."""

    def __init__(self, pointer):
        self._pointer = pointer

    @property
    def frames(self):
        """The message without its envelope."""
        size, frame = _size(), _function("weir_task_frame", _void, _void, _size, ctypes.POINTER(_size))
        count = _function("weir_task_frames", _size, _void)(self._pointer)
        return [ctypes.string_at(frame(self._pointer, n, ctypes.byref(size)), size.value) for n in range(count)]

    @property
    def source(self):
        """The key by which sources take turns: an address."""
        size = _size()
        return ctypes.string_at(_function("weir_task_source", _void, _void, ctypes.POINTER(_size))(self._pointer, ctypes.byref(size)), size.value)

    def get(self, name):
        """A property of the connection, as Frame.get() gives it: "User-Id", "X-Weir-Class"."""
        value = _function("weir_task_property", _text, _void, _text)(self._pointer, name.encode())
        return None if value is None else value.decode()

    @property
    def left_s(self):
        """Until the deadline; None: there is none."""
        left = _function("weir_task_left_ns", _u64, _void)(self._pointer)
        return None if left == 2**64 - 1 else left / NS

    @property
    def waited_s(self):
        return _function("weir_task_waited_ns", _u64, _void)(self._pointer) / NS

    def reply(self, *frames):
        add = _function("weir_task_reply", ctypes.c_int, _void, _text, _size)
        for frame in frames:
            _check(add(self._pointer, frame, len(frame)))


def _libzmq_of(path):
    return ctypes.cast(ctypes.CDLL(path).zmq_msg_init, _void).value


def _same_libzmq():
    """Whether pyzmq and libweir use the same libzmq."""
    import zmq.backend.cython as cython
    for module in ("_zmq", "socket", "_device"):
        path = getattr(getattr(cython, module, None), "__file__", None)
        if path:
            try:
                return _libzmq_of(path) == ctypes.cast(_lib.zmq_msg_init, _void).value
            except AttributeError:
                return False
    return False


class Pool(_Object):
    """Takes messages from a socket, gives them to threads, and sends what they reply:

        def handler(task):
            task.reply(work(task.frames))

        pool = weir.Pool(socket, handler, workers_max=8, deadline_ns=weir.NS)
        pool.run()              # until pool.stop(), which any thread and any signal handler may call

    Of the handler's result, None and True count as done, False and an exception as failed. Python runs one thread at a time: use it for work that waits, or
    that releases the interpreter's lock."""
    _free = "weir_pool_free"

    def __init__(self, socket, handler, busy=None, **options):
        self._pointer = None
        if not _same_libzmq():
            raise ImportError("a pool needs pyzmq with the libzmq that libweir is linked to (Debian: python3-zmq); a gate does not")
        self._socket, self._handler = socket, _HANDLER(functools.partial(self._work, handler))
        if busy is not None:
            options.update(busy=busy, busy_size=len(busy))
        values = _options(_PoolOptions, "weir_pool_options_init", {**options, "handler": self._handler})
        super().__init__(_function("weir_pool_new", _void, _void, ctypes.POINTER(_PoolOptions))(socket.underlying, ctypes.byref(values)))

    @staticmethod
    def _work(handler, pointer, _):
        try:
            return FAILED if handler(Task(pointer)) is False else OK
        except Exception:
            import traceback
            traceback.print_exc()
            return FAILED

    def run(self, for_s=None):
        """Receives and sends, in the thread that has the socket. True: the pool is drained; False: the time is over."""
        run = _function("weir_pool_run", ctypes.c_int, _void, _u64)
        ends = None if for_s is None else int(for_s * NS)
        while True:
            step = NS // 5 if ends is None else min(ends, NS // 5)  # so that Python's signal handlers have their turn
            result = run(self._there(), step)
            if result != -_AGAIN:
                return _check(result) == 0
            if ends is not None:
                ends -= step
                if ends <= 0:
                    return False

    def stop(self, within_s=5):
        _function("weir_pool_stop", None, _void, _u64)(self._there(), int(within_s * NS))

    def stats(self):
        return self._read("weir_pool_read", _PoolStats)

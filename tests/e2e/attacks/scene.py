# SPDX-License-Identifier: MPL-2.0
"""The two halves of every attack test: a bare application that suffers, and the same application behind Weir that does not notice.

Use: `from attacks.scene import *` brings the fixtures bare, gate and flood into a test file."""
import contextlib
import time

import pytest

from harness import net, proc
from harness.net import wait_until

from .customers import Customers
from .tool import Flood

MIB = 1 << 20
ALLOWED_GROWTH = 64 * MIB
POOLED = MIB  # what each worker keeps of empty buffers, for the next burst

__all__ = ["MIB", "ALLOWED_GROWTH", "bare", "gate", "flood", "refusals", "grows_by"]


def refusals(weir):
    """{verdict: count} of all that Weir has refused."""
    return {labels["verdict"]: value for name, labels, value in weir.samples()
            if name == "weir_verdicts_total" and labels["verdict"] != "pass" and value}


def grows_by(app, growth, what=proc.rss_bytes):
    """Waits until the application holds `growth` bytes more than now; returns after that."""
    before = what(app.pid)
    return lambda: wait_until(lambda: what(app.pid) - before >= growth, f"{app.name} to grow by {growth // MIB} MiB")


@pytest.fixture
def bare(start_app):
    """bare('pull') -> an application that strangers reach directly, library defaults, 1024 descriptors."""
    return lambda kind, **kwargs: start_app(kind, "tcp://127.0.0.1:*", **kwargs)


@pytest.fixture
def flood(paths, start_weir):
    """flood('endless', endpoint, size=0) -> a running Flood, ended with the test."""
    started = []

    def start(name, endpoint, **options):
        started.append(Flood(paths.folder, name, endpoint, **options))
        return started[-1]

    yield start
    for f in started:
        f.kill()


class Gate:
    """An application behind Weir, with customers; `config` are the keys of the gate that differ from the defaults. Nobody is banned unless it says
    so: every limit has to hold by itself, however long a flood goes on (test_bans.py has the bans)."""

    def __init__(self, start_weir, start_app, peers, paths, kind, config=None, client_options=None, **app_options):
        self.app = start_app(kind, paths.ipc(), **app_options)
        listen = "tcp://127.0.0.1:*"
        entry = {"name": "main", "listen": listen, "forward": self.app.endpoint, "ban": {"strikes": 0}, **(config or {})}
        self.weir = start_weir(config={"gates": [entry]})
        self.endpoint = self.weir.endpoint
        self.customers = Customers(peers, self.app, kind, self.endpoint, **(client_options or {}))
        self.idle_held = self.weir.metric("weir_memory_held_bytes")
        self.app_before = proc.rss_bytes(self.app.pid)

    def become_known(self):
        """The regular customer is served in calm time for long enough to have a claim: only then is there somebody to hold others back for."""
        def known():
            self.customers.regular.exchange()
            time.sleep(0.01)
            return self.weir.metric("weir_limiter_connections", standing="established") >= 1
        wait_until(known, "the customer to be known")

    def verdicts(self, *labels):
        return sum(self.weir.metric("weir_verdicts_total", verdict=label) for label in labels)

    def expects(self, count, *labels):
        """A condition: these verdicts rose to `count` together."""
        return lambda: self.verdicts(*labels) >= count

    def app_growth(self):
        return proc.peak_rss_bytes(self.app.pid) - self.app_before

    @contextlib.contextmanager
    def explained(self):
        """Says what Weir has counted instead of what was expected."""
        try:
            yield
        except AssertionError as e:
            raise AssertionError(f"{e}; refused so far: {refusals(self.weir)}; paused {self.weir.metric('weir_pauses_total'):.0f} times") from None

    @contextlib.contextmanager
    def survives(self, growth=ALLOWED_GROWTH, held=0):
        """What holds during and after a flood: the customers are served, the application has not grown, Weir keeps within its memory
        and gives it back, but for `held` bytes (what a limit lets through later)."""
        yield self
        self.customers.close()
        self.weir.check()
        assert self.app.alive()
        assert self.app_growth() <= growth, f"the application grew by {self.app_growth() / MIB:.0f} MiB"
        assert self.weir.metric("weir_memory_peak_bytes") <= self.weir.metric("weir_memory_limit_bytes")
        self.weir.wait_metric("weir_held_bytes", lambda bytes_: bytes_ <= held)
        allowance = POOLED * self.weir.metric("weir_workers") + (64 * 1024 if held else 0)
        self.weir.wait_metric("weir_memory_held_bytes", lambda bytes_: bytes_ <= self.idle_held + held + allowance)

    def withstands(self, *floods, until, rounds=60, growth=ALLOWED_GROWTH, held=0):
        """Customers are served until the condition holds, while the floods go on; then all is as before."""
        with self.survives(growth, held):
            with self.explained():
                self.customers.serve_until(until, "the expected verdicts", rounds)
            assert all(f.alive() for f in floods), "a flood ended too early: nothing was shown"
            for f in floods:
                f.stop()


@pytest.fixture
def gate(start_weir, start_app, peers, paths):
    """gate('pull', config={...}) -> a Gate."""
    return lambda kind, **kwargs: Gate(start_weir, start_app, peers, paths, kind, **kwargs)

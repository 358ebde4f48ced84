# SPDX-License-Identifier: MPL-2.0
"""The fixtures. `start_weir` comes before `peers` in every test, so that peers are gone before Weir is told to stop."""
import os
import resource

import pytest

from .app import make_app
from .net import Paths
from .peers import Peers
from .weir import Weir, program


def raise_descriptor_limit(wanted=16384):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: compares what is measured, or needs the whole machine; scripts/test.sh runs it with no other beside it")
    raise_descriptor_limit()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the processes of a failed test had to say."""
    report = (yield).get_result()
    if report.failed:
        for child in getattr(item, "weir_children", []):
            report.sections.append((f"{child.name} (pid {child.pid}, exit code {child.process.poll()})",
                                    "\n".join(child.lines[-50:]) + "\n--- stderr\n" + child.stderr()[-20000:]))


@pytest.fixture
def no_file(monkeypatch):
    """What stands on the command line stays there: see with_memory()."""
    monkeypatch.delenv("WEIR_TEST_MEMORY", raising=False)


@pytest.fixture
def paths():
    """paths.ipc(): a fresh ipc endpoint; paths.file(name): a scratch file."""
    p = Paths()
    yield p
    p.remove()


@pytest.fixture
def start_weir(request, paths):
    """start_weir(listen=..., forward=...) or start_weir(config={...}) -> a ready Weir. At the end each must be alive, free of sanitizer
    reports, and leave with exit code 0 on SIGTERM (set weir.expected_exit where the test itself ends it otherwise)."""
    if not os.path.exists(program()[0]):
        pytest.fail(f"{program()[0]} is missing: build first, or set WEIR", pytrace=False)
    started = request.node.weir_children = getattr(request.node, "weir_children", [])
    mine = []

    def start(**kwargs):
        weir = Weir(paths.folder, wait=False, **{k: v for k, v in kwargs.items() if k != "wait"})
        started.append(weir)
        mine.append(weir)
        if kwargs.get("wait", True):
            weir.wait_ready()
        return weir

    yield start
    problems = []
    for weir in mine:
        try:
            weir.stop()
        except AssertionError as e:
            problems.append(str(e))
        finally:
            weir.kill()
    assert not problems, "\n".join(problems)


@pytest.fixture
def start_app(request, paths, start_weir):
    """start_app('rep', endpoint, ...) -> an application process (see harness/app.py), killed at the end."""
    started = request.node.weir_children
    mine = []

    def start(kind, bind, **kwargs):
        app = make_app(paths.folder, kind, bind, **kwargs)
        started.append(app)
        mine.append(app)
        return app

    yield start
    for app in mine:
        app.kill()


@pytest.fixture
def peers(start_weir, start_app):
    """pyzmq sockets inside the test process (see harness/peers.py), closed at the end."""
    p = Peers()
    yield p
    p.close()

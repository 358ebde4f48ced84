# SPDX-License-Identifier: MPL-2.0
"""What `make demo` shows of Weir is true: nothing is lost and everybody gets in, however fast this machine is. p99 is no matter of tests."""
import importlib.util
from pathlib import Path

import pytest
from harness.weir import ROOT, program

BUILD = Path(program()[0]).resolve().parent


def demo():
    spec = importlib.util.spec_from_file_location("demo_run", ROOT / "demo/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not (BUILD / "demo" / "demo_app").exists(), reason="this build has no demo (-Dbench=true)")
@pytest.mark.parametrize("arm, flood", [("counter", "messages"), ("Weir", "endless"), ("Weir", "halfopen")])
def test_behind_weir_nothing_is_lost(arm, flood):
    """Messages that an application only takes are held back where it says what it has taken."""
    d = demo()
    run = d.Run(BUILD, arm, flood).measure()
    assert d.verdict(run, quiet_p99_ms=d.NEVER) == "survived", run.flood_line


class Measured:
    """A run in which only the latency of its work is of interest."""

    behind_weir, app_alive, weir_alive, before_bytes, peak_bytes = True, True, True, 0, 0

    def __init__(self, ms, others):
        self.others = others
        self.during = self.after = [("new", 0, ms * 1_000_000)] * 100


@pytest.mark.parametrize("ms, bare_ms, others, said", [
    (4, 3, 0.0, "survived"),
    (7, 30, 0.0, "FAILED: slow"),
    (7, 30, 1.5, "slow, less than bare (busy machine)"),
    (30, 7, 1.5, "FAILED: slow"),
    (2000, 3000, 1.5, "FAILED: work lost, slow, newcomers shut out, no recovery"),
])
def test_on_a_busy_machine_latency_is_compared_with_the_bare_run(ms, bare_ms, others, said):
    d = demo()
    assert d.verdict(Measured(ms, others), 1.0, Measured(bare_ms, others)) == said

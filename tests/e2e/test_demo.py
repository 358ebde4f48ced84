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
@pytest.mark.parametrize("flood", ["messages", "endless", "halfopen"])
def test_behind_weir_nothing_is_lost(flood):
    d = demo()
    run = d.Run(BUILD, True, flood).measure()
    assert d.verdict(run, quiet_p99_ms=d.NEVER) == "survived", run.flood_line

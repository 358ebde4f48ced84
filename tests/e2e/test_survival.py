# SPDX-License-Identifier: MPL-2.0
"""The harness of `make survival`: it lists its rows, measures one, and leaves nothing behind. What it measures is no matter of tests."""
import subprocess
import sys
from pathlib import Path

import pytest
from harness.weir import ROOT, program

BUILD = Path(program()[0]).resolve().parent


def survival(*args):
    return subprocess.run([sys.executable, ROOT / "bench/survival.py", "--build", BUILD, *args], capture_output=True, text=True, timeout=60)


def test_rows_are_listed():
    done = survival("--list")
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "weir, weir+counter" in rows["costly-router-50"] and "nat-costly-proxied" in rows
    assert "counter" not in rows["topics"], "a publisher takes nothing that could be counted"


def test_a_seed_repeats_a_draw():
    draws = [survival("--list", "--rows", "drawn", "--seed", seed).stdout for seed in ("1", "1", "2")]
    assert draws[0] == draws[1] != draws[2] and "drawn-pings" in draws[0]


@pytest.mark.parametrize("args", [("--rows", "nonsense"), ("--contenders", "bare,nonsense")])
def test_unknown_names_are_refused(args):
    done = survival(*args)
    assert done.returncode == 1 and "nonsense" in done.stderr and done.stdout == ""


@pytest.mark.skipif(not (BUILD / "bench" / "survival_app").exists(), reason="this build has no benchmark programs (-Dbench=true)")
def test_a_row_is_measured():
    done = survival("--rows", "unknown-commands", "--contenders", "weir")
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("| weir |"))
    assert " ms |" in row, row
    assert "unknown_command" in done.stdout

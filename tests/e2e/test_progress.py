# SPDX-License-Identifier: MPL-2.0
"""What `make survival`, `make zoo`, `make bench` and `make test` say while they run: how far they are and how long the rest takes."""
import importlib.util
import io
import subprocess

import pytest
from harness.weir import ROOT


def load():
    spec = importlib.util.spec_from_file_location("progress", ROOT / "bench/progress.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def begun(out, total=10):
    clock = Clock()
    return load().Progress(total, out, clock), clock


def test_a_terminal_shows_what_runs_and_how_long_the_rest_takes():
    out = Terminal()
    progress, clock = begun(out)
    progress.says("first")
    assert out.getvalue().rstrip() == "\r  0 %, 0 s so far: first", "nothing is known of the rest yet"
    progress.advance(2)
    clock.now += 60
    progress.says("third")
    assert out.getvalue().split("\r")[-1].rstrip() == " 20 %, 60 s so far, about 4 min left: third"
    progress.says("long " * 50)
    assert len(out.getvalue().split("\r")[-1]) == 79, "a longer line would not be overwritten"


def test_a_log_file_gets_a_line_each_half_minute():
    out = io.StringIO()
    progress, clock = begun(out)
    for _ in range(10):
        progress.says("a row")
        progress.advance()
        progress.clear()
        clock.now += 10
    lines = out.getvalue().splitlines()
    assert len(lines) == 3 and "\r" not in out.getvalue() and lines[0] == " 30 %, 30 s so far, about 70 s left: a row"


def test_more_than_all_is_all():
    progress, clock = begun(io.StringIO())
    progress.advance(11)
    clock.now += 5
    assert progress.line("the end") == "100 %, 5 s so far, about 0 s left: the end"


@pytest.mark.parametrize("seconds, said", [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (3540, "59 min"), (3600, "1 h 0 min"), (5400, "1 h 30 min")])
def test_lengths_of_time(seconds, said):
    assert load().span(seconds) == said


def test_steps_say_their_number_and_what_they_took(tmp_path):
    (tmp_path / "build").mkdir()
    for last in ("", "; it took 0 s the last time"):
        done = subprocess.run([ROOT / "scripts/test.sh", "nonsense"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and done.stdout == f"== nonsense (step 1 of 1, 0 s so far{last})\n" and "failed: nonsense" in done.stderr

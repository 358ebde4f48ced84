# SPDX-License-Identifier: MPL-2.0
"""What libzmq does under `weir run` is what it does without: small programs (behaviour/), by subject, each run both ways, and what they say compared word by word."""
import contextlib
import fcntl
import functools
import json
import os
import sys
from pathlib import Path

import pytest
from behaviour.case import PATIENCE, cases_of
from harness import net
from harness.run import Ran
from harness.weir import ROOT
from test_count import PLAIN

HERE = Path(__file__).parent
SUBJECTS = ("patterns", "subscriptions", "proxies", "endpoints", "options", "monitors", "metadata", "security", "ordering", "processes", "restarts", "descriptors", "direct", "ipc", "polling", "closing")
OPTIONS = {"ipc": ["--ipc"]}
CASES = [(subject, name) for subject in SUBJECTS for name in cases_of(subject)]

# Where a program can tell: (subject, case) -> (what docs/differences.md says about it, why).
MONITOR = "a monitor's events for a client that does not come in"
DIFFERENCES = {
    ("monitors", "garbage_instead_of_a_greeting"): (MONITOR, "it ends at the gate"),
    ("monitors", "client_that_leaves_within_the_handshake"): (MONITOR, "it ends at the gate"),
    ("monitors", "client_of_another_mechanism"): (MONITOR, "it ends at the gate"),
    ("monitors", "client_of_another_type_sees"): (MONITOR, "the gate ends the connection before the handshake is done"),
}


def transcript(subject, folder, bare):
    """What each case of a subject says, the whole output for a person, what a sanitizer says, and how many gates were opened."""
    child = Ran(folder, [sys.executable, "-m", "behaviour", subject], options=OPTIONS.get(subject, ()), bare=bare, cwd=HERE)
    with contextlib.suppress(AssertionError):  # a case that hangs ends the process; this one is for a process that cannot
        child.wait(20 * PATIENCE)
    child.kill()
    return {line["case"]: line["said"] for line in map(json.loads, child.lines)}, child.describe("its output"), child.sanitizer_report(), len(child.gates())


def made_once(folder, subject):
    """Both transcripts. Tests that run side by side in several processes make them once."""
    path = folder / f"behaviour-{subject}.json"
    with open(folder / f"behaviour-{subject}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_text(json.dumps([transcript(subject, folder, bare) for bare in (True, False)]))
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory):
    """both_ways(subject) -> two transcripts, bare and under `weir run`, made when they are first asked for."""
    mine = tmp_path_factory.getbasetemp()
    shared = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    return functools.cache(functools.partial(made_once, shared))


def whole(said, name, report):
    assert name in said, report
    failed = [words for words in said[name] if isinstance(words, list) and words[:1] == ["raised"]]
    assert said[name] and not failed, f"{failed}\n{report}"
    return said[name]


@pytest.mark.parametrize("subject, name", CASES, ids=lambda word: word)
def test_under_run_as_bare(subject, name, both_ways):
    (bare, bare_report, *_), (run, run_report, sanitizer, _) = both_ways(subject)
    assert not sanitizer
    expected = whole(bare, name, bare_report)
    if (subject, name) not in DIFFERENCES:
        assert whole(run, name, run_report) == expected
    else:
        assert run[name] != expected, "this is no difference any more"
        pytest.xfail(DIFFERENCES[subject, name][1])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_programs_had_gates(subject, both_ways):
    """Or they would be the same in any case."""
    (*_, none), (_, report, _, gates) = both_ways(subject)
    assert none == 0 and gates >= len(cases_of(subject)) // 2, report
    assert "Weir is not there any more" not in report


def test_there_are_at_least_a_hundred():
    assert len(CASES) >= 100
    assert set(DIFFERENCES) <= set(CASES)


def test_each_difference_is_documented():
    page = (ROOT / "docs" / "differences.md").read_text()
    assert [text for text, _ in DIFFERENCES.values() if text not in page] == []


def test_each_subject_is_run():
    assert sorted(SUBJECTS) == sorted(path.stem for path in (HERE / "behaviour").glob("*.py") if path.stem not in ("__init__", "__main__", "case", "self_test"))


def test_a_difference_is_seen(both_ways):
    """Cases that can tell that they run under `weir run`, and one that fails."""
    (bare, *_), (run, report, *_) = both_ways("self_test")
    assert bare["the_same"] == run["the_same"] == ["tcp://127.0.0.1:port1", ["tcp://127.0.0.1:port2", "tcp://127.0.0.1:port1"]]
    for name in ("a_variable", "a_library", "an_address", "a_number_of_words"):
        assert bare[name] != run[name], name
    with pytest.raises(AssertionError):
        whole(run, "a_failure", report)
    with pytest.raises(AssertionError):
        whole(run, "nothing_said", report)
    assert "libweir-run" not in os.environ.get("LD_PRELOAD", "")


def test_results_of_every_call_that_receives(tmp_path):
    """Right calls and wrong ones, interrupted, timed out, at the end of the context: results, errno and time waited."""
    said = []
    for bare in (True, False):
        child = Ran(tmp_path, [PLAIN, "results", net.tcp()], bare=bare)
        assert child.wait() == 0, child.describe("its end")
        child.read_all()
        said.append(child.lines)
        assert len(child.gates()) == (0 if bare else 1) and not child.said_itself()
        child.kill()
    assert len(said[0]) > 70
    assert said[0] == said[1]

# SPDX-License-Identifier: MPL-2.0
"""The harness of `make zoo`, and a handful of its protocols: brokers behind Weir do as much as bare. Figures are compared within the same run, with coarse bounds;
`make zoo` has the strict ones."""
import itertools
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest
from harness.weir import ROOT

sys.path.append(str(ROOT / "tests/zoo"))
from zoo import rules  # noqa: E402

HEAD = "# SPDX-License-Identifier: MPL-2.0\nimport zmq\nfrom zoo import protocol\nfrom zoo.roles import rep_server, req_client\n\n\n"
SERVED = '''@protocol("server"{options})
def {name}(cell):
    """A row of a test."""
    cell.application(rep_server, cell.bind("server"), 0.002)
    cell.clients({client}, cell.connect("server"), count=2, capacity=400)
'''


def zoo(*args, **kwargs):
    return subprocess.run([sys.executable, ROOT / "tests/zoo/run.py", *map(str, args)], capture_output=True, text=True, timeout=120, check=False, **kwargs)


def protocol(folder, name, client="req_client", before="", options=""):
    (folder / f"{name}.py").write_text(HEAD + before + "\n\n" + SERVED.format(name=name, client=client, options=options))


def test_protocols_are_listed():
    done = zoo("--list")
    assert done.returncode == 0
    assert "lru-broker" in done.stdout and "majordomo" in done.stdout


@pytest.mark.parametrize("args", [("--only", "nonsense"), ("--loads", "full,nonsense")])
def test_unknown_names_are_refused(args):
    done = zoo(*args)
    assert done.returncode == 1 and "nonsense" in done.stderr and done.stdout == ""


def test_a_seed_repeats_the_parameters(tmp_path):
    (tmp_path / "drawn.py").write_text(HEAD + '''
@protocol("server")
def drawn(cell):
    """A row of a test."""
    print("drawn", cell.draw.random())
    cell.application(rep_server, cell.bind("server"), 0)
    cell.clients(req_client, cell.connect("server"), capacity=100)
''')
    runs = [zoo("--only", "drawn", "--quick", "--protocols", tmp_path, "--seconds", 0.1, "--seed", seed).stdout.splitlines() for seed in (1, 1, 2)]
    draws = [{line for line in lines if line.startswith("drawn")} for lines in runs]
    assert len(draws[0]) == 1 and draws[0] == draws[1] != draws[2]


def outcome(throughput, p99_s):
    return SimpleNamespace(throughput=throughput, percentile_s=lambda share: p99_s, broken={}, metrics={}, facts={})


def test_the_third_round_is_left_out_only_where_it_changes_nothing():
    draw, settled = random.Random(7), 0
    for _ in range(2000):
        row = rules.Row(None, "full", *([outcome(draw.uniform(80, 120), draw.uniform(0.002, 0.006)) for _ in range(2)] for _ in range(2)))
        if not row.is_settled(rules.STRICT, 3):
            continue
        settled += 1
        extremes = list(itertools.product((0, 1e9), (0, float("inf"))))
        assert not any(rules.Row(None, "full", [*row.bare, outcome(*bare)], [*row.weir, outcome(*weir)]).lost() for bare in extremes for weir in extremes)
    assert 100 < settled < 1900
    broken = rules.Row(None, "full", [outcome(100, 0.002)] * 2, [outcome(100, 0.002)] * 2)
    assert broken.is_settled(rules.STRICT, 3) and not broken.is_settled(rules.STRICT, 5)
    broken.weir[0].metrics["verdict"] = 1
    assert not broken.is_settled(rules.STRICT, 3)


def test_what_is_lost_is_named(tmp_path):
    protocol(tmp_path, "twice", "wrong", "def wrong(me, endpoint):\n    me.done(me.now())\n    me.must(False, 'an answer came twice')\n")
    done = zoo("--protocols", tmp_path, "--quick", "--only", "twice", "--seconds", 0.1, "--loads", "low", "--rounds", 1)
    assert done.returncode == 1
    assert "bare: an answer came twice" in done.stdout and "weir: an answer came twice" in done.stdout


def test_a_client_that_does_not_end_is_ended(tmp_path):
    protocol(tmp_path, "hangs", "forever", "def forever(me, endpoint):\n    me.done(me.now())\n    me.recv(me.socket(zmq.REQ, connect=endpoint))\n")
    done = zoo("--protocols", tmp_path, "--quick", "--only", "hangs", "--seconds", 0.1, "--loads", "low", "--rounds", 1, "--patience", 0.5)
    assert done.returncode == 1 and "forever was not through" in done.stdout


def test_a_verdict_loses_the_row(tmp_path):
    wrong = "def wrong(me, endpoint):\n    me.socket(zmq.SUB, connect=endpoint)\n    req_client(me, endpoint)\n"
    protocol(tmp_path, "wrong_type", "wrong", wrong)
    protocol(tmp_path, "allowed", "wrong", wrong, options=', allows=("wrong_socket_type",)')
    done = zoo("--protocols", tmp_path, "--quick", "--only", "wrong-type", "--seconds", 0.1)
    assert done.returncode == 1 and "wrong_socket_type" in done.stdout, done.stdout
    done = zoo("--protocols", tmp_path, "--quick", "--only", "allowed", "--seconds", 0.1)
    assert "wrong_socket_type" not in done.stdout, done.stdout
    done = zoo("--protocols", tmp_path, "--quick", "--only", "wrong-type", "--seconds", 0.1, "--through", "run")
    assert done.returncode == 1 and "wrong_socket_type" in done.stdout, done.stdout


@pytest.mark.alone
@pytest.mark.parametrize("through", ["serve", "run"])
def test_a_handful_is_as_well_off_as_bare(through):
    done = zoo("--quick", "--through", through)
    assert done.returncode == 0, done.stdout + done.stderr

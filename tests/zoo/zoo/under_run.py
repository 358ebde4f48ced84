# SPDX-License-Identifier: MPL-2.0
"""Applications of a cell under `weir run`: started anew from the command line, as programs are, with a Weir of their own each."""
import json
import os
import pickle
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from harness.net import free_port, wait_until
from harness.weir import parse_samples, program

from .group import Group, Program

ROOT = Path(__file__).resolve().parents[3]
READY = re.compile(r"^weir: ready: ", re.M)


class RunWeir:
    """The Weir that a command brings with it: how it is asked for, what it says, and whether it ends."""

    def __init__(self, folder, number):
        self.admin = f"127.0.0.1:{free_port()}"
        self.log_path = Path(folder) / f"run-{number}.log"
        self.prefix = [*program(), "run", "--admin", self.admin, "--"]

    def _get(self, path):
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as answer:
            return answer.read().decode()

    def samples(self):
        return parse_samples(self._get("/metrics"))

    def has_ended(self):
        """With its program, as a protocol may want it: then nothing more can be asked."""
        return "the programs have ended" in self.stderr()

    def alive(self):
        try:
            return bool(self._get("/metrics"))
        except (urllib.error.URLError, OSError):
            return False

    def stderr(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self):
        """It ends by itself, after its program."""
        wait_until(lambda: not self.alive(), "the Weir of weir run to end with its program")

    def kill(self):
        """The end of its program is its end."""


class RunGroup(Group):
    """A group whose process is started by `weir run` and makes its parts anew, from the same draw."""

    def __init__(self, name, kind, weir, spec):
        super().__init__(name, kind)
        self.weir, self.spec = weir, spec

    def start(self, shared, seed):
        read_end, write_end = os.pipe()
        spec = {**self.spec, "seed": seed, "shared": shared.descriptor, "report": write_end}
        with open(self.weir.log_path, "w") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.weir.prefix, sys.executable, "-m", "zoo.under_run", json.dumps(spec)],
                                            stdin=subprocess.DEVNULL, stderr=log, pass_fds=(shared.descriptor, write_end),
                                            env={**os.environ, "PYTHONPATH": f"{ROOT}/tests/zoo:{ROOT}/tests/e2e"})
        self.pid = self.process.pid
        os.close(write_end)
        os.set_blocking(read_end, False)
        self.pipe = read_end

    def _reap(self):
        os.close(self.pipe)
        self.pipe = None
        self.process.wait()
        self.pid = None


class RunProgram(Program):
    """A command under `weir run`. What Weir says is in the log, with what the command says."""

    def __init__(self, weir, *args):
        super().__init__(*args)
        self.weir = weir
        self.command = [*weir.prefix, *self.command]
        self.err = open(weir.log_path, "w+")


def live(spec):
    """In the process that `weir run` has become: the parts of one group."""
    from . import registry  # pylint: disable=import-outside-toplevel
    from .cell import Cell  # pylint: disable=import-outside-toplevel
    from .part import Shared  # pylint: disable=import-outside-toplevel
    protocol = registry.load(Path(spec["protocols"]))[spec["protocol"]]
    cell = Cell.again(protocol, spec["load"], spec["seconds"], spec["draw"], spec["stall_s"], spec["bound"], spec["folder"])
    protocol.build(cell)
    report = cell.groups[spec["group"]].run_parts(Shared(spec["shared"]), spec["seed"])
    with os.fdopen(spec["report"], "wb") as pipe:
        pickle.dump(report, pipe)
    os._exit(0)  # pylint: disable=protected-access


if __name__ == "__main__":
    live(json.loads(sys.argv[1]))

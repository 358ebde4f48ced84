# SPDX-License-Identifier: MPL-2.0
"""Programs under `weir run`: an ordinary program of any kind, started as one would start it, with `weir run --` before it."""
import re

from . import proc
from .net import PATIENCE, wait_until
from .weir import READY, program

WEIR = re.compile(r"^weir: |^\S+Z weir: ")


class Ran(proc.Child):
    """The process is the command's own. Standard error is shared: what Weir says there begins with `weir:`, with the time before it for the log."""

    def __init__(self, folder, command, options=(), bare=False, **kwargs):
        before = [] if bare else [*program(), "run", *options, "--"]
        super().__init__([*before, *command], folder, "run", **kwargs)

    def read_all(self):
        """Until its standard output has ended: Weir holds no copy of that."""
        self._reader.join(timeout=PATIENCE)

    def gates(self):
        """(listen, forward) of each gate that was opened so far."""
        return [READY.match(line).groups() for line in self.stderr().splitlines() if READY.match(line)]

    def said_itself(self):
        """The program's own standard error."""
        return "".join(line + "\n" for line in self.stderr().splitlines() if not WEIR.match(line))

    def wait_weir(self):
        """Until Weir has ended too."""
        wait_until(lambda: "the programs have ended" in self.stderr(), "the end of Weir")

# SPDX-License-Identifier: MPL-2.0
"""Runs the flood tool (flood.c), which sends to this machine alone and stops by itself."""
import json
import os
from pathlib import Path

from harness import proc
from harness.net import PATIENCE, wait_until
from harness.weir import program

ATTACKER = "127.66.0.1"  # never an address of a well-behaved client
SECONDS = 60  # against hanging: tests end a flood when they have seen what they wanted


def tool():
    """The flood tool of the build that holds the program under test."""
    return os.environ.get("WEIR_FLOOD") or str(Path(program()[0]).resolve().parent / "tests" / "e2e" / "attacks" / "flood")


class Flood(proc.Child):
    """flood NAME --to ENDPOINT with one option for each keyword: size=200 is --size 200, never_read=True is --never-read."""

    def __init__(self, folder, name, endpoint, source=ATTACKER, **options):
        command = [tool(), name, "--to", endpoint, "--seconds", str(options.pop("seconds", SECONDS))]
        if endpoint.startswith("tcp://127."):
            command += ["--from", source]
        for key, value in options.items():
            flag = "--" + key.replace("_", "-")
            command += [flag] if value is True else [flag, value.hex() if isinstance(value, bytes) else str(value)]
        super().__init__(command, folder, f"flood-{name}", stdin=True)
        self.source = source

    def figures(self):
        """What it has done so far (see flood.c): opened, established, ended_by_peer, sent_bytes, units, ..."""
        line = self.wait_line(lambda text: text.startswith("{"))[0]
        with self._more:
            line = next(text for text in reversed(self.lines) if text.startswith("{"))
        return json.loads(line)

    def wait(self, limit=PATIENCE):
        code = super().wait(limit)
        self._reader.join(timeout=limit)
        if code != 0:
            raise AssertionError(self.describe("failed"))
        return code

    def wait_figure(self, key, least, limit=PATIENCE):
        return wait_until(lambda: (value := self.figures()[key]) >= least and value, f"{self.name}: {key} >= {least}", limit, step=0.1)

    def stop(self):
        """Ends the flood, however far it is; returns its figures."""
        self.terminate()
        return self.figures()

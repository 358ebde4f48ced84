# SPDX-License-Identifier: MPL-2.0
"""The table of protocols: each file of protocols/ registers its own."""
import dataclasses
import importlib.util
import sys
from pathlib import Path

PROTOCOLS = {}
FOLDER = Path(__file__).resolve().parent.parent / "protocols"
reading = FOLDER  # the folder whose files register their protocols now


@dataclasses.dataclass(frozen=True)
class Protocol:
    name: str
    build: object  # build(cell): declares the parts
    links: tuple   # names of the endpoints that somebody binds; each is a gate of its own
    late: tuple    # those of them that are bound only in the course of the cell
    quick: bool    # one of the few that `make test` runs
    allows: tuple  # verdicts that belong to the protocol (an application that ends on purpose)
    settle_s: float
    folder: Path   # that its file is in
    needs: object  # needs() -> why it cannot run here, or None

    @property
    def about(self):
        return " ".join((self.build.__doc__ or "").split())


def protocol(*links, late=(), quick=False, allows=(), settle_s=0.3, needs=lambda: None, name=None):
    """Registers build(cell). The name of the row is the function's; its docstring says in one sentence what the protocol is."""
    def register(build):
        row = name or build.__name__.replace("_", "-")
        if row in PROTOCOLS:
            raise ValueError(f"two protocols are called {row}")
        PROTOCOLS[row] = Protocol(row, build, links, tuple(late), quick, tuple(allows), settle_s, Path(reading), needs)
        return build

    return register


def load(folder=FOLDER):
    """Reads every file of the folder and returns the table."""
    global reading  # pylint: disable=global-statement
    reading = folder
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    for path in sorted(Path(folder).glob("*.py")):
        name = f"zoo_protocol_{path.stem}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return PROTOCOLS

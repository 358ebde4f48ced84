# SPDX-License-Identifier: MPL-2.0
"""The examples in C (examples/*.c) as processes."""
import signal
from pathlib import Path

import pytest

from .proc import Child
from .weir import program

BUILD = Path(program()[0]).resolve().parent / "examples"


@pytest.fixture
def example(request, paths, start_weir):
    """example('pool', endpoint) -> a running example; at the end it has to leave in good order on SIGTERM."""
    mine = []

    def start(name, *words):
        child = Child([BUILD / f"example_{name}", *words], paths.folder, name)
        request.node.weir_children.append(child)
        mine.append(child)
        return child

    yield start
    codes = []
    for child in mine:
        child.process.send_signal(signal.SIGTERM)
        try:
            codes.append(child.wait())
        finally:
            child.kill()
    assert codes == [0] * len(codes)

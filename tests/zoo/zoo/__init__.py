# SPDX-License-Identifier: MPL-2.0
"""The harness of the zoo; tests/zoo/README.md says how a protocol is written."""
from .part import Stop
from .registry import protocol

__all__ = ["Stop", "protocol"]

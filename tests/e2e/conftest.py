# SPDX-License-Identifier: MPL-2.0
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from harness.fixtures import *  # noqa: E402,F401,F403

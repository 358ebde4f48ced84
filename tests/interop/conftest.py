# SPDX-License-Identifier: MPL-2.0
import os
import sys

HERE = os.path.dirname(__file__)
for folder in (HERE, os.path.join(os.path.dirname(HERE), "e2e")):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from harness.fixtures import *  # noqa: E402,F401,F403
from foreign import *  # noqa: E402,F401,F403

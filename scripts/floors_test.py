# SPDX-License-Identifier: MPL-2.0
"""Tests of floors.py on small made-up trees."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import floors  # noqa: E402


class Floors(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.src = Path(folder.name)
        for name in ("base/a.h", "zmtp/z.h", "limits/p.h", "relay/r.h", "daemon/d.h", "cli/c.h"):
            self.put(name, "")

    def put(self, name, text):
        path = self.src / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def errors(self):
        return floors.check_tree(self.src)[1]

    def refused(self, name, text):
        self.put(name, text)
        errors = self.errors()
        self.assertEqual(len(errors), 1, errors)
        self.assertIn(name, errors[0])
        return errors[0]

    def test_downward_and_own_folder_pass(self):
        self.put("relay/x.c", '#include "relay/r.h"\n#include "zmtp/z.h"\n#include "base/a.h"\n#include <stdio.h>\n')
        self.put("limits/x.c", '#include "p.h"\n')
        self.assertEqual(self.errors(), [])

    def test_upward(self):
        self.assertIn("must not include relay", self.refused("zmtp/x.c", '#include "relay/r.h"\n'))

    def test_upward_in_a_header_with_odd_spaces(self):
        self.assertIn(":2:", self.refused("base/x.h", '\n  #  include   "limits/p.h"\n'))

    def test_sideways_on_floor_one(self):
        self.assertIn("must not include zmtp", self.refused("limits/x.c", '#include "zmtp/z.h"\n'))

    def test_cli_starts_the_daemon_never_the_reverse(self):
        self.put("cli/x.c", '#include "daemon/d.h"\n')
        self.assertEqual(self.errors(), [])
        self.refused("daemon/x.c", '#include "cli/c.h"\n')

    def test_dots(self):
        self.refused("zmtp/x.c", '#include "../limits/p.h"\n')

    def test_missing_file(self):
        self.assertIn("no such file", self.refused("zmtp/x.c", '#include "base/none.h"\n'))

    def test_folder_without_a_floor(self):
        self.assertIn("has no floor", self.refused("attic/x.c", "int x;\n"))

    def test_include_of_a_folder_without_a_floor(self):
        self.assertIn("has no floor", self.refused("relay/x.c", '#include "attic/x.h"\n'))

    def test_the_order_of_the_floors(self):
        names = ["base", "zmtp", "inspect", "config", "relay", "admin", "daemon"]
        levels = [floors.LEVEL[name] for name in names]
        self.assertEqual(levels, sorted(set(levels)))

    def test_an_empty_tree_is_a_failure(self):
        with tempfile.TemporaryDirectory() as empty:
            self.assertEqual(floors.main([empty]), 1)


if __name__ == "__main__":
    unittest.main()

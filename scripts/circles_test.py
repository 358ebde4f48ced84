# SPDX-License-Identifier: MPL-2.0
"""Tests of circles.py on small made-up modules, compiled."""

import contextlib
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import circles  # noqa: E402


class Circles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = Path(folder.name)

    def module(self, folder, name, text):
        path = self.build / f"src/{folder}/libweir_{folder}.a.p/{name}.c.o"
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-x", "c", "-c", "-o", path, "-"], input=text.encode(), check=True)

    def run_on(self, *options):
        out = io.StringIO()
        with mock.patch.object(sys, "argv", ["circles.py", *options, str(self.build)]), contextlib.redirect_stdout(out):
            with self.assertRaises(SystemExit) as end:
                circles.main()
        return end.exception.code, out.getvalue()

    def test_calls_downwards_are_no_circle(self):
        self.module("a", "top", "void low(void); void middle(void); void top(void) { middle(); low(); }")
        self.module("a", "middle", "void low(void); void middle(void) { low(); }")
        self.module("a", "low", "void low(void) {}")
        code, said = self.run_on("--edges", "a")
        self.assertEqual((code, said.splitlines()[0]), (0, "circles: a: 3 modules, 3 calls between them, 0 circles"))
        self.assertEqual([line.strip() for line in said.splitlines()[-3:]], ["top", "middle", "low"])

    def test_a_circle_of_three_is_found_and_named(self):
        self.module("a", "x", "void y(void); void x(void) { y(); }")
        self.module("a", "y", "void z(void); void y(void) { z(); }")
        self.module("a", "z", "void x(void); void z(void) { x(); }")
        self.module("a", "other", "void x(void); void other(void) { x(); }")
        code, said = self.run_on()
        self.assertEqual(code, 1)
        self.assertIn("3 modules in a circle: x y z\n", said)

    def test_a_variable_closes_a_circle_as_a_function_does(self):
        self.module("a", "table", "int help(void); int (*table)(void) = help;")
        self.module("a", "help", "extern int (*table)(void); int help(void) { return table(); }")
        self.assertEqual(self.run_on()[0], 1)

    def test_what_two_folders_call_of_one_another_is_not_looked_at_here(self):
        self.module("a", "x", "void y(void); void x(void) { y(); }")
        self.module("b", "y", "void x(void); void y(void) { x(); }")
        self.assertEqual(self.run_on()[0], 0)

    def test_nothing_to_look_at_is_a_failure(self):
        self.assertIn("build first", str(self.run_on()[0]))


if __name__ == "__main__":
    unittest.main()

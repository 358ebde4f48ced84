# SPDX-License-Identifier: MPL-2.0
"""Tests of statics.py on small made-up files."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import statics  # noqa: E402


class Statics(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def file(self, name, text):
        path = self.root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run_on(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            with self.assertRaises(SystemExit) as end:
                statics.main(self.root)
        return end.exception.code, out.getvalue()

    def test_definitions_of_all_forms(self):
        text = (
            "static int one(void)\n{\n}\n"
            "static const struct a *two(struct b *b, void (*tell)(int),\n                           int more)\n{\n}\n"
            "static void PRINTF(1, 2)\n    three(const char *fmt, ...)\n{\n}\n"
            "static __attribute__((noinline)) bool five(int i)\n{\n}\n"
            "static _Noreturn void four(char at[static N + 1])\n{\n}\n"
            "static int prototype(void);\nstatic const int number = (1);\nstatic int table[] = {f(1)};\nint public(void)\n{\n    return called(2);\n}\n"
        )
        self.assertEqual(statics.definitions(text), {"one": 1, "two": 4, "three": 9, "five": 12, "four": 15})

    def test_names_of_their_own(self):
        self.file("a/x.c", "static int x_put(void)\n{\n}\nint put(void)\n{\n}\n")
        self.file("b/y.c", "static int y_put(void)\n{\n}\n")
        code, said = self.run_on()
        self.assertEqual((code, said), (0, "statics: 2 names of static functions, 0 of them in several files\n"))

    def test_namesakes(self):
        self.file("a/x.c", "static int put(void)\n{\n}\n")
        self.file("b/y.c", "\nstatic void put(int i)\n{\n}\n")
        code, said = self.run_on()
        self.assertEqual(code, 1)
        self.assertIn("put() stands in 2 files; give it the prefix of its module: a/x.c:1 b/y.c:2", said)

    def test_what_is_not_looked_at(self):
        self.file("a/x.c", "static int put(void)\n{\n}\n")
        self.file("a/x_test.c", "static int put(void)\n{\n}\n")
        self.file("a/testing/y.c", "static int put(void)\n{\n}\n")
        self.assertEqual(self.run_on()[0], 0)

    def test_branches_of_an_if_are_one_function(self):
        self.file("a/x.c", "#if A\nstatic int put(void)\n{\n}\n#else\nstatic int put(void)\n{\n}\n#endif\n")
        self.assertEqual(self.run_on()[0], 0)


if __name__ == "__main__":
    unittest.main()

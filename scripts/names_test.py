# SPDX-License-Identifier: MPL-2.0
"""Tests of names.py on small made-up trees."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import names  # noqa: E402


class Names(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.put("src/a/x.c", "struct box { int i; };\nstatic void x_put(struct box *b)\n{\n}\n")

    def put(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def told(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = names.main(self.root)
        lines = out.getvalue().splitlines()[:-1]
        self.assertEqual(code, 1 if lines else 0)
        return lines

    def test_what_exists(self):
        self.put("src/a/y.h", "/*\n * x_put() in x.c, or a/x.c, fills a struct box. See src/a/y.h.\n */\n")
        self.put("ARCHITECTURE.md", "`x_put()` in `a/x.c` takes a `struct box`, a struct of `src/a/x.c`.\n")
        self.assertEqual(self.told(), [])

    def test_a_function(self):
        self.put("src/a/y.h", "\n/* x_take() gives it back. */\n")
        self.assertEqual(self.told(), ["src/a/y.h:2: there is no function x_take()"])

    def test_a_struct(self):
        self.put("src/a/y.h", "/* In struct crate. */\n")
        self.assertEqual(self.told(), ["src/a/y.h:1: there is no struct crate"])

    def test_a_file_of_a_page(self):
        self.put("docs/internals/a.md", "See `a/z.c`.\n")
        self.assertEqual(self.told(), ["docs/internals/a.md:1: there is no file a/z.c"])

    def test_a_function_that_has_moved(self):
        self.put("src/a/y.h", "/* x_put() in y.h does it. */\n")
        self.assertEqual(self.told(), ["src/a/y.h:1: x_put() does not stand in y.h"])

    def test_code_is_not_looked_at(self):
        self.put("src/a/y.h", "void y_none(void (*f)(void));\nstruct unknown *y; // x_put()\n")
        self.assertEqual(self.told(), [])

    def test_an_empty_tree_is_a_failure(self):
        with tempfile.TemporaryDirectory() as empty, contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(names.main(Path(empty)), 1)


if __name__ == "__main__":
    unittest.main()

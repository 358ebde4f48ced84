# SPDX-License-Identifier: MPL-2.0
"""Tests of scripts/records.py."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import records  # noqa: E402  (beside this file)


class Members(unittest.TestCase):
    def count(self, text, name="a"):
        return records.members(records.body_of(text, name))

    def test_declarators_count(self):
        self.assertEqual(self.count("struct a { int b, *c; struct d e[2]; };"), 3)

    def test_bits_arrays_and_functions(self):
        self.assertEqual(self.count("struct a { bool b : 1; int c[F(1, 2)]; void (*d)(int, int); };"), 3)

    def test_comments_do_not_count(self):
        self.assertEqual(self.count("struct a { int b; /* int c; */\n// int d;\n };"), 1)

    def test_a_nested_struct_is_one(self):
        self.assertEqual(self.count("struct a { struct { int b, c; } d; int e; };"), 2)

    def test_another_struct_is_not_it(self):
        self.assertIsNone(records.body_of("struct ab { int c; }; struct a;", "a"))


class Check(unittest.TestCase):
    def run_on(self, text, most):
        with tempfile.TemporaryDirectory() as src, contextlib.redirect_stdout(io.StringIO()) as out:
            Path(src, "x.h").write_text(text, encoding="utf-8")
            with mock.patch.dict(records.RECORDS, {("x.h", "a"): most}, clear=True):
                return records.main(Path(src)), out.getvalue()

    def test_few_are_fine(self):
        self.assertEqual(self.run_on("struct a { int b, c; };", 2)[0], 0)

    def test_too_many_are_told(self):
        status, told = self.run_on("struct a { int b, c; };", 1)
        self.assertEqual(status, 1)
        self.assertIn("struct a has 2 members, 1 at most: too many", told)

    def test_a_record_that_is_gone_is_told(self):
        self.assertEqual(self.run_on("struct b { int c; };", 1)[0], 1)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Checks that no two files of the program define static functions of the same name: a profile, a backtrace and grep show the name alone.

Usage: scripts/statics.py [ROOT]. Prints each such name with its places; exits 1 if there is one. Tests, fuzzers and fixtures are not looked at. Two definitions in one file
stand in the branches of an #if, and are one function.
"""

import re
import sys
from pathlib import Path

# A definition as clang-format lays it out: "static" at the margin, then the name before the brackets of the arguments, and the body. An attribute may stand before the name.
DEFINITION = re.compile(r"^static\s[^;{}=()]*?(?:\(+[\w, ]*\)+\s+[^;{}=()]*?)?\b(\w+)\((?:[^;{}()]|\([^(){};]*\))*\)\s*\{", re.MULTILINE)
APART = re.compile(r"(_test|_fuzz\w*|_drive|_oracle|_gen|\.bpf)\.c$|/testing/|/(fake_\w+|test_\w+)\.c$")


def definitions(text):
    """{name: line} of the static functions of a file."""
    return {match.group(1): text.count("\n", 0, match.start(1)) + 1 for match in reversed(list(DEFINITION.finditer(text)))}


def places(root):
    """{name: ["folder/file.c:line", ...]} of all static functions under ROOT/src."""
    found = {}
    for path in sorted((root / "src").rglob("*.c")):
        if APART.search(path.as_posix()):
            continue
        for name, line in definitions(path.read_text()).items():
            found.setdefault(name, []).append(f"{path.relative_to(root / 'src').as_posix()}:{line}")
    return found


def main(root):
    every = places(root)
    if not every:
        sys.exit(f"statics: no static functions under {root}/src")
    namesakes = {name: where for name, where in every.items() if len(where) > 1}
    for name, where in sorted(namesakes.items(), key=lambda item: (-len(item[1]), item[0])):
        print(f"statics: {name}() stands in {len(where)} files; give it the prefix of its module: {' '.join(where)}")
    print(f"statics: {len(every)} names of static functions, {len(namesakes)} of them in several files")
    sys.exit(1 if namesakes else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))

#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Checks that the functions, structs and files which comments and pages name exist: what is renamed or removed is named on otherwise.

Usage: scripts/names.py [ROOT]. Looks at the comments of all C files and at the pages for those who work on Weir. Prints each wrong name with its place; exits 1 if there is
one. Words count that can be nothing else: "name()", "struct name", "folder/file.c"; and "name() in file.c" stands in that file.
"""

import re
import sys
from pathlib import Path

PAGES = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/internals/*.md", "bench/README.md", "tests/zoo/README.md"]
FOLDERS = ["src", "include", "tests", "bench", "demo"]
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
FUNCTION = re.compile(r"(?<![\w/.>-])([A-Za-z_]\w{2,})\(\)")
STRUCT = re.compile(r"\bstruct (\w+)")
FILE = re.compile(r"(?<![\w./<-])((?:[\w-]+/)*[\w-]+\.(?:c|h|py|sh))\b(?!\.)")
PLACE = re.compile(r"\b(\w{3,})\(\)`? in `?((?:[\w-]+/)*[\w-]+\.[ch])\b")
# Of the kernel, of libraries, and of examples.
FOREIGN = {"answer_busy", "exec", "expand_fdtable", "fs/file.c", "longjmp", "netinet/tcp.h", "query_database", "vfork"}
# What follows "struct" in a sentence.
ENGLISH = {"a", "in", "of", "whose"}


def code_of(text):
    return COMMENT.sub(" ", text)


class Tree:
    def __init__(self, root):
        self.root = root
        self.texts = {p: p.read_text(encoding="utf-8") for f in FOLDERS for p in sorted((root / f).rglob("*.[ch]"))}
        code = "\n".join(map(code_of, self.texts.values()))
        self.functions = set(re.findall(r"\b[A-Za-z_]\w*(?=\()", code)) | set(re.findall(r"\(\*(?:const )?(\w+)\)\(", code))
        self.structs = set(re.findall(r"\bstruct (\w+)", code)) | ENGLISH
        self.included = set(re.findall(r"#include <([^>]+)>", code))
        self.files = {p.relative_to(root).as_posix() for f in [*FOLDERS, "scripts", "dist"] for p in (root / f).rglob("*") if p.is_file()}

    def paths(self, name, beside):
        """The files that may be meant."""
        if "/" not in name:
            return [p for p in self.files if p.rsplit("/", 1)[-1] == name]
        return [p + name for p in ("", "src/", "include/", beside + "/") if p + name in self.files]

    def stands_in(self, name, file, beside):
        return any(re.search(rf"\b{name}\b", code_of(self.texts[self.root / p])) for p in self.paths(file, beside))


def wrong_names(tree, text, beside):
    """[(offset, what)] of a text without code."""
    found = []
    for m in FUNCTION.finditer(text):
        if m.group(1) not in tree.functions | FOREIGN and not m.group(1).startswith("NAME_"):
            found.append((m.start(), f"there is no function {m.group(1)}()"))
    for m in STRUCT.finditer(text):
        if m.group(1) not in tree.structs:
            found.append((m.start(), f"there is no struct {m.group(1)}"))
    for m in FILE.finditer(text):
        if not tree.paths(m.group(1), beside) and m.group(1) not in tree.included | FOREIGN:
            found.append((m.start(), f"there is no file {m.group(1)}"))
    for m in PLACE.finditer(text):
        if tree.paths(m.group(2), beside) and not tree.stands_in(m.group(1), m.group(2), beside):
            found.append((m.start(), f"{m.group(1)}() does not stand in {m.group(2)}"))
    return sorted(found)


def comments_only(text):
    """The text with all but its comments blanked; lines keep their numbers."""
    kept, at = [], 0
    for match in COMMENT.finditer(text):
        kept += [re.sub(r"[^\n]", " ", text[at : match.start()]), match.group()]
        at = match.end()
    return "".join(kept)


def main(root):
    tree, wrong = Tree(root), 0
    pages = {p: p.read_text(encoding="utf-8") for pattern in PAGES for p in sorted(root.glob(pattern))}
    for path, text in {**{p: comments_only(t) for p, t in tree.texts.items()}, **pages}.items():
        name = path.relative_to(root).as_posix()
        for offset, what in wrong_names(tree, text, name.rsplit("/", 1)[0]):
            print(f"{name}:{text.count(chr(10), 0, offset) + 1}: {what}")
            wrong += 1
    print(f"names: {len(tree.texts)} files and {len(pages)} pages, {wrong} names of what does not exist")
    return 1 if wrong or not tree.texts else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)))

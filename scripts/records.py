#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Checks that the records which many modules share have few members: what a feature needs of one is a struct of its own module (see ARCHITECTURE.md).

Usage: scripts/records.py [SRC]. Prints the number of members of each record, and exits 1 if one has too many or is not found.
"""

import re
import sys
from pathlib import Path

# (header under SRC, struct): most members
RECORDS = {
    ("relay/record.h", "session"): 20,
    ("relay/worker.h", "worker"): 25,
    ("relay/worker.h", "worker_gate"): 25,
    ("relay/gate.h", "gate"): 25,
}


def body_of(text, name):
    """What stands between the braces of `struct NAME { ... }`, without comments; None: there is no such struct."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    start = re.search(rf"\bstruct {name}\s*\{{", text)
    if not start:
        return None
    depth = 1
    for at in range(start.end(), len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start.end() : at]
    return None


def members(body):
    """The number of declarators: `int a, b[2];` has two. A nested struct or union is one."""
    count = depth = 0
    seen = False
    for char in body:
        depth += (char in "{([") - (char in "})]")
        seen |= not char.isspace() and char not in ",;"
        if depth == 0 and char in ",;" and seen:
            count += 1
            seen = False
    return count


def main(src):
    wrong = 0
    for (header, name), most in RECORDS.items():
        path = src / header
        body = body_of(path.read_text(encoding="utf-8"), name) if path.is_file() else None
        if body is None:
            print(f"records: {header}: there is no struct {name}; mend the table in scripts/records.py")
            wrong += 1
            continue
        count = members(body)
        wrong += count > most
        print(f"records: {header}: struct {name} has {count} members, {most} at most{': too many' if count > most else ''}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "src")))

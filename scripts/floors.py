#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Checks that every file under src/ includes its own folder and lower floors only (see ARCHITECTURE.md).

Usage: scripts/floors.py [SRC]. Prints one line for each wrong include and exits 1, or one line of summary and exits 0.
"""

import re
import sys
from pathlib import Path

# From the ground up. Folders of one floor do not include one another, except for the pairs in SIDEWAYS.
FLOORS = [
    ["base", "preload"],
    ["zmtp", "limits", "flow", "stats", "loop"],
    ["bans", "inspect", "lib"],
    ["firewall", "events"],
    ["config"],
    ["relay"],
    ["admin"],
    ["cli", "daemon", "embed"],
]
# The command line starts the daemon, never the other way round.
SIDEWAYS = {("cli", "daemon")}

LEVEL = {folder: level for level, folders in enumerate(FLOORS) for folder in folders}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def may_include(folder, other):
    if folder == other or (folder, other) in SIDEWAYS:
        return True
    return LEVEL[other] < LEVEL[folder]


def included_folder(path, name):
    """The folder that an include names: its first component, or the file's own folder when it has none."""
    parts = name.split("/")
    return parts[0] if len(parts) > 1 else path.parent.name


def wrong_include(src, path, folder, name):
    """Why the include is wrong, or None."""
    if ".." in name.split("/"):
        return "leaves its folder by '..'; name the folder"
    other = included_folder(path, name)
    if other not in LEVEL:
        return f"'{other}' has no floor"
    if not (src / name).is_file() and not (path.parent / name).is_file():
        return "no such file"
    if not may_include(folder, other):
        return f"{folder} (floor {LEVEL[folder]}) must not include {other} (floor {LEVEL[other]})"
    return None


def check_file(src, path):
    folder = path.relative_to(src).parts[0]
    if folder not in LEVEL:
        return [f"{path}: folder '{folder}' has no floor; give it one in scripts/floors.py"]
    errors = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        why = wrong_include(src, path, folder, found.group(1)) if found else None
        if why:
            errors.append(f'{path}:{number}: "{found.group(1)}": {why}')
    return errors


def check_tree(src):
    """Returns the number of files and the mistakes of the tree at `src`."""
    files = sorted(p for p in src.rglob("*") if p.suffix in (".c", ".h") and p.parent != src)
    return len(files), [error for path in files for error in check_file(src, path)]


def main(args):
    src = Path(args[0]) if args else Path(__file__).resolve().parent.parent / "src"
    count, errors = check_tree(src)
    for error in errors:
        print(error)
    if errors or count == 0:
        print(f"floors: {len(errors)} wrong includes in {count} files")
        return 1
    print(f"floors: {count} files include their own folder and lower floors only")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Checks, by the symbols of the object files, that the modules of no folder call one another in a circle (see ARCHITECTURE.md).

Usage: scripts/circles.py [--edges FOLDER] [BUILD]. Prints one line for each folder, and for each circle its modules; exits 1 if there is a circle. A module is a .c file;
what its header defines inline belongs to whoever includes it.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFINED = set("TDBRVWGSC")  # global symbols that nm finds defined


def symbols(objects):
    """{module: (defined, undefined)} of object files."""
    found = {path: (set(), set()) for path in objects}
    out = subprocess.run(["nm", "-A", "-g", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        match = re.match(r"(.*?\.o):\s*[0-9a-f]*\s+(\w) (\S+)$", line)
        if match:
            defined, undefined = found[Path(match.group(1))]
            (defined if match.group(2) in DEFINED else undefined).add(match.group(3))
    return {re.sub(r"\.c\.o$", "", path.name): sets for path, sets in found.items()}


def calls(modules):
    """{module: {other module: symbols}} within one folder."""
    owner = {symbol: name for name, (defined, _) in modules.items() for symbol in defined}
    edges = {name: {} for name in modules}
    for name, (_, undefined) in modules.items():
        for symbol in undefined:
            other = owner.get(symbol)
            if other and other != name:
                edges[name].setdefault(other, set()).add(symbol)
    return edges


def circles(edges):
    """The strongly connected components of more than one module (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = set()
            while node not in component:
                component.add(stack.pop())
            if len(component) > 1:
                found.append(component)

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def ranks(edges):
    """Modules from the ground up, where there is no circle: [[module, ...], ...]."""
    level = {}

    def of(node):
        if node not in level:
            level[node] = 1 + max((of(other) for other in edges[node]), default=-1)
        return level[node]

    for node in edges:
        of(node)
    return [sorted(n for n in level if level[n] == i) for i in range(max(level.values(), default=-1) + 1)]


def folders(build):
    """{folder: object files} of the static libraries under BUILD/src that go into the program."""
    found = {}
    for library in sorted((build / "src").glob("*/libweir_*.a.p")):
        if library.name == f"libweir_{library.parent.name}.a.p":
            objects = sorted(library.glob("*.o"))
            if objects:  # the folder may have been moved since the build directory was made
                found[library.parent.name] = objects
    return found


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--edges", metavar="FOLDER", help="print who calls whom in this folder, and its modules from the top down")
    options.add_argument("build", nargs="?", type=Path, default=ROOT / "build")
    options = options.parse_args()
    every = folders(options.build)
    if not every:
        sys.exit(f"circles: no object files under {options.build}/src; build first")
    wrong = 0
    for folder, objects in every.items():
        edges = calls(symbols(objects))
        found = circles(edges)
        wrong += len(found)
        print(f"circles: {folder}: {len(edges)} modules, {sum(map(len, edges.values()))} calls between them, {len(found)} circles")
        for component in found:
            print(f"  {len(component)} modules in a circle: {' '.join(sorted(component))}")
        if options.edges == folder:
            for name in sorted(edges):
                for other, names in sorted(edges[name].items()):
                    mark = "*" if any({name, other} <= component for component in found) else " "
                    print(f"  {mark} {name} -> {other}: {' '.join(sorted(names))}")
            if not found:
                print("\n".join("  " + " ".join(rank) for rank in reversed(ranks(edges))))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Writes a file as an array of bytes for C: scripts/embed.py FILE HEADER NAME."""
import sys


def main(path, header, name):
    with open(path, "rb") as f:
        data = f.read()
    rows = [", ".join(f"0x{byte:02x}" for byte in data[i:i + 16]) for i in range(0, len(data), 16)]
    with open(header, "w", encoding="ascii") as f:
        f.write(f"/* Made by scripts/embed.py. */\n_Alignas(8) static const unsigned char {name}[] = {{\n    " + ",\n    ".join(rows) + "};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

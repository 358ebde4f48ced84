#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Writes man/weir.yaml.5 from docs/config.md, which the program itself writes from its tables.

Usage: scripts/man_yaml.py [--check]. With --check it fails if the page differs from what the tables say now.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, PAGE = ROOT / "docs/config.md", ROOT / "man/weir.yaml.5"

HEAD = r""".\" SPDX-License-Identifier: MPL-2.0
.\" Written by scripts/man_yaml.py from docs/config.md.
.TH WEIR.YAML 5 "" "Weir" "File Formats"
.SH NAME
weir.yaml \- configuration of Weir, flood protection for ZeroMQ
.SH DESCRIPTION
"""
TAIL = r""".SH SEE ALSO
.BR weir (1),
.BR weir\-run (1)
"""
FONTS = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*")


def escaped(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def inline(text):
    """Code and strong words in bold, emphasis in italics."""
    out, at = "", 0
    for found in FONTS.finditer(text):
        code, strong, emphasis = found.groups()
        out += escaped(text[at:found.start()]) + (f"\\fI{escaped(emphasis)}\\fR" if emphasis else f"\\fB{escaped(code or strong)}\\fR")
        at = found.end()
    return out + escaped(text[at:])


def guarded(line):
    """A line that begins with a point or an apostrophe would be a request of troff."""
    return "\\&" + line if line[:1] in (".", "'") else line


def blocks(text):
    """Headings, paragraphs and code, in their order: (kind, text)."""
    text = re.sub(r"<!--.*?-->\n", "", text, flags=re.S)
    for part in re.split(r"(^```.*?^```$)", text, flags=re.M | re.S):
        if part.startswith("```"):
            yield "code", "\n".join(part.split("\n")[1:-1])
            continue
        for paragraph in filter(None, (p.strip() for p in part.split("\n\n"))):
            marks = re.match(r"#+ ", paragraph)
            yield (marks.group().strip(), paragraph[marks.end():]) if marks else ("text", paragraph)


def page(text):
    out, begins, under = HEAD, True, "#"
    for kind, content in blocks(text):
        if kind == "##":
            out += f'.SH "{escaped(content.upper())}"\n'
        elif kind == "###":
            out += f".TP\n.B {escaped(content)}\n"
        elif kind == "code":
            out += ".PP\n.RS\n.EX\n" + "".join(guarded(escaped(line)) + "\n" for line in content.split("\n")) + ".EE\n.RE\n"
        elif kind == "text":
            mark = "" if begins else ".IP\n" if under == "###" else ".PP\n"
            out += mark + "".join(guarded(inline(line)) + "\n" for line in [" ".join(content.split("\n"))])
        begins = kind in ("#", "##", "###")
        under = kind if begins else under
    return out + TAIL


def main():
    wanted = page(SOURCE.read_text())
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != wanted:
            sys.exit(f"{PAGE.relative_to(ROOT)} is not what docs/config.md says now: run scripts/man_yaml.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        PAGE.write_text(wanted)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MPL-2.0
"""The pages of libweir: their programs compile without a warning and print what the page says, and the man page has every function."""
import re
import subprocess
from pathlib import Path

import pytest
from harness.weir import ROOT, program

BUILD = Path(program()[0]).resolve().parent
LIBRARY = BUILD / "src" / "embed"
PAGES = sorted(page for page in (ROOT / "docs" / "library").glob("*.md") if page.stem != "README")
HEADERS = sorted(path for path in (ROOT / "include" / "weir").glob("*.h") if path.stem != "taken")
DECLARED = {name for path in HEADERS for name in re.findall(r"\b(weir_\w+)\(", re.sub(r"/\*.*?\*/|typedef[^;]*;", " ", path.read_text(), flags=re.S))}


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


@pytest.mark.skipif(not (LIBRARY / "libweir.so").exists(), reason="this build has no libweir (-Dlibrary=enabled)")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_ends_with_a_program_that_works(page, tmp_path):
    text = page.read_text()
    assert text.splitlines()[2].startswith("**The recommendation:**")
    source, said = blocks(text, "c")[-1], blocks(text, "console")[-1]
    (tmp_path / "a.c").write_text(source)
    if "__asan_init" in subprocess.run(["nm", "-D", LIBRARY / "libweir.so"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the library is built with a sanitizer")
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "include", "-o", tmp_path / "a", tmp_path / "a.c", "-L", LIBRARY, f"-Wl,-rpath,{LIBRARY}",
                    "-lweir", "-lzmq"], check=True, timeout=60)
    done = subprocess.run([tmp_path / "a"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, said)


def test_the_man_page_has_every_function():
    text = (ROOT / "man" / "weir.3").read_text().replace("\\-", "-")
    assert DECLARED - set(re.findall(r"\bweir_\w+", text)) == set()


def test_names_on_the_pages_exist():
    known = "".join(path.read_text() for path in HEADERS)
    for page in [*PAGES, ROOT / "docs" / "library" / "README.md", ROOT / "man" / "weir.3"]:
        named = set(re.findall(r"\b(?:weir|WEIR)_[A-Za-z_]+\b", page.read_text().replace("\\-", "-")))
        assert {name for name in named if name not in known and name.removesuffix("_total") not in known} == set(), page

# SPDX-License-Identifier: MPL-2.0
"""libweir as a program finds it: installed headers and library, its symbols, and the ways of building against it."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.weir import ROOT, program

BUILD = Path(program()[0]).resolve().parent
PARTS = sorted(path.stem for path in (ROOT / "include" / "weir").glob("*.h") if path.stem != "taken")
PROGRAM = """
#include <weir.h>
#include <weir.h>
int main(void)
{
    struct weir_breaker *breaker = weir_breaker_new(NULL);
    weir_breaker_free(breaker);
    return breaker && weir_version() == (WEIR_VERSION_MAJOR << 16 | WEIR_VERSION_MINOR << 8 | WEIR_VERSION_PATCH) ? 0 : 1;
}
"""

pytestmark = pytest.mark.skipif(not (BUILD / "src" / "embed" / "libweir.so").exists(), reason="this build has no libweir (-Dlibrary=enabled)")


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def symbols():
    return [line.split()[-1] for line in run("nm", "-D", "--defined-only", BUILD / "src" / "embed" / "libweir.so").splitlines()]


def declared():
    """The functions of the headers."""
    text = "".join((ROOT / "include" / "weir" / f"{part}.h").read_text() for part in PARTS)
    text = re.sub(r"/\*.*?\*/|typedef[^;]*;", " ", text, flags=re.S)
    return set(re.findall(r"\b(weir_\w+)\(", text))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `meson install` puts below a folder. A library with a sanitizer in it loads only into such a program."""
    if "__asan_init" in (undefined := run("nm", "-D", BUILD / "src" / "embed" / "libweir.so")) or "__tsan_init" in undefined:
        pytest.skip("the library is built with a sanitizer")
    folder = tmp_path_factory.mktemp("installed")
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", folder)
    return folder


def environment(installed):
    (pc,) = installed.rglob("weir.pc")
    (library,) = installed.rglob("libweir.so")
    return {**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(installed), "LD_LIBRARY_PATH": str(library.parent)}


def test_only_its_own_names_are_exported():
    others = [name for name in symbols() if not re.fullmatch(r"weir_\w+@@WEIR_0\.1|WEIR_0\.1", name)]
    assert others == []


def test_each_function_of_the_headers_is_exported_and_nothing_else():
    assert {name.split("@")[0] for name in symbols()} - {"WEIR_0.1"} == declared()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("compiler", [("cc", "-x", "c", "-std=c11"), ("c++", "-x", "c++", "-std=c++11")], ids=["c", "c++"])
def test_each_part_stands_alone(part, compiler):
    """Strict standards, all warnings: what an application may have switched on."""
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]}")
    run(*compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", ROOT / "include", "-", input=f"#include <weir/{part}.h>\n")


@pytest.mark.parametrize("compiler", [("cc", "-x", "c"), ("c++", "-x", "c++")], ids=["c", "c++"])
def test_pkg_config(installed, tmp_path, compiler):
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]}")
    env = environment(installed)
    flags = run("pkg-config", "--cflags", "--libs", "weir", env=env).split()
    run(*compiler, "-", "-o", tmp_path / "a", *flags, input=PROGRAM)
    run(tmp_path / "a", env=env)


def test_cmake(installed, tmp_path):
    if not shutil.which("cmake"):
        pytest.skip("no cmake")
    (tmp_path / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.16)\nproject(a C)\nfind_package(weir 0.1 REQUIRED)\n"
                                             "add_executable(a a.c)\ntarget_link_libraries(a PRIVATE weir::weir)\n")
    (tmp_path / "a.c").write_text(PROGRAM)
    (config,) = installed.rglob("weirConfig.cmake")
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dweir_DIR={config.parent}")
    run("cmake", "--build", tmp_path / "build")
    run(tmp_path / "build" / "a")

#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# scripts/build.sh DIR [--target NAME]... [meson options...]: configures DIR if it is new or if an option changed, then builds.
# Tests and benchmarks are off unless an option switches them on, so that a plain `make` needs the fewest packages.
set -euo pipefail

dir=$1
shift
targets=()
while [ "${1:-}" = --target ]; do
    targets+=("$2")
    shift 2
done

jobs=$(nproc)
if [ ! -f "$dir/build.ninja" ]; then
    meson setup "$dir" -Dtests=false -Dbench=false "$@" >"$dir.log" 2>&1 || {
        cat "$dir.log" >&2
        exit 1
    }
    rm -f "$dir.log"
elif [ $# -gt 0 ] && [ "$(cat "$dir/.options" 2>/dev/null)" != "$*" ]; then
    meson configure "$dir" "$@" >/dev/null
fi
[ $# -gt 0 ] && printf '%s\n' "$*" >"$dir/.options"
ninja -C "$dir" -j "$jobs" --quiet "${targets[@]}"

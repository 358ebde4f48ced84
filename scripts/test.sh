#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# scripts/test.sh STEP... [pytest arguments after e2e]: runs every step named, also after a failure, and fails if one failed.
# In CI (CI set) gcc's warnings are errors. Lines such as "Ok: 12" and "3 passed" are the runners' own.
# What fails is run once more by itself, if it is no more than AGAIN_MOST: a machine that others use as well delays what should be quick. It has
# failed when it fails twice.
set -uo pipefail

BUILD=${BUILD:-build}
werror=${CI:+-Dwerror=true}
failed=()
AGAIN_MOST=8
PROCESSES=$(($(nproc) + 1)) # some always wait
E2E_PROCESSES=${E2E_PROCESSES:-$PROCESSES}

# A sanitizer's finding must end the program, or a test could pass in spite of it.
# An absurd allocation is none: tests ask for some to see them refused.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:allocator_may_return_null=1}

is_few() {
    [ $# -gt 0 ] && [ $# -le $AGAIN_MOST ]
}

build_and_test() { # DIR TIMEOUT_MULTIPLIER [meson options]; tests: only these
    local dir=$1 patience=$2 again
    shift 2
    scripts/build.sh "$dir" "${targets[@]}" -Dtests=true "$@" || return 1
    meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes "$PROCESSES" --timeout-multiplier "$patience" "${tests[@]}" && return 0
    mapfile -t again < <(sed -nE 's/^ *[0-9]+\/[0-9]+ +([^ ]+) +(FAIL|TIMEOUT) .*/\1/p' "$dir/meson-logs/testlog.txt" | sort -u)
    is_few "${again[@]}" || return 1
    echo "test: once more: ${again[*]}"
    meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier "$patience" "${again[@]}"
}

tests=()
targets=()

run_unit() {
    build_and_test "$BUILD" 2 ${werror:+"$werror"} -Dbench=true && python3 scripts/circles.py "$BUILD"
}

# With a sanitizer -O2 costs more time at the compiler than it saves, and warnings of gcc mean little: it sees ranges that the program rules out.
SANITIZED=(-Db_lundef=false -Doptimization=1 -Dc_args=-Wno-format-truncation)

run_asan() {
    build_and_test "$BUILD-asan" 6 -Db_sanitize=address,undefined "${SANITIZED[@]}"
}

# The tests that start threads: in the others there is nothing to find, and they take minutes. Nothing else is built.
run_tsan() {
    local tests targets=() test
    mapfile -t tests < <(grep -lE 'pthread_create|(relay|admin|ban_store|event_writer)_start|kernel_bans_follow|daemon_run' src/*/*_test.c | sed -E 's|src/(.*)_test.c|\1|')
    for test in "${tests[@]}"; do
        targets+=(--target "src/${test%/*}/${test/\//_}_test")
    done
    build_and_test "$BUILD-tsan" 10 -Db_sanitize=thread "${SANITIZED[@]}"
}

# What applications are linked with, as they would check it themselves.
run_valgrind() {
    local tests targets=() test
    mapfile -t tests < <(ls src/lib/*_test.c src/embed/*_test.c | sed -E 's|src/(.*)_test.c|\1|')
    for test in "${tests[@]}"; do
        targets+=(--target "src/${test%/*}/${test/\//_}_test")
    done
    scripts/build.sh "$BUILD" "${targets[@]}" -Dtests=true ${werror:+"$werror"} -Dbench=true &&
        meson test -C "$BUILD" --no-rebuild --print-errorlogs --num-processes "$PROCESSES" --timeout-multiplier 10 \
            --wrap 'valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite' "${tests[@]}"
}

run_scripts() {
    python3 scripts/floors.py && python3 scripts/records.py && python3 -m unittest -q scripts/floors_test.py scripts/records_test.py scripts/circles_test.py scripts/statics_test.py scripts/names_test.py
}

run_e2e() {
    if [ -x scripts/interop-deps.sh ]; then
        scripts/interop-deps.sh || return 1
    fi
    scripts/build.sh "$BUILD" -Dtests=true ${werror:+"$werror"} -Dbench=true &&
        run_pytest tests/e2e tests/interop "$@"
}

# Most tests wait most of the time, so that some processes run side by side. Tests with the marker "alone" compare what is measured, or need the
# whole machine: they follow, one at a time. pytest itself notes what has failed.
run_pytest() {
    local notes=$BUILD/e2e-notes again half result=0 ran=0
    local -x WEIR=${WEIR:-$(realpath "$BUILD")/weir}
    rm -rf "$notes"
    for half in "not alone" alone; do
        pytest_half "$half" "$@"
        case $? in
        0) ran=1 ;;
        1) ran=1 result=1 ;;
        5) ;; # no test of this half is chosen
        *) return 1 ;;
        esac
    done
    [ $result -eq 0 ] && [ $ran -eq 1 ] && return 0
    mapfile -t again < <(/usr/bin/python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])), sep="\n")' "$notes/v/cache/lastfailed" 2>/dev/null)
    is_few "${again[@]}" || return 1
    echo "test: once more: ${again[*]}"
    /usr/bin/python3 -m pytest -q -ra "${again[@]}"
}

pytest_half() { # WHICH [pytest arguments]
    local which=$1 processes=()
    shift
    [ "$which" != alone ] && /usr/bin/python3 -c 'import xdist' 2>/dev/null && processes=(-n "$E2E_PROCESSES")
    /usr/bin/python3 -m pytest -q -ra -o cache_dir="$(realpath "$BUILD")/e2e-notes" "${processes[@]}" "$@" -m "$which"
}

# How long each step took the last time, so that whoever waits knows what is still to come.
TIMES=$BUILD/test-times

begin_step() { # STEP NUMBER COUNT
    local last
    last=$(sed -nE "s/^$1 ([0-9]+)$/; it took \1 s the last time/p" "$TIMES" 2>/dev/null)
    echo "== $1 (step $2 of $3, $SECONDS s so far$last)"
}

end_step() { # STEP SECONDS
    [ -d "$BUILD" ] || return 0
    {
        grep -v "^$1 " "$TIMES" 2>/dev/null
        echo "$1 $2"
    } >"$TIMES.new" && mv "$TIMES.new" "$TIMES"
}

count=0
for step in "$@"; do
    count=$((count + 1))
    [ "$step" = e2e ] && break # the rest are arguments of pytest
done

for ((number = 1; number <= count; number++)); do
    step=$1 began=$SECONDS
    shift
    begin_step "$step" $number $count
    if [ "$step" = e2e ]; then
        run_e2e "$@" || failed+=(e2e)
    else
        "run_$step" || failed+=("$step")
    fi
    end_step "$step" $((SECONDS - began))
done

[ ${#failed[@]} -eq 0 ] && exit 0
echo "test: failed: ${failed[*]}" >&2
exit 1

#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Everything that can be said about the tree without running it. Runs every check, then fails if one failed.
set -uo pipefail

BUILD=${BUILD:-build}
failed=()

mapfile -t c_files < <(git ls-files -- '*.c' '*.h')
mapfile -t licensed < <(git ls-files -- '*.c' '*.h' '*.py' '*.sh' '*.js' '*.java' '*.build' '*.cfg' '*.conf' '*.nft' '*.yaml' '*.yml' Makefile .ci/run)

if [ ${#c_files[@]} -eq 0 ]; then
    echo "lint: git lists no files here: not a clone, or one that git does not trust (safe.directory)" >&2
    exit 1
fi

check_format() {
    clang-format --dry-run -Werror "${c_files[@]}"
}

check_clang() {
    CC=clang scripts/build.sh "$BUILD-clang" -Dtests=true -Dbench=true -Dwerror=true
}

# Style opinions are left to clang-format. pointerSize: free buffers hold the link of their list in their first bytes. OutOfMemory: a fuzz harness
# without memory may end as it likes. normalCheckLevelMaxBranches: a note that cppcheck 2.17 makes of each large function.
check_cppcheck() {
    local id suppress=(missingIncludeSystem unknownMacro pointerSize '*:*_test.c' normalCheckLevelMaxBranches)
    for id in nullPointerOutOfMemory nullPointerArithmeticOutOfMemory; do
        suppress+=("$id:*_fuzz.c" "$id:*_drive.c")
    done
    cppcheck --quiet --error-exitcode=1 -j "$(nproc)" --std=c11 --enable=warning,portability --inline-suppr "${suppress[@]/#/--suppress=}" \
        -D_GNU_SOURCE -D__linux__ -I src -I include src include bench demo
}

# Calls that cannot be bounded, or that cannot tell a number from garbage.
check_calls() {
    ! grep -nE '(^|[^_[:alnum:]])(strcpy|strcat|stpcpy|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok|alloca)[[:space:]]*\(' \
        "${c_files[@]}"
}

check_leftovers() {
    ! git grep -nwE 'TO''DO|FIX''ME|XX''X'
}

check_licences() {
    local file bad=0
    for file in "${licensed[@]}"; do
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MPL-2.0' && continue
        echo "$file: no SPDX-License-Identifier: MPL-2.0 in its first three lines"
        bad=1
    done
    return $bad
}

# A row that a merge has left twice. Rows without words (|---|) and rows of code blocks are no rows of a table.
check_tables() {
    git ls-files -z -- '*.md' | xargs -0 awk '
        FNR == 1 { code = 0; delete seen }
        /^```/ { code = !code }
        code || !/^\|/ { delete seen; next }
        /[[:alnum:]]/ && $0 in seen { printf "%s:%d: this row is in line %d, too\n", FILENAME, FNR, seen[$0]; bad = 1 }
        { seen[$0] = FNR }
        END { exit bad }'
}

check_floors() {
    python3 scripts/floors.py && python3 scripts/records.py
}

check_statics() {
    python3 scripts/statics.py
}

check_names() {
    python3 scripts/names.py
}

check_manuals() {
    python3 scripts/man_yaml.py --check
}

check_python() {
    local file
    for file in $(git ls-files -- '*.py'); do
        python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file" || return 1
    done
}

check_shell() {
    local file
    for file in $(git ls-files -- '*.sh' .ci/run); do
        bash -n "$file" || return 1
    done
}

for check in format clang cppcheck calls leftovers licences tables floors statics names manuals python shell; do
    if "check_$check"; then
        echo "lint: $check: ok"
    else
        echo "lint: $check: FAILED"
        failed+=("$check")
    fi
done

[ ${#failed[@]} -eq 0 ] && exit 0
echo "lint: failed: ${failed[*]}" >&2
exit 1

#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Puts what tests/interop and the zoo need beside the build directory (build-interop/, or $WEIR_INTEROP): the npm package zeromq as locked, and the
# compiled Java peer. Does nothing when all is there. In CI (CI set) whatever is missing is an error; otherwise those tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

into=${WEIR_INTEROP:-build-interop}
jeromq=${WEIR_JEROMQ:-/usr/share/java/jeromq.jar}

absent() {
    echo "interop-deps: $1" >&2
    [ -z "${CI:-}" ]
}

node_package() {
    local here=tests/interop/node there=$into/node
    cmp -s "$here/package-lock.json" "$there/installed-lock.json" && return 0
    command -v npm >/dev/null || { absent "npm is missing; tests with node are left out"; return; }
    mkdir -p "$there"
    cp "$here/package.json" "$here/package-lock.json" "$there/"
    # The package brings its binary, so no script of it needs to run.
    npm ci --prefix "$there" --ignore-scripts --no-audit --no-fund --loglevel=error || { absent "npm ci failed; tests with node are left out"; return; }
    cp "$here/package-lock.json" "$there/installed-lock.json"
}

java_peer() { # SOURCE
    local source=$1 there=$into/java
    [ "$there/$(basename "$source" .java).class" -nt "$source" ] && return 0
    command -v javac >/dev/null || { absent "javac is missing; tests with JeroMQ are left out"; return; }
    [ -e "$jeromq" ] || { absent "$jeromq is missing (Debian: libjeromq-java); tests with JeroMQ are left out"; return; }
    mkdir -p "$there"
    javac -nowarn -cp "$jeromq" -d "$there" "$source"
}

node_package
java_peer tests/interop/java/Peer.java
java_peer tests/zoo/foreign/ZooPeer.java

#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Installs the Debian packages that the named sets need: scripts/deps.sh build test demo bench survival zoo lint. Silent when nothing is missing.
set -euo pipefail

BUILD_PACKAGES=(gcc libc6-dev pkg-config meson ninja-build libsodium-dev libyaml-dev libmicrohttpd-dev libjansson-dev libnftables-dev)
TEST_PACKAGES=(valgrind libzmq3-dev libcmocka-dev python3 python3-zmq python3-pytest python3-pytest-xdist python3-yaml libjeromq-java fail2ban haproxy
               logrotate nftables iproute2 util-linux libbpf-dev clang)
DEMO_PACKAGES=(libzmq3-dev)
BENCH_PACKAGES=(libzmq3-dev haproxy python3)
SURVIVAL_PACKAGES=(libzmq3-dev haproxy nftables iproute2 util-linux coreutils python3)
# Programs that speak ZeroMQ; what a protocol lacks is left out of the table.
ZOO_PACKAGES=(libzmq3-dev python3 python3-zmq python3-yaml libjeromq-java iproute2 util-linux python3-ipykernel python3-jupyter-client python3-locust rsyslog-czmq)
LINT_PACKAGES=(clang clang-format cppcheck)

wanted=()
for set in "$@"; do
    case $set in
    build) wanted+=("${BUILD_PACKAGES[@]}") ;;
    test)
        wanted+=("${TEST_PACKAGES[@]}")
        command -v node >/dev/null || wanted+=(nodejs npm)
        command -v javac >/dev/null || wanted+=(default-jdk-headless)
        ;;
    demo) wanted+=("${DEMO_PACKAGES[@]}") ;;
    bench) wanted+=("${BENCH_PACKAGES[@]}") ;;
    survival) wanted+=("${SURVIVAL_PACKAGES[@]}") ;;
    zoo)
        wanted+=("${ZOO_PACKAGES[@]}")
        command -v node >/dev/null || wanted+=(nodejs npm)
        command -v javac >/dev/null || wanted+=(default-jdk-headless)
        ;;
    lint) wanted+=("${LINT_PACKAGES[@]}") ;;
    *)
        echo "deps: unknown set '$set' (build, test, demo, bench, survival, zoo, lint)" >&2
        exit 2
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    missing=()
    for tool in gcc meson ninja pkg-config; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    echo "deps: this is not a Debian system, so nothing is installed. Needed, by their Debian names: ${wanted[*]}" >&2
    [ ${#missing[@]} -eq 0 ] && exit 0
    echo "deps: not found here: ${missing[*]}" >&2
    exit 1
fi

# The status, not the mere presence in the list: a removed package keeps its entry while its configuration stays.
missing_packages() {
    local package
    for package in "${wanted[@]}"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
    done | sort -u
}

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=(env)
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: not root and no sudo here; as root, run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo env)
fi
apt_get=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0)

# The tests call these programs; no service of theirs (fail2ban) may begin to watch this machine, now or at its next start.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

echo "deps: installing ${missing[*]}"
"${apt_get[@]}" update
"${apt_get[@]}" install --no-install-recommends "${missing[@]}"
if printf '%s\n' "${missing[@]}" | grep -qx fail2ban && command -v systemctl >/dev/null; then
    "${as_root[@]}" systemctl --quiet disable fail2ban || true
fi

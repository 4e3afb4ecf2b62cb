#!/usr/bin/env bash
# Builds the filter's dynamic module for Envoy and prints, for each architecture, its path, its size in bytes and
# its sha256. Everything that needs the module calls this, so that nothing ever tests or ships a stale one.
set -euo pipefail

# Envoy's own binaries need no newer one, and RHEL 8 and Debian 10 have it.
readonly GLIBC=2.28

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck source=../toolchain.sh
. "$root/filter/toolchain.sh"

usage() {
    cat <<USAGE
Usage: filter/module/build.sh [--provoke] [ARCHITECTURE...]
Builds the filter (profile module-native) as a shared object against glibc $GLIBC for amd64, arm64, or by default for
both, and leaves it at target/filter/module/ARCHITECTURE/libfaultline.so, or below \$CARGO_TARGET_DIR if that is set.
Prints one line for each: path, bytes, sha256.
--provoke builds, beside it as libfaultline-provoke.so, the module for tests of what becomes of a panic: a header of a
request brings one about. Not for use.
Needs Rust's standard library for the architecture (rustup target add), and python3 with pip, by which it installs
ziglang $ZIG and cargo-zigbuild $ZIGBUILD from PyPI into \${XDG_CACHE_HOME:-~/.cache}/faultline/zig.
USAGE
}

main() {
    local features=abi name=libfaultline.so
    local -a architectures=()
    while (($# > 0)); do
        case $1 in
        -h | --help) usage && return ;;
        --provoke) features=abi,provoke name=libfaultline-provoke.so ;;
        amd64 | arm64) architectures+=("$1") ;;
        *) usage >&2 && return 2 ;;
        esac
        shift
    done
    ((${#architectures[@]} > 0)) || architectures=(amd64 arm64)

    cd "$root"
    local architecture
    for architecture in "${architectures[@]}"; do
        need_standard_library "$(triple "$architecture")"
    done
    install_zig
    for architecture in "${architectures[@]}"; do
        build "$architecture" "$features" "$name"
    done
}

triple() {
    case $1 in
    amd64) printf 'x86_64-unknown-linux-gnu\n' ;;
    arm64) printf 'aarch64-unknown-linux-gnu\n' ;;
    esac
}

# build ARCHITECTURE FEATURES NAME
build() {
    local triple module=$target/filter/module/$1/$3
    triple=$(triple "$1")
    zigbuild rustc --package faultline-filter-module --features "$2" --lib --crate-type cdylib \
        --profile module-native --target "$triple.$GLIBC"
    put_in_place "$target/$triple/module-native/libfaultline_filter_module.so" 755 "$module"
    report "$module"
}

main "$@"

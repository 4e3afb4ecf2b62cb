#!/usr/bin/env bash
# Builds the filter's dynamic module for Envoy and prints, for each architecture, its path, its size in bytes and
# its sha256. Everything that needs the module calls this, so that nothing ever tests or ships a stale one.
set -euo pipefail

# Zig brings a linker for every architecture and the symbols of every glibc; cargo-zigbuild has Cargo use it.
readonly ZIG=0.16.0 ZIGBUILD=0.24.0

# Envoy's own binaries need no newer one, and RHEL 8 and Debian 10 have it.
readonly GLIBC=2.28

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

    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    target=${CARGO_TARGET_DIR:-$root/target}
    tools=${XDG_CACHE_HOME:-$HOME/.cache}/faultline/zig/$ZIG-$ZIGBUILD
    # The standard library of the toolchain that the repository pins is what is linked.
    cd "$root"
    local architecture
    for architecture in "${architectures[@]}"; do
        has_standard_library "$(triple "$architecture")"
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

has_standard_library() {
    [[ -d $(rustc --print target-libdir --target "$1") ]] || {
        printf 'filter/module/build.sh: Rust has no standard library for %s here: rustup target add %s\n' "$1" "$1" >&2
        return 1
    }
}

install_zig() {
    [[ ! -x $tools/bin/cargo-zigbuild ]] || return 0
    mkdir -p "${tools%/*}"
    local fresh
    fresh=$(mktemp -d "${tools%/*}/install.XXXXXX")
    python3 -m pip install --quiet --no-deps --disable-pip-version-check --root-user-action=ignore \
        --target "$fresh" "ziglang==$ZIG" "cargo-zigbuild==$ZIGBUILD" || {
        rm -rf "$fresh"
        printf 'filter/module/build.sh: ziglang %s and cargo-zigbuild %s cannot be had from PyPI; to bring them yourself, %s\n' \
            "$ZIG" "$ZIGBUILD" "pip install --no-deps --target $tools ziglang==$ZIG cargo-zigbuild==$ZIGBUILD" >&2
        return 1
    }
    # Another process may have been faster: its tools are as good.
    if [[ -x $tools/bin/cargo-zigbuild ]]; then rm -rf "$fresh"; else mv "$fresh" "$tools"; fi
}

# build ARCHITECTURE FEATURES NAME
build() {
    local triple folder source
    triple=$(triple "$1")
    folder=$target/filter/module/$1
    # The remapping keeps this machine's paths out of the module: equal sources, equal bytes.
    local flags=--remap-path-prefix=$root=.
    for source in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
        flags+=" --remap-path-prefix=$source="
    done
    CARGO_ZIGBUILD_ZIG_PATH=$tools/ziglang/zig RUSTFLAGS=$flags \
        "$tools/bin/cargo-zigbuild" rustc --quiet --locked --manifest-path "$root/Cargo.toml" \
        --package faultline-filter-module --features "$2" --lib --crate-type cdylib --profile module-native \
        --target "$triple.$GLIBC" --target-dir "$target"

    # Moved into place, so that a running Envoy never sees half a module, and keeps the one it has.
    mkdir -p "$folder"
    local fresh
    fresh=$(mktemp "$folder/module.XXXXXX")
    cp "$target/$triple/module-native/libfaultline_filter_module.so" "$fresh"
    chmod 755 "$fresh"
    mv "$fresh" "$folder/$3"
    printf '%s %s %s\n' "$folder/$3" "$(wc -c <"$folder/$3")" "$(sha256sum "$folder/$3" | cut -d ' ' -f 1)"
}

main "$@"

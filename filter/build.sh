#!/usr/bin/env bash
# Builds the filter's WebAssembly module and prints its path, its size in bytes and its sha256.
# Everything that needs the module calls this, so that nothing ever tests or ships a stale one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck source=toolchain.sh
. "$root/filter/toolchain.sh"

usage() {
    cat <<'USAGE'
Usage: filter/build.sh
Builds the filter (profile module, wasm32-unknown-unknown) and leaves it at target/filter/plugin.wasm, or below
$CARGO_TARGET_DIR if that is set. Prints one line: path, bytes, sha256.
USAGE
}

main() {
    case "${1-}" in
    '') ;;
    -h | --help) usage && return ;;
    *) usage >&2 && return 2 ;;
    esac

    local module=$target/filter/plugin.wasm flags
    flags=$(remapping)
    # The linker's own choice for the stack is 1 MiB, in every VM of every worker. Only the reading of nested
    # values calls itself, and that goes 16 deep; a test sends such a configuration.
    flags+=' -C link-arg=-zstack-size=32768'
    RUSTFLAGS=$flags cargo rustc --quiet --locked --manifest-path "$root/Cargo.toml" --package faultline-filter \
        --lib --crate-type cdylib --profile module --target wasm32-unknown-unknown --target-dir "$target"

    put_in_place "$target/wasm32-unknown-unknown/module/faultline_filter.wasm" 644 "$module"
    report "$module"
}

main "$@"

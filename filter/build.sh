#!/usr/bin/env bash
# Builds the filter's WebAssembly module and prints its path, its size in bytes and its sha256.
# Everything that needs the module calls this, so that nothing ever tests or ships a stale one.
set -euo pipefail

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

    local root target module source
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    target=${CARGO_TARGET_DIR:-$root/target}
    module=$target/filter/plugin.wasm
    # The remapping keeps this machine's paths out of the module: equal sources, equal bytes.
    local flags=--remap-path-prefix=$root=.
    # The linker's own choice for the stack is 1 MiB, in every VM of every worker. Only the reading of nested
    # values calls itself, and that goes 16 deep; a test sends such a configuration.
    flags+=' -C link-arg=-zstack-size=32768'
    for source in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
        flags+=" --remap-path-prefix=$source="
    done
    RUSTFLAGS=$flags cargo rustc --quiet --locked --manifest-path "$root/Cargo.toml" --package faultline-filter \
        --lib --crate-type cdylib --profile module --target wasm32-unknown-unknown --target-dir "$target"

    # Moved into place, so that a running reader never sees half a module.
    mkdir -p "$target/filter"
    local fresh
    fresh=$(mktemp "$target/filter/plugin.XXXXXX")
    cp "$target/wasm32-unknown-unknown/module/faultline_filter.wasm" "$fresh"
    chmod 644 "$fresh"
    mv "$fresh" "$module"
    printf '%s %d %s\n' "$module" "$(wc -c <"$module")" "$(sha256_of <"$module")"
}

# macOS has no sha256sum.
sha256_of() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

main "$@"

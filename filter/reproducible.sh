#!/usr/bin/env bash
# Builds the filter's module twice from clean clones of HEAD, and fails unless the bytes are the same.
set -euo pipefail

module=target/filter/plugin.wasm

usage() {
    cat <<'USAGE'
Usage: filter/reproducible.sh
Clones HEAD to two paths, builds the module in each (filter/build.sh) with nothing in common but the downloaded
crates, which the second build finds under another path, and compares. Prints the sha256 of both, or what differs.
USAGE
}

main() {
    case "${1-}" in
    '') ;;
    -h | --help) usage && return ;;
    *) usage >&2 && return 2 ;;
    esac

    local root crates first second one other
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    crates=${CARGO_HOME:-$HOME/.cargo}
    folder=$(mktemp -d)   # not local: the trap runs after this function
    trap 'rm -rf "$folder"' EXIT
    first=$folder/a
    second=$folder/another/and/deeper/path
    git clone -q "$root" "$first"
    git clone -q "$root" "$second"
    ln -s "$crates" "$folder/crates"

    one=$(build "$first" "$crates")
    other=$(build "$second" "$folder/crates")
    if ! cmp "$first/$module" "$second/$module" >&2; then
        printf 'filter/reproducible.sh: two clones of HEAD build different modules:\n%s\n%s\n' "$one" "$other" >&2
        # What says most often why: a path of this machine.
        grep -aoE "${folder}[[:graph:]]*" "$first/$module" "$second/$module" >&2 || true
        return 1
    fi
    printf 'two clones, one module: %s\n' "${one#* }"
}

# build CLONE CARGO_HOME
build() { CARGO_TARGET_DIR=$1/target CARGO_HOME=$2 "$1/filter/build.sh"; }

main "$@"

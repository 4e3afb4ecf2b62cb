#!/usr/bin/env bash
# Builds the filter's modules twice from clean clones of HEAD, and fails unless the bytes are the same.
set -euo pipefail

# Below target/filter.
readonly MODULES=(plugin.wasm module/amd64/libfaultline.so module/arm64/libfaultline.so)

usage() {
    cat <<'USAGE'
Usage: filter/reproducible.sh
Clones HEAD to two paths, builds the modules in each (filter/build.sh, filter/module/build.sh) with nothing in common
but the downloaded crates, which the second build finds under another path, and the linker, and compares. Prints the
sha256 of both, or what differs.
USAGE
}

main() {
    case "${1-}" in
    '') ;;
    -h | --help) usage && return ;;
    *) usage >&2 && return 2 ;;
    esac

    local root crates first second module
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    crates=${CARGO_HOME:-$HOME/.cargo}
    folder=$(mktemp -d)   # not local: the trap runs after this function
    trap 'rm -rf "$folder"' EXIT
    first=$folder/a
    second=$folder/another/and/deeper/path
    git clone -q "$root" "$first"
    git clone -q "$root" "$second"
    ln -s "$crates" "$folder/crates"

    build "$first" "$crates"
    build "$second" "$folder/crates"
    for module in "${MODULES[@]}"; do
        compare "$module" "$first/target/filter/$module" "$second/target/filter/$module"
    done
}

# build CLONE CARGO_HOME
build() {
    CARGO_TARGET_DIR=$1/target CARGO_HOME=$2 "$1/filter/build.sh" >/dev/null
    CARGO_TARGET_DIR=$1/target CARGO_HOME=$2 "$1/filter/module/build.sh" >/dev/null
}

# compare MODULE ONE OTHER
compare() {
    if ! cmp "$2" "$3" >&2; then
        printf 'filter/reproducible.sh: two clones of HEAD build different modules:\n' >&2
        sha256sum "$2" "$3" >&2
        # What says most often why: a path of this machine.
        grep -aoE "${folder}[[:graph:]]*" "$2" "$3" >&2 || true
        return 1
    fi
    printf 'two clones, one %s: %s bytes, sha256 %s\n' "$1" "$(wc -c <"$2")" "$(sha256sum "$2" | cut -d ' ' -f 1)"
}

main "$@"

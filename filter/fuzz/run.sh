#!/usr/bin/env bash
# Fuzzes the filter with cargo-fuzz, starting from the corpus.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: filter/fuzz/run.sh [SECONDS]
Runs each target twice for so long, by default 60 seconds: on inputs of up to 64 bytes, of which there are many in a
second, and on inputs of up to 4 KiB under AddressSanitizer, which also finds leaks. Prints how many inputs were
executed. What finds new code is kept in libfuzzer/corpus and tried again by the next run; git ignores it.
An input that breaks a promise ends the run and is named: once the mistake is mended, move the input to corpus/, and
every `cargo test` tries it again.
Needs a nightly Rust and cargo-fuzz: rustup toolchain install nightly; cargo install cargo-fuzz.
USAGE
}

main() {
    local seconds=${1-60} target executed=0
    case $seconds in
    -h | --help) usage && return ;;
    *[!0-9]* | '') usage >&2 && return 2 ;;
    esac
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # Where the target of that name finds the module.
    FAULTLINE_MODULE=$("$here/../build.sh" | cut -d ' ' -f 1)
    export FAULTLINE_MODULE
    for target in "${targets[@]}"; do fuzz "$target" none 64 "$seconds"; done
    for target in "${targets[@]}"; do fuzz "$target" address 4096 "$seconds"; done
    printf '%d inputs, no promise broken\n' "$executed"
}

# fuzz TARGET SANITIZER LONGEST SECONDS
fuzz() {
    local found=$here/libfuzzer/corpus/$1 count
    mkdir -p "$found"
    cargo +nightly fuzz run --fuzz-dir "$here/libfuzzer" --sanitizer "$2" "$1" "$found" "$here/corpus/$1" -- \
        -max_total_time="$4" -max_len="$3" -print_final_stats=1 >"$log" 2>&1 || {
        cat "$log" >&2
        return 1
    }
    count=$(awk '/^stat::number_of_executed_units:/ { print $2 }' "$log")
    printf '%-14s up to %4d bytes  %12d inputs\n' "$1" "$3" "$count"
    executed=$((executed + count))
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
targets=(adapter configuration matching module wasm)
main "$@"

#!/usr/bin/env bash
# Fuzzes the filter with cargo-fuzz, starting from the corpus, and adds to it what it finds.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: filter/fuzz/run.sh [SECONDS]
Runs each target for so long, by default 60 seconds: adapter, configuration, matching.
Afterwards the corpus is minimised: an input that finds nothing of its own is dropped.
Needs a nightly Rust and cargo-fuzz: rustup toolchain install nightly; cargo install cargo-fuzz.
USAGE
}

main() {
    local seconds=${1-60} target
    case $seconds in
    -h | --help) usage && return ;;
    *[!0-9]* | '') usage >&2 && return 2 ;;
    esac
    for target in adapter configuration matching; do
        fuzz run "$target" "$here/corpus/$target" -- \
            -max_total_time="$seconds" -max_len=4096 -print_final_stats=1
        fuzz cmin "$target" "$here/corpus/$target"
    done
}

fuzz() {
    cargo +nightly fuzz "$1" --fuzz-dir "$here/libfuzzer" "${@:2}"
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
main "$@"

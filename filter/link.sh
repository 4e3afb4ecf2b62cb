#!/usr/bin/env bash
# The linker for the filter's module: rust-lld, without the exports of callbacks it does not use.
# The SDK exports every callback there is, and a proxy calls each one it finds exported, several
# times per request. An export dropped here is a call saved there, and its code goes as well.
set -euo pipefail

readonly KEPT='
    _initialize proxy_abi_version_0_2_1 proxy_on_memory_allocate
    proxy_on_context_create proxy_on_configure proxy_on_delete
    proxy_on_request_headers proxy_on_response_headers proxy_on_log
'

main() {
    local linker arguments=()
    linker=$(rustc --print target-libdir --target "$(rustc --print host-tuple)")/../bin/rust-lld
    while (($# > 0)); do
        if [[ $1 == --export ]] && ! grep -qw -- "$2" <<<"$KEPT"; then
            shift 2
        else
            arguments+=("$1")
            shift
        fi
    done
    exec "$linker" "${arguments[@]}"
}

main "$@"

#!/usr/bin/env bash
# Runs the filter's tests, and local mode with its acceptance suite, in every supported version of Envoy.
set -euo pipefail

# One of each minor version. Of 1.38 the wheel of 1.38.3 was built without a WebAssembly runtime.
readonly VERSIONS=(1.36.4 1.37.0 1.38.2 1.39.3 1.40.0)

usage() {
    cat <<USAGE
Usage: filter/test-versions.sh [VERSION...]
Runs the filter's tests and local mode's in these versions of Envoy; by default: ${VERSIONS[*]}
USAGE
}

main() {
    if [[ ${1-} == -h || ${1-} == --help ]]; then
        usage
        return
    fi
    (($# > 0)) || set -- "${VERSIONS[@]}"
    # A binary of one's own would be used in place of every version.
    unset ENVOY
    local version
    for version in "$@"; do
        printf '== Envoy %s\n' "$version"
        case $version in
        1.3[0-8].*) printf 'SKIPPED: the tests with the dynamic module, which needs Envoy 1.39\n' ;;
        esac
        FAULTLINE_ENVOY_VERSION=$version cargo test --quiet --locked --package faultline-filter --package faultline-local
    done
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
main "$@"

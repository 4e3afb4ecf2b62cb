#!/usr/bin/env bash
# Part of builder.Containerfile: installs what the build needs into the image that it runs in.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { printf '%s\n' "$@" >&2; exit 1; }
note() { printf '%s\n' "$1"; }
quietly() { "$@"; }
# shellcheck source=tools.sh
. "$root/deploy/tools.sh"
# shellcheck source=rust.sh
. "$root/deploy/rust.sh"
# shellcheck source=../filter/toolchain.sh
. "$root/filter/toolchain.sh"

read -r -a rust_parts <<<"$(rust_setting targets)"
provide rust cc python3 pip
bring_rust
install_zig
# The build itself brings nothing and may be anybody's.
chmod -R a+rX /opt

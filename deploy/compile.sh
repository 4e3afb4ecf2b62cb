#!/usr/bin/env bash
# Compiles what deploy.sh and deploy/release.sh ship, and the programs that they run on this machine.
#
# Usage: deploy/compile.sh [ARCHITECTURE...]
#
# Always: the filter's WebAssembly module (target/filter/plugin.wasm), and faultline-images, which makes and pushes
# images, for this machine (target/host/). For each ARCHITECTURE, amd64 or arm64: both services and the acceptance
# suite, static (target/TRIPLE/release/), and the suite for this machine (target/host/). Below $CARGO_TARGET_DIR if
# that is set. Prints one line for each: path, bytes, sha256.
#
# Needs Rust's standard library for each target (rustup target add), a C compiler for what runs during the build, and
# python3 with pip, by which Zig comes from PyPI and compiles and links everything else: no cross compiler.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck source=../filter/toolchain.sh
. "$root/filter/toolchain.sh"
# shellcheck source=platforms.sh
. "$root/deploy/platforms.sh"

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

main() {
  local architecture
  case ${1:-} in -h|--help) usage; return ;; esac
  for architecture in "$@"; do
    [ -n "$(triple_of "$architecture")" ] || { usage >&2; return 2; }
  done
  cd "$root"
  need_standard_libraries "$@"
  install_zig
  filter/build.sh
  compile_images
  for architecture in "$@"; do compile_for "$architecture"; done
  [ $# = 0 ] || place_suite "$@"
}

need_standard_libraries() {
  local architecture
  for architecture in "$@"; do need_standard_library "$(triple_of "$architecture")"; done
  [ -z "$host" ] || need_standard_library "$host"
}

# The program that makes and pushes images.
compile_images() {
  if [ -n "$host" ]; then
    zigbuild build --profile local --package faultline-images --target "$host"
    place "$target/$host/local/faultline-images"
  else
    native -p faultline-images
    place "$target/local/faultline-images"
  fi
}

# compile_for ARCHITECTURE
compile_for() {
  local triple program
  triple=$(triple_of "$1")
  zigbuild build --release --package custom-app --package log-agent --package faultline-e2e --target "$triple"
  for program in custom-app log-agent faultline-e2e; do report "$target/$triple/release/$program"; done
}

# place_suite ARCHITECTURE...: where the suite was compiled for this machine, the very program that the image has.
place_suite() {
  local architecture
  if [ -z "$host" ]; then
    native -p faultline-e2e
    place "$target/local/faultline-e2e"
    return
  fi
  for architecture in "$@"; do
    if [ "$(triple_of "$architecture")" = "$host" ]; then place "$target/$host/release/faultline-e2e"; return; fi
  done
  zigbuild build --profile local --package faultline-e2e --target "$host"
  place "$target/$host/local/faultline-e2e"
}

native() { cargo build --quiet --locked --profile local --target-dir "$target" "$@"; }

# place FILE: among what runs on this machine.
place() {
  put_in_place "$1" 755 "$target/host/${1##*/}"
  report "$target/host/${1##*/}"
}

host=$(host_triple)
main "$@"

# shellcheck shell=bash
# Machines, as Kubernetes and as Rust call them.

# triple_of ARCHITECTURE: what Rust calls a Linux of it, linked statically; nothing for one that is not built for.
triple_of() {
  case $1 in
    amd64) printf 'x86_64-unknown-linux-musl' ;;
    arm64) printf 'aarch64-unknown-linux-musl' ;;
  esac
}

# This machine's, as Kubernetes calls it.
host_architecture() {
  case $(uname -m) in
    aarch64|arm64) printf arm64 ;;
    *) printf amd64 ;;
  esac
}

# What runs on this machine whatever its C library; nothing where that is not Linux.
host_triple() { [ "$(uname -s)" != Linux ] || triple_of "$(host_architecture)"; }

#!/usr/bin/env bash
# README's first command and its test command on a fresh machine: a root file system that has git, curl, Python, a C
# compiler, and rustup, which has no toolchain and is told (RUSTUP_AUTO_INSTALL=0) not to install one by itself.
#
#   e2e/fresh/fresh.sh           `./deploy.sh --local` to its first 504, without a toolchain; again, without the
#                                toolchain's targets; then the steps of `./test.sh` that take seconds
#   e2e/fresh/fresh.sh --whole   and `./test.sh` whole
#   e2e/fresh/fresh.sh --shell   a shell there, in a clone
#   e2e/fresh/fresh.sh --tar F   nothing is run: its file system as a tar archive, with rustup for every user in /opt
#
# Linux, as root, with debootstrap. The file system is made once and kept in faultline/fresh in the user's cache folder;
# each run works on a copy and takes it away. Toolchain, crates and Envoy are downloaded each time: what is cached
# would not show how they come. The machine's settings for package registries hold there too. Its network is this one's.
# Exit codes: 0 done, 1 failed, 2 wrong usage, 69 it cannot be tried here; the last line says why.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/faultline/fresh
machine=$home/machine.$$
# What README says a machine needs, and no more. dpkg brings what these depend on.
packages=git,curl,ca-certificates,python3,python3-pip,gcc,libc6-dev

say() { printf '%s\n' "$*"; }
unavailable() { printf 'fresh.sh: %s\n' "$*"; exit 69; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

preflight() {
  [ "$(uname -s)" = Linux ] || unavailable "needs Linux"
  [ "$(id -u)" = 0 ] || unavailable "needs root, to make a root file system"
  command -v debootstrap >/dev/null || unavailable "debootstrap is not installed"
  command -v rustup >/dev/null || unavailable "rustup, of which that machine gets a copy, is not installed"
  unshare --mount --pid --fork true 2>/dev/null || unavailable "the system allows no namespaces"
}

# The file system, once.
base() {
  [ "$(cat "$home/base/.made-of" 2>/dev/null)" != "$packages" ] || return 0
  say "making a root file system, once"
  rm -rf "$home/base"
  mkdir -p "$home"
  local mirror; mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  debootstrap --variant=minbase --include="$packages" bookworm "$home/base" ${mirror:+"$mirror"} >"$home/debootstrap.log" 2>&1 || {
    tail -n 5 "$home/debootstrap.log"
    unavailable "Debian's base system cannot be downloaded; see $home/debootstrap.log"
  }
  printf '%s' "$packages" >"$home/base/.made-of"
}

# A copy of it, with rustup as its installer lays it down, this machine's settings, and a clone of HEAD.
fresh_machine() {
  local file
  cp -a --reflink=auto "$home/base" "$machine"
  cp -L "$(command -v rustup)" "$machine/root/rustup-init"
  cp "$here/inside.sh" "$machine/root/"
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/npmrc "$HOME"/.config/pip/pip.conf "$HOME"/.pip/pip.conf \
    "$HOME"/.cargo/config.toml "$HOME"/.cargo/config "$HOME"/.npmrc /usr/local/share/ca-certificates/*.crt; do
    settings_from "$file"
  done
  if command -v apt-config >/dev/null; then
    apt-config dump Acquire::http Acquire::https >"$machine/etc/apt/apt.conf.d/90machine"
  fi
  git clone -q --no-hardlinks "$root" "$machine/root/faultline"
  environment >"$machine/root/environment"
}

# settings_from FILE: at the same place there; what is in the user's home, in root's.
settings_from() {
  local there=$1
  [ -f "$1" ] || return 0
  case $1 in "$HOME"/*) there=/root/${1#"$HOME"/} ;; esac
  mkdir -p "$machine${there%/*}"
  cp -L "$1" "$machine$there"
}

# The settings of package registries' clients in the environment; places on this machine are not among them.
environment() {
  local name
  for name in $(compgen -e); do
    case $name in
      CARGO_HTTP_*|CARGO_NET_*|CARGO_REGISTR*|CARGO_SOURCE_*|RUSTUP_DIST_SERVER|RUSTUP_UPDATE_ROOT|RUSTUP_USE_*|PIP_*|NPM_CONFIG_*|npm_config_*|\
      http_proxy|https_proxy|no_proxy|all_proxy|HTTP_PROXY|HTTPS_PROXY|NO_PROXY|ALL_PROXY) printf 'export %s=%q\n' "$name" "${!name}" ;;
    esac
  done
}

# tar_to FILE: as a base for containers, in which the settings for package registries hold as well.
tar_to() {
  # shellcheck source=/dev/null
  inside bash -c '. /root/environment; update-ca-certificates >/dev/null 2>&1
    CARGO_HOME=/usr/local/cargo /root/rustup-init -y --quiet --default-toolchain none --no-modify-path >/dev/null 2>&1'
  rm -rf "$machine/root/faultline" "$machine/root/rustup-init"
  tar -C "$machine" --one-file-system -cf "$1" .
}

# inside COMMAND...: there, with processes of its own that end with it, and mounts that nobody else sees.
inside() {
  # shellcheck disable=SC2016  # expanded by that shell
  unshare --mount --pid --fork --kill-child bash -euc '
    machine=$1; shift
    mount --rbind /dev "$machine/dev"
    mount -t proc proc "$machine/proc"
    mount -t tmpfs tmpfs "$machine/tmp"
    exec chroot "$machine" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 RUSTUP_AUTO_INSTALL=0 \
      PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' bash "$machine" "$@"
}

main() {
  local what=${1:-}
  case $what in
    ''|--whole|--shell) ;;
    --tar) [ -n "${2:-}" ] || { usage >&2; return 2; } ;;
    -h|--help) usage; return ;;
    *) usage >&2; return 2 ;;
  esac
  preflight
  mkdir -p "$home"
  exec 9>"$home/lock"
  flock 9   # until the end: one machine at a time
  rm -rf "$home"/machine.*   # what killed runs left
  trap 'rm -rf --one-file-system "$machine"' EXIT
  base
  fresh_machine
  if [ "$what" = --tar ]; then tar_to "$2"; return; fi
  inside bash /root/inside.sh "${what:---quick}"
}

main "$@"

#!/usr/bin/env bash
# Part of fresh.sh: what is done on the fresh machine. Its user is root, in /root.
set -euo pipefail

say() { printf '%s\n' "$*"; }
fail() { say "fresh.sh: $*"; exit 1; }
shown() { say "\$ $*"; "$@"; }

# rustup as its installer lays it down. A toolchain that cannot be downloaded at all is nothing that the scripts could mend.
set_up() {
  local server=${RUSTUP_DIST_SERVER:-https://static.rust-lang.org}
  update-ca-certificates >/dev/null 2>&1
  /root/rustup-init -y --quiet --default-toolchain none --no-modify-path >/dev/null 2>&1 || fail "rustup does not install itself"
  cd /root/faultline
  channel=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
  curl -fsSIo /dev/null --max-time 30 "$server/dist/channel-rust-$channel.toml.sha256" || {
    say "fresh.sh: Rust's toolchains cannot be downloaded here"
    exit 69
  }
}

# Nothing of Rust's works yet: else what follows would prove nothing.
without_toolchain() {
  rustup -q toolchain uninstall "$channel" 2>/dev/null
  ! rustc --version >/dev/null 2>&1 || fail "rustc works before there is a toolchain"
}

without_targets() {
  local target
  for target in $(sed -n 's/^targets *= *//p' rust-toolchain.toml | tr -d '[]",'); do
    rustup -q target remove "$target" 2>/dev/null
    [ ! -d "$(rustc --print target-libdir --target "$target")" ] || fail "the target $target is still there"
  done
}

# first_504 WHAT OPTION...: README's first command, until the fault is felt; then its end.
first_504() {
  local what=$1 log=/root/local.log started=$SECONDS run url code=0
  shift
  say "== ./deploy.sh --local $*, $what"
  ./deploy.sh --local "$@" >"$log" 2>&1 &
  run=$!
  # The heading of its list of requests: from there on it only runs.
  until grep -q '^time (UTC)' "$log"; do
    kill -0 "$run" 2>/dev/null || { cat "$log"; fail "it ended"; }
    [ $((SECONDS - started)) -lt 1200 ] || { cat "$log"; fail "it does not run after 20 minutes"; }
    sleep 0.5
  done
  grep -E '^(installing|[0-9]/5)' "$log"
  url=$(./deploy.sh --local --status | awk '$1 == "gateway" {print $3}')
  shown curl -si --max-time 10 "$url/log" | tr -d '\r' | tee /root/answer
  echo
  grep -q '^HTTP/1.1 504 ' /root/answer || fail "no 504"
  grep -q '^proxy-status: .*outcome=timeout attempts=3' /root/answer || fail "not after three attempts"
  say "-- the first 504 was seen after $((SECONDS - started)) s at most"
  kill "$run"
  wait "$run" || code=$?
  [ "$code" = 0 ] || { tail -n 20 "$log"; fail "ended with exit code $code"; }
}

# test_command ARGUMENT...
test_command() {
  say "== ./test.sh $*, RUSTUP_AUTO_INSTALL=$RUSTUP_AUTO_INSTALL"
  ./test.sh "$@" || fail "./test.sh failed"
}

# shellcheck source=/dev/null
. /root/environment
set_up
case $1 in
  --shell) exec bash ;;
esac
without_toolchain
first_504 "without a toolchain"
without_targets
first_504 "without the toolchain's targets" --skip-proof
without_toolchain
test_command --only fmt --only shell
without_targets
RUSTUP_AUTO_INSTALL=1 test_command --only filter
if [ "$1" = --whole ]; then test_command; fi
say "a fresh machine: all of it works"

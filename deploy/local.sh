# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# --local: builds, and hands over to faultline-local, which does everything else.

# local_mode ARGUMENT...: comes back only if --local was not asked for.
local_mode() {
  local wanted skip arguments=() argument
  wanted=$(flag FAULTLINE_LOCAL "${FAULTLINE_LOCAL:-}")
  skip=$(flag FAULTLINE_SKIP_BUILD "${FAULTLINE_SKIP_BUILD:-}")
  for argument in "$@"; do
    case $argument in
      --local) wanted=true ;;
      --skip-build) skip=true ;;
      *) arguments+=("$argument") ;;
    esac
  done
  [ "$wanted" = true ] || return 0

  local target=${CARGO_TARGET_DIR:-$root/target}
  local program=$target/local/faultline-local
  for argument in "${arguments[@]+"${arguments[@]}"}"; do
    # Whoever only asks or ends needs no new build.
    case $argument in -h|--help|--status|--delete) skip=true ;; esac
  done
  if [ "$skip" = false ]; then
    build_local
    arguments+=(--steps-before 1)
  elif [ ! -x "$program" ]; then
    printf 'deploy.sh: nothing is built here yet: ./deploy.sh --local builds and starts it (its options: docs/local.md)\n' >&2
    exit 1
  fi
  exec "$program" "${arguments[@]+"${arguments[@]}"}"
}

build_local() {
  mode=local steps=5
  open_console
  step Build
  requirements
  quietly in_root cargo build --profile local --locked -p custom-app -p log-agent -p faultline-e2e -p faultline-local ||
    die "the build failed."
  quietly in_root filter/build.sh || die "the build of the filter failed."
  ok "services, filter, suite"
  # exec runs no trap.
  trap - EXIT INT TERM HUP
  rm -rf "$scratch" "$log"
}

# Relative paths among the options stay what they were.
in_root() { (cd "$root" && "$@"); }

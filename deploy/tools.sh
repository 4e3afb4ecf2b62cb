# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The tools of this machine: found in one look, named with one command, or, as root with apt, installed.
# Shared by deploy.sh and test.sh, which bring die, note and quietly.
#
# A tool is the name of a command, or one of these:
#   rust        cargo and rustc, by rustup or complete without it (rust.sh); needs rust_parts
#   pip         Python's module
#   container   buildah, podman or docker, whichever works; sets container_tool
#   buildah, podman, docker   that one, if it works
#   chromium    whichever browser of that kind there is; sets browser
# Written with a question mark, kubectl?, it may be missing.

otherwise=''         # what the caller knows to do without them

oldest_kubectl=1.28   # one minor version below the oldest cluster, as Kubernetes supports it

# provide TOOL...: returns once each of them is there; else ends with a sentence that names all that is missing.
provide() {
  local system packages by_hand
  look "$@"
  [ ${#absent[@]} -gt 0 ] || return 0
  system=$(package_manager)
  if may_install; then
    quietly apt-get update -qq || true   # a new machine has no lists; without a network the old ones serve
    sort_out "${absent[@]}"
    # Whoever has to do something by hand is told all of it, once.
    if [ ${#packages[@]} -gt 0 ] && apt_has_all "${missing[@]+"${missing[@]}"}"; then
      note "installing with apt: ${packages[*]}"
      quietly env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends --no-remove "${packages[@]}" || die "apt could not install ${packages[*]}"
      look "$@"
    fi
  fi
  [ ${#missing[@]} -eq 0 ] || die "$(not_installed "${absent[@]}")" "$(advice "${absent[@]}")$otherwise"
}

# look TOOL...: sets absent, and missing: those of them that are needed.
look() {
  local tool
  absent=() missing=()
  for tool in "$@"; do
    ! is_there "${tool%\?}" || continue
    absent+=("${tool%\?}")
    case $tool in *\?) ;; *) missing+=("$tool") ;; esac
  done
}

is_there() {
  case $1 in
    rust) command -v rustup >/dev/null || rust_is_complete "${rust_parts[@]+"${rust_parts[@]}"}" ;;
    pip) python3 -m pip --version >/dev/null 2>&1 ;;
    container) find_container_tool buildah podman docker ;;
    buildah|podman|docker) find_container_tool "$1" ;;
    chromium) find_browser ;;
    kubectl) command -v kubectl >/dev/null && at_least "$(kubectl_version)" "$oldest_kubectl" ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# find_container_tool TOOL...: of those that are there, not every one works: a docker client without a daemon does not.
find_container_tool() {
  for container_tool in "$@"; do
    ! { command -v "$container_tool" && "$container_tool" info; } >/dev/null 2>&1 || return 0
  done
  container_tool=''
  return 1
}

find_browser() {
  for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    ! browser=$(command -v "$browser") || return 0
  done
  return 1
}

# Before 1.28 it prints the insides of a structure.
kubectl_version() { kubectl version --client 2>/dev/null | sed -n '/^Client Version/s/.*[ "]v\([0-9][0-9.]*\).*/\1/p'; }

# at_least VERSION MINIMUM: both MAJOR.MINOR…; a version nobody can read passes.
at_least() {
  [[ $1 =~ ^([0-9]+)\.([0-9]+) ]] || return 0
  local major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
  [[ $2 =~ ^([0-9]+)\.([0-9]+) ]]
  [ "$major" -gt "${BASH_REMATCH[1]}" ] || { [ "$major" -eq "${BASH_REMATCH[1]}" ] && [ "$minor" -ge "${BASH_REMATCH[2]}" ]; }
}

package_manager() {
  local command
  for command in apt-get dnf brew; do
    ! command -v "$command" >/dev/null || { printf '%s' "$command"; return; }
  done
}

is_root() { [ "$EUID" = 0 ]; }
may_install() {
  case ${FAULTLINE_INSTALL:-true} in false|no|0) return 1 ;; esac
  [ "$system" = apt-get ] && is_root
}

# sort_out TOOL...: sets packages to those that have them on this system, by_hand to the tools that no package has.
sort_out() {
  local tool package
  packages=() by_hand=()
  for tool in "$@"; do
    package=$(package_of "$tool")
    if [ -n "$package" ] && { [ "$system" != apt-get ] || apt_has "$tool" "$package"; }; then
      packages+=("$package")
    else
      by_hand+=("$tool")
    fi
  done
}

# Prints nothing where the system has no package for it.
package_of() {
  case $system:$1 in
    :*|brew:cc|brew:chromium|brew:debootstrap|*:go) ;;
    # Beside a distribution's cargo, rustup's own installer is the one that removes nothing.
    *:rust) if [ "$system" = apt-get ] && ! command -v cargo >/dev/null; then printf rustup; fi ;;
    apt-get:cc) printf build-essential ;;
    dnf:cc) printf gcc ;;
    brew:python3|brew:pip) printf python ;;
    *:pip) printf python3-pip ;;
    apt-get:qemu-aarch64-static|dnf:qemu-aarch64-static) printf qemu-user-static ;;
    *:qemu-aarch64-static) ;;
    brew:kubectl) printf kubernetes-cli ;;
    *:kubectl) printf kubernetes-client ;;
    brew:container) printf podman ;;
    *:container) printf buildah ;;
    apt-get:docker) printf docker.io ;;
    dnf:docker) printf moby-engine ;;
    dnf:shellcheck) printf ShellCheck ;;
    *) printf '%s' "$1" ;;
  esac
}

# apt_has TOOL PACKAGE: not every distribution with apt has these, and not every one has them new enough.
apt_has() {
  local candidate
  case $1 in rust|kubectl|chromium) ;; *) return 0 ;; esac
  candidate=$(apt-cache policy "$2" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" {print $2}')
  [ -n "$candidate" ] && { [ "$1" != kubectl ] || at_least "$candidate" "$oldest_kubectl"; }
}

apt_has_all() {
  local tool
  for tool in "$@"; do
    case " ${by_hand[*]+"${by_hand[*]}"} " in *" $tool "*) return 1 ;; esac
  done
}

# not_installed TOOL...
not_installed() {
  local text='' verb=is
  while [ $# -gt 0 ]; do
    text+=$(in_words "$1")
    case $# in
      1) ;;
      2) text+=' and ' verb=are ;;
      *) text+=', ' ;;
    esac
    shift
  done
  printf '%s %s not installed' "$text" "$verb"
}

in_words() {
  case $1 in
    rust) rust_in_words ;;
    cc) printf 'a C compiler' ;;
    pip) printf "Python's pip" ;;
    container) printf 'a container tool that works (buildah, podman or docker)' ;;
    buildah|podman|docker) printf 'a %s that works' "$1" ;;
    kubectl) if command -v kubectl >/dev/null; then printf 'kubectl %s or newer' "$oldest_kubectl"; else printf kubectl; fi ;;
    chromium) printf 'Chromium' ;;
    go) printf 'Go' ;;
    *) printf '%s' "$1" ;;
  esac
}

# advice TOOL...: one command for all that a command installs; a line for each of the rest.
advice() {
  local system packages by_hand tool sudo='' install='' installer='' lines=''
  system=$(package_manager)
  sort_out "$@"
  for tool in "${by_hand[@]+"${by_hand[@]}"}"; do
    case $system:$tool in
      *:rust)
        # rustup's installer comes by curl.
        if [ -n "$system" ] && ! command -v curl >/dev/null; then packages+=(curl); fi
        installer+=" && curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain none" ;;
      brew:cc) installer=" && xcode-select --install$installer" ;;
      *) lines+=$'\n'"$(in_words "$tool"): $(home_of "$tool")" ;;
    esac
  done
  is_root || sudo='sudo '
  if [ ${#packages[@]} -gt 0 ]; then
    case $system in
      apt-get) install="${sudo}apt-get update && ${sudo}apt-get install -y ${packages[*]}" ;;
      dnf) install="${sudo}dnf install -y ${packages[*]}" ;;
      brew) install="brew install ${packages[*]}" ;;
    esac
  fi
  [ -n "$install" ] || installer=${installer# && }
  [ -z "$install$installer" ] || lines="Install it: $install$installer$lines"
  printf '%s' "${lines#$'\n'}"
}

home_of() {
  case $1 in
    kubectl) printf 'https://kubernetes.io/docs/tasks/tools/' ;;
    go) printf 'https://go.dev/doc/install' ;;
    container) printf 'https://podman.io/docs/installation' ;;
    pip) printf 'https://pip.pypa.io/en/stable/installation/' ;;
    *) printf "your system's packages have it" ;;
  esac
}

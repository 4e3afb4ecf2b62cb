#!/usr/bin/env bash
# Each of docker, podman and buildah builds everything from nothing (deploy.sh --build), and its login is the one with
# which the images are pushed to a registry with a login and a certificate of an authority of its own. The digests must
# be the same three times, and those of a build with Rust on this machine.
#
#   e2e/containers.sh [TOOL...]     default: docker podman buildah; one that does not work here is skipped, saying why
#
# Linux, as root, with debootstrap (the base of the containers is Debian's, made as e2e/fresh makes it), docker-registry,
# curl and openssl. A dockerd is started for this alone if none runs. Ten minutes a tool.
# Exit codes: 0 done, 1 failed, 2 wrong usage, 69 it cannot be tried here; the last line says why.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/faultline/containers
port=5447
registry=127.0.0.1:$port
base=localhost/faultline-base
architectures=(amd64 arm64)

say() { printf '%s\n' "$*"; }
unavailable() { printf 'containers.sh: %s\n' "$*"; exit 69; }
fail() { printf 'containers.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

preflight() {
  local tool
  [ "$(uname -s)" = Linux ] || unavailable "needs Linux"
  [ "$(id -u)" = 0 ] || unavailable "needs root, to make a base for the containers"
  for tool in debootstrap docker-registry curl openssl; do
    command -v "$tool" >/dev/null || unavailable "$tool is not installed"
  done
}

processes=()
finish() {
  local process
  for process in "${processes[@]+"${processes[@]}"}"; do kill "$process" 2>/dev/null || true; done
  wait
}

until_true() {  # until_true SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

# Content of an earlier run would be found, and nothing be pushed.
start_registry() {
  local certs=$folder/certs
  rm -rf "$folder/registry" "$certs"
  mkdir -p "$folder/registry" "$certs"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$certs/ca.key" -out "$certs/ca.crt" -days 2 -subj /CN=containers 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -keyout "$certs/key" -out "$certs/csr" -subj /CN=registry 2>/dev/null
  openssl x509 -req -in "$certs/csr" -CA "$certs/ca.crt" -CAkey "$certs/ca.key" -CAcreateserial -days 2 -out "$certs/crt" \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1\n') 2>/dev/null
  # The password is "faultline".
  printf 'faultline:%s\n' "\$2y\$05\$faultlinefaultlinefauO6BXPF1E6mLX02jkR0dwUvyU1OzW9H76" >"$folder/htpasswd"
  cat >"$folder/registry.yml" <<EOF
version: 0.1
storage: {filesystem: {rootdirectory: $folder/registry}}
http: {addr: "$registry", tls: {certificate: $certs/crt, key: $certs/key}}
auth: {htpasswd: {realm: "https://$registry", path: $folder/htpasswd}}
EOF
  docker-registry serve "$folder/registry.yml" >"$folder/registry.log" 2>&1 &
  processes+=($!)
  until_true 30 curl -s --cacert "$certs/ca.crt" "https://$registry/v2/" || fail "the registry does not start: $folder/registry.log"
}

# start_docker: a daemon of its own where none answers, on files of its own; it ends with this script.
start_docker() {
  ! docker info >/dev/null 2>&1 || return 0
  command -v dockerd >/dev/null || { reason="no Docker daemon answers, and dockerd is not installed"; return 1; }
  export DOCKER_HOST=unix://$folder/docker/socket
  mkdir -p "$folder/docker"
  dockerd --host "$DOCKER_HOST" --data-root "$folder/docker/data" --exec-root "$folder/docker/exec" \
    --pidfile "$folder/docker/pid" --storage-driver vfs --iptables=false --bridge=none >"$folder/docker.log" 2>&1 &
  processes+=($!)
  until_true 60 docker info || { reason="dockerd does not start here: $(grep -m 1 -iE 'failed|error' "$folder/docker.log")"; return 1; }
}

# Not every machine's root may raise its limits, as podman would, and not every runtime takes every layout of control
# groups.
settings_of_podman() {
  export CONTAINERS_CONF=$folder/containers.conf
  printf '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n' >"$CONTAINERS_CONF"
  ! command -v runc >/dev/null || printf '[engine]\nruntime = "runc"\n' >>"$CONTAINERS_CONF"
}

# works TOOL: it can run a container from the base; else sets reason.
works() {
  reason="$1 is not installed"
  command -v "$1" >/dev/null || return 1
  case $1 in
    docker) start_docker || return 1 ;;
    podman) settings_of_podman ;;
  esac
  reason="$1 cannot take the base: see $folder/$1.log"
  case $1 in
    buildah) import_with_buildah ;;
    *) "$1" import "$folder/base.tar" "$base" ;;
  esac >"$folder/$1.log" 2>&1 || return 1
  reason="$1 cannot run a container here: see $folder/$1.log"
  case $1 in
    buildah) buildah run --network host "$(buildah from --pull-never "$base")" -- true ;;
    *) "$1" run --rm --network host "$base" true ;;
  esac >>"$folder/$1.log" 2>&1
}

import_with_buildah() {
  local container
  container=$(buildah from scratch)
  buildah add "$container" "$folder/base.tar" / && buildah commit "$container" "$base"
  buildah rm "$container"
}

# log_in TOOL: into a file of its own.
log_in() {
  local settings=$folder/login.$1
  rm -rf "$settings"
  mkdir -p "$settings"
  # Each finds the authority where its users put it.
  case $1 in
    docker) printf faultline | DOCKER_CONFIG=$settings docker login --username faultline --password-stdin "$registry" ;;
    *) printf faultline | "$1" login --authfile "$settings/auth.json" --cert-dir "$folder/trust" --username faultline --password-stdin "$registry" ;;
  esac >>"$folder/$1.log" 2>&1
}

# digests_with BUILDER PATH: builds and pushes as deploy.sh does; prints a line for each image.
# shellcheck disable=SC1090,SC2030,SC2034,SC2154  # the parts of deploy.sh share their variables
digests_with() {
  local builder=$1 path=$2 settings=$folder/login.$1
  case $1 in
    docker) export DOCKER_CONFIG=$settings ;;
    *) export REGISTRY_AUTH_FILE=$settings/auth.json ;;
  esac
  (
    cd "$root"
    for part in console tools platforms rust requirements registry container images; do . "deploy/$part.sh"; done
    mode=deploy skip_build=false namespace=faultline registry=$registry/$path insecure=false registry_ca=$folder/certs/ca.crt
    pull_secret='' release='' tag='' build_base=$base
    open_console
    step Build
    requirements
    find_registry || die "the registry does not answer"
    # Nothing of another build, nor of an earlier one.
    rm -rf "$root/target/container"
    compile_all "${architectures[@]}"
    push_images "$(image_of_program custom-app custom-app)" "$(image_of_program log-agent log-agent)" \
      "$(image_of_program e2e faultline-e2e)" "filter=module:$(built filter/plugin.wasm)"
    [ "$(wc -l <"$scratch/pushed")" = 4 ] || die "not everything was pushed: $(paste -sd' ' "$scratch/pushed")"
    printf '%s\n' "${image_custom_app#*@}" "${image_log_agent#*@}" "${image_e2e#*@}" "${image_filter#*@}" >"$folder/digests.$builder"
  )
}

main() {
  local tools=("$@") tool skipped=() done=()
  case ${1:-} in -h|--help) usage; return ;; esac
  [ $# -gt 0 ] || tools=(docker podman buildah)
  preflight
  mkdir -p "$folder" "$folder/trust"
  exec 9>"$folder/lock"
  flock 9
  trap finish EXIT
  "$root/e2e/fresh/fresh.sh" --tar "$folder/base.tar"
  start_registry
  cp "$folder/certs/ca.crt" "$folder/trust/"
  for tool in "${tools[@]}"; do
    if ! works "$tool"; then say "SKIPPED $tool: $reason"; skipped+=("$tool"); continue; fi
    log_in "$tool" || fail "$tool could not log in: see $folder/$tool.log"
    say "== $tool"
    digests_with "$tool" "$tool"
    paste -d ' ' <(printf '%s\n' custom-app log-agent e2e filter) "$folder/digests.$tool"
    done+=("$tool")
  done
  [ ${#done[@]} -gt 0 ] || unavailable "no container tool works: $reason"
  say "== Rust on this machine, pushed with the login of ${done[0]}"
  rm -rf "$folder/login.rust"
  cp -a "$folder/login.${done[0]}" "$folder/login.rust"
  [ ! -e "$folder/login.rust/config.json" ] || mv "$folder/login.rust/config.json" "$folder/login.rust/auth.json"
  digests_with rust rust
  for tool in "${done[@]}"; do
    diff "$folder/digests.$tool" "$folder/digests.rust" || fail "$tool builds other images than Rust on this machine"
  done
  say "the same digests from ${done[*]} and from Rust on this machine, for ${architectures[*]}; skipped: ${skipped[*]:-none}"
}

main "$@"

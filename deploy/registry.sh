# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The registry: how one speaks with it, and whether it is there. Pushing is the work of faultline-images (images.sh).

registry_host() { printf '%s' "${registry%%/*}"; }

# Sets registry_arguments, as faultline-images takes them. Fails when nothing answers as a registry does.
find_registry() {
  local scheme=https
  find_registry_ca
  registry_arguments=(--registry "$registry")
  if [ -n "$registry_ca" ]; then registry_arguments+=(--ca "$registry_ca"); fi
  if ! registry_answers https; then
    [ "$insecure" = true ] && registry_answers http || return 1
    scheme=http
  fi
  registry_arguments+=(--scheme "$scheme")
  if [ "$insecure" = true ]; then registry_arguments+=(--any-certificate); fi
}

# registry_answers SCHEME: 401 is an answer; whose login is good is asked once there is what can ask.
registry_answers() {
  local host options=(-sS --connect-timeout 5 --max-time 15 -o /dev/null -w '%{http_code}')
  host=$(registry_host)
  [ "$host" != docker.io ] || host=registry-1.docker.io   # what the name means to every container tool
  if [ -n "$registry_ca" ]; then options+=(--cacert "$registry_ca"); fi
  if [ "$insecure" = true ]; then options+=(-k); fi
  case $(curl "${options[@]}" "$1://$host/v2/" 2>>"$log") in
    200|401) ;;
    *) return 1 ;;
  esac
}

# Sets registry_ca: the authorities that this machine's container tools trust for this registry, where nothing is said.
find_registry_ca() {
  local folder host
  [ -z "$registry_ca" ] || return 0
  host=$(registry_host)
  for folder in "${HOME:-}/.docker/certs.d" "${XDG_CONFIG_HOME:-${HOME:-}/.config}/containers/certs.d" \
    /etc/docker/certs.d /etc/containers/certs.d; do
    cat "$folder/$host"/*.crt >"$scratch/registry-ca" 2>/dev/null || continue
    registry_ca=$scratch/registry-ca
    return
  done
}

# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The registry, asked over its HTTP API. Pushing is the container tool's work (images.sh).

registry_host() {
  local host=${registry%%/*}
  [ "$host" != docker.io ] || host=registry-1.docker.io   # what the name means to every container tool
  printf '%s' "$host"
}

# registry_request PATH CURL_OPTION...: over HTTPS, or, with --insecure-registry, however it answers.
registry_request() {
  local path=$1 host
  host=$(registry_host)
  shift
  local common=(-sS --connect-timeout 5 --max-time 15 "$@")
  if [ "$insecure" = true ]; then
    curl "${common[@]}" "http://$host/v2/$path" 2>>"$log" || curl -k "${common[@]}" "https://$host/v2/$path" 2>>"$log"
  else
    curl "${common[@]}" "https://$host/v2/$path" 2>>"$log"
  fi
}

# 401 is an answer: the container tool has the credentials, this script has none.
registry_answers() {
  case $(registry_request '' -o /dev/null -w '%{http_code}') in
    200|401) ;;
    *) return 1 ;;
  esac
}

# registry_digest NAME TAG: prints the digest; nothing when there is no such tag, or only for the logged in.
registry_digest() {
  local path=''
  case $registry in */*) path=${registry#*/}/ ;; esac
  registry_request "${path}faultline/$1/manifests/$2" -I -f \
    -H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json' |
    tr -d '\r' | awk 'tolower($1) == "docker-content-digest:" {print $2}' || true
}

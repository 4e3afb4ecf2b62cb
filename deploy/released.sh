# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# --release: the digests of what was released, in place of a build. They are in a release's folder, or what the
# registry has under the release's tag.

released_images='custom-app log-agent e2e filter'

check_release_option() {
  # The environment may name one for every run.
  case $mode in deploy|dry-run) ;; *) release='' ;; esac
  [ -n "$release" ] || return 0
  [ "$skip_build" = false ] || refuse "--release and --skip-build do not go together"
  [ "$builder" = rust ] || refuse "--release and --build do not go together: a release is built already"
  case $release in
    */*|.|..)
      [ -d "$release" ] || refuse "the release's folder $release is not there"
      release=$(cd "$release" && pwd)
      ;;
    *)
      release=${release#v}
      [[ $release =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
        refuse "the release \"$release\" is neither a version, such as 1.2.3, nor a folder, such as ./faultline-1.2.3"
      [ -n "$registry" ] || refuse "--release $release needs --registry: its images' digests are asked there. Or name the release's folder"
      ;;
  esac
}

# Sets image_custom_app, image_log_agent, image_e2e, image_filter, images_found, and suite: that of the release, if it is here.
find_release() {
  suite=''
  case $release in
    /*) find_release_in_folder ;;
    *) find_release_in_registry ;;
  esac
}

find_release_in_folder() {
  local name image
  check_sum images.txt
  # A registry that is named has copies: the same digests.
  for name in $released_images; do
    image=$(awk -v name="$name" '$1 == name {print $2}' "$release/images.txt")
    [[ $image =~ ^[^@]+/faultline/$name@sha256:[a-f0-9]{64}$ ]] || die "$release/images.txt names no digest of $name"
    [ -z "$registry" ] || image=$registry/faultline/${image##*/}
    printf -v "image_${name//-/_}" '%s' "$image"
  done
  registry=${registry:-${image_filter%%/faultline/filter@*}}
  images_found=$release/images.txt
  find_released_suite
}

# The suite runs here if it is one of this machine's kind; without it the proof is skipped, which is said.
find_released_suite() {
  local file
  [ "$mode" = deploy ] || return 0
  case $(uname -s):$(uname -m) in
    Linux:x86_64) file=faultline-e2e-linux-amd64 ;;
    Linux:aarch64) file=faultline-e2e-linux-arm64 ;;
    *) return 0 ;;
  esac
  [ -f "$release/$file" ] || return 0
  check_sum "$file"
  suite=$root/target/deploy/faultline-e2e
  cp "$release/$file" "$suite.new"
  # A download leaves no file executable.
  chmod 755 "$suite.new"
  mv "$suite.new" "$suite"
}

# check_sum FILE: it is what the release's SHA256SUMS says.
check_sum() {
  local wanted file
  for file in SHA256SUMS "$1"; do [ -f "$release/$file" ] || die "$release is no release: it lacks $file"; done
  wanted=$(awk -v file="$1" '$2 == file {print $1}' "$release/SHA256SUMS")
  [ "$(sum_of "$release/$1")" = "$wanted" ] || die "$release/$1 is not what SHA256SUMS says" "Download the release again."
}

# macOS has no sha256sum.
sum_of() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi <"$1" | cut -d ' ' -f 1; }

find_release_in_registry() {
  local name
  find_registry || die "the registry $(registry_host) does not answer" \
    "Is the name right? Its certificate: --registry-ca FILE, or --insecure-registry"
  for name in $released_images; do
    fetch_manifest "$name" "v$release"
    printf -v "image_${name//-/_}" '%s' "$registry/faultline/$name@sha256:$(sum_of "$scratch/manifest")"
  done
  images_found="$registry, tagged v$release"
}

# fetch_manifest NAME TAG: into $scratch/manifest, without a login. What pins an image is the sum of its manifest.
fetch_manifest() {
  local scheme=https host=${registry%%/*} path='' code place
  case " ${registry_arguments[*]} " in *' --scheme http '*) scheme=http ;; esac
  [ "$host" = "$registry" ] || path=${registry#*/}/
  [ "$host" != docker.io ] || host="registry-1.docker.io"
  place=$scheme://$host/v2/${path}faultline/$1/manifests/$2
  code=$(ask_registry "$place")
  if [ "$code" = 401 ] && fetch_token "${path}faultline/$1"; then
    code=$(ask_registry "$place" --config "$scratch/token")
  fi
  case $code in
    200) ;;
    401|403) die "$(registry_host) does not tell the digest of $1 without a login" \
      "Download the release, whose images.txt has it: --release FOLDER" ;;
    404) die "$registry has no $1 tagged $2" "Is it the registry of the release? What there is: its list of tags, or the release's own page" ;;
    *) die "$(registry_host) does not tell the digest of $1: it answers ${code:-nothing}" ;;
  esac
}

# ask_registry URL [OPTION]...: prints the status; the body and the head go to $scratch/manifest and $scratch/head.
ask_registry() {
  local options=(-sS --max-time 30 -o "$scratch/manifest" -D "$scratch/head" -w '%{http_code}') url=$1
  shift
  if [ -n "$registry_ca" ]; then options+=(--cacert "$registry_ca"); fi
  if [ "$insecure" = true ]; then options+=(-k); fi
  curl "${options[@]}" -H 'Accept: application/vnd.oci.image.index.v1+json' \
    -H 'Accept: application/vnd.oci.image.manifest.v1+json' "$@" "$url" 2>>"$log" || true
}

# fetch_token REPOSITORY: what the registry gives to anybody, for curl, into $scratch/token.
fetch_token() {
  local challenge realm service token
  challenge=$(tr -d '\r' <"$scratch/head" | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: *[Bb]earer *//p' | head -n 1)
  realm=$(sed -n 's/.*realm="\([^"]*\)".*/\1/p' <<<"$challenge")
  service=$(sed -n 's/.*service="\([^"]*\)".*/\1/p' <<<"$challenge")
  [ -n "$realm" ] || return 1
  token=$(curl -sS --max-time 30 --get --data-urlencode "service=$service" --data-urlencode "scope=repository:$1:pull" "$realm" 2>>"$log" |
    tr -d '\n' | sed -n 's/.*"\(access_\)\{0,1\}token" *: *"\([^"]*\)".*/\2/p')
  [ -n "$token" ] || return 1
  printf 'header = "Authorization: Bearer %s"\n' "$token" >"$scratch/token"
}

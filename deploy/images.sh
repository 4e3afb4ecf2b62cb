# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# From source to digests. Sets image_custom_app, image_log_agent, image_e2e and image_filter, each as
# REPOSITORY@sha256:…; a tag never decides what runs.

suite=$root/target/deploy/faultline-e2e

# Where what was compiled is: below Cargo's own folder, or that of the container.
built() {
  case $builder in
    rust) printf '%s/%s' "${CARGO_TARGET_DIR:-$root/target}" "$1" ;;
    *) printf '%s/%s' "$root/target/container" "$1" ;;
  esac
}

build() {
  if [ -n "$release" ]; then ok "nothing: release $release"; return; fi
  if [ "$skip_build" = true ]; then ok "skipped (--skip-build)"; return; fi
  compile_all "${architectures[@]}"
  # The suite's image and the suite that runs here are one and the same program, unless no node has this architecture.
  cp "$(built host/faultline-e2e)" "$suite.new" && mv "$suite.new" "$suite"
  ok "$(described "${architectures[0]}"), for $(paste -sd' ' - <<<"${architectures[*]}"), filter $(size_of filter/plugin.wasm)"
}

described() {
  local release
  release=$(triple_of "$1")/release
  printf 'services %s and %s' "$(size_of "$release/custom-app")" "$(size_of "$release/log-agent")"
}

# compile_all [ARCHITECTURE...]: the filter and what pushes first, then the login, and only then what takes minutes.
compile_all() {
  local architecture
  for architecture in "$@"; do rust_parts+=("$(triple_of "$architecture")"); done
  compile || die "the filter did not compile"
  images check "${registry_arguments[@]}" >"$scratch/check" || die_as_told
  [ $# = 0 ] || compile "$@" || die "the services did not compile"
}

# compile [ARCHITECTURE...]
compile() {
  case $builder in
    rust) bring_rust; quietly "$root/deploy/compile.sh" "$@" ;;
    *) compile_in_container "$@" ;;
  esac
}

# images COMMAND...: what makes and pushes images. What it has to say is in $scratch/told-by-images.
images() {
  printf '$ faultline-images %s\n' "$*" >>"$log"
  "$(built host/faultline-images)" "$@" 2>"$scratch/told-by-images"
}

# Its first line says what is wrong, the second what to do about it.
die_as_told() {
  local sentence next
  { IFS= read -r sentence; IFS= read -r next; } <"$scratch/told-by-images" || true
  die "${sentence:-faultline-images ended without a word}" ${next:+"$next"}
}

size_of() { wc -c <"$(built "$1")" | awk '{printf "%.1f MB", $1 / 1e6}'; }

push() {
  if [ -n "$release" ]; then ok "nothing: the digests found in $images_found"; return; fi
  if [ "$skip_build" = true ]; then
    find_images
    [ -n "$image_filter" ] || die "there is nothing to skip to: the namespace $namespace runs no images yet, and none were pushed from here" \
      "Build them once: run without --skip-build"
    ok "skipped (--skip-build): the digests found in $images_found"
    return
  fi
  push_images "$(image_of_program custom-app custom-app)" "$(image_of_program log-agent log-agent)" \
    "$(image_of_program e2e faultline-e2e)" "filter=module:$(built filter/plugin.wasm)"
  remember_images
  warn_if_closed
  if [ -e "$scratch/pushed" ]; then
    ok "to $registry: $(paste -sd' ' "$scratch/pushed")"
  else
    ok "$registry has all of it already"
  fi
}

# image_of_program NAME PROGRAM: as faultline-images reads it, for each of the architectures.
image_of_program() {
  local architecture files=''
  for architecture in "${architectures[@]}"; do
    files+=,$architecture:$(built "$(triple_of "$architecture")/release/$2")
  done
  printf '%s=%s' "$1" "${files#,}"
}

# push_images [OPTION] IMAGE...: sets image_NAME of each to what pins it; notes in $scratch/pushed which were not there.
push_images() {
  local name place outcome
  images push "${registry_arguments[@]}" ${tag:+--tag "$tag"} "$@" >"$scratch/images" || die_as_told
  while read -r name place outcome; do
    [[ $place =~ @sha256:[a-f0-9]{64}$ ]] || die "faultline-images names no digest of $name, but \"$place\""
    printf -v "image_${name//-/_}" '%s' "$place"
    [ "$outcome" = there ] || printf '%s\n' "$name" >>"$scratch/pushed"
  done <"$scratch/images"
}

# The nodes may have a login of their own, which nobody sees from here.
warn_if_closed() {
  [ -z "$pull_secret" ] || return 0
  [ "$(images open "${registry_arguments[@]}" "$image_log_agent" || true)" = closed ] || return 0
  warn "$(registry_host) gives these images only to who has logged in. Unless the nodes and Istio's proxies have: --image-pull-secret NAME"
}

# What was pushed last from here, for --skip-build on a cluster that is empty again.
images_record=$root/target/deploy/images

remember_images() {
  printf 'image_%s=%s\n' custom_app "$image_custom_app" log_agent "$image_log_agent" e2e "$image_e2e" filter "$image_filter" >"$images_record"
}

# The images of an earlier run: those of the cluster, else those pushed last. All empty when there are none.
find_images() {
  images_found="the cluster"
  image_custom_app=$(image_of statefulset/custom-app)
  # An earlier version's.
  [ -n "$image_custom_app" ] || image_custom_app=$(image_of deployment/custom-app)
  image_log_agent=$(image_of deployment/log-agent)
  image_e2e=$(ask get namespace "$namespace" --ignore-not-found -o 'jsonpath={.metadata.annotations.faultline/probe-image}')
  image_filter=''
  if [ -n "$(ask get crd wasmplugins.extensions.istio.io --ignore-not-found -o name)" ]; then
    image_filter=$(ask -n "$namespace" get wasmplugin custom-app-guard --ignore-not-found -o 'jsonpath={.spec.url}')
    image_filter=${image_filter#oci://}
  fi
  local image
  for image in "$image_custom_app" "$image_log_agent" "$image_e2e" "$image_filter"; do
    [[ $image == *@sha256:* ]] || images_found=''
  done
  if [ -n "$images_found" ]; then return; fi
  image_filter=''
  if [ -f "$images_record" ]; then
    images_found=$images_record
    # shellcheck source=/dev/null
    . "$images_record"
  fi
}

# image_of KIND/NAME: empty where there is none.
image_of() {
  ask -n "$namespace" get "$1" --ignore-not-found -o 'jsonpath={.spec.template.spec.containers[0].image}'
}

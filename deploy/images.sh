# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# From source to digests. Sets image_custom_app, image_log_agent, image_e2e and image_filter, each as
# REPOSITORY@sha256:…; a tag never decides what runs.

sha256_of() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }
built() { printf '%s/%s' "${CARGO_TARGET_DIR:-$root/target}" "$1"; }

suite=$root/target/deploy/faultline-e2e

build() {
  if [ "$skip_build" = true ]; then ok "skipped (--skip-build)"; return; fi
  quietly cargo build --release --locked --target "$target" -p custom-app -p log-agent -p faultline-e2e ||
    die "the services did not compile"
  # The suite's image and the suite that runs here are one and the same program.
  cp "$(built "$target/release/faultline-e2e")" "$suite.new" && mv "$suite.new" "$suite"
  build_filter
  ok "services $(size_of "$target/release/custom-app") and $(size_of "$target/release/log-agent"), filter $(size_of filter/plugin.wasm)"
}

build_filter() { quietly filter/build.sh || die "the filter did not compile"; }

size_of() { wc -c <"$(built "$1")" | awk '{printf "%.1f MB", $1 / 1e6}'; }

push() {
  if [ "$skip_build" = true ]; then
    find_images
    [ -n "$image_filter" ] || die "there is nothing to skip to: the namespace $namespace runs no images yet, and none were pushed from here" \
      "Build them once: run without --skip-build"
    ok "skipped (--skip-build): the digests found in $images_found"
    return
  fi
  local release=$target/release
  image_custom_app=$(image custom-app "$release/custom-app" custom-app/Containerfile)
  image_log_agent=$(image log-agent "$release/log-agent" log-agent/Containerfile)
  image_e2e=$(image e2e "$release/faultline-e2e" e2e/Containerfile)
  image_filter=$(image filter filter/plugin.wasm deploy/filter.Containerfile)
  remember_images
  if [ -e "$scratch/pushed" ]; then
    ok "to $registry: $(paste -sd' ' "$scratch/pushed")"
  else
    ok "$registry has all of it already"
  fi
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

# image NAME FILE CONTAINERFILE [TAG]: builds and pushes unless the registry has the content; prints
# REPOSITORY@DIGEST. Without TAG it is made from the content, so the same content is never pushed twice.
image() {
  local name=$1 file containerfile=$root/$3 repository=$registry/faultline/$1 tag=${4:-} digest='' context
  file=$(built "$2")
  if [ -z "$tag" ]; then
    tag=$(cat "$file" "$containerfile" | sha256_of | cut -c 1-16)
    digest=$(registry_digest "$name" "$tag")
  fi
  if [ -z "$digest" ]; then
    context=$scratch/$name
    mkdir "$context"
    cp "$file" "$context/"
    make_image "$repository:$tag" "$containerfile" "$context" || die "the image $name could not be built with $container_tool"
    push_image "$repository:$tag" "$scratch/$name.digest" ||
      die "the image $name could not be pushed to $registry" "$(push_advice)"
    digest=$(cat "$scratch/$name.digest")
    echo "$name" >>"$scratch/pushed"
  fi
  [[ $digest =~ ^sha256:[a-f0-9]{64}$ ]] || die "the registry gave no digest for $repository:$tag, but \"$digest\""
  printf '%s@%s' "$repository" "$digest"
}

# No time of day in the image, so that the same content has the same digest everywhere. Docker has no such
# option; there the build cache keeps the digest.
make_image() {
  local build=(build)
  case $container_tool in
    buildah|podman) build+=(--timestamp 0 --layers=false) ;;
  esac
  quietly "$container_tool" "${build[@]}" --quiet --tag "$1" --file "$2" "$3"
}

push_image() {
  local plain=()
  if [ "$container_tool" = docker ]; then
    quietly docker push --quiet "$1" || return 1
    docker inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$1" 2>>"$log" |
      sed -n "s|^${1%:*}@||p" | head -n 1 >"$2"
    return
  fi
  [ "$insecure" = false ] || plain=(--tls-verify=false)
  quietly "$container_tool" push --quiet "${plain[@]+"${plain[@]}"}" --digestfile "$2" "$1" "docker://$1"
}

push_advice() {
  if [ "$container_tool" = docker ] && [ "$insecure" = true ]; then
    printf 'Docker must know it as insecure: add "insecure-registries": ["%s"] to daemon.json and restart it' "${registry%%/*}"
  else
    printf 'Are you logged in? %s login %s' "$container_tool" "${registry%%/*}"
  fi
}

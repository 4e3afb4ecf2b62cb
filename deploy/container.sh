# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# --build container: whatever is compiled is compiled in a container; this machine needs no Rust, C compiler or Python.
# The sources are only read; what comes out, and what speeds up the next time, lies in target/container.

builder_image=localhost/faultline-builder

# compile_in_container [ARCHITECTURE...]
compile_in_container() {
  make_builder
  mkdir -p "$root/target/container"
  case $container_tool in
    buildah) run_with_buildah "$@" ;;
    *) run_with_engine "$@" ;;
  esac
}

# The image with the toolchain, from the base that is named. Its layers are kept by the container tool; so after the
# first time this is a look.
make_builder() {
  [ -z "$builder_is_made" ] || return 0
  local base=${build_base:-docker.io/library/rust:$(rust_setting channel)-bookworm} context=$scratch/builder name options
  options=(--network host --build-arg "BASE=$base")
  # The others keep layers unasked.
  [ "$container_tool" != buildah ] || options+=(--layers)
  # Where this machine is told to find its packages, the container is as well.
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!name:-}" ] || options+=(--build-arg "$name=${!name}")
  done
  mkdir -p "$context/deploy" "$context/filter"
  cp "$root/rust-toolchain.toml" "$context/"
  cp "$root/deploy/"{builder,tools,rust}.sh "$context/deploy/"
  cp "$root/filter/toolchain.sh" "$context/filter/"
  quietly "$container_tool" build "${options[@]}" --tag "$builder_image" --file "$root/deploy/builder.Containerfile" "$context" ||
    die "$container_tool could not make the image to build with from $base" \
      "Can it be pulled? Another base, with rustup and apt in it: --build-base IMAGE. Or build with Rust on this machine: without --build"
  builder_is_made=yes
}
builder_is_made=''

# What the build is told.
builder_environment=(CARGO_TARGET_DIR=/target CARGO_HOME=/target/cargo HOME=/target/home
  ZIG_GLOBAL_CACHE_DIR=/target/zig CARGO_ZIGBUILD_CACHE_DIR=/target/zigbuild)

# run_with_engine [ARCHITECTURE...]: with docker or podman.
run_with_engine() {
  local options=(--rm --network host --security-opt label=disable --workdir /faultline) setting
  # A daemon that is root would leave files that are root's.
  if [ "$container_tool" = docker ] && ! docker info --format '{{.SecurityOptions}}' 2>>"$log" | grep -q rootless; then
    options+=(--user "$(id -u):$(id -g)")
  fi
  for setting in "${builder_environment[@]}"; do options+=(--env "$setting"); done
  quietly "$container_tool" run "${options[@]}" --volume "$root:/faultline:ro" --volume "$root/target/container:/target" \
    "$builder_image" deploy/compile.sh "$@"
}

run_with_buildah() {
  local container=faultline-build options=(--network host --workingdir /faultline) setting code=0
  # What a run that was killed left.
  buildah rm "$container" >/dev/null 2>&1 || true
  quietly buildah from --pull-never --security-opt label=disable --name "$container" "$builder_image" || return 1
  quietly buildah config --workingdir /faultline "$container" || return 1
  for setting in "${builder_environment[@]}"; do quietly buildah config --env "$setting" "$container" || return 1; done
  quietly buildah run --network host --volume "$root:/faultline:ro" --volume "$root/target/container:/target" \
    "$container" -- deploy/compile.sh "$@" || code=$?
  buildah rm "$container" >/dev/null 2>&1 || true
  return "$code"
}

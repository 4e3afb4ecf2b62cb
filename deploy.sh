#!/usr/bin/env bash
# Puts Faultline on the cluster of the current kubectl context, and proves that it works.
#
# Usage: ./deploy.sh --registry HOST[:PORT][/PATH] [OPTION]...
#        ./deploy.sh --local [OPTION]...         without a cluster, on this machine; its options: --local --help
#        ./deploy.sh push-filter [OPTION]...     the filter alone, for your own mesh; its options: push-filter --help
#
# Checks first, and changes nothing unless every check passes. Then builds the images and the filter,
# pushes them, installs Istio where there is none, applies everything pinned by digest, waits, and sends
# real requests. Run again, it changes nothing and proves the same.
#
#   --registry HOST[:PORT][/PATH]   where images are pushed, and where the cluster pulls them from
#   --insecure-registry             the registry speaks plain HTTP, or has a certificate nobody knows
#   --registry-ca FILE              certificates (PEM) of the registry's authority; by default those that docker or
#                                   podman has for it on this machine (certs.d), beside the system's
#   --image-pull-secret [NS/]NAME   the Secret with which pods and Istio's proxies pull; it is taken to each namespace
#                                   that needs it, from NS, or from the context's namespace or Faultline's
#   --architectures LIST            build for these, of amd64 and arm64 (default: those that the nodes have)
#   --build rust|container          compile with Rust here, or in a container with whichever works of buildah, podman
#                                   and docker (also: the name of one of them); pushing needs no container tool
#   --build-base IMAGE              what that container is made from (default: Rust's official image)
#   --namespace NAME                Faultline's own namespace (default: faultline)
#   --gateway own                   make a gateway of Faultline's own, in its namespace
#   --gateway NAMESPACE/SERVICE     use that gateway (default: the one labelled istio=ingressgateway, if it serves nobody else)
#   --host NAME                     be served under that host name only, so that a gateway can be shared ('*': any again)
#   --gateway-api                   Gateway and HTTPRoutes of the Gateway API, at a gateway of Faultline's own
#   --istio-revision NAME           the revision or tag of Istio that runs the proxies (default: its default, or its only one)
#   --istio-config FILE             an IstioOperator file laid over istio/installation.yaml
#   --timeout SECONDS               the longest that each single wait may take (default: 300)
#   --skip-build                    build and push nothing: use what is deployed, else what the registry has
#   --release VERSION|FOLDER        deploy a release, and build nothing: the images tagged vVERSION in --registry, or those
#                                   of a folder that deploy/release.sh made or that was downloaded (docs/releases.md)
#   --skip-istio                    neither install nor remove Istio
#   --dry-run                       render, let the server validate, change and build nothing
#   --status                        show what is deployed; exit code 0 when all of it is ready
#   --delete                        remove Faultline, and Istio too if this script installed it and nobody else uses it
#   --help                          this text
#
# --gateway, --host and --gateway-api are one choice: a run that names none of them goes on with the last one's, and one
# that names any of them takes away what another choice has left.
# The login for pushing is that of docker, podman or buildah (docker login HOST).
# Each option is also read from the environment: FAULTLINE_REGISTRY, FAULTLINE_SKIP_BUILD=true, and so on.
# rustup brings the toolchain. Other tools that are missing are installed as root with apt, unless
# FAULTLINE_INSTALL=false; elsewhere one command is named that installs them.
# Exit codes: 0 done, 1 failed (a sentence says why, and what to do next), 2 wrong usage.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$root/deploy/console.sh"
. "$root/deploy/options.sh"
. "$root/deploy/tools.sh"
. "$root/deploy/platforms.sh"
. "$root/deploy/rust.sh"
. "$root/deploy/requirements.sh"
. "$root/deploy/local.sh"
. "$root/deploy/cluster.sh"
. "$root/deploy/mesh.sh"
. "$root/deploy/choice.sh"
. "$root/deploy/lock.sh"
. "$root/deploy/registry.sh"
. "$root/deploy/neighbours.sh"
. "$root/deploy/preflight.sh"
. "$root/deploy/container.sh"
. "$root/deploy/images.sh"
. "$root/deploy/released.sh"
. "$root/deploy/pull-secret.sh"
. "$root/deploy/istio.sh"
. "$root/deploy/users.sh"
. "$root/deploy/boundary.sh"
. "$root/deploy/apply.sh"
. "$root/deploy/takeover.sh"
. "$root/deploy/gateway.sh"
. "$root/deploy/delete.sh"
. "$root/deploy/status.sh"
. "$root/deploy/push-filter.sh"

deploy() {
  steps=7
  step Check;  preflight
  step Build;  build
  step Push;   push
  lock
  step Istio;  install_istio
  step Apply;  apply
  step Wait;   wait_for_pods; wait_for_gateway
  step Prove;  prove
  next_commands
}

dry_run() {
  steps=2
  step Check;  preflight
  step Render; validate
}

delete() {
  steps=2
  step Check;  preflight_delete
  lock_if_there
  step Delete; delete_everything
}

# In one piece: bash reads a script as it runs it, and this one may be edited meanwhile.
{
  local_mode "$@"
  parse "$@"
  cd "$root"
  if [ "$mode" = push-filter ]; then push_filter; exit; fi
  open_console
  requirements
  pin_context
  case $mode in
    deploy) deploy ;;
    dry-run) dry_run ;;
    delete) delete ;;
    status) status ;;
  esac
  exit
}

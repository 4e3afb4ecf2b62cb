#!/usr/bin/env bash
# A real single-node Kubernetes on this machine, from packages alone: no Docker, no image from outside.
#
# Kubernetes and Istio are compiled from their sources. Istio's proxies are upstream's Envoy, from PyPI, not
# istio/proxyv2, which no package has: two of Istio's own filters (ALPN, metadata exchange) and its telemetry
# are off (istio.yaml). Volumes are folders of this machine, so no volume ever moves to another node.
#
#   cluster.sh build          install packages, compile the components (once), make the base image
#   cluster.sh up             build what is missing, then start: Kubernetes, DNS, storage, a load
#                             balancer's addresses, a registry with Istio's images (not Istio itself)
#   cluster.sh down           stop everything; no process, mount or network namespace stays
#   cluster.sh status         what runs; exit code 0 when the cluster is up
#   cluster.sh env            what a shell needs: eval "$(cluster.sh env)"
#   cluster.sh guarded        the registry with a login: its address, its authority's certificate, user and password
#   cluster.sh exec CMD ...   run CMD inside the node's network, with that environment
#
# Then: eval "$(cluster.sh env)"; ./deploy.sh; curl http://198.51.100.1/
#
# Linux with apt, as root. Everything lives in $CLUSTER_HOME (default: faultline/cluster in the
# user's cache folder); the cluster's network is a namespace of its own with no way out.
# Exit codes: 0 done, 1 failed, 2 wrong usage, 69 a component cannot be downloaded.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/faultline/cluster}
netns=faultline-node
node_ip=198.51.100.1          # TEST-NET-2: documentation addresses, routed nowhere
host_ip=198.51.100.2
balanced_ips=("$node_ip" 198.51.100.3 198.51.100.4 198.51.100.5)   # of Services of type LoadBalancer
service_cidr=203.0.113.0/24   # TEST-NET-3
api_ip=203.0.113.1
dns_ip=203.0.113.10
pod_cidr=192.0.2.0/24         # TEST-NET-1
policy_queue=100              # where NetworkPolicies are decided
registry=$node_ip:5000
guarded=$node_ip:5443         # a registry as companies have it: a certificate of an authority of its own, and a login
kubernetes_version=1.36.3
istio_version=1.31
envoy_version=1.39.3
bin=$home/bin pki=$home/pki run=$home/run log=$home/log
volumes=/tmp/faultline-volumes  # Kubernetes deletes host-path volumes only below /tmp

say() { printf '%s\n' "$*" >&2; }
die() { local code=$1; shift; say "cluster.sh: $*"; exit "$code"; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
inside() { nsenter --net="/var/run/netns/$netns" "$@"; }   # `ip netns exec` remounts /sys and hides the cgroups
kube() { kubectl --kubeconfig "$pki/admin.conf" "$@"; }

wait_for() {  # wait_for SECONDS WHAT CMD...
  local deadline=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || die 1 "$what did not become ready; see $log"
    sleep 0.3
  done
}

# shellcheck source=build.sh
. "$here/build.sh"
# shellcheck source=node.sh
. "$here/node.sh"

preflight() {
  [ "$(uname -s)" = Linux ] || die 1 "needs Linux: the node's components run on this machine's kernel"
  [ "$(id -u)" = 0 ] || die 1 "needs root, for network namespaces and containers: run it with sudo"
  command -v go >/dev/null || die 1 "Go is not installed: see https://go.dev/doc/install"
  command -v python3 >/dev/null || die 1 "Python is not installed: apt-get install python3 python3-pip"
  command -v kubectl >/dev/null || die 1 "kubectl is not installed: see https://kubernetes.io/docs/tasks/tools/"
  mkdir -p "$home" "$log" "$run"
  exec 9>"$home/lock"
  flock -w 1800 9 || die 1 "another cluster.sh has held $home/lock for half an hour"
}

up() {
  if healthy; then say "already up: eval \"\$($0 env)\""; return; fi
  down
  build
  SECONDS=0
  start_node
  say "ready in $SECONDS s: eval \"\$($0 env)\""
}

status() {
  local name state
  for name in "${processes[@]}"; do
    if running "$name"; then state=running; else state=stopped; fi
    printf '%-20s %s\n' "$name" "$state"
  done
  healthy
}

environment() {
  printf 'export %s\n' "KUBECONFIG=$pki/admin.conf" "PATH=$bin:\$PATH" "FAULTLINE_REGISTRY=$registry" \
    FAULTLINE_INSECURE_REGISTRY=true "FAULTLINE_ISTIO_CONFIG=$here/istio.yaml"
}

case ${1:-} in
  guarded) printf '%s\n' "$guarded" "$pki/registry-ca.crt" faultline faultline ;;
  build|up|down) preflight; "$1" ;;
  status) status ;;
  env) environment ;;
  exec) shift; eval "$(environment)"; inside "$@" ;;
  -h|--help|help) usage ;;
  *) usage >&2; exit 2 ;;
esac

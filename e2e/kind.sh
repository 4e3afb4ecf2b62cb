#!/usr/bin/env bash
# The acceptance suite on kind, with Istio as it is released: .github/workflows/matrix.yml runs it for each pair of
# versions. Linux, with docker, kind, kubectl, curl and what ./deploy.sh builds with.
#   e2e/kind.sh ISTIO_VERSION NODE_IMAGE     for example: e2e/kind.sh 1.31.4 kindest/node:v1.36.1@sha256:…
# The cluster faultline, the container faultline-registry and Istio's download are made here, and taken away.
# Exit codes: 0 done, 1 failed, 2 wrong usage.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
istio_version=$1 node_image=$2
registry_name=faultline-registry
registry_image=registry:3
scratch=$(mktemp -d)

finish() {
  local code=$?
  if [ $code != 0 ]; then
    kubectl get pods -A -o wide || true
    kubectl get events -A --field-selector type=Warning --sort-by=.lastTimestamp | tail -n 20 || true
  fi
  kind delete cluster --name faultline || true
  docker rm --force "$registry_name" >/dev/null || true
  rm -rf "$scratch"
}

# Istio's own sums are beside its files.
fetch_istioctl() {
  local machine file
  case $(uname -m) in x86_64) machine=amd64 ;; *) machine=arm64 ;; esac
  file=istioctl-$istio_version-linux-$machine.tar.gz
  curl -sSfL --remote-name-all --output-dir "$scratch" \
    "https://github.com/istio/istio/releases/download/$istio_version/$file"{,.sha256}
  (cd "$scratch" && sha256sum --check "$file.sha256" && tar -xzf "$file")
  export PATH=$scratch:$PATH
}

start() {
  export KUBECONFIG=$scratch/kubeconfig
  kind create cluster --name faultline --image "$node_image" --wait 180s
  docker run --detach --network kind --name "$registry_name" "$registry_image"
  node_address=$(address_of faultline-control-plane)
  # By its address, which this machine, the node and every pod reach alike.
  registry=$(address_of "$registry_name"):5000
  docker exec faultline-control-plane mkdir -p "/etc/containerd/certs.d/$registry"
  printf 'server = "http://%s"\n' "$registry" |
    docker exec --interactive faultline-control-plane tee "/etc/containerd/certs.d/$registry/hosts.toml"
}

address_of() { docker inspect --format '{{.NetworkSettings.Networks.kind.IPAddress}}' "$1"; }

# kind has no load balancer. kube-proxy serves a Service at whatever address its status names: the node's own.
install_istio() {
  istioctl install -y -f istio/installation.yaml
  kubectl -n istio-system patch service istio-ingressgateway --subresource status --type merge \
    --patch "{\"status\": {\"loadBalancer\": {\"ingress\": [{\"ip\": \"$node_address\"}]}}}"
}

trap finish EXIT
fetch_istioctl
start
install_istio
./deploy.sh --registry "$registry" --insecure-registry
FAULTLINE_REGISTRY=$registry FAULTLINE_INSECURE_REGISTRY=true \
  target/deploy/faultline-e2e prove --gateway-url "http://$node_address" --deploy-script ./deploy.sh --with-delete

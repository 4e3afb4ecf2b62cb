#!/usr/bin/env bash
# shellcheck disable=SC2031  # root stays; only what is for the sourced parts is set in a subshell
# Scans what deploy.sh applies, the probe's Job included, the overlay and the pod of examples/, and the recipes of
# the images.
#
# Usage: deploy/scan.sh COMMAND...      COMMAND is checkov, however it is called here
#
# A finding is a failure, unless its reason stands beside the thing: in Kubernetes' resources an annotation,
# checkov.io/skip1: CHECK=why; in a Containerfile a comment, # checkov:skip=CHECK:why.
# Exit codes: 0 all passed, 1 a finding, a reason that is missing, or nothing scanned; 2 wrong usage.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -eq 0 ]; then sed -n '3,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; fi

# Beside deploy.sh's own, since its overlay names istio/ from there.
mkdir -p "$root/target/deploy"
scratch=$(mktemp -d "$root/target/deploy/scan.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# What deploy.sh would apply with a gateway of its own, which is most.
render() (
  # shellcheck disable=SC2030,SC2034  # these are apply.sh's and boundary.sh's
  none=@sha256:0000000000000000000000000000000000000000000000000000000000000000 registry=registry.invalid/faultline
  namespace=faultline istio_namespace=istio-system istio_version=1.31 cluster_domain=cluster.local mesh_hosts=''
  pull_secret='' gateway=own host='' gateway_api=false istio_revision=''
  gateway_namespace=faultline gateway_accounts=faultline/faultline-gateway gateway_selector=istio=faultline-gateway
  image_custom_app=$registry/custom-app$none image_log_agent=$registry/log-agent$none
  image_e2e=$registry/e2e$none image_filter=$registry/filter$none
  . "$root/deploy/cluster.sh"
  . "$root/deploy/mesh.sh"
  . "$root/deploy/choice.sh"
  . "$root/deploy/boundary.sh"
  . "$root/deploy/apply.sh"
  write_overlay "$scratch/overlay" "$namespace"
  kubectl kustomize "$scratch/overlay" >"$scratch/scanned/faultline.yaml"
  rm -r "$scratch/overlay"
  sed "s/SERVICE_ACCOUNT/default/; s/NAMESPACE/faultline/; s/HOST_PID/false/; s|IMAGE|$image_e2e|; s/NAME/faultline-stranger/; s/NODE//; s/PULL_SECRETS/[]/" \
    "$root/e2e/pod.yaml" >"$scratch/scanned/probe.yaml"
  kubectl kustomize "$root/examples/overlay" >"$scratch/scanned/overlay.yaml"
  sed "s|IMAGE|$image_e2e|" "$root/examples/store/pod.yaml" >"$scratch/scanned/store.yaml"
)

# checkov knows a recipe by its name.
recipes() {
  local file
  while read -r file; do
    cp "$root/$file" "$scratch/scanned/$(tr / - <<<"$file").Dockerfile"
  done < <(cd "$root" && git ls-files '*Containerfile')
}

mkdir "$scratch/scanned"
render
recipes
code=0
"$@" --skip-download --compact --framework kubernetes dockerfile --directory "$scratch/scanned" >"$scratch/found" 2>&1 || code=$?
summaries=$(grep '^Passed checks: ' "$scratch/found" || true)
if [ $code != 0 ] || [ "$(grep -c '^Passed checks: [1-9]' <<<"$summaries")" != 2 ]; then
  grep -B 1 -A 1 'FAILED for resource' "$scratch/found" >&2 || tail -n 20 "$scratch/found" >&2
  exit 1
fi
# What checkov says where a skip has no reason.
if grep -B 3 'Suppress comment: No comment provided' "$scratch/found" >&2; then
  printf 'deploy/scan.sh: a skip without a reason\n' >&2
  exit 1
fi
printf '%s\n' "$summaries"

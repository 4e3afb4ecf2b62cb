#!/usr/bin/env bash
# The whole of Faultline on a real cluster: starts one (e2e/cluster), deploys from nothing, proves every
# feature, and takes all of it down again. Used by ./test.sh --cluster.
#   e2e/acceptance.sh [--keep]     --keep leaves the cluster and Faultline running
# Exit codes: 0 done, 1 failed, 2 wrong usage, 69 a component of the cluster cannot be downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=
case ${1:-} in
  "") ;;
  --keep) keep=yes ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

cluster=e2e/cluster/cluster.sh
# With its exit code and its last words: what cannot be downloaded cannot be tested here.
"$cluster" build

finish() {
  local code=$?
  if [ $code != 0 ]; then
    kubectl get pods -A -o wide || true
    kubectl -n faultline get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 15 || true
  fi
  [ -n "$keep" ] || "$cluster" down
}
trap finish EXIT
"$cluster" down
"$cluster" up
eval "$("$cluster" env)"

# First from a registry with a login; then only the images change.
e2e/registry.sh
./deploy.sh
module=$(e2e/module.sh)
target/deploy/faultline-e2e prove --gateway-url http://198.51.100.1 --module-image "$module" --deploy-script ./deploy.sh --with-delete

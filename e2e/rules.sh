#!/usr/bin/env bash
# Every rule of `faultline check`, proved: both examples of each on a real cluster of its own (e2e/cluster), and the
# requests of its check/rules/RULE/proof.yaml. Used by ./test.sh --only rules.
#   e2e/rules.sh [--keep] [OPTION]...     --keep leaves the cluster running; options of `faultline-e2e rules`, such as
#                                         --only A1, or --write, which puts what was seen into check/rules/results.json
# Exit codes: 0 done, 1 failed, 2 wrong usage, 69 a component of the cluster cannot be downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."

keep='' options=()
for argument in "$@"; do
  case $argument in
    -h|--help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit ;;
    --keep) keep=yes ;;
    *) options+=("$argument") ;;
  esac
done

cluster=e2e/cluster/cluster.sh
"$cluster" build

finish() {
  local code=$?
  if [ $code != 0 ]; then kubectl get pods -A -o wide || true; fi
  [ -n "$keep" ] || "$cluster" down
}
trap finish EXIT
"$cluster" down
"$cluster" up
eval "$("$cluster" env)"

# It installs Istio and pushes the suite's image.
./deploy.sh
target/deploy/faultline-e2e rules "${options[@]+"${options[@]}"}"

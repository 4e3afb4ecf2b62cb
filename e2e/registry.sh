#!/usr/bin/env bash
# A registry as companies have it, with a login and a certificate of an authority of its own: the second one of the
# cluster of e2e/cluster, which is up. Without a secret and without a login deploy.sh refuses and says what to do; with
# both it deploys, and proves that pods and proxies pull with the secret. Faultline stays.
# Exit codes: 0 done, 1 failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

{ read -r address; read -r authority; read -r user; read -r password; } < <(e2e/cluster/cluster.sh guarded)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# No login of this machine's user takes part.
export REGISTRY_AUTH_FILE=$folder/auth.json
unset FAULTLINE_REGISTRY FAULTLINE_INSECURE_REGISTRY

fail() { printf 'registry.sh: %s\n' "$*" >&2; exit 1; }
deploy() { ./deploy.sh --registry "$address/team" "$@"; }

# refused SENTENCE OPTION...: it is told so, and nothing changes.
refused() {
  local sentence=$1 code=0
  shift
  printf '== refused: %s\n' "$sentence"
  deploy "$@" >"$folder/said" 2>&1 || code=$?
  if [ "$code" != 1 ] || ! grep -qF -- "$sentence" "$folder/said" ||
    ! grep -qF 'Nothing was changed on the cluster.' "$folder/said"; then
    cat "$folder/said"
    fail "exit code $code, or other words"
  fi
}

refused "If its certificate is of an authority of its own: --registry-ca FILE"
refused "kubectl -n default create secret docker-registry pull --docker-server=$address" --registry-ca "$authority" --image-pull-secret pull
kubectl -n default create secret docker-registry pull --docker-server="$address" --docker-username="$user" --docker-password="$password"
refused "$address asks for a login, and nobody has logged in here" --registry-ca "$authority" --image-pull-secret pull
auth=$(printf '%s:wrong' "$user" | base64)
printf '{"auths": {"%s": {"auth": "%s"}}}' "$address" "$auth" >"$REGISTRY_AUTH_FILE"
refused "$address refuses the login that is known here" --registry-ca "$authority" --image-pull-secret pull
auth=$(printf '%s:%s' "$user" "$password" | base64)
printf '{"auths": {"%s": {"auth": "%s"}}}' "$address" "$auth" >"$REGISTRY_AUTH_FILE"

deploy --registry-ca "$authority" --image-pull-secret pull
copies=$(kubectl get secrets -A -l app.kubernetes.io/part-of=faultline,app.kubernetes.io/instance=faultline \
  -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}')
[ "$copies" = "faultline/pull istio-system/pull " ] || fail "the secret was taken to: ${copies:-nowhere}"
others=$(kubectl -n faultline get pods -o 'jsonpath={range .items[*]}{.spec.containers[0].image}{"\n"}{end}' | grep -vF "$address/team/" || true)
[ -z "$others" ] || fail "pods run images of another registry: $others"
echo "== again"
deploy --registry-ca "$authority" --image-pull-secret pull | tee "$folder/said"
grep -q 'all [0-9]* resources are unchanged$' "$folder/said" || fail "the second run changed something"

#!/usr/bin/env bash
# deploy.sh beside others, in each choice of a gateway and with Istio as others install it. On a cluster of its own
# (e2e/cluster) whose Istio somebody else has installed, another application answers all the while: before, during and
# after each run. Used by ./test.sh --only choices.
#   e2e/choices.sh [--keep] [PART]...     --keep leaves the cluster running; parts: shared revision (default: both)
# Exit codes: 0 done, 1 failed, 2 wrong usage, 69 a component of the cluster cannot be downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."

keep='' parts=()
for argument in "$@"; do
  case $argument in
    --keep) keep=yes ;;
    shared|revision) parts+=("$argument") ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(shared revision)

cluster=e2e/cluster/cluster.sh
suite=target/deploy/faultline-e2e
scratch=$(mktemp -d)
watcher='' image='' said=''
"$cluster" build

finish() {
  local code=$?
  [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
  if [ $code != 0 ]; then
    kubectl get pods -A -o wide || true
    kubectl get events -A --field-selector type=Warning --sort-by=.lastTimestamp 2>/dev/null | tail -n 10 || true
  fi
  rm -rf "$scratch"
  [ -n "$keep" ] || "$cluster" down
}
trap finish EXIT

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# deploys WHAT OPTION...: deploy.sh ends well, its proof included. Sets said.
deploys() {
  local what=$1 began=$SECONDS
  shift
  if ! ./deploy.sh "$@" >"$scratch/said" 2>&1; then cat "$scratch/said"; fail "$what: deploy.sh $*"; fi
  said=$(cat "$scratch/said")
  say "$what: $((SECONDS - began)) s$(sed -n 's/^7\/7  Prove *[0-9]* s  /; /p' <<<"$said")"
}

# refuses SENTENCE WAY OPTION...: it ends in Check with that sentence, names that way on, and changes nothing.
refuses() {
  local sentence=$1 way=$2
  shift 2
  if ./deploy.sh "$@" >"$scratch/said" 2>&1; then cat "$scratch/said"; fail "not refused: deploy.sh $*"; fi
  for part in "$sentence" "$way" 'Nothing was changed on the cluster.'; do
    grep -qF -- "$part" "$scratch/said" || { cat "$scratch/said"; fail "deploy.sh $* does not say: $part"; }
  done
  say "refused: $sentence"
}

# killed_when CONDITION OPTION...: deploy.sh is killed, without a chance to clear up, once the condition holds.
killed_when() {
  local condition=$1 script
  shift
  ./deploy.sh "$@" >"$scratch/said" 2>&1 &
  script=$!
  until $condition; do
    kill -0 "$script" 2>/dev/null || { cat "$scratch/said"; fail "deploy.sh $* ended before it could be killed"; }
    sleep 0.1
  done
  kill -KILL "$script"
  wait "$script" 2>/dev/null || true
  say "killed: deploy.sh $*, once $condition"
}

of_faultline=app.kubernetes.io/part-of=faultline
is_there() { [ -n "$(kubectl -n "$1" get "$2" "$3" --ignore-not-found -o name 2>/dev/null)" ]; }
shared_plugin_is_there() { is_there istio-system wasmplugins.extensions.istio.io faultline-gateway; }
own_gateway_is_there() { is_there faultline deployments faultline-gateway; }

# plugins_are_in NAMESPACE...: in these namespaces, and in no other, there are plugins of Faultline's.
plugins_are_in() {
  local found
  found=$(kubectl get wasmplugins.extensions.istio.io -A -l "$of_faultline" -o 'jsonpath={range .items[*]}{.metadata.namespace}{"\n"}{end}' | sort -u | paste -sd' ' -)
  [ "$found" = "$*" ] || fail "plugins of Faultline's in: $found; not in: $*"
}

unchanged() { grep -q 'resources are unchanged$' <<<"$said" || fail "something was changed: $said"; }

# every_case ADDRESS: also the cases that change the mesh, as far as they say anything of the gateway.
every_case() {
  "$suite" prove --gateway-url "http://$1" --only plugin-deleted --only wrong-digest --only broken-module \
    --only unloadable-module --only no-fault || fail "not every case holds"
}

# deploy.sh --delete, and nothing of Faultline's is left.
deletes() {
  local left
  ./deploy.sh --delete >"$scratch/said" 2>&1 || { cat "$scratch/said"; fail "deploy.sh --delete"; }
  say "deleted: $(sed -n 's/^2\/2  Delete *[0-9]* s  //p' "$scratch/said")"
  left=$(kubectl get namespaces,deployments,services,wasmplugins.extensions.istio.io,envoyfilters.networking.istio.io -A -l "$of_faultline" -o name)
  [ -z "$left" ] || fail "left of Faultline: $left"
}

# neighbour_moves_in SELECTOR: another application behind the gateway with these labels.
neighbour_moves_in() {
  sed "s|NEIGHBOUR|shop|; s|IMAGE|$image|; s|{ istio: ingressgateway }|$1|" e2e/neighbour.yaml | kubectl apply -f - >/dev/null
  kubectl -n shop rollout status deployment/shop --timeout 120s >/dev/null
}

# neighbour_is_watched ADDRESS: from here on each of its requests must be answered.
neighbour_is_watched() {
  local tries=0
  until [ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: shop.test' "http://$1/cart")" = 200 ]; do
    tries=$((tries + 1))
    [ $tries -lt 150 ] || fail "the other application does not answer by itself"
    sleep 0.2
  done
  "$suite" watch "http://$1/cart" --host shop.test >"$scratch/watched" &
  watcher=$!
}

neighbour_was_answered() {
  local code=0
  kill -TERM "$watcher"
  wait "$watcher" || code=$?
  watcher=''
  [ $code = 0 ] || { cat "$scratch/watched"; fail "the other application was not always answered"; }
  say "the other application: $(sed -n 's/.*"requests": \([0-9]*\).*/\1/p' "$scratch/watched") requests, each answered"
}

# The suite's image is the other application's too.
find_image() { image=$(kubectl get namespace faultline -o 'jsonpath={.metadata.annotations.faultline/probe-image}'); }

gateway_api_definitions() {
  local folder
  folder=$(cd e2e/cluster/components && GOFLAGS=-mod=readonly go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
  kubectl apply --server-side -f "$folder/config/crd/standard" >/dev/null
  until [ -n "$(kubectl get gatewayclasses.gateway.networking.k8s.io istio --ignore-not-found -o name)" ]; do sleep 0.5; done
}

# istio OPTION...: somebody else installs it.
istio() {
  istioctl install -y -f istio/installation.yaml "$@" >"$scratch/istioctl" 2>&1 || { cat "$scratch/istioctl"; fail "istioctl"; }
}

fresh_cluster() {
  "$cluster" down
  "$cluster" up 8>&-
}

# One Istio and one gateway, as istioctl installs them.
part_shared() {
  local shared=istio-system/istio-ingressgateway address=198.51.100.1
  istio -f e2e/cluster/istio.yaml
  deploys "a gateway that serves nobody else"
  find_image
  neighbour_moves_in '{ istio: ingressgateway }'
  refuses "behind which Faultline runs, serves others too: Gateway shop/shop (shop.test)" "--gateway own" --skip-build
  deploys "a gateway of its own" --skip-build --gateway own
  plugins_are_in faultline
  neighbour_is_watched "$address"

  deploys "the same again" --skip-build
  unchanged
  refuses "the gateway $shared serves others: Gateway shop/shop (shop.test)" "--gateway $shared --host NAME" \
    --skip-build --gateway "$shared"
  deploys "the others' gateway, by a host" --skip-build --gateway "$shared" --host faultline.test
  plugins_are_in faultline istio-system
  ! own_gateway_is_there || fail "its own gateway is still there"
  refuses "the host shop.test is served to others: Gateway shop/shop (shop.test)" "--host NAME" \
    --skip-build --gateway "$shared" --host shop.test
  deploys "the same again" --skip-build
  unchanged
  every_case "$address"

  refuses "the cluster has no definition of the Gateway API's gateways" "leave --gateway-api away" --skip-build --gateway-api
  gateway_api_definitions
  deploys "the Gateway API" --skip-build --gateway-api --host faultline.test
  plugins_are_in faultline
  deploys "the same again" --skip-build
  unchanged
  every_case 198.51.100.3

  killed_when shared_plugin_is_there --skip-build --gateway "$shared" --host faultline.test
  deploys "what was killed, finished" --skip-build
  plugins_are_in faultline istio-system
  ! own_gateway_is_there || fail "its own gateway is still there"
  killed_when own_gateway_is_there --skip-build --gateway own
  deletes
  neighbour_was_answered
}

# An Istio with a revision and no default, with a root namespace and discovery selectors; and a gateway by Helm's chart.
part_revision() {
  local shared=istio-ingress/istio-ingress address=198.51.100.1
  istio -f e2e/cluster/istio.yaml -f e2e/revision.yaml
  istioctl tag remove default -y >>"$scratch/istioctl" 2>&1 || true
  kubectl label namespace istio-system mesh=here >/dev/null
  kubectl apply -f e2e/helm-gateway.yaml >/dev/null
  kubectl -n istio-ingress rollout status deployment/istio-ingress --timeout 120s >/dev/null

  refuses "no Service has the label istio=ingressgateway" "for example $shared"
  refuses "is Istio's root namespace" "--namespace NAME" --gateway own --namespace istio-config
  deploys "the gateway of Helm's chart" --gateway "$shared"
  find_image
  deploys "a gateway of its own, of that revision" --skip-build --gateway own
  neighbour_moves_in '{ istio: ingress }'
  kubectl label namespace shop mesh=here >/dev/null
  neighbour_is_watched "$address"
  deploys "the same again" --skip-build
  unchanged
  deploys "the gateway of Helm's chart, by a host" --skip-build --gateway "$shared" --host faultline.test
  plugins_are_in faultline istio-ingress
  deletes
  neighbour_was_answered
}

for part in "${parts[@]}"; do
  say "== $part"
  fresh_cluster
  eval "$("$cluster" env)"
  unset FAULTLINE_ISTIO_CONFIG
  "part_$part"
done
say "$SECONDS s"

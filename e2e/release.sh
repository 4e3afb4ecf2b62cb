#!/usr/bin/env bash
# A release, on a cluster of its own (e2e/cluster): made twice the same, installed with kubectl alone, upgraded from one
# that had more in it, and deployed by deploy.sh where nothing can be compiled. Used by ./test.sh --only release.
#   e2e/release.sh [--keep]     --keep leaves the cluster and Faultline running
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
scratch=$(mktemp -d)
gateway=http://198.51.100.1
code=0
"$cluster" build || code=$?
if [ $code = 69 ]; then echo "a component of the cluster cannot be downloaded (see above)"; fi
[ $code = 0 ] || exit $code

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

finish() {
  local code=$?
  if [ $code != 0 ]; then
    kubectl get pods -A -o wide || true
    kubectl get events -A --field-selector type=Warning --sort-by=.lastTimestamp 2>/dev/null | tail -n 10 || true
  fi
  rm -rf "$scratch"
  [ -n "$keep" ] || "$cluster" down
}

until_true() {  # until_true SECONDS WHAT COMMAND...
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what; last seen: ${seen:-nothing}"
    sleep 0.5
  done
}

# answers PATH PATTERN: the status, the seconds and the proxy-status of one request, as one line, match. Sets seen.
answers() {
  local code_and_time
  code_and_time=$(curl -s -o "$scratch/body" -D "$scratch/head" --max-time 10 -w '%{http_code} %{time_total}' "$gateway$1") || return 1
  seen="$code_and_time $(tr -d '\r' <"$scratch/head" | sed -n 's/^proxy-status: //p')"
  [[ $seen =~ $2 ]]
}

# Everything that install.yaml promises of requests.
features_work() {
  until_true 120 "/ does not answer 200" answers / '^200 '
  until_true 60 "/log is not cut after one second and three attempts" answers /log '^504 1\.[0-4].* faultline; error=http_response_timeout; details="outcome=timeout attempts=3 '
  until_true 60 "/nothing is not refused by the filter" answers /nothing '^404 .* faultline; error=destination_not_found'
  # At the gateway alone nobody would notice that a sidecar runs without it.
  for pod in custom-app-0 custom-app-1; do until_true 60 "the proxy of $pod has not loaded the filter" has_filter "$pod"; done
  say "  /log: 504, /nothing: 404 from the filter, which custom-app's own proxies have loaded, too"
}

# has_filter POD: a filter that runs counts from the start, at 0.
has_filter() {
  kubectl get --raw "/api/v1/namespaces/faultline/pods/$1:15020/proxy/stats/prometheus" 2>/dev/null |
    grep '^faultline_unknown_routes_total' >/dev/null
}

# crates_in FOLDER: what the documents of the programs for amd64 name, as NAME VERSION.
crates_in() {
  python3 -c 'import json, sys
for file in sys.argv[1:]:
    bom = json.load(open(file))
    for crate in bom["components"] + [bom["metadata"]["component"]]:
        print(crate["name"], crate["version"])' "$1"/{custom-app,log-agent,faultline-e2e}-linux-amd64.cdx.json | sort -u
}

# What Cargo compiles into them. They are compiled in one run, which unites the features of what they share.
crates_compiled() {
  cargo tree --locked --package custom-app --package log-agent --package faultline-e2e --edges normal \
    --target x86_64-unknown-linux-musl --prefix none --format '{p}' |
    awk 'NF > 1 {sub(/^v/, "", $2); print $1, $2}' | sort -u
}

# The overlay of examples/ with the release's own component in it.
overlay_applies() {
  local tree=$scratch/tree
  mkdir "$tree"
  git ls-files -z istio custom-app log-agent examples | tar --null -T - -cf - | tar -xf - -C "$tree"
  cp "$scratch/a/kustomization.yaml" "$tree/examples/overlay/release/"
  kubectl kustomize "$tree/examples/overlay" >"$scratch/overlay.yaml"
  diff "$scratch/overlay.yaml" <(grep -v '^# Faultline ' "$scratch/a/install.yaml")
  # (What `kubectl apply` prints is no measure: it calls unchanged sets and policies "configured".)
  kubectl diff -f "$scratch/overlay.yaml" || fail "the overlay is not what is installed"
  kubectl apply -f "$scratch/overlay.yaml" >"$scratch/applied"
}

# page N: the Nth block of commands of docs/operations.md, run where it has a repository's files.
page() {
  awk -v wanted="$1" '/^```sh$/ {number++; inside = number == wanted; next} /^```$/ {inside = 0} inside' docs/operations.md |
    sed "s|registry.example.com/tools/sqlite:3|$tools_image|" >"$scratch/page.sh"
  [ -s "$scratch/page.sh" ] || fail "docs/operations.md has no block $1"
  (cd "$scratch/tree" && bash -euo pipefail "$scratch/page.sh") >"$scratch/said" 2>&1 ||
    { cat "$scratch/said"; fail "block $1 of docs/operations.md"; }
}

# An image with a shell and sqlite3, of what there is here: Istio's proxy's has a shell. Sets tools_image.
make_tools_image() {
  local container library registry=${FAULTLINE_REGISTRY%%/*}
  tools_image=$registry/tools/sqlite:3
  container=$(private_buildah from -q --tls-verify=false "docker://$registry/istio/proxyv2:1.31")
  private_buildah copy -q "$container" "$(command -v sqlite3)" /usr/bin/sqlite3 >/dev/null
  for library in $(ldd "$(command -v sqlite3)" | awk '$3 ~ /^\// && $1 !~ /^lib[cm]\.so/ {print $3}'); do
    private_buildah copy -q "$container" "$library" "/usr/lib/$(uname -m)-linux-gnu/" >/dev/null
  done
  private_buildah config --entrypoint '[]' "$container"
  private_buildah commit -q "$container" tools >/dev/null
  private_buildah push -q --tls-verify=false tools "docker://$tools_image"
}

# As in e2e/cluster/build.sh: a storage of its own.
private_buildah() {
  TMPDIR=$scratch BUILDAH_ISOLATION=chroot \
    buildah --root "$scratch/storage" --runroot "$scratch/storage-run" --storage-driver vfs "$@"
}

# post MESSAGE: the delay may cut the answer, and never the entry.
post() {
  curl -s -X POST -H 'content-type: application/json' -d "{\"message\": \"$1\"}" --max-time 10 -o /dev/null "$gateway/log"
  until_true 30 "the entry \"$1\" is not stored" stored "$1"
}

stored() { answers "/logs?q=${1// /+}" '^200 ' && grep -q "$1" "$scratch/body"; }

install() {
  kubectl apply -f "$@" >"$scratch/applied" || { cat "$scratch/applied"; fail "kubectl apply -f $*"; }
  kubectl -n faultline rollout status deployment/log-agent --timeout 180s >/dev/null
  kubectl -n faultline rollout status statefulset/custom-app --timeout 180s >/dev/null
}

# upgrade FILE: as docs/gitops.md has it.
upgrade() {
  # shellcheck disable=SC2046 # a list of options
  install "$1" --prune --selector app.kubernetes.io/part-of=faultline,app.kubernetes.io/instance=faultline \
    $(sed 's/^/--prune-allowlist=/' "$scratch/a/prune-allowlist.txt")
}

# Resources of one kind and form: the release's, and those of others that must stay.
extra() {  # extra NAMESPACE NAME LABELS
  printf -- '---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: %s, namespace: %s, labels: {%s}}\nspec: {host: %s.invalid}\n' \
    "$2" "$1" "$3" "$2"
}

is_there() { [ -n "$(kubectl -n "$1" get destinationrule "$2" --ignore-not-found -o name)" ]; }

trap finish EXIT
"$cluster" down
"$cluster" up 8>&-
eval "$("$cluster" env)"

say "== made twice the same"
deploy/release.sh --out "$scratch/a"
deploy/release.sh --out "$scratch/b"
diff -r "$scratch/a" "$scratch/b"
(cd "$scratch/a" && sha256sum --quiet --check SHA256SUMS)
diff <(crates_in "$scratch/a") <(crates_compiled) || fail "the documents name other crates than Cargo compiles"
version=$(sed -n 's/^# Faultline \([^,]*\), .*/\1/p' "$scratch/a/install.yaml")

say "== a version that was published stays what it is"
cp "$scratch/a/plugin.wasm" "$scratch/plugin.wasm"
printf '\0' >>"$scratch/plugin.wasm"
arguments=(--registry "$FAULTLINE_REGISTRY" --scheme http --tag "v$version" --keep)
! target/host/faultline-images push "${arguments[@]}" "filter=module:$scratch/plugin.wasm" 2>"$scratch/said" ||
  fail "the tag v$version was moved"
grep -q 'is there already and is another image' "$scratch/said" || fail "$(cat "$scratch/said")"

say "== Istio, as somebody else installs it"
istioctl install -y -f istio/installation.yaml -f "$FAULTLINE_ISTIO_CONFIG" >"$scratch/istio" 2>&1 || { cat "$scratch/istio"; fail "istioctl install"; }

say "== the release before, which had more in it, with kubectl alone"
labels='app.kubernetes.io/part-of: faultline, app.kubernetes.io/instance: faultline'
{
  cat "$scratch/a/install.yaml"
  extra faultline left-behind "$labels"
  extra istio-system left-behind "$labels"
} >"$scratch/before.yaml"
install "$scratch/before.yaml"
for namespace in faultline istio-system; do is_there "$namespace" left-behind || fail "the release before was not installed"; done
# Others': without a label, and of another Faultline.
{
  extra faultline theirs 'app: theirs'
  extra faultline another "${labels%faultline}elsewhere"
  extra istio-system theirs 'app: theirs'
} | kubectl apply -f - >/dev/null
features_work
post "kept through the upgrade"

say "== this release"
upgrade "$scratch/a/install.yaml"
for namespace in faultline istio-system; do
  ! is_there "$namespace" left-behind || fail "left-behind is still in $namespace"
  is_there "$namespace" theirs || fail "what is somebody else's is gone from $namespace"
done
is_there faultline another || fail "what is another Faultline's is gone"
[ "$(grep -c pruned "$scratch/applied")" = 2 ] || fail "pruned: $(grep pruned "$scratch/applied")"
kubectl -n faultline get persistentvolumeclaims log-agent data-custom-app-0 data-custom-app-1 >/dev/null
until_true 30 "the entry is gone" stored "kept through the upgrade"
features_work

say "== the overlay, with the release's digests"
overlay_applies

say "== backup and restore, by the commands of docs/operations.md"
if command -v sqlite3 >/dev/null; then
  make_tools_image
  page 1
  page 2
  grep -qx ok "$scratch/said" || fail "the backup: $(cat "$scratch/said")"
  post "stored after the backup"
  page 1
  page 3
  grep -qx ok "$scratch/said" || fail "the copy of the backup: $(cat "$scratch/said")"
  until_true 60 "the entry of the backup is gone" stored "kept through the upgrade"
  ! stored "stored after the backup" || fail "the store is not the backup's"
  post "stored after the restore"
else
  say "  SKIPPED: sqlite3 is not installed"
fi

say "== deploy.sh --release, where nothing can be compiled"
# They were for the upgrade; istioctl would find that their hosts are nowhere.
kubectl -n faultline delete destinationrule theirs another >/dev/null
mkdir "$scratch/bin"
for tool in cargo rustc rustup cc pip pip3; do
  printf '#!/bin/sh\necho %s >>%s/compiled\nexit 1\n' "$tool" "$scratch" >"$scratch/bin/$tool"
  chmod +x "$scratch/bin/$tool"
done
deploy() { PATH=$scratch/bin:$PATH ./deploy.sh "$@" 2>&1 | tee "$scratch/said"; }
deploy --release "$scratch/a"
grep -qE '^7/7 +Prove .* all [0-9]+ quick cases proved' "$scratch/said" || fail "nothing was proved"
(unset FAULTLINE_REGISTRY; deploy --release "$scratch/a")
grep -q 'resources are unchanged' "$scratch/said" || fail "the second run changed something"
deploy --release "$version"
grep -q "the digests found in $FAULTLINE_REGISTRY, tagged v$version" "$scratch/said" || fail "the digests come from elsewhere"
grep -q 'resources are unchanged' "$scratch/said" || fail "the digests are others"
grep -q 'Prove .*SKIPPED' "$scratch/said" || fail "a proof without a suite"
if ./deploy.sh --release 99.0.0 >"$scratch/said" 2>&1; then fail "a version that was never released was deployed"; fi
grep -q 'has no custom-app tagged v99.0.0' "$scratch/said" || fail "$(cat "$scratch/said")"
printf '\n' >>"$scratch/b/images.txt"
if ./deploy.sh --release "$scratch/b" >"$scratch/said" 2>&1; then fail "a release that was changed was deployed"; fi
grep -q 'images.txt is not what SHA256SUMS says' "$scratch/said" || fail "$(cat "$scratch/said")"
[ ! -e "$scratch/compiled" ] || fail "called: $(sort -u "$scratch/compiled" | paste -sd' ' -)"

say "== all of it taken away, as docs/gitops.md has it"
kubectl delete -f "$scratch/a/install.yaml" --timeout 180s >"$scratch/deleted"
[ -z "$(kubectl get namespace faultline --ignore-not-found -o name)" ] || fail "the namespace is still there"
left=$(kubectl get wasmplugins.extensions.istio.io -A -o name)
[ -z "$left" ] || fail "left: $left"
is_there istio-system theirs || fail "what is somebody else's is gone"
say "done in $SECONDS s"

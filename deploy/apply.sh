# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# A kustomization laid over istio/ with what only this run knows: digests, namespace, the gateway's home.

# write_overlay FOLDER NAMESPACE
write_overlay() {
  mkdir -p "$1"
  cat >"$1/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../../../istio]
namespace: $2
labels:
  - pairs: {app.kubernetes.io/instance: $namespace}
images:
  - {name: custom-app, newName: "${image_custom_app%@*}", digest: "${image_custom_app#*@}"}
  - {name: log-agent, newName: "${image_log_agent%@*}", digest: "${image_log_agent#*@}"}
patches:
  - target: {kind: WasmPlugin}
    patch: |-
      - {op: replace, path: /spec/url, value: "oci://$image_filter"}
      - {op: add, path: /spec/sha256, value: "${image_filter#*@sha256:}"}
  - target: {kind: AuthorizationPolicy, name: custom-app}
    patch: |-
      - op: replace
        path: /spec/rules/0/from/0/source/serviceAccounts
        value: ["$gateway_namespace/$gateway_account"]
  - target: {kind: Namespace}
    patch: |-
      - {op: add, path: /metadata/annotations, value: {faultline/probe-image: "$image_e2e"}}
EOF
  [ -z "$pull_secret" ] || overlay_pull_secret >>"$1/kustomization.yaml"
  cat >>"$1/kustomization.yaml" <<EOF
# Last, since \`namespace\` above moves everything: the gateway's plugin must be where the gateway is.
transformers:
  - |-
    apiVersion: builtin
    kind: PatchTransformer
    metadata: {name: gateway-namespace}
    target: {kind: WasmPlugin, name: faultline-gateway}
    patch: |-
      - {op: replace, path: /metadata/namespace, value: $gateway_namespace}
EOF
}

# The login with which nodes and proxies pull: further patches. The suite finds it on the namespace.
overlay_pull_secret() {
  local kind
  for kind in StatefulSet Deployment; do
    printf '  - target: {kind: %s}\n    patch: |-\n      - {op: add, path: /spec/template/spec/imagePullSecrets, value: [{name: %s}]}\n' \
      "$kind" "$pull_secret"
  done
  printf '  - target: {kind: WasmPlugin}\n    patch: |-\n      - {op: add, path: /spec/imagePullSecret, value: %s}\n' "$pull_secret"
  printf '  - target: {kind: Namespace}\n    patch: |-\n      - {op: add, path: /metadata/annotations/faultline~1image-pull-secret, value: %s}\n' \
    "$pull_secret"
}

# render FOLDER NAMESPACE FILE: everything, as it will be applied.
render() {
  write_overlay "$1" "$2"
  kubectl kustomize "$1" >"$3" 2>>"$log" || die "kustomize could not render istio/"
}

# compare FILE: the server says what applying it would change, and thereby whether it is valid. Sets resources
# and changes. (What `kubectl apply` itself prints is no measure: it calls every disruption budget "configured".)
compare() {
  local code=0
  resources=$(grep -c '^kind: ' "$1")
  KUBECTL_EXTERNAL_DIFF='diff -qN' kubectl diff -f "$1" >"$scratch/changes" 2>>"$log" || code=$?
  [ "$code" -le 1 ] || die "the cluster refuses what is to be applied"
  changes=$(grep -c ' differ$' "$scratch/changes") || true
}

# The log agent before custom-app: an outbox hands over what it holds while its replica is replaced.
apply() {
  render "$scratch/overlay" "$namespace" "$scratch/faultline.yaml"
  take_pull_secret_to "$namespace"
  take_pull_secret_to "$gateway_namespace"
  compare "$scratch/faultline.yaml"
  if [ "$changes" = 0 ]; then ok "all $resources resources are unchanged$(secrets_taken)"; return; fi
  put "$scratch/faultline.yaml" --selector 'app!=custom-app'
  wait_for_rollout deployment/log-agent
  put "$scratch/faultline.yaml"
  ok "$changes of $resources resources created or changed$(secrets_taken)"
}

secrets_taken() {
  [ ! -e "$scratch/secrets" ] || printf ', the image pull secret taken to %s' "$(paste -sd' ' "$scratch/secrets")"
}

# put FILE [OPTION]...
put() {
  quietly kubectl apply -f "$@" || die "the cluster did not take everything"
}

# wait_for_rollout KIND/NAME: every replica is of the newest revision and ready.
wait_for_rollout() {
  local name=${1#*/}
  if quietly kubectl -n "$namespace" rollout status "$1" --timeout "${timeout}s"; then return; fi
  quietly kubectl -n "$namespace" get pods -o wide || true
  kube -n "$namespace" get events --field-selector type=Warning --sort-by=.lastTimestamp 2>&1 | tail -n 5 >>"$log"
  die "$name did not become ready in $timeout s" "Look at: kubectl -n $namespace describe pods -l app=$name"
}

wait_for_pods() {
  wait_for_rollout deployment/log-agent
  wait_for_rollout statefulset/custom-app
  take_over_deployment
  # A pod on its way out still takes a request now and then, and its log goes with it.
  until_true "$timeout" no_pod_is_leaving || die "replaced pods are still there after $timeout s" \
    "Look at: kubectl -n $namespace get pods"
  local bare
  bare=$(ask -n "$namespace" get pods -l 'app in (custom-app, log-agent)' \
    -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].name} {.spec.initContainers[*].name}{"\n"}{end}' |
    awk '!/istio-proxy/ {print $1}' | paste -sd' ' -)
  [ -z "$bare" ] || die "without a sidecar: $bare" \
    "Does Istio inject where istio-injection=enabled? (An installation with a revision does not: istioctl tag set default --revision NAME.) Then: kubectl -n $namespace rollout restart deployments,statefulsets"
}

no_pod_is_leaving() {
  local leaving
  leaving=$(kube -n "$namespace" get pods -l 'app in (custom-app, log-agent)' \
    -o 'jsonpath={.items[*].metadata.deletionTimestamp}' 2>>"$log") && [ -z "$leaving" ]
}

# --dry-run: what would be applied, validated as far as this cluster can.
validate() {
  [ -n "$release" ] || find_images
  local none=@sha256:0000000000000000000000000000000000000000000000000000000000000000 unpinned=''
  if [ -z "$image_filter" ]; then
    unpinned=', digests not known before the first build'
    registry=${registry:-registry.invalid}
    image_custom_app=$registry/faultline/custom-app$none image_log_agent=$registry/faultline/log-agent$none
    image_e2e=$registry/faultline/e2e$none image_filter=$registry/faultline/filter$none
  fi
  gateway_account=${gateway_account:-istio-ingressgateway-service-account}
  gateway_namespace=${gateway_namespace:-istio-system}
  local rendered=$root/target/deploy/faultline.yaml subject
  render "$scratch/overlay" "$namespace" "$rendered"
  if [ -z "$istio_namespace" ]; then
    if command -v istioctl >/dev/null; then
      quietly istioctl validate -f "$rendered" || die "istioctl finds the resources invalid"
      ok "$rendered: valid, says istioctl; the cluster has no Istio to ask$unpinned"
    else
      ok "$rendered: rendered; validation SKIPPED, the cluster has no Istio and istioctl is not installed$unpinned"
    fi
    return
  fi
  # The server validates nothing in a namespace that is not there: then everything is tried in `default`.
  subject=$rendered
  if [ "$namespace_state" = absent ]; then
    subject=$scratch/try.yaml
    render "$scratch/try" default "$subject"
  fi
  compare "$subject"
  ok "$rendered: valid, says the cluster; $changes of $resources resources would be created or changed$unpinned"
}

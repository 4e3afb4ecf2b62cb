# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # templates are literal; the parts of deploy.sh share their variables
# A kustomization laid over istio/ with what only this run knows: digests, namespace, the gateway's home.

# write_overlay FOLDER NAMESPACE
write_overlay() {
  mkdir -p "$1"
  {
    overlay_base "$2"
    overlay_of_gateway "$2"
    overlay_of_host
    boundary_patches "$2"
    overlay_of_pull_secret
    [ "$gateway" = own ] || overlay_of_gateway_elsewhere
  } >"$1/kustomization.yaml"
}

overlay_base() {
  cat <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../../../istio]
components: [$(gateway_component)]
namespace: $1
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
  - target: {kind: Namespace}
    patch: |-
      - {op: add, path: /metadata/annotations, value: {faultline/probe-image: "$image_e2e"$(choice_noted)}}
      - {op: replace, path: /metadata/labels, value: $(namespace_labels)}
EOF
}

gateway_component() {
  case $gateway_api:$gateway in
    true:*) printf '../../../../istio/components/gateway-api' ;;
    *:own) printf '../../../../istio/components/own-gateway' ;;
  esac
}

# overlay_of_gateway NAMESPACE: where the gateway is, how its pods are known, and who they are.
overlay_of_gateway() {
  local selector accounts=$gateway_accounts
  selector=$(labels_as_yaml "$gateway_selector")
  [ "$gateway" != own ] || accounts=$1/$own_gateway
  cat <<EOF
  - target: {kind: WasmPlugin, name: faultline-gateway}
    patch: |-
      - {op: replace, path: /spec/selector/matchLabels, value: $selector}
  - target: {kind: AuthorizationPolicy, name: custom-app}
    patch: |-
      - {op: replace, path: /spec/rules/0/from/0/source/serviceAccounts, value: [${accounts// /, }]}
EOF
  [ "$gateway_api" = true ] || cat <<EOF
  - target: {group: networking.istio.io, kind: Gateway, name: faultline-gateway}
    patch: |-
      - {op: replace, path: /spec/selector, value: $selector}
EOF
  [ "$gateway" != own ] || cat <<EOF
  - target: {kind: Deployment, name: $own_gateway}
    patch: |-
      - {op: replace, path: /spec/template/metadata/labels/app.kubernetes.io~1instance, value: $namespace}
EOF
  case $gateway:$injection in
    # Another revision of Istio means another proxy.
    own:istio.io/rev=*) cat <<EOF
      - {op: add, path: /spec/template/metadata/labels/istio.io~1rev, value: "${injection#*=}"}
EOF
  esac
}

# The one host that is served, and that the filter looks at.
overlay_of_host() {
  [ -n "$host" ] || return 0
  cat <<EOF
  - target: {kind: WasmPlugin, name: faultline-gateway}
    patch: |-
      - {op: add, path: /spec/pluginConfig/hosts, value: [$host]}
EOF
  if [ "$gateway_api" = true ]; then
    cat <<EOF
  - target: {group: gateway.networking.k8s.io, kind: Gateway}
    patch: |-
      - {op: add, path: /spec/listeners/0/hostname, value: $host}
  - target: {kind: HTTPRoute}
    patch: |-
      - {op: add, path: /spec/hostnames, value: [$host]}
EOF
  else
    cat <<EOF
  - target: {group: networking.istio.io, kind: Gateway}
    patch: |-
      - {op: replace, path: /spec/servers/0/hosts, value: [$host]}
  - target: {kind: VirtualService, name: faultline}
    patch: |-
      - {op: replace, path: /spec/hosts, value: [$host]}
EOF
  fi
}

# Last, since `namespace` above moves everything: the gateway's plugin must be where the gateway is.
overlay_of_gateway_elsewhere() {
  cat <<EOF
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

# The login with which nodes and proxies pull. The suite finds it on the namespace.
overlay_of_pull_secret() {
  local kind
  [ -n "$pull_secret" ] || return 0
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

# The log agent before custom-app: an outbox hands over what it holds while its replica is replaced. At a gateway of
# others the plugin comes last: a module that no proxy can load would answer everybody there with 500.
apply() {
  find_boundary
  render "$scratch/overlay" "$namespace" "$scratch/faultline.yaml"
  take_pull_secret_to "$namespace"
  take_pull_secret_to "$gateway_namespace"
  compare "$scratch/faultline.yaml"
  if [ "$changes" != 0 ]; then
    put "$scratch/faultline.yaml" --selector 'app notin (custom-app, faultline-gateway)'
    wait_for_rollout deployment/log-agent
    if [[ $gateway == */* ]]; then try_module; fi
    put "$scratch/faultline.yaml"
  fi
  prune "$scratch/faultline.yaml"
  if [ "$changes" = 0 ]; then ok "all $resources resources are unchanged$pruned$(secrets_taken)"; return; fi
  ok "$changes of $resources resources created or changed$pruned$(secrets_taken)"
}

secrets_taken() {
  [ ! -e "$scratch/secrets" ] || printf ', the image pull secret taken to %s' "$(paste -sd' ' "$scratch/secrets")"
}

# Faultline's own proxies take the module before any of others.
try_module() {
  put "$scratch/faultline.yaml" --selector 'app!=faultline-gateway'
  wait_for_rollout statefulset/custom-app
  until_true "$timeout" module_is_loaded ||
    die "custom-app's own proxy has not loaded the module $image_filter in $timeout s; the gateway $gateway was left without it" \
      "Can the cluster reach that registry? kubectl -n $namespace logs -l app=custom-app -c istio-proxy --tail -1 | grep -i wasm"
}

# A module that runs counts from the start, at 0.
module_is_loaded() {
  kube get --raw "/api/v1/namespaces/$namespace/pods/custom-app-0:15020/proxy/stats/prometheus" 2>>"$log" |
    grep -q '^faultline_unknown_routes_total'
}

# The kinds that may be taken away, as RESOURCE.GROUP. None of them holds data. Those of the Gateway API are not in the
# list, since kubectl, which reads it too, refuses a kind that the cluster does not define.
prunable_kinds() {
  awk -F/ '{name = tolower($3); sub(/cy$/, "cie", name); print name "s" ($1 == "core" ? "" : "." $1)}' "$root/deploy/prune-allowlist.txt"
  printf '%s.gateway.networking.k8s.io\n' gateways httproutes
}

# prune FILE: takes away what is Faultline's and not in the file, which has been applied: what an earlier version had,
# and what another choice has left, also one whose run was killed. Sets pruned.
prune() {
  local kind where name wanted gone=0
  pruned=''
  wanted=$(ask get -f "$1" -o "go-template=$identity_template" | identities)
  while IFS='|' read -r kind where name; do
    # An earlier version's custom-app goes when it has handed over what it holds (takeover.sh).
    if [ -z "$kind" ] || [ "$kind/$name" = Deployment.apps/custom-app ]; then continue; fi
    if grep -qxF "$kind|$where|$name" <<<"$wanted"; then continue; fi
    quietly kubectl -n "$where" delete "$kind" "$name" --ignore-not-found --timeout "${timeout}s" ||
      die "$kind/$name in $where, which an earlier run has left, could not be deleted"
    # The copy of the pull secret was there for the plugin.
    case $where in
      "$namespace"|"$gateway_namespace") ;;
      *) [ "$kind" != WasmPlugin.extensions.istio.io ] || delete_pull_secret_copies "$where" || true ;;
    esac
    gone=$((gone + 1))
  done <<<"$(find_chosen | identities)"
  [ "$gone" = 0 ] || pruned=", $gone that an earlier run had left deleted"
}

# What there is of these kinds: in Faultline's namespace, and of plugins anywhere.
find_chosen() {
  local kind definitions kinds='' selector="$part_of,app.kubernetes.io/instance=$namespace"
  definitions=" $(ask get crds -o 'jsonpath={.items[*].metadata.name}') "
  for kind in $(prunable_kinds); do
    case $kind in
      *.istio.io|*.gateway.networking.k8s.io) [[ $definitions == *" $kind "* ]] || continue ;;
    esac
    kinds+=,$kind
  done
  ask -n "$namespace" get "${kinds#,}" -l "$selector" -o "go-template=$identity_template"
  find_plugins
}

# Faultline's plugins, wherever they are.
find_plugins() {
  [ -n "$(ask get crd wasmplugins.extensions.istio.io --ignore-not-found -o name)" ] || return 0
  ask get wasmplugins.extensions.istio.io -A -l "$part_of,app.kubernetes.io/instance=$namespace" -o "go-template=$identity_template"
}

# APIVERSION|KIND|NAMESPACE|NAME of each object that no other owns, and of that KIND.GROUP|NAMESPACE|NAME.
identity_template='{{range .items}}{{if not .metadata.ownerReferences}}{{.apiVersion}}|{{.kind}}|{{.metadata.namespace}}|{{.metadata.name}}{{"\n"}}{{end}}{{end}}'
identities() {
  awk -F'|' 'NF == 4 {group = ""; if ($1 ~ /\//) {group = $1; sub(/\/.*/, "", group); group = "." group} print $2 group "|" $3 "|" $4}' | sort -u
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
  if [ "$gateway" = own ]; then wait_for_rollout "deployment/$own_gateway"; fi
  take_over_deployment
  # A pod on its way out still takes a request now and then, and its log goes with it.
  until_true "$timeout" no_pod_is_leaving || die "replaced pods are still there after $timeout s" \
    "Look at: kubectl -n $namespace get pods"
  local bare
  bare=$(ask -n "$namespace" get pods -l 'app in (custom-app, log-agent)' \
    -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].name} {.spec.initContainers[*].name}{"\n"}{end}' |
    awk '!/istio-proxy/ {print $1}' | paste -sd' ' -)
  [ -z "$bare" ] || die "without a sidecar: $bare" \
    "Does Istio inject into namespaces with the label $injection? Look at: kubectl get mutatingwebhookconfigurations -l app=sidecar-injector. Then: kubectl -n $namespace rollout restart deployments,statefulsets"
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
  if [ -z "$gateway_namespace" ]; then
    gateway_namespace=istio-system gateway_accounts=istio-system/istio-ingressgateway-service-account
    gateway_selector=istio=ingressgateway
  fi
  local rendered=$root/target/deploy/faultline.yaml subject
  find_boundary
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

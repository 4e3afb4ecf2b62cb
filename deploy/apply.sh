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

apply() {
  write_overlay "$scratch/overlay" "$namespace"
  kubectl kustomize "$scratch/overlay" >"$scratch/faultline.yaml" 2>>"$log" || die "kustomize could not render istio/"
  kubectl apply -f "$scratch/faultline.yaml" >"$scratch/applied" 2>>"$log" ||
    { cat "$scratch/applied" >>"$log"; die "the cluster did not take everything"; }
  cat "$scratch/applied" >>"$log"
  ok "$(counted "$scratch/applied")"
}

# counted FILE: what kubectl apply said, in one line: "26 unchanged", or "1 configured, 25 unchanged".
counted() {
  sed 's/ (server dry run)$//' "$1" | awk '{n[$NF]++; all++}
    END {if (n["unchanged"] + 0 == all) {print "all " all " resources unchanged"; exit}
         for (verb in n) if (n[verb]) line = line (line ? ", " : "") n[verb] " " verb; print line}'
}

wait_for_pods() {
  local name
  for name in log-agent custom-app; do
    quietly kubectl -n "$namespace" rollout status "deployment/$name" --timeout "${timeout}s" || {
      quietly kubectl -n "$namespace" get pods -o wide || true
      kube -n "$namespace" get events --field-selector type=Warning --sort-by=.lastTimestamp 2>&1 | tail -n 5 >>"$log"
      die "$name did not become ready in $timeout s" "Look at: kubectl -n $namespace describe pods -l app=$name"
    }
  done
  local bare
  bare=$(ask -n "$namespace" get pods -l 'app in (custom-app, log-agent)' \
    -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].name} {.spec.initContainers[*].name}{"\n"}{end}' |
    awk '!/istio-proxy/ {print $1}' | paste -sd' ' -)
  [ -z "$bare" ] || die "without a sidecar: $bare" \
    "Does Istio inject where istio-injection=enabled? (An installation with a revision does not: istioctl tag set default --revision NAME.) Then: kubectl -n $namespace rollout restart deployment"
}

# --dry-run: what would be applied, validated as far as this cluster can.
validate() {
  find_images
  local none=@sha256:0000000000000000000000000000000000000000000000000000000000000000 unpinned=''
  if [ -z "$image_filter" ]; then
    unpinned=', digests not known before the first build'
    registry=${registry:-registry.invalid}
    image_custom_app=$registry/faultline/custom-app$none image_log_agent=$registry/faultline/log-agent$none
    image_e2e=$registry/faultline/e2e$none image_filter=$registry/faultline/filter$none
  fi
  gateway_account=${gateway_account:-istio-ingressgateway-service-account}
  gateway_namespace=${gateway_namespace:-istio-system}
  write_overlay "$scratch/overlay" "$namespace"
  local rendered=$root/target/deploy/faultline.yaml
  kubectl kustomize "$scratch/overlay" >"$rendered" 2>>"$log" || die "kustomize could not render istio/"
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
  local subject=$rendered
  if [ "$namespace_state" = absent ]; then
    write_overlay "$scratch/try" default
    kubectl kustomize "$scratch/try" >"$scratch/try.yaml" 2>>"$log"
    subject=$scratch/try.yaml
  fi
  kubectl apply --dry-run=server -f "$subject" >"$scratch/applied" 2>>"$log" || die "the cluster would refuse it"
  cat "$scratch/applied" >>"$log"
  ok "$rendered: valid, says the cluster; $(counted "$scratch/applied")$unpinned"
}

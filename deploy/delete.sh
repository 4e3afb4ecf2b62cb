# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# --delete: nothing of Faultline's stays; of Istio only what was there before.

delete_everything() {
  local gone=()
  if delete_gateway_plugin; then gone+=("the gateway's plugin"); fi
  if [ "$namespace_state" = ours ] || [ "$namespace_state" = terminating ]; then
    stop_renewing   # the lock goes with the namespace
    locked=''
    quietly kubectl delete namespace "$namespace" --ignore-not-found --timeout "${timeout}s" ||
      die "the namespace $namespace is not gone after $timeout s" "Look at: kubectl get namespace $namespace -o yaml"
    gone+=("the namespace $namespace")
  fi
  # What a proof that was killed may have left.
  quietly kubectl delete namespaces -l app=faultline-probe --field-selector "metadata.name=$namespace-outside" --timeout "${timeout}s" ||
    die "the namespace $namespace-outside is not gone after $timeout s"
  delete_istio
  if [ ${#gone[@]} -eq 0 ]; then ok "Faultline was not there; $istio_fate"; return; fi
  ok "$(printf '%s, ' "${gone[@]}" | sed 's/, $//') deleted; $istio_fate"
}

delete_gateway_plugin() {
  [ -n "$gateway_namespace" ] && [ -n "$(ask get crd wasmplugins.extensions.istio.io --ignore-not-found -o name)" ] || return 1
  kube -n "$gateway_namespace" delete wasmplugins -l "$part_of,app.kubernetes.io/instance=$namespace" >"$scratch/plugin" 2>>"$log" ||
    die "the plugin faultline-gateway in $gateway_namespace could not be deleted"
  grep -q deleted "$scratch/plugin"
}

# Sets istio_fate.
delete_istio() {
  local users
  if [ -z "$istio_namespace" ]; then istio_fate="no Istio on this cluster"; return; fi
  if [ -z "$istio_mark" ]; then istio_fate="Istio stays: it was not installed by deploy.sh"; return; fi
  if [ "$skip_istio" = true ]; then istio_fate="Istio stays (--skip-istio)"; return; fi
  users=$(ask get pods -A -o 'jsonpath={range .items[*]}{.metadata.namespace} {.spec.containers[*].name} {.spec.initContainers[*].name}{"\n"}{end}' |
    awk -v own="$istio_namespace" '/istio-proxy/ && $1 != own {print $1}' | sort -u | paste -sd' ' -)
  if [ -n "$users" ]; then
    istio_fate="Istio stays: in use in $users"
    return
  fi
  command -v istioctl >/dev/null ||
    die "Istio was installed by deploy.sh, and istioctl, which removes it, is not on the PATH" "Or leave Istio: ./deploy.sh --delete --skip-istio"
  quietly istioctl uninstall --purge -y || die "istioctl could not remove Istio"
  quietly kubectl delete namespace "$istio_namespace" --ignore-not-found --timeout "${timeout}s" ||
    die "the namespace $istio_namespace is not gone after $timeout s"
  delete_istio_definitions
  istio_fate="Istio deleted, as deploy.sh had installed it"
}

# istioctl leaves the resource definitions, since deleting one deletes every resource of its kind: here only
# when there is none left.
delete_istio_definitions() {
  local definitions kinds
  definitions=$(ask get crds -o 'jsonpath={.items[*].metadata.name}' | tr ' ' '\n' | grep '\.istio\.io$' || true)
  [ -n "$definitions" ] || return 0
  kinds=$(paste -sd, - <<<"$definitions")
  if [ -z "$(ask get "$kinds" -A -o name)" ]; then
    # shellcheck disable=SC2086 # a list of names
    quietly kubectl delete crds $definitions --timeout "${timeout}s" || die "Istio's resource definitions could not be deleted"
  else
    warn "Istio's resource definitions stay: resources of other namespaces use them"
  fi
}

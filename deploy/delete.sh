# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# --delete: nothing of Faultline's stays. Istio goes with it (istio.sh) if this script has installed it and nobody
# else uses it.

delete_everything() {
  local gone=()
  if delete_gateway_plugin; then gone+=("the gateway's plugin"); fi
  if [ -n "$gateway_namespace" ] && delete_pull_secret_copies "$gateway_namespace"; then gone+=("the image pull secret in $gateway_namespace"); fi
  if [ "$namespace_state" = ours ] || [ "$namespace_state" = terminating ]; then
    stop_renewing   # the lock goes with the namespace
    locked=''
    quietly kubectl delete namespace "$namespace" --ignore-not-found --timeout "${timeout}s" ||
      die "the namespace $namespace is not gone after $timeout s" "Look at: kubectl get namespace $namespace -o yaml"
    gone+=("the namespace $namespace")
  fi
  # What a run of the acceptance suite's full tier that was killed may have left.
  local place
  for place in "$namespace-outside" "$namespace-privileged"; do
    quietly kubectl delete namespaces -l app=faultline-probe --field-selector "metadata.name=$place" --timeout "${timeout}s" ||
      die "the namespace $place is not gone after $timeout s"
  done
  delete_istio
  if [ ${#gone[@]} -eq 0 ]; then ok "Faultline was not there; $istio_fate"; return; fi
  ok "$(printf '%s, ' "${gone[@]}" | sed 's/, $//') deleted; $istio_fate"
}

# The plugins of whatever gateways it has stood behind.
delete_gateway_plugin() {
  local kind where name found=''
  while IFS='|' read -r kind where name; do
    if [ -z "$kind" ] || [ "$where" = "$namespace" ]; then continue; fi
    quietly kube -n "$where" delete "$kind" "$name" --ignore-not-found || die "the plugin $name in $where could not be deleted"
    found=yes
  done <<<"$(find_plugins | identities)"
  [ -n "$found" ]
}

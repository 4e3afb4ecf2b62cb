# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The cluster as it is: the context, what Istio it has, where its gateway is, whose the namespace is.

part_of=app.kubernetes.io/part-of=faultline
# Older ones lack what is needed: native sidecars; serviceAccounts in an AuthorizationPolicy.
oldest_kubernetes=1.29 oldest_istio=1.25
# Those of e2e/cluster. Nothing older has been tried.
proved_kubernetes=1.36 proved_istio=1.31

# The current context, fixed for this run: another shell may switch it meanwhile.
pin_context() {
  context=$(kubectl config current-context 2>>"$log") ||
    die "kubectl has no current context" "Choose one: kubectl config get-contexts; kubectl config use-context NAME"
  kubectl config view --minify --flatten >"$scratch/kubeconfig" 2>>"$log" ||
    die "kubectl's configuration for the context \"$context\" is not usable"
  chmod 600 "$scratch/kubeconfig"
  export KUBECONFIG=$scratch/kubeconfig
  kubernetes_version=$(kubectl --request-timeout=10s get --raw /version 2>>"$log" | sed -n 's/.*"gitVersion": *"v\([^"]*\)".*/\1/p') ||
    die "the cluster of the context \"$context\" does not answer" \
      "Is it running, and is the context the right one? Try: kubectl --context $context get --raw /version"
}

kube() { kubectl --request-timeout=30s "$@"; }

# ask COMMAND...: kubectl's answer. No answer is never taken for "there is none".
ask() {
  kube "$@" 2>>"$log" || die "the cluster did not answer: kubectl $*"
}

# warn_if_unproved PRODUCT VERSION PROVED
warn_if_unproved() {
  at_least "$2" "$3" ||
    warn "$1 $2 is untested: Faultline was proved on $1 $3; what it does here, step \"Prove\" shows"
}

# Sets istio_namespace and istio_version (both empty where there is no Istio), istio_mark and istio_brought: what
# this script noted on the namespace when it installed Istio itself (istio.sh).
find_istio() {
  local found image
  istio_namespace='' istio_version='' istio_mark='' istio_brought=''
  found=$(ask get deployments -A -l app=istiod \
    -o 'jsonpath={range .items[*]}{.metadata.namespace}{" "}{.spec.template.spec.containers[0].image}{"\n"}{end}' | head -n 1)
  if [ -n "$found" ]; then
    read -r istio_namespace image <<<"$found"
    istio_version=${image##*:}
    istio_mark=$(ask get namespace "$istio_namespace" -o 'jsonpath={.metadata.annotations.faultline/istio}')
    istio_brought=$(ask get namespace "$istio_namespace" -o 'jsonpath={.metadata.annotations.faultline/istio-brought}')
    # An earlier deploy.sh noted nothing of that.
    istio_brought=${istio_brought:-definitions namespace}
  elif [ -n "$(ask get mutatingwebhookconfigurations -l app=sidecar-injector -o name)" ]; then
    # A control plane that runs elsewhere: there, but not to be seen.
    istio_namespace=istio-system istio_version=unknown
  fi
}

# Sets gateway_namespace, gateway_service and gateway_account: found by the label that the Gateway resource
# selects, since an installation may keep its gateway anywhere. All empty where there is none.
find_gateway() {
  local found
  gateway_namespace='' gateway_service='' gateway_account=''
  found=$(ask get services -A -l istio=ingressgateway \
    -o 'jsonpath={range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}')
  [ -n "$found" ] || return 0
  read -r gateway_namespace gateway_service <<<"$found"
  gateway_account=$(ask -n "$gateway_namespace" get deployments -l istio=ingressgateway \
    -o 'jsonpath={.items[0].spec.template.spec.serviceAccountName}')
  if [ "$(wc -l <<<"$found")" -gt 1 ]; then
    warn "several gateways carry the label istio=ingressgateway; using $gateway_namespace/$gateway_service"
  fi
}

# Sets namespace_state: absent, ours, foreign or terminating.
find_namespace() {
  local found
  namespace_state=absent
  found=$(ask get namespace "$namespace" --ignore-not-found \
    -o 'jsonpath={.status.phase} {.metadata.labels.app\.kubernetes\.io/part-of}')
  case $found in
    '') ;;
    Terminating*) namespace_state=terminating ;;
    *' faultline') namespace_state=ours ;;
    *) namespace_state=foreign ;;
  esac
}

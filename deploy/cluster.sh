# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The cluster as it is: the context, whose the namespace is. Its Istio: mesh.sh; its gateway: choice.sh.

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

# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# Istio, where there is none. One that is there already is never touched.

istio_in_words() {
  if [ -z "$istio_namespace" ]; then printf 'no Istio yet'; else printf 'Istio %s' "$istio_version"; fi
}

install_istio() {
  if [ -n "$istio_namespace" ] && [ "$istio_mark" != installing ]; then
    # Again, and now under the lock: the build may have taken minutes.
    check_gateway_is_free
    ok "there already: $istio_version in $istio_namespace, left as it is"
    return
  fi
  istio_namespace=istio-system
  # Noted before and after: killed in between, the next run finishes the installation, and --delete knows
  # what is this script's to remove.
  [ -n "$(ask get namespace "$istio_namespace" --ignore-not-found -o name)" ] ||
    quietly kube create namespace "$istio_namespace" || die "the namespace $istio_namespace could not be made"
  mark_istio installing
  local files=(-f "$root/istio/installation.yaml")
  [ -z "$istio_config" ] || files+=(-f "$istio_config")
  quietly istioctl install -y "${files[@]}" --readiness-timeout "${timeout}s" ||
    die "istioctl could not install Istio" "Look at: kubectl -n $istio_namespace get pods,events"
  find_istio
  mark_istio "$istio_version"
  find_gateway
  [ -n "$gateway_namespace" ] ||
    die "this Istio has no gateway: no Service has the label istio=ingressgateway" "Does $istio_config turn the ingress gateway off?"
  ok "installed: $istio_version in $istio_namespace"
}

mark_istio() {
  quietly kube annotate namespace "$istio_namespace" --overwrite "faultline/istio=$1" ||
    die "the namespace $istio_namespace could not be marked"
}

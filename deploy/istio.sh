# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # templates are literal; the parts of deploy.sh share their variables
# Istio, where there is none, and its removal. One that is there already is never touched.

# The installation's name. istioctl labels with it whatever it brings, and removes by it nothing else.
istio_owner=install.operator.istio.io/owning-resource=faultline

istio_operator() {
  printf 'apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: faultline}\nspec: {}\n' >"$scratch/istio.yaml"
}

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
  prepare_istio_namespace
  local files=(-f "$root/istio/installation.yaml")
  [ -z "$istio_config" ] || files+=(-f "$istio_config")
  # The name last: the user's file may have another.
  istio_operator
  files+=(-f "$scratch/istio.yaml")
  quietly istioctl install -y "${files[@]}" --readiness-timeout "${timeout}s" ||
    die "istioctl could not install Istio" "Look at: kubectl -n $istio_namespace get pods,events"
  find_istio
  mark_istio "faultline/istio=$istio_version"
  check_mesh
  find_gateway
  [ -n "$gateway_namespace" ] ||
    die "this Istio has no gateway: no Service has the label istio=ingressgateway" \
      "Does $istio_config turn the ingress gateway off? Then: --gateway own"
  ok "installed: $istio_version in $istio_namespace"
}

# Noted on the namespace before and after: killed in between, the next run finishes the installation, and --delete
# knows what is this script's to remove: Istio by its labels, and of its namespace and definitions what was not there
# before.
prepare_istio_namespace() {
  local mark brought=labels
  mark=$(ask get namespace "$istio_namespace" --ignore-not-found -o 'jsonpath={.metadata.name} {.metadata.annotations.faultline/istio}')
  [ "$mark" != "$istio_namespace installing" ] || return 0
  [ -n "$(istio_definitions)" ] || brought+=" definitions"
  if [ -n "$mark" ]; then
    mark_istio faultline/istio=installing "faultline/istio-brought=$brought"
    return
  fi
  quietly kube create -f - <<YAML || die "the namespace $istio_namespace could not be made"
apiVersion: v1
kind: Namespace
metadata:
  name: $istio_namespace
  annotations: {faultline/istio: installing, faultline/istio-brought: "$brought namespace"}
YAML
}

# mark_istio ANNOTATION...
mark_istio() {
  quietly kube annotate namespace "$istio_namespace" --overwrite "$@" ||
    die "the namespace $istio_namespace could not be marked"
}

# The names of Istio's resource definitions on the cluster, a line each.
istio_definitions() {
  ask get crds -o 'jsonpath={.items[*].metadata.name}' | tr ' ' '\n' | grep '\.istio\.io$' || true
}

# Sets istio_fate: what became of Istio, and why.
delete_istio() {
  if [ -z "$istio_namespace" ]; then istio_fate="no Istio on this cluster"; return; fi
  if [ -z "$istio_mark" ]; then istio_fate="Istio stays: it was not installed by deploy.sh"; return; fi
  if [ "$skip_istio" = true ]; then istio_fate="Istio stays (--skip-istio)"; return; fi
  find_istio_users
  if [ -n "$istio_users" ]; then istio_fate="Istio stays, since others use it: $(listed 5 <<<"$istio_users")"; return; fi
  command -v istioctl >/dev/null ||
    die "Istio was installed by deploy.sh, and istioctl, which removes it, is not on the PATH" "Or leave Istio: ./deploy.sh --delete --skip-istio"
  uninstall_istio
  istio_fate="Istio deleted, as deploy.sh had installed it"
  delete_istio_definitions
  delete_istio_namespace
}

# By name and revision, never --purge: that takes every revision, and every resource of every user.
uninstall_istio() {
  local revision owned=()
  revision=$(ask -n "$istio_namespace" get deployments -l app=istiod -o 'jsonpath={.items[0].metadata.labels.istio\.io/rev}')
  if [[ $istio_brought == *labels* ]]; then
    istio_operator
    owned=(-f "$scratch/istio.yaml")
  fi
  quietly istioctl uninstall -y "${owned[@]+"${owned[@]}"}" --revision "${revision:-default}" || die "istioctl could not remove Istio"
  # istioctl waits for nothing, and an istiod that is about to end writes its ConfigMaps once more.
  until_true "$timeout" istio_has_ended || die "Istio's pods are still there after $timeout s" \
    "Look at: kubectl -n $istio_namespace get pods"
  # What istioctl keeps, and what istiod has put into every namespace and, for the Gateway API, on the cluster.
  quietly kube -n "$istio_namespace" delete serviceaccounts -l operator.istio.io/component=Base || true
  local name where
  while read -r where name; do
    [ -z "$name" ] || quietly kube -n "$where" delete configmap "$name" --ignore-not-found || true
  done < <(ask get configmaps -A -l istio.io/config=true -o 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' |
    grep -E ' istio-ca-(root-cert|crl)$' || true)
  if [ -n "$(ask get crd gatewayclasses.gateway.networking.k8s.io --ignore-not-found -o name)" ]; then
    # shellcheck disable=SC2086 # a list of names
    quietly kube delete --ignore-not-found ${istio_classes//GatewayClass/gatewayclasses.gateway.networking.k8s.io} || true
  fi
}

istio_has_ended() {
  local left
  left=$(kube -n "$istio_namespace" get deployments,pods -l operator.istio.io/component -o name 2>>"$log") && [ -z "$left" ]
}

# istioctl leaves the resource definitions, since deleting one deletes every resource of its kind: here only those
# that were not there before, and when there is none left.
delete_istio_definitions() {
  local definitions kinds
  [[ $istio_brought == *definitions* ]] || return 0
  definitions=$(istio_definitions)
  [ -n "$definitions" ] || return 0
  kinds=$(paste -sd, - <<<"$definitions")
  if [ -z "$(ask get "$kinds" -A -o name)" ]; then
    # shellcheck disable=SC2086 # a list of names
    quietly kubectl delete crds $definitions --timeout "${timeout}s" || die "Istio's resource definitions could not be deleted"
  else
    istio_fate+="; its resource definitions stay, since others use them"
  fi
}

# The namespace goes if this script has made it and nothing of others is in it.
delete_istio_namespace() {
  local kinds rest
  if [[ $istio_brought == *namespace* ]]; then
    kinds=$(ask api-resources --namespaced --verbs=list -o name | grep -vE '^(events|leases|endpoints|endpointslices)(\.|$)|metrics\.k8s\.io$' | paste -sd, -)
    rest=$(ask get "$kinds" -n "$istio_namespace" -o "go-template=$rest_template")
    rest=$(grep -vE '^(ServiceAccount/default|ConfigMap/kube-root-ca\.crt|Secret/istio-ca-secret)$' <<<"$rest" || true)
    if [ -z "$rest" ]; then
      quietly kubectl delete namespace "$istio_namespace" --ignore-not-found --timeout "${timeout}s" ||
        die "the namespace $istio_namespace is not gone after $timeout s"
      return
    fi
    istio_fate+="; the namespace $istio_namespace stays, since in it are $(listed 5 <<<"$rest")"
  else
    istio_fate+="; the namespace $istio_namespace stays, since it was there before"
  fi
  mark_istio faultline/istio- faultline/istio-brought-
}

# What somebody has put into a namespace: neither what is on its way out, nor what belongs to another object, nor
# the notes of istiod's elections.
rest_template='{{range .items}}{{if not (or .metadata.deletionTimestamp .metadata.ownerReferences)}}{{$election := ""}}{{with .metadata.annotations}}{{$election = index . "control-plane.alpha.kubernetes.io/leader"}}{{end}}{{if not $election}}{{.kind}}/{{.metadata.name}}{{"\n"}}{{end}}{{end}}{{end}}'

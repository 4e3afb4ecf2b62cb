# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# Everything that can be known to fail is found here, before anything is changed.

preflight() {
  [ -z "$release" ] || find_release
  check_version
  check_rights
  check_cluster
  warn_if_unproved Kubernetes "$kubernetes_version" "$proved_kubernetes"
  if [ "$mode" = deploy ]; then
    await_lock
    if [ -n "$release" ]; then
      check_architectures
    elif [ "$skip_build" = false ]; then
      check_architectures
      check_registry
    fi
  fi
  check_pull_secret
  ok "Kubernetes $kubernetes_version ($context), $(istio_in_words)$cni, namespace $namespace$(choice_in_words)"
}

preflight_delete() {
  check_version
  need delete '' namespaces
  need get '' namespaces customresourcedefinitions.apiextensions.k8s.io
  need list '' deployments.apps services pods customresourcedefinitions.apiextensions.k8s.io \
    mutatingwebhookconfigurations.admissionregistration.k8s.io
  check_needs
  find_namespace
  [ "$namespace_state" != foreign ] || die_foreign
  find_choice
  find_istio
  find_gateway
  need list '' wasmplugins.extensions.istio.io
  if [ -n "$istio_mark" ] && [ "$skip_istio" = false ]; then
    need_istio_users
    need_neighbours
  fi
  check_needs
  ok "Kubernetes $kubernetes_version ($context), namespace $namespace"
}

check_version() {
  at_least "$kubernetes_version" "$oldest_kubernetes" ||
    die "the cluster runs Kubernetes $kubernetes_version; Faultline needs $oldest_kubernetes for native sidecars"
}

# need VERB NAMESPACE RESOURCE[.GROUP|/PART]...: notes what this run must be allowed to do; an empty namespace means all.
need() {
  local verb=$1 where=$2 resource group part
  shift 2
  for resource in "$@"; do
    group='' part=''
    case $resource in
      */*) part=${resource#*/} ;;
      *.*) group=${resource#*.} ;;
    esac
    resource=${resource%%[./]*}
    printf -- '---\n{apiVersion: authorization.k8s.io/v1, kind: SelfSubjectAccessReview, spec: {resourceAttributes: {verb: "%s", group: "%s", resource: "%s", subresource: "%s", namespace: "%s"}}}\n' \
      "$verb" "$group" "$resource" "$part" "$where" >>"$scratch/needs"
  done
}

# What `kubectl auth can-i` asks, for all needs in one call.
check_needs() {
  local denied verb resource where
  denied=$(kube create --validate=false -f "$scratch/needs" \
    -o 'jsonpath={.status.allowed} {.spec.resourceAttributes.verb} {.spec.resourceAttributes.resource}/{.spec.resourceAttributes.subresource} {.spec.resourceAttributes.namespace}{"\n"}' 2>>"$log") ||
    die "the cluster does not say what you may do on it (context \"$context\")"
  : >"$scratch/needs"
  while read -r _ verb resource where; do
    die "you may not $verb ${resource%/}${where:+ in the namespace $where} on this cluster (context \"$context\")" \
      "Ask its administrator, or use another context: kubectl config use-context NAME"
  done < <(grep -v '^true ' <<<"$denied")
}

check_rights() {
  need get '' namespaces nodes storageclasses.storage.k8s.io customresourcedefinitions.apiextensions.k8s.io
  need list '' deployments.apps daemonsets.apps services pods customresourcedefinitions.apiextensions.k8s.io \
    mutatingwebhookconfigurations.admissionregistration.k8s.io wasmplugins.extensions.istio.io
  need create '' namespaces
  local verb
  for verb in get update delete; do need "$verb" "$namespace" leases.coordination.k8s.io; done
  for verb in create patch; do
    need "$verb" "$namespace" deployments.apps statefulsets.apps services serviceaccounts persistentvolumeclaims \
      poddisruptionbudgets.policy leases.coordination.k8s.io gateways.networking.istio.io \
      virtualservices.networking.istio.io destinationrules.networking.istio.io \
      peerauthentications.security.istio.io authorizationpolicies.security.istio.io wasmplugins.extensions.istio.io \
      networkpolicies.networking.k8s.io sidecars.networking.istio.io
  done
  need_pull_secret_in "$namespace"
  # shellcheck disable=SC2046 # a list of names
  need delete "$namespace" $(prunable_kinds)
  if proof_is_wanted; then need_for_proof; fi
  check_needs
}

# What the proof does inside Faultline's namespace: it reads logs and statistics, asks proxies for their
# configuration, and calls from one pod of its own, which a Job takes away again.
need_for_proof() {
  need list "$namespace" pods wasmplugins.extensions.istio.io
  need get "$namespace" pods/log pods/proxy jobs.batch
  need create "$namespace" pods/exec jobs.batch
  need delete "$namespace" jobs.batch
}

# The same at the gateway.
need_for_proof_at_gateway() {
  need list "$gateway_namespace" pods
  need get "$gateway_namespace" pods/log pods/proxy wasmplugins.extensions.istio.io
  need create "$gateway_namespace" pods/exec
}

proof_is_wanted() { [ "$mode" = deploy ] && { [ "$skip_build$release" = false ] || [ -x "$suite" ]; }; }

check_cluster() {
  find_namespace
  case $namespace_state in
    foreign) die_foreign ;;
    terminating) die "the namespace $namespace is still being deleted" "Wait for it: kubectl wait --for=delete namespace/$namespace" ;;
  esac
  find_choice
  check_istio
  check_gateway_api
  check_other_instance
  check_gateway_is_free
  check_storage
}

die_foreign() {
  die "the namespace $namespace is there already and is not Faultline's" \
    "Choose another with --namespace; or give it to Faultline, which may then delete it: kubectl label namespace $namespace $part_of"
}

check_istio() {
  local verb where
  find_istio
  find_gateway
  if [ -z "$istio_namespace" ] || [ "$istio_mark" = installing ]; then
    [ "$mode" = dry-run ] || check_istio_can_be_installed
    return
  fi
  at_least "$istio_version" "$oldest_istio" ||
    die "Istio $istio_version is installed; Faultline needs $oldest_istio or newer" "Upgrade it: https://istio.io/latest/docs/setup/upgrade/"
  warn_if_unproved Istio "$istio_version" "$proved_istio"
  check_gateway
  if [ "$gateway_api" = true ]; then
    for verb in create patch; do
      need "$verb" "$namespace" gateways.gateway.networking.k8s.io httproutes.gateway.networking.k8s.io envoyfilters.networking.istio.io
    done
  fi
  for where in $(plugins_elsewhere); do need delete "$where" wasmplugins.extensions.istio.io; done
  need create "$gateway_namespace" wasmplugins.extensions.istio.io
  need patch "$gateway_namespace" wasmplugins.extensions.istio.io
  need_pull_secret_in "$gateway_namespace"
  for verb in get list; do need "$verb" "$istio_namespace" configmaps; done
  need_neighbours
  if proof_is_wanted; then need_for_proof_at_gateway; fi
  check_needs
  check_mesh
  warn_without_labels
}

# The namespaces of other gateways in which an earlier choice has left a plugin.
plugins_elsewhere() { find_plugins | identities | cut -d '|' -f 2 | grep -vxF -e "$namespace" -e "$gateway_namespace" || true; }

check_istio_can_be_installed() {
  case $gateway in
    ''|own|istio-system/istio-ingressgateway) ;;
    *) die "Istio is not installed on the cluster, and so there is no gateway $gateway" "Leave --gateway away, or: --gateway own" ;;
  esac
  [ "$skip_istio" = false ] || die "Istio is not installed on the cluster, and --skip-istio says not to install it"
  command -v istioctl >/dev/null ||
    die "Istio is not installed on the cluster, and istioctl, which installs it, is not on the PATH" \
      "Get it: curl -L https://istio.io/downloadIstio | sh -; then add its bin folder to the PATH"
  need '*' '' '*.*'   # what the installation makes: definitions, cluster roles, webhooks
  check_needs
}

# The installation is somebody's: it is looked at, never touched.
warn_without_labels() {
  local tag
  for tag in route outcome; do
    grep -qE "^ *- *[\"']?${tag}[\"']? *$" <<<"$mesh" ||
      warn "Istio's extraStatTags lack \"$tag\": metrics come with raw names (istio/installation.yaml shows the setting)"
  done
}

# One gateway has one plugin of Faultline's; a second instance would take it over.
check_other_instance() {
  local other
  [ -n "$gateway_namespace" ] && [ -n "$(ask get crd wasmplugins.extensions.istio.io --ignore-not-found -o name)" ] || return 0
  other=$(ask -n "$gateway_namespace" get wasmplugin faultline-gateway --ignore-not-found \
    -o 'jsonpath={.metadata.labels.app\.kubernetes\.io/instance}')
  [ -z "$other" ] || [ "$other" = "$namespace" ] ||
    die "Faultline already runs behind this gateway, in the namespace $other" \
      "Make this one a gateway of its own: --gateway own. Or use that one (--namespace $other), or remove it first: ./deploy.sh --delete --namespace $other"
}

check_storage() {
  local claims claim default missing=''
  claims=$(ask -n "$namespace" get persistentvolumeclaims -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}')
  for claim in log-agent data-custom-app-0 data-custom-app-1; do
    grep -qxF "$claim" <<<"$claims" || missing=yes
  done
  [ -n "$missing" ] || return 0
  default=$(ask get storageclasses \
    -o 'jsonpath={.items[?(@.metadata.annotations.storageclass\.kubernetes\.io/is-default-class=="true")].metadata.name}')
  [ -n "$default" ] || die "the cluster has no default storage class, and the log agent and each custom-app need a volume" \
    "Make one the default: kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true"
}

# Sets architectures, unless they were chosen: those that the nodes have.
check_architectures() {
  local found architecture unknown=()
  [ ${#architectures[@]} = 0 ] || return 0
  found=$(ask get nodes -l kubernetes.io/os=linux -o 'jsonpath={range .items[*]}{.status.nodeInfo.architecture}{"\n"}{end}' | sort -u)
  for architecture in $found; do
    if [ -n "$(triple_of "$architecture")" ]; then architectures+=("$architecture"); else unknown+=("$architecture"); fi
  done
  [ ${#unknown[@]} = 0 ] ||
    die "the cluster has nodes of ${unknown[*]}; Faultline builds for amd64 and arm64" \
      "If its pods will not come to those nodes: --architectures $(IFS=,; printf '%s' "${architectures[*]:-amd64}")"
  [ ${#architectures[@]} -gt 0 ] ||
    die "the cluster has no Linux node yet, so there is nothing to build for" "Say what its nodes will be: --architectures amd64,arm64"
}

check_registry() {
  [ -n "$registry" ] || die "no registry is named" "Say where images are pushed to and pulled from: --registry HOST[:PORT][/PATH]"
  local advice="Is the name right, and does it run?"
  [ "$insecure" = true ] ||
    advice="$advice If its certificate is of an authority of its own: --registry-ca FILE. If it speaks plain HTTP, or nobody knows its certificate: --insecure-registry"
  find_registry || die "the registry $(registry_host) does not answer" "$advice"
}

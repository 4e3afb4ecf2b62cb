# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # templates are literal; the parts of deploy.sh share their variables
# Istio as it is found, whoever has installed it and however: revisions and tags, its root namespace, the namespaces that
# it discovers, its CNI plugin.

istio_rev='' injection=istio-injection=enabled injectors='' mesh='' discovery='' cni=''

# NAME|REVISION|TAG|default where it injects into namespaces labelled istio-injection=enabled, a line for each webhook.
injectors_template='{{range .items}}{{.metadata.name}}|{{with .metadata.labels}}{{with index . "istio.io/rev"}}{{.}}{{end}}|{{with index . "istio.io/tag"}}{{.}}{{end}}{{else}}|{{end}}|{{$default := ""}}{{range .webhooks}}{{with .namespaceSelector}}{{range .matchExpressions}}{{if and (eq .key "istio-injection") (eq .operator "In")}}{{$default = "default"}}{{end}}{{end}}{{end}}{{end}}{{$default}}{{"\n"}}{{end}}'
# NAMESPACE|REVISION|VERSION|IMAGE of each control plane.
istiods_template='{{range .items}}{{.metadata.namespace}}|{{with .metadata.labels}}{{with index . "istio.io/rev"}}{{.}}{{end}}|{{with index . "app.kubernetes.io/version"}}{{.}}{{end}}{{else}}|{{end}}|{{with index .spec.template.spec.containers 0}}{{.image}}{{end}}{{"\n"}}{{end}}'

# Sets istio_namespace and istio_version (both empty where there is no Istio), istio_rev (the revision of that control
# plane), injection (the label KEY=VALUE by which it injects into a namespace, empty where that is not clear, and then
# injectors names what there is), istio_mark and istio_brought: what this script noted on the namespace when it installed
# Istio itself (istio.sh).
find_istio() {
  local istiods found
  istio_namespace='' istio_version='' istio_rev='' istio_mark='' istio_brought='' injection=istio-injection=enabled injectors=''
  istiods=$(ask get deployments -A -l app=istiod -o "go-template=$istiods_template")
  found=$(ask get mutatingwebhookconfigurations -l app=sidecar-injector -o "go-template=$injectors_template")
  find_injection <<<"$found"
  if [ -n "$istiods" ]; then
    IFS='|' read -r istio_namespace istio_rev istio_version found <<<"$(istiod_of "$istio_rev" <<<"$istiods")"
    istio_version=$(version_of "$found" "$istio_version")
    istio_mark=$(ask get namespace "$istio_namespace" -o 'jsonpath={.metadata.annotations.faultline/istio}')
    istio_brought=$(ask get namespace "$istio_namespace" -o 'jsonpath={.metadata.annotations.faultline/istio-brought}')
    # An earlier deploy.sh noted nothing of that.
    istio_brought=${istio_brought:-definitions namespace}
  elif [ -n "$found" ]; then
    # A control plane that runs elsewhere: there, but not to be seen.
    istio_namespace=istio-system istio_version=unknown
  fi
}

# Of webhooks, a line each: sets injection and istio_rev. A tag is preferred to the revision that it stands for, since
# it stays when Istio is upgraded.
find_injection() {
  local name rev tag default line tags='' revs='' wanted=${istio_revision:-} known=''
  while IFS='|' read -r name rev tag default; do
    [ -n "$name" ] || continue
    line=${tag:-$rev}
    [ -z "$line" ] || [[ " $known " == *" $line "* ]] || known+=" $line"
    if [ -n "$wanted" ]; then
      if [ "$line" = "$wanted" ]; then injection=istio.io/rev=$wanted istio_rev=$rev; fi
    elif [ -n "$default" ]; then
      injection=istio-injection=enabled istio_rev=$rev wanted=$line
    elif [ -n "$tag" ]; then
      tags+=" $tag:$rev"
    elif [ -n "$rev" ]; then
      revs+=" $rev:$rev"
    fi
  done
  injectors=${known# }
  if [ -n "$istio_revision" ]; then
    if [ -z "$injectors" ]; then injection=istio.io/rev=$istio_revision; fi
    [ "$injection" = "istio.io/rev=$istio_revision" ] || injection=''
    return
  fi
  [ -z "$wanted" ] && [ -n "$injectors" ] || return 0
  # shellcheck disable=SC2086 # lists of names
  set -- ${tags:-$revs}
  if [ $# = 1 ]; then injection=istio.io/rev=${1%:*} istio_rev=${1#*:}; else injection=''; fi
}

# istiod_of REVISION: of control planes, a line each, that of the revision; else the first.
istiod_of() { awk -F'|' -v rev="$1" 'NR == 1 {line = $0} rev != "" && $2 == rev {line = $0; exit} END {print line}'; }

# version_of IMAGE LABEL: by the image's tag; where that is a digest or no version, by the chart's label.
version_of() {
  local tag=${1##*/}
  tag=${tag%%@*}
  case $tag in
    *:[0-9]*.[0-9]*) printf '%s' "${tag##*:}" ;;
    *) printf '%s' "${2:-unknown}" ;;
  esac
}

check_injection() {
  [ -z "$injection" ] || return 0
  local choices="Name one of them: --istio-revision NAME (${injectors// /, })"
  [ -z "$istio_revision" ] || die "Istio has no revision and no tag $istio_revision" "$choices"
  die "Istio has several revisions, and none is the default: it is not clear which one shall run Faultline's proxies" "$choices"
}

# Sets mesh: the configuration of the mesh, as YAML. Empty where it cannot be seen.
find_mesh() {
  local suffix=''
  if [ -n "$istio_rev" ] && [ "$istio_rev" != default ]; then suffix=-$istio_rev; fi
  mesh=$(ask -n "$istio_namespace" get configmap "istio$suffix" --ignore-not-found -o 'jsonpath={.data.mesh}')
}

# mesh_value TEMPLATE: what the template prints of it. kubectl reads YAML, as part of an object that it sends nowhere.
mesh_value() {
  [ -n "$mesh" ] || return 0
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mesh}\nmesh:\n  mesh: {}\n  %s\n' "${mesh//$'\n'/$'\n'  }" |
    kubectl annotate --local -f - faultline/read=yes -o "go-template={{with .mesh}}$1{{end}}" 2>>"$log" ||
    die "the configuration of the mesh in $istio_namespace cannot be read"
}

root_namespace() { mesh_value '{{with .rootNamespace}}{{.}}{{end}}'; }

# The value of the label `istio` of the pods that serve Istio's Ingresses: as istiod itself finds it.
ingress_selector() {
  local found
  found=$(mesh_value '{{if .ingressSelector}}{{.ingressSelector}}{{else if .ingressService}}{{if ne .ingressService "istio-ingressgateway"}}{{.ingressService}}{{end}}{{end}}')
  printf '%s' "${found:-ingressgateway}"
}

# What lies in the root namespace holds for the whole mesh: Faultline's policies would be everybody's.
check_root_namespace() {
  local root
  root=$(root_namespace)
  root=${root:-$istio_namespace}
  [ "$namespace" != "$root" ] ||
    die "the namespace $namespace is Istio's root namespace: what Faultline says there would hold for everybody" \
      "Choose another: --namespace NAME"
}

# A line for each selector of discovered namespaces: labels KEY=VALUE,… or, if it asks for more than labels, other=.
discovery_template='{{range .discoverySelectors}}{{if .matchExpressions}}other|{{else}}labels|{{end}}{{range $key, $value := .matchLabels}}{{$key}}={{$value}},{{end}}{{range .matchExpressions}}{{if eq .operator "In"}}{{.key}} in ({{range $i, $value := .values}}{{if $i}},{{end}}{{$value}}{{end}}),{{else if eq .operator "NotIn"}}{{.key}} notin ({{range $i, $value := .values}}{{if $i}},{{end}}{{$value}}{{end}}),{{else if eq .operator "Exists"}}{{.key}},{{else}}!{{.key}},{{end}}{{end}}{{"\n"}}{{end}}'

# Sets discovery: the labels KEY=VALUE,… without which Istio would not see Faultline's namespace. Those that it has are
# preferred, so that a run finds what an earlier one has chosen.
find_discovery() {
  local found kind selector settable='' any=''
  discovery=''
  found=$(mesh_value "$discovery_template")
  while IFS='|' read -r kind selector; do
    selector=${selector%,}
    [ -n "$kind" ] || continue
    any=yes
    # An empty selector takes every namespace.
    [ "$kind:$selector" != labels: ] || return 0
    if is_discovered "$selector"; then
      if [ "$kind" = labels ] && [[ ",$selector" != *,kubernetes.io/* ]]; then discovery=$selector; fi
      return
    fi
    if [ "$kind" = labels ] && [ -z "$settable" ] && [[ ",$selector" != *,kubernetes.io/* ]]; then settable=$selector; fi
  done <<<"$found"
  [ -n "$any" ] || return 0
  [ -n "$settable" ] || die "Istio does not discover the namespace $namespace: none of meshConfig.discoverySelectors takes it" \
    "Give it labels that one of them takes, and run this again: kubectl create namespace $namespace; kubectl label namespace $namespace $part_of KEY=VALUE. Or let them take it"
  discovery=$settable
}

# is_discovered SELECTOR: whether Faultline's namespace is there and has what the selector asks for.
is_discovered() {
  local found
  [ "$namespace_state" = ours ] || return 1
  found=$(ask get namespaces -l "$1" --field-selector "metadata.name=$namespace" -o name)
  [ -n "$found" ]
}

# The labels of Faultline's namespace, as a map in one line: whose it is, and by what it is in the mesh.
namespace_labels() { labels_as_yaml "$injection${discovery:+,$discovery},$part_of"; }

# Where Istio's CNI plugin takes the place of the init container, no pod starts without it, and in a namespace that it
# leaves out no traffic goes through the proxies.
check_cni() {
  local found name where ready wanted excluded
  cni=''
  found=$(ask get daemonsets -A -l k8s-app=istio-cni-node \
    -o 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name} {.status.numberReady} {.status.desiredNumberScheduled}{"\n"}{end}')
  [ -n "$found" ] || return 0
  read -r where name ready wanted <<<"$found"
  [ "$ready" = "$wanted" ] || die "Istio's CNI plugin is ready on $ready of $wanted nodes; pods on the others do not start" \
    "Look at: kubectl -n $where describe daemonset $name. Then run this again"
  excluded=$(ask -n "$where" get configmap istio-cni-config --ignore-not-found -o 'jsonpath={.data.EXCLUDE_NAMESPACES},{.data.cni_network_config}')
  if [[ " ${excluded//[^a-z0-9-]/ } " == *" $namespace "* ]]; then
    die "Istio's CNI plugin leaves the namespace $namespace out" "Choose another: --namespace NAME. Or take it out of excludeNamespaces of the plugin"
  fi
  cni=', istio-cni'
}

check_mesh() {
  check_injection
  find_mesh
  check_root_namespace
  find_discovery
  check_cni
}

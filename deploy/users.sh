# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # templates are literal; the parts of deploy.sh share their variables
# Who uses this Istio besides Faultline. While anybody does, --delete leaves it.

# Definitions of Istio's resources and of the Gateway API's, which Istio serves too.
used_groups='\.(istio\.io|gateway\.networking\.(x-)?k8s\.io)$'
# The classes that istiod itself makes wherever the Gateway API is.
istio_classes='GatewayClass/istio GatewayClass/istio-remote GatewayClass/istio-waypoint GatewayClass/istio-east-west'

# Each template prints lines WHAT|NAMESPACE|…; the namespace is empty for what has none.
resources_template='{{range .items}}{{.kind}}/{{.metadata.name}}|{{with .metadata.namespace}}{{.}}{{end}}{{"\n"}}{{end}}'
proxies_template='{{range .items}}{{.metadata.name}}|{{.metadata.namespace}}|{{range .spec.containers}}{{.name}} {{end}}{{range .spec.initContainers}}{{.name}} {{end}}{{"\n"}}{{end}}'
joined_template='{{range .items}}{{.metadata.name}}|{{with .metadata.labels}}{{range $key, $value := .}}{{$key}}={{$value}} {{end}}{{end}}{{"\n"}}{{end}}'
workloads_template='{{range .items}}{{.metadata.namespace}}/{{.metadata.name}} {{end}}'

# Sets istio_users: a line for each use of Istio outside Faultline and the installation itself.
find_istio_users() {
  local definitions installed found
  istio_users=''
  # What the installation runs is no user of it. One of an earlier deploy.sh has no labels to know it by.
  installed=$(ask get deployments.apps,daemonsets.apps -A -l "$istio_owner" -o "go-template=$workloads_template")
  [[ $istio_brought == *labels* ]] || installed="$istio_namespace/istiod $istio_namespace/istio-ingressgateway "

  found=$(ask get deployments -A -l app=istiod -o "go-template=$resources_template")
  istio_users+=$(awk -F'|' -v installed=" $installed" '
    {name = $1; sub(/.*\//, "", name)}
    $1 != "" && !index(installed, " " $2 "/" name " ") {print "the control plane " $2 "/" name}' <<<"$found")$'\n'
  found=$(ask get namespaces -o "go-template=$joined_template")
  istio_users+=$(joined_namespaces <<<"$found")$'\n'
  found=$(ask get pods -A -o "go-template=$proxies_template")
  istio_users+=$(others_proxies "$installed" <<<"$found")$'\n'
  definitions=$(used_definitions | paste -sd, -)
  if [ -n "$definitions" ]; then
    found=$(ask get "$definitions" -A -o "go-template=$resources_template")
    istio_users+=$(others_resources <<<"$found")$'\n'
  fi
  neighbours=''
  add_neighbours Ingress "$(istio_ingresses)"
  istio_users+=$(awk 'NF {print "the " $0}' <<<"$neighbours")
  istio_users=$(grep . <<<"$istio_users" || true)
}

# What one must be allowed to list, to know that nobody uses it.
need_istio_users() {
  need list '' namespaces pods deployments.apps daemonsets.apps configmaps
  # shellcheck disable=SC2046 # a list of names
  need list '' $(used_definitions)
}

used_definitions() {
  ask get crds -o 'jsonpath={.items[*].metadata.name}' | tr ' ' '\n' | grep -E "$used_groups" || true
}

# Namespaces that take part in the mesh: labelled for injection, by a revision or by Istio's own label, or ambient.
joined_namespaces() {
  awk -F'|' -v own="$namespace" '$1 != own {
    n = split($2, labels, " ")
    for (i = 1; i <= n; i++)
      if (labels[i] == "istio-injection=enabled" || labels[i] ~ /^istio\.io\/rev=./ || labels[i] == "istio.io/dataplane-mode=ambient") {
        print "the namespace " $1 " (" labels[i] ")"; next
      }
  }'
}

# others_proxies "NAMESPACE/NAME …": pods with a proxy that are neither Faultline's nor of these workloads.
others_proxies() {
  awk -F'|' -v own="$namespace" -v installed="$1" '
    BEGIN {n = split(installed, workload, " ")}
    $2 == own || !index(" " $3, " istio-proxy ") {next}
    {
      # A Deployment calls its pods NAME-HASH-HASH, a DaemonSet NAME-HASH.
      for (i = 1; i <= n; i++) {
        start = workload[i] "-"; rest = substr($2 "/" $1, length(start) + 1)
        if (index($2 "/" $1, start) == 1 && rest ~ /^([a-z0-9]+-)?[a-z0-9]+$/) next
      }
      print "the proxy of " $2 "/" $1
    }'
}

others_resources() {
  awk -F'|' -v own="$namespace" -v classes=" $istio_classes " '
    $1 != "" && $2 != own && !index(classes, " " $1 " ") {print "the " $1 ($2 == "" ? "" : " in " $2)}'
}

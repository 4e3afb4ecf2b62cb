# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # templates are literal; the parts of deploy.sh share their variables
# Who else is served by the gateway. Faultline's filter sees every request of the gateway's listeners, whatever its
# host, and answers 404 to a path that it does not know: on a gateway of others it would take their traffic.

# Each template prints NAMESPACE/NAME|PART-OF|what decides|HOST HOST …, a line for each resource.
part_of_template='{{.metadata.namespace}}/{{.metadata.name}}|{{with .metadata.labels}}{{index . "app.kubernetes.io/part-of"}}{{end}}|'
istio_gateways_template='{{range .items}}'$part_of_template'{{range $key, $value := .spec.selector}}{{$key}}={{$value}},{{end}}|{{range .spec.servers}}{{range .hosts}}{{.}} {{end}}{{end}}{{"\n"}}{{end}}'
virtual_services_template='{{range .items}}'$part_of_template'{{range .spec.gateways}}{{.}} {{end}}|{{range .spec.hosts}}{{.}} {{end}}{{"\n"}}{{end}}'
# A Gateway of the Gateway API has pods of its own, unless it names the Service of others as its address.
api_gateways_template='{{range .items}}'$part_of_template'{{range .spec.addresses}}{{if eq (printf "%v" .type) "Hostname"}}{{.value}} {{end}}{{end}}|{{range .spec.listeners}}{{or .hostname "*"}} {{end}}{{"\n"}}{{end}}'
api_routes_template='{{range .items}}'$part_of_template'|{{range .spec.hostnames}}{{.}} {{end}}{{"\n"}}{{end}}'
ingresses_template='{{range .items}}'$part_of_template'{{with .metadata.annotations}}{{index . "kubernetes.io/ingress.class"}}{{end}};{{.spec.ingressClassName}}|{{range .spec.rules}}{{or .host "*"}} {{end}}{{"\n"}}{{end}}'
ingress_classes_template='{{range .items}}{{if eq (printf "%v" .spec.controller) "istio.io/ingress-controller"}}{{.metadata.name}} {{end}}{{end}}'
labels_template='{{range .items}}{{range $key, $value := .metadata.labels}}{{$key}}={{$value}},{{end}};{{end}}'
services_template='{{range .items}}{{.metadata.name}}|{{range $key, $value := .spec.selector}}{{$key}}={{$value}},{{end}}{{"\n"}}{{end}}'

# What one must be allowed to list, to know that there is nobody.
need_neighbours() {
  need list '' gateways.networking.istio.io virtualservices.networking.istio.io gateways.gateway.networking.k8s.io \
    httproutes.gateway.networking.k8s.io ingresses.networking.k8s.io ingressclasses.networking.k8s.io
}

# Sets neighbours: a line KIND NAMESPACE/NAME (HOST HOST …) for each resource of others that the gateway serves.
find_neighbours() {
  local definitions labels services found
  neighbours=''
  definitions=" $(ask get crds -o 'jsonpath={.items[*].metadata.name}') "
  # Those of the pods, in whatever namespace; and what the Gateway resource selects, in case none runs just now.
  labels="$gateway_selector,;$(ask get pods -A -l "$gateway_selector" -o "go-template=$labels_template")"

  if [[ $definitions == *' gateways.networking.istio.io '* ]]; then
    found=$(ask get gateways.networking.istio.io -A -o "go-template=$istio_gateways_template")
    add_neighbours Gateway "$(of_others <<<"$found" | selecting "$labels")"
  fi
  if [[ $definitions == *' virtualservices.networking.istio.io '* ]]; then
    found=$(ask get virtualservices.networking.istio.io -A -o "go-template=$virtual_services_template")
    add_neighbours VirtualService "$(of_others <<<"$found" | bound_to_faultline)"
    if [ -n "$host" ]; then add_neighbours VirtualService "$(of_others <<<"$found" | not_bound_to_faultline | with_host)"; fi
  fi
  if [[ $definitions == *' gateways.gateway.networking.k8s.io '* ]]; then
    found=$(ask -n "$gateway_namespace" get services -o "go-template=$services_template")
    services=$(services_selecting "$labels" <<<"$found")
    found=$(ask get gateways.gateway.networking.k8s.io -A -o "go-template=$api_gateways_template")
    add_neighbours 'Gateway API Gateway' "$(of_others <<<"$found" | addressed_to "$services")"
  fi
  if [ -n "$host" ] && [[ $definitions == *' httproutes.gateway.networking.k8s.io '* ]]; then
    found=$(ask get httproutes.gateway.networking.k8s.io -A -o "go-template=$api_routes_template")
    add_neighbours HTTPRoute "$(of_others <<<"$found" | with_host)"
  fi
  if [[ ",${labels//;/,}" == *",istio=$(ingress_selector),"* ]]; then
    add_neighbours Ingress "$(istio_ingresses)"
  fi
}

# Whoever has an Ingress of Istio's.
istio_ingresses() {
  local classes found
  classes=$(ask get ingressclasses.networking.k8s.io -o "go-template=$ingress_classes_template")
  found=$(ask get ingresses.networking.k8s.io -A -o "go-template=$ingresses_template")
  of_others <<<"$found" | of_class "$classes"
}

# add_neighbours KIND LINES: each line NAMESPACE/NAME|…|…|HOST HOST …
add_neighbours() {
  neighbours+=$(awk -F'|' -v kind="$1" 'NF > 1 {sub(/ +$/, "", $4); print kind, $1 " (" ($4 == "" ? "no host" : $4) ")"}' <<<"$2")
  [ -z "$neighbours" ] || [ "${neighbours: -1}" = $'\n' ] || neighbours+=$'\n'
}

# What is not this instance's own; what lies in another namespace is never.
of_others() { awk -F'|' -v own="$namespace" '{split($1, name, "/")} $1 != "" && !(name[1] == own && $2 == "faultline")'; }

# selecting "KEY=VALUE,…;…": those whose selector takes one of these sets of labels. Without a selector, it takes all.
selecting() {
  awk -F'|' -v sets="$1" '
    function takes(selector, set,   keys, n, i) {
      n = split(selector, keys, ",")
      for (i = 1; i <= n; i++) if (keys[i] != "" && !index("," set, "," keys[i] ",")) return 0
      return 1
    }
    {n = split(sets, set, ";"); for (i = 1; i <= n; i++) if (set[i] != "" && takes($3, set[i])) {print; next}}'
}

# The names of the Services NAME|SELECTOR that lead to such pods, on one line.
services_selecting() { awk -F'|' '$2 != "" {print $1 "||" $2}' | selecting "$1" | cut -d '|' -f 1 | paste -sd' ' -; }

# Those that are bound to Faultline's own Gateway resource, by whichever of its names; and those that are not, and yet
# to a gateway.
bound_to_faultline() { bound yes; }
not_bound_to_faultline() { bound no; }

bound() {
  awk -F'|' -v own="$namespace" -v wanted="$1" '{
    split($1, name, "/"); n = split($3, gateways, " "); to_own = "no"; to_any = 0
    for (i = 1; i <= n; i++) {
      if (gateways[i] != "mesh") to_any = 1
      if (gateways[i] == own "/faultline-gateway" || index(gateways[i] ".", "faultline-gateway." own ".") == 1 ||
          (name[1] == own && gateways[i] == "faultline-gateway")) to_own = "yes"
    }
    if (to_any && to_own == wanted) print
  }'
}

# Those that name the very host of --host. A host is also NAMESPACE/HOST.
with_host() {
  awk -F'|' -v host="$host" '{
    n = split($4, hosts, " ")
    for (i = 1; i <= n; i++) {sub(/^.*\//, "", hosts[i]); if (hosts[i] == host) {print; next}}
  }'
}

# addressed_to "SERVICE …": those with the address of one of these Services of the gateway's namespace.
addressed_to() {
  awk -F'|' -v services=" $1 " -v there="$gateway_namespace" '{
    split($1, name, "/"); n = split($3, addresses, " ")
    for (i = 1; i <= n; i++) {
      parts = split(addresses[i], part, ".")
      if (index(services, " " part[1] " ") && (parts > 1 ? part[2] : name[1]) == there) {print; next}
    }
  }'
}

# of_class "CLASS …": Ingresses that Istio serves: by the annotation, else by a class of Istio's controller.
of_class() {
  awk -F'|' -v classes=" $1 " '{
    split($3, class, ";")
    by_annotation = class[1] != "" && class[1] != "<no value>"
    if (by_annotation ? class[1] == "istio" : class[2] != "<no value>" && index(classes, " " class[2] " ")) print
  }'
}

# A gateway that serves anybody else is shared only by a host name: the filter lets other hosts pass untouched. Not by one
# that others have.
check_gateway_is_free() {
  [ -n "$gateway_namespace" ] || return 0
  find_neighbours
  [ -n "$neighbours" ] || return 0
  [ -n "$host" ] || die_shared
  local taken
  taken=$(printf '%s\n' "$neighbours" | sed 's/ (\(.*\))$/|||\1/' | with_host | sed 's/|||\(.*\)$/ (\1)/')
  [ -z "$taken" ] || die "the host $host is served to others: $(listed 5 <<<"$taken")" "Name another: --host NAME"
}

die_shared() {
  local at=$gateway_namespace/$gateway_service who choices
  who=$(listed 5 <<<"$neighbours")
  choices="with a gateway of its own: --gateway own; or share this one by a host name: --gateway $at --host NAME"
  if [ -n "$(ask -n "$gateway_namespace" get wasmplugins.extensions.istio.io -l "$part_of,app.kubernetes.io/instance=$namespace" -o name)" ]; then
    die "the gateway $at, behind which Faultline runs, serves others too: $who" \
      "Faultline's filter is there already and answers 404 to their paths. Run this again $choices. Or take Faultline away from them: ./deploy.sh --delete --namespace $namespace"
  fi
  die "the gateway $at serves others: $who" \
    "Faultline's filter would see their requests too, and answer 404 to paths that it does not know. Run this again $choices."
}

# listed MOST: lines as a list with commas, the first MOST of them.
listed() {
  awk -v most="$1" 'NF {n++; if (n <= most) text = text (n > 1 ? ", " : "") $0} END {printf "%s", text; if (n > most) printf " and %d more", n - most}'
}

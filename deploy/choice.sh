# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # templates are literal; the parts of deploy.sh share their variables
# Which gateway Faultline stands behind: --gateway, --host and --gateway-api. The three are one choice. It is noted on
# Faultline's namespace, where --status and --delete find it, and a run that names none of them goes on with it.

own_gateway=faultline-gateway

# Sets gateway, host, gateway_api and istio_revision as they hold for this run.
find_choice() {
  if [ "$namespace_state" = ours ]; then recall_choice; fi
  # Istio takes a Gateway of the Gateway API for a Service of its own namespace only.
  if [ "$gateway_api" = true ]; then gateway=own; fi
  if [ "$host" = '*' ]; then host=''; fi
}

# The last run's, unless this one has made its own.
recall_choice() {
  local found noted_gateway noted_host noted_api noted_revision
  found=$(ask get namespace "$namespace" -o 'jsonpath={.metadata.annotations.faultline/gateway}{"\n"}{.metadata.annotations.faultline/host}{"\n"}{.metadata.annotations.faultline/gateway-api}{"\n"}{.metadata.annotations.faultline/istio-revision}{"\n"}.')
  { read -r noted_gateway; read -r noted_host; read -r noted_api; read -r noted_revision; } <<<"$found"
  case $mode in
    deploy|dry-run)
      istio_revision=${istio_revision:-$noted_revision}
      if [ -n "$gateway$host" ] || [ "$gateway_api" = true ]; then return; fi ;;
    *) istio_revision=$noted_revision ;;
  esac
  gateway=$noted_gateway host=$noted_host gateway_api=${noted_api:-false}
}

# The choice as annotations of Faultline's namespace, each with a comma before it.
choice_noted() {
  [ -z "$gateway" ] || printf ', faultline/gateway: "%s"' "$gateway"
  [ -z "$host" ] || printf ', faultline/host: "%s"' "$host"
  [ "$gateway_api" = false ] || printf ', faultline/gateway-api: "true"'
  [ -z "$istio_revision" ] || printf ', faultline/istio-revision: "%s"' "$istio_revision"
}

# Sets gateway_namespace, gateway_service, gateway_accounts (NAMESPACE/NAME …) and gateway_selector (KEY=VALUE,…). All
# are empty where there is no such gateway.
find_gateway() {
  gateway_namespace='' gateway_service='' gateway_accounts='' gateway_selector=''
  case $gateway in
    own)
      gateway_namespace=$namespace gateway_service=$own_gateway gateway_accounts=$namespace/$own_gateway
      # A selector looks into every namespace: the instance tells one own gateway from another.
      gateway_selector=app.kubernetes.io/instance=$namespace,istio=$own_gateway
      ;;
    */*) find_gateway_of_others "${gateway%/*}" "${gateway#*/}" ;;
    *) find_default_gateway ;;
  esac
}

# Found by the label that Istio's default profile gives it, since an installation may keep its gateway anywhere.
find_default_gateway() {
  local found
  found=$(ask get services -A -l istio=ingressgateway \
    -o 'jsonpath={range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}')
  [ -n "$found" ] || return 0
  read -r gateway_namespace gateway_service <<<"$found"
  gateway_selector=istio=ingressgateway
  find_gateway_accounts
  if [ "$(wc -l <<<"$found")" -gt 1 ]; then
    warn "several gateways carry the label istio=ingressgateway; using $gateway_namespace/$gateway_service (--gateway names another)"
  fi
}

# find_gateway_of_others NAMESPACE SERVICE: its selector is whatever the Service's is.
find_gateway_of_others() {
  local found
  found=$(ask -n "$1" get service "$2" --ignore-not-found \
    -o 'go-template={{.metadata.name}} {{range $key, $value := .spec.selector}}{{$key}}={{$value}},{{end}}')
  [ -n "$found" ] || return 0
  gateway_namespace=$1 gateway_service=$2 gateway_selector=${found#* }
  gateway_selector=${gateway_selector%,}
  [ -z "$gateway_selector" ] || find_gateway_accounts
}

# Those of the pods; of a gateway that has none just now, those of its Deployments.
find_gateway_accounts() {
  local found
  found=$(ask -n "$gateway_namespace" get pods -l "$gateway_selector" -o 'jsonpath={range .items[*]}{.spec.serviceAccountName}{"\n"}{end}')
  [ -n "$found" ] || found=$(ask -n "$gateway_namespace" get deployments -l "$gateway_selector" \
    -o 'jsonpath={range .items[*]}{.spec.template.spec.serviceAccountName}{"\n"}{end}')
  gateway_accounts=$(sort -u <<<"$found" | sed "/./s|^|$gateway_namespace/|" | paste -sd' ' -)
}

# What the gateway must be, where Istio is there already.
check_gateway() {
  case $gateway in
    own) return ;;
    */*)
      [ -n "$gateway_namespace" ] || die "there is no Service ${gateway#*/} in the namespace ${gateway%/*}" "$(gateways_in_words)"
      check_gateway_of_others
      ;;
    *)
      [ -n "$gateway_namespace" ] || die "Istio is installed, but no gateway: no Service has the label istio=ingressgateway" "$(gateways_in_words)"
      ;;
  esac
}

check_gateway_of_others() {
  local ports proxies
  [ -n "$gateway_selector" ] || die "the Service $gateway selects no pods" "$(gateways_in_words)"
  ports=$(ask -n "$gateway_namespace" get service "$gateway_service" -o 'jsonpath={.spec.type} {.spec.ports[*].port} ')
  [[ "$ports" == *' 80 '* ]] || die "the Service $gateway has no port 80, at which Faultline is served" "$(gateways_in_words)"
  [[ "$ports" == 'LoadBalancer '* ]] ||
    die "the Service $gateway is of the type ${ports%% *}: it gets no address at which it could be proved" "$(gateways_in_words)"
  proxies=$(ask -n "$gateway_namespace" get pods -l "$gateway_selector" \
    -o 'jsonpath={range .items[*]}{.spec.containers[*].name}{"\n"}{end}')
  grep -qw istio-proxy <<<"$proxies" || die "behind the Service $gateway runs no proxy of Istio's" "$(gateways_in_words)"
}

# The ways on: whatever looks like a gateway, or one of Faultline's own.
gateways_in_words() {
  local found
  found=$(ask get services -A -o "go-template=$gateways_template" | listed 5)
  printf 'Make one of its own: --gateway own%s' "${found:+. Or take one that is there: --gateway NAMESPACE/SERVICE, for example $found}"
}

gateways_template='{{range .items}}{{if eq .spec.type "LoadBalancer"}}{{$gateway := ""}}{{range $key, $value := .spec.selector}}{{if eq $key "istio"}}{{$gateway = "yes"}}{{end}}{{end}}{{if $gateway}}{{.metadata.namespace}}/{{.metadata.name}}{{"\n"}}{{end}}{{end}}{{end}}'

# The Gateway API must be there, and Istio must serve it.
check_gateway_api() {
  local found kind
  [ "$gateway_api" = true ] || return 0
  for kind in gateways httproutes; do
    found=$(ask get crd "$kind.gateway.networking.k8s.io" --ignore-not-found -o 'jsonpath={.spec.versions[?(@.name=="v1")].name}')
    [ -n "$found" ] || die "the cluster has no definition of the Gateway API's $kind, of version v1" \
      "Install them: https://gateway-api.sigs.k8s.io/guides/getting-started/; or leave --gateway-api away"
  done
  for found in timeouts name; do
    [ -n "$(ask get crd httproutes.gateway.networking.k8s.io \
      -o "jsonpath={.spec.versions[?(@.name==\"v1\")].schema.openAPIV3Schema.properties.spec.properties.rules.items.properties.$found.type}")" ] ||
      die "the HTTPRoutes of the Gateway API that is installed know no $found" \
        "Install a newer one: https://gateway-api.sigs.k8s.io/guides/getting-started/; or leave --gateway-api away"
  done
  [ -z "$istio_namespace" ] || [ "$istio_mark" = installing ] ||
    [ -n "$(ask get gatewayclasses.gateway.networking.k8s.io istio --ignore-not-found -o name)" ] ||
    die "Istio does not serve the Gateway API: there is no GatewayClass istio" \
      "Is it turned off (PILOT_ENABLE_GATEWAY_API)? Or leave --gateway-api away"
}

# labels_as_yaml KEY=VALUE,…: as a map in one line.
labels_as_yaml() {
  awk -v labels="$1" 'BEGIN {
    n = split(labels, pairs, ",")
    for (i = 1; i <= n; i++) if (pairs[i] != "") {
      at = index(pairs[i], "=")
      text = text (text == "" ? "" : ", ") "\"" substr(pairs[i], 1, at - 1) "\": \"" substr(pairs[i], at + 1) "\""
    }
    printf "{%s}", text
  }'
}

# What was chosen, for the end of a line.
choice_in_words() {
  case $gateway in
    own) printf ', a gateway of its own' ;;
    */*) printf ', the gateway %s' "$gateway" ;;
  esac
  [ "$gateway_api" = false ] || printf ' by the Gateway API'
  [ -z "$host" ] || printf ', the host %s' "$host"
}

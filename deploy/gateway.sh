# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# From a deployed application to one that demonstrably answers.

wait_for_gateway() {
  until_true "$timeout" gateway_has_address || die_no_address
  gateway_url=http://$gateway_address/
  steady=0
  until_true "$timeout" gateway_steady || die_not_steady
  ok "custom-app and log-agent are ready$taken_over, the gateway answers at $gateway_url"
}

# Sets gateway_address.
gateway_has_address() {
  local found
  found=$(kube -n "$gateway_namespace" get service "$gateway_service" \
    -o 'jsonpath={.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}' 2>>"$log") || return 1
  [ -n "$found" ] || return 1
  case $found in *:*) found=[$found] ;; esac
  gateway_address=$found
}

die_no_address() {
  die "the gateway's service $gateway_namespace/$gateway_service got no address in $timeout s: this cluster has no load balancer" \
    "Give it one (kind: cloud-provider-kind; minikube: minikube tunnel), and run this again with --skip-build.
To look at it without one: kubectl -n $gateway_namespace port-forward service/$gateway_service 8080:80; curl http://localhost:8080/"
}

# A proxy takes over new configuration a moment after it was applied, each on its own: five good rounds in a
# row, each a route that works and an unknown path refused by the filter, not by the route behind it.
gateway_steady() {
  local home unknown
  home=$(answer_of "$gateway_url")
  unknown=$(answer_of "${gateway_url}no-such-route")
  last_seen="/ → $home, /no-such-route → $unknown"
  case "$home $unknown" in
    '200 404 '*faultline*) steady=$((steady + 1)) ;;
    *) steady=0 ;;
  esac
  [ "$steady" -ge 5 ]
}

# answer_of URL: prints the status, and proxy-status where there is one; none if nothing answers. The head of the
# answer is read, since curl prints a header by itself only from 7.84 on.
answer_of() {
  local head
  head=$(curl -s --max-time 5 -o /dev/null -D - ${host:+-H "Host: $host"} "$1" 2>>"$log") || { printf none; return; }
  tr -d '\r' <<<"$head" | awk '/^HTTP\// {code = $2} tolower($1) == "proxy-status:" {$1 = ""; by = $0} END {print code by}'
}

die_not_steady() {
  printf '%s\n' "$last_seen" >>"$log"
  case $last_seen in
    '/ → 200, /no-such-route → 404'*)
      die "the gateway answers, but without the filter: its proxy could not load the module from $image_filter" \
        "Can the cluster reach that registry, and do Istio's proxies trust its certificate (docs/registries.md)? kubectl -n $gateway_namespace logs -l $gateway_selector -c istio-proxy --tail -1 | grep -i wasm" ;;
    '/ → 500'*)
      die "the gateway answers 500: its proxy refuses the module $image_filter" \
        "Why: kubectl -n $gateway_namespace logs -l $gateway_selector -c istio-proxy --tail -1 | grep -i wasm. Until then, without the filter: kubectl -n $gateway_namespace delete wasmplugin faultline-gateway" ;;
    '/ → none'*)
      die "nothing answers at $gateway_url" "Can this machine reach that address? kubectl -n $gateway_namespace get service $gateway_service" ;;
    *)
      die "the gateway at $gateway_url does not answer as it should: $last_seen" \
        "Look at: kubectl -n $gateway_namespace logs -l $gateway_selector --tail 20" ;;
  esac
}

prove() {
  if [ ! -x "$suite" ]; then
    ok "SKIPPED: the acceptance suite is not here${suite:+: $suite}${release:+ (--release FOLDER brings it along)}"
    return
  fi
  local arguments=(prove --quick --gateway-url "$gateway_url" --namespace "$namespace"
    --gateway-namespace "$gateway_namespace" --probe-image "$image_e2e" ${host:+--host "$host"})
  clear_line
  "$suite" "${arguments[@]}" --summary "$scratch/proof" || die "the application is deployed, but not every feature works as it should" \
    "The lines above say which; again, and alone: $suite ${arguments[*]} --only CASE"
  ok "$(cat "$scratch/proof")"
}

next_commands() {
  local named=''
  [ -z "$host" ] || named=" -H 'Host: $host'"
  printf '\nGateway: %s%s%s%s\n\n' "$bold" "$gateway_url" "$reset" "${host:+ (as $host)}"
  printf '  %-52s %s%s%s\n' \
    "curl$named $gateway_url" "$dim" "the application" "$reset" \
    "curl -i$named ${gateway_url}log" "$dim" "504 after one second and three attempts" "$reset" \
    "curl -i$named ${gateway_url}nothing" "$dim" "404 from the filter" "$reset" \
    "./deploy.sh --status" "$dim" "what runs" "$reset" \
    "./deploy.sh --delete" "$dim" "take it all away" "$reset"
}

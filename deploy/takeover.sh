# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# An earlier version ran custom-app as a Deployment, whose outboxes go with its pods. Its pods serve beside the
# StatefulSet's until they have handed over what they hold.

taken_over=''

take_over_deployment() {
  local found pods pod
  found=$(ask -n "$namespace" get deployment custom-app --ignore-not-found -o name)
  [ -n "$found" ] || return 0
  pods=$(ask -n "$namespace" get pods -l app=custom-app,pod-template-hash -o 'jsonpath={.items[*].metadata.name}')
  for pod in $pods; do
    first_seen='' last_seen=''
    until_true "$timeout" outbox_handed_over "$pod" || die_outbox_not_handed_over "$pod"
  done
  # What they accept until they end they hand over while they end: the log agent has just been seen taking it.
  quietly kubectl -n "$namespace" delete deployment custom-app --cascade=foreground --timeout "${timeout}s" ||
    die "the earlier version's Deployment custom-app is not gone after $timeout s" "Look at: kubectl -n $namespace get pods -l app=custom-app"
  taken_over=', the Deployment of an earlier version is gone'
}

# outbox_handed_over POD: its outbox is empty, or all that was in it at the first look has left it since. Under
# load an outbox that works is never empty; the oldest entries leave it first.
outbox_handed_over() {
  local held delivered
  last_seen=$(outbox_of "$1") || { pod_is_gone "$1"; return; }
  first_seen=${first_seen:-$last_seen}
  read -r held delivered <<<"$last_seen"
  [ "$held" = 0 ] || [ "$delivered" -ge $((${first_seen% *} + ${first_seen#* })) ]
}

pod_is_gone() {
  local found
  found=$(kube -n "$namespace" get pod "$1" --ignore-not-found -o name 2>>"$log") && [ -z "$found" ]
}

# outbox_of POD: how many entries it holds, refused ones among them, and how many it has delivered. From the page
# that Istio's agent makes of the app's metrics and the proxy's: the app's own port takes mTLS alone.
outbox_of() {
  kube get --raw "/api/v1/namespaces/$namespace/pods/$1:15020/proxy/stats/prometheus" 2>>"$log" | awk '
    /^custom_app_outbox_entries[{]/ {held += $2; seen = 1}
    /^custom_app_entries_delivered_total / {delivered = $2}
    END {if (!seen) exit 1; printf "%d %d\n", held, delivered}'
}

die_outbox_not_handed_over() {
  local held="${last_seen% *} entries that the log agent has not taken in $timeout s"
  [ -n "$last_seen" ] || held="nobody knows how many entries: its metrics at port 15020 cannot be read"
  die "$1, of an earlier version, holds $held; its Deployment stays, since they would go with it" \
    "Why: kubectl -n $namespace logs $1 -c custom-app --tail 20. Then run this again.
Or give them up: kubectl -n $namespace delete deployment custom-app"
}

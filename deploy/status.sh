# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# --status: what is deployed; exit code 0 when all of it is ready.

status() {
  local workload complete=yes
  : >"$scratch/told"   # a failure is what the lines say
  find_namespace
  find_choice
  find_istio
  find_gateway
  find_lock
  line cluster "$context, Kubernetes $kubernetes_version"
  line Istio "$(istio_in_words)${istio_mark:+ (installed by deploy.sh)}"
  line namespace "$namespace: $(namespace_in_words)"
  [ -z "$lock_holder" ] || line lock "$lock_holder, since $lock_since"
  [ "$namespace_state" = ours ] && [ -n "$istio_namespace" ] || exit 1
  for workload in statefulset/custom-app deployment/log-agent; do show_workload "$workload"; done
  if [ "$gateway" = own ]; then show_workload "deployment/$own_gateway"; fi
  show_earlier_version
  show_idle_claims
  line filter "$(ask -n "$namespace" get wasmplugin custom-app-guard --ignore-not-found -o 'jsonpath={.spec.url}')"
  if [ -n "$gateway_namespace" ] && gateway_has_address; then
    line gateway "http://$gateway_address/  $(curl -s --max-time 5 -o /dev/null ${host:+-H "Host: $host"} -w 'answers %{http_code}' "http://$gateway_address/" || printf 'does not answer')$(choice_in_words)"
  else
    line gateway 'no address'
    complete=no
  fi
  [ "$complete" = yes ] || exit 1
}

# show_workload KIND/NAME
show_workload() {
  local found wanted image ready
  found=$(ask -n "$namespace" get "$1" --ignore-not-found \
    -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image} {.status.readyReplicas}')
  read -r wanted image ready <<<"$found"
  line "${1#*/}" "${wanted:+${ready:-0}/$wanted ready  }${image:-absent}"
  [ -n "$wanted" ] && [ "$ready" = "$wanted" ] || complete=no
}

show_earlier_version() {
  local found
  found=$(ask -n "$namespace" get deployment custom-app --ignore-not-found -o name)
  [ -n "$found" ] || return 0
  line earlier "$found is an earlier version's: the next ./deploy.sh takes it over"
  complete=no
}

# A replica that was scaled away may have left entries in its claim. None but itself can say how many.
show_idle_claims() {
  local set claims pods claim idle=() replicas=0
  set=$(ask -n "$namespace" get statefulset custom-app --ignore-not-found -o name)
  [ -n "$set" ] || return 0
  claims=$(ask -n "$namespace" get persistentvolumeclaims -l app=custom-app -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}')
  pods=$(ask -n "$namespace" get pods -l app=custom-app -o 'jsonpath={range .items[*]}data-{.metadata.name}{"\n"}{end}')
  while read -r claim; do
    if ! [[ $claim =~ ^data-custom-app-[0-9]+$ ]] || grep -qxF "$claim" <<<"$pods"; then continue; fi
    idle+=("$claim")
    if [ "${claim##*-}" -ge "$replicas" ]; then replicas=$((${claim##*-} + 1)); fi
  done <<<"$claims"
  [ ${#idle[@]} -gt 0 ] || return 0
  line outbox "without a replica: ${idle[*]}; entries that wait there are delivered after"
  line '' "kubectl -n $namespace scale statefulset custom-app --replicas=$replicas"
}

line() { printf '%s%-17s%s  %s\n' "$bold" "$1" "$reset" "$2"; }

namespace_in_words() {
  case $namespace_state in
    absent) printf 'not deployed' ;;
    foreign) printf "not Faultline's" ;;
    terminating) printf 'being deleted' ;;
    ours) printf 'deployed' ;;
  esac
}

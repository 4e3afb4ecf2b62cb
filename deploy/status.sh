# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# --status: what is deployed; exit code 0 when all of it is ready.

status() {
  local name found ready wanted image complete=yes
  : >"$scratch/told"   # a failure is what the lines say
  find_namespace
  find_istio
  find_gateway
  find_lock
  line cluster "$context, Kubernetes $kubernetes_version"
  line Istio "$(istio_in_words)${istio_mark:+ (installed by deploy.sh)}"
  line namespace "$namespace: $(namespace_in_words)"
  [ -z "$lock_holder" ] || line lock "$lock_holder, since $lock_since"
  [ "$namespace_state" = ours ] && [ -n "$istio_namespace" ] || exit 1
  for name in custom-app log-agent; do
    found=$(ask -n "$namespace" get deployment "$name" --ignore-not-found \
      -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image} {.status.readyReplicas}')
    read -r wanted image ready <<<"$found"
    line "$name" "${wanted:+${ready:-0}/$wanted ready  }${image:-absent}"
    [ -n "$wanted" ] && [ "$ready" = "$wanted" ] || complete=no
  done
  line filter "$(ask -n "$namespace" get wasmplugin custom-app-guard --ignore-not-found -o 'jsonpath={.spec.url}')"
  if [ -n "$gateway_namespace" ] && gateway_has_address; then
    line gateway "http://$gateway_address/  $(curl -s --max-time 5 -o /dev/null -w 'answers %{http_code}' "http://$gateway_address/" || printf 'does not answer')"
  else
    line gateway 'no address'
    complete=no
  fi
  [ "$complete" = yes ] || exit 1
}

line() { printf '%s%-10s%s  %s\n' "$bold" "$1" "$reset" "$2"; }

namespace_in_words() {
  case $namespace_state in
    absent) printf 'not deployed' ;;
    foreign) printf "not Faultline's" ;;
    terminating) printf 'being deleted' ;;
    ours) printf 'deployed' ;;
  esac
}

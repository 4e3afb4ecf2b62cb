# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # templates are literal; the parts of deploy.sh share their variables
# --image-pull-secret: the login with which the nodes pull images and Istio's proxies pull the filter. It is taken to
# each namespace that needs it: Faultline's own, and the gateway's. A copy is labelled as Faultline's and goes with it;
# a secret of that name that is somebody's is used as it is, and left.

login_template='{{.type}}{{"\n"}}{{with .data}}{{with index . ".dockerconfigjson"}}{{. | base64decode}}{{end}}{{end}}'
copied_template='{{.type}}{{range $key, $value := .data}}{{"\n"}}{{$key}} {{$value}}{{end}}'
whose_template='{{.metadata.name}} {{with .metadata.labels}}{{index . "app.kubernetes.io/part-of"}}/{{index . "app.kubernetes.io/instance"}}{{end}}'

# Sets pull_secret_source: the namespace that has the secret. Dies where none has it, or where it is no login there.
check_pull_secret() {
  [ -n "$pull_secret" ] || return 0
  local place found places host
  places=("$(context_namespace)" "$namespace")
  [ -z "$pull_secret_source" ] || places=("$pull_secret_source")
  host=$(registry_host)
  for place in "${places[@]}"; do need get "$place" secrets; done
  check_needs
  for place in "${places[@]}"; do
    found=$(ask -n "$place" get secret "$pull_secret" --ignore-not-found -o "go-template=$login_template")
    [ -n "$found" ] || continue
    pull_secret_source=$place
    # Istio reads no other kind.
    [ "${found%%$'\n'*}" = kubernetes.io/dockerconfigjson ] ||
      die "the secret $pull_secret in the namespace $place is of the type ${found%%$'\n'*}; it must be kubernetes.io/dockerconfigjson" \
        "Another one, with --image-pull-secret: $(command_for_secret "$place" NAME)"
    # Without a build nobody may have said which registry it is.
    [ -z "$host" ] || grep -qF "$host" <<<"$found" ||
      die "the secret $pull_secret in the namespace $place has no login for $host" \
        "Another one, with --image-pull-secret: $(command_for_secret "$place" NAME)"
    return
  done
  die "there is no secret $pull_secret in the namespace $(join_or "${places[@]}")" \
    "Make it, and run this again: $(command_for_secret "${places[0]}" "$pull_secret")"
}

# command_for_secret NAMESPACE NAME
command_for_secret() {
  local host
  host=$(registry_host)
  [ "$host" != docker.io ] || host=https://index.docker.io/v1/
  printf 'kubectl -n %s create secret docker-registry %s --docker-server=%s --docker-username=USER --docker-password=PASSWORD' \
    "$1" "$2" "${host:-HOST}"
}

join_or() {
  local first=$1
  shift
  printf '%s' "$first"
  [ $# = 0 ] || [ "$1" = "$first" ] || printf ' or %s' "$1"
}

# Where kubectl puts what names no namespace.
context_namespace() {
  local found
  found=$(kubectl config view --minify -o 'jsonpath={.contexts[0].context.namespace}' 2>>"$log") || true
  printf '%s' "${found:-default}"
}

# What one must be allowed to do in NAMESPACE, to take the secret there.
need_pull_secret_in() {
  [ -n "$pull_secret" ] || return 0
  local verb
  for verb in get create patch; do need "$verb" "$1" secrets; done
}

# take_pull_secret_to NAMESPACE: adds a line to $scratch/secrets if anything had to be changed. The secret's content goes
# through pipes, into no file and no list of arguments.
take_pull_secret_to() {
  local whose
  [ -n "$pull_secret" ] && [ "$1" != "$pull_secret_source" ] || return 0
  whose=$(ask -n "$1" get secret "$pull_secret" --ignore-not-found -o "go-template=$whose_template")
  case $whose in
    '') ;;   # there is none
    "$pull_secret faultline/$namespace")
      [ "$(secret_in "$1")" != "$(secret_in "$pull_secret_source")" ] || return 0 ;;
    *) return 0 ;;
  esac
  ask -n "$pull_secret_source" get secret "$pull_secret" -o "go-template=$(copy_template "$1")" |
    kubectl apply --server-side --force-conflicts --field-manager faultline -f - >>"$log" 2>&1 ||
    die "the secret $pull_secret could not be taken to the namespace $1"
  printf '%s\n' "$1" >>"$scratch/secrets"
}

secret_in() { ask -n "$1" get secret "$pull_secret" -o "go-template=$copied_template"; }

# copy_template NAMESPACE: renders a secret as its copy there.
copy_template() {
  printf '%s' 'apiVersion: v1{{"\n"}}kind: Secret{{"\n"}}type: {{.type}}{{"\n"}}' \
    "metadata:{{\"\\n\"}}  name: $pull_secret{{\"\\n\"}}  namespace: $1{{\"\\n\"}}" \
    "  labels: {${part_of%=*}: ${part_of#*=}, app.kubernetes.io/instance: $namespace}{{\"\\n\"}}" \
    'data:{{range $key, $value := .data}}{{"\n"}}  {{$key}}: {{$value}}{{end}}{{"\n"}}'
}

# delete_pull_secret_copies NAMESPACE: fails where there was none.
delete_pull_secret_copies() {
  local found
  if ! found=$(kube -n "$1" get secrets -l "$part_of,app.kubernetes.io/instance=$namespace" -o name 2>>"$log"); then
    found=$(ask get namespace "$namespace" --ignore-not-found -o 'jsonpath={.metadata.annotations.faultline/image-pull-secret}')
    [ -z "$found" ] || die "you may not list secrets in the namespace $1, where a copy of $found may be" \
      "Ask whoever may: kubectl -n $1 delete secrets -l $part_of,app.kubernetes.io/instance=$namespace"
    return 1
  fi
  [ -n "$found" ] || return 1
  # shellcheck disable=SC2086 # a list of names
  quietly kube -n "$1" delete --ignore-not-found $found || die "the copy of the image pull secret in $1 could not be deleted"
}

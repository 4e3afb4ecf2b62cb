# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The command line and the environment become variables, checked here once; nothing is parsed later.

# Each help text is the comment at the head of a file.
usage() {
  case ${modes[0]:-} in
    push-filter) sed -n '2,/^$/s/^# \{0,1\}//p' "$root/deploy/push-filter.sh" ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$root/deploy.sh" ;;
  esac
}

refuse() {
  local command=./deploy.sh
  case ${modes[0]:-} in push-filter) command="$command push-filter" ;; esac
  printf 'deploy.sh: %s\nSee %s --help\n' "$1" "$command" >&2
  exit 2
}

# flag NAME VALUE: true or false, however it was said.
flag() {
  case $2 in
    true|1|yes) printf true ;;
    false|0|no|'') printf false ;;
    *) refuse "$1 is \"$2\"; it must be true or false" ;;
  esac
}

parse() {
  registry=${FAULTLINE_REGISTRY:-}
  insecure=$(flag FAULTLINE_INSECURE_REGISTRY "${FAULTLINE_INSECURE_REGISTRY:-}")
  namespace=${FAULTLINE_NAMESPACE:-faultline}
  istio_config=${FAULTLINE_ISTIO_CONFIG:-}
  gateway=${FAULTLINE_GATEWAY:-}
  host=${FAULTLINE_HOST:-}
  gateway_api=$(flag FAULTLINE_GATEWAY_API "${FAULTLINE_GATEWAY_API:-}")
  istio_revision=${FAULTLINE_ISTIO_REVISION:-}
  timeout=${FAULTLINE_TIMEOUT:-300}
  skip_build=$(flag FAULTLINE_SKIP_BUILD "${FAULTLINE_SKIP_BUILD:-}")
  skip_istio=$(flag FAULTLINE_SKIP_ISTIO "${FAULTLINE_SKIP_ISTIO:-}")
  registry_ca=${FAULTLINE_REGISTRY_CA:-}
  pull_secret=${FAULTLINE_IMAGE_PULL_SECRET:-}
  chosen_architectures=${FAULTLINE_ARCHITECTURES:-}
  builder=${FAULTLINE_BUILD:-rust}
  build_base=${FAULTLINE_BUILD_BASE:-}
  release=${FAULTLINE_RELEASE:-}
  form=${FAULTLINE_AS:-image}
  tag=${FAULTLINE_TAG:-}
  local modes=() given_options=() name
  for name in DRY_RUN STATUS DELETE; do
    local variable=FAULTLINE_$name
    if [ "$(flag "$variable" "${!variable:-}")" = true ]; then modes+=("$(mode_named "$name")"); fi
  done

  while [ $# -gt 0 ]; do
    local option=$1 value='' given=false
    shift
    case $option in
      --*=*) value=${option#*=} option=${option%%=*} given=true ;;
    esac
    case $option in
      --registry|--registry-ca|--image-pull-secret|--architectures|--build|--build-base|\
      --namespace|--istio-config|--timeout|--release|--as|--tag|--gateway|--host|--istio-revision)
        if [ "$given" = false ]; then
          [ $# -gt 0 ] || refuse "$option needs a value"
          value=$1
          shift
        fi
        ;;
      *) [ "$given" = false ] || refuse "$option takes no value" ;;
    esac
    case $option in
      --registry) registry=$value ;;
      --registry-ca) registry_ca=$value ;;
      --image-pull-secret) pull_secret=$value ;;
      --architectures) chosen_architectures=$value ;;
      --build) builder=$value ;;
      --build-base) build_base=$value ;;
      --namespace) namespace=$value ;;
      --istio-config) istio_config=$value ;;
      --timeout) timeout=$value ;;
      --release) release=$value ;;
      --gateway) gateway=$value ;;
      --host) host=$value ;;
      --gateway-api) gateway_api=true ;;
      --istio-revision) istio_revision=$value ;;
      --as) form=$value ;;
      --tag) tag=$value ;;
      --insecure-registry) insecure=true ;;
      --skip-build) skip_build=true ;;
      --skip-istio) skip_istio=true ;;
      --dry-run|--status|--delete) modes+=("${option#--}") ;;
      push-filter) modes+=(push-filter) ;;
      -h|--help) usage; exit 0 ;;
      *) refuse "there is no option $option" ;;
    esac
    given_options+=("$option")
  done

  case ${#modes[@]} in
    0) mode=deploy ;;
    1) mode=${modes[0]} ;;
    *) refuse "$(mode_as_said "${modes[0]}") and $(mode_as_said "${modes[1]}") do not go together" ;;
  esac
  check_options "${given_options[@]+"${given_options[@]}"}"
  check_values
}

# check_options OPTION...: what was asked for has each of them.
check_options() {
  local option
  for option in "$@"; do
    case $mode:$option in
      push-filter:push-filter|push-filter:--registry|push-filter:--insecure-registry|push-filter:--registry-ca|\
      push-filter:--build|push-filter:--build-base|push-filter:--as|push-filter:--tag) ;;
      push-filter:*) refuse "push-filter has no option $option" ;;
      *:--as|*:--tag) refuse "$option is an option of push-filter" ;;
    esac
  done
}

mode_named() { printf '%s' "$1" | tr 'A-Z_' 'a-z-'; }
mode_as_said() { case $1 in push-filter) printf '%s' "$1" ;; *) printf -- '--%s' "$1" ;; esac; }

check_values() {
  registry=${registry%/}
  # Without a dot, a port or "localhost" the first part is a path on Docker Hub to some tools, a host to others.
  if [ -n "$registry" ] && ! [[ $registry =~ ^([a-z0-9-]+(\.[a-z0-9-]+)+|localhost|[a-z0-9-]+:[0-9]+|\[[0-9a-f:]+\])(:[0-9]+)?(/[a-z0-9._-]+)*$ ]]; then
    refuse "the registry \"$registry\" is not of the form HOST[:PORT][/PATH], for example registry.example.com/team"
  fi
  check_build_options
  check_release_option
  case $form in image|artifact) ;; *) refuse "--as is \"$form\"; it must be image or artifact" ;; esac
  [[ $tag =~ ^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$ ]] ||
    refuse "the tag \"$tag\" must be letters, digits, dots, dashes and underscores, 128 at most"
  [[ $namespace =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]] ||
    refuse "the namespace \"$namespace\" must be lower-case letters, digits and dashes, 63 at most"
  case $namespace in
    default|kube-*|istio-system) refuse "the namespace $namespace belongs to the cluster; Faultline needs one of its own, which --delete may remove" ;;
  esac
  check_choice
  [[ $timeout =~ ^([1-9][0-9]{0,4})s?$ ]] || refuse "the timeout \"$timeout\" must be a number of seconds, 1 to 99999"
  timeout=${timeout%s}
  check_file istio_config "the Istio configuration"
}

# check_file VARIABLE WHAT: the file that it names, if any, can be read. From then on it is named from the root.
check_file() {
  local file=${!1}
  [ -n "$file" ] || return 0
  if [ ! -f "$file" ] || [ ! -r "$file" ]; then refuse "$2 $file cannot be read"; fi
  case $file in /*) ;; *) printf -v "$1" '%s' "$PWD/$file" ;; esac
}

# What decides how images are built, and how they are pulled.
check_build_options() {
  local architecture
  case $builder in
    rust|container|docker|podman|buildah) ;;
    *) refuse "--build is \"$builder\"; it must be rust, container, docker, podman or buildah" ;;
  esac
  read -r -a architectures <<<"${chosen_architectures//,/ }"
  for architecture in "${architectures[@]+"${architectures[@]}"}"; do
    [ -n "$(triple_of "$architecture")" ] || refuse "--architectures has \"$architecture\"; it may have amd64 and arm64"
  done
  [[ $pull_secret =~ ^(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)/)?([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$ ]] ||
    refuse "the secret \"$pull_secret\" is not of the form NAME or NAMESPACE/NAME"
  pull_secret_source=${BASH_REMATCH[2]} pull_secret=${BASH_REMATCH[4]}
  [ -n "$pull_secret" ] || [ -z "$pull_secret_source" ] || refuse "the secret \"$pull_secret_source/\" lacks its name"
  check_file registry_ca "the certificates"
}

check_choice() {
  local name='[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
  [[ $gateway =~ ^(own|$name/$name)?$ ]] ||
    refuse "the gateway \"$gateway\" must be own, or NAMESPACE/SERVICE of one that is there"
  case $gateway_api:$gateway in
    true:*/*) refuse "--gateway-api goes with --gateway own alone: Istio takes a Gateway of the Gateway API for a Service of its own namespace only" ;;
  esac
  [ "$host" = '*' ] || [ -z "$host" ] || { [ ${#host} -le 253 ] && [[ $host =~ ^$name(\.$name)+$ ]]; } ||
    refuse "the host \"$host\" must be a host name in lower-case letters, without a port, for example faultline.example.com"
  [[ $istio_revision =~ ^($name)?$ ]] || refuse "the revision \"$istio_revision\" must be lower-case letters, digits and dashes, 63 at most"
}

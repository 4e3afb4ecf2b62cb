# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The command line and the environment become variables, checked here once; nothing is parsed later.

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$root/deploy.sh"; }

refuse() {
  printf 'deploy.sh: %s\nSee ./deploy.sh --help\n' "$1" >&2
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
  timeout=${FAULTLINE_TIMEOUT:-300}
  skip_build=$(flag FAULTLINE_SKIP_BUILD "${FAULTLINE_SKIP_BUILD:-}")
  skip_istio=$(flag FAULTLINE_SKIP_ISTIO "${FAULTLINE_SKIP_ISTIO:-}")
  local modes=() name
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
      --registry|--namespace|--istio-config|--timeout)
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
      --namespace) namespace=$value ;;
      --istio-config) istio_config=$value ;;
      --timeout) timeout=$value ;;
      --insecure-registry) insecure=true ;;
      --skip-build) skip_build=true ;;
      --skip-istio) skip_istio=true ;;
      --dry-run|--status|--delete) modes+=("${option#--}") ;;
      -h|--help) usage; exit 0 ;;
      *) refuse "there is no option $option" ;;
    esac
  done

  case ${#modes[@]} in
    0) mode=deploy ;;
    1) mode=${modes[0]} ;;
    *) refuse "--${modes[0]} and --${modes[1]} do not go together" ;;
  esac
  check_values
}

mode_named() { printf '%s' "$1" | tr 'A-Z_' 'a-z-'; }

check_values() {
  registry=${registry%/}
  # Without a dot, a port or "localhost" the first part is a path on Docker Hub to some tools, a host to others.
  if [ -n "$registry" ] && ! [[ $registry =~ ^([a-z0-9-]+(\.[a-z0-9-]+)+|localhost|[a-z0-9-]+:[0-9]+|\[[0-9a-f:]+\])(:[0-9]+)?(/[a-z0-9._-]+)*$ ]]; then
    refuse "the registry \"$registry\" is not of the form HOST[:PORT][/PATH], for example registry.example.com/team"
  fi
  [[ $namespace =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]] ||
    refuse "the namespace \"$namespace\" must be lower-case letters, digits and dashes, 63 at most"
  case $namespace in
    default|kube-*|istio-system) refuse "the namespace $namespace belongs to the cluster; Faultline needs one of its own, which --delete may remove" ;;
  esac
  [[ $timeout =~ ^([1-9][0-9]{0,4})s?$ ]] || refuse "the timeout \"$timeout\" must be a number of seconds, 1 to 99999"
  timeout=${timeout%s}
  if [ -n "$istio_config" ] && { [ ! -f "$istio_config" ] || [ ! -r "$istio_config" ]; }; then
    refuse "the Istio configuration $istio_config cannot be read"
  fi
  case $istio_config in ''|/*) ;; *) istio_config=$PWD/$istio_config ;; esac
}

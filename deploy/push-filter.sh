# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# Publishes the filter alone, for a mesh of your own, and prints the WasmPlugin that runs it.
#
# Usage: ./deploy.sh push-filter --registry HOST[:PORT][/PATH] [OPTION]... >wasmplugin.yaml
#
# Builds the filter, pushes it as REGISTRY/faultline/filter, and prints a WasmPlugin that is pinned to the
# pushed digest. Only that is on standard output; how it goes is told on standard error. Needs no cluster.
#
#   --registry HOST[:PORT][/PATH]   where the filter is pushed, and where the mesh pulls it from
#   --insecure-registry             the registry speaks plain HTTP, or has a certificate nobody knows
#   --registry-ca FILE              certificates of the registry's authority, as for deploy.sh
#   --as image|artifact             image (the default): an image that holds /plugin.wasm and nothing else. artifact:
#                                   the module as it is, beside what says that it is for Envoy
#   --tag TAG                       a tag for it (default: one that is made from the content)
#   --build rust|container          where it is built, as for deploy.sh; --build-base likewise
#   --help                          this text
#
# The WasmPlugin is an example: Istio's ingress gateway, two routes, and what no route takes is counted, not refused.
# Put your routes into it, then `fallback: enforce`.
#
# Each option is also read from the environment: FAULTLINE_REGISTRY, FAULTLINE_AS=artifact, and so on.
# Exit codes: 0 done, 1 failed (a sentence says why, and what to do next), 2 wrong usage.

push_filter() {
  exec 3>&1 >&2   # what is on standard output can be applied
  open_console
  steps=3
  step Check; preflight_push_filter
  step Build; compile_all; ok "filter $(size_of filter/plugin.wasm)"
  step Push;  push_form
  wasmplugin >&3
}

preflight_push_filter() {
  requirements
  check_registry
  ok "$registry answers"
}

# Sets image_filter, as REPOSITORY@sha256:….
push_form() {
  case $form in
    image) push_images "filter=module:$(built filter/plugin.wasm)" ;;
    artifact) push_images "filter=artifact:$(built filter/plugin.wasm)" ;;
  esac
  if [ -e "$scratch/pushed" ]; then ok "$image_filter"; else ok "$image_filter, there already"; fi
}

wasmplugin() {
  cat <<EOF
# Faultline's filter at Istio's ingress gateway.
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: faultline
  namespace: istio-system     # the gateway's, or Istio's root namespace
spec:
  selector:
    matchLabels:
      istio: ingressgateway
  url: oci://$image_filter
  # imagePullSecret: NAME     # in the same namespace, where the registry asks for a login
  phase: AUTHN
  failStrategy: FAIL_OPEN     # a module that cannot be pulled stops no traffic
  pluginConfig:
    routes:
      - path: /
        methods: [GET]
      - prefix: /api/
        observe: api          # outcomes counted, answers annotated
    fallback: observe         # enforce: a path that no route takes gets 404, a method 405
EOF
}

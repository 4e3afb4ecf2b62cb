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
#   --as image|artifact             image (the default): an image that holds /plugin.wasm and nothing else; needs
#                                   buildah, podman or docker. artifact: the module as it is, beside what says that
#                                   it is for Envoy; needs skopeo, which knows the logins of all three
#   --tag TAG                       a tag for it (default: one that is made from the content)
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
  step Build; build_filter; ok "filter $(size_of filter/plugin.wasm)"
  step Push;  push_form
  wasmplugin >&3
}

preflight_push_filter() {
  requirements
  check_registry
  ok "$registry answers, $container_tool pushes"
}

# Sets image_filter, as REPOSITORY@sha256:….
push_form() {
  case $form in
    image) image_filter=$(image filter filter/plugin.wasm deploy/filter.Containerfile "$tag") ;;
    artifact) image_filter=$(artifact "$tag") ;;
  esac
  if [ -e "$scratch/pushed" ]; then ok "$image_filter"; else ok "$image_filter, there already"; fi
}

# artifact [TAG]: as `image`, but the digest is known before anything is pushed.
artifact() {
  local repository=$registry/faultline/filter layout=$scratch/artifact digest tag=${1:-} plain=()
  digest=$(lay_out_artifact "$layout" "$(built filter/plugin.wasm)")
  [ -n "$tag" ] || tag=$(cut -c 8-23 <<<"$digest")
  if [ "$(registry_digest filter "$tag")" != "$digest" ]; then
    [ "$insecure" = false ] || plain=(--dest-tls-verify=false)
    # The policy is about whose images may be copied; this one was made here.
    quietly skopeo copy --insecure-policy --quiet --preserve-digests "${plain[@]+"${plain[@]}"}" \
      "oci:$layout" "docker://$repository:$tag" ||
      die "the artifact filter could not be pushed to $registry" "$(push_advice)"
    echo filter >>"$scratch/pushed"
  fi
  printf '%s@%s' "$repository" "$digest"
}

# lay_out_artifact FOLDER MODULE: an OCI layout with the module as Istio takes it from an artifact: two layers, of
# which one has the module's media type. The other says what the module is for (the WASM artifact image
# specification); the manifest's own config is the same blob. Prints the manifest's digest.
lay_out_artifact() {
  local layout=$1 runtime module type=application/vnd.oci.image.manifest.v1+json
  mkdir -p "$layout/blobs/sha256"
  cp "$2" "$layout/plugin.wasm"
  printf '{"type":"envoy_proxy","abiVersions":["0.2.1"],"config":{"root_ids":[]}}' >"$layout/runtime-config.json"
  runtime=$(blob "$layout" runtime-config.json application/vnd.module.wasm.config.v1+json)
  module=$(blob "$layout" plugin.wasm application/vnd.module.wasm.content.layer.v1+wasm)
  printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s,%s]}' \
    "$type" "$runtime" "$runtime" "$module" >"$layout/manifest.json"
  printf 'sha256:%s' "$(sha256_of <"$layout/manifest.json")"
  printf '{"schemaVersion":2,"manifests":[%s]}' "$(blob "$layout" manifest.json "$type")" >"$layout/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
}

# blob LAYOUT NAME MEDIA_TYPE: names a file of the layout by its content; prints its descriptor.
blob() {
  local sum size
  sum=$(sha256_of <"$1/$2")
  size=$(($(wc -c <"$1/$2")))
  mv "$1/$2" "$1/blobs/sha256/$sum"
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%d,"annotations":{"org.opencontainers.image.title":"%s"}}' \
    "$3" "$sum" "$size" "$2"
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

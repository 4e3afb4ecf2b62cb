# shellcheck shell=bash disable=SC2154  # the parts of deploy.sh share their variables
# The digests of a release, as a component of kustomize.

# write_component: of image_custom_app, image_log_agent, image_filter and image_e2e, each REPOSITORY@sha256:…
write_component() {
  cat <<YAML
# The images of a release, each by its digest (deploy/release.sh). An overlay takes this folder as it is, as a component.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
  - name: custom-app
    newName: "${image_custom_app%@*}"
    digest: "${image_custom_app#*@}"
  - name: log-agent
    newName: "${image_log_agent%@*}"
    digest: "${image_log_agent#*@}"
patches:
  - target: {kind: WasmPlugin}
    patch: |-
      - op: replace
        path: /spec/url
        value: "oci://$image_filter"
      - op: add
        path: /spec/sha256
        value: "${image_filter#*@sha256:}"
  - target: {kind: Namespace}
    patch: |-
      - op: add
        path: /metadata/annotations
        value:
          faultline/probe-image: "$image_e2e"
  # The port of the registry, from which Istio's agent fetches the filter.
  - target: {kind: NetworkPolicy, name: proxies}
    patch: |-
      - op: replace
        path: /spec/egress/2/ports
        value: [{port: 443}$(registry_ports)]
YAML
}

# shellcheck shell=bash
# The digests of a release, as a component of kustomize.

# write_component CUSTOM_APP LOG_AGENT FILTER E2E: each is REPOSITORY@sha256:…
write_component() {
  cat <<YAML
# The images of a release, each by its digest (deploy/release.sh). An overlay takes this folder as it is, as a component.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
  - name: custom-app
    newName: "${1%@*}"
    digest: "${1#*@}"
  - name: log-agent
    newName: "${2%@*}"
    digest: "${2#*@}"
patches:
  - target: {kind: WasmPlugin}
    patch: |-
      - op: replace
        path: /spec/url
        value: "oci://$3"
      - op: add
        path: /spec/sha256
        value: "${3#*@sha256:}"
  - target: {kind: Namespace}
    patch: |-
      - op: add
        path: /metadata/annotations
        value:
          faultline/probe-image: "$4"
YAML
}

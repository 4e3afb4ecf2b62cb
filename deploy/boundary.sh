# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# What networkpolicy.yaml and sidecar.yaml cannot know: where Istio and the gateway are, the cluster's domain, the
# registry's port, and the services to which Istio's own configuration makes every proxy send.

# Sets cluster_domain and mesh_hosts: the services of the mesh's extensionProviders (traces, access logs), a line each,
# as NAMESPACE/NAME. Istio adds them to no Sidecar by itself, and a proxy that shall send traces to a service that its
# Sidecar does not name refuses its listeners: "unknown cluster".
find_boundary() {
  local arguments configurations
  cluster_domain=cluster.local mesh_hosts=''
  [ -n "$istio_namespace" ] || return 0
  arguments=$(ask -n "$istio_namespace" get deployments -l app=istiod -o 'jsonpath={.items[*].spec.template.spec.containers[*].args}')
  if [[ $arguments =~ \"--domain(\",\"|=)([^\"]+)\" ]]; then cluster_domain=${BASH_REMATCH[2]}; fi
  configurations=$(ask -n "$istio_namespace" get configmaps -o 'jsonpath={range .items[*]}{.data.mesh}{"\n"}{end}')
  mesh_hosts=$(provider_hosts <<<"$configurations")
}

# provider_hosts: from Istio's mesh configuration to the services it names, NAMESPACE/NAME or, of any namespace, */NAME.
provider_hosts() {
  sed -n "s/^ *service: *[\"']\{0,1\}\([^\"' #]\{1,\}\).*/\1/p" | sed 's|^[^/]*$|*/&|' | sort -u
}

# boundary_patches NAMESPACE: the part of the overlay that is about them.
boundary_patches() {
  local host hosts='' place home=$gateway_namespace
  [ "$gateway" != own ] || home=$1
  while read -r host; do hosts+=${host:+", \"$host\""}; done <<<"$mesh_hosts"
  cat <<YAML
  - target: {kind: Sidecar, name: custom-app}
    patch: |-
      - {op: replace, path: /spec/egress/0/hosts, value: ["./log-agent-service.$1.svc.$cluster_domain"$hosts]}
YAML
  [ -z "$hosts" ] || cat <<YAML
  - target: {kind: Sidecar, name: log-agent}
    patch: |-
      - {op: replace, path: /spec/egress/0/hosts, value: [${hosts#, }]}
YAML
  cat <<YAML
  - target: {kind: NetworkPolicy, name: custom-app}
    patch: |-
      - op: replace
        path: /spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name
        value: $home
      - {op: replace, path: /spec/ingress/0/from/0/podSelector/matchLabels, value: $(labels_as_yaml "$gateway_selector")}
  - target: {kind: NetworkPolicy, name: proxies}
    patch: |-
$(istiod_rule)
      - {op: replace, path: /spec/egress/2/ports, value: [{port: 443}$(registry_ports)]}
YAML
  while read -r place; do
    [ -z "$place" ] || printf '      - {op: add, path: /spec/egress/-, value: {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}}]}}\n' "$place"
  done < <(provider_namespaces <<<"$mesh_hosts")
}

# A control plane that runs elsewhere has no pod to name.
istiod_rule() {
  if [ "$istio_version" = unknown ]; then
    printf '      - {op: remove, path: /spec/egress/1/to}'
  else
    printf '      - {op: replace, path: /spec/egress/1/to/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name, value: %s}' \
      "${istio_namespace:-istio-system}"
  fi
}

# Beside 443, where a registry's own logins and storage often are.
registry_ports() {
  local host=${image_filter%%/*}
  if [[ $host =~ :([0-9]+)$ ]]; then
    [ "${BASH_REMATCH[1]}" = 443 ] || printf ', {port: %s}' "${BASH_REMATCH[1]}"
  elif [ "${insecure:-false}" = true ]; then
    printf ', {port: 80}'
  fi
}

# provider_namespaces: of NAMESPACE/NAME the namespace; of */NAME.NAMESPACE.svc.DOMAIN that of the name. A host outside
# of the cluster has none: its rule is its user's to write.
provider_namespaces() {
  sed -n -e 's|^\([^*/]\{1,\}\)/.*|\1|p' -e 's|^\*/[^./]*\.\([^./]*\)\.svc\..*|\1|p' | sort -u
}

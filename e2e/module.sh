#!/usr/bin/env bash
# An image with the filter's dynamic module and cp, for the case that runs its example: made as filter/README.md says,
# on the image of the proxies of e2e/cluster, which is up and has no other with cp. Prints what pins it.
# Exit codes: 0 done, 1 failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

registry=${FAULTLINE_REGISTRY:?eval "$(e2e/cluster/cluster.sh env)"}
image=$registry/faultline/dynamic-module
case $(uname -m) in
  aarch64|arm64) architecture=arm64 ;;
  *) architecture=amd64 ;;
esac
filter/module/build.sh "$architecture" >&2

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# A storage of its own, so that the user's stays as it is.
own_buildah() {
  BUILDAH_ISOLATION=chroot TMPDIR=$folder buildah --root "$folder/storage" --runroot "$folder/run" --storage-driver vfs "$@"
}
own_buildah build --quiet --tls-verify=false --build-arg BASE="$registry/istio/proxyv2:1.31" --build-arg TARGETARCH="$architecture" \
  --tag "$image" --file filter/module/Containerfile target/filter/module >&2
own_buildah push --quiet --tls-verify=false --digestfile "$folder/digest" "$image" "docker://$image" >&2
printf '%s@%s\n' "$image" "$(cat "$folder/digest")"

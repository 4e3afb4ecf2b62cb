#!/usr/bin/env bash
# Makes a release of what is in this folder: pushes its images, and writes all that is published beside them.
#
# Usage: deploy/release.sh --registry HOST[:PORT][/PATH] [OPTION]...
#
#   --registry HOST[:PORT][/PATH]   where the images are pushed, tagged vVERSION, and where clusters pull them from
#   --insecure-registry             the registry speaks plain HTTP, or has a certificate nobody knows
#   --registry-ca FILE              certificates of the registry's authority, as for deploy.sh
#   --version VERSION               default: that of Cargo.toml, which it must be, or a pre-release of it (1.2.3-rc.1)
#   --out FOLDER                    where the files go (default: target/release-VERSION); an earlier one's are replaced
#   --help                          this text
#
# The files:
#   install.yaml                    everything, for kubectl alone; every image by its digest
#   kustomization.yaml              the digests as a component of kustomize, for an overlay (examples/overlay)
#   prune-allowlist.txt             the kinds that an upgrade with kubectl may take away (docs/gitops.md)
#   images.txt                      a line for each image: its name and REPOSITORY@DIGEST; deploy.sh --release reads it
#   plugin.wasm                     the filter, as it is in the image and in the artifact
#   libfaultline-linux-ARCH.so      the filter as a dynamic module of Envoy, for amd64 and arm64
#   faultline-e2e-linux-ARCH        the acceptance suite, for amd64 and arm64
#   PROGRAM.cdx.json                the crates that are in each of these programs: a CycloneDX document
#   SHA256SUMS                      of all of them
#
# Equal sources give equal files and equal digests. Needs what deploy.sh needs to build with Rust, and kubectl.
# Exit codes: 0 done, 1 failed (a sentence says why, and what to do next), 2 wrong usage.
# shellcheck disable=SC2034,SC2154  # the parts of deploy.sh share their variables
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script_name=release.sh
for part in console tools platforms rust requirements registry container images released boundary component; do
  # shellcheck source=/dev/null
  . "$root/deploy/$part.sh"
done
# shellcheck source=cyclonedx.sh
. "$root/deploy/cyclonedx.sh"

mode=release builder=rust pull_secret='' release='' build_base='' architectures=(amd64 arm64)
registry=${FAULTLINE_REGISTRY:-} registry_ca=${FAULTLINE_REGISTRY_CA:-} insecure=${FAULTLINE_INSECURE_REGISTRY:-false}
version='' out=''

usage() { sed -n '2,/^# shellcheck/{/^# shellcheck/d;s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }
refuse() { printf 'release.sh: %s\nSee deploy/release.sh --help\n' "$1" >&2; exit 2; }
unlock() { :; }   # it takes no lock: no cluster takes part

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --registry|--registry-ca|--version|--out) [ $# -gt 1 ] || refuse "$1 needs a value" ;;
    esac
    case $1 in
      --registry) registry=${2%/}; shift ;;
      --registry-ca) registry_ca=$2; shift ;;
      --version) version=${2#v}; shift ;;
      --out) out=$2; shift ;;
      --insecure-registry) insecure=true ;;
      -h|--help) usage; exit 0 ;;
      *) refuse "there is no option $1" ;;
    esac
    shift
  done
  [ -n "$registry" ] || refuse "no registry is named: --registry HOST[:PORT][/PATH]"
  check_version
  out=${out:-$root/target/release-$version}
  case $out in /*) ;; *) out=$PWD/$out ;; esac
  [ ! -d "$out" ] || [ -z "$(ls -A "$out")" ] || [ -f "$out/images.txt" ] ||
    refuse "the folder $out holds other things than a release"
}

# Each program tells the version of Cargo.toml; a release must not say another.
check_version() {
  local of_sources
  of_sources=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  version=${version:-$of_sources}
  case $version in
    "$of_sources"|"$of_sources"-*) ;;
    *) refuse "the version is $version, and the sources are $of_sources (Cargo.toml)" ;;
  esac
  [[ $version =~ ^[0-9A-Za-z.-]{1,64}$ ]] || refuse "the version \"$version\" must be letters, digits, dots and dashes"
}

main() {
  parse "$@"
  cd "$root"
  open_console
  steps=4
  step Check; preflight
  step Build; compile_release
  step Push;  push_release
  step Write; write_release
}

preflight() {
  requirements
  find_registry || die "the registry $(registry_host) does not answer" \
    "Is the name right, and does it run? Its certificate: --registry-ca FILE, or --insecure-registry"
  [ -z "$(git status --porcelain)" ] || warn "the sources are not those of a commit: git status"
  ok "$registry answers; version $version"
}

compile_release() {
  # Built in the place where both builds look for it.
  compile_all "${architectures[@]}"
  quietly "$root/filter/module/build.sh" "${architectures[@]}" || die "the dynamic module did not compile"
  bring_cyclonedx
  ok "$(described amd64), for $(paste -sd' ' - <<<"${architectures[*]}"), filter $(size_of filter/plugin.wasm)"
}

push_release() {
  tag=v$version
  push_images --keep "$(image_of_program custom-app custom-app)" "$(image_of_program log-agent log-agent)" \
    "$(image_of_program e2e faultline-e2e)" "filter=module:$(built filter/plugin.wasm)" \
    "filter-artifact=artifact:$(built filter/plugin.wasm)"
  if [ -e "$scratch/pushed" ]; then
    ok "to $registry, as $tag: $(paste -sd' ' "$scratch/pushed")"
  else
    ok "$registry has $tag already, with these digests"
  fi
}

# Written beside and moved, so that there is never half a release.
write_release() {
  local files=$scratch/files architecture
  mkdir -p "$files"
  write_component >"$files/kustomization.yaml"
  render_install "$files"
  printf '%s %s\n' custom-app "$image_custom_app" log-agent "$image_log_agent" e2e "$image_e2e" filter "$image_filter" \
    filter-artifact "$image_filter_artifact" >"$files/images.txt"
  cp "$(built filter/plugin.wasm)" "$root/deploy/prune-allowlist.txt" "$files"
  for architecture in "${architectures[@]}"; do
    cp "$(built "filter/module/$architecture/libfaultline.so")" "$files/libfaultline-linux-$architecture.so"
    cp "$(built "$(triple_of "$architecture")/release/faultline-e2e")" "$files/faultline-e2e-linux-$architecture"
  done
  write_boms "$files"
  write_sums "$files"
  chmod 644 "$files"/*
  chmod 755 "$files"/faultline-e2e-linux-* "$files"/libfaultline-linux-*
  mkdir -p "${out%/*}"
  rm -rf "$out"
  mv "$files" "$out"
  ok "$(find "$out" -type f | wc -l | tr -d ' ') files in $out"
}

# write_sums FOLDER
write_sums() {
  local file sum
  for file in "$1"/*; do
    sum=$(sum_of "$file")
    printf '%s  %s\n' "$sum" "${file##*/}"
  done >"$scratch/sums"
  mv "$scratch/sums" "$1/SHA256SUMS"
}

# render_install FOLDER: the overlay of examples/, with this release's digests in place of its own.
render_install() {
  local overlay=$scratch/overlay
  mkdir -p "$overlay/release"
  cp "$1/kustomization.yaml" "$overlay/release/"
  # As far below the repository as $scratch is: kustomize takes a base by a relative path alone.
  sed 's|^resources: \[../../istio\]$|resources: [../../../../istio]|' "$root/examples/overlay/kustomization.yaml" >"$overlay/kustomization.yaml"
  {
    printf '# Faultline %s, for a cluster with Istio and its ingress gateway: kubectl apply -f install.yaml\n' "$version"
    kubectl kustomize "$overlay" 2>>"$log"
  } >"$1/install.yaml" || die "kustomize could not render examples/overlay"
}

main "$@"

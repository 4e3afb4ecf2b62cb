# shellcheck shell=bash disable=SC2154  # the parts of deploy.sh share their variables
# What each shipped program is made of: documents of CycloneDX, by cargo-cyclonedx.

cyclonedx_version=0.5.9
cyclonedx_home=${XDG_CACHE_HOME:-$HOME/.cache}/faultline/tools

bring_cyclonedx() {
  ! grep -qs "\"cargo-cyclonedx $cyclonedx_version " "$cyclonedx_home/.crates.toml" || return 0
  note "compiling cargo-cyclonedx $cyclonedx_version, once"
  quietly cargo install -q --locked --root "$cyclonedx_home" cargo-cyclonedx --version "$cyclonedx_version" ||
    die "cargo-cyclonedx $cyclonedx_version could not be compiled"
}

# write_boms FOLDER: one for each program and architecture, named as the program's own file is.
write_boms() {
  local tree=$scratch/tree architecture package
  mkdir -p "$tree"
  # In a copy, since it writes beside each Cargo.toml.
  git -C "$root" ls-files -z | (cd "$root" && tar --null -T - -cf -) | tar -xf - -C "$tree"
  for architecture in "${architectures[@]}"; do
    # Compiled in one run (compile.sh), which unites the features of what they share.
    list_crates "$(triple_of "$architecture")" custom-app log-agent faultline-e2e
    for package in custom-app log-agent faultline-e2e; do
      write_bom "$package" "${package#faultline-}" "$1/$package-linux-$architecture.cdx.json"
    done
    list_crates "$(triple_of "$architecture" | sed 's/musl$/gnu/')" faultline-filter-module
    write_bom faultline-filter-module filter/module "$1/libfaultline-linux-$architecture.cdx.json"
  done
  list_crates wasm32-unknown-unknown faultline-filter
  write_bom faultline-filter filter "$1/plugin.cdx.json"
}

# list_crates TARGET PACKAGE...: writes cargo-cyclonedx's documents below $tree, and what Cargo compiles into each of
# these packages to $scratch/crates.
list_crates() {
  local target=$1 package options=(--locked)
  shift
  for package in "$@"; do options+=(--package "$package"); done
  # The time in a document is the commit's.
  SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) PATH=$cyclonedx_home/bin:$PATH \
    quietly cargo cyclonedx --quiet --manifest-path "$tree/Cargo.toml" --format json --spec-version 1.5 \
    --target "$target" --no-build-deps --override-filename faultline-bom ||
    die "cargo-cyclonedx could not list what the programs are made of"
  cargo tree --manifest-path "$tree/Cargo.toml" "${options[@]}" --edges normal --target "$target" \
    --prefix none --no-dedupe --format '{p}' >"$scratch/crates" 2>>"$log" || die "cargo could not list the crates of $*"
}

# write_bom PACKAGE FOLDER FILE: the package's document, with what is compiled into it alone: cargo-cyclonedx also names
# optional crates of the workspace that no feature turns on. No path of this machine is left.
write_bom() {
  awk -v package="$1" 'BEGIN {RS = ""; FS = " "} $1 == package' "$scratch/crates" >"$scratch/crates-of"
  python3 - "$scratch/crates-of" "$tree/$2/faultline-bom.json" "$tree" >"$3" 2>>"$log" <<'PYTHON' ||
import json, sys

crates, document, tree = sys.argv[1:]
compiled = {tuple(line.split()[:2]) for line in open(crates)}
bom = json.loads(open(document).read().replace(tree, "."))
bom["components"] = [each for each in bom["components"] if (each["name"], "v" + each["version"]) in compiled]
known = {each["bom-ref"] for each in [bom["metadata"]["component"], *bom["components"]]}
bom["dependencies"] = [each for each in bom["dependencies"] if each["ref"] in known]
for each in bom["dependencies"]:
    each["dependsOn"] = [ref for ref in each.get("dependsOn", []) if ref in known]
assert len(known) == len(compiled), "a crate is compiled and not named"
json.dump(bom, sys.stdout, indent=1)
PYTHON
    die "there is no list of the crates in $1"
  ! grep -qF "${HOME:-/nowhere}" "$3" || die "a path of this machine is in ${3##*/}"
}

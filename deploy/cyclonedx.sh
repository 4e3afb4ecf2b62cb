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

# write_boms FOLDER: one for each program and architecture, as the program's own file is named.
write_boms() {
  local tree=$scratch/tree architecture
  mkdir -p "$tree"
  # In a copy, since it writes beside each Cargo.toml.
  git -C "$root" ls-files -z | (cd "$root" && tar --null -T - -cf -) | tar -xf - -C "$tree"
  for architecture in "${architectures[@]}"; do
    list_crates "$tree" "$(triple_of "$architecture")"
    take_bom "$tree/custom-app" "$1/custom-app-linux-$architecture"
    take_bom "$tree/log-agent" "$1/log-agent-linux-$architecture"
    take_bom "$tree/e2e" "$1/faultline-e2e-linux-$architecture"
    list_crates "$tree" "$(triple_of "$architecture" | sed 's/musl$/gnu/')"
    take_bom "$tree/filter/module" "$1/libfaultline-linux-$architecture"
  done
  list_crates "$tree" wasm32-unknown-unknown
  take_bom "$tree/filter" "$1/plugin"
}

# list_crates TREE TARGET: what is compiled into each package for that target. The time is the commit's.
list_crates() {
  SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) PATH=$cyclonedx_home/bin:$PATH \
    quietly cargo cyclonedx --quiet --manifest-path "$1/Cargo.toml" --format json --spec-version 1.5 --target "$2" \
    --no-build-deps --override-filename faultline-bom || die "cargo-cyclonedx could not list what the programs are made of"
}

# take_bom PACKAGE FILE: its list, without a path of this machine.
take_bom() {
  sed "s|$tree|.|g" "$1/faultline-bom.json" >"$2.cdx.json" || die "there is no list for ${1##*/}"
  ! grep -qF "${HOME:-/nowhere}" "$2.cdx.json" || die "a path of this machine is in ${2##*/}.cdx.json"
}

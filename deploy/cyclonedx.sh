# shellcheck shell=bash disable=SC2154  # the parts of deploy.sh share their variables
# What each shipped program is made of: documents of CycloneDX, by cargo-cyclonedx.

cyclonedx_version=0.5.9
cyclonedx_home=${XDG_CACHE_HOME:-$HOME/.cache}/faultline/tools

# The packages of the workspace that are shipped, and the folder of each.
shipped='custom-app:custom-app log-agent:log-agent faultline-e2e:e2e plugin:filter libfaultline:filter/module'

bring_cyclonedx() {
  ! grep -qs "\"cargo-cyclonedx $cyclonedx_version " "$cyclonedx_home/.crates.toml" || return 0
  note "compiling cargo-cyclonedx $cyclonedx_version, once"
  quietly cargo install -q --locked --root "$cyclonedx_home" cargo-cyclonedx --version "$cyclonedx_version" ||
    die "cargo-cyclonedx $cyclonedx_version could not be compiled"
}

# write_boms FOLDER. Nothing of this machine is in them: the time is the commit's, and no path is left.
write_boms() {
  local tree=$scratch/tree part name where
  mkdir -p "$tree"
  # In a copy, since it writes beside each Cargo.toml.
  git -C "$root" ls-files -z | (cd "$root" && tar --null -T - -cf -) | tar -xf - -C "$tree"
  SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) PATH=$cyclonedx_home/bin:$PATH \
    quietly cargo cyclonedx --quiet --manifest-path "$tree/Cargo.toml" --format json --spec-version 1.5 --target all \
    --override-filename faultline-bom || die "cargo-cyclonedx could not list what the programs are made of"
  for part in $shipped; do
    name=${part%%:*} where=${part#*:}
    sed "s|$tree|.|g" "$tree/$where/faultline-bom.json" >"$1/$name.cdx.json" || die "there is no list for $name"
    ! grep -qF "${HOME:-/nowhere}" "$1/$name.cdx.json" || die "a path of this machine is in $name.cdx.json"
  done
}

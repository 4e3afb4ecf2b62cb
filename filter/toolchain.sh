# shellcheck shell=bash
# What every build of the repository shares, the filter's and the services': a linker for every architecture, and bytes
# that do not tell where they were made. A script that includes it sets root and target, and is in the folder root.

# Zig brings a linker and a C compiler for every architecture, and the symbols of every glibc; cargo-zigbuild has Cargo
# use them.
readonly ZIG=0.16.0 ZIGBUILD=0.24.0
zig_home=${XDG_CACHE_HOME:-$HOME/.cache}/faultline/zig/$ZIG-$ZIGBUILD

# remapping: the flags for rustc that keep this machine's paths out of what is built: equal sources, equal bytes.
remapping() {
    local source
    # shellcheck disable=SC2154  # the including script's
    printf -- '--remap-path-prefix=%s=.' "$root"
    for source in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
        printf -- ' --remap-path-prefix=%s=' "$source"
    done
}

# need_standard_library TRIPLE: that of the toolchain that the repository pins is what is linked.
need_standard_library() {
    [[ -d $(rustc --print target-libdir --target "$1") ]] || {
        printf '%s: Rust has no standard library for %s here: rustup target add %s\n' "${0##*/}" "$1" "$1" >&2
        return 1
    }
}

install_zig() {
    [[ ! -x $zig_home/bin/cargo-zigbuild ]] || return 0
    mkdir -p "${zig_home%/*}"
    local fresh
    fresh=$(mktemp -d "${zig_home%/*}/install.XXXXXX")
    python3 -m pip install --quiet --no-deps --disable-pip-version-check --root-user-action=ignore \
        --target "$fresh" "ziglang==$ZIG" "cargo-zigbuild==$ZIGBUILD" || {
        rm -rf "$fresh"
        printf '%s: ziglang %s and cargo-zigbuild %s cannot be had from PyPI; to bring them yourself, %s\n' "${0##*/}" \
            "$ZIG" "$ZIGBUILD" "pip install --no-deps --target $zig_home ziglang==$ZIG cargo-zigbuild==$ZIGBUILD" >&2
        return 1
    }
    # Another process may have been faster: its tools are as good.
    if [[ -x $zig_home/bin/cargo-zigbuild ]]; then rm -rf "$fresh"; else mv "$fresh" "$zig_home"; fi
}

# zigbuild COMMAND ARGUMENT...: cargo, linking with Zig.
zigbuild() {
    # shellcheck disable=SC2154  # the including script's
    CARGO_ZIGBUILD_ZIG_PATH=$zig_home/ziglang/zig RUSTFLAGS=$(remapping) \
        "$zig_home/bin/cargo-zigbuild" "$1" --quiet --locked --manifest-path "$root/Cargo.toml" --target-dir "$target" "${@:2}"
}

# put_in_place FILE MODE PLACE: moved, so that a running reader never sees half of it, and keeps what it has.
put_in_place() {
    local fresh
    mkdir -p "${3%/*}"
    fresh=$(mktemp "$3.XXXXXX")
    cp "$1" "$fresh"
    chmod "$2" "$fresh"
    mv "$fresh" "$3"
}

# report FILE: its path, its size in bytes and its sha256.
report() { printf '%s %d %s\n' "$1" "$(wc -c <"$1")" "$(sha256_of <"$1")"; }

# macOS has no sha256sum.
sha256_of() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

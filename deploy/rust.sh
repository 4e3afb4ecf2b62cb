# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# The toolchain of rust-toolchain.toml. rustup may be told not to bring it by itself (RUSTUP_AUTO_INSTALL=0), and
# brings no target to a toolchain that is there already; so it is brought here.

rust_parts=()   # the targets and components of Rust that this run needs, as rust-toolchain.toml calls them

# Where rustup's installer puts it, a shell that was open before does not look.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ]; then
  PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi

# rust_setting NAME: the words of one setting.
rust_setting() { sed -n "s/^$1 *= *//p" "$root/rust-toolchain.toml" | tr -d '[]",'; }

# bring_rust: rust_parts are there afterwards.
bring_rust() {
  local channel named part options=(--profile minimal --no-self-update)
  ! rust_is_complete "${rust_parts[@]+"${rust_parts[@]}"}" || return 0
  channel=$(rust_setting channel)
  named=" $(rust_setting targets) "
  for part in $(rust_setting components); do options+=(--component "$part"); done
  for part in $named; do options+=(--target "$part"); done
  for part in "${rust_parts[@]+"${rust_parts[@]}"}"; do
    case "$part $named" in clippy\ *|rustfmt\ *|*" $part "*) ;; *) options+=(--target "$part") ;; esac
  done
  note "installing Rust $channel with rustup, as rust-toolchain.toml names it"
  # In full, as every rustup takes it: only 1.28 and newer read the file themselves.
  quietly rustup toolchain install "$channel" "${options[@]}" ||
    die "rustup could not install Rust $channel" \
      "Is there a network? Again, alone: rustup toolchain install $channel ${options[*]}"
  rust_is_complete "${rust_parts[@]+"${rust_parts[@]}"}" ||
    die "Rust $channel is installed, but in this folder rustup uses $(rust_in_use), which lacks $rust_lacks" \
      "What overrides rust-toolchain.toml? RUSTUP_TOOLCHAIN is ${RUSTUP_TOOLCHAIN:-not set}; rustup override list; rustup show"
}

# rust_is_complete PART...: Rust runs here and has them; else sets rust_lacks.
rust_is_complete() {
  local part folder
  rust_lacks=''
  rust_in_use >/dev/null && command -v cargo >/dev/null || return 1
  for part in "$@"; do
    rust_lacks=$part
    case $part in
      clippy) folder=$(rustc_here --print sysroot)/bin/cargo-clippy ;;
      rustfmt) folder=$(rustc_here --print sysroot)/bin/cargo-fmt ;;
      *) folder=$(rustc_here --print target-libdir --target "$part") ;;
    esac
    [ -e "$folder" ] || return 1
  done
  rust_lacks=''
  # rustup chooses the version that is asked for; a distribution has one.
  command -v rustup >/dev/null || at_least "$(rust_in_use)" "$(rust_setting channel)"
}

# A look downloads nothing.
rustc_here() { (cd "$root" && RUSTUP_AUTO_INSTALL=0 rustc "$@" 2>/dev/null); }

rust_in_use() {
  local version
  version=$(rustc_here --version) || return 1
  version=${version#rustc }
  printf '%s' "${version%% *}"
}

rust_in_words() {
  local version
  if ! version=$(rust_in_use); then
    printf 'Rust'
  elif ! at_least "$version" "$(rust_setting channel)"; then
    printf 'Rust %s (here is %s, and no rustup, which would bring it)' "$(rust_setting channel)" "$version"
  else
    printf "Rust's %s (here is Rust %s without rustup, which would bring it)" "$rust_lacks" "$version"
  fi
}

//! How a machine that lacks tools is told so, or gets them: `deploy/tools.sh`, `deploy/rust.sh` and
//! `deploy/requirements.sh`, on machines made of stand-ins.

use crate::{
    console::told,
    machine::{Machine, said},
};
use std::{fs, path::Path};

const INSTALLER: &str = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain none";

#[test]
fn all_that_is_missing_is_named_once_with_one_command() {
    let lacking = "provide rust cc python3 pip kubectl container";
    for (system, packages, rest) in [
        (
            "apt-get",
            "sudo apt-get update && sudo apt-get install -y build-essential python3 python3-pip buildah curl",
            "kubectl: https://kubernetes.io/docs/tasks/tools/\n",
        ),
        (
            "dnf",
            "sudo dnf install -y gcc python3 python3-pip kubernetes-client buildah curl",
            "",
        ),
    ] {
        let machine = Machine::new(&[]);
        if system == "apt-get" {
            machine.with_apt("");
        } else {
            machine.with(system, "");
        }
        assert_eq!(
            machine.refuses(lacking),
            format!(
                "Rust, a C compiler, python3, Python's pip, kubectl and a container tool that works (buildah, podman \
                 or docker) are not installed\nInstall it: {packages} && {INSTALLER}\n{rest}"
            ),
            "{system}"
        );
    }
}

#[test]
fn homebrew_has_the_rest_and_apple_the_compiler() {
    let machine = Machine::new(&["brew", "curl"]);
    assert_eq!(
        machine.refuses("provide rust cc kubectl container"),
        format!(
            "Rust, a C compiler, kubectl and a container tool that works (buildah, podman or docker) are not \
             installed\nInstall it: brew install kubernetes-cli podman && xcode-select --install && {INSTALLER}\n"
        )
    );
}

#[test]
fn without_a_package_manager_all_is_listed() {
    let machine = Machine::new(&["curl"]);
    assert_eq!(
        machine.refuses("provide rust cc kubectl"),
        format!(
            "Rust, a C compiler and kubectl are not installed\nInstall it: {INSTALLER}\na C compiler: your system's \
             packages have it\nkubectl: https://kubernetes.io/docs/tasks/tools/\n"
        )
    );
}

#[test]
fn root_with_apt_installs_and_says_so() {
    let machine = Machine::new(&["curl"]).root();
    machine.with_apt("kubernetes-client 1.32.3+ds-2");
    assert_eq!(
        machine.does("provide curl cc python3 kubectl"),
        "note: installing with apt: build-essential python3 kubernetes-client\n"
    );
    assert_eq!(
        machine.ran(),
        "apt-get update -qq\napt-get install -y -qq --no-install-recommends --no-remove build-essential python3 \
         kubernetes-client\n"
    );
}

/// Otherwise a person would install half of it, run again, and only then hear of the rest.
#[test]
fn root_installs_nothing_while_something_is_to_be_done_by_hand() {
    let machine = Machine::new(&["curl"]).root();
    machine.with_apt("kubernetes-client 1.20.5+really1.20.2-1.1");
    assert_eq!(
        machine.refuses("provide cc kubectl"),
        "a C compiler and kubectl are not installed\nInstall it: apt-get update && apt-get install -y \
         build-essential\nkubectl: https://kubernetes.io/docs/tasks/tools/\n"
    );
    assert!(!machine.ran().contains("install"), "{}", machine.ran());
}

#[test]
fn root_may_say_that_nothing_is_installed() {
    let machine = Machine::new(&[]).root();
    machine.with_apt("");
    let output = machine.run("provide cc", &[("FAULTLINE_INSTALL", "false")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        told(&output),
        "a C compiler is not installed\nInstall it: apt-get update && apt-get install -y build-essential\n"
    );
    assert_eq!(machine.ran(), "");
}

#[test]
fn what_apt_cannot_install_is_named() {
    let machine = Machine::new(&[]).root();
    machine.with_apt("").with("apt-get", "exit 100");
    assert_eq!(
        machine.refuses("provide cc"),
        "apt could not install build-essential\n"
    );
    machine.with("apt-get", "");
    assert!(
        machine
            .refuses("provide cc")
            .starts_with("a C compiler is not installed\n")
    );
}

#[test]
fn what_may_be_missing_stops_nothing_and_comes_where_it_can() {
    let machine = Machine::new(&[]).root();
    machine.with_apt("chromium 156.0");
    assert_eq!(
        machine.does("provide cc kubectl? chromium?"),
        "note: installing with apt: build-essential chromium\n"
    );
    let machine = Machine::new(&["cc", "apt-get"]);
    assert_eq!(machine.does("provide cc kubectl? chromium?"), "");
    assert_eq!(machine.ran(), "");
}

#[test]
fn an_old_kubectl_is_none() {
    let machine = Machine::new(&["dnf"]);
    for (version, refused) in [
        (
            r#"version.Info{Major:"1", Minor:"20", GitVersion:"v1.20.2", GoVersion:"go1.19.8"}"#,
            true,
        ),
        ("v1.27.9", true),
        ("v1.28.0", false),
        ("v1.36.3-dispatcher", false),
    ] {
        machine.with("kubectl", &format!("echo 'Client Version: {version}'"));
        let output = machine.run("provide kubectl", &[]);
        assert_eq!(
            !output.status.success(),
            refused,
            "{version}: {}",
            said(&output)
        );
        if refused {
            assert!(told(&output).starts_with("kubectl 1.28 or newer is not installed"));
        }
    }
}

/// A client of docker's without a daemon is on many a PATH.
#[test]
fn a_container_tool_is_one_that_works() {
    let machine = Machine::new(&["dnf"]);
    machine.with("docker", "exit 1");
    assert!(
        machine
            .refuses("provide container")
            .contains("sudo dnf install -y buildah")
    );
    machine.with("podman", "");
    assert_eq!(
        machine.does("provide container; printf %s \"$container_tool\""),
        "podman"
    );
}

/// Each way in asks for what it needs itself, and for nothing else.
#[test]
fn each_way_in_asks_for_its_own_tools() {
    let asked =
        "provide() { echo \"$*\"; }; bring_rust() { echo \"${rust_parts[*]}\"; }; requirements";
    let machine = Machine::new(&[]);
    for (settings, tools) in [
        (
            "mode=local",
            "rust cc python3 pip\nwasm32-unknown-unknown\n",
        ),
        (
            "mode=local ENVOY=/opt/envoy",
            "rust cc\nwasm32-unknown-unknown\n",
        ),
        ("mode=push-filter builder=container", "curl container\n"),
        (
            "mode=deploy skip_build=false release='' builder=podman",
            "kubectl curl podman\n",
        ),
        ("mode=deploy skip_build=true builder=rust", "kubectl curl\n"),
        (
            "mode=deploy skip_build=false release=1.2.3 builder=rust",
            "kubectl curl\n",
        ),
        ("mode=status", "kubectl curl\n"),
        ("mode=delete", "kubectl\n"),
        ("mode=dry-run release=''", "kubectl\n"),
        // The registry is asked for its digests.
        ("mode=dry-run release=1.2.3", "kubectl curl\n"),
    ] {
        assert_eq!(
            machine.does(&format!("{settings}; {asked}")),
            tools,
            "{settings}"
        );
    }
    for (system, machine_name, target) in [
        ("Linux", "x86_64", " x86_64-unknown-linux-musl"),
        ("Linux", "aarch64", " aarch64-unknown-linux-musl"),
        // What runs on a Mac itself is a Mac's.
        ("Darwin", "arm64", ""),
    ] {
        machine.with(
            "uname",
            &format!("case $1 in -m) echo {machine_name} ;; *) echo {system} ;; esac"),
        );
        for (mode, tools) in [
            ("deploy skip_build=false release=''", "kubectl curl"),
            ("push-filter", "curl"),
        ] {
            assert_eq!(
                machine.does(&format!("mode={mode} builder=rust; {asked}")),
                format!("{tools} rust cc python3 pip\nwasm32-unknown-unknown{target}\n")
            );
        }
    }
    assert_eq!(
        machine.refuses("mode=deploy skip_build=false release='' builder=docker; requirements"),
        "--build docker needs Linux, since what it builds for Linux runs on this machine, too\nWithout --build, Rust on \
         this machine builds all of it.\n"
    );
}

/// Whoever has no Rust may have a container tool.
#[test]
fn without_rust_the_container_is_named() {
    let machine = Machine::new(&["curl", "kubectl"]);
    let said =
        machine.refuses("mode=deploy skip_build=false release='' builder=rust; requirements");
    assert!(
        said.ends_with(
            "Or build in a container, with docker, podman or buildah: --build container\n"
        ),
        "{said}"
    );
}

/// The one that is asked for, not the first that works.
#[test]
fn a_container_tool_can_be_chosen() {
    let machine = Machine::new(&["buildah", "docker", "curl", "kubectl"]);
    machine.with("podman", "exit 1");
    let line =
        "mode=deploy skip_build=false release=''; requirements; printf %s \"$container_tool\"";
    assert_eq!(machine.does(&format!("builder=docker; {line}")), "docker");
    assert_eq!(
        machine.does(&format!("builder=container; {line}")),
        "buildah"
    );
    assert!(
        machine
            .refuses(&format!("builder=podman; {line}"))
            .starts_with("a podman that works is not installed\n")
    );
}

/// Rust as rustup shows it: rustc finds a toolchain once `rustup toolchain install` has brought it, with the targets
/// that were asked for.
fn with_rustup(machine: &Machine) {
    machine
        .with(
            "rustup",
            r#"echo "rustup $*" >>"$home/ran"
mkdir -p "$home/sysroot/bin"
while [ $# -gt 0 ]; do
  case $1 in
    --target) mkdir -p "$home/sysroot/$2" ;;
    --component) touch "$home/sysroot/bin/cargo-${2/rust/}" ;;
  esac
  shift
done"#,
        )
        .with("cargo", "")
        .with("rustc", RUSTC);
}

const RUSTC: &str = r#"[ -d "$home/sysroot" ] || exit 1
case $*  in
  --version) echo 'rustc 1.95.0 (59807616e 2026-04-14)' ;;
  *sysroot) echo "$home/sysroot" ;;
  *) echo "$home/sysroot/${!#}" ;;
esac"#;

const INSTALL: &str = "rustup toolchain install 1.95.0 --profile minimal --no-self-update --component clippy \
    --component rustfmt --target wasm32-unknown-unknown --target x86_64-unknown-linux-musl --target \
    aarch64-unknown-linux-musl --target aarch64-unknown-linux-gnu";

/// The toolchain of the file, named in full: neither RUSTUP_AUTO_INSTALL nor an old rustup matters.
#[test]
fn a_missing_toolchain_is_brought_with_its_targets_once() {
    let machine = Machine::new(&[]);
    with_rustup(&machine);
    let line = "rust_parts=(wasm32-unknown-unknown clippy rustfmt); provide rust; bring_rust";
    assert_eq!(
        machine.does(line),
        "note: installing Rust 1.95.0 with rustup, as rust-toolchain.toml names it\n"
    );
    assert_eq!(machine.ran(), format!("{INSTALL}\n"));
    assert_eq!(machine.does(line), "");
    assert_eq!(machine.ran(), format!("{INSTALL}\n"), "a second time");
}

#[test]
fn a_toolchain_without_its_targets_is_mended() {
    let machine = Machine::new(&[]);
    with_rustup(&machine);
    fs::create_dir(machine.home().join("sysroot")).expect("a folder");
    machine.does("rust_parts=(riscv64gc-unknown-linux-musl); provide rust; bring_rust");
    assert_eq!(
        machine.ran(),
        format!("{INSTALL} --target riscv64gc-unknown-linux-musl\n"),
        "a target too, which the file does not name"
    );
}

#[test]
fn a_toolchain_that_cannot_be_brought_is_named() {
    let machine = Machine::new(&[]);
    with_rustup(&machine);
    machine.with("rustup", "exit 1");
    let line = "rust_parts=(wasm32-unknown-unknown); provide rust; bring_rust";
    let said = machine.refuses(line);
    assert!(
        said.starts_with("rustup could not install Rust 1.95.0\n"),
        "{said}"
    );
    assert!(said.contains(INSTALL), "{said}");

    fs::create_dir(machine.home().join("sysroot")).expect("a folder");
    machine.with("rustup", "");
    let output = machine.run(line, &[("RUSTUP_TOOLCHAIN", "nightly")]);
    assert!(
        told(&output).contains("lacks wasm32-unknown-unknown\nWhat overrides rust-toolchain.toml? RUSTUP_TOOLCHAIN is nightly"),
        "{}",
        told(&output)
    );
}

/// A distribution's Rust will do, if it has what is needed; else it is said what it lacks.
#[test]
fn rust_without_rustup_is_taken_or_told_what_it_lacks() {
    let machine = Machine::new(&["cargo", "curl"]);
    machine.with_apt("rustup 1.27.1-3").with("rustc", RUSTC);
    let target = machine.home().join("sysroot/wasm32-unknown-unknown");
    fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
    let line = "rust_parts=(wasm32-unknown-unknown); provide rust; bring_rust";
    assert_eq!(
        machine.refuses(line),
        format!(
            "Rust's wasm32-unknown-unknown (here is Rust 1.95.0 without rustup, which would bring it) is not \
             installed\nInstall it: {INSTALLER}\n"
        )
    );
    fs::create_dir(target).expect("a folder");
    assert_eq!(machine.does(line), "");

    machine.with("rustc", &RUSTC.replace("1.95.0", "1.85.0"));
    assert!(machine.refuses(line).starts_with(
        "Rust 1.95.0 (here is 1.85.0, and no rustup, which would bring it) is not installed\n"
    ));
}

/// Where rustup's package does not take a distribution's cargo away, it is as good as its installer.
#[test]
fn rustup_comes_as_a_package_where_there_is_one() {
    let machine = Machine::new(&[]);
    machine.with_apt("rustup 1.27.1-3");
    assert_eq!(
        machine.refuses("provide rust cc"),
        "Rust and a C compiler are not installed\nInstall it: sudo apt-get update && sudo apt-get install -y rustup \
         build-essential\n"
    );
}

/// rustup's installer changes the PATH of the shells that come after it.
#[test]
fn rustup_is_found_where_its_installer_puts_it() {
    let machine = Machine::new(&[]);
    let home = machine.home().join(".cargo/bin");
    fs::create_dir_all(&home).expect("a folder");
    for tool in ["cargo", "rustup"] {
        machine.with(tool, "");
        fs::rename(machine.path(tool), home.join(tool)).expect("moved");
    }
    assert_eq!(
        Path::new(machine.does("command -v rustup").trim()),
        home.join("rustup")
    );
}

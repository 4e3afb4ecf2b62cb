//! However a run ends, nothing of it is left.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::harness::{
    Foreground, Place, child_named, eventually, messages, post, processes, request, send,
};

#[test]
fn in_the_foreground_it_shows_requests_and_ends_with_ctrl_c() {
    let place = Place::new(0);
    let mut run = Foreground::start(place.command(&["--skip-proof"]));
    run.says("duration");
    let file = place.run_file();

    let timed_out = request("GET", &format!("{}/log", file.gateway_url), "").unwrap();
    assert_eq!(timed_out.status, 504);
    assert!(
        timed_out
            .head
            .contains("outcome=timeout attempts=3 flags=ut"),
        "{}",
        timed_out.head
    );
    assert_eq!(post(&file, "shown"), 504);
    run.says("POST    /log ");
    let said = run.said();
    let shown = said
        .lines()
        .find(|line| line.contains("POST    /log "))
        .unwrap();
    let fields: Vec<_> = shown.split_whitespace().skip(1).take(5).collect();
    assert_eq!(fields, ["POST", "/log", "504", "3", "timeout"], "{shown}");
    assert!(
        !said.contains('\x1b'),
        "colour, although this is no terminal"
    );
    for step in [
        "1/4  Check",
        "2/4  Start",
        "3/4  Wait",
        "4/4  Prove    0.0 s  SKIPPED",
    ] {
        assert!(said.contains(step), "{said}");
    }
    eventually("the entry, although its caller saw a 504", || {
        messages(&file)?.contains(&"shown".to_owned()).then_some(())
    });

    run.signal(Signal::INT);
    assert_eq!(run.ended(), Some(0), "{}", run.said());
    place.assert_nothing_left(&file);
}

#[test]
fn keys_are_the_users_alone() {
    let place = Place::new(1);
    let mut run = Foreground::start(place.command(&["--skip-proof"]));
    let file = place.run_file();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = file.path.parent().unwrap();
    for folder in [&place.state(), folder, &folder.join("certificates")] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let mut keys = 0;
    for entry in fs::read_dir(folder.join("certificates")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        keys += usize::from(path.extension().is_some_and(|kind| kind == "key"));
    }
    assert_eq!(
        keys, 4,
        "gateway, custom-app, log-agent, stranger; none of the authority"
    );
    run.signal(Signal::TERM);
    assert_eq!(run.ended(), Some(0));
    place.assert_nothing_left(&file);
}

/// Not even a chance to clean up: the processes go, and the next run removes the folder.
#[test]
fn killed_it_takes_every_process_with_it() {
    let place = Place::new(2);
    let mut run = Foreground::start(place.command(&["--skip-proof"]));
    let file = place.run_file();
    let all = processes(&file);
    assert!(all.len() > 4, "{all:?}");
    run.signal(Signal::KILL);
    assert_eq!(run.ended(), None);
    eventually("its processes to be gone", || {
        let gone = |pid: &i32| !fs::exists(format!("/proc/{pid}")).unwrap();
        all.iter()
            .filter(|pid| **pid != file.pid)
            .all(gone)
            .then_some(())
    });
    assert!(file.path.exists(), "nobody could remove it");

    let mut next = Foreground::start(place.command(&["--skip-proof"]));
    next.says("3/4  Wait");
    assert!(!file.path.exists(), "the next run has not removed it");
    let file = place.run_file();
    next.signal(Signal::INT);
    assert_eq!(next.ended(), Some(0));
    place.assert_nothing_left(&file);
}

#[test]
fn without_its_proxy_it_ends_and_says_why() {
    let place = Place::new(3);
    let mut run = Foreground::start(place.command(&["--skip-proof"]));
    run.says("duration");
    let file = place.run_file();
    send(child_named(file.pid, "envoy"), Signal::KILL);
    assert_eq!(run.ended(), Some(1), "{}", run.said());
    let said = run.said();
    assert!(
        said.contains("faultline-local: envoy ended by itself (signal: 9 (SIGKILL))"),
        "{said}"
    );
    place.assert_nothing_left(&file);
}

/// Ctrl-C while it still starts.
#[test]
fn interrupted_while_it_starts_it_leaves_nothing() {
    let place = Place::new(4);
    let mut run = Foreground::start(place.command(&["--skip-proof"]));
    run.says("1/4  Check");
    run.signal(Signal::INT);
    assert!(run.ended().is_some(), "{}", run.said());
    assert!(!place.state().exists());
}

/// The last lines of the part that would not start are shown, and the others end.
#[test]
fn a_part_that_does_not_start_is_quoted() {
    let place = Place::new(5);
    let data = place.path("data");
    // A file where the log agent's store should be.
    fs::create_dir_all(data.join("log-agent")).unwrap();
    fs::set_permissions(data.join("log-agent"), fs::Permissions::from_mode(0o700)).unwrap();
    for name in [
        "log-agent.sqlite",
        "entries.db",
        "log-agent.db",
        "entries.sqlite",
    ] {
        fs::write(data.join("log-agent").join(name), "no database").unwrap();
    }
    let mut run =
        Foreground::start(place.command(&["--skip-proof", "--data-dir", data.to_str().unwrap()]));
    assert_eq!(run.ended(), Some(1), "{}", run.said());
    let said = run.said();
    assert!(
        said.contains("log-agent ended before it was ready (exit status: 1); its last lines:"),
        "{said}"
    );
    assert!(!place.state().exists());
}

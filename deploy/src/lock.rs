//! The lock, by processes that run at once. The Lease they share lies in a file, with the API server's rule that a
//! replacement must name the version it replaces. On a real cluster: `deploy-again` of the acceptance suite.

use crate::standin::StandIn;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Output},
    time::{Duration, Instant},
};

/// The Lease's lines: holder, acquired, renewed, duration, version.
const LEASE: &str = r#"#!/bin/sh
cd "$standin"
# one at a time; what a killed one has left is passed over
tries=0
until mkdir busy 2>/dev/null || [ $tries -ge 300 ]; do tries=$((tries + 1)); sleep 0.01; done
trap 'rmdir busy' EXIT
line() { if [ -f lease ]; then sed -n "$1p" lease; fi; }
asked() { sed -n "s/^ *$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" asked; }
case "$*" in
  *' get lease '*acquireTime*) [ ! -f lease ] || cat lease ;;
  *' get lease '*) [ ! -f lease ] || echo "$(line 1) $(line 5)" ;;
  *' create '*|*' replace '*)
    cat >asked
    [ "$(asked resourceVersion)" = "$(line 5)" ] || { echo 'the object has been modified' >&2; exit 1; }
    version=$(($(cat version 2>/dev/null || echo 100) + 1))
    echo $version >version
    { asked holderIdentity; asked acquireTime; asked renewTime; asked leaseDurationSeconds; echo $version; } >new
    mv new lease
    printf %s $version
    ;;
  *' delete --raw '*)
    for file in "$@"; do :; done
    grep -q "\"resourceVersion\": \"$(line 5)\"" "$file" && rm lease
    ;;
esac
"#;

/// Takes the lock as deploy.sh does, says so, and works until its input ends.
const WORK: &str = "open_console; step Apply; lease_renewal=1; take_lock; echo \"taken by $holder\"
    while kill -0 $$ && ! { read -r -t 1 _; [ $? -le 128 ]; }; do :; done";

fn with_lease(lines: &str) -> StandIn {
    let standin = StandIn::new(LEASE);
    if !lines.is_empty() {
        fs::write(standin.file("lease"), lines).expect("a file");
    }
    standin
}

/// A Lease whose holder has died.
const ABANDONED: &str =
    "alice@laptop:1:1\n2026-01-01T00:00:00.000000Z\n2026-01-01T00:00:00.000000Z\n2\n7\n";

/// Starts a run and waits until it says who it is.
fn holding(standin: &StandIn, script: &str) -> (Child, String) {
    let mut run = standin.start(script);
    let mut output = BufReader::new(run.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.starts_with("taken by ") {
        line.clear();
        let read = output.read_line(&mut line).expect("a line");
        assert!(read > 0, "it ended: {:?}", run.wait_with_output());
    }
    let holder = line.trim_start_matches("taken by ").trim().to_owned();
    (run, holder)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lease(standin: &StandIn) -> String {
    fs::read_to_string(standin.file("lease")).unwrap_or_default()
}

#[test]
fn a_run_says_who_it_is_and_leaves_no_lock() {
    let standin = with_lease("");
    let (run, holder) = holding(&standin, WORK);
    let mut held = lease(&standin);
    assert!(held.starts_with(&holder) && holder.contains('@'), "{held}");
    assert_eq!(held.lines().nth(3), Some("30"), "{held}");
    let first = held.clone();
    let deadline = Instant::now() + Duration::from_secs(60);
    while held == first && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        held = lease(&standin);
    }
    assert_ne!(held, first, "it is renewed");
    assert_eq!(
        held.lines().nth(1),
        first.lines().nth(1),
        "since the beginning"
    );

    let ended = run.wait_with_output().expect("its output");
    assert!(ended.status.success(), "{}", told(&ended));
    assert_eq!(lease(&standin), "");
}

#[test]
fn a_run_that_lives_is_never_taken_for_dead() {
    let standin = with_lease("");
    let (first, holder) = holding(&standin, WORK);
    let second = standin.start(WORK).wait_with_output().expect("its output");
    assert_eq!(second.status.code(), Some(1), "{}", told(&second));
    let sentence = format!(
        "another deployment ({holder}) has been at work in the namespace faultline since 20"
    );
    assert!(told(&second).contains(&sentence), "{}", told(&second));
    assert!(
        told(&second).contains("its lock ends 30 s after the last renewal"),
        "{}",
        told(&second)
    );
    assert!(lease(&standin).starts_with(&holder));
    assert!(
        first
            .wait_with_output()
            .expect("its output")
            .status
            .success()
    );
}

#[test]
fn of_two_that_find_an_abandoned_lock_one_has_it() {
    let standin = with_lease(ABANDONED);
    let began = Instant::now();
    let mut runs = [standin.start(WORK), standin.start(WORK)];
    let loser = loop {
        let ended = runs
            .iter_mut()
            .position(|run| run.try_wait().expect("a state").is_some());
        match ended {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "not before its duration"
    );
    let [first, second] = runs;
    let (winner, loser) = if loser == 0 {
        (second, first)
    } else {
        (first, second)
    };
    let loser = loser.wait_with_output().expect("its output");
    assert_eq!(loser.status.code(), Some(1), "{}", told(&loser));
    assert!(
        told(&loser).contains("another deployment ("),
        "{}",
        told(&loser)
    );
    let winner = winner.wait_with_output().expect("its output");
    assert!(winner.status.success(), "{}", told(&winner));
    assert!(String::from_utf8_lossy(&winner.stdout).contains("taken by "));
    assert!(
        told(&winner).contains("alice@laptop:1:1 holds the lock"),
        "{}",
        told(&winner)
    );
}

#[test]
fn a_killed_run_renews_no_more() {
    let standin = with_lease("");
    let (mut killed, _) = holding(&standin, &format!("lease_duration=2; {WORK}"));
    killed.kill().expect("killed");
    killed.wait().expect("its end");
    let successor = standin.start(WORK).wait_with_output().expect("its output");
    assert!(successor.status.success(), "{}", told(&successor));
}

#[test]
fn a_run_that_has_lost_its_lock_stops_and_leaves_the_successors() {
    let standin = with_lease("");
    let (run, _) = holding(&standin, WORK);
    let taken = ABANDONED.replace("alice@laptop:1:1", "bob@server:2:2");
    fs::write(standin.file("next"), &taken).expect("a file");
    fs::rename(standin.file("next"), standin.file("lease")).expect("in its place");
    let mut run = run;
    let ended = loop {
        // its input stays open: it stops for the lock
        if let Some(status) = run.try_wait().expect("a state") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let output = run.wait_with_output().expect("its output");
    assert_eq!(ended.code(), Some(143), "{}", told(&output));
    assert!(
        told(&output).contains("the lock was taken over by bob@server:2:2"),
        "{}",
        told(&output)
    );
    assert_eq!(lease(&standin), taken);
}

/// An earlier deploy.sh renews nothing, so nothing says whether it lives.
#[test]
fn a_lock_without_an_end_is_not_taken() {
    let standin = with_lease("host:1\n2026-01-01T00:00:00.000000Z\n\n\n7\n");
    let refused = standin.start(WORK).wait_with_output().expect("its output");
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(
        told(&refused).contains("with a lock that has no end"),
        "{}",
        told(&refused)
    );
    assert!(
        told(&refused).contains("kubectl -n faultline delete lease faultline-deploy"),
        "{}",
        told(&refused)
    );
}

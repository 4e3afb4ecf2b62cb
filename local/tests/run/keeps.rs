//! What must survive: entries of a kept folder, and a service that is killed.

use rustix::process::Signal;

use crate::harness::{Foreground, Place, eventually, messages, post, request, send};

/// The entry is in custom-app's outbox when the run is told to end: it is handed over first.
#[test]
fn entries_are_handed_over_at_the_end_and_kept() {
    let place = Place::new(10);
    let data = place.path("data");
    let options = ["--skip-proof", "--data-dir", data.to_str().unwrap()];
    let mut run = Foreground::start(place.command(&options));
    let file = place.run_file();
    assert_eq!(post(&file, "kept"), 504);
    run.signal(Signal::TERM);
    assert_eq!(run.ended(), Some(0), "{}", run.said());
    place.assert_nothing_left(&file);

    let mut again = Foreground::start(place.command(&options));
    let file = place.run_file();
    assert_eq!(messages(&file).expect("entries"), ["kept"]);
    again.signal(Signal::TERM);
    assert_eq!(again.ended(), Some(0));
}

#[test]
fn a_data_folder_that_is_in_use_is_refused() {
    let place = Place::new(11);
    let data = place.path("data");
    let options = ["--skip-proof", "--data-dir", data.to_str().unwrap()];
    let _run = Foreground::start(place.command(&options));
    place.run_file();
    let other = place.beside();
    let output = other.output(&options);
    let told = crate::harness::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("is in use by another run: end that one, or choose another with --data-dir"),
        "{told}"
    );
    assert!(!other.state().exists());
}

/// As Kubernetes does: another process, the same folder.
#[test]
fn a_killed_application_is_started_again_and_loses_nothing() {
    let place = Place::new(13);
    let mut run = Foreground::start(place.command(&["--skip-proof"]));
    run.says("duration");
    let before = place.run_file();
    let victims: Vec<_> = before
        .instances
        .iter()
        .filter(|one| one.service == "custom-app")
        .collect();
    // Each of them has accepted one, and delivers it only after the delay.
    for victim in &victims {
        let url = format!("{}/log", victim.app_url);
        let late = request(
            "POST",
            &url,
            &format!("{{\"message\":\"of {}\"}}", victim.name),
        );
        assert!(late.is_some_and(|answer| answer.status < 300));
        let caller = std::thread::spawn({
            let body = format!("{{\"message\":\"cut off at {}\"}}", victim.name);
            move || request("POST", &url, &body)
        });
        eventually("the entry to be accepted", || {
            let log = std::fs::read_to_string(&victim.log).unwrap();
            (log.matches("entry accepted").count() == 2).then_some(())
        });
        send(victim.pid.unwrap(), Signal::KILL);
        assert!(caller.join().unwrap().is_none(), "its caller had no answer");
    }
    for victim in &victims {
        run.says(&format!(
            "{} ended (signal: 9 (SIGKILL)) and was started again",
            victim.name
        ));
    }
    eventually("both again, as other processes", || {
        let now = place.run_file();
        let is_back = |name: &str| {
            let of = |run: &faultline_local::run_file::RunFile| {
                run.instances
                    .iter()
                    .find(|one| one.name == name)
                    .unwrap()
                    .clone()
            };
            let (then, now) = (of(&before), of(&now));
            now.restarts == 1 && now.pid.is_some() && now.pid != then.pid
        };
        victims
            .iter()
            .all(|victim| is_back(&victim.name))
            .then_some(())
    });
    eventually("every accepted entry, once", || {
        let mut found = messages(&before)?;
        found.sort_unstable();
        let expected = [
            "cut off at custom-app-1",
            "cut off at custom-app-2",
            "of custom-app-1",
            "of custom-app-2",
        ];
        (found == expected).then_some(())
    });
    run.signal(Signal::INT);
    assert_eq!(run.ended(), Some(0));
    place.assert_nothing_left(&before);
}

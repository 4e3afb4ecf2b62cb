//! The application and the log agent as processes: killed, cut off, drained, raced.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use faultline_service_testing::disk::Disk;
use faultline_service_testing::eventually;
use faultline_service_testing::hop::{Hop, Mode};
use faultline_service_testing::process::{Service, Signal, binary, command};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinSet;

/// A log agent behind a hop.
struct Agent {
    service: Option<Service>,
    hop: Hop,
    directory: TempDir,
}

impl Agent {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let service = Service::start(Self::command(directory.path())).await;
        let hop = Hop::start(Mode::Pass(service.address())).await;
        Self {
            service: Some(service),
            hop,
            directory,
        }
    }

    fn command(directory: &Path) -> Command {
        let mut command = command(binary("log-agent"));
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--drain-delay",
                "0s",
                "--data-dir",
            ])
            .arg(directory);
        command
    }

    fn service(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    fn pass(&self) {
        self.hop.set(Mode::Pass(self.service().address()));
    }

    /// `kill -9`, and up again behind the same hop.
    async fn kill_and_start(&mut self) {
        self.service.take().unwrap().kill().await;
        self.hop.set(Mode::Down);
        self.service = Some(Service::start(Self::command(self.directory.path())).await);
        self.pass();
    }

    /// How often each id is stored.
    async fn stored(&self) -> BTreeMap<String, usize> {
        let (mut stored, mut query) = (BTreeMap::new(), String::new());
        loop {
            let url = self.service().url(&format!("/logs?limit=1000{query}"));
            let page: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
            for entry in page["entries"].as_array().unwrap() {
                *stored
                    .entry(entry["id"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
            match page["next"].as_str() {
                Some(id) => query = format!("&after={id}"),
                None => return stored,
            }
        }
    }

    /// Waits until all of these are stored, and checks that nothing is stored twice.
    async fn has_once(&self, ids: &BTreeSet<String>) {
        let stored = eventually("every accepted entry is stored", async || {
            let stored = self.stored().await;
            ids.iter()
                .all(|id| stored.contains_key(id))
                .then_some(stored)
        });
        assert!(stored.await.values().all(|count| *count == 1));
    }
}

fn app(hop: &Hop, data_dir: &Path) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_custom-app"));
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--log-agent-url",
            &hop.url(),
            "--data-dir",
        ])
        .arg(data_dir);
    command
        .env("CUSTOM_APP_DRAIN_DELAY", "0s")
        .env("CUSTOM_APP_WAIT_LIMIT", "60s");
    command
}

async fn start(hop: &Hop) -> (Service, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Service::start(app(hop, directory.path())).await, directory)
}

fn ids(lines: &[Value]) -> BTreeSet<String> {
    let accepted = lines
        .iter()
        .filter(|line| line["message"] == "entry accepted");
    accepted
        .map(|line| line["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn post(url: String, message: String) -> reqwest::Result<StatusCode> {
    let post = Client::new().post(url).json(&json!({"message": message}));
    Ok(post.send().await?.status())
}

/// Posts without waiting for the answer, `count` times; returns once all are accepted.
async fn gather(app: &Service, count: usize) -> JoinSet<reqwest::Result<StatusCode>> {
    let mut posts = JoinSet::new();
    for number in 0..count {
        posts.spawn(post(app.url("/log"), number.to_string()));
    }
    let accepted = eventually("all are accepted", async || {
        (app.lines("entry accepted").len() >= count).then_some(())
    });
    accepted.await;
    posts
}

async fn pending(app: &Service) -> u64 {
    let status: Value = reqwest::get(app.url("/status"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    status["outbox"]["pending"].as_u64().unwrap()
}

#[tokio::test]
async fn killed_between_acceptance_and_delivery_it_delivers_with_its_trace() {
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let (first, directory) = start(&agent.hop).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let ask = Client::new()
        .post(first.url("/log"))
        .json(&json!({"message": "kept"}));
    let ask = ask
        .header("traceparent", traceparent)
        .header("x-request-id", "r-1");
    let caller = tokio::spawn(ask.send());
    eventually("it is accepted", async || {
        first.lines("entry accepted").pop()
    })
    .await;
    let accepted = ids(&first.kill().await);
    assert!(caller.await.unwrap().is_err());
    assert!(agent.stored().await.is_empty());

    let second = Service::start(app(&agent.hop, directory.path())).await;
    assert_eq!(pending(&second).await, 1);
    agent.pass();
    agent.has_once(&accepted).await;
    eventually("the outbox is empty", async || {
        (pending(&second).await == 0).then_some(())
    })
    .await;
    let requests = agent.service().lines("request");
    let delivery = requests
        .iter()
        .find(|line| line["method"] == "POST")
        .unwrap();
    assert_eq!(delivery["traceparent"], traceparent);
    assert_eq!(delivery["request_id"], "r-1");
}

/// What a life of the process told its callers is not known to the next, and kept all the same.
#[tokio::test]
async fn what_was_told_202_before_a_kill_is_kept_aside_when_another_text_is_stored() {
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let directory = tempfile::tempdir().unwrap();
    let mut command = app(&agent.hop, directory.path());
    command.args(["--wait-limit", "1ms"]);
    let first = Service::start(command).await;
    let send = async |app: &Service, message: &str| {
        let ask = Client::new().post(app.url("/log"));
        let ask = ask.header("idempotency-key", "k-1");
        let answer = ask.json(&json!({"message": message})).send().await;
        answer.unwrap().status()
    };
    assert_eq!(send(&first, "told 202").await, 202);
    first.kill().await;
    agent.pass();
    let (other, _directory) = start(&agent.hop).await;
    assert_eq!(send(&other, "stored").await, 201);

    let second = Service::start(app(&agent.hop, directory.path())).await;
    let kept = "another text is stored under this id; this one was accepted and is kept aside";
    eventually("it is kept", async || second.lines(kept).pop()).await;
    for app in [&second, &other] {
        assert_eq!(send(app, "told 202").await, 422);
        assert_eq!(send(app, "stored").await, 201);
    }
    assert_eq!(agent.stored().await.into_values().collect::<Vec<_>>(), [1]);
    // It counts after the next start, too.
    second.kill().await;
    let third = Service::start(app(&agent.hop, directory.path())).await;
    let status: Value = reqwest::get(third.url("/status"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(status["outbox"]["conflicting"], 1);
    let metrics = async |app: &Service| {
        let answer = reqwest::get(app.url("/metrics")).await.unwrap();
        answer.text().await.unwrap()
    };
    let gauge = "custom_app_outbox_entries{state=\"conflicting\"} 1";
    assert!(metrics(&third).await.contains(gauge));
    // Who is answered 422 by the log agent's word alone has nothing set aside.
    assert!(!metrics(&other).await.contains(gauge));
}

#[tokio::test]
async fn a_log_agent_killed_between_commit_and_answer_has_it_once() {
    let mut agent = Agent::start().await;
    agent.hop.set(Mode::Swallow(agent.service().address()));
    let (app, _directory) = start(&agent.hop).await;
    let caller = tokio::spawn(post(app.url("/log"), "once".to_owned()));
    agent.hop.swallowed().await;
    assert_eq!(
        agent.stored().await.len(),
        1,
        "it was committed, and the answer was lost"
    );
    agent.kill_and_start().await;
    assert_eq!(caller.await.unwrap().unwrap(), 201);
    assert_eq!(agent.stored().await.into_values().collect::<Vec<_>>(), [1]);
    let answers = agent.service().lines("entries stored");
    assert_eq!(answers[0]["duplicates"], 1, "it came again, and was known");
}

#[tokio::test]
async fn callers_who_give_up_lose_nothing() {
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let (app, _directory) = start(&agent.hop).await;
    let posts = gather(&app, 30).await;
    // Dropping them closes their connections.
    drop(posts);
    let gone = eventually("every caller's going is seen", async || {
        let lines = app.lines("request");
        (lines.iter().filter(|line| line["status"] == 499).count() == 30).then_some(())
    });
    gone.await;
    agent.pass();
    let accepted = ids(&app.lines("entry accepted"));
    assert_eq!(accepted.len(), 30);
    agent.has_once(&accepted).await;
}

#[tokio::test]
async fn the_same_request_at_two_instances_at_once_is_one_entry() {
    let agent = Agent::start().await;
    let ((one, _first), (two, _second)) = (start(&agent.hop).await, start(&agent.hop).await);
    let client = Client::new();
    let mut posts = JoinSet::new();
    for number in 0..40 {
        for app in [&one, &two, &one] {
            let ask = client
                .post(app.url("/log"))
                .header("x-request-id", format!("r-{number}"));
            posts.spawn(ask.json(&json!({"message": "same"})).send());
        }
    }
    let mut told = BTreeSet::new();
    while let Some(answer) = posts.join_next().await {
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), 201);
        let answer: Value = answer.json().await.unwrap();
        told.insert(answer["entry"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(told.len(), 40);
    let stored = agent.stored().await;
    assert_eq!(stored.keys().cloned().collect::<BTreeSet<_>>(), told);
    assert!(stored.values().all(|count| *count == 1));
}

#[tokio::test]
async fn while_the_log_agent_is_away_entries_are_accepted_and_wait() {
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let directory = tempfile::tempdir().unwrap();
    let mut command = app(&agent.hop, directory.path());
    command.args(["--wait-limit", "50ms"]);
    let app = Service::start(command).await;
    for number in 0..10 {
        assert_eq!(
            post(app.url("/log"), number.to_string()).await.unwrap(),
            202
        );
    }
    assert_eq!(pending(&app).await, 10);
    assert_eq!(
        reqwest::get(app.url("/readyz")).await.unwrap().status(),
        200
    );
    agent.pass();
    agent.has_once(&ids(&app.lines("entry accepted"))).await;
    eventually("the outbox is empty", async || {
        (pending(&app).await == 0).then_some(())
    })
    .await;
    // 201 or, where 50 ms are too few for this machine, 202: delivered either way.
    let again = post(app.url("/log"), "again".to_owned()).await.unwrap();
    assert!(again.is_success(), "{again}");
    agent.has_once(&ids(&app.lines("entry accepted"))).await;
}

#[tokio::test]
async fn a_delay_longer_than_the_callers_patience_is_outlived() {
    let agent = Agent::start().await;
    let delay = Duration::from_secs(2);
    agent.hop.set(Mode::Delay(agent.service().address(), delay));
    let (app, _directory) = start(&agent.hop).await;
    let started = std::time::Instant::now();
    assert_eq!(post(app.url("/log"), "slow".to_owned()).await.unwrap(), 201);
    assert!(started.elapsed() >= delay);
    assert_eq!(agent.stored().await.len(), 1);
}

#[tokio::test]
async fn a_signal_lets_it_deliver_first() {
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let (mut app, _directory) = start(&agent.hop).await;
    let mut posts = gather(&app, 20).await;
    app.signal(Signal::TERM);
    eventually("it drains", async || app.lines("draining").pop()).await;
    agent.pass();
    assert!(app.ended().await.success());
    let drained = eventually("it says so", async || app.lines("drained").pop()).await;
    assert_eq!(drained["remaining"], 0);
    while let Some(answer) = posts.join_next().await {
        assert_eq!(
            answer.unwrap().unwrap(),
            201,
            "requests under way are answered"
        );
    }
    let accepted = ids(&app.lines("entry accepted"));
    assert_eq!(
        agent
            .stored()
            .await
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>(),
        accepted
    );
}

#[tokio::test]
async fn what_the_grace_does_not_suffice_for_waits_for_the_next_start() {
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let directory = tempfile::tempdir().unwrap();
    let mut command = app(&agent.hop, directory.path());
    command.args(["--grace", "100ms"]);
    let mut first = Service::start(command).await;
    drop(gather(&first, 5).await);
    first.signal(Signal::TERM);
    assert!(first.ended().await.success());
    let over = "the grace is over; these entries stay in the outbox for the next start";
    let line = eventually("it says how many remain", async || first.lines(over).pop()).await;
    assert_eq!(line["remaining"], 5);
    agent.pass();
    let _second = Service::start(app(&agent.hop, directory.path())).await;
    agent.has_once(&ids(&first.lines("entry accepted"))).await;
}

#[tokio::test]
async fn an_outbox_that_is_full_says_so_and_takes_nothing() {
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let directory = tempfile::tempdir().unwrap();
    let mut command = app(&agent.hop, directory.path());
    command.args(["--outbox-entries", "3"]);
    let app = Service::start(command).await;
    let posts = gather(&app, 3).await;
    let one_more = Client::new()
        .post(app.url("/log"))
        .json(&json!({"message": "one more"}));
    let refused = one_more.try_clone().unwrap().send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    agent.pass();
    for answer in posts.join_all().await {
        assert_eq!(answer.unwrap(), 201);
    }
    assert_eq!(agent.stored().await.len(), 3);
    assert_eq!(one_more.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_full_disk_accepts_nothing_more_and_loses_nothing() {
    let Some(disk) = Disk::mount(16_000_000) else {
        return;
    };
    let agent = Agent::start().await;
    agent.hop.set(Mode::Down);
    let mut command = disk.command(|folder| app(&agent.hop, folder));
    command.args(["--wait-limit", "1ms"]);
    let app = Service::start(command).await;
    let mut number = 0;
    let refused = loop {
        number += 1;
        match post(app.url("/log"), format!("{number:050000}"))
            .await
            .unwrap()
        {
            StatusCode::ACCEPTED => {}
            status => break status,
        }
    };
    assert_eq!(refused, 503);
    let ready = async || reqwest::get(app.url("/readyz")).await.unwrap().status() == 200;
    eventually("it is not ready", async || (!ready().await).then_some(())).await;
    let accepted = ids(&app.lines("entry accepted"));
    assert!(accepted.len() > 10, "{}", accepted.len());

    // With the log agent back, what is there is handed over, and makes room again.
    agent.pass();
    agent.has_once(&accepted).await;
    eventually("the outbox is empty", async || {
        (pending(&app).await == 0).then_some(())
    })
    .await;
    eventually("it is ready again", async || ready().await.then_some(())).await;
    let again = post(app.url("/log"), "again".to_owned()).await.unwrap();
    assert!(again.is_success(), "{again}");
}

/// 200 callers at two instances, some impatient, while both instances and the log agent are killed.
#[tokio::test]
async fn through_kills_of_everything_each_accepted_entry_is_there_once() {
    let mut agent = Agent::start().await;
    let (one, first_directory) = start(&agent.hop).await;
    let (two, second_directory) = start(&agent.hop).await;
    let mut posts = JoinSet::new();
    for number in 0..200_u64 {
        let app = if number % 2 == 0 { &one } else { &two };
        let ask = Client::new()
            .post(app.url("/log"))
            .json(&json!({"message": number.to_string()}));
        let patience = if number % 3 == 0 {
            Duration::from_millis(20 + number)
        } else {
            Duration::from_secs(60)
        };
        posts.spawn(ask.timeout(patience).send());
    }
    let (mut lines, mut restarted) = (Vec::new(), Vec::new());
    for (app, directory) in [(one, &first_directory), (two, &second_directory)] {
        eventually("it has accepted some", async || {
            (app.lines("entry accepted").len() >= 20).then_some(())
        })
        .await;
        lines.extend(app.kill().await);
        restarted.push(Service::start(self::app(&agent.hop, directory.path())).await);
        agent.kill_and_start().await;
    }
    assert_eq!(posts.join_all().await.len(), 200);
    let accepted = ids(&lines);
    assert!(accepted.len() >= 40, "{}", accepted.len());
    agent.has_once(&accepted).await;
    for app in &restarted {
        eventually("the outbox is empty", async || {
            (pending(app).await == 0).then_some(())
        })
        .await;
    }
    agent.has_once(&accepted).await;
}

#[tokio::test]
async fn bad_flags_are_refused_by_name() {
    for (flag, value) in [
        ("--log-agent-url", "log-agent:8080"),
        ("--source", "a\nb"),
        ("--wait-limit", "soon"),
        ("--outbox-bytes", "-1"),
        ("--colour", "red"),
    ] {
        let mut command = command(env!("CARGO_BIN_EXE_custom-app"));
        let output = command
            .arg(format!("{flag}={value}"))
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(
            String::from_utf8(output.stderr).unwrap().contains(flag),
            "{flag}"
        );
    }
    let mut command = command(env!("CARGO_BIN_EXE_custom-app"));
    let output = command
        .env("CUSTOM_APP_LISTEN", "nowhere")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("--listen")
    );
}

//! The oldest entries go, by size and by age: while writers and readers go on, in real files.
#![cfg(test)]

mod engines;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engines::Engine;
use faultline_service_testing::events::Events;
use faultline_service_testing::eventually;
use faultline_service_testing::process::Service;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;
use uuid::Uuid;

const MIB: u64 = 1024 * 1024;

/// The bytes that the files may be beyond the bound, as docs/api.md says.
const MARGIN: u64 = 32 * MIB;

async fn agent(data_dir: &Path, flags: &[&str]) -> Service {
    let mut command = Command::new(env!("CARGO_BIN_EXE_log-agent"));
    command
        .args(["--listen", "127.0.0.1:0", "--drain-delay", "0s"])
        .arg("--data-dir")
        .arg(data_dir)
        .args(flags);
    Service::start(command).await
}

fn entry(message: String) -> Value {
    json!({
        "id": Uuid::new_v4(), "time": "2026-11-22T12:00:00Z", "level": "info",
        "message": message, "source": "test",
    })
}

async fn post(client: &Client, agent: &Service, entries: &[Value]) -> StatusCode {
    let post = client.post(agent.url("/log")).json(&entries);
    post.send().await.unwrap().status()
}

async fn get(url: String) -> Value {
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.json().await.unwrap()
}

/// Every message there is, newest first.
async fn messages(agent: &Service) -> Vec<String> {
    let (mut messages, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(agent.url(&format!("/logs?limit=1000{after}"))).await;
        for entry in page["entries"].as_array().unwrap() {
            messages.push(entry["message"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return messages,
        }
    }
}

/// The value of a metric with its labels; not a number before there is one.
async fn metric(agent: &Service, name: &str) -> f64 {
    let metrics = reqwest::get(agent.url("/metrics")).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(f64::NAN, |value| value.trim().parse().unwrap())
}

fn bytes_on_disk(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).unwrap();
    // One that is gone by now takes no room.
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

const REMOVED_BY_SIZE: &str = r#"log_agent_entries_removed_total{reason="size"}"#;
const REMOVED_BY_AGE: &str = r#"log_agent_entries_removed_total{reason="age"}"#;

/// Looks at the disk all the time; the most that it saw.
struct Watch {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn start(directory: &Path) -> Self {
        let (most, over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (seen, ended, directory) = (most.clone(), over.clone(), directory.to_owned());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                seen.fetch_max(bytes_on_disk(&directory), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { most, over, thread }
    }

    fn most(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

/// Writes `bytes` of messages of this length from several callers, each in batches, while others
/// read and search without a pause. Every batch must be stored. Returns how many entries there were.
async fn burst(agent: &Arc<Service>, bytes: u64, length: usize, batch: usize) -> u64 {
    const WRITERS: usize = 6;
    let batches = usize::try_from(bytes).unwrap() / length / batch / WRITERS;
    let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
    for writer in 0..WRITERS {
        let agent = agent.clone();
        writers.spawn(async move {
            let client = Client::new();
            for number in 0..batches {
                let text = |index| format!("{writer}-{number}-{index} ");
                let of = |index| entry(text(index).repeat(length / text(index).len() + 1));
                let entries: Vec<Value> = (0..batch).map(of).collect();
                assert_eq!(post(&client, &agent, &entries).await, 201);
            }
        });
    }
    for query in ["q=nowhere", "limit=1000", "level=info&q=x", "q=9-9"] {
        let agent = agent.clone();
        readers.spawn(async move {
            loop {
                let answer = reqwest::get(agent.url(&format!("/logs?{query}"))).await;
                let _ = answer.unwrap().bytes().await;
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    (batches * batch * WRITERS) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_stay_within_their_bound_while_writers_go_on() {
    const BOUND: u64 = 4 * MIB;
    // Long texts fill pages of the table; short ones, with ids in no order, pages of the indexes.
    for (bytes, length, batch) in [(10 * BOUND, 20_000, 10), (BOUND / 4, 20, 256)] {
        let directory = tempfile::tempdir().unwrap();
        let agent = agent(directory.path(), &["--retain-bytes", "4MiB"]).await;
        let agent = Arc::new(agent);
        let (watch, started) = (Watch::start(directory.path()), Instant::now());
        let written = burst(&agent, bytes, length, batch).await;
        let most = watch.most();
        assert!(
            most <= BOUND + MARGIN,
            "{most} bytes with texts of {length}"
        );
        assert!(most > BOUND, "nothing had to go: {most} bytes");
        println!(
            "at most {most} bytes for a bound of {BOUND}, {:?}",
            started.elapsed()
        );
        let kept = eventually("the removals end, and each is counted", async || {
            let used = metric(&agent, r#"log_agent_store_bytes{state="used"}"#).await;
            let kept = messages(&agent).await.len() as f64;
            let removed = metric(&agent, REMOVED_BY_SIZE).await;
            let entries = metric(&agent, "log_agent_entries ").await;
            let counted = kept + removed == written as f64 && entries == kept;
            (used <= BOUND as f64 && counted).then_some(kept as u64)
        })
        .await;
        assert!(kept > 0 && kept < written, "{kept} of {written}");
        let lines = agent.lines("entries removed");
        let logged: u64 = lines
            .iter()
            .map(|line| line["size"].as_u64().unwrap())
            .sum();
        assert!(logged > 0 && logged <= written - kept, "{logged}");
        // A run, not a transaction, has one.
        assert!((lines.len() as u64) < written / 10, "{}", lines.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_is_lowered_takes_the_oldest_and_gives_the_disk_back() {
    let directory = tempfile::tempdir().unwrap();
    let client = Client::new();
    let before = agent(directory.path(), &["--retain-bytes", "none"]).await;
    for number in 0..40 {
        let of = |index| entry(format!("{:060000}", number * 10 + index));
        let entries: Vec<Value> = (0..10).map(of).collect();
        assert_eq!(post(&client, &before, &entries).await, 201);
    }
    assert!(bytes_on_disk(directory.path()) > 24 * MIB);
    before.kill().await;

    let after = agent(directory.path(), &["--retain-bytes", "2MiB"]).await;
    assert_eq!(post(&client, &after, &[entry("new".to_owned())]).await, 201);
    // 8 MiB of slack, and a WAL of 8 MiB.
    eventually("the files become small", async || {
        let used = metric(&after, r#"log_agent_store_bytes{state="used"}"#).await;
        let small = bytes_on_disk(directory.path()) <= 18 * MIB;
        (small && used <= 2.0 * MIB as f64).then_some(())
    })
    .await;
    let kept = messages(&after).await;
    assert!((10..60).contains(&kept.len()), "{}", kept.len());
    let newest = (0..400).rev().map(|number| format!("{number:060000}"));
    let newest: Vec<String> = std::iter::once("new".to_owned()).chain(newest).collect();
    assert!(newest.starts_with(&kept), "the newest stay");
}

#[tokio::test]
async fn age_counts_from_the_storing_whatever_time_an_entry_says() {
    const AGE: Duration = Duration::from_secs(3);
    let directory = tempfile::tempdir().unwrap();
    let agent = agent(directory.path(), &["--retain-age", "3s"]).await;
    let client = Client::new();
    let of = |time: &str| {
        let mut entry = entry(time.to_owned());
        entry["time"] = json!(time);
        entry
    };
    let past = of("1970-01-01T00:00:00Z");
    let entries = [past, of("9999-01-01T00:00:00Z"), of("2026-11-22T12:00:00Z")];
    let stored = Instant::now();
    assert_eq!(post(&client, &agent, &entries).await, 201);
    let newest = eventually("they go", async || {
        let messages = messages(&agent).await;
        (messages.len() < 3).then_some(messages)
    })
    .await;
    assert!(stored.elapsed() >= AGE, "{:?}", stored.elapsed());
    // The newest stays, whatever its age.
    assert_eq!(newest, ["2026-11-22T12:00:00Z"]);
    eventually("it is counted", async || {
        let oldest = metric(&agent, "log_agent_oldest_entry_timestamp_seconds").await;
        // 2026-11-22T12:00:00Z
        let told = metric(&agent, REMOVED_BY_AGE).await == 2.0 && oldest == 1_795_348_800.0;
        told.then_some(())
    })
    .await;
    let line = eventually("a line", async || agent.lines("entries removed").pop()).await;
    assert_eq!((&line["age"], &line["size"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn an_id_is_known_as_long_as_its_entry_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let agent = agent(directory.path(), &["--retain-age", "1s"]).await;
    let client = Client::new();
    let (first, last) = (entry("first".to_owned()), entry("last".to_owned()));
    assert_eq!(
        post(&client, &agent, &[first.clone(), last.clone()]).await,
        201
    );
    eventually("the first goes", async || {
        (messages(&agent).await == ["last"]).then_some(())
    })
    .await;
    // Sent again it is an entry like any other; the one still there is not stored twice.
    let again = client.post(agent.url("/log")).json(&[last, first]);
    let receipts: Value = again.send().await.unwrap().json().await.unwrap();
    assert_eq!(receipts["entries"][0]["outcome"], "duplicate");
    assert_eq!(receipts["entries"][1]["outcome"], "stored");
    assert_eq!(messages(&agent).await[0], "first");
}

#[tokio::test]
async fn pages_and_streams_go_on_where_entries_were_removed() {
    let directory = tempfile::tempdir().unwrap();
    let client = Client::new();
    let before = agent(directory.path(), &["--retain-age", "none"]).await;
    let follow = |agent: &Service| client.get(agent.url("/logs/stream"));
    let stream = follow(&before).send().await.unwrap();
    let entries: Vec<Value> = (0..50).map(|number| entry(number.to_string())).collect();
    assert_eq!(post(&client, &before, &entries).await, 201);
    let mut events = Events::of(stream);
    let (third, entry_of_third) = {
        let _ = events.next().await.unwrap();
        let _ = events.next().await.unwrap();
        events.next().await.unwrap()
    };
    assert_eq!(entry_of_third["message"], "2");
    let page = get(before.url("/logs?limit=40")).await;
    let next = page["next"].as_str().unwrap().to_owned();
    drop(events);
    before.kill().await;

    let after = agent(directory.path(), &["--retain-age", "1s"]).await;
    eventually("all but the newest go", async || {
        (messages(&after).await == ["49"]).then_some(())
    })
    .await;
    let rest = get(after.url(&format!("/logs?after={next}"))).await;
    assert_eq!(rest, json!({"entries": [], "next": null}));
    let rest = get(after.url(&format!("/logs?q=4&after={next}"))).await;
    assert_eq!(rest, json!({"entries": [], "next": null}));

    let mut stream = follow(&after)
        .header("last-event-id", third)
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    while !text.contains(r#""message":"49""#) {
        let chunk = stream.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    // Entries 3 to 48 are gone.
    let expected = "event: removed\ndata: {\"entries\":46}\n\n";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(text.matches("data:").count(), 2, "{text}");

    // Positions do not come back: a reader that has seen everything sees only new entries.
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap();
    let resumed = follow(&after).header("last-event-id", id);
    let mut events = Events::of(resumed.send().await.unwrap());
    assert_eq!(post(&client, &after, &[entry("new".to_owned())]).await, 201);
    assert_eq!(events.next().await.unwrap().1["message"], "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_removal_overtakes_is_told_how_much_it_missed() {
    for engine in Engine::each().await {
        println!("on {}", engine.name());
        let store = ["--store", &engine.url(), "--retain-bytes", "1MiB"];
        overtakes(&agent(Path::new("/"), &store).await).await;
    }
}

async fn overtakes(agent: &Service) {
    let client = Client::builder().http1_only().build().unwrap();
    let mut stream = client.get(agent.url("/logs/stream")).send().await.unwrap();
    // Far more than the sockets between hold, of which nobody reads a byte.
    const ENTRIES: u64 = 600;
    for number in 0..ENTRIES / 20 {
        // Text that PostgreSQL cannot compress.
        let text = || (0..1_400).map(|_| Uuid::new_v4().simple().to_string());
        let of = |index| {
            entry(format!(
                "{} {}",
                number * 20 + index,
                text().collect::<String>()
            ))
        };
        let entries: Vec<Value> = (0..20).map(of).collect();
        assert_eq!(post(&client, agent, &entries).await, 201);
    }
    let (mut text, mut seen, mut removed, mut last) = (String::new(), 0, 0, None);
    while last != Some(ENTRIES - 1) {
        let chunk = stream.chunk().await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&chunk));
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else {
                continue;
            };
            let data: Value = serde_json::from_str(data).unwrap();
            if event.starts_with("event: removed\n") {
                removed += data["entries"].as_u64().unwrap();
            } else {
                let message = data["message"].as_str().unwrap();
                let number: u64 = message.split(' ').next().unwrap().parse().unwrap();
                assert!(last < Some(number), "in order");
                (seen, last) = (seen + 1, Some(number));
                assert_eq!(
                    seen + removed,
                    number + 1,
                    "each is seen or said to be gone"
                );
            }
        }
    }
    assert!(removed > 0, "the reader was never overtaken");
}

/// Version 1 of the schema, as it is in files that are there.
const VERSION_1: &str = include_str!("version_1.sql");

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_version_1_is_taken_over_and_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let database = faultline_service::sqlite::open(directory.path(), "entries.db", &[VERSION_1]);
    let mut database = database.await.unwrap();
    let connection = database.writer.begin().await.unwrap();
    sqlx::query(
        "WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
         INSERT INTO entries (id, time, level, message, source)
         SELECT randomblob(16), '2026-11-22T12:00:00Z', 'info', printf('%01000d', n), 'test' FROM numbers",
    )
    .execute(connection)
    .await
    .unwrap();
    database.writer.commit().await.unwrap();
    drop(database);

    let lock_is_free = eventually("the file is closed", async || {
        let lock = std::fs::File::open(directory.path().join("lock")).unwrap();
        lock.try_lock().ok()
    });
    lock_is_free.await;
    let agent = agent(directory.path(), &["--retain-bytes", "4MiB"]).await;
    let newest = get(agent.url("/log")).await;
    assert_eq!(newest["entry"]["message"], format!("{:01000}", 20_000));
    eventually("the store is within its bound", async || {
        let used = metric(&agent, r#"log_agent_store_bytes{state="used"}"#).await;
        (used <= 4.0 * MIB as f64).then_some(())
    })
    .await;
    // By age none of it goes: it counts from now on.
    assert_eq!(metric(&agent, REMOVED_BY_AGE).await, 0.0);
    let kept = messages(&agent).await;
    assert_eq!(kept[0], format!("{:01000}", 20_000));
    assert!((1_000..5_000).contains(&kept.len()), "{}", kept.len());
}

#[tokio::test]
async fn what_is_no_bound_is_refused_by_name() {
    for (flag, value) in [
        ("--retain-bytes", "1KiB"),
        ("--retain-bytes", "lots"),
        ("--retain-age", "0s"),
        ("--retain-age", "ever"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_log-agent"));
        let output = command
            .arg(format!("{flag}={value}"))
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(flag) && said.contains("or none"), "{said}");
    }
}

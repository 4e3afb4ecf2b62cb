//! The log agent as a process: killed, signalled, out of space, without a place to write.
#![cfg(test)]

mod engines;

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use engines::Engine;
use faultline_service_testing::disk::Disk;
use faultline_service_testing::events::Events;
use faultline_service_testing::eventually;
use faultline_service_testing::process::{Service, Signal, command, run};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use uuid::Uuid;

fn agent(data_dir: &Path) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_log-agent"));
    command
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir);
    command.env("LOG_AGENT_DRAIN_DELAY", "0s");
    command
}

fn entry(message: &str) -> Value {
    json!({
        "id": Uuid::now_v7(), "time": "2026-11-22T12:00:00Z", "level": "info",
        "message": message, "source": "test",
    })
}

async fn post(client: &Client, url: &str, body: &Value) -> reqwest::Result<StatusCode> {
    Ok(client
        .post(format!("{url}/log"))
        .json(body)
        .send()
        .await?
        .status())
}

/// How often each id is stored.
async fn stored(agent: &Service) -> BTreeMap<String, usize> {
    let (mut stored, mut query) = (BTreeMap::new(), String::new());
    loop {
        let page = reqwest::get(agent.url(&format!("/logs?limit=1000{query}")))
            .await
            .unwrap();
        let page: Value = page.json().await.unwrap();
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

async fn is_ready(agent: &Service) -> bool {
    reqwest::get(agent.url("/readyz")).await.unwrap().status() == 200
}

/// It says that it cannot write, and is ready all the same.
async fn only_reads(agent: &Service) -> bool {
    let ready = reqwest::get(agent.url("/readyz")).await.unwrap();
    assert_eq!(ready.status(), 200, "what is stored can be read");
    let ready: Value = ready.json().await.unwrap();
    let metrics = reqwest::get(agent.url("/metrics")).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let writable = metrics.lines().any(|line| line == "store_writable 1");
    let impaired = json!({"status": "impaired", "impaired": {"store": "no space left"}});
    ready == impaired && !writable
}

#[tokio::test]
async fn what_was_confirmed_survives_kill_9() {
    for engine in Engine::each().await {
        println!("on {}", engine.name());
        survives_kill_9(&engine.url()).await;
    }
}

async fn survives_kill_9(store: &str) {
    let agent = || {
        let mut command = agent(Path::new("/"));
        command.args(["--store", store]);
        command
    };
    let agent_before = Service::start(agent()).await;
    let (client, url) = (Client::new(), agent_before.url(""));
    let mut posts = JoinSet::new();
    for number in 0..300 {
        let (client, url, entry) = (client.clone(), url.clone(), entry(&number.to_string()));
        posts.spawn(async move {
            let answer = post(&client, &url, &entry).await;
            (
                entry["id"].as_str().unwrap().to_owned(),
                answer.is_ok_and(|status| status == 201),
            )
        });
    }
    let mut confirmed = Vec::new();
    let mut agent_before = Some(agent_before);
    while let Some(answer) = posts.join_next().await {
        let (id, is_confirmed) = answer.unwrap();
        confirmed.extend(is_confirmed.then_some(id));
        if confirmed.len() >= 50
            && let Some(agent) = agent_before.take()
        {
            agent.kill().await;
        }
    }
    assert!(
        agent_before.is_none(),
        "fewer than 50 of 300 were confirmed: {}",
        confirmed.len()
    );
    let agent_after = Service::start(agent()).await;
    let stored = stored(&agent_after).await;
    assert!(confirmed.iter().all(|id| stored.get(id) == Some(&1)));
    assert!(stored.values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_full_store_takes_nothing_by_half() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = agent(directory.path());
    command.args(["--max-store-bytes", "400000"]);
    let agent = Service::start(command).await;
    let (client, url) = (Client::new(), agent.url(""));
    let mut kept = 0;
    let full = loop {
        match post(&client, &url, &entry(&"x".repeat(20_000)))
            .await
            .unwrap()
        {
            StatusCode::CREATED => kept += 1,
            status => break status,
        }
    };
    assert_eq!(full, StatusCode::INSUFFICIENT_STORAGE);
    assert!(kept > 5, "{kept}");
    // Each would fit; together they do not, so none is kept.
    let many: Vec<Value> = (0..40).map(|_| entry(&"y".repeat(1_000))).collect();
    let refused = client
        .post(format!("{url}/log"))
        .json(&many)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 507);
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(stored(&agent).await.len(), kept);
    eventually("it says that it only reads", async || {
        only_reads(&agent).await.then_some(())
    })
    .await;
    assert_eq!(
        reqwest::get(agent.url("/healthz")).await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn a_full_disk_is_said_and_outlived() {
    let Some(disk) = Disk::mount(1_000_000) else {
        return;
    };
    let agent = Service::start(disk.command(agent)).await;
    let (client, url) = (Client::new(), agent.url(""));
    let mut kept = 0;
    while post(&client, &url, &entry(&"x".repeat(50_000)))
        .await
        .unwrap()
        == 201
    {
        kept += 1;
    }
    assert!(kept > 2, "{kept}");
    assert_eq!(stored(&agent).await.len(), kept);
    eventually("it says that it only reads", async || {
        only_reads(&agent).await.then_some(())
    })
    .await;
    assert_eq!(stored(&agent).await.len(), kept, "it is still read");
    // Also by one that starts on the full disk.
    agent.kill().await;
    let agent = Service::start(disk.command(self::agent)).await;
    assert!(is_ready(&agent).await);
    assert_eq!(stored(&agent).await.len(), kept);
    let url = agent.url("");
    disk.resize(20_000_000);
    eventually("it writes again", async || {
        (!only_reads(&agent).await).then_some(())
    })
    .await;
    assert_eq!(post(&client, &url, &entry("again")).await.unwrap(), 201);
    assert_eq!(stored(&agent).await.len(), kept + 1);
}

#[tokio::test]
async fn without_a_place_to_write_it_says_why_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = async |command: Command| {
        let (status, lines) = run(command).await;
        assert_eq!(status.code(), Some(1));
        let last = lines.last().unwrap();
        assert_eq!(last["message"], "stopped");
        last["reason"].as_str().unwrap().to_owned()
    };
    let reason = refusal(agent(&directory.path().join("none"))).await;
    assert!(reason.contains("is missing"), "{reason}");

    let reason = refusal(unwritable(directory.path())).await;
    assert!(
        reason.contains("cannot write in the data directory"),
        "{reason}"
    );

    let directory = tempfile::tempdir().unwrap();
    let _first = Service::start(agent(directory.path())).await;
    let reason = refusal(agent(directory.path())).await;
    assert!(reason.contains("in use by another process"), "{reason}");
}

/// The agent on a directory that its user may not write. Root may write anywhere, so it becomes
/// somebody else, from a copy of the binary that everybody can reach.
fn unwritable(directory: &Path) -> Command {
    let data_dir = directory.join("read-only");
    let binary = directory.join("log-agent");
    std::fs::create_dir(&data_dir).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_log-agent"), &binary).unwrap();
    for path in [directory, &data_dir, &binary] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o555)).unwrap();
    }
    let mut command = Command::new(binary);
    command
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data_dir);
    if chown(&data_dir, Some(65532), Some(65532)).is_ok() {
        command.uid(65532).gid(65532);
    }
    command
}

#[tokio::test]
async fn a_signal_ends_streams_and_then_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut agent = Service::start(agent(directory.path())).await;
    let mut stream = reqwest::get(agent.url("/logs/stream")).await.unwrap();
    agent.signal(Signal::TERM);
    while stream.chunk().await.unwrap().is_some() {}
    assert!(agent.ended().await.success());
    eventually("it says so", async || agent.lines("drained").pop()).await;
}

#[tokio::test]
async fn while_it_drains_it_serves_but_is_not_ready_and_a_second_signal_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = agent(directory.path());
    command.args(["--drain-delay", "1h"]);
    let mut agent = Service::start(command).await;
    assert!(is_ready(&agent).await);
    agent.signal(Signal::INT);
    eventually("it drains", async || agent.lines("draining").pop()).await;
    assert!(!is_ready(&agent).await);
    assert_eq!(
        post(&Client::new(), &agent.url(""), &entry("late"))
            .await
            .unwrap(),
        201
    );
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().await.code(), Some(1));
}

#[tokio::test]
async fn every_request_has_its_line_even_when_its_caller_goes() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Service::start(agent(directory.path())).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let ask = Client::new().get(agent.url("/logs/stream?not=logged"));
    let stream = ask
        .header("x-request-id", "r-7")
        .header("x-envoy-attempt-count", "2")
        .header("user-agent", "tester/1")
        .header("traceparent", traceparent)
        .header("x-forwarded-client-cert", "By=spiffe://a;URI=spiffe://b")
        .send()
        .await
        .unwrap();
    assert_eq!(stream.status(), 200);
    drop(stream);
    let line = eventually("the line", async || agent.lines("request").pop()).await;
    let expected = json!({
        "method": "GET", "path": "/logs/stream", "status": 499, "request_id": "r-7", "attempt": 2,
        "user_agent": "tester/1", "traceparent": traceparent,
        "forwarded_client_cert": "By=spiffe://a;URI=spiffe://b",
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&line[field], value, "{field}");
    }
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);

    reqwest::get(agent.url("/healthz")).await.unwrap();
    reqwest::get(agent.url("/nowhere")).await.unwrap();
    let lines = eventually("the last line", async || {
        let lines = agent.lines("request");
        (lines.last()?["path"] == "/nowhere").then_some(lines)
    });
    assert_eq!(lines.await.len(), 2, "health has no line");
}

/// What the answer to these bytes begins with.
async fn raw(agent: &Service, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(agent.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    String::from_utf8_lossy(&status).into_owned()
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Service::start(agent(directory.path())).await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "a".repeat(70_000)
    );
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101));
    for (bytes, status) in [
        (&b"GARBAGE\r\n\r\n"[..], "HTTP/1.1 400"),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            "HTTP/1.1 400",
        ),
        (long.as_bytes(), "HTTP/1.1 431"),
        (many.as_bytes(), "HTTP/1.1 431"),
        (
            b"GET http://elsewhere/nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
            "HTTP/1.1 404",
        ),
        (b"BREW /log HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 405"),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 404"),
        (
            b"GET /logs?q=%zz HTTP/1.1\r\nhost: x\r\n\r\n",
            "HTTP/1.1 200",
        ),
        (
            b"GET /logs HTTP/1.1\r\nhost: x\r\nx-request-id: \xff\xfe\r\n\r\n",
            "HTTP/1.1 200",
        ),
    ] {
        assert_eq!(
            raw(&agent, bytes).await,
            status,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    assert!(is_ready(&agent).await);
}

#[tokio::test]
async fn slow_readers_of_a_stream_cost_no_memory_and_lose_nothing() {
    const ENTRIES: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let agent = Service::start(agent(directory.path())).await;
    let client = Client::builder().http1_only().build().unwrap();
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(client.get(agent.url("/logs/stream")).send().await.unwrap());
    }
    let first = entry("first");
    assert_eq!(post(&client, &agent.url(""), &first).await.unwrap(), 201);
    let before = agent.resident_bytes();
    // 12 MB, of which nobody reads a byte.
    for number in 0..ENTRIES {
        let message = format!("{number:060000}");
        assert_eq!(
            post(&client, &agent.url(""), &entry(&message))
                .await
                .unwrap(),
            201
        );
    }
    let grown = agent.resident_bytes().saturating_sub(before);
    assert!(
        grown < 24_000_000,
        "{grown} bytes for 4 readers of 12 MB each"
    );
    println!("resident memory grew by {grown} bytes");
    for stream in streams {
        let mut events = Events::of(stream);
        assert_eq!(events.next().await.unwrap().1, first);
        for number in 0..ENTRIES {
            let (_, entry) = events.next().await.unwrap();
            let message = entry["message"].as_str().unwrap();
            assert_eq!(
                message.parse::<usize>().unwrap(),
                number,
                "in order, none left out"
            );
        }
    }
}

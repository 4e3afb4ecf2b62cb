//! A database that is not there, or not as it must be: said in one sentence, outlived, and nothing is
//! lost or doubled.
#![cfg(test)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use faultline_service_testing::eventually;
use faultline_service_testing::postgres::{ASKED, PASSWORD, Postgres};
use faultline_service_testing::process::{Service, Signal, command};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// The log agent on the database whose URL is in a file.
async fn agent(url_file: &Path) -> Service {
    let mut command = command(env!("CARGO_BIN_EXE_log-agent"));
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--drain-delay",
            "0s",
            "--store-url-file",
        ])
        .arg(url_file);
    Service::start(command).await
}

/// A folder with a file that holds this URL.
fn file_with(url: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("url"), format!("{url}\n")).unwrap();
    folder
}

fn entry(message: &str) -> Value {
    json!({
        "id": Uuid::now_v7(), "time": "2026-11-22T12:00:00Z", "level": "info",
        "message": message, "source": "test",
    })
}

async fn post(agent: &Service, entries: &Value) -> (StatusCode, Value) {
    let post = Client::new().post(agent.url("/log")).json(entries);
    let answer = post.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// Why it is not ready; none where it is.
async fn not_ready(agent: &Service) -> Option<String> {
    let answer = reqwest::get(agent.url("/readyz")).await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status == 503).then_some(text)
}

async fn is_ready_again(agent: &Service) {
    eventually("it is ready", async || {
        not_ready(agent).await.is_none().then_some(())
    })
    .await;
    let live = reqwest::get(agent.url("/healthz")).await.unwrap();
    assert_eq!(live.status(), 200);
}

/// How often each message is stored.
async fn stored(agent: &Service) -> BTreeMap<String, usize> {
    let page = reqwest::get(agent.url("/logs?limit=1000")).await.unwrap();
    let page: Value = page.json().await.unwrap();
    let mut stored = BTreeMap::new();
    for entry in page["entries"].as_array().unwrap() {
        let message = entry["message"].as_str().unwrap();
        *stored.entry(message.to_owned()).or_default() += 1;
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_the_url_is_said_in_a_sentence_and_mended_without_a_restart() {
    let Some(server) = Postgres::shared().await else {
        return;
    };
    let database = server.database().await;
    let user = format!(
        "CREATE USER {ASKED} PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE {database} TO {ASKED}"
    );
    server.execute("postgres", &user).await;
    let (address, right) = (server.address(), server.url(&database));
    let word: String = form(PASSWORD);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = file_with("");
    let url_file = folder.path().join("url");
    let agent = agent(&url_file).await;
    for (url, sentence) in [
        (
            String::new(),
            "the store's URL is none: expected postgres://".to_owned(),
        ),
        (
            format!("postgres://{ASKED}:{word}@{address}:x/{database}"),
            "the store's URL is none".to_owned(),
        ),
        (
            format!("mysql://{ASKED}:{word}@{address}/{database}"),
            "the store's URL is none".to_owned(),
        ),
        (
            format!("{right}?password_file={word}"),
            "that is not known: password_file".to_owned(),
        ),
        (
            format!("postgres://{ASKED}:{word}wrong@{address}/{database}"),
            format!(
                "the database {database} of PostgreSQL at {address} refuses: password authentication failed"
            ),
        ),
        (
            server.url("nowhere"),
            r#"refuses: database \"nowhere\" does not exist; create it"#.to_owned(),
        ),
        (
            format!("postgres://me:{word}@{nobody}/{database}"),
            format!("cannot reach the database {database} of PostgreSQL at {nobody}"),
        ),
        (
            format!("{right}?sslmode=require"),
            "cannot use the database".to_owned(),
        ),
    ] {
        std::fs::write(&url_file, &url).unwrap();
        let said = eventually(&sentence, async || {
            not_ready(&agent)
                .await
                .filter(|said| said.contains(&sentence))
        })
        .await;
        assert!(!said.contains(&word), "{said}");
        let live = reqwest::get(agent.url("/healthz")).await.unwrap();
        assert_eq!(live.status(), 200);
        for path in ["/log", "/logs", "/logs?q=x"] {
            let read = reqwest::get(agent.url(path)).await.unwrap();
            assert_eq!(read.status(), 503, "{path}");
        }
        let (status, problem) = post(&agent, &entry("x")).await;
        assert_eq!(status, 503);
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(detail, "the store cannot be reached now; nothing was done");
    }
    std::fs::remove_file(&url_file).unwrap();
    eventually("the file is missed", async || {
        let said = not_ready(&agent).await?;
        said.contains("cannot read the file with the store's URL")
            .then_some(())
    })
    .await;
    let asked = format!("postgres://{ASKED}:{word}@{address}/{database}");
    std::fs::write(&url_file, asked).unwrap();
    is_ready_again(&agent).await;
    assert_eq!(post(&agent, &entry("x")).await.0, 201);
    for line in agent.kill().await {
        let line = line.to_string();
        assert!(!line.contains(&word) && !line.contains(PASSWORD), "{line}");
    }
}

/// As a URL has it.
fn form(text: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[tokio::test]
async fn help_does_not_tell_what_the_environment_says() {
    let mut help = command(env!("CARGO_BIN_EXE_log-agent"));
    help.env("LOG_AGENT_STORE", "postgres://me:s3cr3t@db/logs");
    let output = help.arg("--help").output().await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("[env: LOG_AGENT_STORE]"), "{told}");
    assert!(!told.contains("s3cr3t"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_verified_where_the_url_asks_for_it() {
    let Some(server) = Postgres::start().await else {
        return;
    };
    let of = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (of.cert.pem(), of.signing_key.serialize_pem());
    server.encrypt(&certificate, &key).await;
    let database = server.database().await;
    let url = format!("{}?sslmode=verify-full", server.url(&database));
    let folder = file_with(&url);
    let (url_file, authorities) = (folder.path().join("url"), folder.path().join("ca.pem"));
    let agent = agent(&url_file).await;
    let said = not_ready(&agent).await.unwrap();
    assert!(said.contains("invalid peer certificate"), "{said}");
    std::fs::write(&authorities, certificate).unwrap();
    let known = format!("{url}&sslrootcert={}", authorities.display());
    std::fs::write(&url_file, known).unwrap();
    is_ready_again(&agent).await;
    assert_eq!(post(&agent, &entry("encrypted")).await.0, 201);
    let mut connection = server.connect(&database).await.unwrap();
    let plain: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND NOT ssl AND client_addr IS NOT NULL",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(plain, 0, "all its connections are encrypted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_comes_back_by_itself() {
    let Some(mut server) = Postgres::start().await else {
        return;
    };
    let database = server.database().await;
    let folder = file_with(&server.url(&database));
    server.stop().await;
    // Away at the start.
    let agent = agent(&folder.path().join("url")).await;
    let said = not_ready(&agent).await.unwrap();
    assert!(said.contains("cannot reach the database"), "{said}");
    server.run().await;
    is_ready_again(&agent).await;
    let mut expected = BTreeMap::new();
    let mut store = async |message: &str| {
        let (status, _) = post(&agent, &entry(message)).await;
        assert_eq!(status, 201, "{message}");
        expected.insert(message.to_owned(), 1);
    };
    store("first").await;
    // Restarted, and nobody noticed.
    server.stop().await;
    server.run().await;
    is_ready_again(&agent).await;
    eventually("it is read again", async || {
        let read = reqwest::get(agent.url("/log")).await.unwrap();
        (read.status() == 200).then_some(())
    })
    .await;
    is_ready_again(&agent).await;
    eventually("it is written again", async || {
        let (status, _) = post(&agent, &entry("restarted")).await;
        (status == 201).then_some(())
    })
    .await;
    // Killed, and away for a while.
    server.kill().await;
    eventually("it is missed", async || not_ready(&agent).await).await;
    assert_eq!(post(&agent, &entry("lost")).await.0, 503);
    server.run().await;
    is_ready_again(&agent).await;
    store("back").await;
    expected.insert("restarted".to_owned(), 1);
    assert_eq!(stored(&agent).await, expected);
    let lines = agent.lines("broken");
    assert!(
        lines.iter().all(|line| line["reason"].is_string()),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_given_up_and_taken_up_again() {
    let Some(server) = Postgres::start().await else {
        return;
    };
    let database = server.database().await;
    let folder = file_with(&server.url(&database));
    let agent = agent(&folder.path().join("url")).await;
    assert_eq!(post(&agent, &entry("before")).await.0, 201);
    server.signal(Signal::STOP);
    let during = entry("during");
    let (answer, said) = tokio::join!(
        post(&agent, &during),
        eventually("it is given up", async || not_ready(&agent).await)
    );
    assert!(said.contains("does not answer within"), "{said}");
    // It was sent, so nobody knows; it is not said to be refused.
    assert_eq!(answer.0, 504, "{}", answer.1);
    assert_eq!(post(&agent, &entry("refused at once")).await.0, 503);
    server.signal(Signal::CONT);
    is_ready_again(&agent).await;
    let (status, receipts) = post(&agent, &during).await;
    assert_eq!(status, 201, "{receipts}");
    let expected = ["before", "during"].map(|message| (message.to_owned(), 1));
    assert_eq!(stored(&agent).await, expected.into());
}

/// Stands between, and when it is told to, cuts a connection that writes when the server has committed and before
/// its answer is heard.
struct Cutter {
    address: SocketAddr,
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicUsize>,
}

impl Cutter {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cutter = Self {
            address: listener.local_addr().unwrap(),
            armed: Arc::default(),
            cuts: Arc::default(),
        };
        let (armed, cuts) = (cutter.armed.clone(), cutter.cuts.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (armed, cuts) = (armed.clone(), cuts.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.unwrap();
                    let _ = pass(client, server, &armed, &cuts).await;
                });
            }
        });
        cutter
    }
}

/// The end of an answer: the server is ready, and in no transaction.
const READY: &[u8] = b"Z\x00\x00\x00\x05I";

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: &AtomicBool,
    cuts: &AtomicUsize,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let (mut writes, mut swallows) = (false, false);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                // Once it is prepared, what comes is the statement itself.
                swallows = writes && armed.swap(false, Ordering::SeqCst);
                writes |= bytes.windows(8).any(|some| some == b"append_1");
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                if !swallows {
                    client.write_all(bytes).await?;
                } else if bytes.ends_with(READY) {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_stored_once() {
    const CUTS: usize = 10;
    let Some(server) = Postgres::shared().await else {
        return;
    };
    let database = server.database().await;
    let cutter = Cutter::start(server.address()).await;
    let url = server.url(&database);
    let url = url.replace(&server.address().to_string(), &cutter.address.to_string());
    let folder = file_with(&url);
    let agent = agent(&folder.path().join("url")).await;
    let mut expected = BTreeMap::new();
    for number in 0..CUTS {
        let text = |which: &str| format!("{which} {number}");
        for (message, outcome, is_cut) in [
            (text("heard"), "stored", false),
            (text("not heard"), "duplicate", true),
        ] {
            cutter.armed.store(is_cut, Ordering::SeqCst);
            let sent = entry(&message);
            let (status, receipts) = post(&agent, &sent).await;
            assert_eq!(status, 201, "{receipts}");
            let receipt = &receipts["entries"][0];
            // Its own first try had stored it.
            assert_eq!(receipt["outcome"], outcome, "{message}");
            if is_cut {
                assert_eq!(receipt["first"]["source"], sent["source"]);
            }
            expected.insert(message, 1);
        }
    }
    assert_eq!(cutter.cuts.load(Ordering::SeqCst), CUTS);
    assert_eq!(stored(&agent).await, expected);
}

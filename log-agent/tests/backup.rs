//! Backup and restore, by the commands of `docs/operations.md`, of a log agent that stores all the while.
#![cfg(test)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faultline_service_testing::eventually;
use faultline_service_testing::process::{Service, Signal, command};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use tokio::process::Command;
use uuid::Uuid;

const PAGE: &str = include_str!("../../docs/operations.md");

/// What stands between these two, the first time they occur after each other.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

async fn start(directory: &Path) -> Service {
    let mut command = command(env!("CARGO_BIN_EXE_log-agent"));
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--drain-delay",
            "0s",
            "--data-dir",
        ])
        .arg(directory);
    Service::start(command).await
}

async fn stop(mut agent: Service) {
    agent.signal(Signal::TERM);
    assert!(agent.ended().await.success());
}

/// Stores an entry, and gives its id.
async fn store(client: &Client, url: &str) -> String {
    let id = Uuid::now_v7().to_string();
    let entry = json!({"id": id, "time": "2026-11-25T12:00:00Z", "level": "info", "message": "kept", "source": "test"});
    let answer = client.post(url).json(&entry).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    id
}

async fn stored(agent: &Service) -> BTreeSet<String> {
    let (mut ids, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = reqwest::get(agent.url(&format!("/logs?limit=1000{after}")))
            .await
            .unwrap();
        let page: Value = page.json().await.unwrap();
        for entry in page["entries"].as_array().unwrap() {
            assert!(ids.insert(entry["id"].as_str().unwrap().to_owned()), "once");
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return ids,
        }
    }
}

async fn open(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// The page's statement, of the store in one folder into another. Its own command is sqlite3's, which runs the same.
async fn back_up(store: &Path, backup: &Path) {
    let statement = between(PAGE, "sqlite3 /store/entries.db \"", "\"");
    assert!(statement.starts_with("VACUUM INTO "), "{statement}");
    let statement = statement.replace("/backup", backup.to_str().unwrap());
    let mut connection = open(&store.join("entries.db")).await;
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// The page's script, of the backup in one folder into the store in another.
async fn restore(backup: &Path, store: &Path) {
    let script = between(PAGE, "exec store -- sh -c '", "'");
    assert!(script.contains("cp /backup/entries.db /store/"), "{script}");
    let script = script
        .replace("/backup", backup.to_str().unwrap())
        .replace("/store", store.to_str().unwrap());
    let done = Command::new("sh").args(["-c", &script]).status();
    assert!(done.await.unwrap().success(), "{script}");
}

#[tokio::test]
async fn a_backup_is_whole_while_entries_are_stored_and_is_what_comes_back() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let agent = start(folder.path()).await;
    let (client, url) = (Client::new(), agent.url("/log"));
    let mut before = BTreeSet::new();
    for _ in 0..50 {
        before.insert(store(&client, &url).await);
    }
    let ended = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (client, url, ended) = (client.clone(), url.clone(), Arc::clone(&ended));
        async move {
            let mut ids = BTreeSet::new();
            while !ended.load(Ordering::Relaxed) {
                ids.insert(store(&client, &url).await);
            }
            ids
        }
    });
    // Under way.
    let arrives = async || (stored(&agent).await.len() > before.len()).then_some(());
    eventually("an entry of the writer's is stored", arrives).await;
    back_up(folder.path(), backup.path()).await;
    ended.store(true, Ordering::Relaxed);
    let meanwhile = writer.await.unwrap();
    let after = store(&client, &url).await;
    let everything = stored(&agent).await;
    assert_eq!(everything.len(), before.len() + meanwhile.len() + 1);

    let mut copy = open(&backup.path().join("entries.db")).await;
    let check: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut copy)
        .await
        .unwrap();
    assert_eq!(check, "ok");
    // Without it room that removed entries leave would never go back to the disk.
    let incremental: i64 = sqlx::query_scalar("PRAGMA auto_vacuum")
        .fetch_one(&mut copy)
        .await
        .unwrap();
    assert_eq!(incremental, 2);
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM entries")
        .fetch_one(&mut copy)
        .await
        .unwrap();
    copy.close().await.unwrap();

    // Killed, so that a WAL is left, which is not the backup's.
    agent.kill().await;
    assert!(
        folder
            .path()
            .join("entries.db-wal")
            .metadata()
            .unwrap()
            .len()
            > 0
    );
    restore(backup.path(), folder.path()).await;
    let agent = start(folder.path()).await;
    let restored = stored(&agent).await;
    assert_eq!(restored.len(), usize::try_from(count).unwrap());
    assert!(restored.is_superset(&before) && restored.is_subset(&everything));
    assert!(!restored.contains(&after), "stored after the backup");
    let fresh = store(&client, &agent.url("/log")).await;
    assert!(stored(&agent).await.contains(&fresh));
    stop(agent).await;
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &folder
            .path()
            .join("entries.db")
            .metadata()
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o077, 0, "its owner's alone");
}

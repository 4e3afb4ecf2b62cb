//! Jobs that wait together, in a real file.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faultline_service::group_commit::{self, Job, STORE, Upkeep};
use faultline_service::health::Health;
use faultline_service::sqlite::{self, Database, WriteError, Writer};
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

type Reply = oneshot::Sender<Result<i64, WriteError>>;

/// Adds a value and tells how many there are; only whole numbers go into the table.
struct Add(&'static str, Reply);

impl Job for Add {
    type Output = i64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
        sqlx::query("INSERT INTO numbers VALUES (?)")
            .bind(self.0)
            .execute(&mut *connection)
            .await?;
        sqlx::query_scalar("SELECT count(*) FROM numbers")
            .fetch_one(connection)
            .await
    }

    fn bytes(&self) -> usize {
        8
    }

    fn finish(self, outcome: Result<i64, WriteError>) {
        let _ = self.1.send(outcome);
    }
}

const SCHEMA: [&str; 1] = ["CREATE TABLE numbers (n INTEGER NOT NULL) STRICT"];

/// Upkeep that never has enough; it counts its turns, and what was written before them.
#[derive(Clone, Default)]
struct Busy(Arc<(AtomicUsize, AtomicUsize)>);

impl Upkeep for Busy {
    async fn turn(
        &mut self,
        _: &mut Writer,
        written: usize,
    ) -> Result<Option<Instant>, sqlx::Error> {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        self.0.1.fetch_add(written, Ordering::Relaxed);
        Ok(Some(Instant::now()))
    }
}

#[tokio::test]
async fn upkeep_comes_after_each_group_and_keeps_no_job_out() {
    let directory = tempfile::tempdir().unwrap();
    let opened = sqlite::open(directory.path(), "n.db", &SCHEMA).await;
    let writer = opened.unwrap().writer;
    let (sender, jobs) = mpsc::channel(16);
    let busy = Busy::default();
    let turns = || busy.0.0.load(Ordering::Relaxed);
    let writing = group_commit::run_with(busy.clone(), writer, jobs, Health::default());
    let writing = tokio::spawn(writing);
    for count in 1..=50 {
        let before = turns();
        let (reply, outcome) = oneshot::channel();
        sender.send(Add("1", reply)).await.ok().unwrap();
        assert_eq!(outcome.await.unwrap(), Ok(count));
        while turns() == before {
            tokio::task::yield_now().await;
        }
    }
    // With nothing to write it has turns as well.
    let before = turns();
    while turns() < before + 10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(busy.0.1.load(Ordering::Relaxed), 50 * 8);
    drop(sender);
    writing.await.expect("it ends when nobody can send");
}

#[tokio::test]
async fn one_bad_job_takes_no_other_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let Database { writer, readers } = sqlite::open(directory.path(), "n.db", &SCHEMA)
        .await
        .unwrap();
    let health = Health::default();
    let (sender, jobs) = mpsc::channel(16);
    let mut replies = Vec::new();
    // All wait before the writer begins: they are one group.
    for value in ["1", "2", "three", "4"] {
        let (reply, outcome) = oneshot::channel();
        sender
            .try_send(Add(value, reply))
            .unwrap_or_else(|_| panic!("there is room"));
        replies.push(outcome);
    }
    let writing = tokio::spawn(group_commit::run(writer, jobs, health.clone()));
    let mut outcomes = Vec::new();
    for reply in replies {
        outcomes.push(reply.await.unwrap());
    }
    // The failure is known until the store has shown that it works.
    assert!(health.is_broken(STORE));
    assert_eq!(
        (&outcomes[0], &outcomes[1], &outcomes[3]),
        (&Ok(1), &Ok(2), &Ok(3))
    );
    assert!(matches!(outcomes[2], Err(WriteError::Unwritable(_))));
    let stored: Vec<i64> = sqlx::query_scalar("SELECT n FROM numbers ORDER BY n")
        .fetch_all(&readers)
        .await
        .unwrap();
    assert_eq!(stored, [1, 2, 4]);

    let mended = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while health.is_broken(STORE) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    mended.await.expect("the probe mends it");
    drop(sender);
    writing.await.expect("it ends when nobody can send");
}

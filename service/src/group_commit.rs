//! One task that writes: jobs that wait together share one transaction and so one sync of the
//! disk. Each is told its outcome only when it is durable.

use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use sqlx::sqlite::SqliteConnection;
use tokio::sync::mpsc;

use crate::health::Health;
use crate::sqlite::{WriteError, Writer};

/// How many jobs share one transaction at most.
const GROUP: usize = 256;

/// How often a store that failed is tried again.
const PROBE: Duration = Duration::from_secs(1);

/// The name under which [`Health`] knows the store.
pub const STORE: &str = "store";

/// Something to write.
pub trait Job: Send + Sync + 'static {
    /// What writing it found out.
    type Output: Send;

    /// Writes within a transaction that is committed, or rolled back, by the caller. It may be
    /// called again after an error.
    fn apply(
        &self,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Output, sqlx::Error>> + Send;

    /// Called once: it is on disk, or it is not there at all.
    fn finish(self, outcome: Result<Self::Output, WriteError>);
}

/// Writes jobs until no sender is left. While the store cannot be written, `health` says so, and
/// it is tried until it can.
pub async fn run<J: Job>(mut writer: Writer, mut jobs: mpsc::Receiver<J>, health: Health) {
    let mut group = Vec::new();
    loop {
        let received = jobs.recv_many(&mut group, GROUP);
        let received = if health.is_broken(STORE) {
            match tokio::time::timeout(PROBE, received).await {
                Ok(count) => count,
                Err(_) => {
                    report(&health, probe(&mut writer).await.as_ref().err());
                    continue;
                }
            }
        } else {
            received.await
        };
        if received == 0 {
            return;
        }
        let error = commit(&mut writer, std::mem::take(&mut group)).await;
        report(&health, error.as_ref());
    }
}

/// Commits a group whole. Where that fails, each job is tried by itself: one that does not fit
/// must not take the others with it. Returns the last error, if any.
async fn commit<J: Job>(writer: &mut Writer, group: Vec<J>) -> Option<WriteError> {
    let (jobs, error) = transaction(writer, group).await.err()?;
    if jobs.len() == 1 {
        return Some(fail(jobs, error));
    }
    let mut last = None;
    for job in jobs {
        if let Err((jobs, error)) = transaction(writer, vec![job]).await {
            last = Some(fail(jobs, error));
        }
    }
    last
}

fn fail<J: Job>(jobs: Vec<J>, error: WriteError) -> WriteError {
    jobs.into_iter()
        .for_each(|job| job.finish(Err(error.clone())));
    error
}

/// Commits jobs and finishes them, or hands them back.
async fn transaction<J: Job>(
    writer: &mut Writer,
    jobs: Vec<J>,
) -> Result<(), (Vec<J>, WriteError)> {
    let started = Instant::now();
    match attempt(writer, &jobs).await {
        Ok(outputs) => {
            histogram!("store_commit_duration_seconds").record(started.elapsed());
            histogram!("store_commit_group_size")
                .record(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
            jobs.into_iter()
                .zip(outputs)
                .for_each(|(job, output)| job.finish(Ok(output)));
            Ok(())
        }
        Err(error) => {
            counter!("store_commit_failures_total").increment(1);
            tracing::error!(%error, jobs = jobs.len(), "cannot commit");
            Err((jobs, error.into()))
        }
    }
}

async fn attempt<J: Job>(writer: &mut Writer, jobs: &[J]) -> Result<Vec<J::Output>, sqlx::Error> {
    let connection = writer.begin().await?;
    let mut outputs = Vec::with_capacity(jobs.len());
    for job in jobs {
        outputs.push(job.apply(&mut *connection).await?);
    }
    writer.commit().await?;
    Ok(outputs)
}

/// Writes and removes as much as the largest job is likely to need. It leaves pages behind that
/// the next job finds free.
async fn probe(writer: &mut Writer) -> Result<(), WriteError> {
    for statement in [
        "CREATE TABLE IF NOT EXISTS probe (room BLOB NOT NULL) STRICT",
        "INSERT INTO probe VALUES (zeroblob(131072))",
        "DELETE FROM probe",
    ] {
        let connection = writer.begin().await?;
        sqlx::query(statement).execute(connection).await?;
        writer.commit().await?;
    }
    Ok(())
}

fn report(health: &Health, error: Option<&WriteError>) {
    match error {
        None => health.mended(STORE),
        Some(error) => health.broken(STORE, error.to_string()),
    }
}

//! One task that writes: jobs that wait together share one transaction and so one sync of the
//! disk. Each is told its outcome only when it is durable.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use sqlx::sqlite::SqliteConnection;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::health::Health;
use crate::sqlite::{WriteError, Writer};

/// How many jobs share one transaction at most.
pub const GROUP: usize = 256;

/// After how many bytes a transaction takes no further job: a disk that is nearly full must hold
/// it twice, in the WAL and in the file.
const GROUP_BYTES: usize = 1024 * 1024;

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

    /// About how many bytes it writes.
    fn bytes(&self) -> usize;

    /// Whether it leaves more room than there was. Such a job may use the reserve; without a
    /// reserve, no other is taken.
    fn makes_room(&self) -> bool {
        false
    }

    /// Called once: it is on disk, or it is not there at all.
    fn finish(self, outcome: Result<Self::Output, WriteError>);
}

/// Work of the writer's own between groups, in small transactions.
pub trait Upkeep: Send + 'static {
    /// One turn: after a group that wrote about `written` bytes, or after nothing, when the time it
    /// asked for has come. Jobs wait meanwhile. Returns when it wants the next turn if no group comes
    /// before; a time that has passed still lets waiting jobs go first.
    fn turn(
        &mut self,
        writer: &mut Writer,
        written: usize,
    ) -> impl Future<Output = Result<Option<Instant>, sqlx::Error>> + Send;
}

/// The upkeep of a store that needs none.
#[derive(Clone, Copy, Debug)]
pub struct NoUpkeep;

impl Upkeep for NoUpkeep {
    async fn turn(&mut self, _: &mut Writer, _: usize) -> Result<Option<Instant>, sqlx::Error> {
        Ok(None)
    }
}

/// Writes jobs until no sender is left. While the store cannot be written, `health` says so, and
/// it is tried until it can.
pub async fn run<J: Job>(writer: Writer, jobs: mpsc::Receiver<J>, health: Health) {
    run_with(NoUpkeep, writer, jobs, health).await;
}

/// As [`run`], with upkeep between the groups.
pub async fn run_with<J: Job>(
    mut upkeep: impl Upkeep,
    mut writer: Writer,
    mut jobs: mpsc::Receiver<J>,
    health: Health,
) {
    report(&health, writer.restore_reserve().await.err());
    let mut received = Vec::new();
    let mut next_probe = Instant::now();
    let mut next_turn = Some(next_probe);
    loop {
        if health.is_broken(STORE) && next_probe <= Instant::now() {
            report(&health, probe(&mut writer).await.err());
            next_probe = Instant::now() + PROBE;
        }
        let probing = health.is_broken(STORE).then_some(next_probe);
        let receiving = jobs.recv_many(&mut received, GROUP);
        let count = match probing.into_iter().chain(next_turn).min() {
            Some(wake) => timeout_at(wake, receiving).await.ok(),
            None => Some(receiving.await),
        };
        if count == Some(0) {
            return;
        }
        while !received.is_empty() {
            let group = first_group(&mut received, Job::bytes);
            let written = group.iter().map(Job::bytes).sum();
            let error = commit(&mut writer, group).await;
            if error.is_none() {
                next_turn = turn(&mut upkeep, &mut writer, written).await;
            }
            let lacking = writer.lacks_reserve().then_some(WriteError::NoSpace);
            report(&health, error.or(lacking));
        }
        if count.is_none() && next_turn.is_some_and(|due| due <= Instant::now()) {
            next_turn = turn(&mut upkeep, &mut writer, 0).await;
        }
    }
}

/// One turn of upkeep. One that fails leaves the store as it was, and comes again: if nothing can be
/// written at all, the next job finds out.
async fn turn(upkeep: &mut impl Upkeep, writer: &mut Writer, written: usize) -> Option<Instant> {
    let done = match writer.bound_wal().await {
        Ok(()) => upkeep.turn(writer, written).await,
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| {
        counter!("store_commit_failures_total").increment(1);
        tracing::warn!(%error, "upkeep failed; it comes again");
        Some(Instant::now() + PROBE)
    })
}

/// Takes what shares the next transaction: at least one job, of about so many `bytes` each.
pub fn first_group<J>(jobs: &mut Vec<J>, bytes_of: impl Fn(&J) -> usize) -> Vec<J> {
    let mut bytes = 0;
    let fitting = jobs.iter().take_while(|job| {
        let fits = bytes < GROUP_BYTES;
        bytes += bytes_of(job);
        fits
    });
    let count = fitting.count();
    jobs.drain(..count).collect()
}

/// Commits a group whole. Where that fails, each job is tried by itself: one that does not fit
/// must not take the others with it. Returns the last error, if any.
async fn commit<J: Job>(writer: &mut Writer, group: Vec<J>) -> Option<WriteError> {
    if writer.lacks_reserve() {
        return commit_singly(writer, group).await;
    }
    let (jobs, _) = transaction(writer, group).await.err()?;
    commit_singly(writer, jobs).await
}

async fn commit_singly<J: Job>(writer: &mut Writer, jobs: Vec<J>) -> Option<WriteError> {
    let mut last = None;
    for job in jobs {
        if writer.lacks_reserve() && !job.makes_room() {
            last = Some(fail(vec![job], WriteError::NoSpace));
            continue;
        }
        let Err((jobs, error)) = transaction(writer, vec![job]).await else {
            continue;
        };
        let full = error == WriteError::NoSpace && jobs.iter().all(Job::makes_room);
        if full && writer.spend_reserve() {
            let again = transaction(writer, jobs).await;
            last = again.err().map(|(jobs, error)| fail(jobs, error));
        } else {
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
    writer.restore_reserve().await?;
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

fn report(health: &Health, error: Option<WriteError>) {
    gauge!("store_writable").set(u8::from(error.is_none()));
    match error {
        None => health.mended(STORE),
        Some(error) => health.broken(STORE, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Sized(usize);

    impl Job for Sized {
        type Output = ();

        async fn apply(&self, _: &mut SqliteConnection) -> Result<(), sqlx::Error> {
            Ok(())
        }

        fn bytes(&self) -> usize {
            self.0
        }

        fn finish(self, _: Result<(), WriteError>) {}
    }

    proptest! {
        #[test]
        fn groups_are_bounded_and_leave_nothing_out(sizes in prop::collection::vec(0..200_000_usize, 1..100)) {
            let mut jobs: Vec<Sized> = sizes.iter().map(|size| Sized(*size)).collect();
            let mut grouped = Vec::new();
            while !jobs.is_empty() {
                let group = first_group(&mut jobs, Job::bytes);
                let bytes: usize = group.iter().map(Job::bytes).sum();
                prop_assert!(!group.is_empty() && bytes < GROUP_BYTES + 200_000);
                grouped.extend(group.iter().map(Job::bytes));
            }
            prop_assert_eq!(grouped, sizes);
        }
    }
}

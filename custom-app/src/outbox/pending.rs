//! What is to be delivered: rows, and batches of them.

use faultline_service::context::TraceHeaders;
use faultline_service::entry::Entry;
use faultline_service::sqlite::WriteError;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::sqlite::SqlitePool;
use uuid::Uuid;

use super::again;
use super::room::{Amount, EntryState, Usage};
use super::schema::FORMAT;

/// How many entries one delivery holds at most.
const BATCH_ENTRIES: usize = 256;

/// After how many bytes a delivery takes no further entry. The log agent takes four times that.
const BATCH_BYTES: u64 = 1024 * 1024;

/// One entry as the outbox keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The entry's id.
    pub id: Uuid,
    /// The entry as JSON, as it is sent.
    pub(super) entry: String,
    /// Its request's headers as JSON.
    pub(super) trace: String,
    /// How often the log agent has refused it.
    pub(super) refusals: u32,
}

impl Row {
    pub(super) fn new(entry: &Entry, trace: &TraceHeaders) -> Result<Self, WriteError> {
        let unwritable = |error: serde_json::Error| WriteError::Unwritable(error.to_string());
        Ok(Self {
            id: entry.id,
            entry: serde_json::to_string(entry).map_err(unwritable)?,
            trace: serde_json::to_string(trace).map_err(unwritable)?,
            refusals: 0,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entry.len() + self.trace.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.len() as u64
    }

    pub(super) const fn state(&self) -> EntryState {
        match self.refusals {
            0 => EntryState::Pending,
            _ => EntryState::Refused,
        }
    }
}

/// Entries that are delivered together, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(Vec<Row>);

impl Batch {
    /// How many entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// The rows, each by itself.
    pub fn into_rows(self) -> Vec<Row> {
        self.0
    }

    /// What is sent: a JSON array of the entries.
    pub fn body(&self) -> String {
        let entries: Vec<&str> = self.0.iter().map(|row| row.entry.as_str()).collect();
        format!("[{}]", entries.join(","))
    }

    /// The headers to send along: those of the request, if the batch stands for one alone.
    pub fn trace(&self) -> TraceHeaders {
        match self.0.as_slice() {
            [row] => serde_json::from_str(&row.trace).unwrap_or_default(),
            _ => TraceHeaders::default(),
        }
    }

    /// Two halves, older and newer, of a batch that holds several; a batch of one is given back as
    /// its row.
    pub fn split(mut self) -> Result<(Self, Self), Row> {
        match self.0.pop() {
            Some(row) if self.0.is_empty() => Err(row),
            Some(row) => {
                self.0.push(row);
                let newer = self.0.split_off(self.0.len() / 2);
                Ok((self, Self(newer)))
            }
            None => Ok((Self::default(), Self::default())),
        }
    }

    /// Adds a row if there is room; the first always finds it.
    fn push(&mut self, row: Row) -> bool {
        let bytes: u64 = self.0.iter().map(Row::bytes).sum();
        let room = self.0.len() < BATCH_ENTRIES && (self.is_empty() || bytes < BATCH_BYTES);
        if room {
            self.0.push(row);
        }
        room
    }
}

type Found = (Uuid, String, String, u32);

/// The oldest rows to deliver that the log agent has not refused.
pub(super) async fn next(readers: &SqlitePool) -> Result<Batch, sqlx::Error> {
    let found = sqlx::query_as::<_, Found>(
        "SELECT id, entry, trace, refusals FROM outbox
         WHERE refused IS NULL AND format <= ? ORDER BY position LIMIT ?",
    );
    let found = found.bind(FORMAT).bind(BATCH_ENTRIES as i64);
    gather(found.fetch(readers)).await
}

/// Up to `count` of the refused rows that are to be offered again by now.
pub(super) async fn due(
    readers: &SqlitePool,
    now: Timestamp,
    count: usize,
) -> Result<Batch, sqlx::Error> {
    let found = sqlx::query_as::<_, Found>(
        "SELECT id, entry, trace, refusals FROM outbox
         WHERE refused IS NOT NULL AND format <= ? AND (due <= ? OR due > ?)
         ORDER BY due, position LIMIT ?",
    );
    let count = i64::try_from(count.min(BATCH_ENTRIES)).unwrap_or(1);
    let found = found
        .bind(FORMAT)
        .bind(now.as_millisecond())
        .bind(again::latest(now))
        .bind(count);
    gather(found.fetch(readers)).await
}

/// When the next of the refused rows is to be offered again, in milliseconds since 1970.
pub(super) async fn next_due(readers: &SqlitePool) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT min(due) FROM outbox WHERE refused IS NOT NULL AND format <= ?")
        .bind(FORMAT)
        .fetch_one(readers)
        .await
}

async fn gather(
    mut found: impl futures_util::Stream<Item = Result<Found, sqlx::Error>> + Unpin,
) -> Result<Batch, sqlx::Error> {
    let mut batch = Batch::default();
    while let Some((id, entry, trace, refusals)) = found.try_next().await? {
        let row = Row {
            id,
            entry,
            trace,
            refusals,
        };
        if !batch.push(row) {
            break;
        }
    }
    Ok(batch)
}

/// How much there is at the start.
pub(super) async fn usage(readers: &SqlitePool) -> Result<Usage, sqlx::Error> {
    // Lengths in bytes, as `Row::bytes` counts them.
    let found: Vec<(i64, bool, bool, i64, i64)> = sqlx::query_as(
        "SELECT format, refused IS NOT NULL, FALSE, count(*), sum(octet_length(entry) + octet_length(trace))
         FROM outbox GROUP BY 1, 2
         UNION ALL
         SELECT format, FALSE, TRUE, count(*), sum(octet_length(entry) + octet_length(trace))
         FROM conflicts GROUP BY 1",
    )
    .fetch_all(readers)
    .await?;
    let mut usage = Usage::default();
    for (format, refused, conflicting, entries, bytes) in found {
        let state = match (conflicting, refused) {
            (true, _) => EntryState::Conflicting,
            _ if format > FORMAT => EntryState::Unreadable,
            (false, true) => EntryState::Refused,
            (false, false) => EntryState::Pending,
        };
        let more = Amount {
            entries: entries.unsigned_abs(),
            bytes: bytes.unsigned_abs(),
        };
        let held = usage.entry(state);
        *held = held.plus(more);
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(bytes: usize) -> Row {
        Row {
            id: Uuid::now_v7(),
            entry: "x".repeat(bytes),
            trace: String::new(),
            refusals: 0,
        }
    }

    proptest! {
        #[test]
        fn a_batch_is_bounded_and_never_stuck(sizes in prop::collection::vec(0..100_000_usize, 1..400)) {
            let mut batch = Batch::default();
            let taken = sizes.iter().take_while(|size| batch.push(row(**size))).count();
            prop_assert!((1..=BATCH_ENTRIES).contains(&taken));
            let bytes: u64 = batch.rows().iter().map(Row::bytes).sum();
            prop_assert!(bytes < BATCH_BYTES + 100_000);
            if taken < sizes.len() {
                prop_assert!(taken == BATCH_ENTRIES || bytes >= BATCH_BYTES);
            }
        }

        #[test]
        fn halves_are_smaller_and_keep_every_row_in_order(count in 2..300_usize) {
            let batch = Batch((0..count).map(|_| row(1)).collect());
            let (older, newer) = batch.clone().split().unwrap();
            prop_assert!(!older.is_empty() && !newer.is_empty());
            prop_assert_eq!([older.0, newer.0].concat(), batch.0);
        }
    }

    #[test]
    fn one_is_not_split_and_alone_carries_its_headers() {
        let row = Row {
            trace: r#"[["b3","0"]]"#.to_owned(),
            ..row(1)
        };
        let one = Batch(vec![row.clone()]);
        assert_ne!(one.trace(), TraceHeaders::default());
        assert_eq!(one.split(), Err(row.clone()));
        assert_eq!(
            Batch(vec![row.clone(), row]).trace(),
            TraceHeaders::default()
        );
    }
}

//! What is to be delivered: rows, and batches of them.

use faultline_service::context::TraceHeaders;
use faultline_service::entry::Entry;
use faultline_service::sqlite::WriteError;
use futures_util::TryStreamExt;
use sqlx::sqlite::SqlitePool;
use uuid::Uuid;

use super::Usage;

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
}

impl Row {
    pub(super) fn new(entry: &Entry, trace: &TraceHeaders) -> Result<Self, WriteError> {
        let unwritable = |error: serde_json::Error| WriteError::Unwritable(error.to_string());
        Ok(Self {
            id: entry.id,
            entry: serde_json::to_string(entry).map_err(unwritable)?,
            trace: serde_json::to_string(trace).map_err(unwritable)?,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entry.len() + self.trace.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.len() as u64
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

/// The oldest rows to deliver.
pub(super) async fn next(readers: &SqlitePool) -> Result<Batch, sqlx::Error> {
    let mut found = sqlx::query_as::<_, (Uuid, String, String)>(
        "SELECT id, entry, trace FROM outbox WHERE refused IS NULL ORDER BY position LIMIT ?",
    )
    .bind(BATCH_ENTRIES as i64)
    .fetch(readers);
    let mut batch = Batch::default();
    while let Some((id, entry, trace)) = found.try_next().await? {
        if !batch.push(Row { id, entry, trace }) {
            break;
        }
    }
    Ok(batch)
}

/// How much there is at the start.
pub(super) async fn usage(readers: &SqlitePool) -> Result<Usage, sqlx::Error> {
    // Lengths in bytes, as `Row::bytes` counts them.
    let (pending, bytes): (i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(octet_length(entry) + octet_length(trace)), 0) FROM outbox",
    )
    .fetch_one(readers)
    .await?;
    Ok(Usage {
        pending: pending.unsigned_abs(),
        refused: 0,
        bytes: bytes.unsigned_abs(),
    })
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

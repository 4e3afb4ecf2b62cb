//! Entries read from a store, bounded, and rows turned back into entries.

use faultline_service::entry::{Entry, Invalid};
use uuid::Uuid;

use crate::store::{Position, StoreError};

/// How much text one reading holds before it ends early, in bytes. Longest messages would
/// otherwise make a page of 60 MB.
const READING_BYTES: usize = 1024 * 1024;

/// Entries read by one statement or several.
pub(crate) struct Reading {
    pub(crate) rows: Vec<(Position, Entry)>,
    /// The position after which reading goes on; none where there is nothing more.
    pub(crate) next: Option<Position>,
    limit: usize,
    bytes: usize,
}

impl Reading {
    /// Nothing yet, and at most this many entries.
    pub(crate) fn up_to(limit: u16) -> Self {
        Self {
            rows: Vec::new(),
            next: None,
            limit: limit.into(),
            bytes: 0,
        }
    }

    /// The number of rows to ask for: one more than fits tells whether there is more.
    pub(crate) fn room(&self) -> i64 {
        let room = self.limit.saturating_sub(self.rows.len()) + 1;
        i64::try_from(room).unwrap_or(i64::MAX)
    }

    /// It takes no further entry.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() >= self.limit || self.bytes >= READING_BYTES
    }

    /// Takes an entry, or notes that there is more; says whether it takes another.
    pub(crate) fn take(&mut self, row: Row) -> Result<bool, StoreError> {
        if self.is_full() {
            self.next = self.rows.last().map(|(position, _)| *position);
            return Ok(false);
        }
        let (position, entry) = row.entry()?;
        self.bytes += entry.message.as_str().len();
        self.rows.push((position, entry));
        Ok(true)
    }
}

/// An entry as a store holds it.
pub(crate) struct Row {
    pub(crate) position: Position,
    pub(crate) id: Uuid,
    pub(crate) time: String,
    pub(crate) level: String,
    pub(crate) message: String,
    pub(crate) source: String,
}

impl Row {
    fn entry(self) -> Result<(Position, Entry), StoreError> {
        let position = self.position.0;
        let foreign =
            |invalid: Invalid| StoreError::Unreadable(format!("row {position}: {invalid}"));
        let entry = Entry {
            id: self.id,
            time: self
                .time
                .parse()
                .map_err(|_| foreign(Invalid("its time is none")))?,
            level: self.level.parse().map_err(foreign)?,
            message: self.message.try_into().map_err(foreign)?,
            source: self.source.try_into().map_err(foreign)?,
        };
        Ok((self.position, entry))
    }
}

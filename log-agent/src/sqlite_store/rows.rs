//! Reading: rows back into entries.

use faultline_service::entry::{Entry, Invalid};
use faultline_service::query::LogQuery;
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteExecutor, SqlitePool};
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::store::{Position, StoreError};

/// How much text one reading holds before it ends early, in bytes. Longest messages would
/// otherwise make a page of 60 MB.
const READING_BYTES: usize = 1024 * 1024;

type Row = (i64, Uuid, String, String, String, String);

pub(super) const COLUMNS: &str = "SELECT position, id, time, level, message, source FROM entries";

/// Rows read by one statement or several.
pub(super) struct Reading {
    pub(super) rows: Vec<(Position, Entry)>,
    /// The position after which reading goes on; none where there is nothing more.
    pub(super) next: Option<Position>,
    limit: usize,
    bytes: usize,
}

impl Reading {
    /// Nothing yet, and at most this many rows.
    pub(super) fn up_to(limit: u16) -> Self {
        Self {
            rows: Vec::new(),
            next: None,
            limit: limit.into(),
            bytes: 0,
        }
    }

    /// It takes no further row.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.limit || self.bytes >= READING_BYTES
    }

    /// Takes the rows that a statement finds, as many as fit.
    pub(super) async fn read(
        &mut self,
        from: impl SqliteExecutor<'_>,
        mut sql: QueryBuilder<Sqlite>,
    ) -> Result<(), StoreError> {
        // One more than fits tells whether there is more.
        let room = self.limit.saturating_sub(self.rows.len()) + 1;
        sql.push(" LIMIT ")
            .push_bind(i64::try_from(room).unwrap_or(i64::MAX));
        let mut found = sql.build_query_as::<Row>().fetch(from);
        while let Some(row) = found.try_next().await.map_err(unreadable)? {
            if self.is_full() {
                self.next = self.rows.last().map(|(position, _)| *position);
                break;
            }
            let (position, entry) = entry(row)?;
            self.bytes += entry.message.as_str().len();
            self.rows.push((position, entry));
        }
        Ok(())
    }
}

/// The entries before a position that a query asks for but for its text, newest first.
pub(super) async fn before(
    readers: &SqlitePool,
    position: Position,
    query: &LogQuery,
) -> Result<Reading, StoreError> {
    let mut sql = QueryBuilder::new(COLUMNS);
    sql.push(" WHERE position < ").push_bind(position.0);
    if let Some(id) = query.id {
        sql.push(" AND id = ").push_bind(id);
    }
    if let Some(level) = query.level {
        sql.push(" AND level = ").push_bind(level.as_str());
    }
    sql.push(" ORDER BY position DESC");
    let mut reading = Reading::up_to(query.limit.get());
    reading.read(readers, sql).await?;
    Ok(reading)
}

/// Up to `limit` entries after a position, oldest first.
pub(super) async fn after(
    readers: &SqlitePool,
    position: Position,
    limit: u16,
) -> Result<Reading, StoreError> {
    let mut sql = QueryBuilder::new(COLUMNS);
    sql.push(" WHERE position > ")
        .push_bind(position.0)
        .push(" ORDER BY position");
    let mut reading = Reading::up_to(limit);
    reading.read(readers, sql).await?;
    Ok(reading)
}

/// Where an entry stands, if it is there.
pub(super) async fn position(
    readers: &SqlitePool,
    id: Uuid,
) -> Result<Option<Position>, StoreError> {
    let position: Option<i64> = sqlx::query_scalar("SELECT position FROM entries WHERE id = ?")
        .bind(id)
        .fetch_optional(readers)
        .await
        .map_err(unreadable)?;
    Ok(position.map(Position))
}

pub(super) fn unreadable(error: sqlx::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

fn entry(
    (position, id, time, level, message, source): Row,
) -> Result<(Position, Entry), StoreError> {
    let foreign = |invalid: Invalid| StoreError::Unreadable(format!("row {position}: {invalid}"));
    let entry = Entry {
        id,
        time: time
            .parse()
            .map_err(|_| foreign(Invalid("its time is none")))?,
        level: level.parse().map_err(foreign)?,
        message: message.try_into().map_err(foreign)?,
        source: source.try_into().map_err(foreign)?,
    };
    Ok((Position(position), entry))
}

//! Reading: rows back into entries.

use faultline_service::entry::{Entry, Invalid};
use faultline_service::query::LogQuery;
use futures_util::TryStreamExt;
use sqlx::sqlite::SqlitePool;
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::store::{Position, StoreError};

/// How much text one reading holds before it ends early, in bytes. Longest messages would
/// otherwise make a page of 60 MB.
const READING_BYTES: usize = 1024 * 1024;

type Row = (i64, Uuid, String, String, String, String);

const COLUMNS: &str = "SELECT position, id, time, level, message, source FROM entries";

/// What was read, and whether more would have matched.
pub(super) struct Reading {
    pub(super) rows: Vec<(Position, Entry)>,
    pub(super) more: bool,
}

/// The entries before a position that a query asks for, newest first.
pub(super) async fn before(
    readers: &SqlitePool,
    position: Option<Position>,
    query: &LogQuery,
) -> Result<Reading, StoreError> {
    let mut sql = QueryBuilder::new(COLUMNS);
    sql.push(" WHERE position < ")
        .push_bind(position.map_or(i64::MAX, |position| position.0));
    if let Some(id) = query.id {
        sql.push(" AND id = ").push_bind(id);
    }
    if let Some(level) = query.level {
        sql.push(" AND level = ").push_bind(level.as_str());
    }
    if let Some(text) = &query.contains {
        // As bytes: SQLite's text functions are not made for NUL.
        sql.push(" AND instr(CAST(message AS BLOB), ")
            .push_bind(text.as_str().as_bytes())
            .push(") > 0");
    }
    sql.push(" ORDER BY position DESC");
    read(readers, sql, query.limit.get()).await
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
    read(readers, sql, limit).await
}

async fn read(
    readers: &SqlitePool,
    mut sql: QueryBuilder<Sqlite>,
    limit: u16,
) -> Result<Reading, StoreError> {
    // One more than asked for tells whether there is more.
    sql.push(" LIMIT ").push_bind(i64::from(limit) + 1);
    let mut found = sql.build_query_as::<Row>().fetch(readers);
    let mut reading = Reading {
        rows: Vec::new(),
        more: false,
    };
    let mut bytes = 0;
    while let Some(row) = found.try_next().await.map_err(unreadable)? {
        if reading.rows.len() == usize::from(limit) || bytes >= READING_BYTES {
            reading.more = true;
            break;
        }
        let (position, entry) = entry(row)?;
        bytes += entry.message.as_str().len();
        reading.rows.push((position, entry));
    }
    Ok(reading)
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

//! Reading: rows back into entries.

use faultline_service::query::LogQuery;
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteExecutor, SqlitePool};
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::reading::{Reading, Row};
use crate::store::{Position, StoreError};

type Columns = (i64, Uuid, String, String, String, String);

pub(super) const COLUMNS: &str = "SELECT position, id, time, level, message, source FROM entries";

/// Takes the rows that a statement finds, as many as fit.
pub(super) async fn read(
    reading: &mut Reading,
    from: impl SqliteExecutor<'_>,
    mut sql: QueryBuilder<Sqlite>,
) -> Result<(), StoreError> {
    sql.push(" LIMIT ").push_bind(reading.room());
    let mut found = sql.build_query_as::<Columns>().fetch(from);
    while let Some(columns) = found.try_next().await.map_err(unreadable)? {
        if !reading.take(row(columns))? {
            break;
        }
    }
    Ok(())
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
    read(&mut reading, readers, sql).await?;
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
    read(&mut reading, readers, sql).await?;
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

fn row((position, id, time, level, message, source): Columns) -> Row {
    Row {
        position: Position(position),
        id,
        time,
        level,
        message,
        source,
    }
}

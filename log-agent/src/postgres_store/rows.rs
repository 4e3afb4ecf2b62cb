//! Reading: rows back into entries.

use std::time::Duration;

use faultline_service::query::LogQuery;
use futures_util::TryStreamExt;
use sqlx::postgres::{PgExecutor, PgPool};
use sqlx::{Postgres, QueryBuilder};
use tokio::time::timeout;
use uuid::Uuid;

use super::database::ANSWER;
use super::failure::unreadable;
use super::place::Segment;
use crate::reading::{Reading, Row};
use crate::store::{FOLLOWED, Following, Position, StoreError};

type Columns = (i64, Uuid, String, String, Vec<u8>, String);

pub(super) const COLUMNS: &str = "SELECT position, id, time, level, message, source FROM entries";

/// Takes the rows that a statement finds, as many as fit.
pub(super) async fn read(
    reading: &mut Reading,
    from: impl PgExecutor<'_>,
    mut sql: QueryBuilder<Postgres>,
) -> Result<(), StoreError> {
    sql.push(" LIMIT ").push_bind(reading.room());
    answered(ANSWER, async {
        let mut found = sql.build_query_as::<Columns>().fetch(from);
        while let Some(columns) = found.try_next().await.map_err(unreadable)? {
            if !reading.take(row(columns)?)? {
                break;
            }
        }
        Ok(())
    })
    .await
}

/// The entries before a position that a query asks for but for its text, newest first.
pub(super) async fn before(
    readers: &PgPool,
    position: Position,
    query: &LogQuery,
) -> Result<Reading, StoreError> {
    let mut sql = QueryBuilder::new(COLUMNS);
    sql.push(" WHERE position < ").push_bind(position.0);
    if let Some(id) = query.id {
        sql.push(" AND position = (SELECT position FROM ids WHERE id = ")
            .push_bind(id)
            .push(")");
    }
    if let Some(level) = query.level {
        sql.push(" AND level = ").push_bind(level.as_str());
    }
    sql.push(" ORDER BY position DESC");
    let mut reading = Reading::up_to(query.limit.get());
    read(&mut reading, readers, sql).await?;
    Ok(reading)
}

/// Some entries after a position, oldest first.
pub(super) async fn after(readers: &PgPool, position: Position) -> Result<Following, StoreError> {
    // What is stored meanwhile comes with the next reading.
    let through = last(readers).await?.max(position);
    let mut sql = QueryBuilder::new(COLUMNS);
    sql.push(" WHERE position > ")
        .push_bind(position.0)
        .push(" AND position <= ")
        .push_bind(through.0)
        .push(" ORDER BY position");
    let mut reading = Reading::up_to(FOLLOWED);
    read(&mut reading, readers, sql).await?;
    let first = reading.rows.first().map(|(first, _)| *first);
    let removed = removed(readers, position, first, through).await?;
    let through = match &reading.next {
        Some(next) => *next,
        None => through,
    };
    Ok(Following {
        removed,
        entries: reading.rows,
        through,
    })
}

/// The number of entries between a position and the first that is still there after it, or, if none
/// is, up to and with the last one that was.
async fn removed(
    readers: &PgPool,
    position: Position,
    first: Option<Position>,
    last: Position,
) -> Result<u64, StoreError> {
    let there = first.unwrap_or(last);
    if first == Some(position.next()) || there == position {
        return Ok(0);
    }
    let (before, until) = (Segment::of(position), Segment::of(there));
    let passed = answered(ANSWER, async {
        let sql = "SELECT (SELECT before FROM segments WHERE segment = $1)
            - (SELECT before FROM segments WHERE segment = $2)";
        let passed = sqlx::query_scalar::<_, Option<i64>>(sql)
            .bind(until.0)
            .bind(before.0);
        passed.fetch_one(readers).await.map_err(unreadable)
    })
    .await?;
    let of = passed.unwrap_or(0) + until.up_to(there) - before.up_to(position);
    let removed = of - i64::from(first.is_some());
    Ok(removed.max(0).unsigned_abs())
}

/// The position of the entry stored last.
pub(super) async fn last(readers: &PgPool) -> Result<Position, StoreError> {
    answered(ANSWER, async {
        let last = sqlx::query_scalar("SELECT last FROM tail");
        let last = last.fetch_one(readers).await.map_err(unreadable)?;
        Ok(Position(last))
    })
    .await
}

/// Where an entry stands, if it is there.
pub(super) async fn position(readers: &PgPool, id: Uuid) -> Result<Option<Position>, StoreError> {
    answered(ANSWER, async {
        let sql = "SELECT position FROM entries WHERE position = (SELECT position FROM ids WHERE id = $1)";
        let position = sqlx::query_scalar(sql).bind(id);
        let position: Option<i64> = position.fetch_optional(readers).await.map_err(unreadable)?;
        Ok(position.map(Position))
    })
    .await
}

/// What a question finds, or that nobody answers.
pub(super) async fn answered<T>(
    time: Duration,
    question: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(time, question).await.unwrap_or_else(|_| {
        let silent = format!("the database does not answer within {time:?}");
        Err(StoreError::Unreadable(silent))
    })
}

fn row((position, id, time, level, message, source): Columns) -> Result<Row, StoreError> {
    let message = String::from_utf8(message)
        .map_err(|_| StoreError::Unreadable(format!("row {position}: its message is not UTF-8")))?;
    Ok(Row {
        position: Position(position),
        id,
        time,
        level,
        message,
        source,
    })
}

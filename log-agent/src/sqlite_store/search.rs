//! Looking for a text: a bounded part of the entries at a time, in small statements.
//!
//! SQLite runs a statement to its end whoever still waits for it. So a search is many short ones:
//! when its caller goes, the one that runs is the last.

use std::time::Duration;

use faultline_service::entry::Level;
use faultline_service::query::{Limit, Substring};
use metrics::counter;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Sqlite};
use tokio::time::Instant;

use super::rows::{COLUMNS, Reading, unreadable};
use crate::store::{Position, StoreError};

/// How many entries one search looks at.
const ENTRIES: i64 = 64 * STEP;

/// How many entries one statement looks at.
const STEP: i64 = 1_024;

/// After how long a search begins no further statement.
const TIME: Duration = Duration::from_millis(100);

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) text: &'a Substring,
    pub(super) level: Option<Level>,
    pub(super) limit: Limit,
}

/// A part of the entries: from `first` up to, and without, where the part before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: Position,
    entries: i64,
}

/// The newest entries before a position that hold the text, as far as the bounds go.
pub(super) async fn search(
    searchers: &SqlitePool,
    mut before: Position,
    wanted: Wanted<'_>,
) -> Result<Reading, StoreError> {
    let mut connection = searchers.acquire().await.map_err(|error| match error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        error => unreadable(error),
    })?;
    let mut found = Reading::up_to(wanted.limit.get());
    let (started, mut examined) = (Instant::now(), 0);
    while let Some(part) = next_part(&mut *connection, before, wanted.level).await? {
        counter!("log_agent_entries_searched_total").increment(part.entries.unsigned_abs());
        let sql = matches(part.first, before, wanted);
        found.read(&mut *connection, sql).await?;
        before = part.first;
        examined += part.entries;
        if found.next.is_some() || part.entries < STEP {
            break;
        }
        if found.is_full() || examined >= ENTRIES || started.elapsed() >= TIME {
            found.next = Some(before);
            break;
        }
    }
    Ok(found)
}

/// The entries to look at before a position; none when there are none.
async fn next_part(
    connection: &mut SqliteConnection,
    before: Position,
    level: Option<Level>,
) -> Result<Option<Part>, StoreError> {
    let mut sql = QueryBuilder::new(
        "SELECT min(position), count(*) FROM (SELECT position FROM entries WHERE position < ",
    );
    sql.push_bind(before.0);
    with_level(&mut sql, level);
    sql.push(" ORDER BY position DESC LIMIT ")
        .push_bind(STEP)
        .push(")");
    let (first, entries): (Option<i64>, i64) = sql
        .build_query_as()
        .fetch_one(connection)
        .await
        .map_err(unreadable)?;
    Ok(first.map(|first| Part {
        first: Position(first),
        entries,
    }))
}

/// Those of a part that hold the text, newest first.
fn matches(first: Position, before: Position, wanted: Wanted<'_>) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(COLUMNS);
    sql.push(" WHERE position >= ")
        .push_bind(first.0)
        .push(" AND position < ")
        .push_bind(before.0);
    with_level(&mut sql, wanted.level);
    // As bytes: SQLite's text functions are not made for NUL.
    sql.push(" AND instr(CAST(message AS BLOB), ")
        .push_bind(wanted.text.as_str().as_bytes())
        .push(") > 0 ORDER BY position DESC");
    sql
}

fn with_level(sql: &mut QueryBuilder<Sqlite>, level: Option<Level>) {
    if let Some(level) = level {
        sql.push(" AND level = ").push_bind(level.as_str());
    }
}

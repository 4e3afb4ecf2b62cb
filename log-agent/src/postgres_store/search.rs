//! The statements of a search in PostgreSQL.

use faultline_service::entry::Level;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Postgres, QueryBuilder};

use super::database::ANSWER;
use super::failure::unreadable;
use super::rows::{COLUMNS, answered, read};
use crate::reading::Reading;
use crate::search::{self, BOUNDS, Part, Statements, Wanted};
use crate::store::{Position, StoreError};

/// The newest entries before a position that hold the text, as far as the bounds go.
pub(super) async fn search(
    searchers: &PgPool,
    before: Position,
    wanted: Wanted<'_>,
) -> Result<Reading, StoreError> {
    let mut connection = searchers.acquire().await.map_err(|error| match error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        error => unreadable(error),
    })?;
    search::search(&mut InPostgres(&mut connection), before, wanted, BOUNDS).await
}

struct InPostgres<'a>(&'a mut PgConnection);

impl Statements for InPostgres<'_> {
    async fn next_part(
        &mut self,
        before: Position,
        level: Option<Level>,
        step: i64,
    ) -> Result<Option<Part>, StoreError> {
        let mut sql = QueryBuilder::new(
            "SELECT min(position), count(*) FROM (SELECT position FROM entries WHERE position < ",
        );
        sql.push_bind(before.0);
        with_level(&mut sql, level);
        sql.push(" ORDER BY position DESC LIMIT ")
            .push_bind(step)
            .push(") AS part");
        answered(ANSWER, async {
            let part = sql.build_query_as::<(Option<i64>, i64)>();
            let (first, entries) = part.fetch_one(&mut *self.0).await.map_err(unreadable)?;
            Ok(first.map(|first| Part {
                first: Position(first),
                entries,
            }))
        })
        .await
    }

    async fn matches(
        &mut self,
        found: &mut Reading,
        first: Position,
        before: Position,
        wanted: Wanted<'_>,
    ) -> Result<(), StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new(COLUMNS);
        sql.push(" WHERE position >= ")
            .push_bind(first.0)
            .push(" AND position < ")
            .push_bind(before.0);
        with_level(&mut sql, wanted.level);
        sql.push(" AND position(")
            .push_bind(wanted.text.as_str().as_bytes().to_vec())
            .push(" IN message) > 0 ORDER BY position DESC");
        read(found, &mut *self.0, sql).await
    }
}

fn with_level(sql: &mut QueryBuilder<Postgres>, level: Option<Level>) {
    if let Some(level) = level {
        sql.push(" AND level = ").push_bind(level.as_str());
    }
}

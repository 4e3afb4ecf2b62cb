//! The statements of a search in SQLite.

use faultline_service::entry::Level;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Sqlite};

use super::rows::{COLUMNS, read, unreadable};
use crate::reading::Reading;
use crate::search::{self, BOUNDS, Part, Statements, Wanted};
use crate::store::{Position, StoreError};

/// The newest entries before a position that hold the text, as far as the bounds go.
pub(super) async fn search(
    searchers: &SqlitePool,
    before: Position,
    wanted: Wanted<'_>,
) -> Result<Reading, StoreError> {
    let mut connection = searchers.acquire().await.map_err(|error| match error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        error => unreadable(error),
    })?;
    search::search(&mut InSqlite(&mut connection), before, wanted, BOUNDS).await
}

struct InSqlite<'a>(&'a mut SqliteConnection);

impl Statements for InSqlite<'_> {
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
            .push(")");
        let (first, entries): (Option<i64>, i64) = sql
            .build_query_as()
            .fetch_one(&mut *self.0)
            .await
            .map_err(unreadable)?;
        Ok(first.map(|first| Part {
            first: Position(first),
            entries,
        }))
    }

    async fn matches(
        &mut self,
        found: &mut Reading,
        first: Position,
        before: Position,
        wanted: Wanted<'_>,
    ) -> Result<(), StoreError> {
        read(found, &mut *self.0, matches(first, before, wanted)).await
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Bounds;
    use crate::sqlite_store::SCHEMA;
    use faultline_service::query::{Limit, Substring};
    use faultline_service::sqlite;
    use proptest::prelude::*;
    use std::time::Duration;

    const LEVELS: [Level; 2] = [Level::Info, Level::Error];

    /// A store with these entries: the level and the text of each.
    async fn store(entries: &[(Level, String)]) -> (tempfile::TempDir, SqlitePool) {
        let directory = tempfile::tempdir().unwrap();
        let opened = sqlite::open(directory.path(), "entries.db", &SCHEMA).await;
        let mut database = opened.unwrap();
        let connection = database.writer.begin().await.unwrap();
        for (level, message) in entries {
            let insert = "INSERT INTO entries (id, time, level, message, source)
                VALUES (randomblob(16), '2026-11-22T12:00:00Z', ?, ?, 'test')";
            let insert = sqlx::query(insert).bind(level.as_str()).bind(message);
            insert.execute(&mut *connection).await.unwrap();
        }
        database.writer.commit().await.unwrap();
        (directory, database.readers)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn walking_the_pages_finds_what_is_there_once_a_bounded_part_at_a_time(
            entries in prop::collection::vec((prop::sample::select(LEVELS.to_vec()), "[ab]{1,3}"), 0..60),
            level in prop::option::of(prop::sample::select(LEVELS.to_vec())),
            text in "[ab]{1,2}",
            limit in 1..5_u16,
            step in 1..8_i64,
            parts in 1..4_i64,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (found, longest) = runtime.block_on(async {
                let (_directory, searchers) = store(&entries).await;
                let mut connection = searchers.acquire().await.unwrap();
                let mut statements = InSqlite(&mut connection);
                let text = Substring::try_from(text.as_str()).unwrap();
                let limit = Limit::try_from(limit.to_string().as_str()).unwrap();
                let wanted = Wanted { text: &text, level, limit };
                let bounds = Bounds {
                    first_step: step,
                    longest_step: step,
                    entries: parts * step,
                    time: Duration::MAX,
                };
                let (mut found, mut before, mut longest) = (Vec::new(), Position(i64::MAX), 0);
                loop {
                    let page = search::search(&mut statements, before, wanted, bounds).await.unwrap();
                    assert!(page.rows.len() <= usize::from(limit.get()));
                    found.extend(page.rows.into_iter().map(|(position, _)| position.0));
                    let Some(next) = page.next else { break };
                    assert!(next < before, "it gets on");
                    let passed = before.0.min(entries.len() as i64 + 1) - next.0;
                    (longest, before) = (longest.max(passed), next);
                }
                (found, longest)
            });
            let is_wanted = |(index, (of, message)): (usize, &(Level, String))| {
                let wanted = level.is_none_or(|level| level == *of) && message.contains(&text);
                wanted.then_some(index as i64 + 1)
            };
            let mut expected: Vec<i64> = entries.iter().enumerate().filter_map(is_wanted).collect();
            expected.reverse();
            prop_assert_eq!(found, expected);
            // By level, others lie between those that are looked at.
            prop_assert!(level.is_some() || longest < (parts + 1) * step, "{} entries in one page", longest);
        }
    }

    #[tokio::test]
    async fn no_statement_looks_at_more_than_it_must() {
        let (_directory, searchers) = store(&[]).await;
        let text = Substring::try_from("x").unwrap();
        let limit = Limit::default();
        for (level, expected) in [
            (
                None,
                "SEARCH entries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
            ),
            (
                Some(Level::Info),
                "SEARCH entries USING INDEX entries_by_level (level=? AND position>? AND position<?)",
            ),
        ] {
            let wanted = Wanted {
                text: &text,
                level,
                limit,
            };
            let sql = matches(Position(1), Position(2), wanted).into_sql();
            let plan = format!("EXPLAIN QUERY PLAN {}", sql.as_str());
            let plan = sqlx::query_as::<_, (i64, i64, i64, String)>(sqlx::AssertSqlSafe(plan));
            let steps = plan.fetch_all(&searchers).await.unwrap();
            assert!(steps.len() == 1 && steps[0].3 == expected, "{steps:?}");
        }
    }
}

//! The statements of retention.

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::{AssertSqlSafe, Connection, Transaction};

use super::plan::{Bounds, Part, View};
use crate::marks::Mark;
use crate::postgres_store::failure::Failure;
use crate::postgres_store::place::Segment;
use crate::store::Position;

/// Who holds it decides about segments and marks.
const LOCK: i64 = 0x6661_756c_746c_696e;

/// The most ids that one transaction removes: each may lie on a page of its own.
const STEP_IDS: i64 = 2_000;

/// How long all others wait, at most, for those that read a partition which is taken out.
const BRIEFLY: &str = "SET LOCAL lock_timeout = '200ms'";

/// Sets the mark and opens the segment that are due, unless another replica is at it. Returns the
/// store as it was.
pub(super) async fn advance(
    connection: &mut PgConnection,
    bounds: &Bounds,
) -> Result<View, Failure> {
    let mut transaction = connection.begin().await?;
    let is_ours = lock(&mut transaction).await?;
    let mut view = view(&mut transaction).await?;
    if is_ours {
        if let Some(marks) = view.next_marks(bounds) {
            set_marks(&mut transaction, &marks).await?;
            view.marks = marks;
        }
        if view.is_open_for_too_long(bounds) {
            open(&mut transaction, view.open.next()).await?;
        }
    }
    transaction.commit().await?;
    Ok(view)
}

async fn lock(transaction: &mut Transaction<'_, Postgres>) -> Result<bool, Failure> {
    let locked = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(LOCK);
    Ok(locked.fetch_one(&mut **transaction).await?)
}

/// The store as it is now.
pub(super) async fn view(connection: &mut PgConnection) -> Result<View, Failure> {
    let (now, last, open, ids): (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, last, segment,
            pg_total_relation_size('ids') FROM tail",
    )
    .fetch_one(&mut *connection)
    .await?;
    let segments: Vec<(i64, i64, i64, bool, i64)> = sqlx::query_as(
        "SELECT segment, before, (extract(epoch FROM opened) * 1000)::bigint, state = 'kept',
            coalesce(pg_total_relation_size(to_regclass('entries_' || segment)), 0)
        FROM segments WHERE state <> 'gone' ORDER BY segment",
    )
    .fetch_all(&mut *connection)
    .await?;
    let part = |(segment, before, opened, is_kept, bytes): (i64, i64, i64, bool, i64)| Part {
        segment: Segment(segment),
        before,
        opened,
        is_kept,
        bytes: bytes.unsigned_abs(),
    };
    Ok(View {
        now,
        last: Position(last),
        open: Segment(open),
        segments: segments.into_iter().map(part).collect(),
        ids: ids.unsigned_abs(),
        marks: marks(connection).await?,
    })
}

/// From now on entries go into this segment. Those who read and write are not kept waiting: a table
/// is attached beside them.
async fn open(
    transaction: &mut Transaction<'_, Postgres>,
    segment: Segment,
) -> Result<(), Failure> {
    let (table, first, after) = (segment.table(), segment.start().0, segment.next().start().0);
    for statement in [
        BRIEFLY.to_owned(),
        format!("CREATE TABLE {table} (LIKE entries INCLUDING ALL)"),
        format!(
            "ALTER TABLE entries ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({after})"
        ),
    ] {
        let statement = sqlx::query(AssertSqlSafe(statement));
        statement.execute(&mut **transaction).await?;
    }
    // Positions of the segment before: none of it may be given any more when they are counted.
    sqlx::query(
        "WITH before AS (SELECT segment, greatest(last - (segment << 32), 0) AS entries FROM tail FOR UPDATE)
        INSERT INTO segments (segment, before)
        SELECT $1, segments.before + before.entries FROM segments JOIN before USING (segment)",
    )
    .bind(segment.0)
    .execute(&mut **transaction)
    .await?;
    let moved = sqlx::query("UPDATE tail SET segment = $1").bind(segment.0);
    moved.execute(&mut **transaction).await?;
    Ok(())
}

/// Takes a segment out of the entries; returns how many those were, or none where another replica is
/// at it.
pub(super) async fn take_out(
    connection: &mut PgConnection,
    segment: Segment,
) -> Result<Option<u64>, Failure> {
    let mut transaction = connection.begin().await?;
    if !lock(&mut transaction).await? {
        return Ok(None);
    }
    sqlx::query(BRIEFLY).execute(&mut *transaction).await?;
    let entries: Option<i64> = sqlx::query_scalar(
        "UPDATE segments SET state = 'removed' WHERE segment = $1 AND state = 'kept'
        RETURNING (SELECT before FROM segments WHERE segment = $1 + 1) - before",
    )
    .bind(segment.0)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(entries) = entries else {
        return Ok(None);
    };
    let detach = format!("ALTER TABLE entries DETACH PARTITION {}", segment.table());
    let detach = sqlx::query(AssertSqlSafe(detach));
    detach.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Some(entries.unsigned_abs()))
}

/// Removes the ids of some entries of a segment that was taken out, those after a position; returns
/// the last of these. After the last of all, the table goes, and there is none.
pub(super) async fn clear(
    connection: &mut PgConnection,
    segment: Segment,
    after: Position,
) -> Result<Option<Position>, Failure> {
    let mut transaction = connection.begin().await?;
    if !lock(&mut transaction).await? {
        return Ok(None);
    }
    let table = segment.table();
    // An id that has come again since then stands for another entry.
    let clear = sqlx::query_scalar::<_, Option<i64>>(AssertSqlSafe(format!(
        "WITH old AS (SELECT id, position FROM {table} WHERE position > $1 ORDER BY position LIMIT $2),
            gone AS (DELETE FROM ids USING old WHERE ids.id = old.id AND ids.position = old.position)
        SELECT max(position) FROM old"
    )));
    let last = clear.bind(after.0).bind(STEP_IDS);
    let last = last.fetch_one(&mut *transaction).await?;
    if last.is_none() {
        let drop = sqlx::query(AssertSqlSafe(format!("DROP TABLE {table}")));
        drop.execute(&mut *transaction).await?;
        let gone = sqlx::query("UPDATE segments SET state = 'gone' WHERE segment = $1");
        gone.bind(segment.0).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(last.map(Position))
}

/// When the oldest entry was accepted, if there is one.
pub(super) async fn time_of_the_oldest(
    connection: &mut PgConnection,
) -> Result<Option<Timestamp>, Failure> {
    let time = sqlx::query_scalar("SELECT time FROM entries ORDER BY position LIMIT 1");
    let time: Option<String> = time.fetch_optional(connection).await?;
    Ok(time.and_then(|time| time.parse().ok()))
}

async fn marks(connection: &mut PgConnection) -> Result<Vec<Mark>, Failure> {
    let marks = sqlx::query_as("SELECT position, time FROM marks ORDER BY number");
    let marks: Vec<(i64, i64)> = marks.fetch_all(connection).await?;
    let mark = |(position, time)| Mark {
        position: Position(position),
        time,
    };
    Ok(marks.into_iter().map(mark).collect())
}

/// Puts these marks, oldest first, in the place of those there are. They are few.
async fn set_marks(
    transaction: &mut Transaction<'_, Postgres>,
    marks: &[Mark],
) -> Result<(), Failure> {
    let delete = sqlx::query("DELETE FROM marks");
    delete.execute(&mut **transaction).await?;
    let positions: Vec<i64> = marks.iter().map(|mark| mark.position.0).collect();
    let times: Vec<i64> = marks.iter().map(|mark| mark.time).collect();
    sqlx::query(
        "INSERT INTO marks (position, time) SELECT * FROM unnest($1::bigint[], $2::bigint[])",
    )
    .bind(positions)
    .bind(times)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

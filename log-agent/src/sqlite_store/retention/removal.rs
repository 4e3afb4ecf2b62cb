//! The statements of retention.

use faultline_service::sqlite::Writer;
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use crate::marks::Mark;
use crate::store::Position;

/// The most entries that one transaction removes: each may lie on a page of its own in the index of
/// ids.
const STEP_ENTRIES: i64 = 256;

/// After how many bytes of text a transaction removes no further entry.
const STEP_BYTES: i64 = 1024 * 1024;

/// Gives a bounded number of pages back to the disk: each is first filled with another's content.
const GIVE_BACK: &str = "PRAGMA incremental_vacuum(256)";

/// The size of the file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    page: u64,
    pages: u64,
    free_pages: u64,
}

impl Sizes {
    /// All pages.
    pub(super) const fn file(self) -> u64 {
        self.page.saturating_mul(self.pages)
    }

    /// Pages with nothing in them.
    pub(super) const fn free(self) -> u64 {
        self.page.saturating_mul(self.free_pages)
    }

    /// Pages with something in them.
    pub(super) const fn used(self) -> u64 {
        self.file().saturating_sub(self.free())
    }
}

/// The outcome of one transaction: so many entries gone, and the last position that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) entries: u64,
    pub(super) last: Position,
}

/// Reads the file's header, which takes as long however large the file is.
pub(super) async fn measure(connection: &mut SqliteConnection) -> Result<Sizes, sqlx::Error> {
    let (page, pages, free_pages): (i64, i64, i64) = sqlx::query_as(
        "SELECT page_size, page_count, freelist_count
         FROM pragma_page_size, pragma_page_count, pragma_freelist_count",
    )
    .fetch_one(connection)
    .await?;
    Ok(Sizes {
        page: page.unsigned_abs(),
        pages: pages.unsigned_abs(),
        free_pages: free_pages.unsigned_abs(),
    })
}

/// The first position there is; in a store without entries, the one that comes.
pub(super) async fn oldest(connection: &mut SqliteConnection) -> Result<Position, sqlx::Error> {
    let first: Option<i64> = sqlx::query_scalar("SELECT min(position) FROM entries")
        .fetch_one(connection)
        .await?;
    Ok(first.map_or(Position::START.next(), Position))
}

/// When the entry at a position was accepted, if it is there.
pub(super) async fn time_of(
    connection: &mut SqliteConnection,
    position: Position,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let time: Option<String> = sqlx::query_scalar("SELECT time FROM entries WHERE position = ?")
        .bind(position.0)
        .fetch_optional(connection)
        .await?;
    Ok(time.and_then(|time| time.parse().ok()))
}

/// Removes some of the oldest entries, none after `to`.
pub(super) async fn remove(writer: &mut Writer, to: Position) -> Result<Removed, sqlx::Error> {
    let connection = writer.begin().await?;
    let oldest: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT position, octet_length(message) FROM entries
         WHERE position <= ? ORDER BY position LIMIT ?",
    )
    .bind(to.0)
    .bind(STEP_ENTRIES)
    .fetch_all(&mut *connection)
    .await?;
    let mut bytes = 0;
    let within = oldest.into_iter().take_while(|(_, length)| {
        let within = bytes < STEP_BYTES;
        bytes += length;
        within
    });
    // Where there are none, all up to `to` are gone.
    let last = within.last().map_or(to.0, |(last, _)| last);
    let done = sqlx::query("DELETE FROM entries WHERE position <= ?")
        .bind(last)
        .execute(connection)
        .await?;
    writer.commit().await?;
    Ok(Removed {
        entries: done.rows_affected(),
        last: Position(last),
    })
}

/// Gives some free pages back to the disk.
pub(super) async fn give_back(writer: &mut Writer) -> Result<(), sqlx::Error> {
    sqlx::query(GIVE_BACK).execute(writer.idle().await).await?;
    Ok(())
}

/// The marks, oldest first.
pub(super) async fn marks(connection: &mut SqliteConnection) -> Result<Vec<Mark>, sqlx::Error> {
    let marks: Vec<(i64, i64)> = sqlx::query_as("SELECT position, time FROM marks ORDER BY number")
        .fetch_all(connection)
        .await?;
    let mark = |(position, time)| Mark {
        position: Position(position),
        time,
    };
    Ok(marks.into_iter().map(mark).collect())
}

/// Puts these marks, oldest first, in the place of those there are. They are few.
pub(super) async fn set_marks(writer: &mut Writer, marks: &[Mark]) -> Result<(), sqlx::Error> {
    let connection = writer.begin().await?;
    sqlx::query("DELETE FROM marks")
        .execute(&mut *connection)
        .await?;
    for mark in marks {
        sqlx::query("INSERT INTO marks (position, time) VALUES (?, ?)")
            .bind(mark.position.0)
            .bind(mark.time)
            .execute(&mut *connection)
            .await?;
    }
    writer.commit().await
}

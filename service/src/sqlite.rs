//! Opening a SQLite file so that what is committed is on disk, and saying plainly why it cannot be.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, SqlSafeStr};
use tokio::time::{Instant, sleep};

use crate::reserve::Reserve;

/// An open database: one connection that writes, a few that read.
#[derive(Debug)]
pub struct Database {
    /// The only connection that writes.
    pub writer: Writer,
    /// Connections that read what is committed.
    pub readers: SqlitePool,
}

/// Why a database could not be opened; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not there.
    #[error("the data directory {0} is missing: create it or mount a volume there")]
    Missing(PathBuf),
    /// No file can be made or written in the directory.
    #[error(
        "cannot write in the data directory {0}: {1}; it must be writable for this process' user"
    )]
    NotWritable(PathBuf, #[source] io::Error),
    /// A second process would not know what the first one does.
    #[error("the data directory {0} is in use by another process: give each instance its own")]
    InUse(PathBuf),
    /// SQLite refuses the file.
    #[error("cannot open {0}: {1}")]
    Sqlite(PathBuf, #[source] sqlx::Error),
    /// The file's schema is not one of this program's.
    #[error("cannot bring {0} to this version's schema: {1}; was it written by a newer version?")]
    Schema(PathBuf, #[source] MigrateError),
}

/// Opens `directory/name`, made with permissions for its owner only, and brings it to the newest
/// of `schema`: statements for version 1, 2 and so on, of which none may ever change.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(
    directory: &Path,
    name: &str,
    schema: &[&'static str],
) -> Result<Database, OpenError> {
    let path = directory.join(name);
    let lock = prepare(directory, &path)?;
    let writing = options(&path)
        // What is deleted can be given back to the disk.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // The WAL goes into the file at 1 MiB, and one that once grew does not keep the disk.
        .pragma("wal_autocheckpoint", "256")
        .pragma("journal_size_limit", "4194304");
    let refused = |error| OpenError::Sqlite(path.clone(), error);
    let mut connection = writing.connect().await.map_err(refused)?;
    migrator(schema)
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|error| OpenError::Schema(path.clone(), error))?;
    let mut wal = path.into_os_string();
    wal.push("-wal");
    Ok(Database {
        writer: Writer {
            connection,
            open: false,
            reserve: None,
            wal: wal.into(),
            _lock: lock,
        },
        readers: readers(directory, name, 2, Duration::from_secs(5)),
    })
}

/// Up to `count` more connections that read `directory/name`, made when they are needed. A reader
/// that finds all of them taken waits as long as `patience`.
pub fn readers(directory: &Path, name: &str, count: u32, patience: Duration) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(count)
        .acquire_timeout(patience)
        .connect_lazy_with(options(&directory.join(name)).read_only(true))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        // A read-only root has no place for temporary files.
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

/// Everything that can be wrong before SQLite is asked, since SQLite says only "unable to open".
fn prepare(directory: &Path, path: &Path) -> Result<File, OpenError> {
    if !directory.is_dir() {
        return Err(OpenError::Missing(directory.to_owned()));
    }
    let not_writable = |error| OpenError::NotWritable(directory.to_owned(), error);
    let private = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options
    };
    let lock = private()
        .open(directory.join("lock"))
        .map_err(not_writable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => return Err(not_writable(error)),
    }
    // SQLite gives its other files the permissions of this one.
    private().open(path).map_err(not_writable)?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(not_writable)?;
    Ok(lock)
}

fn migrator(schema: &[&'static str]) -> Migrator {
    let migrations = (1..).zip(schema).map(|(version, sql)| {
        let name = "schema".into();
        Migration::new(
            version,
            name,
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

/// The largest WAL between two transactions, in bytes. SQLite begins it anew only when no reader is
/// in it, and readers that follow each other closely leave no such moment.
const WAL_BYTES: u64 = 8 * 1024 * 1024;

/// The longest that the writer waits for readers to leave a WAL that is too large.
const WAL_PATIENCE: Duration = Duration::from_secs(1);

const TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The connection that writes, and the lock that keeps other processes out.
#[derive(Debug)]
pub struct Writer {
    connection: SqliteConnection,
    open: bool,
    reserve: Option<Reserve>,
    wal: PathBuf,
    _lock: File,
}

impl Writer {
    /// From now on `bytes` of the disk are kept back for what makes room; see
    /// [`crate::group_commit::Job::makes_room`]. Where they cannot be had now, they are asked for
    /// until they can.
    pub fn keep_reserve(&mut self, directory: &Path, bytes: usize) {
        self.reserve = Some(Reserve::new(directory, bytes));
    }

    /// Whether what was to be kept back is not there.
    pub(crate) fn lacks_reserve(&self) -> bool {
        self.reserve
            .as_ref()
            .is_some_and(|reserve| !reserve.is_there())
    }

    /// Gives up what was kept back; says whether that made room.
    pub(crate) fn spend_reserve(&self) -> bool {
        let spent = self.reserve.as_ref().is_some_and(Reserve::give_up);
        if spent {
            tracing::warn!("the disk is full; gave up the reserve");
        }
        spent
    }

    /// Gives to the disk what was deleted, then keeps the reserve back again.
    ///
    /// # Errors
    /// When there is still no room, or SQLite's.
    pub(crate) async fn restore_reserve(&mut self) -> Result<(), WriteError> {
        let Some(reserve) = self.reserve.clone().filter(|reserve| !reserve.is_there()) else {
            return Ok(());
        };
        for statement in ["PRAGMA incremental_vacuum", TRUNCATE] {
            sqlx::query(statement).execute(self.idle().await).await?;
        }
        let restored = tokio::task::spawn_blocking(move || reserve.restore()).await;
        match restored {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::StorageFull => {
                Err(WriteError::NoSpace)
            }
            Ok(Err(error)) => Err(WriteError::Unwritable(error.to_string())),
            Err(error) => Err(WriteError::Unwritable(error.to_string())),
        }
    }

    /// Empties a WAL that is larger than [`WAL_BYTES`], once the readers in it have ended. One that
    /// cannot be emptied in time stays for the next call.
    ///
    /// # Errors
    /// SQLite's; the WAL stays as it is.
    pub(crate) async fn bound_wal(&mut self) -> Result<(), sqlx::Error> {
        if fs::metadata(&self.wal).map_or(0, |wal| wal.len()) <= WAL_BYTES {
            return Ok(());
        }
        // SQLite's own waiting can be kept from its end by readers that come meanwhile. Trying again
        // cannot: only readers from before the last transaction are in the way of the copying, and
        // those that come after it are not in the WAL.
        let deadline = Instant::now() + WAL_PATIENCE;
        while !self.copied().await? {
            if Instant::now() > deadline {
                return Ok(());
            }
            sleep(Duration::from_millis(2)).await;
        }
        sqlx::query(TRUNCATE).execute(self.idle().await).await?;
        Ok(())
    }

    /// Copies the WAL to the file as far as readers allow; says whether that is all of it.
    async fn copied(&mut self) -> Result<bool, sqlx::Error> {
        let (_, frames, copied): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_one(self.idle().await)
            .await?;
        Ok(frames == copied)
    }

    /// The connection outside of any transaction; one that an error left open is rolled back.
    pub async fn idle(&mut self) -> &mut SqliteConnection {
        if self.open {
            // It fails if SQLite has rolled back already, which is as good.
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
            self.open = false;
        }
        &mut self.connection
    }

    /// From now on the file does not grow beyond `bytes`; what does not fit is
    /// [`WriteError::NoSpace`].
    ///
    /// # Errors
    /// SQLite's.
    pub async fn limit(&mut self, bytes: u64) -> Result<(), sqlx::Error> {
        let page: i64 = sqlx::query_scalar("PRAGMA page_size")
            .fetch_one(&mut self.connection)
            .await?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        // A pragma takes no parameters; this one is a number.
        let pragma = AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages.max(1)));
        sqlx::query(pragma).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Begins a transaction; one that an error left open is rolled back first. (sqlx's own keeps
    /// count of transactions and loses it when SQLite rolls back by itself, as on a full disk.)
    ///
    /// # Errors
    /// SQLite's.
    pub async fn begin(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.idle().await;
        self.open = true;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await?;
        Ok(&mut self.connection)
    }

    /// Commits; once this is `Ok`, what was written is on disk.
    ///
    /// # Errors
    /// SQLite's; nothing was written.
    pub async fn commit(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        self.open = false;
        Ok(())
    }
}

/// Why something could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The disk, or the file's allowance, is full.
    #[error("no space left")]
    NoSpace,
    /// Anything else: read-only, I/O errors, the writer gone. The text is for the log.
    #[error("cannot write: {0}")]
    Unwritable(String),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        const FULL: &str = "13";
        match error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
        {
            Some(code) if code == FULL => Self::NoSpace,
            _ => Self::Unwritable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const SCHEMA: &str = "CREATE TABLE t (x INTEGER) STRICT";

    #[tokio::test]
    async fn what_is_committed_is_read_and_what_is_not_is_rolled_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut database = open(directory.path(), "t.db", &[SCHEMA]).await.unwrap();
        for (x, commit) in [(1, true), (2, false), (3, true)] {
            let connection = database.writer.begin().await.unwrap();
            sqlx::query("INSERT INTO t VALUES (?)")
                .bind(x)
                .execute(connection)
                .await
                .unwrap();
            if commit {
                database.writer.commit().await.unwrap();
            }
        }
        let rows: Vec<i64> = sqlx::query_scalar("SELECT x FROM t ORDER BY x")
            .fetch_all(&database.readers)
            .await
            .unwrap();
        assert_eq!(rows, [1, 3]);
    }

    #[tokio::test]
    async fn it_is_synced_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let mut database = open(directory.path(), "t.db", &[SCHEMA]).await.unwrap();
        let connection = database.writer.begin().await.unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(connection)
            .await
            .unwrap();
        assert_eq!((synchronous, mode.as_str()), (2, "wal"));
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_wal_is_bounded_though_readers_leave_it_no_moment() {
        let directory = tempfile::tempdir().unwrap();
        let schema = "CREATE TABLE t (x BLOB) STRICT";
        let mut database = open(directory.path(), "t.db", &[schema]).await.unwrap();
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let pool = database.readers.clone();
            readers.spawn(async move {
                loop {
                    let mut snapshot = pool.begin().await.unwrap();
                    let count = sqlx::query("SELECT count(*) FROM t");
                    count.fetch_one(&mut *snapshot).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        let wal = directory.path().join("t.db-wal");
        for _ in 0..100 {
            let connection = database.writer.begin().await.unwrap();
            let insert = sqlx::query("INSERT INTO t VALUES (zeroblob(500000))");
            insert.execute(connection).await.unwrap();
            database.writer.commit().await.unwrap();
            database.writer.bound_wal().await.unwrap();
            let bytes = fs::metadata(&wal).unwrap().len();
            // A few transactions more where a reader sleeps longer than it asked for.
            assert!(bytes <= 2 * WAL_BYTES, "{bytes}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let missing = open(&directory.path().join("none"), "t.db", &[SCHEMA])
            .await
            .unwrap_err();
        assert!(matches!(missing, OpenError::Missing(_)), "{missing}");

        let first = open(directory.path(), "t.db", &[SCHEMA]).await.unwrap();
        let second = open(directory.path(), "t.db", &[SCHEMA]).await.unwrap_err();
        assert!(matches!(second, OpenError::InUse(_)), "{second}");
        drop(first);

        let newer = open(directory.path(), "t.db", &[SCHEMA, "CREATE TABLE u (x)"])
            .await
            .unwrap();
        drop(newer);
        let older = open(directory.path(), "t.db", &[SCHEMA]).await.unwrap_err();
        assert!(matches!(older, OpenError::Schema(..)), "{older}");

        std::fs::write(directory.path().join("junk.db"), "x".repeat(5000)).unwrap();
        let junk = open(directory.path(), "junk.db", &[SCHEMA])
            .await
            .unwrap_err();
        assert!(
            matches!(junk, OpenError::Sqlite(..) | OpenError::Schema(..)),
            "{junk}"
        );
    }
}

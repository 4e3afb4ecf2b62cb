//! The session with the database: made, watched, and made anew when it breaks.
//!
//! One task asks the database every second for its end, on the connection that also hears of new
//! entries. When it gets no answer, the store is away: what comes is refused at once, and nothing of
//! the old session is used again.

use std::sync::Arc;
use std::time::Duration;

use faultline_service::health::Health;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Executor};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::failure::Failure;
use super::schema;
use super::source::{Server, Source};
use crate::search;
use crate::store::{self, Position};

/// The name under which [`Health`] knows that the database can be reached.
pub(super) const DATABASE: &str = "database";

/// The channel of the positions of new entries.
const CHANNEL: &str = "log_agent_entries";

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the schema may take to be made, or another replica to have made it.
const MIGRATE: Duration = Duration::from_secs(60);

/// How often the database is asked for its end, and after a failure for a new session.
const POLL: Duration = Duration::from_secs(1);

/// How long a small question may take.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// The number of connections that read, and the longest that a read waits for one.
const READERS: u32 = 4;

/// For each connection. The server's own times are shorter than those here, so that what it gives up
/// is known to be given up; it ends a transaction whose process has stopped in it. A commit waits for
/// the server's disk, and for its standbys as far as the server is set up for that.
const SETTINGS: &str = "
    SET search_path = log_agent;
    SET statement_timeout = '4s';
    SET lock_timeout = '3s';
    SET idle_in_transaction_session_timeout = '10s';
    SET default_transaction_isolation = 'read committed';
    SET jit = off;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
";

/// The connections of one session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) readers: PgPool,
    pub(super) searchers: PgPool,
    pub(super) server: Server,
    options: PgConnectOptions,
}

impl Session {
    /// One more connection.
    ///
    /// # Errors
    /// Why there is none, in a sentence.
    pub(super) async fn connect(&self) -> Result<PgConnection, String> {
        let connected = connect(&self.options).await;
        connected.map_err(|failure| failure.sentence(&self.server))
    }
}

/// The session of now, or why there is none.
type State = Result<Session, String>;

/// The session of now, for everybody who asks the database something.
#[derive(Clone, Debug)]
pub(super) struct Database(watch::Receiver<State>);

impl Database {
    /// # Errors
    /// Why the store is away.
    pub(super) fn session(&self) -> Result<Session, String> {
        self.0.borrow().clone()
    }

    /// Waits for a session.
    pub(super) async fn there(&mut self) -> Option<Session> {
        let state = self.0.wait_for(Result::is_ok).await.ok()?;
        state.clone().ok()
    }
}

/// The one that makes sessions.
pub(super) struct Keeper {
    source: Source,
    server: Server,
    state: watch::Sender<State>,
    end: Arc<watch::Sender<Position>>,
    health: Health,
    /// The schema was right once. Replicas of a newer version may have added to it since then.
    is_migrated: bool,
}

impl Keeper {
    pub(super) fn new(
        source: Source,
        end: Arc<watch::Sender<Position>>,
        health: Health,
    ) -> (Self, Database) {
        let (state, database) = watch::channel(Err("not asked yet".to_owned()));
        let keeper = Self {
            source,
            server: Server::default(),
            state,
            end,
            health,
            is_migrated: false,
        };
        (keeper, Database(database))
    }

    /// Makes a session, if the database is there; returns the connection to watch it by.
    pub(super) async fn begin(&mut self) -> Option<PgListener> {
        match self.try_begin().await {
            Ok((session, listener)) => {
                let _ = self.state.send_replace(Ok(session));
                self.health.mended(DATABASE);
                Some(listener)
            }
            Err(failure) => {
                self.broken(&failure);
                None
            }
        }
    }

    /// Watches sessions and makes new ones, for as long as the process runs.
    pub(super) async fn run(mut self, mut listener: Option<PgListener>) {
        loop {
            if let Some(listener) = listener.take()
                && let Err(failure) = self.watch(listener).await
            {
                self.broken(&failure);
            }
            sleep(POLL).await;
            listener = self.begin().await;
        }
    }

    fn broken(&mut self, failure: &Failure) {
        // Somebody has put another database in this one's place.
        self.is_migrated &= !failure.is_of_a_missing_schema();
        let reason = failure.sentence(&self.server);
        let _ = self.state.send_replace(Err(reason.clone()));
        self.health.broken(DATABASE, reason);
    }

    async fn try_begin(&mut self) -> Result<(Session, PgListener), Failure> {
        let options = self.source.options().await?;
        self.server = Server::of(&options);
        let mut connection = connect(&options).await?;
        if !self.is_migrated {
            within(MIGRATE, async {
                connection
                    .execute("SET statement_timeout = 0; SET lock_timeout = 0")
                    .await?;
                schema::migrate(&mut connection).await
            })
            .await?;
            self.is_migrated = true;
        }
        warn_of_settings(&mut connection, &self.server).await?;
        drop(connection);
        let session = Session {
            // One of them listens.
            readers: pool(&options, READERS + 1, CONNECT),
            searchers: pool(&options, search::SEARCHES, search::PATIENCE),
            server: self.server.clone(),
            options,
        };
        let mut listener = within(CONNECT, async {
            let mut listener = PgListener::connect_with(&session.readers).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(listener)
        })
        .await?;
        // After a failover it may be less than what was told before.
        let last = last(&mut listener).await?;
        self.end
            .send_if_modified(|end| std::mem::replace(end, last) != last);
        Ok((session, listener))
    }

    /// Hears of new entries, and asks for them every second in case that nobody was heard, until
    /// there is no answer.
    async fn watch(&self, mut listener: PgListener) -> Result<(), Failure> {
        let mut next_poll = Instant::now() + POLL;
        loop {
            match timeout_at(next_poll, listener.try_recv()).await {
                Ok(Ok(Some(heard))) => {
                    if let Ok(position) = heard.payload().parse() {
                        store::advance(&self.end, Position(position));
                    }
                }
                Ok(Ok(None)) => {
                    let lost = std::io::Error::other("the connection ended");
                    return Err(sqlx::Error::Io(lost).into());
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    let last = last(&mut listener).await?;
                    store::advance(&self.end, last);
                    next_poll = Instant::now() + POLL;
                }
            }
        }
    }
}

/// The position of the entry stored last.
async fn last(listener: &mut PgListener) -> Result<Position, Failure> {
    within(ANSWER, async {
        let last = sqlx::query_scalar("SELECT last FROM tail");
        Ok(Position(last.fetch_one(listener).await?))
    })
    .await
}

/// A server can be set up to lose what it confirms.
async fn warn_of_settings(connection: &mut PgConnection, server: &Server) -> Result<(), Failure> {
    within(ANSWER, async {
        let fsync: String = sqlx::query_scalar("SELECT current_setting('fsync')")
            .fetch_one(connection)
            .await?;
        if fsync != "on" {
            tracing::warn!(%server, "the server's fsync is off: a crash of its machine loses entries");
        }
        Ok(())
    })
    .await
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Failure> {
    within(CONNECT, async {
        let mut connection = options.connect().await?;
        connection.execute(SETTINGS).await?;
        Ok(connection)
    })
    .await
}

fn pool(options: &PgConnectOptions, connections: u32, patience: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(SETTINGS).await.map(drop) })
        })
        .connect_lazy_with(options.clone())
}

/// The outcome of a question to the database, or that there was none in time.
pub(super) async fn within<T>(
    time: Duration,
    question: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(time, question)
        .await
        .unwrap_or(Err(Failure::Silent(time)))
}

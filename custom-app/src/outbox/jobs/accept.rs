//! Taking an entry in, unless one of its id is there.

use std::sync::Arc;

use faultline_service::api::Acceptance;
use faultline_service::context::TraceHeaders;
use faultline_service::sqlite::WriteError;
use metrics::counter;
use serde::Deserialize;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use crate::outbox::room::Reservation;
use crate::outbox::schema::FORMAT;
use crate::outbox::{Asker, Row, Shared, Standing};

/// An entry to take in, whether or not its caller still waits.
#[derive(Debug)]
pub(in crate::outbox) struct Accept {
    pub(in crate::outbox) row: Row,
    pub(in crate::outbox) acceptance: Acceptance,
    pub(in crate::outbox) request_id: String,
    pub(in crate::outbox) attempt: Option<u32>,
    pub(in crate::outbox) reservation: Reservation,
    pub(in crate::outbox) reply: oneshot::Sender<Result<Standing, WriteError>>,
    pub(in crate::outbox) shared: Arc<Shared>,
}

/// What is in the outbox under an entry's id.
#[derive(Debug)]
pub(in crate::outbox) enum Found {
    /// Nothing: the entry is there now.
    Nothing,
    /// The same entry, to be delivered.
    Same(Acceptance, Asker),
    /// The same entry, refused by the log agent.
    Refused,
    /// The same entry, set aside because another text is stored under its id.
    Conflicting,
    /// An entry of another text.
    Another,
    /// An entry that a newer version wrote.
    Unreadable,
}

/// What an entry says, as its row has it: other fields are not compared.
#[derive(PartialEq, Eq, Deserialize)]
struct Said {
    level: String,
    message: String,
}

impl Said {
    fn read(entry: &str) -> Option<Self> {
        serde_json::from_str(entry).ok()
    }
}

impl Accept {
    pub(super) async fn apply(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Found, sqlx::Error> {
        let row = &self.row;
        let aside: Vec<String> =
            sqlx::query_scalar("SELECT entry FROM conflicts WHERE id = ? AND format <= ?")
                .bind(row.id)
                .bind(FORMAT)
                .fetch_all(&mut *connection)
                .await?;
        if aside.iter().any(|entry| self.says_what(entry)) {
            return Ok(Found::Conflicting);
        }
        let insert = sqlx::query(
            "INSERT INTO outbox (id, entry, trace, format) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        );
        let insert = insert
            .bind(row.id)
            .bind(row.entry.as_str())
            .bind(row.trace.as_str())
            .bind(FORMAT);
        if insert.execute(&mut *connection).await?.rows_affected() > 0 {
            return Ok(Found::Nothing);
        }
        let known: (i64, String, String, bool) = sqlx::query_as(
            "SELECT format, entry, trace, refused IS NOT NULL FROM outbox WHERE id = ?",
        )
        .bind(row.id)
        .fetch_one(connection)
        .await?;
        Ok(self.compare(known))
    }

    fn compare(&self, (format, entry, trace, refused): (i64, String, String, bool)) -> Found {
        let acceptance = serde_json::from_str::<Acceptance>(&entry).ok();
        match acceptance.filter(|_| format <= FORMAT) {
            None => Found::Unreadable,
            Some(_) if !self.says_what(&entry) => Found::Another,
            Some(_) if refused => Found::Refused,
            Some(acceptance) if request_id(&trace) == request_id(&self.row.trace) => {
                Found::Same(acceptance, Asker::SameRequest)
            }
            Some(acceptance) => Found::Same(acceptance, Asker::AnotherRequest),
        }
    }

    fn says_what(&self, entry: &str) -> bool {
        Said::read(entry).is_some_and(|said| Said::read(&self.row.entry) == Some(said))
    }

    pub(super) fn bytes(&self) -> usize {
        self.row.len()
    }

    pub(super) fn finish(self, outcome: Result<Found, WriteError>) {
        let id = self.row.id;
        let standing = outcome.map(|found| match found {
            Found::Nothing => {
                self.reservation.keep();
                self.shared.waiters.accepted(id);
                counter!("custom_app_entries_accepted_total").increment(1);
                self.shared.work.notify_one();
                Standing::Waiting {
                    acceptance: self.acceptance,
                    asker: Asker::SameRequest,
                    delivery: self.shared.waiters.wait_for(id),
                }
            }
            // A retry of what is already here takes no room of its own.
            Found::Same(acceptance, asker) => Standing::Waiting {
                acceptance,
                asker,
                delivery: self.shared.waiters.wait_for(id),
            },
            Found::Refused => Standing::Refused,
            Found::Conflicting | Found::Another => Standing::Conflicting,
            Found::Unreadable => Standing::Unreadable,
        });
        if let Ok(Standing::Waiting { .. }) = standing {
            tracing::info!(
                %id,
                request_id = self.request_id,
                attempt = self.attempt,
                "entry accepted"
            );
        }
        // The caller may be gone; the entry is not.
        let _ = self.reply.send(standing);
    }
}

/// The id of the request that brought an entry; every try of a proxy's has the same.
fn request_id(trace: &str) -> Option<String> {
    let trace: TraceHeaders = serde_json::from_str(trace).ok()?;
    trace.request_id().map(str::to_owned)
}

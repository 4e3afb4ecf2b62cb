//! Handing over what is in the outbox, oldest first, until it is empty: never dropping, never
//! stopping.

mod backoff;

use std::time::Duration;

use faultline_service::api::{Outcome, Receipt};
use faultline_service::health::Health;
use faultline_service::sqlite::WriteError;
use metrics::counter;
use tokio::time::sleep;

use self::backoff::Backoff;
use crate::log_agent::{Answer, LogAgent};
use crate::outbox::{Batch, EntryState, Outbox};

/// Carries entries from the outbox to the log agent, one batch at a time and so in order. An entry
/// that the log agent refuses steps aside, and is offered again between the others.
#[derive(Debug)]
pub struct Courier {
    outbox: Outbox,
    log_agent: LogAgent,
    health: Health,
    /// How many refused entries are offered again together: one after a refusal, twice as many
    /// after each success.
    again: usize,
}

/// Why a round ended without everything it took being settled. The text is for the log.
#[derive(Debug, PartialEq, Eq)]
struct Trouble(String);

impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Courier {
    /// A courier that has not left yet.
    pub const fn new(outbox: Outbox, log_agent: LogAgent, health: Health) -> Self {
        Self {
            outbox,
            log_agent,
            health,
            again: 1,
        }
    }

    /// Delivers until the process ends.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut trouble = None;
        loop {
            match self.round().await {
                Ok(count) => {
                    if count > 0 && trouble.take().is_some() {
                        tracing::info!(count, "delivering again");
                    }
                    backoff.reset();
                }
                Err(new) => {
                    // An outage is one event, however many attempts it takes.
                    if trouble.as_ref() != Some(&new) {
                        let pending = self.outbox.usage().of(EntryState::Pending).entries;
                        tracing::warn!(reason = new.0, pending, "delivery fails; trying on");
                    }
                    trouble = Some(new);
                    self.pause(backoff.next(self.health.is_draining())).await;
                }
            }
        }
    }

    /// A pause that a drain cuts short: what time is left is for delivering.
    async fn pause(&self, pause: Duration) {
        if self.health.is_draining() {
            sleep(pause).await;
        } else {
            tokio::select! {
                () = sleep(pause) => {}
                () = self.health.clone().drained() => {}
            }
        }
    }

    /// Delivers one batch, and some of what is to be offered again; waits for work if there is
    /// neither. Returns how many entries it took.
    async fn round(&mut self) -> Result<usize, Trouble> {
        let batch = self.outbox.next().await?;
        let again = self.outbox.due(self.again).await?;
        let count = batch.len() + again.len();
        if count == 0 {
            self.outbox.work().await?;
        }
        self.deliver(batch).await?;
        self.deliver_again(again).await?;
        Ok(count)
    }

    /// Delivers a batch. One that the log agent refuses is halved until what it will not have
    /// stands alone. What cannot be written down of one part keeps no other from its delivery,
    /// which may make the room that is missing.
    async fn deliver(&self, batch: Batch) -> Result<(), Trouble> {
        let mut written = Ok(());
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let settled = match self.offer(&part).await? {
                Taken::Received(receipts) => self.settle(part, receipts).await,
                Taken::Refused(reason) => match part.split() {
                    Ok((older, newer)) => {
                        parts.extend([newer, older]);
                        Ok(())
                    }
                    Err(row) => self.outbox.refused(row, reason).await,
                },
            };
            written = written.and(settled);
        }
        Ok(written?)
    }

    /// Offers entries again that were refused. One request is all it takes from the others' time.
    async fn deliver_again(&mut self, batch: Batch) -> Result<(), Trouble> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.offer(&batch).await? {
            Taken::Received(receipts) => {
                self.again = batch.len().saturating_mul(2);
                Ok(self.settle(batch, receipts).await?)
            }
            Taken::Refused(reason) => {
                self.again = 1;
                match batch.split() {
                    // One of several: each is offered alone from now on.
                    Ok(_) => Ok(()),
                    Err(row) => Ok(self.outbox.refused(row, reason).await?),
                }
            }
        }
    }

    async fn offer(&self, batch: &Batch) -> Result<Taken, Trouble> {
        match self.log_agent.deliver(batch).await {
            Answer::Receipts(receipts) => {
                record("confirmed");
                Ok(Taken::Received(receipts))
            }
            Answer::Refused(reason) => {
                record("refused");
                Ok(Taken::Refused(reason))
            }
            Answer::Failed(reason) => {
                record("failed");
                Err(Trouble(reason))
            }
        }
    }

    /// Writes down what the receipts say.
    async fn settle(&self, batch: Batch, receipts: Vec<Receipt>) -> Result<(), WriteError> {
        let mut delivered = Vec::with_capacity(batch.len());
        let mut conflicting = Vec::new();
        let mut unknown = Vec::new();
        for (row, receipt) in batch.into_rows().into_iter().zip(receipts) {
            match receipt.outcome {
                Outcome::Stored | Outcome::Duplicate => delivered.push((row, receipt.first)),
                Outcome::Conflict => conflicting.push(row),
                Outcome::Unknown => unknown.push(row),
            }
        }
        let mut written = Ok(());
        if !delivered.is_empty() {
            written = self.outbox.delivered(delivered).await;
        }
        for row in conflicting {
            written = written.and(self.outbox.conflicting(row).await);
        }
        for row in unknown {
            let reason = "a newer log agent says of it what this version does not know".to_owned();
            written = written.and(self.outbox.refused(row, reason).await);
        }
        written
    }
}

/// The log agent's word on a delivery.
enum Taken {
    Received(Vec<Receipt>),
    Refused(String),
}

fn record(outcome: &'static str) {
    counter!("custom_app_deliveries_total", "outcome" => outcome).increment(1);
}

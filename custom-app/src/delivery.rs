//! Handing over what is in the outbox, oldest first, until it is empty: never dropping, never
//! stopping.

mod backoff;

use std::time::Duration;

use faultline_service::health::Health;
use metrics::counter;
use tokio::time::sleep;

use self::backoff::Backoff;
use crate::log_agent::{Answer, LogAgent};
use crate::outbox::{Batch, Outbox};

/// Carries entries from the outbox to the log agent, one batch at a time and so in order.
#[derive(Debug)]
pub struct Courier {
    outbox: Outbox,
    log_agent: LogAgent,
    health: Health,
}

/// Why a round ended without everything it took being settled. The text is for the log.
#[derive(Debug, PartialEq, Eq)]
struct Trouble(String);

impl Courier {
    /// A courier that has not left yet.
    pub const fn new(outbox: Outbox, log_agent: LogAgent, health: Health) -> Self {
        Self {
            outbox,
            log_agent,
            health,
        }
    }

    /// Delivers until the process ends.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        let mut trouble = None;
        loop {
            match self.round().await {
                Ok(count) => {
                    if trouble.take().is_some() && count > 0 {
                        tracing::info!(count, "delivering again");
                    }
                    backoff.reset();
                    if count == 0 {
                        self.outbox.work().await;
                    }
                }
                Err(new) => {
                    // An outage is one event, however many attempts it takes.
                    if trouble.as_ref() != Some(&new) {
                        let pending = self.outbox.usage().pending;
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

    /// Delivers one batch; returns how many entries it held. A batch that the log agent refuses is
    /// halved until what it will not have stands alone.
    async fn round(&self) -> Result<usize, Trouble> {
        let batch = self
            .outbox
            .next()
            .await
            .map_err(|error| Trouble(error.to_string()))?;
        let count = batch.len();
        let mut parts = vec![batch];
        let mut postponed = None;
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.log_agent.deliver(&part).await {
                Answer::Confirmed => {
                    record("confirmed");
                    self.confirmed(part).await?;
                }
                Answer::Refused { status, reason } => {
                    record("refused");
                    match part.split() {
                        Ok((older, newer)) => parts.extend([newer, older]),
                        // Too large alone is a limit somewhere between, not the entry's fault.
                        Err(_) if status == http::StatusCode::PAYLOAD_TOO_LARGE => {
                            postponed = Some(Trouble(reason));
                        }
                        Err(row) => {
                            let refused = self.outbox.refused(row, reason).await;
                            refused.map_err(|error| Trouble(error.to_string()))?;
                        }
                    }
                }
                Answer::Failed(reason) => {
                    record("failed");
                    return Err(Trouble(reason));
                }
            }
        }
        postponed.map_or(Ok(count), Err)
    }

    async fn confirmed(&self, batch: Batch) -> Result<(), Trouble> {
        self.outbox
            .confirmed(batch)
            .await
            .map_err(|error| Trouble(error.to_string()))
    }
}

fn record(outcome: &'static str) {
    counter!("custom_app_deliveries_total", "outcome" => outcome).increment(1);
}

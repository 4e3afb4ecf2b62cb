//! The signals that ask this process to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Error;

/// SIGINT, SIGTERM and SIGHUP, which no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals([Signal; 3]);

impl Signals {
    /// Takes them over.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn install() -> Result<Self, Error> {
        let take = |kind| signal(kind).map_err(Error::io("take over signals"));
        Ok(Self([
            take(SignalKind::interrupt())?,
            take(SignalKind::terminate())?,
            take(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

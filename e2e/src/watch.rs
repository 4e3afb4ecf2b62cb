//! Another application's caller: asks again and again, until it is told to end, and says whether anything failed.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::exchange::{self, Ask};

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(50);
/// Failures that are told one by one.
const TOLD: usize = 10;

/// What to ask for.
#[derive(Args)]
pub struct Watch {
    /// An absolute URL.
    #[arg(value_name = "URL")]
    url: String,
    /// The host to ask for, where it is another than the URL's.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

/// Asks until SIGTERM or SIGINT, and then prints how many requests there were and which were not answered with 200. True
/// when there was at least one, and none failed.
///
/// # Errors
/// When signals cannot be waited for, or the result cannot be printed.
pub async fn run(watch: Watch, out: &mut impl std::io::Write) -> Result<bool> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let client = exchange::client()?;
    let (mut requests, mut failed) = (0_u64, 0_u64);
    let mut failures = Vec::new();
    loop {
        let mut ask = Ask::get(&watch.url);
        if let Some(host) = &watch.host {
            ask = ask.header("host", host);
        }
        let reply = exchange::exchange(&client, ask).await;
        requests += 1;
        let seen = match reply.answer() {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(answer.summary()),
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(seen) = seen {
            failed += 1;
            if failures.len() < TOLD {
                failures.push(format!(
                    "{} request {requests}: {seen}",
                    jiff::Timestamp::now()
                ));
            }
        }
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    let told = json!({"requests": requests, "failed": failed, "failures": failures});
    writeln!(out, "{told:#}").context("writing the result")?;
    Ok(failed == 0)
}

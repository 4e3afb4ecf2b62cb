//! No request fails while custom-app's replicas come and go.

use std::time::Duration;

use crate::case::{Case, Tier};
use crate::cases::kept::{NO_PODS, settled};
use crate::environment::Environment;
use crate::exchange::Reply;
use crate::gateway::{Gateway, marker};
use crate::part::App;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const UNBROKEN: Case = Case {
    feature: "nothing lost",
    name: "rolling-unbroken",
    tier: Tier::Full,
    claim: "custom-app rolled, one replica at a time, then scaled up by one and down again: every one of a steady \
            caller's requests to / and /status is answered with 200",
    run: |environment| Box::pin(unbroken(environment)),
};

/// Between an answer and the next request: a load far below the limits.
const PAUSE: Duration = Duration::from_millis(50);
/// So many failures are named; more are counted.
const NAMED: usize = 5;

/// What a steady caller has seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests that were answered, with whatever status, or broke.
    pub(super) requests: usize,
    /// Those that were not answered with 200.
    failed: usize,
    /// The first of these.
    named: Vec<String>,
}

impl Tally {
    fn count(&mut self, path: &str, reply: &Reply) {
        self.requests += 1;
        if matches!(reply, Reply::Answer(answer) if answer.status == 200) {
            return;
        }
        self.failed += 1;
        if self.named.len() < NAMED {
            let request = self.requests;
            self.named
                .push(format!("request {request}, {path}: {}", reply.summary()));
        }
    }

    /// Fails unless every request was answered with 200.
    ///
    /// # Errors
    /// [`Unmet::Failed`], with the first failures.
    pub(super) fn all_answered(&self) -> Result<(), Unmet> {
        expect(
            self.requests > 0 && self.failed == 0,
            "200 for every request",
            format!(
                "{} of {} failed: {}",
                self.failed,
                self.requests,
                self.named.join("; ")
            ),
            "the gateway's access log at that time: flags and upstream",
        )
    }
}

/// Asks for `/` and `/status` in turn, one request at a time, until `work` is done.
///
/// # Errors
/// Those of `work`.
pub(super) async fn while_asked<T>(
    gateway: &Gateway,
    marker: &str,
    work: impl Future<Output = Result<T, Unmet>>,
) -> Result<(T, Tally), Unmet> {
    let mut tally = Tally::default();
    let done = tokio::select! {
        done = work => done,
        never = ask(gateway, marker, &mut tally) => match never {},
    };
    Ok((done?, tally))
}

async fn ask(gateway: &Gateway, marker: &str, tally: &mut Tally) -> std::convert::Infallible {
    loop {
        for path in ["/", "/status"] {
            let reply = gateway.send(gateway.get(path).marked(marker)).await;
            tally.count(path, &reply);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn unbroken(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_PODS)?;
    let app = App::CustomApp;
    let marker = marker("rolling-unbroken");
    let usual = cluster.pods(app).await?.len();
    let before = settled(cluster, app, usual, &[]).await?;
    let work = async {
        cluster.restart(app).await?;
        settled(cluster, app, usual, &before).await?;
        for replicas in [usual + 1, usual] {
            let count = u64::try_from(replicas).map_err(anyhow::Error::from)?;
            cluster.scale(&cluster.workload(app), count).await?;
            settled(cluster, app, replicas, &[]).await?;
        }
        Ok(())
    };
    let ((), tally) = while_asked(&environment.gateway, &marker, work).await?;
    tally.all_answered()?;
    Ok(format!(
        "{} requests, {} x 200, while {usual} replicas were replaced and one came and went",
        tally.requests, tally.requests
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Answer;

    fn answer(status: u16) -> Reply {
        Reply::Answer(Answer {
            status,
            ..Answer::default()
        })
    }

    #[test]
    fn one_failure_of_many_counts() {
        let mut tally = Tally::default();
        assert!(tally.all_answered().is_err(), "nothing was asked");
        tally.count("/", &answer(200));
        assert!(tally.all_answered().is_ok());
        for _ in 0..9 {
            tally.count("/status", &answer(503));
        }
        let text = tally.all_answered().unwrap_err().to_string();
        assert!(
            text.contains("9 of 10 failed: request 2, /status: 503"),
            "{text}"
        );
        let broken = Reply::NoAnswer {
            error: "reset".to_owned(),
            elapsed_ms: 1,
        };
        let mut tally = Tally::default();
        tally.count("/", &broken);
        assert!(tally.all_answered().is_err());
    }

    #[tokio::test]
    async fn the_caller_ends_with_the_work() {
        let gateway = Gateway::new("http://127.0.0.1:1", None).unwrap();
        let work = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(7)
        };
        let (value, tally) = while_asked(&gateway, "m", work).await.unwrap();
        assert_eq!(value, 7);
        assert!(tally.requests > 0 && tally.failed == tally.requests);
    }
}

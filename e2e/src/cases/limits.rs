//! Limits: connections, pending requests and load balancing, as configured and as felt.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::case::{Case, Tier};
use crate::cases::retries::exclusively;
use crate::cases::sightings::{self, FIRST_HOP};
use crate::cases::undisturbed::{Look, undisturbed};
use crate::environment::Environment;
use crate::exchange::Answer;
use crate::gateway::marker;
use crate::parse::reach::Reach;
use crate::part::{App, Proxy};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const CONFIGURED: Case = Case {
    feature: "limits",
    name: "limits-configured",
    tier: Tier::Quick,
    claim: "the proxies' own configuration, gateway to custom-app and custom-app to log agent: 3 connections, \
            5 pending, LEAST_REQUEST",
    run: |environment| Box::pin(configured(environment)),
};

pub(super) const BURST: Case = Case {
    feature: "limits",
    name: "limits-burst",
    tier: Tier::Quick,
    claim: "40 GET /log at once (more where the gateway could let many in): at least 3 + 5 are let in, and at most, for each \
            gateway, one connection for each worker thread and host, 2 more connections, 5 pending and one more for each \
            further worker; once more the connections for each 0.38 s that the burst took. The rest are 503 with \
            outcome=overflow, and the gateway's overflow counter rises by just the 503",
    run: |environment| Box::pin(burst(environment)),
};

/// The limits of the DestinationRules.
const CONNECTIONS: u64 = 3;
const PENDING: u64 = 5;
const LEAST_BURST: u64 = 40;
/// The whole burst is under way within this, long before the first attempt ends. Closer together the requests
/// would show another thing: to Envoy a request is pending, too, while its connection is being established.
const SPREAD: Duration = Duration::from_millis(120);
/// A try gives its connection back after `perTryTimeout`, a request is answered 504 after `timeout`: both in ms, and
/// less 5 % (cases/undisturbed.rs says why).
const TRY: u64 = 380;
const TIMEOUT: u64 = 950;
const LOOK: &str = "destinationrule.yaml and log-destinationrule.yaml";

/// The most requests that gateways may let in during a burst.
///
/// A proxy opens connections while it has fewer than the limit. Past it, each worker thread may still open the first
/// one to each host, which has a pool of its own in each thread: of all pools one can have opened the first
/// `CONNECTIONS`, every other one opens its own. The workers compare with the limit on pending requests at the same
/// moment, so each worker but one can be one over it. After a try has timed out its connection takes another request.
fn most_let_in(gateways: &[Reach], rounds: u64) -> u64 {
    let of_one = |Reach { workers, hosts }: &Reach| {
        let pools = workers.saturating_mul(*hosts).max(1);
        let connections = pools + CONNECTIONS - 1;
        let pending = PENDING + workers.saturating_sub(1);
        connections.saturating_mul(1 + rounds) + pending
    };
    gateways.iter().map(of_one).sum()
}

async fn configured(environment: &Environment) -> Outcome {
    let mut seen = Vec::new();
    for (proxy, app) in [
        (Proxy::Gateway, App::CustomApp),
        (Proxy::Sidecar(App::CustomApp), App::LogAgent),
    ] {
        let upstream = environment.mesh.upstream(proxy, app).await?;
        expect(
            (upstream.connections, upstream.pending) == (Some(CONNECTIONS), Some(PENDING))
                && upstream.balancing == "LEAST_REQUEST",
            format!("3 connections, 5 pending, LEAST_REQUEST to {}", app.name()),
            format!("{upstream:?}"),
            LOOK,
        )?;
        seen.push(format!("to {}: 3, 5, {}", app.name(), upstream.balancing));
    }
    Ok(seen.join("; "))
}

async fn burst(environment: &Environment) -> Outcome {
    let gateways = environment
        .mesh
        .reach(Proxy::Gateway, App::CustomApp)
        .await?;
    // so many that a proxy without limits would be seen to have none
    let size = LEAST_BURST.max(2 * most_let_in(&gateways, 0));
    let (seen, note) = undisturbed(async || one_burst(environment, &gateways, size).await).await?;
    Ok(seen + &note)
}

async fn one_burst(
    environment: &Environment,
    gateways: &[Reach],
    size: u64,
) -> Result<Look<String>, Unmet> {
    let marker = marker("limits-burst");
    let mut answers = Vec::new();
    let rise = exclusively(environment, size, async || {
        answers = at_once(environment, &marker, size).await?;
        Ok(())
    })
    .await?;
    let burst = Burst::of(&answers)?;
    let counted = rise.of(
        "faultline_requests_total",
        &[("route", FIRST_HOP), ("outcome", "overflow")],
    );
    judged(&burst, counted, gateways)
}

/// An answer, and how long after the burst's beginning it was asked for, in ms.
struct Asked {
    at: u64,
    answer: Answer,
}

/// The requests of a burst, by how they ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Burst {
    timed_out: u64,
    /// Turned away at the first try.
    overflowed: u64,
    /// Turned away on a retry: let in before.
    on_retry: u64,
    /// The latest that the last request can have come to the gateway, in ms.
    lasted: u64,
}

impl Burst {
    fn of(answers: &[Asked]) -> Result<Self, Unmet> {
        let mut burst = Self::default();
        for Asked { at, answer } in answers {
            let hop = sightings::expect_mark(answer)?;
            let detail = |key: &str| hop.details.get(key).map(String::as_str);
            // what the gateway did with it took at least this long
            let least = match (answer.status, detail("outcome"), detail("attempts")) {
                (503, Some("overflow"), Some("1")) => {
                    burst.overflowed += 1;
                    0
                }
                (503, Some("overflow"), _) => {
                    burst.on_retry += 1;
                    TRY
                }
                (504, Some("timeout"), _) => {
                    burst.timed_out += 1;
                    TIMEOUT
                }
                _ => {
                    return Err(Unmet::failed(
                        "504 with outcome=timeout or 503 with outcome=overflow",
                        format!("{} with {hop:?}", answer.summary()),
                        LOOK,
                    ));
                }
            };
            let arrived = at + answer.elapsed_ms.saturating_sub(least);
            burst.lasted = burst.lasted.max(arrived);
        }
        Ok(burst)
    }
}

fn judged(burst: &Burst, counted: u64, gateways: &[Reach]) -> Result<Look<String>, Unmet> {
    let Burst {
        timed_out,
        overflowed,
        on_retry,
        lasted,
    } = burst;
    let size = timed_out + overflowed + on_retry;
    let (let_in, turned_away) = (timed_out + on_retry, overflowed + on_retry);
    let (least, most) = (CONNECTIONS + PENDING, most_let_in(gateways, lasted / TRY));
    let Reach { workers, hosts } = gateways.iter().fold(
        Reach {
            workers: 0,
            hosts: 0,
        },
        |sum, one| Reach {
            workers: sum.workers + one.workers,
            hosts: sum.hosts.max(one.hosts),
        },
    );
    let figures = format!(
        "{size} within {lasted} ms: {let_in} let in, of {least} to {most} ({workers} workers, {hosts} hosts); \
         {timed_out} x 504, {turned_away} x 503 overflow ({on_retry} on a retry), counter +{counted}"
    );
    let unmet = |what: &str| Unmet::failed(what, figures.clone(), LOOK);
    if let_in > most {
        return Err(unmet(&format!("at most {most} let in")));
    }
    if *overflowed == 0 || counted != turned_away {
        return Err(unmet(
            "some 503, the overflow counter to rise by just these",
        ));
    }
    // connections that take longer than the burst leave requests pending that would not be
    Ok(if let_in < least {
        Look::Disturbed(unmet(&format!("at least {least} let in")))
    } else {
        Look::Held(figures)
    })
}

async fn at_once(environment: &Environment, marker: &str, size: u64) -> anyhow::Result<Vec<Asked>> {
    let mut calls = JoinSet::new();
    let start = Instant::now();
    for number in 0..u32::try_from(size).context("a burst of too many")? {
        let gateway = environment.gateway.clone();
        let marker = marker.to_owned();
        let wait = SPREAD * number / u32::try_from(size).unwrap_or(u32::MAX);
        calls.spawn(async move {
            tokio::time::sleep(wait).await;
            let at = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let answer = gateway.fetch("/log", &marker).await?;
            anyhow::Ok(Asked { at, answer })
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = calls.join_next().await {
        answers.push(answer.context("a request was lost")??);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: [Reach; 1] = [Reach {
        workers: 2,
        hosts: 2,
    }];

    fn burst(timed_out: u64, overflowed: u64, on_retry: u64) -> Burst {
        Burst {
            timed_out,
            overflowed,
            on_retry,
            lasted: 150,
        }
    }

    #[test]
    fn the_bound_is_made_of_workers_hosts_and_limits() {
        let one = |workers, hosts| most_let_in(&[Reach { workers, hosts }], 0);
        assert_eq!(one(1, 1), 3 + 5);
        assert_eq!(one(1, 2), 4 + 5);
        assert_eq!(one(2, 2), 6 + 6);
        // each further round of tries takes the connections once more
        assert_eq!(most_let_in(&LOCAL, 1), 6 + 6 + 6);
        let two = [LOCAL[0], LOCAL[0]];
        assert_eq!(most_let_in(&two, 0), 24);
    }

    #[test]
    fn both_sides_are_judged() {
        let judge = |burst: Burst, counted| judged(&burst, counted, &LOCAL);
        assert!(matches!(judge(burst(9, 30, 1), 31), Ok(Look::Held(_))));
        // 39 of 40: no limits worth the name
        assert!(judge(burst(39, 1, 0), 1).is_err());
        assert!(judge(burst(12, 27, 1), 28).is_err());
        assert!(judge(burst(40, 0, 0), 0).is_err());
        // the counter says something else than the callers
        assert!(judge(burst(9, 30, 1), 30).is_err());
        assert!(matches!(judge(burst(7, 33, 0), 33), Ok(Look::Disturbed(_))));
    }

    #[test]
    fn a_slow_burst_has_time_for_more() {
        let slow = Burst {
            lasted: 400,
            ..burst(18, 22, 0)
        };
        assert!(matches!(judged(&slow, 22, &LOCAL), Ok(Look::Held(_))));
        assert!(judged(&burst(18, 22, 0), 22, &LOCAL).is_err());
    }

    #[test]
    fn when_a_request_came_is_told_by_its_answer() {
        let asked = |at, status, elapsed_ms, details: &str| Asked {
            at,
            answer: Answer {
                status,
                elapsed_ms,
                headers: vec![(
                    "proxy-status".to_owned(),
                    format!("faultline; details=\"{details}\""),
                )],
                body: String::new(),
            },
        };
        let answers = [
            asked(0, 504, 1010, "outcome=timeout attempts=3 flags=UT"),
            asked(100, 503, 12, "outcome=overflow attempts=1 flags=UO"),
            asked(60, 503, 430, "outcome=overflow attempts=2 flags=UO"),
        ];
        let seen = Burst::of(&answers).unwrap();
        assert_eq!(
            seen,
            Burst {
                lasted: 112,
                ..burst(1, 1, 1)
            }
        );
        assert!(Burst::of(&[asked(0, 200, 5, "outcome=ok attempts=1")]).is_err());
    }
}

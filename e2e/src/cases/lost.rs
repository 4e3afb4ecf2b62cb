//! Nothing lost: through the fault, impatient callers and SIGKILL, every answer's promise is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::case::{Case, Tier};
use crate::cases::healthy::log_becomes;
use crate::cases::history::{Breach, History, Promise, Stored};
use crate::cases::pages;
use crate::converge;
use crate::environment::Environment;
use crate::exchange::{Ask, Reply};
use crate::gateway::{Gateway, marker};
use crate::part::{App, Lives, Piece};
use crate::unmet::{Outcome, Unmet, expect};
use crate::victim::Victim;

pub(super) const NOTHING_LOST: Case = Case {
    feature: "nothing lost",
    name: "nothing-lost",
    tier: Tier::Full,
    claim: "200 callers POST /log through the fault at once, and 50 more without it, each until it is let in, a new message \
            each time; every third gives up early, and one custom-app is killed (SIGKILL) midway. By message: what was \
            answered 201 or 202, or logged as accepted, is at /logs exactly once; what was answered 504, 502 or not at \
            all, or 503 after its first try, at most once; what the gateway's limits turned away at the first try (503, \
            outcome=overflow, attempts=1), not at all",
    run: |environment| Box::pin(nothing_lost(environment)),
};

const THROUGH_THE_FAULT: usize = 200;
const WITHOUT_IT: usize = 50;
/// The limits let some 8 callers a second in; this is ten times what all of them need.
const CALLING: Duration = Duration::from_secs(250);
/// The outboxes drain at the pace of the delay, 2 s a batch.
const DRAINING: Duration = Duration::from_secs(120);

async fn nothing_lost(environment: &Environment) -> Outcome {
    let since = Instant::now();
    let marker = marker("nothing-lost").replace('/', "-");
    let victim = Victim::choose(&environment.mesh).await?;
    let mut calls = Calls::default();

    let mut callers = crowd(environment, &format!("{marker} faulty"), THROUGH_THE_FAULT);
    let mut killed = String::new();
    while let Some(one) = callers.join_next().await {
        calls.extend(one.context("a caller was lost")?);
        if killed.is_empty() && callers.len() <= THROUGH_THE_FAULT / 2 {
            killed = victim.kill().await?;
        }
    }
    converge::eventually(
        &format!("{} killed, restarted and ready", victim.name()),
        Duration::from_secs(90),
        "why it does not start: its log",
        async || victim.is_back().await,
    )
    .await?;

    // through the fault no caller waits long enough to be told 201
    environment.mesh.take_out(Piece::Delay).await?;
    log_becomes(environment, 200).await?;
    let mut callers = crowd(environment, &format!("{marker} healthy"), WITHOUT_IT);
    while let Some(one) = callers.join_next().await {
        calls.extend(one.context("a caller was lost")?);
    }
    environment.mesh.restore().await?;
    log_becomes(environment, 504).await?;

    let history = History {
        posted: promises(&calls)?,
        logged: accepted(environment, &marker, since).await?,
        stored: {
            outboxes_are_empty(environment).await?;
            stored(&environment.gateway, &marker).await?
        },
    };
    judged(&history)?;
    let count = |promise| history.promised(promise);
    Ok(format!(
        "{} told 201 or 202 and {} logged as accepted: each once; {} told neither: at most once; {} turned away: none; \
         {} stored; answers: {}; {killed} midway, ready again",
        count(Promise::Once),
        history.logged.len(),
        count(Promise::AtMostOnce),
        count(Promise::Never),
        history.stored.len(),
        statuses(&calls),
    ))
}

/// Every message posted, with the reply to it.
type Calls = Vec<(String, Reply)>;

fn crowd(environment: &Environment, marker: &str, size: usize) -> JoinSet<Calls> {
    let mut callers = JoinSet::new();
    for number in 0..size {
        let gateway = environment.gateway.clone();
        callers.spawn(call_until_let_in(gateway, marker.to_owned(), number));
    }
    callers
}

/// Posts an entry, again and again while the answer is that it was not let in, a new entry each time.
async fn call_until_let_in(gateway: Gateway, marker: String, number: usize) -> Calls {
    let start = Instant::now();
    let mut calls = Calls::new();
    for turn in 0.. {
        let message = format!("{marker} caller {number} turn {turn}");
        let body = json!({"message": message, "level": "info"});
        let mut ask = Ask::post_json(gateway.url("/log"), &body);
        if number.is_multiple_of(3) {
            ask = ask.timeout(Duration::from_millis(
                150 + 4 * u64::try_from(number).unwrap_or(0),
            ));
        }
        let reply = gateway.send(ask.marked(&marker)).await;
        let again = matches!(&reply, Reply::Answer(answer) if answer.status == 503);
        calls.push((message, reply));
        if !again || start.elapsed() > CALLING {
            break;
        }
        // a polite client's back-off, spread so that the callers do not come in step
        let spread = Duration::from_millis(5 * u64::try_from(number).unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(500) + spread).await;
    }
    calls
}

fn promises(calls: &Calls) -> Result<BTreeMap<String, Promise>, Unmet> {
    let promise = |(message, reply): &(String, Reply)| {
        let unexpected = || {
            let expected = "201, 202, 502, 503, 504 or no answer to POST /log";
            Unmet::failed(expected, reply.summary(), "custom-app's log")
        };
        Ok((message.clone(), Promise::of(reply).ok_or_else(unexpected)?))
    };
    calls.iter().map(promise).collect()
}

/// `3 x 201, 40 x 504, 2 x none`.
fn statuses(calls: &Calls) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, reply) in calls {
        let status = match reply {
            Reply::Answer(answer) => answer.status.to_string(),
            Reply::NoAnswer { .. } => "none".to_owned(),
        };
        *counts.entry(status).or_default() += 1;
    }
    let shown = counts
        .iter()
        .map(|(status, count)| format!("{count} x {status}"));
    shown.collect::<Vec<_>>().join(", ")
}

fn judged(history: &History) -> Result<(), Unmet> {
    const SHOWN: usize = 5;
    let breaches = history.breaches();
    let first: Vec<String> = breaches.iter().take(SHOWN).map(Breach::to_string).collect();
    expect(
        breaches.is_empty(),
        "the promise of every answer and of every line \"entry accepted\" kept",
        format!("{} broken: {}", breaches.len(), first.join("; ")),
        "custom-app's log, then the log agent's",
    )?;
    // a promise that nobody was given proves nothing
    for (given, what) in [
        (history.promised(Promise::Once), "answered 201 or 202"),
        (
            history.promised(Promise::AtMostOnce),
            "answered 504 or not at all",
        ),
        (
            history.promised(Promise::Never),
            "turned away at the first try",
        ),
        (history.logged.len(), "logged as accepted"),
    ] {
        expect(
            given > 0,
            format!("some entries {what}"),
            "none",
            "the answers to POST /log, custom-app's log",
        )?;
    }
    Ok(())
}

/// The ids of the entries that custom-app said it accepted, in the logs of both its lives, except those
/// of requests that are known to be somebody else's. The killed process's last requests have no line.
async fn accepted(
    environment: &Environment,
    marker: &str,
    since: Instant,
) -> Result<BTreeSet<String>> {
    let lines = environment
        .mesh
        .log(App::CustomApp, Lives::WithPrevious, since)
        .await?;
    let foreign: BTreeSet<&str> = lines
        .iter()
        .filter(|line| line.is_request() && !line.is_from(marker))
        .filter_map(|line| line.text("request_id"))
        .collect();
    lines
        .iter()
        .filter(|line| line.text("message") == Some("entry accepted"))
        .filter(|line| {
            line.text("request_id")
                .is_none_or(|id| !foreign.contains(id))
        })
        .map(|line| {
            line.text("id")
                .map(ToOwned::to_owned)
                .context("\"entry accepted\" without an id")
        })
        .collect()
}

/// Waits until every custom-app says that nothing waits in its outbox: from then on no copy of an entry can
/// come after those that are counted.
async fn outboxes_are_empty(environment: &Environment) -> Result<(), Unmet> {
    let instances = environment.mesh.instances(App::CustomApp).await?;
    let mut pending: BTreeMap<String, u64> = BTreeMap::new();
    converge::eventually(
        "every outbox empty",
        DRAINING,
        "the outboxes: custom-app's log",
        async || {
            let answer = environment
                .gateway
                .fetch("/status", "faultline-e2e")
                .await?;
            let status: Value = serde_json::from_str(&answer.body).context(answer.summary())?;
            let source = status.get("source").and_then(Value::as_str);
            let waiting = status.pointer("/outbox/pending").and_then(Value::as_u64);
            let source = source.context("/status names no source")?.to_owned();
            pending.insert(source, waiting.context("/status names no pending entries")?);
            let empty = |name: &String| pending.get(name) == Some(&0);
            if !instances.iter().all(empty) {
                bail!("waiting entries by instance: {pending:?}, of {instances:?}");
            }
            Ok(())
        },
    )
    .await
}

/// Our entries at `/logs`.
async fn stored(gateway: &Gateway, marker: &str) -> Result<Vec<Stored>> {
    let entries = pages::stored(gateway, marker).await?;
    let entries = entries.iter().map(|entry| {
        let field = |name: &str| {
            let text = entry.get(name).and_then(Value::as_str);
            text.map(ToOwned::to_owned)
                .with_context(|| format!("an entry without {name}"))
        };
        Ok(Stored {
            id: field("id")?,
            message: field("message")?,
        })
    });
    entries.collect()
}

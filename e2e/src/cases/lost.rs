//! Nothing lost: through the fault, impatient callers and SIGKILL, each accepted entry is stored once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::case::{Case, Tier};
use crate::converge;
use crate::environment::Environment;
use crate::exchange::{Ask, Reply};
use crate::gateway::{Gateway, marker};
use crate::part::{App, Lives};
use crate::unmet::{Outcome, expect};
use crate::victim::Victim;

pub(super) const NOTHING_LOST: Case = Case {
    feature: "nothing lost",
    name: "nothing-lost",
    tier: Tier::Full,
    claim: "200 callers POST /log at once until each is let in, every third gives up early, one custom-app is killed \
            (SIGKILL) midway: every entry in a log as accepted is at /logs exactly once",
    run: |environment| Box::pin(nothing_lost(environment)),
};

const CALLERS: usize = 200;
/// The limits let some 8 callers a second in; this is ten times what all of them need.
const CALLING: Duration = Duration::from_secs(250);
/// The outboxes drain at the pace of the delay, 2 s a batch.
const DRAINING: Duration = Duration::from_secs(120);

/// What callers were told, by status; 0 where they had given up.
type Told = BTreeMap<u16, usize>;

async fn nothing_lost(environment: &Environment) -> Outcome {
    let since = Instant::now();
    let marker = marker("nothing-lost").replace('/', "-");
    let victim = Victim::choose(&environment.mesh).await?;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(call_until_let_in(
            environment.gateway.clone(),
            marker.clone(),
            number,
        ));
    }
    let mut told = Told::new();
    let mut killed = String::new();
    while let Some(one) = callers.join_next().await {
        for (status, count) in one.context("a caller was lost")? {
            *told.entry(status).or_default() += count;
        }
        if killed.is_empty() && callers.len() <= CALLERS / 2 {
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
    let accepted = accepted(environment, &marker, since).await?;
    expect(
        !accepted.is_empty(),
        "entries accepted",
        "none",
        "custom-app's log: \"entry accepted\"",
    )?;

    let drain = Instant::now();
    let stored = converge::eventually(
        "every accepted entry at /logs",
        DRAINING,
        "the outboxes: custom-app's log",
        async || {
            let stored = stored(&environment.gateway, &marker).await?;
            let missing = accepted
                .iter()
                .filter(|id| !stored.contains_key(*id))
                .count();
            if missing > 0 {
                bail!(
                    "{missing} of {} accepted entries are missing",
                    accepted.len()
                );
            }
            Ok(stored)
        },
    )
    .await?;
    let drained = drain.elapsed();
    let twice: Vec<_> = stored
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(id, _)| id.as_str())
        .collect();
    expect(
        twice.is_empty(),
        "each entry once at /logs",
        format!("twice: {}", twice.join(", ")),
        "the log agent's store",
    )?;

    let told: Vec<_> = told
        .iter()
        .map(|(status, count)| match status {
            0 => format!("{count} x gave up"),
            status => format!("{count} x {status}"),
        })
        .collect();
    Ok(format!(
        "{} accepted, {} stored, 0 lost, 0 twice; callers saw {}; {killed} midway, ready again; drained in {:.1} s",
        accepted.len(),
        stored.len(),
        told.join(", "),
        drained.as_secs_f64()
    ))
}

/// Posts an entry, again and again while the answer is that it was not let in, a new entry each time.
async fn call_until_let_in(gateway: Gateway, marker: String, number: usize) -> Told {
    let start = Instant::now();
    let mut told = Told::new();
    for turn in 0.. {
        let message = format!("{marker} caller {number} turn {turn}");
        let mut ask = Ask::post_json(
            gateway.url("/log"),
            &json!({"message": message, "level": "info"}),
        );
        if number.is_multiple_of(3) {
            ask = ask.timeout(Duration::from_millis(
                150 + 4 * u64::try_from(number).unwrap_or(0),
            ));
        }
        let status = match gateway.send(ask.marked(&marker)).await {
            Reply::Answer(answer) => answer.status,
            Reply::NoAnswer { .. } => 0,
        };
        *told.entry(status).or_default() += 1;
        if status != 503 || start.elapsed() > CALLING {
            break;
        }
        // a polite client's back-off, spread so that the callers do not come in step
        let spread = Duration::from_millis(5 * u64::try_from(number).unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(500) + spread).await;
    }
    told
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

/// The ids of our entries at `/logs`, each with how often it is there.
async fn stored(gateway: &Gateway, marker: &str) -> Result<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = format!("/logs?limit=1000&q={marker}{after}");
        let answer = gateway.fetch(&page, "faultline-e2e").await?;
        if answer.status != 200 {
            bail!("GET {page}: {}", answer.summary());
        }
        let page: Value = serde_json::from_str(&answer.body).context("/logs is not JSON")?;
        let entries = page
            .get("entries")
            .and_then(Value::as_array)
            .context("/logs has no entries")?;
        for entry in entries {
            let id = entry
                .get("id")
                .and_then(Value::as_str)
                .context("an entry without an id")?;
            *found.entry(id.to_owned()).or_insert(0) += 1;
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(found),
        }
    }
}

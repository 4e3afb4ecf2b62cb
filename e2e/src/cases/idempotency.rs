//! A client's retry: sent again with its `Idempotency-Key`, an entry is one entry.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::case::{Case, Tier};
use crate::cases::pages;
use crate::converge;
use crate::environment::Environment;
use crate::exchange::{Answer, Ask, Reply};
use crate::gateway::{Gateway, marker};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const KEY: Case = Case {
    feature: "nothing lost",
    name: "idempotency-key",
    tier: Tier::Quick,
    claim: "12 entries through the fault, each sent by two callers at once under one Idempotency-Key, every third caller \
            impatient, all sent again on 503, 504 and no answer until 201 or 202 (within 60 s): every message is at /logs \
            exactly once; once more each is 201 with what is stored; another message under a key is 422, and the first stays",
    run: |environment| Box::pin(one_entry_for_a_key(environment)),
};

const ENTRIES: usize = 12;
/// An entry is stored some 3 s after it was accepted, and known from then on; the limits let some 8
/// callers in at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// The outboxes drain at the pace of the delay, 2 s a batch.
const DRAINING: Duration = Duration::from_secs(60);
/// As many looks in a row as reach every instance: the gateway chooses between them at random.
const LOOKS: usize = 20;
const LOOK: &str = "custom-app's log: \"entry accepted\"";

/// An entry and how it is sent.
#[derive(Clone)]
struct Keyed {
    key: String,
    message: String,
}

impl Keyed {
    fn new(marker: &str, number: usize) -> Self {
        Self {
            key: Uuid::new_v4().to_string(),
            message: format!("{marker} entry {number}"),
        }
    }

    /// A post of it; of one key both forms are sent.
    fn ask(&self, gateway: &Gateway, caller: usize, marker: &str) -> Ask {
        let key = if caller == 0 {
            self.key.clone()
        } else {
            format!("\"{}\"", self.key)
        };
        let entry = json!({"message": self.message, "level": "info"});
        Ask::post_json(gateway.url("/log"), &entry)
            .marked(marker)
            .header("idempotency-key", &key)
    }
}

/// Statuses of answers, with how often; 0 where the caller had given up.
#[derive(Default)]
struct Told(BTreeMap<u16, usize>);

impl Told {
    fn note(&mut self, reply: &Reply) {
        let status = match reply {
            Reply::Answer(answer) => answer.status,
            Reply::NoAnswer { .. } => 0,
        };
        *self.0.entry(status).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        for (status, count) in &other.0 {
            *self.0.entry(*status).or_default() += count;
        }
    }

    fn text(&self) -> String {
        let each = self.0.iter().map(|(status, count)| match status {
            0 => format!("{count} x gave up"),
            status => format!("{count} x {status}"),
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// What one caller heard, and what it was told in the end.
struct Heard {
    told: Told,
    last: Reply,
}

async fn one_entry_for_a_key(environment: &Environment) -> Outcome {
    let gateway = &environment.gateway;
    let marker = marker("idempotency-key").replace('/', "-");
    let entries: Vec<Keyed> = (0..ENTRIES)
        .map(|number| Keyed::new(&marker, number))
        .collect();
    let mut callers = JoinSet::new();
    for (number, entry) in entries.iter().enumerate() {
        for caller in [0, 1] {
            let ask = entry.ask(gateway, caller, &marker);
            callers.spawn(call(gateway.clone(), ask, 2 * number + caller, &[503, 504]));
        }
    }
    let mut told = Told::default();
    let mut stored_as = Vec::new();
    while let Some(heard) = callers.join_next().await {
        let heard = heard.context("a caller was lost")?;
        told.add(&heard.told);
        match heard.last {
            Reply::Answer(answer) if answer.status == 201 => stored_as.push(entry_in(&answer)?),
            Reply::Answer(answer) if answer.status == 202 => {}
            last => {
                return Err(Unmet::failed(
                    "201 or 202 in the end",
                    format!("{}; all callers: {}", last.summary(), told.text()),
                    LOOK,
                ));
            }
        }
    }
    drained(gateway).await?;
    let stored = pages::stored(gateway, &marker).await?;
    for entry in &entries {
        let times = stored.iter().filter(|found| is_of(found, entry)).count();
        let seen = format!("{times} times: {}", entry.message);
        expect(times == 1, "each message at /logs once", seen, LOOK)?;
    }
    let all = format!("{ENTRIES} entries at /logs");
    let seen = stored.len().to_string();
    expect(stored.len() == ENTRIES, all, seen, LOOK)?;
    for told in &stored_as {
        let expected = format!("the entry that a 201 told of, {told}");
        expect(stored.contains(told), expected, "none such", "/logs")?;
    }

    for entry in &entries {
        // Of two instances each knows what the log agent has: the answer waits for no delivery.
        let ask = entry.ask(gateway, 1, &marker);
        let heard = call(gateway.clone(), ask, 1, &[202, 503, 504]).await;
        let answer = heard.last.answer()?;
        let expected = "201 with the stored entry, for one that is stored";
        let same = answer.status == 201 && stored.contains(&entry_in(&answer)?);
        expect(same, expected, answer.summary(), LOOK)?;
    }

    let refused = another_message(gateway, &entries, &marker).await?;
    let after = pages::stored(gateway, &marker).await?;
    let unchanged = "/logs unchanged by another message under a key";
    expect(after == stored, unchanged, format!("{after:?}"), LOOK)?;
    Ok(format!(
        "{ENTRIES} keys, {} callers: {}; {ENTRIES} stored, 0 lost, 0 twice; once more: {ENTRIES} x 201; another message: {refused}",
        2 * ENTRIES,
        told.text(),
    ))
}

/// Sends a post, and again while there is no answer or one of these statuses, which leave something
/// open.
async fn call(gateway: Gateway, ask: Ask, number: usize, open: &[u16]) -> Heard {
    let start = Instant::now();
    let spread = Duration::from_millis(20 * u64::try_from(number).unwrap_or(0));
    let mut told = Told::default();
    let mut turn = 0;
    loop {
        let now = match (turn, number % 3) {
            // An impatient caller goes away in the middle of a try, twice.
            (0 | 1, 0) => ask.clone().timeout(Duration::from_millis(300) + spread),
            _ => ask.clone(),
        };
        let last = gateway.send(now).await;
        told.note(&last);
        let settled = match &last {
            Reply::Answer(answer) => !open.contains(&answer.status),
            Reply::NoAnswer { .. } => false,
        };
        if settled || start.elapsed() > PATIENCE {
            return Heard { told, last };
        }
        // a polite client's back-off, spread so that the callers do not come in step
        tokio::time::sleep(Duration::from_millis(500) + spread).await;
        turn += 1;
    }
}

/// Sends another message under the keys of stored entries, until one attempt is answered by a
/// service; returns what it said.
async fn another_message(
    gateway: &Gateway,
    entries: &[Keyed],
    marker: &str,
) -> Result<String, Unmet> {
    let mut seen = Vec::new();
    for entry in entries {
        let other = Keyed {
            key: entry.key.clone(),
            message: format!("{} changed", entry.message),
        };
        let answer = gateway.send(other.ask(gateway, 0, marker)).await.answer()?;
        seen.push(answer.status);
        if matches!(answer.status, 503 | 504) {
            continue;
        }
        let problem: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let names = problem.get("field").and_then(Value::as_str) == Some("idempotency-key");
        let expected = "422 about idempotency-key for another message under a stored key";
        expect(
            answer.status == 422 && names,
            expected,
            answer.summary(),
            LOOK,
        )?;
    }
    expect(
        seen.contains(&422),
        "422 for another message under a stored key",
        format!("{seen:?}"),
        LOOK,
    )?;
    let count = seen.iter().filter(|status| **status == 422).count();
    Ok(format!("{count} of {} x 422", seen.len()))
}

/// Waits until no instance has anything left to hand over: what is not doubled by then never is.
async fn drained(gateway: &Gateway) -> Result<(), Unmet> {
    let what = "empty outboxes";
    converge::eventually(what, DRAINING, "/status", async || {
        for _ in 0..LOOKS {
            let answer = gateway.fetch("/status", "faultline-e2e").await?;
            let status: Value = serde_json::from_str(&answer.body)
                .with_context(|| format!("/status: {}", answer.summary()))?;
            let pending = status.pointer("/outbox/pending").and_then(Value::as_u64);
            if pending != Some(0) {
                bail!("{status}");
            }
        }
        Ok(())
    })
    .await
}

fn entry_in(answer: &Answer) -> Result<Value> {
    let body: Value = serde_json::from_str(&answer.body).context("a 201 without JSON")?;
    body.get("entry")
        .cloned()
        .context("a 201 without its entry")
}

fn is_of(found: &Value, entry: &Keyed) -> bool {
    found.get("message").and_then(Value::as_str) == Some(&entry.message)
}

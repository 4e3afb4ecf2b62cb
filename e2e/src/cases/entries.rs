//! Log entries as their callers know them: by message, and by what the answer said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cases::pages;
use crate::cluster::{Cluster, Resource};
use crate::exchange::{Ask, Reply};
use crate::gateway::Gateway;
use crate::unmet::{Unmet, expect};

/// Each answer may take the 5 s that custom-app waits for the log agent.
const SENDING: Duration = Duration::from_secs(180);

/// What was sent, by what its caller was told.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// 201 or 202: accepted, so it must be stored exactly once.
    pub(super) accepted: Vec<Accepted>,
    /// Anything else: it may be stored, at most once.
    pub(super) unsettled: usize,
}

/// An entry of which its caller knows that it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Its text, which no other entry has.
    pub(super) message: String,
    /// The replica that accepted it.
    pub(super) source: String,
    /// Whether the answer came before the log agent had it (202).
    pub(super) pending: bool,
}

impl Sent {
    /// The entries that a replica has accepted.
    pub(super) fn of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Accepted> {
        self.accepted
            .iter()
            .filter(move |entry| entry.source == source)
    }
}

/// Lets the gateway wait for custom-app's own answer to `POST /log`, until the mesh is restored: one try and no
/// timeout of a second, so that each caller is told what became of its entry and one replica alone has it.
pub(super) async fn wait_for_answers(cluster: &Cluster) -> Result<()> {
    let routes = Resource {
        kind: "virtualservices.networking.istio.io",
        namespace: cluster.names.namespace.clone(),
        name: "faultline".to_owned(),
    };
    let now = cluster.read(&routes).await?;
    let http = now
        .pointer("/spec/http")
        .context("a VirtualService without routes")?;
    let patient = json!({"http": patient(http)?});
    cluster.change(&routes, &patient).await
}

/// The same routes, that of `/log` with one try and time enough.
fn patient(http: &Value) -> Result<Value> {
    let mut routes = http.clone();
    let log = routes
        .as_array_mut()
        .into_iter()
        .flatten()
        .find(|route| route.get("name").and_then(Value::as_str) == Some("log"));
    let log = log.and_then(Value::as_object_mut).context("no route log")?;
    log.insert("timeout".to_owned(), json!("15s"));
    log.insert("retries".to_owned(), json!({"attempts": 0}));
    Ok(routes)
}

/// Posts entries, three at once, until each of these replicas has accepted `each` that are still pending.
///
/// # Errors
/// When that does not happen in time.
pub(super) async fn send(
    gateway: &Gateway,
    marker: &str,
    replicas: &[String],
    each: usize,
) -> Result<Sent, Unmet> {
    let start = Instant::now();
    let mut sent = Sent::default();
    for round in 0.. {
        let message = |number: usize| format!("{marker} round {round} entry {number}");
        let (first, second, third) = (message(1), message(2), message(3));
        let told = tokio::join!(
            post(gateway, &first),
            post(gateway, &second),
            post(gateway, &third)
        );
        for one in [told.0?, told.1?, told.2?] {
            match one {
                Some(entry) => sent.accepted.push(entry),
                None => sent.unsettled += 1,
            }
        }
        let pending = |name: &String| sent.of(name).filter(|entry| entry.pending).count();
        if replicas.iter().all(|name| pending(name) >= each) {
            break;
        }
        let seen: Vec<String> = replicas
            .iter()
            .map(|name| format!("{name} {}", pending(name)))
            .collect();
        expect(
            start.elapsed() < SENDING,
            format!("{each} entries accepted and pending at each replica"),
            format!("{}; {} told nothing", seen.join(", "), sent.unsettled),
            "custom-app's log, and the gateway's route for /log",
        )?;
    }
    Ok(sent)
}

/// Posts one entry; `None` where its caller does not know whether it was accepted.
async fn post(gateway: &Gateway, message: &str) -> Result<Option<Accepted>> {
    let entry = json!({"message": message, "level": "info"});
    let answer = match gateway
        .send(Ask::post_json(gateway.url("/log"), &entry))
        .await
    {
        Reply::Answer(answer) if matches!(answer.status, 201 | 202) => answer,
        Reply::Answer(_) | Reply::NoAnswer { .. } => return Ok(None),
    };
    let receipt: Value = serde_json::from_str(&answer.body).context("a receipt that is no JSON")?;
    let source = receipt.pointer("/entry/source").and_then(Value::as_str);
    Ok(Some(Accepted {
        message: message.to_owned(),
        source: source.context("a receipt without a source")?.to_owned(),
        pending: answer.status == 202,
    }))
}

/// The messages with this marker at `/logs`, each with how often it is there: all pages.
///
/// # Errors
/// When a page cannot be had.
pub(super) async fn stored(gateway: &Gateway, marker: &str) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for entry in pages::stored(gateway, marker).await? {
        let message = entry.get("message").and_then(Value::as_str);
        let message = message.context("an entry without a message")?;
        *counts.entry(message.to_owned()).or_insert(0) += 1;
    }
    Ok(counts)
}

/// Fails while one of these is not stored.
pub(super) fn all_there<'a>(
    accepted: impl Iterator<Item = &'a Accepted>,
    stored: &BTreeMap<String, usize>,
) -> Result<()> {
    let missing: Vec<&Accepted> = accepted
        .filter(|entry| !stored.contains_key(&entry.message))
        .collect();
    if let Some(first) = missing.first() {
        let sources: BTreeSet<&str> = missing.iter().map(|entry| entry.source.as_str()).collect();
        let sources: Vec<&str> = sources.into_iter().collect();
        bail!(
            "{} accepted entries are missing, of {}: \"{}\" is one",
            missing.len(),
            sources.join(" and "),
            first.message
        );
    }
    Ok(())
}

/// Fails if a message is stored twice.
///
/// # Errors
/// [`Unmet::Failed`], naming them.
pub(super) fn none_twice(stored: &BTreeMap<String, usize>) -> Result<(), Unmet> {
    let twice: Vec<String> = stored
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(message, count)| format!("{count} x \"{message}\""))
        .collect();
    expect(
        twice.is_empty(),
        "each message once at /logs",
        twice.join(", "),
        "the log agent's store",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(message: &str, source: &str) -> Accepted {
        Accepted {
            message: message.to_owned(),
            source: source.to_owned(),
            pending: true,
        }
    }

    #[test]
    fn missing_and_doubled_messages_are_told_apart() {
        let entries = [accepted("a", "x-0"), accepted("b", "x-1")];
        let stored = |pairs: &[(&str, usize)]| -> BTreeMap<String, usize> {
            let owned = |(message, count): &(&str, usize)| ((*message).to_owned(), *count);
            pairs.iter().map(owned).collect()
        };
        let whole = stored(&[("a", 1), ("b", 1), ("another's", 1)]);
        assert!(all_there(entries.iter(), &whole).is_ok() && none_twice(&whole).is_ok());
        let lost = all_there(entries.iter(), &stored(&[("a", 1)])).unwrap_err();
        assert!(
            lost.to_string()
                .contains("1 accepted entries are missing, of x-1")
        );
        let doubled = stored(&[("a", 2), ("b", 1)]);
        assert!(all_there(entries.iter(), &doubled).is_ok());
        assert!(
            none_twice(&doubled)
                .unwrap_err()
                .to_string()
                .contains("2 x \"a\"")
        );
    }

    #[test]
    fn only_the_route_of_log_becomes_patient() {
        let routes = json!([{"name": "home"}, {"name": "log", "timeout": "1s", "retries": {"attempts": 2}, "route": []}]);
        let changed = patient(&routes).unwrap();
        assert_eq!(
            changed,
            json!([{"name": "home"}, {"name": "log", "timeout": "15s", "retries": {"attempts": 0}, "route": []}])
        );
        assert!(patient(&json!([{"name": "home"}])).is_err());
    }
}

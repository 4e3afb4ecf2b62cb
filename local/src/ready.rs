//! Waiting until parts answer.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;

use crate::Error;
use crate::run_file::RunFile;

/// Within this every part answers, or something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a part is asked.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);

/// A client for questions to parts on this machine.
///
/// # Errors
/// When none can be made.
pub fn client() -> Result<Client, Error> {
    let client = Client::builder().no_proxy().timeout(QUESTION).build()?;
    Ok(client)
}

/// Whether a URL answers with 200.
pub async fn answers(client: &Client, url: &str) -> bool {
    let answer = client.get(url).send().await;
    answer.is_ok_and(|answer| answer.status() == 200)
}

/// Asks until a URL answers with 200.
pub async fn until_answers(client: &Client, url: &str) {
    while !answers(client, url).await {
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What Envoy has made of its listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listeners {
    /// They listen.
    Taken,
    /// It refused them.
    Refused,
}

/// Asks until Envoy has taken or refused its listeners.
pub async fn until_listening(client: &Client, run: &RunFile) -> Listeners {
    let url = format!(
        "{}/stats?format=json&filter=^listener_manager.lds.update_",
        run.admin_url
    );
    loop {
        if let Some(decided) = listeners(client, &url).await {
            return decided;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn listeners(client: &Client, url: &str) -> Option<Listeners> {
    let text = client.get(url).send().await.ok()?.text().await.ok()?;
    let answer: Value = serde_json::from_str(&text).ok()?;
    let stats = answer.get("stats")?.as_array()?;
    let count = |name: &str| {
        let suffix = |stat: &&Value| {
            let name_of = stat.get("name").and_then(Value::as_str);
            name_of.is_some_and(|found| found.ends_with(name))
        };
        let stat = stats.iter().find(suffix)?;
        stat.get("value")?.as_u64().filter(|count| *count > 0)
    };
    if count("update_rejected").is_some() {
        return Some(Listeners::Refused);
    }
    count("update_success").map(|_| Listeners::Taken)
}

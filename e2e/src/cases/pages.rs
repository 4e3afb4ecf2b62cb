//! The entries at `/logs`, over all pages.

use anyhow::{Context as _, Result, bail};
use reqwest::Url;
use serde_json::Value;

use crate::exchange::Ask;
use crate::gateway::Gateway;

/// The stored entries whose message has this marker, newest first.
///
/// # Errors
/// When a page cannot be had.
pub(super) async fn stored(gateway: &Gateway, marker: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let mut page = Url::parse(&gateway.url("/logs")).context("the URL of /logs")?;
        page.query_pairs_mut()
            .append_pair("limit", "1000")
            .append_pair("q", marker)
            .extend_pairs(after.map(|after: String| ("after", after)));
        let answer = gateway.send(Ask::get(page)).await.answer()?;
        if answer.status != 200 {
            bail!("GET /logs: {}", answer.summary());
        }
        let page: Value = serde_json::from_str(&answer.body).context("/logs is not JSON")?;
        let entries = page.get("entries").and_then(Value::as_array);
        found.extend(entries.context("/logs has no entries")?.iter().cloned());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(found),
        }
    }
}

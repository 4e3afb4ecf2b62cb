//! Waiting for what the proxy counts: it counts after the client has its answer.

use faultline_testbed::{Envoy, until};
use serde_json::Value;
use std::collections::BTreeMap;

/// What Envoy sets before the names of the filter's metrics, for each host.
const PREFIXES: [&str; 2] = ["wasmcustom.", "dynamicmodulescustom."];

/// The filter's counters by their names.
pub(crate) async fn statistics(envoy: &Envoy) -> BTreeMap<String, u64> {
    let own = |(name, count): (String, u64)| {
        let mut prefixes = PREFIXES.iter();
        Some((
            prefixes
                .find_map(|prefix| name.strip_prefix(prefix))?
                .to_owned(),
            count,
        ))
    };
    envoy
        .stats()
        .await
        .unwrap()
        .into_iter()
        .filter_map(own)
        .collect()
}

/// Waits until the counter `name` is `value`.
pub(crate) async fn counted(envoy: &Envoy, name: &str, value: u64) {
    let mut seen = None;
    let waited = until(format!("{name} to be {value}"), async || {
        seen = statistics(envoy).await.get(name).copied();
        (seen == Some(value)).then_some(())
    });
    if let Err(error) = waited.await {
        panic!("{error}: it is {seen:?}");
    }
}

/// Waits until the Prometheus page has this line.
pub(crate) async fn exported(envoy: &Envoy, line: &str) {
    let waited = until(format!("{line:?} on the Prometheus page"), async || {
        let page = envoy.prometheus().await.unwrap();
        page.lines().any(|one| one == line).then_some(())
    });
    if let Err(error) = waited.await {
        let page = envoy.prometheus().await.unwrap();
        let metric = line.split('{').next().unwrap_or_default();
        let near: Vec<_> = page.lines().filter(|one| one.starts_with(metric)).collect();
        panic!("{error}: it has {near:#?}");
    }
}

/// Waits for an access log line about `path` with this outcome; `None` for one without any.
pub(crate) async fn logged(envoy: &Envoy, path: &str, outcome: Option<&str>) {
    let waited = until(
        format!("{outcome:?} of {path} in the access log"),
        async || {
            let log = envoy.access_log();
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines
                .any(|line: Value| line["path"] == path && line["outcome"].as_str() == outcome)
                .then_some(())
        },
    );
    if let Err(error) = waited.await {
        panic!("{error}:\n{}", envoy.access_log());
    }
}

//! A proxy's `config_dump`: what it really runs on.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A configuration dump.
#[derive(Clone, Debug)]
pub struct Config(Value);

/// What matters of an upstream cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// TCP connections at most.
    pub connections: Option<u64>,
    /// Requests that may wait for a connection.
    pub pending: Option<u64>,
    /// Load balancing policy, Envoy's name.
    pub balancing: String,
}

impl Config {
    /// Reads a dump.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map(Self)
            .context("config_dump is not JSON")
    }

    /// The first cluster whose name begins so.
    ///
    /// # Errors
    /// When there is no such cluster.
    pub fn upstream(&self, prefix: &str) -> Result<Upstream> {
        let cluster = objects(&self.0)
            .find(|object| {
                object.contains_key("connect_timeout")
                    && object
                        .get("name")
                        .and_then(Value::as_str)
                        .is_some_and(|name| name.starts_with(prefix))
            })
            .with_context(|| format!("no cluster {prefix}… in the proxy's configuration"))?;
        let limit = |field: &str| -> Option<u64> {
            let thresholds = cluster.get("circuit_breakers")?.get("thresholds")?;
            thresholds.get(0)?.get(field)?.as_u64()
        };
        Ok(Upstream {
            connections: limit("max_connections"),
            pending: limit("max_pending_requests"),
            balancing: cluster
                .get("lb_policy")
                .and_then(Value::as_str)
                .unwrap_or("ROUND_ROBIN") // the default, which a dump leaves out
                .to_owned(),
        })
    }

    /// The files from which WebAssembly modules are loaded.
    #[must_use]
    pub fn modules(&self) -> Vec<String> {
        objects(&self.0)
            .filter_map(|object| object.get("filename")?.as_str())
            .filter(|name| name.ends_with(".wasm"))
            .map(ToOwned::to_owned)
            .collect()
    }
}

/// Every object in a value, outermost first.
fn objects(value: &Value) -> impl Iterator<Item = &serde_json::Map<String, Value>> {
    let mut found = Vec::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                found.push(fields);
                waiting.extend(fields.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = r#"{"configs":[{"dynamic_active_clusters":[
      {"cluster":{"name":"outbound|8080||a.ns.svc.cluster.local","connect_timeout":"10s","lb_policy":"LEAST_REQUEST",
        "circuit_breakers":{"thresholds":[{"max_connections":3,"max_pending_requests":5}]}}},
      {"cluster":{"name":"outbound|8080||b.ns.svc.cluster.local","connect_timeout":"10s"}}]},
      {"ecds_filters":[{"code":{"local":{"filename":"/var/lib/istio/data/x/abc.wasm"}}},
        {"tls":{"filename":"/etc/cert.pem"}}]}]}"#;

    #[test]
    fn clusters_and_modules_are_found() {
        let config = Config::parse(DUMP).unwrap();
        let a = config.upstream("outbound|8080||a.").unwrap();
        assert_eq!(
            (a.connections, a.pending, a.balancing.as_str()),
            (Some(3), Some(5), "LEAST_REQUEST")
        );
        let b = config.upstream("outbound|8080||b.").unwrap();
        assert_eq!(
            (b.connections, b.pending, b.balancing.as_str()),
            (None, None, "ROUND_ROBIN")
        );
        assert!(config.upstream("outbound|8080||c.").is_err());
        assert_eq!(config.modules(), ["/var/lib/istio/data/x/abc.wasm"]);
    }
}

//! The facts that bound the requests from a proxy to a service, beside the limits themselves.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A proxy and the hosts it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The proxy's worker threads.
    pub workers: u64,
    /// The hosts among which it balances.
    pub hosts: u64,
}

impl Reach {
    /// Reads Envoy's `/server_info` and `/clusters?format=json`; `upstream` is how the cluster's name begins.
    ///
    /// # Errors
    /// When a page is not of its form, or has no such cluster.
    pub fn parse(server_info: &str, clusters: &str, upstream: &str) -> Result<Self> {
        let server: Value = serde_json::from_str(server_info).context("server_info is not JSON")?;
        let workers = server.pointer("/command_line_options/concurrency");
        let workers = workers
            .and_then(Value::as_u64)
            .context("server_info names no concurrency")?;
        let clusters: Value = serde_json::from_str(clusters).context("clusters is not JSON")?;
        let statuses = clusters.get("cluster_statuses").and_then(Value::as_array);
        let is_it = |cluster: &&Value| {
            let name = cluster.get("name").and_then(Value::as_str);
            name.is_some_and(|name| name.starts_with(upstream))
        };
        let cluster = statuses.into_iter().flatten().find(is_it);
        let cluster = cluster.with_context(|| format!("no cluster {upstream}… in clusters"))?;
        let hosts = cluster.get("host_statuses").and_then(Value::as_array);
        let hosts = u64::try_from(hosts.map_or(0, Vec::len)).context("too many hosts")?;
        Ok(Self { workers, hosts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = r#"{"version":"1.39.3","command_line_options":{"concurrency":2}}"#;
    const CLUSTERS: &str = r#"{"cluster_statuses":[
      {"name":"outbound|8080||a.ns","host_statuses":[{"address":{}},{"address":{}}]},
      {"name":"outbound|8080||b.ns"}]}"#;

    #[test]
    fn workers_and_hosts_are_counted() {
        let reach = |upstream| Reach::parse(SERVER, CLUSTERS, upstream);
        let (workers, hosts) = (2, 2);
        assert_eq!(
            reach("outbound|8080||a.").unwrap(),
            Reach { workers, hosts }
        );
        assert_eq!(reach("outbound|8080||b.").unwrap().hosts, 0);
        assert!(reach("outbound|8080||c.").is_err());
        assert!(Reach::parse("{}", CLUSTERS, "outbound|8080||a.").is_err());
    }
}

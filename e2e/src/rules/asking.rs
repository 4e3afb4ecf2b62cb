//! The requests of a proof, and what was seen of them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use faultline_check::proof::{Caller, Pace, Protocol, Request, Seen};
use reqwest::Url;
use uuid::Uuid;

use super::KUBECTL;
use super::place::{Place, container};
use super::plan::caller_namespace;
use super::workloads::{GATEWAY, caller_name};
use crate::cluster::{self, PROBE};
use crate::exchange::{Ask, Reply};
use crate::inside::upstream::{Arrived, COUNTED, Counted, MARK};

/// Longer than any proof's slowest request.
const TIMEOUT_MS: &str = "30000";

impl Place<'_> {
    /// Makes a proof's requests from where it says.
    pub(super) async fn ask(&self, request: &Request) -> Result<Seen> {
        let names = &self.plan.names;
        let namespace = caller_namespace(names, request.from);
        let mark = Uuid::new_v4().simple().to_string();
        let written = Url::parse(&request.url).with_context(|| request.url.clone())?;
        let host = names.in_host(written.host_str().context("a URL without a host")?);
        let port = written
            .port_or_known_default()
            .context("a URL without a port")?;
        // the path as written, which a parsed URL no longer has
        let path = request.url.splitn(4, '/').nth(3).unwrap_or_default();
        let mut headers = request.headers.clone();
        headers.insert(MARK.to_owned(), mark.clone());
        let host = match request.from {
            Caller::Gateway => {
                headers.insert("host".to_owned(), host);
                let gateway = self.proof.gateway.as_ref();
                let namespace = gateway.and_then(|it| it.namespace.as_deref());
                format!("{GATEWAY}.{}", names.namespace(namespace))
            }
            _ => host,
        };
        let url = format!("http://{host}:{port}/{path}");
        let times = request.times.to_string();
        let mut args = vec![
            "exec",
            "-n",
            &namespace,
            caller_name(request.from),
            "-c",
            PROBE,
            "--",
        ];
        args.extend(["/faultline-e2e", "probe", "--timeout-ms", TIMEOUT_MS]);
        args.extend(["--method", &request.method, &url]);
        args.push(match request.pace {
            Pace::OneByOne => "--times",
            Pace::AtOnce => "--concurrency",
        });
        args.push(&times);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        for header in &headers {
            args.extend(["--header", header]);
        }
        if request.protocol == Protocol::ClientHello {
            args.extend(["--client-hello", written.host_str().unwrap_or_default()]);
        }
        if let Some(name) = &request.differing {
            args.extend(["--numbered", name]);
        }
        let printed = KUBECTL.run(&args).await?;
        let replies = printed.lines().map(serde_json::from_str);
        let replies = replies.collect::<Result<Vec<Reply>, _>>();
        let replies = replies.with_context(|| format!("the probe printed {printed:?}"))?;
        let counted = self.counted(&mark).await?;
        Ok(Seen {
            tries: counted.iter().map(|it| it.tries).sum(),
            concurrent: counted.iter().map(|it| it.concurrent).max().unwrap_or(0),
            ..seen(&replies)
        })
    }

    /// The requests of a mark, as each pod of an application has counted them.
    async fn counted(&self, mark: &str) -> Result<Vec<Counted>> {
        let mut counted = Vec::new();
        for upstream in &self.proof.upstreams {
            for pod in self.upstream(&upstream.deployment).await? {
                let url = format!("http://127.0.0.1:{}{COUNTED}{mark}", upstream.listens_on());
                let reply = cluster::call_from(&pod, container(&pod), &Ask::get(url)).await?;
                let body = reply.answer()?.body;
                let count = serde_json::from_str(&body);
                counted.push(count.with_context(|| format!("{}: {body:?}", pod.name))?);
            }
        }
        Ok(counted)
    }
}

/// What the answers say.
fn seen(replies: &[Reply]) -> Seen {
    let mut seen = Seen {
        requests: replies.len() as u64,
        shortest_ms: u64::MAX,
        ..Seen::default()
    };
    let count = |counts: &mut BTreeMap<String, u64>, key: String| {
        *counts.entry(key).or_default() += 1;
    };
    let mut pods = BTreeSet::new();
    for reply in replies {
        let elapsed = match reply {
            Reply::Answer(answer) => {
                count(&mut seen.status, answer.status.to_string());
                if let Ok(arrived) = serde_json::from_str::<Arrived>(&answer.body) {
                    count(&mut seen.upstream, arrived.upstream);
                    count(&mut seen.path, arrived.path);
                    pods.insert(arrived.pod);
                }
                answer.elapsed_ms
            }
            Reply::NoAnswer { elapsed_ms, .. } => {
                count(&mut seen.status, "none".to_owned());
                *elapsed_ms
            }
        };
        seen.shortest_ms = seen.shortest_ms.min(elapsed);
        seen.longest_ms = seen.longest_ms.max(elapsed);
    }
    seen.shortest_ms = seen.shortest_ms.min(seen.longest_ms);
    seen.pods = pods.len() as u64;
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Answer;

    #[test]
    fn answers_are_counted_by_status_upstream_pod_and_path() {
        let answer = |status, upstream: &str, pod: &str, elapsed_ms| {
            let arrived = Arrived {
                upstream: upstream.to_owned(),
                pod: pod.to_owned(),
                path: "/".to_owned(),
            };
            Reply::Answer(Answer {
                status,
                body: serde_json::to_string(&arrived).unwrap(),
                elapsed_ms,
                ..Answer::default()
            })
        };
        let none = Reply::NoAnswer {
            error: "reset".to_owned(),
            elapsed_ms: 1,
        };
        let all = [answer(200, "v1", "a", 5), answer(503, "v1", "b", 7), none];
        let seen = seen(&all);
        let counts = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
            counts
                .iter()
                .map(|(key, count)| ((*key).to_owned(), *count))
                .collect()
        };
        assert_eq!(seen.status, counts(&[("200", 1), ("503", 1), ("none", 1)]));
        assert_eq!(seen.upstream, counts(&[("v1", 2)]));
        assert_eq!((seen.pods, seen.requests), (2, 3));
        assert_eq!((seen.shortest_ms, seen.longest_ms), (1, 7));
    }
}

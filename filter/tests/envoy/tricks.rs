//! The tricks of [`shop`] in Envoy alone, with each way in which a mesh may have paths normalised.

use crate::{
    acceptance,
    client::{request_to, send},
    host::{Host, each_host},
    proxy::{Proxy, cluster},
    shop::{self, SHOP, TAKEN, Trick},
};
use faultline_testbed::{Envoy, Step, Upstream, until};
use serde_json::{Value, json};
use std::net::SocketAddr;

each_host!(no_trick_brings_the_application_what_the_table_does_not_name,);

/// How a mesh may have paths normalised: names of Istio's meshConfig.pathNormalization, and Envoy's own settings.
fn normalisations() -> [(&'static str, Value); 4] {
    let settings = |normalise: bool, merge: bool, escaped: &str| {
        json!({
            "normalize_path": normalise,
            "merge_slashes": merge,
            "path_with_escaped_slashes_action": escaped,
        })
    };
    let keep = "KEEP_UNCHANGED";
    [
        ("NONE", settings(false, false, keep)),
        ("BASE", settings(true, false, keep)),
        ("MERGE_SLASHES", settings(true, true, keep)),
        (
            "DECODE_AND_MERGE_SLASHES",
            settings(true, true, "UNESCAPE_AND_FORWARD"),
        ),
    ]
}

/// A gateway as Istio has it: a virtual host for the application's hosts, and one for another's.
struct Gateway {
    envoy: Envoy,
    address: SocketAddr,
    shop: Upstream,
    other: Upstream,
}

impl Gateway {
    async fn start(host: Host, normalisation: &Value) -> Self {
        let app = || Upstream::start(|_| Step::answer(200, "app"));
        let (shop, other) = (app().await.unwrap(), app().await.unwrap());
        let mut proxy = Proxy::to(host, &shop, &shop::configuration());
        let address = other.address();
        proxy
            .clusters
            .push(cluster("other", Some(address), json!({})));
        let mut config = proxy.config();
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        let manager = config.pointer_mut(manager).unwrap();
        for (key, value) in normalisation.as_object().unwrap() {
            manager[key] = value.clone();
        }
        let virtual_host = |name: &str, domains: &[&str]| {
            let everything = json!({"match": {"prefix": "/"}, "route": {"cluster": name}});
            json!({"name": name, "domains": domains, "routes": [everything]})
        };
        manager["route_config"]["ignore_port_in_host_matching"] = json!(true);
        manager["route_config"]["virtual_hosts"] = json!([
            virtual_host("app", &["shop.test", "*.shop.test"]),
            virtual_host("other", &["*"]),
        ]);
        let envoy = Envoy::start(&config.to_string()).await.unwrap();
        let address = envoy.listener("test").await.unwrap();
        Self {
            envoy,
            address,
            shop,
            other,
        }
    }

    /// Sends a request; the paths that the application has then got, and the status.
    async fn ask(&self, method: &str, target: &[u8], host: &str) -> (Vec<String>, Option<u16>) {
        let before = self.shop.seen().len();
        let request = request_to(host, method.as_bytes(), target);
        let response = send(self.address, &request).await;
        let seen = self.shop.seen();
        let arrived = seen[before..].iter();
        (
            arrived.map(|seen| seen.uri.path().to_owned()).collect(),
            response.map(|response| response.status),
        )
    }
}

async fn no_trick_brings_the_application_what_the_table_does_not_name(host: Host) {
    let spellings = acceptance::SPELLINGS.iter().chain(acceptance::UNSETTLED);
    let spellings = spellings.map(|spelling| ("GET", spelling.target.into()));
    let refused = acceptance::tricks().into_iter();
    let refused = refused.map(|trick| (trick.method, trick.target));
    let tricks = shop::tricks(spellings.chain(refused));
    let mut leaked = Vec::new();
    for (name, normalisation) in normalisations() {
        let gateway = Gateway::start(host, &normalisation).await;
        for path in TAKEN {
            for host in [SHOP, "a.SHOP.test:80"] {
                let (arrived, status) = gateway.ask("GET", path.as_bytes(), host).await;
                assert_eq!((arrived, status), (vec![path.to_owned()], Some(200)));
            }
        }

        let mut spelt = 0;
        for Trick {
            method,
            target,
            host,
        } in &tricks
        {
            let (arrived, status) = gateway.ask(method, target, host).await;
            let target = shown(target);
            spelt += usize::from(!arrived.is_empty());
            for path in arrived {
                if let Some(other) = shop::unnamed_reading(path.as_bytes()) {
                    let other = other.escape_ascii();
                    leaked.push(format!(
                        "{name}: {method} {target} of {host}: {path}, read as {other}"
                    ));
                }
            }
            // What is neither the application's nor the other's answer is a refusal.
            assert!(
                matches!(status, None | Some(200 | 400 | 403 | 404 | 431)),
                "{name}: {method} {target} of {host}: {status:?}"
            );
        }
        // Some are just spellings of what the table names.
        assert!(spelt > 0, "{name}: none of {} passed", tricks.len());
        assert!(!gateway.other.seen().is_empty());
        every_request_was_seen(&gateway).await;
    }
    assert!(
        leaked.is_empty(),
        "{} leaked:\n{}",
        leaked.len(),
        leaked.join("\n")
    );
}

/// A target for a message: its beginning, escaped.
fn shown(target: &[u8]) -> String {
    let start = target.get(..80).unwrap_or(target);
    start.escape_ascii().to_string()
}

/// Fails if the proxy has sent the application a request that it did not even understand.
async fn every_request_was_seen(gateway: &Gateway) {
    let seen = gateway.shop.seen().len();
    let mut sent = None;
    let counted = until("the proxy's count of requests", async || {
        let stats = gateway.envoy.stats().await.unwrap();
        sent = stats.get("cluster.app.upstream_rq_total").copied();
        (sent == u64::try_from(seen).ok()).then_some(())
    });
    if let Err(error) = counted.await {
        panic!("{error}: {sent:?} sent, {seen} seen");
    }
}

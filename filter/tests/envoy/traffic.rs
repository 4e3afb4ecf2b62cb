//! Traffic of known shape through two hops, as `istio/wasmplugin.yaml` observes them, and what Prometheus
//! has of it: pages of real proxies, scraped before and after, under times that make hours of them.

use crate::{
    client::{get, request, send},
    configuration::{discover, discovery},
    host::Host,
    proxy::{Proxy, cluster, typed},
    statistics::{counted, exported},
};
use faultline_testbed::{Envoy, Step, Upstream};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, fs, net::SocketAddr, path::Path, time::Instant};
use tokio::task::JoinSet;

/// The names in `istio/` of `/log` at the gateway, and of the log agent's `/log` at custom-app's own proxy.
const FIRST_HOP: &str = "log";
const SECOND_HOP: &str = "log_agent";

/// The requests of each kind. Each of the first has three tries.
pub(crate) const TIMEOUTS: u32 = 7;
pub(crate) const OKS: u32 = 4;
pub(crate) const ERRORS: u32 = 2;
pub(crate) const UNKNOWN: u32 = 5;
pub(crate) const OTHER_METHODS: u32 = 3;
pub(crate) const ABORTS: u32 = 4;
pub(crate) const TRIES: u32 = 3;
/// The time that a try has, in milliseconds.
pub(crate) const TRY_MS: u32 = 500;

/// Between two scrapes, in seconds.
const STEP: u64 = 15;
const START: u64 = 1_700_000_010;
/// When the faults were, and a configuration was refused; when a proxy started with a refused one, and
/// the mesh aborted requests; and the end. Every window of a query holds whole pauses on both sides.
const FAULTS: u64 = START + 4_200;
const ABORTED: u64 = FAULTS + 900;
const END: u64 = ABORTED + 900;
/// Times to ask at: shortly after each, and when both are past every short window.
pub(crate) const AFTER_FAULTS: u64 = FAULTS + 150;
pub(crate) const AFTER_ABORTS: u64 = ABORTED + 150;
pub(crate) const QUIET: u64 = ABORTED + 630;

/// The samples for Prometheus, and the clients' own measurement.
pub(crate) struct Scraped {
    pub(crate) samples: String,
    /// The longest that a client waited for a timeout, in milliseconds.
    pub(crate) slowest_ms: f64,
    /// How often one refused configuration is counted: by each that reads it.
    pub(crate) refusals: u32,
}

/// A proxy and its pages, each in force from its time on.
struct Pod {
    name: &'static str,
    envoy: Envoy,
    pages: BTreeMap<u64, String>,
}

impl Pod {
    fn new(name: &'static str, envoy: Envoy) -> Self {
        let pages = BTreeMap::new();
        Self { name, envoy, pages }
    }

    /// A scrape from this time on gets what the proxy exports now.
    async fn scrape(&mut self, from: u64) {
        let page = self.envoy.prometheus().await.unwrap();
        self.pages.insert(from, page);
    }

    /// Its page at this time, each sample with the labels and the time of a scrape.
    fn samples(&self, time: u64) -> String {
        let page = self.pages.range(..=time).next_back();
        let page = page.map_or("", |(_, page)| page.as_str());
        let target = format!(r#"instance="{0}:15090",pod="{0}""#, self.name);
        let mut samples = String::new();
        for line in page.lines().filter(|line| line.starts_with("faultline_")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (metric, labels) = series.split_once('{').unwrap();
            let labels = labels.trim_end_matches('}');
            let comma = if labels.is_empty() { "" } else { "," };
            writeln!(
                samples,
                "{metric}{{{labels}{comma}{target}}} {value} {time}"
            )
            .unwrap();
        }
        samples
    }
}

/// The `pluginConfig` of a plugin in `istio/`.
fn plugin_config(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../istio/wasmplugin.yaml");
    let plugins: Vec<Value> =
        serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap();
    let mut found = plugins
        .iter()
        .filter(|plugin| plugin["metadata"]["name"] == name);
    found.next().expect(name)["spec"]["pluginConfig"].clone()
}

/// custom-app's outbound side: the query says which fault a request meets.
async fn sidecar(host: Host, upstream: &Upstream) -> (Envoy, SocketAddr) {
    let always = json!({"numerator": 100, "denominator": "HUNDRED"});
    let fault_type = "extensions.filters.http.fault.v3.HTTPFault";
    let faulty = |kind: &str, fault: Value| {
        let query = json!([{"name": "fault", "string_match": {"exact": kind}}]);
        json!({
            "match": {"prefix": "/", "query_parameters": query},
            "route": {"cluster": "app"},
            "typed_per_filter_config": {"fault": typed(fault_type, fault)},
        })
    };
    let delay = json!({"delay": {"fixed_delay": "30s", "percentage": always}});
    // A status that the gateway does not try again.
    let abort = json!({"abort": {"http_status": 418, "percentage": always}});
    let mut proxy = Proxy::to(host, upstream, &plugin_config("custom-app-observe"));
    proxy
        .routes
        .splice(0..0, [faulty("delay", delay), faulty("abort", abort)]);
    proxy.filters = vec![json!({"name": "fault", "typed_config": typed(fault_type, json!({}))})];
    proxy.stats_tags = Proxy::labelled(host, upstream).stats_tags;
    proxy.start().await
}

/// The gateway in front of it: each try is cut, and there are three.
async fn gateway(host: Host, upstream: &Upstream, sidecar: SocketAddr) -> (Envoy, SocketAddr) {
    let back_off = json!({"base_interval": "0.001s", "max_interval": "0.002s"});
    let retries = json!({
        "retry_on": "gateway-error,reset",
        "num_retries": TRIES - 1,
        "per_try_timeout": format!("0.{TRY_MS}s"),
        "retry_back_off": back_off,
    });
    let action = json!({"cluster": "app", "timeout": "0s", "retry_policy": retries});
    let mut proxy = Proxy::to(host, upstream, &plugin_config("faultline-gateway"));
    proxy.routes = vec![json!({"match": {"prefix": "/"}, "route": action})];
    // As Istio sets it; Envoy's own default lets three requests of a cluster retry at once.
    let breakers = json!({"circuit_breakers": {"thresholds": [{"max_retries": u32::MAX}]}});
    proxy.clusters = vec![cluster("app", Some(sidecar), breakers)];
    proxy.stats_tags = Proxy::labelled(host, upstream).stats_tags;
    proxy.start().await
}

/// A proxy that observes nothing and is given its configuration from outside.
async fn plain(host: Host, upstream: &Upstream, filter: Value) -> Envoy {
    let mut proxy = Proxy::to(host, upstream, &json!({}));
    proxy.plugin = filter;
    proxy.start().await.0
}

/// Waits until an outcome of a route is counted so often.
async fn has(pod: &Pod, route: &str, outcome: &str, count: u32) {
    let labels = format!(r#"route="{route}",outcome="{outcome}""#);
    exported(
        &pod.envoy,
        &format!("faultline_requests_total{{{labels}}} {count}"),
    )
    .await;
}

/// Waits until every duration of a route is in its histogram.
async fn has_durations(pod: &Pod, route: &str, count: u32) {
    let line =
        format!(r#"faultline_request_duration_milliseconds_count{{route="{route}"}} {count}"#);
    exported(&pod.envoy, &line).await;
}

/// Runs it.
pub(crate) async fn run(host: Host) -> Scraped {
    let refusals = host.readers();
    let upstream = Upstream::start(|request| {
        let wants_error = request.uri.query() == Some("answer=500");
        Step::answer(if wants_error { 500 } else { 200 }, "app")
    });
    let upstream = upstream.await.unwrap();
    let (envoy, inner) = sidecar(host, &upstream).await;
    let mut sidecar = Pod::new("custom-app-1", envoy);
    let (envoy, address) = gateway(host, &upstream, inner).await;
    let mut gateway = Pod::new("istio-ingressgateway-1", envoy);
    let directory = tempfile::tempdir().unwrap();
    let discovered = directory.path().join("plugin.json");
    discover(host, &discovered, r#"{"routes": [{"path": "/"}]}"#);
    let envoy = plain(host, &upstream, discovery(host, &discovered)).await;
    let mut updated = Pod::new("updated-1", envoy);

    // A histogram is exported once a value is in it: each has one before the first scrape.
    assert_eq!(get(address, "/log").await.status, 200);
    has_durations(&gateway, FIRST_HOP, 1).await;
    has_durations(&sidecar, SECOND_HOP, 1).await;
    for pod in [&mut gateway, &mut sidecar, &mut updated] {
        pod.scrape(START).await;
    }

    let slowest_ms = faults(host, address, &discovered).await;
    has(&gateway, FIRST_HOP, "timeout", TIMEOUTS).await;
    has(&gateway, FIRST_HOP, "ok", 1 + OKS).await;
    has(&gateway, FIRST_HOP, "upstream_error", ERRORS).await;
    has_durations(&gateway, FIRST_HOP, 1 + TIMEOUTS + OKS + ERRORS).await;
    has(&sidecar, SECOND_HOP, "client_gone", TIMEOUTS * TRIES).await;
    has_durations(&sidecar, SECOND_HOP, 1 + TIMEOUTS * TRIES + OKS + ERRORS).await;
    counted(
        &updated.envoy,
        "faultline_config_errors_total",
        refusals.into(),
    )
    .await;
    for pod in [&mut gateway, &mut sidecar, &mut updated] {
        pod.scrape(FAULTS).await;
    }

    for _ in 0..ABORTS {
        assert_eq!(get(address, "/log?fault=abort").await.status, 418);
    }
    has(&gateway, FIRST_HOP, "client_error", ABORTS).await;
    has(&sidecar, SECOND_HOP, "fault_abort", ABORTS).await;
    let refused = json!({"name": "faultline", "typed_config": host.plugin("{")});
    let envoy = plain(host, &upstream, refused).await;
    let mut started = Pod::new("started-1", envoy);
    counted(
        &started.envoy,
        "faultline_config_errors_total",
        refusals.into(),
    )
    .await;
    for pod in [&mut gateway, &mut sidecar, &mut started] {
        pod.scrape(ABORTED).await;
    }

    let pods = [gateway, sidecar, updated, started];
    let times = (START..=END).step_by(usize::try_from(STEP).unwrap());
    let samples = times.flat_map(|time| pods.iter().map(move |pod| pod.samples(time)));
    Scraped {
        samples: samples.collect(),
        slowest_ms,
        refusals,
    }
}

/// Everything that happens at once as far as a scrape can tell; how long the slowest timeout took, in ms.
async fn faults(host: Host, gateway: SocketAddr, discovered: &Path) -> f64 {
    let mut timeouts = JoinSet::new();
    for _ in 0..TIMEOUTS {
        timeouts.spawn(async move {
            let began = Instant::now();
            assert_eq!(get(gateway, "/log?fault=delay").await.status, 504);
            began.elapsed().as_secs_f64() * 1000.0
        });
    }
    let slowest_ms = timeouts.join_all().await.into_iter().fold(0.0, f64::max);
    for _ in 0..OKS {
        assert_eq!(get(gateway, "/log").await.status, 200);
    }
    for _ in 0..ERRORS {
        assert_eq!(get(gateway, "/log?answer=500").await.status, 500);
    }
    for _ in 0..UNKNOWN {
        assert_eq!(get(gateway, "/nothing").await.status, 404);
    }
    for _ in 0..OTHER_METHODS {
        let response = send(gateway, &request(b"DELETE", b"/log")).await;
        assert_eq!(response.unwrap().status, 405);
    }
    discover(host, discovered, r#"{"routes": []}"#);
    slowest_ms
}

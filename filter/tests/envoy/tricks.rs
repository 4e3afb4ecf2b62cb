//! Tricks: paths that mean another one to some server, and hosts that mean another one to some proxy, against a table
//! with hosts, templates and prefixes. The application behind must get nothing that the table does not let pass,
//! however it reads what it gets.

use crate::{
    acceptance,
    client::{request_to, send},
    host::{Host, each_host},
    proxy::{Proxy, cluster},
    readings::readings,
};
use faultline_testbed::{Envoy, Step, Upstream, until};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr};

each_host!(no_trick_brings_the_application_what_the_table_does_not_name,);

/// The number of tricks that is promised.
const FEWEST: usize = 259;

const EXACT: [&str; 2] = ["/", "/status"];
const TEMPLATES: [&str; 2] = ["/users/{id}", "/users/{id}/orders"];
const PREFIXES: [&str; 2] = ["/static/", "/static/v2/"];

/// A path that every route of the table takes one of.
const TAKEN: [&str; 6] = [
    "/",
    "/status",
    "/users/7",
    "/users/7/orders",
    "/static/a.css",
    "/static/v2/a%20b.css",
];

fn configuration() -> Value {
    let exact_or_template = EXACT.iter().chain(&TEMPLATES);
    let paths = exact_or_template.map(|path| json!({"path": path}));
    let prefixes = PREFIXES.iter().map(|prefix| json!({"prefix": prefix}));
    let routes: Vec<_> = paths.chain(prefixes).collect();
    json!({"hosts": ["shop.test", "*.shop.test"], "routes": routes})
}

/// Whether a path is one that the table names; its rules say nothing of spellings.
fn is_named(path: &[u8]) -> bool {
    let segments = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|byte| *byte == b'/')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let asked = segments(path);
    let takes = |template: &&str| {
        let written = segments(template.as_bytes());
        let takes = |(written, asked): (&Vec<u8>, &Vec<u8>)| {
            (written.starts_with(b"{") && !asked.is_empty()) || written == asked
        };
        written.len() == asked.len() && written.iter().zip(&asked).all(takes)
    };
    EXACT.iter().any(|exact| exact.as_bytes() == path)
        || TEMPLATES.iter().any(takes)
        || PREFIXES
            .iter()
            .any(|prefix| path.starts_with(prefix.as_bytes()))
}

/// Places that the table lets in, and how many segments lead back from each to the root.
const STARTS: [(&str, usize); 7] = [
    ("/", 1),
    ("/status/", 1),
    ("/users/7/", 2),
    ("/users/7/orders/", 3),
    ("/users/", 1),
    ("/static/", 1),
    ("/static/v2/", 2),
];

/// Spellings of a segment that leads up.
const UPS: [&str; 14] = [
    "..",
    "%2e%2e",
    ".%2E",
    "%252e%252e",
    "..;",
    "..;x=1",
    "%2e%2e;",
    "..%3b",
    "..%253b",
    "%c0%ae%c0%ae",
    "%e0%80%ae.",
    "..%00",
    "..%09",
    "..%23",
];

/// Spellings of the slash after it.
const SLASHES: [&str; 9] = [
    "/", "//", "/./", "\\", "%2f", "%2F", "%5c", "%252f", "%c0%af",
];

/// Tricks of other forms.
const OTHERS: &[&str] = &[
    "/admin",
    "/ADMIN",
    "/Status",
    "/static",
    "/Static/a",
    "//admin",
    "/\\admin",
    "/.admin",
    "/./admin",
    "/%61dmin",
    "/%2561dmin",
    "/admin/",
    "/admin;x=1",
    "/;/admin",
    "/;x=1/status",
    "/status;x=1",
    "/status;/../admin",
    "/status%3b/../admin",
    "/status/",
    "/status//",
    "/status%20",
    "/status%00",
    "/status%0d%0a",
    "/status%2f",
    "/status%3fx",
    "/status%23x",
    "/users",
    "/users/",
    "/users//orders",
    "/users/7/",
    "/users/7/admin",
    "/users/7/orders/",
    "/users/7/orders/8",
    "/users/7%2forders/admin",
    "/users/7%2fadmin",
    "/users/7%252fadmin",
    "/users/7%5cadmin",
    "/users/7;/orders",
    "/users/7;x=1",
    "/users/;x/orders",
    "/users/%2e",
    "/users/%2e%2e",
    "/users/./orders",
    "/users/%3f/orders",
    "/users/%c0%ae/orders",
    "/users/%ff",
    "/users/%",
    "/users/%zz/orders",
    "/users/%00/orders",
    "/users/{id}/admin",
    "/static/;/a",
    "/static/a;b",
    "/static//a",
    "/static/%",
    "/static/%2",
    "/static/%u002e%u002e/admin",
    "/static/%0a",
    "/static/%7f",
    "/static/%f5%80",
    "/static%2fa",
    "/static%2f..%2fadmin",
    "/static/v2;/../../admin",
    "/static/a?/../../admin",
    "/static/a%3f/../../admin",
    "/static/a#/../../admin",
    "/static/a%23/../../admin",
];

/// A method and a request target.
type Trick = (&'static str, Vec<u8>);

/// Every trick at the host that is guarded, and none twice: those that aim at this table, and the acceptance suite's.
fn tricks() -> BTreeSet<Trick> {
    let mut targets: BTreeSet<String> = OTHERS.iter().map(|&path| path.to_owned()).collect();
    for (start, depth) in STARTS {
        for up in UPS {
            for slash in SLASHES {
                let way = format!("{up}{slash}").repeat(depth);
                targets.insert(format!("{start}{way}admin"));
            }
        }
    }
    assert!(targets.len() >= FEWEST, "{}", targets.len());
    let spellings = acceptance::SPELLINGS.iter().chain(acceptance::UNSETTLED);
    targets.extend(spellings.map(|spelling| spelling.target.to_owned()));
    let gets = targets.into_iter().map(|target| ("GET", target.into()));
    let acceptance = acceptance::tricks().into_iter();
    gets.chain(acceptance.map(|trick| (trick.method, trick.target)))
        .collect()
}

/// Spellings of the host that is guarded, and of others. Which of them the proxy sends to the application is its
/// own affair: the filter must then have read them alike.
const HOSTS: [&str; 27] = [
    "shop.test",
    "SHOP.Test",
    "shop.test:80",
    "shop.test:65536",
    "shop.test:",
    "shop.test:x",
    "SHOP.test:80x",
    "shop.test.:x",
    "shop.test:-1",
    "a.shop.test:x",
    "shop.test:\u{fc}",
    "shop.test:80:80",
    "a.shop.test",
    "A.B.Shop.test:8080",
    ".shop.test",
    "shop.test.",
    "a.shop.test.:80",
    "shop.test..",
    "user@shop.test",
    "[shop.test]",
    "shop.test, other.test",
    "shop.test/",
    "shop%2etest",
    "*.shop.test",
    "\u{fc}.shop.test",
    "",
    "other.test",
];

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
        let mut proxy = Proxy::to(host, &shop, &configuration());
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
    let tricks = tricks();
    let mut leaked = Vec::new();
    for (name, normalisation) in normalisations() {
        let gateway = Gateway::start(host, &normalisation).await;
        for path in TAKEN {
            for host in ["shop.test", "a.SHOP.test:80"] {
                let (arrived, status) = gateway.ask("GET", path.as_bytes(), host).await;
                assert_eq!((arrived, status), (vec![path.to_owned()], Some(200)));
            }
        }

        let paths = tricks
            .iter()
            .map(|(method, target)| (*method, target.as_slice(), "shop.test"));
        let unnamed = ["/admin", "/static/..%2fadmin", "/users/7;/orders"];
        let hosts = HOSTS
            .iter()
            .flat_map(|host| unnamed.map(|target| ("GET", target.as_bytes(), *host)));
        let absolute = [
            ("http://shop.test/admin", "other.test"),
            ("http://other.test/admin", "shop.test"),
            ("http://SHOP.test:80/static/..%2fadmin", "other.test"),
            ("http://user@shop.test/admin", "other.test"),
        ]
        .map(|(target, host)| ("GET", target.as_bytes(), host));
        let (mut tried, mut spelt) = (0, 0);
        for (method, target, host) in paths.chain(hosts).chain(absolute) {
            let (arrived, status) = gateway.ask(method, target, host).await;
            let target = shown(target);
            tried += 1;
            spelt += usize::from(!arrived.is_empty());
            for path in arrived {
                let readings = readings(path.as_bytes());
                if let Some(other) = readings.iter().find(|reading| !is_named(reading)) {
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
        assert!(spelt > 0, "{name}: none of {tried} passed");
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

//! A shop that has the filter guard it with hosts, templates and prefixes, and the tricks that are played on it: paths
//! that mean another one to some server, and hosts that mean another one to some proxy. The shop must get nothing that
//! its table does not name, however it reads what it gets.
//!
//! The filter's own tests play them in Envoy alone, the suite at a gateway of the cluster.

mod readings;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::readings::readings;

/// The host that is guarded.
pub(crate) const SHOP: &str = "shop.test";

const EXACT: [&str; 2] = ["/", "/status"];
const TEMPLATES: [&str; 2] = ["/users/{id}", "/users/{id}/orders"];
const PREFIXES: [&str; 2] = ["/static/", "/static/v2/"];

/// A path that every route of the table takes one of.
pub(crate) const TAKEN: [&str; 6] = [
    "/",
    "/status",
    "/users/7",
    "/users/7/orders",
    "/static/a.css",
    "/static/v2/a%20b.css",
];

pub(crate) fn configuration() -> Value {
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

/// Spellings of the paths that only a path is tried for: each must be refused, or arrive as a path that the table names.
fn targets() -> BTreeSet<String> {
    let mut targets: BTreeSet<String> = OTHERS.iter().map(|&path| path.to_owned()).collect();
    for (start, depth) in STARTS {
        for up in UPS {
            for slash in SLASHES {
                let way = format!("{up}{slash}").repeat(depth);
                targets.insert(format!("{start}{way}admin"));
            }
        }
    }
    targets
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

/// Paths that the table does not name, some of which a server reads as one that it does.
const UNNAMED: [&str; 3] = ["/admin", "/static/..%2fadmin", "/users/7;/orders"];

/// Requests whose target names a host, and the host field beside it.
const ABSOLUTE: [(&str, &str); 4] = [
    ("http://shop.test/admin", "other.test"),
    ("http://other.test/admin", "shop.test"),
    ("http://SHOP.test:80/static/..%2fadmin", "other.test"),
    ("http://user@shop.test/admin", "other.test"),
];

/// One trick.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trick {
    /// The method.
    pub(crate) method: &'static str,
    /// The request's target.
    pub(crate) target: Vec<u8>,
    /// The host field.
    pub(crate) host: &'static str,
}

/// Every trick, and none twice; further methods and targets are played at the host that is guarded.
pub(crate) fn tricks(
    further: impl IntoIterator<Item = (&'static str, Vec<u8>)>,
) -> BTreeSet<Trick> {
    let get = |target: &str, host| Trick {
        method: "GET",
        target: target.into(),
        host,
    };
    let mut tricks: BTreeSet<_> = targets().iter().map(|target| get(target, SHOP)).collect();
    for host in HOSTS {
        tricks.extend(UNNAMED.map(|target| get(target, host)));
    }
    tricks.extend(ABSOLUTE.map(|(target, host)| get(target, host)));
    tricks.extend(further.into_iter().map(|(method, target)| Trick {
        method,
        target,
        host: SHOP,
    }));
    tricks
}

/// A path that some server takes this one for, and the table does not name.
pub(crate) fn unnamed_reading(path: &[u8]) -> Option<Vec<u8>> {
    readings(path).into_iter().find(|path| !is_named(path))
}

#[test]
fn there_are_as_many_tricks_as_promised() {
    assert!(targets().len() >= 259, "{}", targets().len());
    let all = tricks([("PUT", b"/admin".to_vec()), ("GET", b"/admin".to_vec())]);
    let puts = all.iter().filter(|trick| trick.method == "PUT");
    assert_eq!(puts.count(), 1);
    assert!(all.len() > targets().len() + HOSTS.len());
}

#[test]
fn a_path_leaks_if_anyone_reads_it_as_another() {
    for path in TAKEN {
        assert_eq!(unnamed_reading(path.as_bytes()), None, "{path}");
    }
    for path in ["/admin", "/static/..%2fadmin", "/users/7;/orders/8"] {
        assert!(unnamed_reading(path.as_bytes()).is_some(), "{path}");
    }
}

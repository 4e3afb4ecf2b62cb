//! Unknown paths, and ways to make a path look like another.

/// Who refuses a request, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The filter: 404 with its mark.
    Unknown,
    /// Envoy, since it is not HTTP: 400. Where a version of Envoy lets it pass, the filter: 404.
    Malformed,
    /// Envoy, since the head is larger than it reads: 431.
    TooLarge,
    /// Envoy, since there is no path that a route or the filter could compare: its bare 404, or 400.
    NoPath,
    /// Envoy, since the request says https and the connection is not: 403.
    Scheme,
}

/// A request that must not reach an application.
pub(crate) struct Trick {
    pub(crate) method: &'static str,
    pub(crate) target: Vec<u8>,
    pub(crate) refusal: Refusal,
}

/// A known path in another spelling.
pub(crate) struct Spelling {
    pub(crate) target: &'static str,
    /// The path that arrives.
    pub(crate) path: &'static str,
}

const UNKNOWN: &[&str] = &[
    // plain
    "/nowhere",
    "/log/1",
    "/logs/1",
    "/logs/stream",
    "/status/log",
    "/index.html",
    "/favicon.ico",
    "/.env",
    "/.git/config",
    // the services' own, not routed from outside
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/app-health/custom-app/readyz",
    // the proxy's own
    "/stats/prometheus",
    "/config_dump",
    "/quitquitquit",
    // case
    "/LOG",
    "/Log",
    "/lOg",
    "/STATUS",
    "/Logs",
    // slashes
    "/log/",
    "/status/",
    "/logs/",
    "//",
    "//log",
    "///log",
    "/log//",
    "/log//x",
    "//status//",
    "/\\log",
    "/log\\",
    // dots
    "/log.",
    "/.log",
    "/log..",
    "/log/.",
    "/...",
    "/log/...",
    "/log/../nowhere",
    "/x/../LOG",
    "/..%2flog",
    "/%2e%2e%2flog",
    // encodings
    "/log%2f",
    "/log%2F",
    "/%2flog",
    "/%5clog",
    "/log%20",
    "/log%09",
    "/log%0d%0a",
    "/log%3f",
    "/log%23",
    "/%256cog",
    "/log%252f",
    "/log%c0%af",
    "/log%ff",
    "/l%c3%b6g",
    "/log%",
    "/log%zz",
    "/%u006cog",
    // path parameters
    "/log;",
    "/log;x=1",
    "/;/log",
    "/;x/status",
    "/status;jsessionid=1",
    "/log%3bx=1",
    // a fragment, which is cut off
    "/nowhere#/status",
    // a query does not make a path known
    "/LOG?x=1",
    "/nowhere?/log",
    "/nowhere?path=/status",
    // absolute form
    "http://other.test/nowhere",
    "http://other.test/LOG",
];

const MALFORMED: &[&[u8]] = &[
    b"/log\0",
    b"/log%00",
    b"/\0/log",
    b"/log x",
    b"/log%00.html",
    b"log",
    b"",
    b"*",
    b"/l\xf6g",
    b"/\xff\xfe",
    b"/log\x7f",
    b"/log\x0bx",
];

const METHODS: &[&str] = &["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// Methods that Envoy's parser does not know or know only in capitals.
const ODD_METHODS: &[&str] = &["BREW", "get", "PROPFIND", "G\u{cb}T"];

/// Everything that must be refused.
pub(crate) fn tricks() -> Vec<Trick> {
    let trick = |method, target: &[u8], refusal| Trick {
        method,
        target: target.to_vec(),
        refusal,
    };
    let long = |length: usize| [b"/".as_slice(), &b"a".repeat(length)].concat();
    let after_log = [b"/log".as_slice(), &b"g".repeat(8 * 1024)].concat();
    let mut all = Vec::new();
    all.extend(
        UNKNOWN
            .iter()
            .map(|target| trick("GET", target.as_bytes(), Refusal::Unknown)),
    );
    all.extend(
        METHODS
            .iter()
            .map(|method| trick(method, b"/nowhere", Refusal::Unknown)),
    );
    all.push(trick("GET", &long(8 * 1024), Refusal::Unknown));
    all.push(trick("GET", &after_log, Refusal::Unknown));
    all.extend(
        MALFORMED
            .iter()
            .map(|target| trick("GET", target, Refusal::Malformed)),
    );
    all.extend(
        ODD_METHODS
            .iter()
            .map(|method| trick(method, b"/nowhere", Refusal::Malformed)),
    );
    all.push(trick("GET", b"https://other.test/status", Refusal::Scheme));
    all.push(trick("OPTIONS", b"*", Refusal::NoPath));
    all.push(trick("CONNECT", b"other.test:443", Refusal::NoPath));
    all.push(trick("GET", &long(100 * 1024), Refusal::TooLarge));
    all
}

/// Spellings that the gateway's normalisation (RFC 3986 section 6.2.2, and Envoy's) makes into known
/// paths before anything compares them: they are those paths.
pub(crate) const SPELLINGS: &[Spelling] = &[
    Spelling {
        target: "/status?x=1",
        path: "/status",
    },
    Spelling {
        target: "/status?next=/../log",
        path: "/status",
    },
    Spelling {
        target: "/status#x",
        path: "/status",
    },
    Spelling {
        target: "/./status",
        path: "/status",
    },
    Spelling {
        target: "/%2e/status",
        path: "/status",
    },
    Spelling {
        target: "/x/../status",
        path: "/status",
    },
    Spelling {
        target: "/x/%2e%2e/status",
        path: "/status",
    },
    Spelling {
        target: "/../status",
        path: "/status",
    },
    Spelling {
        target: "/%73tatus",
        path: "/status",
    },
    Spelling {
        target: "/log/..",
        path: "/",
    },
    Spelling {
        target: "/?/../nowhere",
        path: "/",
    },
    Spelling {
        target: "http://other.test/status",
        path: "/status",
    },
    Spelling {
        target: "/%6cog",
        path: "/log",
    },
    Spelling {
        target: "/status/../log",
        path: "/log",
    },
];

/// Spellings that some versions of Envoy make into known paths (1.39) and others leave as they are, so that
/// the filter refuses them.
pub(crate) const UNSETTLED: &[Spelling] = &[Spelling {
    target: "/..;/status",
    path: "/status",
}];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_enough_and_none_twice() {
        let all = tricks();
        assert!(all.len() >= 60, "{}", all.len());
        let distinct: BTreeSet<_> = all
            .iter()
            .map(|trick| (trick.method, &trick.target))
            .collect();
        assert_eq!(distinct.len(), all.len());
    }
}

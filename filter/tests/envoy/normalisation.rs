//! Any path, as Envoy normalises it and as the filter then decides, against models of both.

use crate::{
    client::{Response, request, send},
    host::{Host, each_host},
    proxy::Proxy,
};
use faultline_filter_core::Config;
use faultline_filter_fuzz::model::{Decision, decide, normalise};
use faultline_testbed::{Step, Upstream, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

each_host!(decisions_over_random_paths_are_the_models,);

/// How many paths are tried. The seed is fixed: a failure comes again.
const PATHS: usize = 400;
const SEED: u64 = 3986;

const PIECES: [&str; 24] = [
    "/", "/", "/", "a", "log", "static", ".", "..", "/..", "/.", "%2e", "%2E", "%2f", "%5C", "\\",
    "%61", "%7e", "~", "%25", "a;b", ":", "%C3%A9", "/static/", "/log",
];

fn path(random: &mut fastrand::Rng) -> String {
    let count = random.usize(0..8);
    let pieces = (0..count).filter_map(|_| random.choice(PIECES));
    "/".chars().chain(pieces.flat_map(str::chars)).collect()
}

fn decision(response: &Response) -> Option<Decision> {
    let marked = response
        .last("proxy-status")
        .is_some_and(|text| text.starts_with("faultline"));
    match (response.status, marked) {
        (200, false) => Some(Decision::Allowed),
        (404, true) => Some(Decision::Unknown),
        _ => None,
    }
}

async fn decisions_over_random_paths_are_the_models(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let config = json!({"routes": [
        {"path": "/"}, {"path": "/log"}, {"path": "/a"}, {"prefix": "/static/"},
    ]});
    let (envoy, address) = Proxy::to(host, &upstream, &config).start().await;
    let config = Config::parse(config.to_string().as_bytes()).unwrap();
    let routes: Vec<_> = config.routes.iter().collect();

    let mut random = fastrand::Rng::with_seed(SEED);
    let mut asked = BTreeMap::new();
    for number in 0..PATHS {
        let path = path(&mut random);
        // The number finds the line in the access log; a query is not normalised.
        let target = format!("{path}?{number}");
        let response = send(address, &request(b"GET", target.as_bytes())).await;
        let response = response.unwrap_or_else(|| panic!("no response for {path}"));
        asked.insert(number, (path, response));
    }
    let complete = until("the access log", async || {
        (envoy.access_log().lines().count() >= PATHS).then_some(())
    });
    complete.await.unwrap();

    let log = envoy.access_log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut allowed = 0;
    for line in lines {
        let seen = line["path"].as_str().unwrap();
        let (seen, number) = seen.rsplit_once('?').unwrap();
        let (path, response) = asked.remove(&number.parse().unwrap()).unwrap();
        let normal = normalise(path.as_bytes());
        assert_eq!(seen.as_bytes(), normal, "{path} is normalised to {seen}");
        let expected = decide(&routes, &normal, Some(b"GET"));
        assert_eq!(
            decision(&response),
            Some(expected),
            "{path}, which is {seen}: {response:?}"
        );
        allowed += usize::from(expected == Decision::Allowed);
    }
    assert!(asked.is_empty(), "not logged: {asked:?}");
    assert!(
        (PATHS / 20..PATHS).contains(&allowed),
        "{allowed} of {PATHS} allowed"
    );
}

//! Path parameters (`;x=1`), which versions of Envoy normalise differently: the filter's view of such a path, and its
//! decision, are as the table in `filter/README.md` says.

use crate::{
    client::get,
    host::{Host, each_host},
    proxy::Proxy,
};
use faultline_testbed::{Envoy, Step, Upstream, install, until};
use serde_json::{Value, json};

each_host!(path_parameters_are_seen_and_decided_as_the_readme_says,);

const README: &str = include_str!("../../README.md");

/// The lines of the table, each without what surrounds its cells.
fn table() -> Vec<Vec<&'static str>> {
    let (_, rest) = README.split_once("<!-- path parameters -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end of path parameters -->").unwrap();
    let cells = |line: &'static str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    table.lines().map(cells).collect()
}

/// What a cell says: the path that the filter sees, and what becomes of the request.
fn cell(seen: &str, status: u16) -> String {
    match status {
        200 => format!("`{seen}` passes"),
        status => format!("`{seen}` {status}"),
    }
}

async fn path_parameters_are_seen_and_decided_as_the_readme_says(host: Host) {
    let table = table();
    let [head, _, rows @ ..] = &table[..] else {
        panic!("no table: {table:?}");
    };
    let paths: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert!(paths.len() >= 10, "{paths:?}");
    // What Envoy's own routes make of parameters does not change what the filter sees.
    for ignored in [false, true] {
        let seen = ask(host, &paths, ignored).await;
        let as_in = |column: usize| rows.iter().map(|row| row[column]).eq(&seen);
        let version = install::version().unwrap();
        let column = match head.iter().position(|versions| names(versions, &version)) {
            Some(column) => column,
            None => (1..head.len()).find(|column| as_in(*column)).unwrap_or(1),
        };
        let expected: Vec<_> = rows.iter().map(|row| row[column]).collect();
        assert_eq!(
            seen, expected,
            "Envoy {version}, ignored by routes: {ignored}"
        );
    }
}

fn names(versions: &str, version: &str) -> bool {
    versions
        .split([' ', ','])
        .any(|one_of_them| one_of_them == version)
}

/// A GET for each path; the cells of a proxy's column.
async fn ask(host: Host, paths: &[&str], ignored: bool) -> Vec<String> {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let routes = json!([{"path": "/status"}, {"path": "/users/{id}"}, {"prefix": "/static/"}]);
    let proxy = Proxy::to(host, &upstream, &json!({"routes": routes}));
    let mut config = proxy.config();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    config.pointer_mut(manager).unwrap()["route_config"]["ignore_path_parameters_in_path_matching"] =
        json!(ignored);
    let envoy = Envoy::start(&config.to_string()).await.unwrap();
    let address = envoy.listener("test").await.unwrap();

    let mut cells = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let before = upstream.seen().len();
        // The number finds the line in the access log; a query is not normalised.
        let status = get(address, &format!("{path}?{number}")).await.status;
        let seen = logged_path(&envoy, number).await;
        let requests = upstream.seen();
        let arrived: Vec<_> = requests[before..].iter().map(|it| it.uri.path()).collect();
        let passed = if status == 200 { vec![&*seen] } else { vec![] };
        assert_eq!(arrived, passed, "{path}");
        cells.push(cell(&seen, status));
    }
    cells
}

/// The path of the request with this query, as normalisation has left it.
async fn logged_path(envoy: &Envoy, number: usize) -> String {
    let number = number.to_string();
    let waited = until("a line of the access log", async || {
        let log = envoy.access_log();
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.find_map(|line: Value| {
            let (path, query) = line["path"].as_str()?.rsplit_once('?')?;
            (query == number).then(|| path.to_owned())
        })
    });
    waited.await.unwrap()
}

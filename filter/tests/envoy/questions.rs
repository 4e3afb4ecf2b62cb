//! The PromQL in the documentation asks for what the filter exports.

use crate::{
    client::get,
    documents::documents,
    host::{Host, each_host},
    proxy::Proxy,
    statistics::exported,
};
use faultline_testbed::{Step, Upstream};
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{self, Expr, LabelModifier, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use std::{collections::BTreeMap, convert::Infallible};

each_host!(every_expression_asks_for_what_is_exported,);

/// What Prometheus itself adds to every sample, of where it came from.
const OF_THE_TARGET: [&str; 2] = ["instance", "pod"];

/// One line of a Prometheus page.
#[derive(Debug)]
struct Sample {
    metric: String,
    labels: BTreeMap<String, String>,
}

/// The filter's samples. Names and values hold no separator, so splitting at separators is enough.
fn samples(page: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let (series, _) = line.rsplit_once(' ')?;
        let (metric, labels) = series.split_once('{')?;
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty());
        let label = |label: &str| {
            let (name, value) = label.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        Some(Sample {
            metric: metric.to_owned(),
            labels: labels.map(label).collect(),
        })
    };
    let ours = page.lines().filter(|line| line.starts_with("faultline_"));
    ours.filter_map(sample).collect()
}

/// Everything that is wrong with an expression.
fn faults(expression: &str, samples: &[Sample]) -> Vec<String> {
    match parser::parse(expression) {
        Err(error) => vec![error],
        Ok(expr) => {
            let mut check = Check {
                samples,
                faults: Vec::new(),
                selectors: 0,
            };
            let Ok(_) = walk_expr(&mut check, &expr);
            if check.selectors == 0 {
                check.faults.push("asks for nothing".to_owned());
            }
            check.faults
        }
    }
}

struct Check<'a> {
    samples: &'a [Sample],
    faults: Vec<String>,
    selectors: usize,
}

impl ExprVisitor for Check<'_> {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                self.grouping(&aggregate.expr, aggregate.modifier.as_ref())
            }
            Expr::Binary(binary) => {
                let matching = binary
                    .modifier
                    .as_ref()
                    .and_then(|modifier| modifier.matching.as_ref());
                self.grouping(&binary.lhs, matching);
                self.grouping(&binary.rhs, matching);
            }
            _ => {}
        }
        Ok(true)
    }
}

impl Check<'_> {
    /// Its matchers leave something, and none of them names what does not exist.
    fn selector(&mut self, selector: &VectorSelector) {
        self.selectors += 1;
        let metric = selector.name.as_deref().unwrap_or_default();
        let matchers = &selector.matchers.matchers;
        let of_metric: Vec<_> = self
            .samples
            .iter()
            .filter(|sample| sample.metric == metric)
            .collect();
        if of_metric.is_empty() {
            self.faults.push(format!("{metric} is not exported"));
        }
        let values = |name: &str| {
            of_metric
                .iter()
                .filter_map(|sample| sample.labels.get(name))
                .collect::<Vec<_>>()
        };
        for matcher in matchers {
            let known = values(&matcher.name);
            let unknown = named(matcher)
                .into_iter()
                .filter(|value| !known.iter().any(|one| one == value));
            self.faults
                .extend(unknown.map(|value| format!("{metric} has no {}={value:?}", matcher.name)));
        }
        let fits = |sample: &&&Sample| {
            let value =
                |matcher: &Matcher| sample.labels.get(&matcher.name).map_or("", String::as_str);
            matchers
                .iter()
                .all(|matcher| matcher.is_match(value(matcher)))
        };
        if of_metric.iter().find(fits).is_none() {
            self.faults
                .push(format!("{metric} with {matchers:?}: nothing"));
        }
    }

    /// Every label of `by` or `on` is one that each metric inside has.
    fn grouping(&mut self, inside: &Expr, labels: Option<&LabelModifier>) {
        let Some(labels) = labels else { return };
        let mut metrics = Metrics(Vec::new());
        let Ok(_) = walk_expr(&mut metrics, inside);
        for metric in metrics.0 {
            let of_metric = self.samples.iter().filter(|sample| sample.metric == metric);
            let known: Vec<_> = of_metric.flat_map(|sample| sample.labels.keys()).collect();
            for label in &labels.labels().labels {
                if !known.contains(&label) && !OF_THE_TARGET.contains(&label.as_str()) {
                    self.faults.push(format!("{metric} has no label {label}"));
                }
            }
        }
    }
}

/// The names of the metrics in an expression.
struct Metrics(Vec<String>);

impl ExprVisitor for Metrics {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        match expr {
            Expr::VectorSelector(selector) => self.0.extend(selector.name.clone()),
            Expr::MatrixSelector(matrix) => self.0.extend(matrix.vs.name.clone()),
            _ => {}
        }
        Ok(true)
    }
}

/// The values that a matcher names: of an expression such as `ok|client_gone`, each.
fn named(matcher: &Matcher) -> Vec<&str> {
    match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
        MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
    }
}

/// What a proxy exports that has answered one request for each kind of metric.
async fn exported_samples(host: Host) -> Vec<Sample> {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let (envoy, address) = Proxy::labelled(host, &upstream).start().await;
    get(address, "/log").await;
    // A histogram is there once a value is in it.
    exported(
        &envoy,
        r#"faultline_request_duration_milliseconds_count{route="log"} 1"#,
    )
    .await;
    samples(&envoy.prometheus().await.unwrap())
}

async fn every_expression_asks_for_what_is_exported(host: Host) {
    let samples = exported_samples(host).await;
    for document in documents() {
        for expression in document.expressions() {
            let name = &document.name;
            let faults = faults(expression, &samples);
            assert!(faults.is_empty(), "{name}: {faults:#?} in\n{expression}");
        }
    }
    for (expression, fault) in [
        ("sum by (route) (faultline_retries_total", "unclosed"),
        (
            "faultline_retries_total faultline_requests_total",
            "invalid",
        ),
        ("rate(faultline_retries_total)", "expected type"),
        ("faultline_retry", "faultline_retry is not exported"),
        (
            r#"faultline_requests_total{outcome!~"ok|late"}"#,
            r#"no outcome="late""#,
        ),
        (
            r#"faultline_retries_total{outcome="ok"}"#,
            r#"no outcome="ok""#,
        ),
        (
            r#"faultline_requests_total{outcome!~"ok",outcome="ok"}"#,
            "nothing",
        ),
        (
            "sum by (route) (faultline_unknown_routes_total)",
            "no label route",
        ),
        (
            "faultline_retries_total / on (outcome) faultline_requests_total",
            "faultline_retries_total has no label outcome",
        ),
        ("1 + 1", "asks for nothing"),
    ] {
        let faults = faults(expression, &samples);
        assert!(
            faults.iter().any(|one| one.contains(fault)),
            "{expression}: {faults:?}"
        );
    }
}

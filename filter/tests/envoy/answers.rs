//! The PromQL in the documentation is asked of a real Prometheus, and answers what the traffic was.

use crate::{
    documents::documents,
    host::{Host, each_host},
    traffic::{
        self, ABORTS, AFTER_ABORTS, AFTER_FAULTS, ERRORS, OKS, OTHER_METHODS, QUIET, TIMEOUTS,
        TRIES, TRY_MS, UNKNOWN,
    },
};
use faultline_testbed::{Error, Prometheus, Vector};
use std::{collections::BTreeSet, io::Write as _};

each_host!(every_documented_expression_answers_what_the_traffic_was,);

/// The expected value.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// Of a ratio or a count: exactly.
    Is(f64),
    /// So many in a window: as much, or what Prometheus adds for the time before the first of its
    /// scrapes and after the last, at most one in twenty.
    Rises(f64),
    /// Between two bounds of a histogram's buckets.
    Between(f64, f64),
}

impl Value {
    fn holds(self, seen: f64) -> bool {
        match self {
            Self::Is(value) => (seen - value).abs() < 1e-9,
            Self::Rises(value) => seen >= value * 0.999_999 && seen <= value * 1.06,
            Self::Between(least, most) => seen > least && seen <= most,
        }
    }
}

/// So many a second, over five minutes.
fn rate(count: u32) -> Value {
    Value::Rises(f64::from(count) / 300.0)
}

fn increase(count: u32) -> Value {
    Value::Rises(f64::from(count))
}

fn ratio(part: u32, whole: u32) -> Value {
    Value::Is(f64::from(part) / f64::from(whole))
}

/// Labels as `name=value name=value`, and the value.
type Row = (&'static str, Value);

/// An expression as it is documented, without comments and breaks, and its answer at a time. What is not
/// in an answer is absent, or 0.
struct Case {
    expression: &'static str,
    answers: Vec<(u64, Vec<Row>)>,
}

fn case(expression: &'static str, answers: Vec<(u64, Vec<Row>)>) -> Case {
    Case {
        expression,
        answers,
    }
}

const FIRST_REQUESTS: u32 = TIMEOUTS + OKS + ERRORS;
const SECOND_REQUESTS: u32 = TIMEOUTS * TRIES + OKS + ERRORS;

/// The upper bound of the bucket of Envoy's histograms in which this is, in milliseconds.
fn bucket(millis: f64) -> f64 {
    let bounds = [2500.0, 5000.0, 10_000.0, 30_000.0, 60_000.0];
    let bound = bounds.into_iter().find(|bound| millis <= *bound);
    bound.expect("no test takes longer")
}

fn cases(slowest_ms: f64, refusals: u32) -> Vec<Case> {
    // The tries make it this long, less what timers are early.
    let least = f64::from(TRIES * TRY_MS) * 0.95;
    assert!((1000.0..2500.0).contains(&least), "{least}");
    let most = bucket(slowest_ms);
    let slow = vec![
        ("route=log", Value::Between(1000.0, most)),
        ("route=log_agent", Value::Between(250.0, most)),
    ];
    let faults = |rows| vec![(AFTER_FAULTS, rows)];
    vec![
        // docs/metrics.md
        case(
            "sum by (route, outcome) (rate(faultline_requests_total[5m]))",
            faults(vec![
                ("outcome=timeout route=log", rate(TIMEOUTS)),
                ("outcome=ok route=log", rate(OKS)),
                ("outcome=upstream_error route=log", rate(ERRORS)),
                (
                    "outcome=client_gone route=log_agent",
                    rate(TIMEOUTS * TRIES),
                ),
                ("outcome=ok route=log_agent", rate(OKS)),
                ("outcome=upstream_error route=log_agent", rate(ERRORS)),
            ]),
        ),
        case(
            "sum by (route) (rate(faultline_requests_total{outcome!~\"ok|client_error|client_gone\"}[5m])) \
             / sum by (route) (rate(faultline_requests_total[5m]))",
            faults(vec![
                ("route=log", ratio(TIMEOUTS + ERRORS, FIRST_REQUESTS)),
                ("route=log_agent", ratio(ERRORS, SECOND_REQUESTS)),
            ]),
        ),
        case(
            "sum(increase(faultline_requests_total{route=\"log\", outcome=\"timeout\"}[1h]))",
            faults(vec![("", increase(TIMEOUTS))]),
        ),
        case(
            "1 + sum by (route) (rate(faultline_retries_total[5m])) / sum by (route) (rate(faultline_requests_total[5m]))",
            faults(vec![
                (
                    "route=log",
                    ratio(FIRST_REQUESTS + TIMEOUTS * (TRIES - 1), FIRST_REQUESTS),
                ),
                ("route=log_agent", Value::Is(1.0)),
            ]),
        ),
        case(
            "histogram_quantile(0.99, sum by (route, le) (rate(faultline_request_duration_milliseconds_bucket[5m])))",
            faults(slow.clone()),
        ),
        case(
            "sum by (route) (rate(faultline_delays_injected_total[5m])) > 0 \
             or sum by (route) (rate(faultline_requests_total{outcome=\"fault_abort\"}[5m])) > 0",
            vec![
                (
                    AFTER_FAULTS,
                    vec![("route=log_agent", rate(TIMEOUTS * TRIES))],
                ),
                (AFTER_ABORTS, vec![("route=log_agent", rate(ABORTS))]),
                (QUIET, vec![]),
            ],
        ),
        case(
            "sum by (pod) (rate(faultline_unknown_routes_total[5m]))",
            faults(vec![("pod=istio-ingressgateway-1", rate(UNKNOWN))]),
        ),
        case(
            "increase(faultline_config_errors_total[10m]) > 0 \
             or (faultline_config_errors_total > 0 unless faultline_config_errors_total offset 10m)",
            vec![
                (
                    AFTER_FAULTS,
                    vec![("instance=updated-1:15090 pod=updated-1", increase(refusals))],
                ),
                (
                    AFTER_ABORTS,
                    vec![(
                        "instance=started-1:15090 pod=started-1",
                        Value::Is(refusals.into()),
                    )],
                ),
                (QUIET, vec![]),
            ],
        ),
        // filter/README.md
        case(
            "sum by (route) (increase(faultline_retries_total[1h]))",
            faults(vec![("route=log", increase(TIMEOUTS * (TRIES - 1)))]),
        ),
        case(
            "sum by (route) (increase(faultline_requests_total[1h]))",
            faults(vec![
                ("route=log", increase(FIRST_REQUESTS)),
                ("route=log_agent", increase(SECOND_REQUESTS)),
            ]),
        ),
        case(
            "topk(5, sum by (route, outcome) (rate(faultline_requests_total{outcome!~\"ok|client_error|client_gone\"}[5m])) > 0)",
            faults(vec![
                ("outcome=timeout route=log", rate(TIMEOUTS)),
                ("outcome=upstream_error route=log", rate(ERRORS)),
                ("outcome=upstream_error route=log_agent", rate(ERRORS)),
            ]),
        ),
        case(
            "sum by (route) (rate(faultline_delays_injected_total[5m])) \
             + sum by (route) (rate(faultline_requests_total{outcome=\"fault_abort\"}[5m]))",
            vec![
                (
                    AFTER_FAULTS,
                    vec![("route=log_agent", rate(TIMEOUTS * TRIES))],
                ),
                (AFTER_ABORTS, vec![("route=log_agent", rate(ABORTS))]),
            ],
        ),
        case(
            "sum by (route) (rate(faultline_requests_total{outcome=~\"timeout|retries_exhausted|overflow|unreachable|upstream_error\"}[5m]))",
            faults(vec![
                ("route=log", rate(TIMEOUTS + ERRORS)),
                ("route=log_agent", rate(ERRORS)),
            ]),
        ),
        case(
            "histogram_quantile(0.5, sum by (route, le) (rate(faultline_request_duration_milliseconds_bucket[5m])))",
            faults(slow),
        ),
        case(
            "sum by (instance) (rate(faultline_unknown_routes_total[5m])) > 0",
            faults(vec![(
                "instance=istio-ingressgateway-1:15090",
                rate(UNKNOWN),
            )]),
        ),
        case(
            "sum by (instance) (rate(faultline_method_not_allowed_total[5m])) > 0",
            faults(vec![(
                "instance=istio-ingressgateway-1:15090",
                rate(OTHER_METHODS),
            )]),
        ),
    ]
}

/// An expression without its comments, in one line.
fn plain(expression: &str) -> String {
    let lines = expression.lines().filter(|line| !line.starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}

/// Every difference between an answer and the rows it should have.
fn differences(answer: &Vector, rows: &[Row]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut expected = rows.to_vec();
    for (labels, seen) in answer {
        let labels = labels.iter().filter(|(name, _)| *name != "__name__");
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let labels = labels.join(" ");
        match expected.iter().position(|(known, _)| *known == labels) {
            Some(at) => {
                let (_, value) = expected.swap_remove(at);
                if !value.holds(*seen) {
                    differences.push(format!("{{{labels}}} is {seen}, not {value:?}"));
                }
            }
            None if *seen == 0.0 => {}
            None => differences.push(format!("{{{labels}}} is {seen}, not absent or 0")),
        }
    }
    let absent = expected.iter();
    differences
        .extend(absent.map(|(labels, value)| format!("{{{labels}}} is absent, not {value:?}")));
    differences
}

async fn every_documented_expression_answers_what_the_traffic_was(host: Host) {
    let documents = documents();
    let mut untested: BTreeSet<(&str, String)> = documents
        .iter()
        .flat_map(|document| {
            document
                .expressions()
                .map(|it| (document.name.as_str(), plain(it)))
        })
        .collect();
    let traffic = traffic::run(host).await;
    let prometheus = match Prometheus::over(&traffic.samples).await {
        Ok(prometheus) => prometheus,
        // Written past libtest, which shows a passing test's output to nobody.
        Err(Error::NoPrometheus(reason)) => {
            let line = format!("SKIPPED: the documentation's queries are not answered: {reason}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut wrong = Vec::new();
    for Case {
        expression,
        answers,
    } in cases(traffic.slowest_ms, traffic.refusals)
    {
        let known = untested.len();
        untested.retain(|(_, documented)| documented != expression);
        if untested.len() == known {
            wrong.push(format!("no document asks {expression}"));
        }
        for (time, rows) in answers {
            let answer = prometheus.query(expression, time).await.unwrap();
            let differences = differences(&answer, &rows);
            if !differences.is_empty() {
                wrong.push(format!(
                    "{expression}\n  at {time}: {}",
                    differences.join("\n  ")
                ));
            }
        }
    }
    let untested = untested.iter();
    wrong.extend(untested.map(|(name, expression)| format!("{name} asks, untested: {expression}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_wrong_answer_is_told() {
    let answer = |rows: &[(&str, f64)]| -> Vector {
        let labels = |text: &str| {
            let labels = text.split(' ').filter_map(|label| label.split_once('='));
            labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        rows.iter()
            .map(|(text, value)| (labels(text), *value))
            .collect()
    };
    let expected = [("route=log", Value::Is(3.0))];
    let right = answer(&[("route=log", 3.0), ("route=other", 0.0)]);
    assert!(differences(&right, &expected).is_empty());
    for (wrong, told) in [
        (answer(&[("route=log", 1.5)]), "{route=log} is 1.5"),
        (answer(&[]), "{route=log} is absent"),
        (
            answer(&[("route=log", 3.0), ("route=other", 1.0)]),
            "{route=other} is 1, not absent or 0",
        ),
    ] {
        let differences = differences(&wrong, &expected);
        assert!(
            differences.iter().any(|one| one.contains(told)),
            "{differences:?}"
        );
    }
    assert!(!Value::Rises(6.0).holds(5.0) && !Value::Rises(6.0).holds(7.0));
    assert!(!Value::Between(250.0, 500.0).holds(250.0));
}

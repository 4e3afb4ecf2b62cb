//! The query of docs/api.md and the alerts of docs/operations.md, asked of a real Prometheus over what a real instance
//! exports.
#![cfg(test)]

mod pair;

use std::fmt::Write as _;

use faultline_service_testing::process::Service;
use faultline_testbed::{Error, Prometheus};
use tempfile::TempDir;
use tokio::process::Command;

use self::pair::{Agent, Instance, json};

/// Seconds between two scrapes.
const STEP: u64 = 60;
/// The last scrape of the instance that is scaled away, and the time of the question.
const GONE: u64 = 1_800;
const ASKED: u64 = 3_600;

/// An instance of its own process, since what it exports is of the whole process.
async fn instance(agent: &Agent) -> (Service, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-app"));
    command
        .args(["--listen", "127.0.0.1:0", "--wait-limit", "1ms"])
        .args(["--log-agent-url", &agent.hop.url()])
        .arg("--data-dir")
        .arg(directory.path());
    (Service::start(command).await, directory)
}

/// The samples of the outbox on an instance's page, with the labels of a pod.
async fn exported(instance: &Instance, pod: &str) -> Vec<(String, String)> {
    let page = instance.get("/metrics").await.text().await.unwrap();
    let outbox = page.lines().filter_map(|line| {
        let (series, value) = line
            .strip_prefix("custom_app_outbox_entries{")?
            .split_once("} ")?;
        let labels = format!(r#"{series},namespace="faultline",pod="{pod}""#);
        Some((
            format!("custom_app_outbox_entries{{{labels}}}"),
            value.to_owned(),
        ))
    });
    let outbox: Vec<_> = outbox.collect();
    assert!(!outbox.is_empty(), "{page}");
    outbox
}

/// The one expression of the page.
fn documented() -> &'static str {
    let page = include_str!("../../docs/api.md");
    let mut blocks = page.split("```promql\n").skip(1);
    let block = blocks.next().expect("an expression");
    assert_eq!(blocks.count(), 0, "another expression needs another test");
    block.split_once("```").expect("its end").0
}

/// None where there is no Prometheus to be had, which is said.
async fn prometheus(samples: &str) -> Option<Prometheus> {
    match Prometheus::over(samples).await {
        Ok(prometheus) => Some(prometheus),
        Err(Error::NoPrometheus(reason)) => {
            faultline_service_testing::disk::skipped(&format!("no Prometheus: {reason}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_waits_for_a_replica_that_is_gone_is_found() {
    let agent = Agent::start().await;
    agent.down();
    let (stays, _data) = instance(&agent).await;
    let (goes, _data_too) = instance(&agent).await;
    let (stays, goes) = (Instance::of(&stays), Instance::of(&goes));
    json(stays.keyed("a", "a").await, 202).await;
    for key in ["b", "c", "d"] {
        json(goes.keyed(key, key).await, 202).await;
    }
    let pages = [
        (exported(&stays, "custom-app-0").await, ASKED),
        (exported(&goes, "custom-app-1").await, GONE),
    ];

    let mut samples = String::new();
    for (page, until) in pages {
        for (series, value) in page {
            for time in (0..=until).step_by(usize::try_from(STEP).unwrap()) {
                writeln!(samples, "{series} {value} {time}").unwrap();
            }
        }
    }
    let Some(prometheus) = prometheus(&samples).await else {
        return;
    };
    let answer = prometheus.query(documented(), ASKED).await.unwrap();
    let found: Vec<_> = answer
        .iter()
        .map(|(labels, value)| (labels["pod"].as_str(), *value))
        .collect();
    assert_eq!(found, [("custom-app-1", 3.0)]);
    // While it is there nothing waits for its return.
    let early = prometheus.query(documented(), GONE - STEP).await.unwrap();
    assert!(early.is_empty(), "{early:?}");
}

/// The alerts of docs/operations.md, each with its first line.
fn alerts() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../docs/operations.md");
    let (_, block) = page.split_once("```promql\n").expect("the alerts");
    let (block, _) = block.split_once("```").expect("their end");
    block
        .trim()
        .split("\n\n")
        .map(|alert| (alert.lines().next().expect("its title"), alert))
        .collect()
}

/// All samples of an instance's page, with the labels of its pod, and beside them what Prometheus and the pod's proxy
/// say; as they stay for an hour.
async fn steady(instance: &Instance, beside: &str) -> String {
    let page = instance.get("/metrics").await.text().await.unwrap();
    let page = page.lines().filter(|line| !line.starts_with('#'));
    let mut samples = String::new();
    for line in page.filter(|line| !line.is_empty()).chain(beside.lines()) {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let pod = r#"pod="custom-app-0""#;
        for time in (0..=ASKED).step_by(usize::try_from(STEP).unwrap()) {
            let separator = if labels == "}" { "" } else { "," };
            writeln!(samples, "{name}{{{pod}{separator}{labels} {value} {time}").unwrap();
        }
    }
    samples
}

#[tokio::test]
async fn an_alert_is_raised_for_what_it_names_and_nothing_else() {
    let agent = Agent::start().await;
    let (service, _data) = instance(&agent).await;
    let instance = Instance::of(&service);
    faultline_service_testing::eventually("an entry is delivered", async || {
        let answer = instance.keyed("a", "a").await;
        (answer.status() == 201).then_some(())
    })
    .await;
    // The caller is told before the gauge is set.
    faultline_service_testing::eventually("nothing waits", async || {
        let page = instance.get("/metrics").await.text().await.unwrap();
        let nothing = r#"custom_app_outbox_entries{state="pending"} 0"#;
        page.lines().any(|line| line == nothing).then_some(())
    })
    .await;
    let well = steady(&instance, "up 1\nfaultline_unknown_routes_total 0").await;
    agent.down();
    json(instance.keyed("b", "b").await, 202).await;
    let waiting = steady(&instance, "up 1").await;

    let (Some(well), Some(waiting)) = (prometheus(&well).await, prometheus(&waiting).await) else {
        return;
    };
    let mut raised = Vec::new();
    for (title, alert) in alerts() {
        let found = well.query(alert, ASKED).await.unwrap();
        assert!(found.is_empty(), "{title}: {found:?}");
        if !waiting.query(alert, ASKED).await.unwrap().is_empty() {
            raised.push(title);
        }
    }
    assert_eq!(
        raised,
        [
            "# Entries wait for the log agent: it is away, refuses, or is too slow",
            "# A proxy without the filter: FAIL_OPEN lets its traffic pass",
        ]
    );
}

/// Every metric in them is one of docs/api.md, docs/metrics.md, or Prometheus' own.
#[test]
fn alerts_ask_for_what_there_is() {
    let known = [
        include_str!("../../docs/api.md"),
        include_str!("../../docs/metrics.md"),
    ];
    let mut asked = 0;
    for (title, alert) in alerts() {
        let expression: String = alert
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        // A name with an underscore is a metric's here.
        for name in words.filter(|word| word.contains('_')) {
            let named = known.iter().any(|page| page.contains(&format!("`{name}`")));
            assert!(named, "{title}: {name}");
            asked += 1;
        }
    }
    assert!(asked >= alerts().len());
}

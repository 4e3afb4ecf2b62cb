//! The query of docs/api.md, asked of a real Prometheus over what a real instance exports.
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
    let prometheus = match Prometheus::over(&samples).await {
        Ok(prometheus) => prometheus,
        Err(Error::NoPrometheus(reason)) => {
            faultline_service_testing::disk::skipped(&format!("no Prometheus: {reason}"));
            return;
        }
        Err(error) => panic!("{error}"),
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

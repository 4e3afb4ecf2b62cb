//! SARIF 2.1.0.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::json::pretty;
use super::{Shown, end_column, file, help_uri, visible};
use crate::check::{Problem, Report};
use crate::files::STDIN;
use crate::finding::{Finding, Level, Mark};
use crate::model::Place;
use crate::rules::{IGNORE, RULES, Rule};

pub(super) fn write(report: &Report, shown: Shown, to: &mut impl Write) -> io::Result<()> {
    let mut seen = HashMap::new();
    let mut results: Vec<Value> = visible(report, shown)
        .map(|it| result(report, it, &mut seen))
        .collect();
    results.extend(report.ignored.iter().map(|it| {
        let mut value = result(report, &it.finding, &mut seen);
        if let Some(fields) = value.as_object_mut() {
            let suppression = json!([{"kind": "inSource", "justification": it.reason}]);
            fields.insert("suppressions".to_owned(), suppression);
        }
        value
    }));
    let rules: Vec<Value> = all().map(rule).collect();
    let notifications: Vec<Value> = report
        .problems
        .iter()
        .map(|it| notification(report, it))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "faultline",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.problems.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    pretty(&log, to)
}

fn all() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().chain([&IGNORE])
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

fn rule(rule: &Rule) -> Value {
    let why = rule.why.trim();
    json!({
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": why},
        "help": {"text": why, "markdown": markdown(rule)},
        "helpUri": help_uri(rule.id),
        "defaultConfiguration": {"level": level(rule.level)},
        "properties": {"tags": ["istio", "kubernetes"]},
    })
}

fn markdown(rule: &Rule) -> String {
    let (why, wrong, right) = (rule.why.trim(), rule.wrong.trim(), rule.right.trim());
    if wrong.is_empty() {
        return why.to_owned();
    }
    format!("{why}\n\n**Wrong**\n\n```yaml\n{wrong}\n```\n\n**Right**\n\n```yaml\n{right}\n```\n")
}

fn result(report: &Report, finding: &Finding, seen: &mut HashMap<String, u32>) -> Value {
    let index = all().position(|it| it.id == finding.rule);
    let (first, others) = match finding.marks.split_first() {
        Some((first, others)) => (vec![location(report, first, None)], others),
        None => (Vec::new(), [].as_slice()),
    };
    let related = others
        .iter()
        .zip(1..)
        .map(|(mark, id)| location(report, mark, Some(id)));
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": level(finding.level),
        "message": {"text": format!("{}. Fix: {}", finding.message, finding.fix)},
        "locations": first,
        "relatedLocations": related.collect::<Vec<_>>(),
        "partialFingerprints": {"faultline/v1": fingerprint(report, finding, seen)},
    })
}

fn location(report: &Report, mark: &Mark, id: Option<u32>) -> Value {
    let mut value = json!({
        "physicalLocation": physical(report, mark.place),
        "logicalLocations": [{"fullyQualifiedName": mark.resource.title, "kind": "resource"}],
        "message": {"text": mark.label},
    });
    if let (Some(fields), Some(id)) = (value.as_object_mut(), id) {
        fields.insert("id".to_owned(), json!(id));
    }
    value
}

fn physical(report: &Report, place: Place) -> Value {
    json!({
        "artifactLocation": {"uri": uri(file(report, place))},
        "region": {
            "startLine": place.span.line.max(1),
            "startColumn": place.span.column.max(1),
            "endColumn": end_column(place).max(2),
        },
    })
}

/// A path as a relative reference.
fn uri(path: &str) -> String {
    let path = if path == STDIN { "stdin" } else { path };
    let path = path.replace('\\', "/");
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b'/'
            | b'+'
            | b'@' => {
                uri.push(char::from(byte));
            }
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

/// The same for a finding that has moved within its file: the rule, the resources, and which of them it is.
fn fingerprint(report: &Report, finding: &Finding, seen: &mut HashMap<String, u32>) -> String {
    let mut key = finding.rule.to_owned();
    for mark in &finding.marks {
        key.push('\0');
        key.push_str(file(report, mark.place));
        key.push('\0');
        key.push_str(&mark.resource.title);
    }
    let number = seen.entry(key.clone()).or_default();
    *number += 1;
    let hash = Sha256::digest(format!("{key}\0{number}"));
    hash.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn notification(report: &Report, problem: &Problem) -> Value {
    json!({
        "level": "error",
        "message": {"text": problem.reason},
        "locations": [{"physicalLocation": physical(report, problem.place)}],
    })
}

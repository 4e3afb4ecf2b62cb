//! One JSON object.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Shown, end_column, file, help_uri, visible};
use crate::check::Report;
use crate::finding::{Finding, Level, Mark};
use crate::rules;

pub(super) fn write(report: &Report, shown: Shown, to: &mut impl Write) -> io::Result<()> {
    let findings: Vec<Value> = visible(report, shown)
        .map(|it| finding(report, it))
        .collect();
    let problems = report.problems.iter().map(|it| {
        let place = it.place;
        json!({
            "file": file(report, place), "line": place.span.line, "column": place.span.column, "reason": it.reason,
        })
    });
    let ignored = report.ignored.iter().map(|it| {
        let mut value = finding(report, &it.finding);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("reason".to_owned(), json!(it.reason));
        }
        value
    });
    let count = |level| {
        report
            .findings
            .iter()
            .filter(|it| it.level == level)
            .count()
    };
    let all = json!({
        "version": 1,
        "findings": findings,
        "problems": problems.collect::<Vec<_>>(),
        "ignored": ignored.collect::<Vec<_>>(),
        "notDecided": report.undecided,
        "notes": report.notes,
        "summary": {
            "resources": report.resources,
            "errors": count(Level::Error),
            "warnings": count(Level::Warning),
            "infos": count(Level::Info),
        },
    });
    pretty(&all, to)
}

/// Writes a value, indented, with a line feed behind it.
pub(super) fn pretty(value: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, value)?;
    writeln!(to)
}

fn finding(report: &Report, finding: &Finding) -> Value {
    let name = rules::find(finding.rule).map(|it| it.name);
    json!({
        "rule": finding.rule,
        "name": name,
        "level": finding.level,
        "message": finding.message,
        "fix": finding.fix,
        "help": help_uri(finding.rule),
        "places": finding.marks.iter().map(|it| place(report, it)).collect::<Vec<_>>(),
    })
}

fn place(report: &Report, mark: &Mark) -> Value {
    json!({
        "file": file(report, mark.place),
        "line": mark.place.span.line,
        "column": mark.place.span.column,
        "endColumn": end_column(mark.place),
        "resource": mark.resource.title,
        "label": mark.label,
    })
}

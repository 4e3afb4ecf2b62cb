//! JUnit's XML: a suite for each file, a case for each finding, and one that passes where there is none.

use std::io::{self, Write};

use super::{Shown, file, visible};
use crate::check::Report;
use crate::finding::Finding;

pub(super) fn write(report: &Report, shown: Shown, to: &mut impl Write) -> io::Result<()> {
    let findings: Vec<&Finding> = visible(report, shown).collect();
    let (failures, errors) = (findings.len(), report.problems.len());
    writeln!(to, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    let clean = |index: &usize| !owns(*index, &findings, report);
    let passed = (0..report.sources.len()).filter(clean).count();
    let tests = failures + errors + passed;
    writeln!(
        to,
        r#"<testsuites name="faultline check" tests="{tests}" failures="{failures}" errors="{errors}">"#
    )?;
    for (index, source) in report.sources.iter().enumerate() {
        suite(report, index, &source.name, &findings, to)?;
    }
    writeln!(to, "</testsuites>")
}

fn owns(index: usize, findings: &[&Finding], report: &Report) -> bool {
    let own = |finding: &&Finding| primary(finding) == Some(index);
    let problem = report
        .problems
        .iter()
        .any(|it| usize::try_from(it.place.file) == Ok(index));
    findings.iter().any(own) || problem
}

fn primary(finding: &Finding) -> Option<usize> {
    usize::try_from(finding.marks.first()?.place.file).ok()
}

fn suite(
    report: &Report,
    index: usize,
    name: &str,
    findings: &[&Finding],
    to: &mut impl Write,
) -> io::Result<()> {
    let own: Vec<&&Finding> = findings
        .iter()
        .filter(|it| primary(it) == Some(index))
        .collect();
    let problems: Vec<_> = report
        .problems
        .iter()
        .filter(|it| usize::try_from(it.place.file) == Ok(index))
        .collect();
    let (failures, errors) = (own.len(), problems.len());
    let tests = (failures + errors).max(1);
    let name = escape(name);
    writeln!(
        to,
        r#"  <testsuite name="{name}" tests="{tests}" failures="{failures}" errors="{errors}">"#
    )?;
    if failures + errors == 0 {
        writeln!(
            to,
            r#"    <testcase classname="{name}" name="nothing found"/>"#
        )?;
    }
    for finding in own {
        let title = finding
            .marks
            .first()
            .map_or("", |it| it.resource.title.as_str());
        let case = escape(&format!("{} {title}", finding.rule));
        let (level, message) = (finding.level.name(), escape(&finding.message));
        writeln!(to, r#"    <testcase classname="{name}" name="{case}">"#)?;
        writeln!(
            to,
            r#"      <failure type="{level}" message="{message}">{}</failure>"#,
            escape(&details(report, finding))
        )?;
        writeln!(to, "    </testcase>")?;
    }
    for problem in problems {
        let case = escape(&format!("line {}", problem.place.span.line));
        let message = escape(&problem.reason);
        writeln!(to, r#"    <testcase classname="{name}" name="{case}">"#)?;
        writeln!(
            to,
            r#"      <error type="unreadable" message="{message}"/>"#
        )?;
        writeln!(to, "    </testcase>")?;
    }
    writeln!(to, "  </testsuite>")
}

fn details(report: &Report, finding: &Finding) -> String {
    let mut lines = String::new();
    for mark in &finding.marks {
        let (name, span) = (file(report, mark.place), mark.place.span);
        lines.push_str(&format!(
            "{name}:{}:{}: {}\n",
            span.line, span.column, mark.label
        ));
    }
    lines.push_str(&format!("fix: {}", finding.fix));
    lines
}

/// XML has no way to write most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            it if it.is_control() || matches!(it, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}')
            }
            it => escaped.push(it),
        }
    }
    escaped
}

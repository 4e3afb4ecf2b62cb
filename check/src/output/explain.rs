//! A rule for people: wrong, right, why.

use crate::proof;
use crate::rules::Rule;

/// The rule as a page of text.
#[must_use]
pub fn explain(rule: &Rule) -> String {
    let Rule {
        id, name, title, ..
    } = rule;
    let mut page = format!(
        "{id} {name} ({})\n\n{title}.\n\n{}\n",
        rule.level.name(),
        rule.why.trim()
    );
    match (rule.since, rule.until) {
        (Some(since), Some(until)) => {
            page.push_str(&format!("\nHolds from Istio {since} to before {until}.\n"))
        }
        (Some(since), None) => page.push_str(&format!("\nHolds from Istio {since}.\n")),
        (None, Some(until)) => page.push_str(&format!("\nHolds before Istio {until}.\n")),
        (None, None) => {}
    }
    for (heading, example) in [("Wrong", rule.wrong), ("Right", rule.right)] {
        if !example.is_empty() {
            page.push_str(&format!("\n{heading}:\n\n{}\n", indented(example)));
        }
    }
    if let Some(measured) = proof::measured(id) {
        page.push_str(&format!("\nProof:\n\n{}\n", indented(&measured)));
    }
    page
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|it| format!("    {it}").trim_end().to_owned())
        .collect();
    lines.join("\n")
}

//! Every rule's own two examples.
#![cfg(test)]

use faultline_check::check::{Options, check_texts};
use faultline_check::finding::Level;
use faultline_check::rules::RULES;

fn speaking(text: &str) -> Vec<(&'static str, Level, String)> {
    let report = check_texts([("rule.yaml", text)], &Options::default());
    assert_eq!(report.problems, [], "{text}");
    let loud = |it: &&faultline_check::finding::Finding| it.level > Level::Info;
    let findings = report.findings.iter().filter(loud);
    findings
        .map(|it| (it.rule, it.level, it.message.clone()))
        .collect()
}

#[test]
fn the_wrong_example_has_this_finding_and_no_other() {
    for rule in RULES {
        let found = speaking(rule.wrong);
        assert!(!found.is_empty(), "{}", rule.id);
        for (id, _, message) in found {
            assert_eq!(id, rule.id, "{message}");
        }
    }
}

#[test]
fn the_right_example_has_none() {
    for rule in RULES {
        assert_eq!(speaking(rule.right), [], "{}", rule.id);
    }
}

#[test]
fn a_rule_is_found_by_id_and_by_name() {
    for rule in RULES {
        for name in [rule.id, rule.name, &rule.id.to_lowercase()] {
            assert_eq!(
                faultline_check::rules::find(name).map(|it| it.id),
                Some(rule.id)
            );
        }
    }
}

#[test]
fn every_rule_shows_two_places_with_lines() {
    for rule in RULES {
        let report = check_texts([("rule.yaml", rule.wrong)], &Options::default());
        for finding in report.findings {
            assert!(finding.marks.len() >= 2, "{finding:#?}");
            for mark in &finding.marks {
                assert!(mark.place.span.line > 0, "{finding:#?}");
            }
        }
    }
}

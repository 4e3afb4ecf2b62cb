//! Findings that somebody has decided to live with: the annotation `faultline/ignore`.

use crate::finding::{Finding, Level, Mark, Subject};
use crate::model::{At, Place};
use crate::rules;

/// The annotation of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// The resource.
    pub resource: Subject,
    /// The text: a line for each rule, `A4: two replicas by intent`.
    pub text: At<String>,
}

/// A finding that is ignored, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Ignored {
    /// The finding.
    pub finding: Finding,
    /// The reason as written.
    pub reason: String,
}

/// One line of an annotation.
struct Entry<'a> {
    annotation: &'a Annotation,
    rule: String,
    reason: String,
    used: bool,
}

/// Takes out what is ignored, and reports what ignores nothing. `asked` tells whether a rule was asked at all.
pub(crate) fn apply(
    findings: &mut Vec<Finding>,
    annotations: &[Annotation],
    asked: impl Fn(&str) -> bool,
) -> Vec<Ignored> {
    let mut entries = Vec::new();
    let mut own = Vec::new();
    for annotation in annotations {
        for line in annotation.text.lines().filter(|it| !it.trim().is_empty()) {
            match parse(annotation, line) {
                Ok(mut found) => entries.append(&mut found),
                Err(message) => own.push(report(annotation, message)),
            }
        }
    }
    let mut ignored = Vec::new();
    for finding in std::mem::take(findings) {
        match entries.iter_mut().find(|it| it.covers(&finding)) {
            Some(entry) => {
                entry.used = true;
                let reason = entry.reason.clone();
                ignored.push(Ignored { finding, reason });
            }
            None => findings.push(finding),
        }
    }
    for entry in entries.iter().filter(|it| !it.used && asked(&it.rule)) {
        let message = format!("This ignores nothing: {} has no finding here", entry.rule);
        own.push(report(entry.annotation, message));
    }
    findings.append(&mut own);
    ignored
}

fn parse<'a>(annotation: &'a Annotation, line: &str) -> Result<Vec<Entry<'a>>, String> {
    let (ids, reason) = line.split_once(':').unwrap_or((line, ""));
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(format!(
            "This ignores nothing without a reason: write {}: and why",
            ids.trim()
        ));
    }
    let entry = |id: &str| match rules::find(id.trim()) {
        Some(rule) => Ok(Entry {
            annotation,
            rule: rule.id.to_owned(),
            reason: reason.to_owned(),
            used: false,
        }),
        None => Err(format!(
            "This ignores nothing: there is no rule {}",
            id.trim()
        )),
    };
    ids.split(',').map(entry).collect()
}

fn report(annotation: &Annotation, message: String) -> Finding {
    Finding {
        rule: rules::IGNORE.id,
        level: Level::Warning,
        message,
        marks: vec![Mark {
            place: annotation.text.place,
            label: "ignores nothing".to_owned(),
            resource: annotation.resource.clone(),
        }],
        fix: "Remove the line, or write RULE: reason".to_owned(),
    }
}

impl Entry<'_> {
    fn covers(&self, finding: &Finding) -> bool {
        let resource: Place = self.annotation.resource.place;
        let here = |mark: &Mark| mark.resource.place == resource;
        finding.rule == self.rule && finding.marks.iter().any(here)
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{Options, check_texts};
    use crate::finding::Level;

    fn with(annotation: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: r\n  annotations:\n    \
             faultline/ignore: {annotation}\nspec: {{hosts: [r], http: [{{retries: {{attempts: 3, perTryTimeout: 1s}}, route: \
             [{{destination: {{host: r}}}}]}}]}}\n"
        )
    }

    /// The rules that speak above `info`, and how many findings are ignored.
    fn found(annotation: &str) -> (Vec<&'static str>, usize) {
        let report = check_texts([("a.yaml", with(annotation).as_str())], &Options::default());
        assert_eq!(report.problems, []);
        let loud = report.findings.iter().filter(|it| it.level > Level::Info);
        let mut rules: Vec<_> = loud.map(|it| it.rule).collect();
        rules.sort_unstable();
        (rules, report.ignored.len())
    }

    #[test]
    fn a_finding_is_ignored_for_a_reason() {
        assert_eq!(found("\"A1: only connections are retried\""), (vec![], 1));
        assert_eq!(
            found("\"per-try-timeout-never-retried: by intent\""),
            (vec![], 1)
        );
        assert_eq!(found("|\n      a1: by intent\n"), (vec![], 1));
    }

    #[test]
    fn what_ignores_nothing_is_reported() {
        assert_eq!(found("A1"), (vec!["A1", "I1"], 0));
        assert_eq!(found("'A1: '"), (vec!["A1", "I1"], 0));
        assert_eq!(found("'A2: never'"), (vec!["A1", "I1"], 0));
        assert_eq!(found("'A99: never'"), (vec!["A1", "I1"], 0));
        assert_eq!(found("'A1,A2: both'"), (vec!["I1"], 1));
    }
}

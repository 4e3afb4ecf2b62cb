//! For the rules' own tests: resources as text, and whether a rule speaks.

use crate::check::{Options, check_texts};
use crate::finding::{Finding, Level};

/// A VirtualService with one route that says this, besides its destination.
pub(super) fn route(fields: &str) -> String {
    virtual_service(&format!(
        "http:\n  - route: [{{destination: {{host: reviews}}}}]\n    {fields}"
    ))
}

/// A VirtualService of the mesh for `reviews`.
pub(super) fn virtual_service(rest: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: reviews, namespace: shop}}\n\
         spec:\n  hosts: [reviews]\n  {rest}\n"
    )
}

/// Everything that is found, `info` included.
#[track_caller]
pub(super) fn findings(text: &str) -> Vec<Finding> {
    findings_with(text, &Options::default())
}

/// Everything that is found with these options.
#[track_caller]
pub(super) fn findings_with(text: &str, options: &Options) -> Vec<Finding> {
    let report = check_texts([("test.yaml", text)], options);
    assert_eq!(report.problems, [], "{text}");
    report.findings
}

/// The rule speaks, above `info`, once.
#[track_caller]
pub(super) fn fires(rule: &str, text: &str) -> Finding {
    let mut found = findings(text);
    found.retain(|it| it.rule == rule && it.level > Level::Info);
    assert_eq!(
        found.len(),
        1,
        "{rule} should speak once: {found:#?}\n{text}"
    );
    found.remove(0)
}

/// The rule says nothing above `info`.
#[track_caller]
pub(super) fn silent(rule: &str, text: &str) {
    let mut found = findings(text);
    found.retain(|it| it.rule == rule && it.level > Level::Info);
    assert!(
        found.is_empty(),
        "{rule} should be silent: {found:#?}\n{text}"
    );
}

//! The rules, each a file of its own.

mod a01_retry_on;
mod a02_delay_and_timeout;
mod a03_abort_and_retries;
mod a04_ejection;
mod a05_tries_that_fit;
mod a06_hidden_wildcard;
mod a07_hidden_route;
mod a08_order_by_age;
mod a09_other_namespace;
mod a10_server_mode_at_gateway;
mod a11_http_on_opaque_port;
mod a12_http_on_passthrough;
mod a13_port_settings_replace;
mod a14_second_destination_rule;
mod a15_container_port;
mod a16_hash_and_weights;
mod a17_hash_and_retries;
mod a18_mesh_only;
mod a19_unseen;
mod a20_preflight;
mod a21_gateway_protocols;
mod a22_weightless;
mod a23_source_conditions;
mod a24_delegate_conflict;
mod a25_path_rewrite;
mod a26_literal_star;
mod a27_unselected_subset;

use crate::finding::{Findings, Level};
use crate::mesh::Mesh;
use crate::version::Version;

/// A rule: what it is about, and how it judges.
pub struct Rule {
    /// `A1`.
    pub id: &'static str,
    /// A name in words: `per-try-timeout-never-retried`.
    pub name: &'static str,
    /// How much a finding matters, unless the finding says less.
    pub level: Level,
    /// One sentence that is true of every finding.
    pub title: &'static str,
    /// The first Istio that does so; none: as far back as is known.
    pub since: Option<Version>,
    /// The first Istio that no longer does so.
    pub until: Option<Version>,
    /// Why it is so, in Markdown.
    pub why: &'static str,
    /// Resources that have it.
    pub wrong: &'static str,
    /// The same without it.
    pub right: &'static str,
    /// Judges the input.
    pub check: fn(&Mesh<'_>, &mut Findings<'_>),
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl Rule {
    /// True where this Istio does so.
    #[must_use]
    pub fn holds_in(&self, version: Version) -> bool {
        self.since.is_none_or(|since| version >= since)
            && self.until.is_none_or(|until| version < until)
    }
}

// A19, A20, A21, A23, A24 and A27 are being written by a colleague on the branch wt/check2 (A22, A25, A26 came from there):
// merge it, do not write them twice. What is left for this branch: outputs, ignores, --explain, not-decided, --cluster, fuzz.
/// Every rule, in the order of their ids.
pub static RULES: &[Rule] = &[
    a01_retry_on::RULE,
    a02_delay_and_timeout::RULE,
    a03_abort_and_retries::RULE,
    a04_ejection::RULE,
    a05_tries_that_fit::RULE,
    a06_hidden_wildcard::RULE,
    a07_hidden_route::RULE,
    a08_order_by_age::RULE,
    a09_other_namespace::RULE,
    a10_server_mode_at_gateway::RULE,
    a11_http_on_opaque_port::RULE,
    a12_http_on_passthrough::RULE,
    a13_port_settings_replace::RULE,
    a14_second_destination_rule::RULE,
    a15_container_port::RULE,
    a16_hash_and_weights::RULE,
    a17_hash_and_retries::RULE,
    a18_mesh_only::RULE,
    a19_unseen::RULE,
    a20_preflight::RULE,
    a21_gateway_protocols::RULE,
    a22_weightless::RULE,
    a23_source_conditions::RULE,
    a24_delegate_conflict::RULE,
    a25_path_rewrite::RULE,
    a26_literal_star::RULE,
    a27_unselected_subset::RULE,
];

/// What ignores nothing is itself reported, under this id.
pub static IGNORE: Rule = Rule {
    id: "I1",
    name: "unused-ignore",
    level: Level::Warning,
    title: "An annotation faultline/ignore ignores nothing",
    since: None,
    until: None,
    why: "An ignore is kept for a finding that somebody has decided to live with. One without a reason, for a rule that \
          does not exist, or for a finding that is not there any more says something that is not so.",
    wrong: "",
    right: "",
    check: |_, _| {},
};

/// The rule of this id or name, case aside.
#[must_use]
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES
        .iter()
        .chain([&IGNORE])
        .find(|rule| rule.id.eq_ignore_ascii_case(id) || rule.name.eq_ignore_ascii_case(id))
}

/// The texts of a rule, which stand in a folder of its own.
macro_rules! texts {
    ($id:literal, $text:literal) => {
        include_str!(concat!("../../rules/", $id, "/", $text))
    };
}
use texts;

#[cfg(test)]
mod testing;

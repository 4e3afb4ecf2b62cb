//! The list of cases: for a terminal, and as a page of the documentation.

use std::fmt::Write as _;

use clap::ValueEnum;

use crate::case::{Case, Tier};

/// How cases are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Aligned lines: name, tier, feature, claim.
    #[default]
    Text,
    /// A Markdown page with a table for each tier.
    Markdown,
}

impl Listing {
    /// The cases, in their order.
    #[must_use]
    pub fn of(self, cases: &[Case]) -> String {
        match self {
            Self::Text => text(cases),
            Self::Markdown => markdown(cases),
        }
    }
}

fn text(cases: &[Case]) -> String {
    let width = |of: fn(&Case) -> usize| cases.iter().map(of).max().unwrap_or(0);
    let (names, features) = (
        width(|case| case.name.len()),
        width(|case| case.feature.len()),
    );
    let mut list = String::new();
    for case in cases {
        let (name, tier) = (case.name, case.tier.word());
        // writing to a string does not fail
        let _ = writeln!(
            list,
            "{name:names$}  {tier:5}  {:features$}  {}",
            case.feature, case.claim
        );
    }
    list
}

const HEAD: &str = "# Claims

Each claim about a deployed Faultline, and the case of the acceptance suite that proves it with real requests. This page is
the output of `faultline-e2e list --format markdown`; a test compares the two.

`./deploy.sh` runs the quick cases as its last step. `./test.sh --only cluster` runs all of them on a cluster of its own,
`target/deploy/faultline-e2e prove --gateway-url http://GATEWAY --only CASE` one of them on yours. What a case changes it puts
back, also after a failure or Ctrl-C.
";

fn markdown(cases: &[Case]) -> String {
    let mut page = HEAD.to_owned();
    for (tier, title) in [
        (Tier::Quick, "Quick: reads and ordinary requests"),
        (Tier::Full, "Full: changes the mesh and puts it back"),
    ] {
        let of_tier: Vec<_> = cases.iter().filter(|case| case.tier == tier).collect();
        let _ = write!(
            page,
            "\n## {title}\n\n{} cases.\n\n| feature | case | claim |\n| --- | --- | --- |\n",
            of_tier.len()
        );
        for case in of_tier {
            let claim = case.claim.replace('|', "\\|");
            let _ = writeln!(page, "| {} | `{}` | {claim} |", case.feature, case.name);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn the_page_of_the_documentation_is_the_list() {
        let page = include_str!("../../docs/claims.md");
        let list = Listing::Markdown.of(cases::ALL);
        assert!(
            page == list,
            "docs/claims.md is old: cargo run -p faultline-e2e -- list --format markdown >docs/claims.md"
        );
    }

    #[test]
    fn every_case_has_a_line() {
        let list = Listing::Text.of(cases::ALL);
        assert_eq!(list.lines().count(), cases::ALL.len());
    }
}

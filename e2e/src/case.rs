//! What a case is.

use std::pin::Pin;

use crate::environment::Environment;
use crate::unmet::Outcome;

/// What a case does to the deployment it looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Reads and ordinary requests only.
    Quick,
    /// Changes the mesh and puts it back.
    Full,
}

impl Tier {
    /// One word for a table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// The future of a running case.
pub type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One thing to prove.
#[derive(Clone, Debug)]
pub struct Case {
    /// The feature it belongs to: a row of the table of what must hold.
    pub feature: &'static str,
    /// Unique name, for `--only`.
    pub name: &'static str,
    /// What it does to the deployment.
    pub tier: Tier,
    /// What it proves, with the tolerance of each figure.
    pub claim: &'static str,
    /// The proof.
    pub run: for<'a> fn(&'a Environment) -> Running<'a>,
}

//! What a case is, and what can come of it.

use std::fmt;
use std::pin::Pin;

use crate::environment::Environment;

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

/// One line of measured figures, or why there is none.
pub type Outcome = Result<String, Unmet>;

/// Why a case did not pass.
#[derive(Debug)]
pub enum Unmet {
    /// The claim does not hold.
    Failed {
        /// What should have been seen.
        expected: String,
        /// What was seen.
        seen: String,
        /// What to look at next.
        look: String,
    },
    /// A precondition is honestly absent.
    Skipped(String),
    /// There is no such thing where the mesh runs; why.
    NotApplicable(&'static str),
    /// The suite could not look: a tool failed, nothing answered.
    Blind(anyhow::Error),
}

impl Unmet {
    /// A claim that does not hold.
    pub fn failed(
        expected: impl Into<String>,
        seen: impl Into<String>,
        look: impl Into<String>,
    ) -> Self {
        Self::Failed {
            expected: expected.into(),
            seen: seen.into(),
            look: look.into(),
        }
    }
}

impl From<anyhow::Error> for Unmet {
    fn from(error: anyhow::Error) -> Self {
        Self::Blind(error)
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed {
                expected,
                seen,
                look,
            } => {
                write!(f, "expected {expected}; seen: {seen}; look at {look}")
            }
            Self::Skipped(reason) => f.write_str(reason),
            Self::NotApplicable(reason) => f.write_str(reason),
            Self::Blind(error) => write!(f, "could not look: {error:#}"),
        }
    }
}

/// Fails unless `holds`.
///
/// # Errors
/// [`Unmet::Failed`] with the three texts.
pub fn expect(
    holds: bool,
    expected: impl Into<String>,
    seen: impl Into<String>,
    look: impl Into<String>,
) -> Result<(), Unmet> {
    if holds {
        Ok(())
    } else {
        Err(Unmet::failed(expected, seen, look))
    }
}

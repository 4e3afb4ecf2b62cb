//! What can come of a case.

use std::fmt;

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

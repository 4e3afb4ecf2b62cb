//! What rules say about the input.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Meta, Place};
use crate::rules::Rule;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// True, but the file cannot tell what was meant.
    Info,
    /// It does something else than it says, in a case that may be rare.
    Warning,
    /// It can never do what it says.
    Error,
}

impl Level {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place that takes part in a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The place.
    pub place: Place,
    /// What it says there, in a few words.
    pub label: String,
    /// The resource it belongs to.
    pub resource: Subject,
}

/// A resource, as far as findings need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Kind, namespace if said, and name.
    pub title: String,
    /// Where it starts: its identity.
    pub place: Place,
}

impl From<&Meta> for Subject {
    fn from(meta: &Meta) -> Self {
        Self {
            title: meta.title(),
            place: meta.place,
        }
    }
}

/// Something that does something else than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// How much it matters.
    pub level: Level,
    /// One sentence with the values of this input.
    pub message: String,
    /// Places, the one to change first.
    pub marks: Vec<Mark>,
    /// The smallest change that mends it.
    pub fix: String,
}

/// A finding in the making.
#[derive(Debug)]
#[must_use]
pub struct Draft {
    level: Option<Level>,
    message: String,
    marks: Vec<Mark>,
}

/// A finding that says this.
pub fn finding(message: impl Into<String>) -> Draft {
    Draft {
        level: None,
        message: message.into(),
        marks: Vec::new(),
    }
}

impl Draft {
    /// Adds a place; the first is the one to change.
    pub fn at(mut self, meta: &Meta, place: Place, label: impl Into<String>) -> Self {
        self.marks.push(Mark {
            place,
            label: label.into(),
            resource: meta.into(),
        });
        self
    }

    /// Lowers the rule's level for this one.
    pub const fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Puts it among the findings, with the smallest change that mends it.
    pub fn fix(self, findings: &mut Findings<'_>, fix: impl Into<String>) {
        findings.found.push(Finding {
            rule: findings.rule.id,
            level: self.level.unwrap_or(findings.rule.level),
            message: self.message,
            marks: self.marks,
            fix: fix.into(),
        });
    }
}

/// What one rule has found.
#[derive(Debug)]
pub struct Findings<'a> {
    rule: &'a Rule,
    pub(crate) found: Vec<Finding>,
    pub(crate) undecided: BTreeSet<String>,
}

impl<'a> Findings<'a> {
    pub(crate) const fn new(rule: &'a Rule) -> Self {
        Self {
            rule,
            found: Vec::new(),
            undecided: BTreeSet::new(),
        }
    }

    /// Notes what the rule needs and the input does not have.
    pub fn undecided(&mut self, lack: impl Into<String>) {
        let lack = lack.into();
        self.undecided
            .insert(format!("{} not decided: {lack}", self.rule.id));
    }
}

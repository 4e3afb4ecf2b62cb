//! A report in the forms that people and tools read.

mod human;

use std::io::{self, Write};

use clap::ValueEnum;

use crate::check::Report;
use crate::finding::Level;

/// A form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
}

/// What is shown, and how.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The least level that is shown.
    pub least: Level,
    /// Colours and bold type.
    pub style: Style,
    /// Everything, however long.
    pub detail: Detail,
}

/// Whether the reader is a terminal that shows colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    #[default]
    Plain,
    /// ANSI escapes.
    Coloured,
}

/// How much is said beside the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// A few lines of each.
    #[default]
    Short,
    /// All.
    Full,
}

/// Writes the report.
///
/// # Errors
/// When `to` cannot be written.
pub fn write(report: &Report, format: Format, shown: Shown, to: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Human => human::write(report, shown, to),
    }
}

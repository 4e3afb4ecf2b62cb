//! A report in the forms that people and tools read.

mod explain;
mod github;
mod human;
mod json;
mod junit;
mod sarif;

use std::io::{self, Write};

use clap::ValueEnum;

use crate::check::Report;
use crate::finding::{Finding, Level};
use crate::model::Place;

pub use explain::explain;

/// A form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: both places of a conflict with their lines
    #[default]
    Human,
    /// One object: findings, problems, what was not decided
    Json,
    /// SARIF 2.1.0, as code scanning takes it
    Sarif,
    /// Workflow commands, which GitHub shows beside the lines
    Github,
    /// JUnit's XML
    Junit,
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
        Format::Json => json::write(report, shown, to),
        Format::Sarif => sarif::write(report, shown, to),
        Format::Github => github::write(report, shown, to),
        Format::Junit => junit::write(report, shown, to),
    }
}

/// The findings that are shown.
fn visible(report: &Report, shown: Shown) -> impl Iterator<Item = &Finding> {
    report
        .findings
        .iter()
        .filter(move |it| it.level >= shown.least)
}

/// The name of a place's file.
fn file(report: &Report, place: Place) -> &str {
    let source = usize::try_from(place.file)
        .ok()
        .and_then(|it| report.sources.get(it));
    source.map_or("", |it| it.name.as_str())
}

/// The column behind the last one.
fn end_column(place: Place) -> u32 {
    place.span.column.saturating_add(place.span.width)
}

/// The page of a rule, where the build was told where the pages are.
fn help_uri(rule: &str) -> String {
    match option_env!("FAULTLINE_RULES_URL") {
        Some(base) => format!("{base}/{rule}.md"),
        None => format!("urn:faultline:rule:{rule}"),
    }
}

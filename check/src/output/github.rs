//! GitHub's workflow commands.

use std::io::{self, Write};

use super::{Shown, end_column, file, visible};
use crate::check::Report;
use crate::finding::Level;
use crate::model::Place;

pub(super) fn write(report: &Report, shown: Shown, to: &mut impl Write) -> io::Result<()> {
    for finding in visible(report, shown) {
        let command = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "notice",
        };
        let Some((first, others)) = finding.marks.split_first() else {
            continue;
        };
        let mut message = format!("{}\nfix: {}", finding.message, finding.fix);
        for mark in others {
            let (name, line) = (file(report, mark.place), mark.place.span.line);
            message.push_str(&format!("\n{name}:{line}: {}", mark.label));
        }
        let title = format!("{} {}", finding.rule, first.resource.title);
        line(report, command, first.place, &title, &message, to)?;
    }
    for problem in &report.problems {
        line(
            report,
            "error",
            problem.place,
            "could not check",
            &problem.reason,
            to,
        )?;
    }
    for undecided in &report.undecided {
        writeln!(to, "::debug::{}", data(undecided))?;
    }
    Ok(())
}

fn line(
    report: &Report,
    command: &str,
    place: Place,
    title: &str,
    message: &str,
    to: &mut impl Write,
) -> io::Result<()> {
    let (name, title) = (property(file(report, place)), property(title));
    let (line, column, end) = (
        place.span.line.max(1),
        place.span.column.max(1),
        end_column(place),
    );
    let message = data(message);
    writeln!(
        to,
        "::{command} file={name},line={line},col={column},endColumn={end},title={title}::{message}"
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

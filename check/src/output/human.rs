//! For people: both places of a conflict, each with its line and a caret.

use std::collections::HashMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Ansi};

use super::{Detail, Shown, Style, visible};
use crate::check::{Report, Source};
use crate::finding::{Finding, Level, Mark};
use crate::model::Place;

/// Lines about what could not be decided, before the rest is only counted.
const UNDECIDED: usize = 8;
/// The longest line that is shown whole.
const WIDTH: usize = 160;

pub(super) fn write(report: &Report, shown: Shown, to: &mut impl Write) -> io::Result<()> {
    let page = Page {
        report,
        style: shown.style,
        lines: lines(report),
    };
    for finding in visible(report, shown) {
        page.finding(finding, to)?;
    }
    for problem in &report.problems {
        let bold = page.colour(AnsiColor::Red);
        writeln!(to, "{bold}could not check{bold:#}: {}", problem.reason)?;
        page.place(problem.place, "", to)?;
        writeln!(to)?;
    }
    page.undecided(shown.detail, to)?;
    page.summary(shown.least, to)
}

struct Page<'a> {
    report: &'a Report,
    style: Style,
    lines: HashMap<u32, Vec<&'a str>>,
}

/// The lines of the files that have findings.
fn lines(report: &Report) -> HashMap<u32, Vec<&str>> {
    let mut lines = HashMap::new();
    for mark in report.findings.iter().flat_map(|it| &it.marks) {
        let file = mark.place.file;
        let source = usize::try_from(file)
            .ok()
            .and_then(|it| report.sources.get(it));
        if let Some(source) = source {
            lines
                .entry(file)
                .or_insert_with(|| source.text.lines().collect());
        }
    }
    lines
}

impl Page<'_> {
    fn colour(&self, colour: AnsiColor) -> Ansi {
        match self.style {
            Style::Plain => Ansi::new(),
            Style::Coloured => colour.on_default().bold(),
        }
    }

    fn dim(&self) -> Ansi {
        match self.style {
            Style::Plain => Ansi::new(),
            Style::Coloured => AnsiColor::Blue.on_default(),
        }
    }

    fn finding(&self, finding: &Finding, to: &mut impl Write) -> io::Result<()> {
        let colour = self.colour(match finding.level {
            Level::Error => AnsiColor::Red,
            Level::Warning => AnsiColor::Yellow,
            Level::Info => AnsiColor::Cyan,
        });
        let (level, rule) = (finding.level.name(), finding.rule);
        writeln!(to, "{colour}{level}[{rule}]{colour:#}: {}", finding.message)?;
        let margin = finding.marks.iter().map(|it| digits(it.place)).max();
        for (index, mark) in finding.marks.iter().enumerate() {
            let caret = if index == 0 { "^" } else { "-" };
            self.mark(mark, caret, margin.unwrap_or_default(), colour, to)?;
        }
        let pad = " ".repeat(margin.unwrap_or_default());
        let dim = self.dim();
        writeln!(to, "{pad} {dim}={dim:#} fix: {}\n", finding.fix)
    }

    fn mark(
        &self,
        mark: &Mark,
        caret: &str,
        margin: usize,
        colour: Ansi,
        to: &mut impl Write,
    ) -> io::Result<()> {
        let dim = self.dim();
        let pad = " ".repeat(margin);
        write!(to, "{pad}")?;
        self.place(mark.place, &mark.resource.title, to)?;
        let span = mark.place.span;
        let line = self.line(mark.place).map_or("", |line| line.trim_end());
        let start = usize::try_from(span.column)
            .unwrap_or_default()
            .saturating_sub(1);
        if line.is_empty() || start > WIDTH {
            return writeln!(to, "{pad} {dim}|{dim:#} {}", mark.label);
        }
        let visible: String = line.chars().take(WIDTH).map(printable).collect();
        let left = visible.chars().count().saturating_sub(start).max(1);
        let width = usize::try_from(span.width).unwrap_or(1).clamp(1, left);
        writeln!(to, "{pad} {dim}|{dim:#}")?;
        writeln!(to, "{dim}{:>margin$} |{dim:#} {visible}", span.line)?;
        let (blank, carets) = (" ".repeat(start), caret.repeat(width));
        let label = &mark.label;
        writeln!(
            to,
            "{pad} {dim}|{dim:#} {blank}{colour}{carets} {label}{colour:#}"
        )
    }

    fn place(&self, place: Place, title: &str, to: &mut impl Write) -> io::Result<()> {
        let dim = self.dim();
        let name = self.source(place).map_or("", |it| it.name.as_str());
        let gap = if title.is_empty() { "" } else { "  " };
        let span = place.span;
        match span.line {
            0 => writeln!(to, "{dim}-->{dim:#} {name}{gap}{title}"),
            line => writeln!(
                to,
                "{dim}-->{dim:#} {name}:{line}:{}{gap}{title}",
                span.column.max(1)
            ),
        }
    }

    fn source(&self, place: Place) -> Option<&Source> {
        self.report.sources.get(usize::try_from(place.file).ok()?)
    }

    fn line(&self, place: Place) -> Option<&str> {
        let before = usize::try_from(place.span.line).ok()?.checked_sub(1)?;
        self.lines.get(&place.file)?.get(before).copied()
    }

    fn undecided(&self, detail: Detail, to: &mut impl Write) -> io::Result<()> {
        let all = &self.report.undecided;
        let shown = match detail {
            Detail::Short => UNDECIDED,
            Detail::Full => all.len(),
        };
        for line in all.iter().take(shown).chain(&self.report.notes) {
            writeln!(to, "{line}")?;
        }
        if all.len() > shown {
            writeln!(to, "… and {} more (--all shows them)", all.len() - shown)?;
        }
        Ok(())
    }

    fn summary(&self, least: Level, to: &mut impl Write) -> io::Result<()> {
        let count = |level| {
            let levels = self.report.findings.iter().map(|it| it.level);
            levels.filter(|it| *it == level).count()
        };
        let mut parts = Vec::new();
        for (level, name) in [(Level::Error, "error"), (Level::Warning, "warning")] {
            let found = count(level);
            if found > 0 {
                parts.push(format!(
                    "{found} {name}{}",
                    if found == 1 { "" } else { "s" }
                ));
            }
        }
        let hints = count(Level::Info);
        if hints > 0 {
            let how = if least > Level::Info {
                " (--all shows them)"
            } else {
                ""
            };
            parts.push(format!("{hints} of level info{how}"));
        }
        if !self.report.ignored.is_empty() {
            parts.push(format!(
                "{} ignored by annotation",
                self.report.ignored.len()
            ));
        }
        if !self.report.problems.is_empty() {
            parts.push(format!(
                "{} could not be checked",
                self.report.problems.len()
            ));
        }
        if parts.is_empty() {
            parts.push("nothing found".to_owned());
        }
        let resources = self.report.resources;
        let s = if resources == 1 { "" } else { "s" };
        writeln!(to, "{resources} resource{s} checked: {}", parts.join(", "))
    }
}

/// A control character would move the caret, or the terminal.
fn printable(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}

fn digits(place: Place) -> usize {
    place
        .span
        .line
        .checked_ilog10()
        .map_or(1, |it| it as usize + 1)
}

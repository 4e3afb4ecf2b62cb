//! What the suite prints: a table for people, JSON for machines.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::Case;
use crate::prove::Selected;
use crate::unmet::{Outcome, Unmet};

/// Whether the output may carry colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Off,
    /// ANSI colours.
    On,
}

/// What a case came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Proved.
    Pass,
    /// Not so, or could not be looked at.
    Fail,
    /// A precondition is absent.
    Skipped,
    /// There is no such thing where the mesh runs.
    NotApplicable,
}

impl Verdict {
    /// The verdict of an outcome.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Ok(_) => Self::Pass,
            Err(Unmet::Skipped(_)) => Self::Skipped,
            Err(Unmet::NotApplicable(_)) => Self::NotApplicable,
            Err(Unmet::Failed { .. } | Unmet::Blind(_)) => Self::Fail,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skipped => "SKIPPED",
            Self::NotApplicable => "n/a",
        }
    }

    fn painted(self, colour: Colour) -> String {
        let word = format!("{:7}", self.word());
        let code = match (colour, self) {
            (Colour::Off, _) => return word,
            (Colour::On, Self::Pass) => 32,
            (Colour::On, Self::Fail) => 31,
            (Colour::On, Self::Skipped) => 33,
            (Colour::On, Self::NotApplicable) => 2,
        };
        format!("\x1b[{code}m{word}\x1b[0m")
    }
}

/// A finished case.
pub struct Row<'a> {
    /// The case.
    pub case: &'a Case,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// The widths of a table's first columns, known before the first case has run.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    feature: usize,
    name: usize,
    colour: Colour,
}

impl Columns {
    /// Wide enough for these cases.
    #[must_use]
    pub fn of(cases: &[&Case], colour: Colour) -> Self {
        let width = |of: fn(&Case) -> &str| cases.iter().map(|case| of(case).chars().count()).max();
        Self {
            feature: width(|case| case.feature).unwrap_or(0).max("feature".len()),
            name: width(|case| case.name).unwrap_or(0).max("case".len()),
            colour,
        }
    }

    /// The table's first line.
    #[must_use]
    pub fn head(&self) -> String {
        self.line("feature", "case", "", "time", "seen")
    }

    /// A finished case: one line, and three more for one that failed.
    #[must_use]
    pub fn row(&self, row: &Row<'_>) -> String {
        let verdict = Verdict::of(&row.outcome).painted(self.colour);
        let time = format!("{:.1} s", row.took.as_secs_f64());
        let (seen, more) = match &row.outcome {
            Ok(seen) => (seen.clone(), String::new()),
            Err(Unmet::Failed {
                expected,
                seen,
                look,
            }) => {
                let mut more = String::new();
                for (label, text) in [("expected", expected), ("look at", look)] {
                    let _infallible = write!(more, "\n    {label:8}  {}", text.trim());
                }
                (seen.trim().to_owned(), more)
            }
            Err(unmet) => (unmet.to_string(), String::new()),
        };
        self.line(row.case.feature, row.case.name, &verdict, &time, &seen) + &more
    }

    fn line(&self, feature: &str, name: &str, verdict: &str, time: &str, seen: &str) -> String {
        let Self {
            feature: f,
            name: n,
            ..
        } = *self;
        format!("{feature:f$}  {name:n$}  {verdict:7}  {time:>7}  {seen}")
    }
}

/// The sum of a run: the cases that were proved, and those that were not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// One line: `21 of 24 quick cases proved by real requests: 1 FAIL, 2 n/a`.
    pub head: String,
    /// A line for each reason: `n/a      injection, analyze: no cluster`.
    pub unproved: Vec<String>,
}

/// Sums up a run of these cases, of which the last may not have been run.
#[must_use]
pub fn total(selected: &Selected<'_>, rows: &[Row<'_>]) -> Total {
    let (proved, all) = (of(rows, Verdict::Pass).count(), selected.cases.len());
    let (mut counts, mut unproved) = (Vec::new(), Vec::new());
    for verdict in [Verdict::Fail, Verdict::Skipped, Verdict::NotApplicable] {
        let count = of(rows, verdict).count();
        if count > 0 {
            counts.push(format!("{count} {}", verdict.word()));
            unproved.extend(reasons(rows, verdict));
        }
    }
    let not_run: Vec<&str> = selected
        .cases
        .iter()
        .skip(rows.len())
        .map(|case| case.name)
        .collect();
    if !not_run.is_empty() {
        counts.push(format!("{} not run", not_run.len()));
        unproved.push(format!("{:7}  {}", "not run", not_run.join(", ")));
    }
    let (kind, left_out) = match selected.left_out {
        0 => ("", String::new()),
        more => (
            "quick ",
            format!("; {more} more change the mesh, and --quick leaves them out"),
        ),
    };
    let head = if counts.is_empty() {
        format!("all {all} {kind}cases proved by real requests{left_out}")
    } else {
        let counts = counts.join(", ");
        format!("{proved} of {all} {kind}cases proved by real requests: {counts}{left_out}")
    };
    Total { head, unproved }
}

fn of<'a>(rows: &'a [Row<'a>], verdict: Verdict) -> impl Iterator<Item = &'a Row<'a>> {
    rows.iter()
        .filter(move |row| Verdict::of(&row.outcome) == verdict)
}

/// The cases with this verdict, those of one reason in one line.
fn reasons(rows: &[Row<'_>], verdict: Verdict) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for row in of(rows, verdict) {
        let reason = match &row.outcome {
            Err(unmet @ (Unmet::Skipped(_) | Unmet::NotApplicable(_))) => format!(": {unmet}"),
            // what was expected and seen stands in its row
            _ => String::new(),
        };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(row.case.name),
            None => reasons.push((reason, vec![row.case.name])),
        }
    }
    let line = |(reason, names): (String, Vec<&str>)| {
        format!("{:7}  {}{reason}", verdict.word(), names.join(", "))
    };
    reasons.into_iter().map(line).collect()
}

/// Everything, for machines.
#[must_use]
pub fn json(rows: &[Row<'_>], took: Duration) -> Value {
    let cases: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut object = json!({
                "feature": row.case.feature,
                "case": row.case.name,
                "claim": row.case.claim,
                "tier": row.case.tier.word(),
                "verdict": Verdict::of(&row.outcome).word().to_lowercase(),
                "seconds": seconds(row.took),
            });
            let more = match &row.outcome {
                Ok(seen) => json!({"seen": seen}),
                Err(Unmet::Failed {
                    expected,
                    seen,
                    look,
                }) => {
                    json!({"expected": expected, "seen": seen, "look": look})
                }
                Err(unmet) => json!({"reason": unmet.to_string()}),
            };
            if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
                object.extend(more);
            }
            object
        })
        .collect();
    let proved = of(rows, Verdict::Pass).count();
    json!({"seconds": seconds(took), "proved": proved, "cases": cases})
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Tier;

    const CASE: Case = Case {
        feature: "timeout",
        name: "timeout-get",
        tier: Tier::Quick,
        claim: "c",
        run: |_| Box::pin(async { Ok(String::new()) }),
    };

    fn row(outcome: Outcome) -> Row<'static> {
        Row {
            case: &CASE,
            outcome,
            took: Duration::from_millis(1234),
        }
    }

    #[test]
    fn columns_line_up() {
        let columns = Columns::of(&[&CASE], Colour::Off);
        let head = columns.head();
        let pass = columns.row(&row(Ok("504 after 1001 ms".to_owned())));
        assert_eq!(head.find("seen"), pass.find("504"));
        assert_eq!(
            pass,
            "timeout  timeout-get  pass       1.2 s  504 after 1001 ms"
        );
        let skipped = columns.row(&row(Err(Unmet::Skipped("no tool".to_owned()))));
        assert_eq!(head.find("seen"), skipped.find("no tool"));
    }

    #[test]
    fn a_failure_says_expected_seen_and_where_to_look() {
        let text = Columns::of(&[&CASE], Colour::On).row(&row(Err(Unmet::failed("a", "b", "c"))));
        assert!(text.contains("\x1b[31mFAIL"), "{text}");
        assert!(
            text.contains("  b\n    expected  a\n    look at   c"),
            "{text}"
        );
    }

    fn selected(count: usize, left_out: usize) -> Selected<'static> {
        Selected {
            cases: vec![&CASE; count],
            left_out,
        }
    }

    #[test]
    fn totals_name_what_was_not_proved_and_why() {
        let rows = [
            row(Ok(String::new())),
            row(Err(Unmet::failed("a", "b", "c"))),
            row(Err(Unmet::Blind(anyhow::anyhow!("x")))),
            row(Err(Unmet::Skipped("no labels".to_owned()))),
            row(Err(Unmet::NotApplicable("no cluster"))),
            row(Err(Unmet::NotApplicable("no registry"))),
            row(Err(Unmet::NotApplicable("no cluster"))),
        ];
        let Total { head, unproved } = total(&selected(8, 0), &rows);
        assert_eq!(
            head,
            "1 of 8 cases proved by real requests: 2 FAIL, 1 SKIPPED, 3 n/a, 1 not run"
        );
        assert_eq!(
            unproved,
            [
                "FAIL     timeout-get, timeout-get",
                "SKIPPED  timeout-get: no labels",
                "n/a      timeout-get, timeout-get: no cluster",
                "n/a      timeout-get: no registry",
                "not run  timeout-get",
            ]
        );
        let json = json(&rows, Duration::from_secs(2));
        assert_eq!(json["cases"][1]["expected"], "a");
        assert_eq!(json["cases"][2]["verdict"], "fail");
        assert_eq!(json["cases"][0]["seconds"], 1.234);
        assert_eq!(json["proved"], 1);
    }

    #[test]
    fn all_is_said_only_of_all() {
        let proved = [row(Ok(String::new())), row(Ok(String::new()))];
        let head = |selected| total(&selected, &proved).head;
        assert_eq!(head(selected(2, 0)), "all 2 cases proved by real requests");
        assert_eq!(
            head(selected(2, 13)),
            "all 2 quick cases proved by real requests; 13 more change the mesh, and --quick leaves them out"
        );
        assert!(head(selected(3, 0)).starts_with("2 of 3 cases"));
    }
}

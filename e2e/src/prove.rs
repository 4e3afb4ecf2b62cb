//! Runs cases one after another and always leaves the deployment as it was.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::case::{Case, Tier};
use crate::environment::Environment;
use crate::report::{self, Colour, Columns, Row, Verdict};

/// Which cases to run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The most that may be done to the deployment; everything where absent.
    pub tier: Option<Tier>,
    /// Names of cases or features; all where empty.
    pub only: Vec<String>,
}

/// How to show what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table, line by line as cases finish.
    Table(Colour),
    /// One JSON document at the end.
    Json,
}

/// The cases of a selection, in their order.
///
/// # Errors
/// When `only` names something that does not exist, or nothing is left.
pub fn select<'a>(cases: &'a [Case], selection: &Selection) -> Result<Vec<&'a Case>> {
    let named = |case: &Case, name: &str| case.name == name || case.feature == name;
    for name in &selection.only {
        if !cases.iter().any(|case| named(case, name)) {
            bail!(
                "--only {name}: there is no such case or feature; `faultline-e2e list` shows them"
            );
        }
    }
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|case| selection.tier != Some(Tier::Quick) || case.tier == Tier::Quick)
        .filter(|case| {
            selection.only.is_empty() || selection.only.iter().any(|name| named(case, name))
        })
        .collect();
    if chosen.is_empty() {
        bail!("--quick leaves none of the cases of --only: they change the mesh");
    }
    Ok(chosen)
}

/// Runs cases, prints what they saw, and says whether all of them hold. When `interrupted` resolves, the
/// running case is dropped, the deployment put back, and the rest not run.
///
/// # Errors
/// When the output cannot be written, the run was interrupted, or the deployment could not be put back.
pub async fn prove(
    cases: &[&Case],
    environment: &Environment,
    format: Format,
    out: &mut impl Write,
    interrupted: impl Future<Output = ()>,
) -> Result<bool> {
    let start = Instant::now();
    let mut rows: Vec<Row<'_>> = Vec::new();
    let finished = tokio::select! {
        finished = run(cases, environment, format, out, &mut rows) => finished,
        () = interrupted => Err(anyhow::anyhow!("interrupted; the deployment was put back")),
    };
    let restored = environment.mesh.restore().await;
    let left = environment.mesh.leave().await;
    match format {
        Format::Table(_) => writeln!(out, "\n{}", report::total(&rows, start.elapsed())),
        Format::Json => writeln!(out, "{:#}", report::json(&rows, start.elapsed())),
    }
    .context("writing the report")?;
    restored.and(left).and(finished)?;
    Ok(rows
        .iter()
        .all(|row| Verdict::of(&row.outcome) != Verdict::Fail))
}

async fn run<'a>(
    cases: &[&'a Case],
    environment: &Environment,
    format: Format,
    out: &mut impl Write,
    rows: &mut Vec<Row<'a>>,
) -> Result<()> {
    let columns = match format {
        Format::Table(colour) => Some(Columns::of(cases, colour)),
        Format::Json => None,
    };
    if let Some(columns) = columns {
        writeln!(out, "{}", columns.head()).context("writing the report")?;
    }
    for case in cases {
        let start = Instant::now();
        let outcome = (case.run)(environment).await;
        // whatever a case that failed halfway has left changed
        environment.mesh.restore().await?;
        let row = Row {
            case,
            outcome,
            took: start.elapsed(),
        };
        if let Some(columns) = columns {
            writeln!(out, "{}", columns.row(&row)).context("writing the report")?;
        }
        rows.push(row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Running;
    use crate::cases;
    use crate::cluster::{Cluster, Names};
    use crate::environment::Mesh;
    use crate::gateway::Gateway;
    use crate::unmet::Unmet;
    use std::future::pending;
    use std::time::Duration;

    const fn case(name: &'static str, run: for<'a> fn(&'a Environment) -> Running<'a>) -> Case {
        Case {
            feature: "f",
            name,
            tier: Tier::Quick,
            claim: "c",
            run,
        }
    }
    const GOOD: Case = case("good", |_| Box::pin(async { Ok("7 of 7".to_owned()) }));
    const BAD: Case = case("bad", |_| {
        Box::pin(async { Err(Unmet::failed("a", "b", "c")) })
    });
    const ENDLESS: Case = case("endless", |_| Box::pin(std::future::pending()));

    /// A deployment of which these cases touch nothing.
    fn nowhere() -> Environment {
        Environment {
            gateway: Gateway::new("http://127.0.0.1:1").unwrap(),
            mesh: Mesh::Cluster(Cluster::new(Names {
                namespace: "n".to_owned(),
                gateway_namespace: "g".to_owned(),
                probe_image: None,
            })),
            deploy_script: None,
        }
    }

    #[tokio::test]
    async fn one_failure_is_a_failure_and_the_rest_still_runs() {
        let mut out = Vec::new();
        let format = Format::Table(Colour::Off);
        let cases = [&BAD, &GOOD];
        let held = prove(&cases, &nowhere(), format, &mut out, pending()).await;
        assert!(!held.unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("good  pass"), "{text}");
        assert!(text.ends_with("1 passed, 1 failed in 0 s\n"), "{text}");
    }

    #[tokio::test]
    async fn json_is_one_document() {
        let mut out = Vec::new();
        let held = prove(&[&GOOD], &nowhere(), Format::Json, &mut out, pending()).await;
        assert!(held.unwrap());
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["cases"][0]["seen"], "7 of 7");
    }

    #[tokio::test]
    async fn an_interrupted_run_reports_what_it_has_and_is_an_error() {
        let mut out = Vec::new();
        let interrupted = async { tokio::time::sleep(Duration::from_millis(20)).await };
        let format = Format::Table(Colour::Off);
        let cases = [&GOOD, &ENDLESS];
        let held = prove(&cases, &nowhere(), format, &mut out, interrupted).await;
        assert!(held.unwrap_err().to_string().contains("interrupted"));
        assert!(String::from_utf8(out).unwrap().contains("1 passed"));
    }

    fn names(selection: &Selection) -> Result<Vec<&'static str>> {
        Ok(select(cases::ALL, selection)?
            .iter()
            .map(|case| case.name)
            .collect())
    }

    #[test]
    fn names_are_unique() {
        let mut all = names(&Selection::default()).unwrap();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn quick_leaves_out_what_changes_the_mesh() {
        let quick = Selection {
            tier: Some(Tier::Quick),
            only: Vec::new(),
        };
        let chosen = select(cases::ALL, &quick).unwrap();
        assert!(chosen.iter().all(|case| case.tier == Tier::Quick));
        assert!(chosen.len() < cases::ALL.len());
    }

    #[test]
    fn only_takes_cases_and_features_and_refuses_others() {
        let only = |name: &str| Selection {
            tier: None,
            only: vec![name.to_owned()],
        };
        assert_eq!(names(&only("delay-felt")).unwrap(), ["delay-felt"]);
        assert!(names(&only("timeout")).unwrap().len() >= 2);
        assert!(
            names(&only("nonsense"))
                .unwrap_err()
                .to_string()
                .contains("list")
        );
        let none = Selection {
            tier: Some(Tier::Quick),
            ..only("nothing-lost")
        };
        assert!(names(&none).is_err());
    }
}

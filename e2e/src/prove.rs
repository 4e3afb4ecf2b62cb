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

/// The cases to run.
#[derive(Clone, Debug)]
pub struct Selected<'a> {
    /// In their order.
    pub cases: Vec<&'a Case>,
    /// The number of further ones that change the mesh, which was not allowed.
    pub left_out: usize,
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
pub fn select<'a>(cases: &'a [Case], selection: &Selection) -> Result<Selected<'a>> {
    let named = |case: &Case, name: &str| case.name == name || case.feature == name;
    for name in &selection.only {
        if !cases.iter().any(|case| named(case, name)) {
            bail!(
                "--only {name}: there is no such case or feature; `faultline-e2e list` shows them"
            );
        }
    }
    let wanted = |case: &&Case| {
        selection.only.is_empty() || selection.only.iter().any(|name| named(case, name))
    };
    let allowed = |case: &&Case| selection.tier != Some(Tier::Quick) || case.tier == Tier::Quick;
    let (chosen, rest): (Vec<&Case>, Vec<&Case>) = cases.iter().filter(wanted).partition(allowed);
    if chosen.is_empty() {
        bail!("--quick leaves none of the cases of --only: they change the mesh");
    }
    Ok(Selected {
        cases: chosen,
        left_out: rest.len(),
    })
}

/// Runs cases, prints what they saw, and says how many of them hold. When `interrupted` resolves, the
/// running case is dropped, the deployment put back, and the rest not run.
///
/// # Errors
/// When the output cannot be written, the run was interrupted, or the deployment could not be put back.
pub async fn prove(
    selected: &Selected<'_>,
    environment: &Environment,
    format: Format,
    out: &mut impl Write,
    interrupted: impl Future<Output = ()>,
) -> Result<Proof> {
    let start = Instant::now();
    let mut rows: Vec<Row<'_>> = Vec::new();
    let finished = tokio::select! {
        finished = run(&selected.cases, environment, format, out, &mut rows) => finished,
        () = interrupted => Err(anyhow::anyhow!("interrupted; the deployment was put back")),
    };
    let restored = environment.mesh.restore().await;
    let left = environment.mesh.leave().await;
    let took = start.elapsed();
    let total = report::total(selected, &rows);
    match format {
        Format::Table(_) => {
            let lines = total.unproved.iter().map(|line| format!("\n  {line}"));
            let (head, lines) = (&total.head, lines.collect::<String>());
            writeln!(out, "\n{head} ({:.0} s){lines}", took.as_secs_f64())
        }
        Format::Json => writeln!(out, "{:#}", report::json(&rows, took)),
    }
    .context("writing the report")?;
    restored.and(left).and(finished)?;
    let failed = |row: &Row<'_>| Verdict::of(&row.outcome) == Verdict::Fail;
    Ok(Proof {
        holds: !rows.iter().any(failed),
        summary: total.head,
    })
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// True when no case failed.
    pub holds: bool,
    /// The cases proved and all of them, as numbers, in one line.
    pub summary: String,
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
    use std::collections::BTreeMap;
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

    fn only(cases: &[&'static Case]) -> Selected<'static> {
        Selected {
            cases: cases.to_vec(),
            left_out: 0,
        }
    }

    /// A deployment of which these cases touch nothing.
    fn nowhere() -> Environment {
        Environment {
            gateway: Gateway::new("http://127.0.0.1:1", None).unwrap(),
            mesh: Mesh::Cluster(Cluster::new(Names {
                namespace: "n".to_owned(),
                gateway_namespace: "g".to_owned(),
                gateway_labels: BTreeMap::new(),
                host: None,
                probe_image: None,
                module_image: None,
                pull_secret: None,
            })),
            deploy_script: None,
        }
    }

    #[tokio::test]
    async fn one_failure_is_a_failure_and_the_rest_still_runs() {
        let mut out = Vec::new();
        let format = Format::Table(Colour::Off);
        let cases = only(&[&BAD, &GOOD]);
        let proof = prove(&cases, &nowhere(), format, &mut out, pending()).await;
        let proof = proof.unwrap();
        assert!(!proof.holds);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("good  pass"), "{text}");
        let end = "1 of 2 cases proved by real requests: 1 FAIL (0 s)\n  FAIL     bad\n";
        assert!(text.ends_with(end), "{text}");
        assert!(text.contains(&proof.summary), "{text}");
    }

    #[tokio::test]
    async fn json_is_one_document() {
        let mut out = Vec::new();
        let cases = only(&[&GOOD]);
        let proof = prove(&cases, &nowhere(), Format::Json, &mut out, pending()).await;
        assert!(proof.unwrap().holds);
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["cases"][0]["seen"], "7 of 7");
    }

    #[tokio::test]
    async fn an_interrupted_run_reports_what_it_has_and_is_an_error() {
        let mut out = Vec::new();
        let interrupted = async { tokio::time::sleep(Duration::from_millis(20)).await };
        let format = Format::Table(Colour::Off);
        let cases = only(&[&GOOD, &ENDLESS]);
        let proof = prove(&cases, &nowhere(), format, &mut out, interrupted).await;
        assert!(proof.unwrap_err().to_string().contains("interrupted"));
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("1 of 2 cases") && text.contains("not run  endless"),
            "{text}"
        );
    }

    fn names(selection: &Selection) -> Result<Vec<&'static str>> {
        Ok(select(cases::ALL, selection)?
            .cases
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
        assert!(chosen.cases.iter().all(|case| case.tier == Tier::Quick));
        assert!(chosen.left_out > 0);
        assert_eq!(chosen.cases.len() + chosen.left_out, cases::ALL.len());
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

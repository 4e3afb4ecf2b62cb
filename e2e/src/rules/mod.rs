//! The rules of `faultline check`, proved: both examples of each on the cluster, and what requests are answered with.
//!
//! What an example says is applied as it is written. Put in are only the namespaces, the value of the label that
//! chooses a gateway (so that no other gateway takes it), and the image, arguments and probes of its workloads
//! (`plan`). Each example has namespaces of its own, made for it, so that nothing of an earlier one is in force.

mod asking;
mod names;
mod place;
mod plan;
mod workloads;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use faultline_check::proof::{Measured, Proof, Results, Side, documents, judge, line, page};

use crate::cluster::Kubectl;
use place::Place;
use plan::Plan;

/// Apply both examples of each rule of `faultline check`, make its requests, and judge the answers. Exit code 1 when
/// one is not as the rule's proof.yaml says.
///
/// For a test cluster with Istio. Everything stands in namespaces of its own, which are removed at the end, also
/// after a failure or Ctrl-C.
#[derive(Args, Clone, Debug)]
pub struct Rules {
    /// Only this rule; may be given again.
    #[arg(long, value_name = "RULE")]
    only: Vec<String>,
    /// The folder of the rules, each in one of its own.
    #[arg(long, value_name = "FOLDER", default_value = "check/rules")]
    folder: PathBuf,
    /// The image of this program [default: the one deploy.sh pushed].
    #[arg(long, env = "FAULTLINE_PROBE_IMAGE", value_name = "REF")]
    probe_image: Option<String>,
    /// The deployment whose image it is.
    #[arg(
        long,
        env = "FAULTLINE_NAMESPACE",
        value_name = "NS",
        default_value = "faultline"
    )]
    namespace: String,
    /// The label by which this Istio injects its proxy.
    #[arg(
        long,
        value_name = "LABEL=VALUE",
        default_value = "istio-injection=enabled"
    )]
    injection: String,
    /// Write what was seen of the rules that hold into the folder's results.json and README.md.
    #[arg(long)]
    write: bool,
    /// Leave the namespaces of a rule that does not hold, to look at.
    #[arg(long)]
    keep: bool,
}

/// A rule's files.
struct Files {
    id: String,
    proof: Proof,
    wrong: Vec<serde_json::Value>,
    right: Vec<serde_json::Value>,
}

/// Proves the rules; true when all hold.
///
/// # Errors
/// When a file cannot be read, the cluster does not answer, or the run was interrupted.
pub async fn run(
    options: &Rules,
    out: &mut impl Write,
    interrupted: impl Future<Output = ()>,
) -> Result<bool> {
    let rules = read(options)?;
    place::clear().await?;
    let finished = tokio::select! {
        finished = prove(options, &rules, out) => finished,
        () = interrupted => Err(anyhow::anyhow!("interrupted; the namespaces were removed")),
    };
    match (&finished, options.keep) {
        (Ok(false), true) => {}
        _ => place::clear().await?,
    }
    finished
}

async fn prove(options: &Rules, rules: &[Files], out: &mut impl Write) -> Result<bool> {
    let image = match &options.probe_image {
        Some(image) => image.clone(),
        None => place::noted_image(&options.namespace).await?,
    };
    let mut held = 0;
    for rule in rules {
        let start = Instant::now();
        let outcome = prove_one(options, rule, &image).await;
        let took = start.elapsed().as_secs();
        let id = &rule.id;
        match outcome {
            Ok((measured, wrong)) => {
                let verdict = if wrong.is_empty() { "proved" } else { "FAILED" };
                writeln!(out, "{id:<4} {verdict}  {took} s  {}", rule.proof.about)?;
                for request in &rule.proof.requests {
                    for side in Side::BOTH {
                        let seen = measured.with(side).get(&request.name);
                        let seen = seen.map(|seen| line(request.expected(side), seen));
                        let seen = seen.unwrap_or_default();
                        writeln!(out, "       {}  {}: {seen}", side.name(), request.name)?;
                    }
                }
                for sentence in &wrong {
                    writeln!(out, "       not as expected: {sentence}")?;
                }
                if wrong.is_empty() {
                    held += 1;
                    if options.write {
                        keep(options, id, measured)?;
                    }
                }
            }
            Err(error) => writeln!(out, "{id:<4} FAILED  {took} s  could not look: {error:#}")?,
        }
        out.flush()?;
    }
    writeln!(out, "{held} of {} rules proved", rules.len())?;
    Ok(held == rules.len())
}

/// What was seen, and what of it is not as expected.
async fn prove_one(options: &Rules, rule: &Files, image: &str) -> Result<(Measured, Vec<String>)> {
    let plan = |side| {
        let example = match side {
            Side::Wrong => &rule.wrong,
            Side::Right => &rule.right,
        };
        Plan::of(&rule.id, side, &rule.proof, example, image)
            .with_context(|| format!("{}.yaml", side.name()))
    };
    let (wrong, right) = (plan(Side::Wrong)?, plan(Side::Right)?);
    let (wrong, right) = tokio::try_join!(
        Place::make(&wrong, &rule.proof, &options.injection),
        Place::make(&right, &rule.proof, &options.injection),
    )?;
    let mut unmet = Vec::new();
    let mut seen = BTreeMap::new();
    for (side, place) in [(Side::Wrong, &wrong), (Side::Right, &right)] {
        let mut of_side = BTreeMap::new();
        for request in &rule.proof.requests {
            let answered = place.ask(request).await?;
            let wrong = judge(request.expected(side), &answered).into_iter();
            unmet.extend(wrong.map(|it| format!("{}, {}: {it}", side.name(), request.name)));
            of_side.insert(request.name.clone(), answered);
        }
        seen.insert(side.name(), of_side);
    }
    let measured = Measured {
        date: jiff::Zoned::now().date().to_string(),
        versions: right.versions().await?,
        wrong: seen.remove(Side::Wrong.name()).unwrap_or_default(),
        right: seen.remove(Side::Right.name()).unwrap_or_default(),
    };
    if unmet.is_empty() || !options.keep {
        wrong.remove().await?;
        right.remove().await?;
    }
    Ok((measured, unmet))
}

/// The rules of the folder that have a proof, in the order of their numbers.
fn read(options: &Rules) -> Result<Vec<Files>> {
    let folder = &options.folder;
    let mut found = Vec::new();
    let listed = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in listed {
        let path = entry?.path();
        let id = path.file_name().unwrap_or_default().to_string_lossy();
        if path.join("proof.yaml").exists() {
            found.push(id.into_owned());
        }
    }
    found.sort_by_key(|id| (id.len(), id.clone()));
    for id in &options.only {
        if !found.iter().any(|it| it.eq_ignore_ascii_case(id)) {
            bail!(
                "--only {id}: {} has no such rule with a proof.yaml",
                folder.display()
            );
        }
    }
    let wanted = |id: &String| {
        options.only.is_empty() || options.only.iter().any(|it| it.eq_ignore_ascii_case(id))
    };
    let wanted = found.into_iter().filter(wanted);
    wanted.map(|id| files(&folder.join(&id), id)).collect()
}

fn files(folder: &Path, id: String) -> Result<Files> {
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let example = |name: &str| {
        let path = folder.join(name).display().to_string();
        documents(&text(name)?).with_context(|| path)
    };
    let proof = Proof::read(&text("proof.yaml")?);
    Ok(Files {
        proof: proof.with_context(|| format!("{}/proof.yaml", folder.display()))?,
        wrong: example("wrong.yaml")?,
        right: example("right.yaml")?,
        id,
    })
}

/// Writes what one rule has seen among what others have.
fn keep(options: &Rules, id: &str, measured: Measured) -> Result<()> {
    let path = options.folder.join("results.json");
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(shown)?;
    let mut results: Results = serde_json::from_str(&text).with_context(shown)?;
    results.insert(id.to_owned(), measured);
    std::fs::write(&path, format!("{:#}\n", serde_json::to_value(&results)?))
        .with_context(shown)?;
    let every = Rules {
        only: Vec::new(),
        ..options.clone()
    };
    let rules = read(&every)?;
    let rules: Vec<_> = rules.iter().map(|it| (&*it.id, it.proof.clone())).collect();
    let path = options.folder.join("README.md");
    std::fs::write(&path, page(&rules, &results)).with_context(|| path.display().to_string())
}

/// kubectl, as everywhere in the suite.
const KUBECTL: Kubectl = Kubectl;

#[cfg(test)]
mod tests {
    use super::plan::text;
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        rules: Rules,
    }

    fn options(more: &[&str]) -> Rules {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../check/rules");
        Cli::parse_from([&["x", "--folder", folder], more].concat()).rules
    }

    #[test]
    fn each_rule_is_planned_in_namespaces_of_its_own_with_the_suites_image() {
        let rules = read(&options(&[])).unwrap();
        assert!(rules.len() > 20, "{}", rules.len());
        for rule in &rules {
            for (side, example) in [(Side::Wrong, &rule.wrong), (Side::Right, &rule.right)] {
                let plan = Plan::of(&rule.id, side, &rule.proof, example, "IMAGE");
                let plan = plan.unwrap_or_else(|error| panic!("{}: {error:#}", rule.id));
                let start = format!("faultline-rule-{}-{}", rule.id.to_lowercase(), side.name());
                for namespace in &plan.namespaces {
                    assert!(
                        namespace.starts_with(&start) && namespace.len() < 64,
                        "{namespace}"
                    );
                }
                for resource in &plan.resources {
                    let namespace = text(resource, "/metadata/namespace");
                    assert!(plan.namespaces.contains(namespace), "{resource}");
                    for pod in ["/spec/template/spec", "/spec"] {
                        let image = text(resource, &format!("{pod}/containers/0/image"));
                        assert!(["", "IMAGE", "auto"].contains(&image), "{resource}");
                    }
                }
                assert!(plan.pods > 1, "{}", rule.id);
            }
        }
    }

    #[test]
    fn examples_are_applied_as_they_are_written() {
        let rules = read(&options(&["--only", "a1"])).unwrap();
        let [rule] = &rules[..] else {
            panic!("{}", rules.len())
        };
        let plan = Plan::of(&rule.id, Side::Wrong, &rule.proof, &rule.wrong, "IMAGE").unwrap();
        let specs: Vec<_> = plan.resources.iter().map(|it| it.get("spec")).collect();
        for written in &rule.wrong {
            assert!(specs.contains(&written.get("spec")), "{written}");
        }
    }

    #[test]
    fn a_rule_without_a_proof_cannot_be_chosen() {
        assert!(read(&options(&["--only", "A99"])).is_err());
    }
}

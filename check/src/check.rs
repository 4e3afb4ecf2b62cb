//! Texts in, a report out.

use std::collections::BTreeSet;

use crate::finding::{Finding, Findings, Level};
use crate::ignore::{self, Ignored};
use crate::mesh::Mesh;
use crate::model::{Context, Place, Resources};
use crate::rules::{RULES, Rule};
use crate::version::Version;
use crate::yaml::{self, Limits};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version of Istio.
    pub istio: Version,
    /// What the files do not say.
    pub context: Context,
    /// Rules that are not asked.
    pub ignored: BTreeSet<String>,
    /// Bounds of a document.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            istio: Version::NEWEST,
            context: Context::default(),
            ignored: BTreeSet::new(),
            limits: Limits::default(),
        }
    }
}

/// Something that could not be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// One sentence.
    pub reason: String,
}

/// A text and its name.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its path, as given.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The files; places refer to them by position.
    pub sources: Vec<Source>,
    /// Findings of every level, by place.
    pub findings: Vec<Finding>,
    /// Findings that an annotation exempts.
    pub ignored: Vec<Ignored>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What could not be decided, in sentences.
    pub undecided: BTreeSet<String>,
    /// What else there is to say, in sentences.
    pub notes: Vec<String>,
    /// How many resources were read.
    pub resources: usize,
}

/// Checks texts, given with their names.
pub fn check_texts<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    options: &Options,
) -> Report {
    let source = |(name, text): (&str, &str)| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    check(texts.into_iter().map(source).collect(), options)
}

/// Checks files.
#[must_use]
pub fn check(sources: Vec<Source>, options: &Options) -> Report {
    let mut report = Report::default();
    let mut resources = Resources::default();
    for (index, source) in sources.iter().enumerate() {
        let file = u32::try_from(index).unwrap_or(u32::MAX);
        for document in yaml::read(&source.text, options.limits) {
            let read = match document {
                Ok(node) => resources.take(&node, file, &options.context),
                Err(refused) => {
                    let place = Place {
                        file,
                        span: refused.span,
                    };
                    let reason = refused.reason;
                    report.problems.push(Problem { place, reason });
                    continue;
                }
            };
            report.problems.extend(read.into_iter().map(|it| Problem {
                place: it.place,
                reason: it.to_string(),
            }));
        }
    }
    report.sources = sources;
    report.resources = resources.count;
    judge(&resources, options, &mut report);
    report
}

fn judge(resources: &Resources, options: &Options, report: &mut Report) {
    let mesh = Mesh::new(resources, &options.context, options.istio);
    let asked = |rule: &Rule| !options.ignored.contains(rule.id) && rule.holds_in(options.istio);
    for rule in RULES.iter().filter(|it| asked(it)) {
        let mut findings = Findings::new(rule);
        (rule.check)(&mesh, &mut findings);
        report.findings.append(&mut findings.found);
        report.undecided.append(&mut findings.undecided);
    }
    for rule in RULES.iter().filter(|it| options.ignored.contains(it.id)) {
        let mut findings = Findings::new(rule);
        (rule.check)(&mesh, &mut findings);
        if findings.found.is_empty() {
            let id = rule.id;
            report
                .notes
                .push(format!("{id} is ignored and has no finding"));
        }
    }
    let asked = |id: &str| RULES.iter().any(|rule| rule.id == id && asked(rule));
    report.ignored = ignore::apply(&mut report.findings, &resources.ignores, asked);
    report
        .findings
        .sort_by_key(|it| (it.marks.first().map(|it| it.place), it.rule));
}

impl Report {
    /// The worst level among the findings.
    #[must_use]
    pub fn worst(&self) -> Option<Level> {
        self.findings.iter().map(|it| it.level).max()
    }
}

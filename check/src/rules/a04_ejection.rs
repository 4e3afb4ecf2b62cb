//! A4: outlier detection that can never eject.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, DestinationRule, OutlierDetection, Place, Subset};
use crate::version::Version;

pub(super) const RULE: Rule = Rule {
    id: "A4",
    name: "ejects-nobody",
    level: Level::Error,
    title: "Outlier detection can eject no host: maxEjectionPercent of the endpoints is less than one",
    since: Some(Version::istio(20)),
    until: None,
    why: texts!("A4", "why.md"),
    wrong: texts!("A4", "wrong.yaml"),
    right: texts!("A4", "right.yaml"),
    check,
};

/// Envoy's own, which Istio leaves in place for 0 too.
const DEFAULT_PERCENT: u32 = 10;

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for rule in &mesh.resources.destination_rules {
        for (subset, policy) in rule.policies() {
            for (_, settings) in policy.all_settings() {
                if let Some(detection) = &settings.outlier_detection {
                    check_one(mesh, rule, subset, detection, findings);
                }
            }
        }
    }
}

fn check_one(
    mesh: &Mesh<'_>,
    rule: &DestinationRule,
    subset: Option<&Subset>,
    detection: &At<OutlierDetection>,
    findings: &mut Findings<'_>,
) {
    if detection.is_off() {
        return;
    }
    let said = detection.max_ejection_percent.filter(|it| it.value > 0);
    let percent = said.map_or(DEFAULT_PERCENT, |it| it.value);
    if percent >= 100 {
        return;
    }
    let host = mesh.host(&rule.host, &rule.meta);
    if host.is_wildcard() {
        findings.undecided(format!(
            "{} endpoints are needed for {percent} %, and how many the hosts of {host} have is \
             not known",
            needed(percent)
        ));
        return;
    }
    let (count, workloads) = match mesh.endpoints(&host, subset) {
        Ok(known) => known,
        Err(lack) => {
            let needed = needed(percent);
            findings.undecided(format!(
                "{lack}; {percent} % ejects nobody of less than {needed}"
            ));
            return;
        }
    };
    if ejected(count.max, percent) > 0 {
        return;
    }
    let of = subset.map_or(String::new(), |it| format!(" of subset {}", it.name.value));
    let endpoints = match (count.min, count.max) {
        (_, 1) => format!("the 1 endpoint{of}"),
        (min, max) if min == max => format!("{max} endpoints{of}"),
        (_, max) => format!("at most {max} endpoints{of}"),
    };
    let default = if said.is_none() { " (the default)" } else { "" };
    let place = said.map_or(detection.place, |it| it.place);
    let mut draft = finding(format!(
        "Outlier detection ejects nobody: maxEjectionPercent {percent}{default} of {endpoints} is {}, and Envoy rounds \
         down to 0",
        share(count.max, percent)
    ))
    .at(&rule.meta, place, format!("{percent} %{default}"));
    let counted = count.place.unwrap_or(Place::default());
    if let Some(workload) = workloads.first() {
        draft = draft.at(&workload.meta, counted, endpoints);
    }
    let enough = 100_u32.div_ceil(count.max.max(1));
    let fix = match count.max {
        0 | 1 => "maxEjectionPercent: 100, if the one endpoint may be ejected; else more replicas"
            .to_owned(),
        _ => format!(
            "maxEjectionPercent: {enough} or more, or {} endpoints",
            needed(percent)
        ),
    };
    draft.fix(findings, fix);
}

fn ejected(endpoints: u32, percent: u32) -> u64 {
    u64::from(endpoints) * u64::from(percent) / 100
}

fn share(endpoints: u32, percent: u32) -> f64 {
    f64::from(endpoints) * f64::from(percent) / 100.0
}

/// The least number of endpoints of which one may be ejected.
fn needed(percent: u32) -> u32 {
    100_u32.div_ceil(percent.max(1))
}

#[cfg(test)]
mod tests {
    use crate::check::Options;
    use crate::rules::testing::{findings_with, fires, silent};

    fn with(detection: &str, replicas: u32, more: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {{name: r}}\nspec:\n  host: r\n  \
             trafficPolicy: {{outlierDetection: {detection}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: r}}\nspec: {{selector: {{app: r}}, ports: [{{port: 80}}]}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: r}}\nspec:\n  replicas: {replicas}\n  template:\n    \
             metadata: {{labels: {{app: r}}}}\n{more}"
        )
    }

    #[test]
    fn too_few_endpoints() {
        for (detection, replicas) in [
            ("{consecutive5xxErrors: 3}", 9),
            ("{maxEjectionPercent: 0}", 9),
            ("{maxEjectionPercent: 40}", 2),
            ("{maxEjectionPercent: 49}", 2),
            ("{maxEjectionPercent: 99}", 1),
            ("{}", 1),
        ] {
            fires("A4", &with(detection, replicas, ""));
        }
    }

    #[test]
    fn enough_endpoints() {
        for (detection, replicas) in [
            ("{consecutive5xxErrors: 3}", 10),
            ("{maxEjectionPercent: 50}", 2),
            ("{maxEjectionPercent: 34}", 3),
            ("{maxEjectionPercent: 100}", 1),
        ] {
            silent("A4", &with(detection, replicas, ""));
        }
        silent(
            "A4",
            &with(
                "{consecutive5xxErrors: 0, consecutiveGatewayErrors: 0}",
                1,
                "",
            ),
        );
    }

    #[test]
    fn the_most_that_a_scaler_allows_counts() {
        let scaler = |max| {
            format!(
                "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: r}}\nspec: \
                 {{scaleTargetRef: {{kind: Deployment, name: r}}, maxReplicas: {max}}}\n"
            )
        };
        silent("A4", &with("{}", 1, &scaler(10)));
        let found = fires("A4", &with("{}", 20, &scaler(9)));
        assert!(
            found.message.contains("at most 9 endpoints is 0.9"),
            "{found:?}"
        );
    }

    #[test]
    fn variants_of_one_deployment_are_one() {
        let text = with("{maxEjectionPercent: 20}", 3, "");
        let found = fires(
            "A4",
            &format!("{text}---\n{}", text.split("---\n").last().unwrap()),
        );
        assert!(found.message.contains("of 3 endpoints"), "{found:?}");
    }

    #[test]
    fn before_1_20_one_host_was_always_ejected() {
        let options = Options {
            istio: "1.19".parse().unwrap(),
            ..Options::default()
        };
        assert_eq!(findings_with(&with("{}", 1, ""), &options), []);
    }
}

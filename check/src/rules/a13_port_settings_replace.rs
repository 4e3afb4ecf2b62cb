//! A13: settings of a port drop those of the destination.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{DestinationRule, Place, PortPolicy, Settings};

pub(super) const RULE: Rule = Rule {
    id: "A13",
    name: "port-settings-replace",
    level: Level::Warning,
    title: "portLevelSettings take the place of the destination's settings, they do not add to them",
    since: None,
    until: None,
    why: texts!("A13", "why.md"),
    wrong: texts!("A13", "wrong.yaml"),
    right: texts!("A13", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for rule in &mesh.resources.destination_rules {
        let host = rule.policy.as_ref();
        for (subset, policy) in rule.policies() {
            for port in &policy.ports {
                let mut lost = dropped(&policy.settings, &port.settings);
                // A port of a subset also drops what the host says, for this port or for all.
                if let (Some(_), Some(host)) = (subset, host) {
                    let own = host.ports.iter().find(|it| it.port == port.port);
                    let above = own.map_or(&host.settings, |it| &it.settings);
                    lost.extend(dropped(above, &port.settings));
                }
                report(rule, port, &lost, findings);
            }
        }
    }
}

struct Lost {
    field: &'static str,
    place: Place,
    level: Level,
}

fn dropped(above: &Settings, port: &Settings) -> Vec<Lost> {
    let pool = above.connection_pool.map(|place| Lost {
        field: "connectionPool",
        place,
        level: Level::Warning,
    });
    let detection = above.outlier_detection.as_ref().map(|it| Lost {
        field: "outlierDetection",
        place: it.place,
        level: Level::Warning,
    });
    let tls = above.tls.as_ref().map(|it| Lost {
        field: "tls",
        place: it.place,
        // Automatic mutual TLS does the same without it.
        level: match it.mode.as_deref() {
            Some("ISTIO_MUTUAL") => Level::Info,
            _ => Level::Warning,
        },
    });
    let balancer = above.load_balancer.as_ref().map(|it| Lost {
        field: "loadBalancer",
        place: it.place,
        // Another order of hosts is seldom noticed; another host for a session is.
        level: match it.consistent_hash {
            Some(_) => Level::Warning,
            None => Level::Info,
        },
    });
    let here = [
        (pool, port.connection_pool.is_some()),
        (detection, port.outlier_detection.is_some()),
        (tls, port.tls.is_some()),
        (balancer, port.load_balancer.is_some()),
    ];
    let lost = here.into_iter().filter(|(_, said)| !said);
    lost.filter_map(|(above, _)| above).collect()
}

fn report(rule: &DestinationRule, port: &PortPolicy, lost: &[Lost], findings: &mut Findings<'_>) {
    let Some(worst) = lost.iter().max_by_key(|it| it.level) else {
        return;
    };
    let mut fields: Vec<&str> = lost.iter().map(|it| it.field).collect();
    fields.dedup();
    let fields = fields.join(", ");
    let number = port.port.map_or_else(String::new, |it| format!(" {it}"));
    finding(format!(
        "Port{number} has no {fields}: its portLevelSettings take the place of all that is said above them"
    ))
    .level(worst.level)
    .at(&rule.meta, port.place, format!("without {fields}"))
    .at(&rule.meta, worst.place, "not for this port")
    .fix(findings, format!("Repeat {fields} in the settings of port{number}"));
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn rule(spec: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {{name: r}}\nspec: {{host: r, {spec}}}\n"
        )
    }

    #[test]
    fn dropped() {
        for policy in [
            "connectionPool: {tcp: {maxConnections: 1}}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]",
            "outlierDetection: {}, portLevelSettings: [{port: {number: 80}, connectionPool: {}}]",
            "tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 80}, connectionPool: {}}]",
            "loadBalancer: {consistentHash: {useSourceIp: true}}, portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]",
        ] {
            fires("A13", &rule(&format!("trafficPolicy: {{{policy}}}")));
            fires(
                "A13",
                &rule(&format!(
                    "subsets: [{{name: v1, trafficPolicy: {{{policy}}}}}]"
                )),
            );
        }
        fires(
            "A13",
            &rule(
                "trafficPolicy: {outlierDetection: {}}, subsets: [{name: v1, trafficPolicy: {portLevelSettings: [{port: \
                   {number: 80}, connectionPool: {}}]}}]",
            ),
        );
    }

    #[test]
    fn repeated_or_harmless() {
        for policy in [
            "connectionPool: {}, portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: 1}}}]",
            "portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]",
            "tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {number: 80}, connectionPool: {}}]",
            "loadBalancer: {simple: ROUND_ROBIN}, portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]",
            "connectionPool: {}, outlierDetection: {}",
        ] {
            silent("A13", &rule(&format!("trafficPolicy: {{{policy}}}")));
        }
        // A subset without settings for ports adds to the host's.
        silent(
            "A13",
            &rule(
                "trafficPolicy: {outlierDetection: {}}, subsets: [{name: v1, trafficPolicy: {connectionPool: {}}}]",
            ),
        );
    }
}

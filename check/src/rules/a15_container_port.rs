//! A15: a Service's port where the container's is meant.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, PolicyKind, Port, Selected, Service, Workload};

pub(super) const RULE: Rule = Rule {
    id: "A15",
    name: "service-port-in-policy",
    level: Level::Error,
    title: "Ports in policies are the container's: a Service's port has no effect there",
    since: None,
    until: None,
    why: texts!("A15", "why.md"),
    wrong: texts!("A15", "wrong.yaml"),
    right: texts!("A15", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for policy in &mesh.resources.policies {
        let ports = ports(policy);
        if ports.is_empty() || policy.target.by_reference {
            continue;
        }
        let behind = Behind::of(mesh, policy);
        for port in ports {
            behind.check(policy, &port, findings);
        }
    }
}

/// The ports that a policy names, with the field that does.
fn ports(policy: &Selected) -> Vec<At<u32>> {
    let number = |it: &At<String>| {
        Some(At {
            place: it.place,
            value: it.parse().ok()?,
        })
    };
    match &policy.kind {
        PolicyKind::Authorization(it) => {
            let operations = it.rules.iter().flat_map(|it| &it.to);
            let ports = operations.flat_map(|it| it.ports.iter().chain(&it.not_ports));
            let conditions = it.rules.iter().flat_map(|it| &it.when);
            let conditions = conditions.filter(|it| it.key == "destination.port");
            let values = conditions.flat_map(|it| it.values.iter().chain(&it.not_values));
            ports.chain(values).filter_map(number).collect()
        }
        PolicyKind::Peer(it) => it
            .ports
            .iter()
            .filter_map(|(port, _)| number(port))
            .collect(),
        // Outbound listeners have the Service's ports; only inbound ones have the container's.
        PolicyKind::Wasm(it) => {
            let server = it
                .matches
                .iter()
                .filter(|it| it.mode.as_ref().is_some_and(|it| it.value == "SERVER"));
            server.flat_map(|it| it.ports.clone()).collect()
        }
        PolicyKind::Other => Vec::new(),
    }
}

/// What a policy is for: pods, and the Services in front of them.
struct Behind<'a> {
    workloads: Vec<&'a Workload>,
    services: Vec<&'a Service>,
}

impl<'a> Behind<'a> {
    fn of(mesh: &Mesh<'a>, policy: &Selected) -> Self {
        let namespace = policy.meta.namespace.as_str();
        let root = namespace == mesh.root_namespace();
        let here = |of: &str| root || of == namespace;
        let selector = policy
            .target
            .selector
            .as_ref()
            .map(|it| it.value.clone())
            .unwrap_or_default();
        let workloads: Vec<_> = mesh
            .selected_anywhere(&selector)
            .filter(|it| here(&it.meta.namespace))
            .collect();
        let takes = |service: &&Service| {
            let labels = &service.selector;
            if labels.is_empty() || !here(&service.meta.namespace) {
                return false;
            }
            let by_workload = workloads
                .iter()
                .any(|it| labels.select(&it.labels) && it.meta.namespace == service.meta.namespace);
            let by_labels =
                workloads.is_empty() && (selector.select(labels) || labels.select(&selector));
            by_workload || by_labels
        };
        let services = mesh.resources.services.iter().filter(takes).collect();
        Self {
            workloads,
            services,
        }
    }

    fn check(&self, policy: &Selected, port: &At<u32>, findings: &mut Findings<'_>) {
        let number = port.value;
        let listens = |it: &&'_ Workload| it.ports.iter().any(|(_, own)| *own == number);
        if self.workloads.iter().any(listens) {
            return;
        }
        let mut service_port = None;
        for service in &self.services {
            for own in &service.ports {
                match self.target(own) {
                    Some(target) if target == number => return,
                    Some(target) if own.number.value == number => {
                        service_port = Some((service, own, target))
                    }
                    Some(_) => {}
                    None if own.number.value == number => {
                        let name = &service.meta.name.value;
                        findings.undecided(format!(
                            "which container port {number} of Service {name} leads to is not known"
                        ));
                        return;
                    }
                    None => {}
                }
            }
        }
        let Some((service, own, target)) = service_port else {
            return;
        };
        let (kind, name) = (policy.meta.kind, &service.meta.name.value);
        let place = own.target.as_ref().map_or(own.place, |it| it.place);
        finding(format!(
            "Port {number} has no effect in this {kind}: it is the port of Service {name}, and its pods listen on {target}"
        ))
        .at(&policy.meta, port.place, "the container's port is meant here")
        .at(&service.meta, place, format!("{number} leads to {target}"))
        .fix(findings, format!("{target} in the place of {number}"));
    }

    /// The container port, through a name if it has one.
    fn target(&self, port: &Port) -> Option<u32> {
        let Some(target) = &port.target else {
            return Some(port.number.value);
        };
        if let Ok(number) = target.parse() {
            return Some(number);
        }
        let mut ports = self.workloads.iter().flat_map(|it| &it.ports);
        let named = ports.find(|(name, _)| name.as_ref() == Some(&target.value));
        named.map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn policy(kind: &str, spec: &str) -> String {
        let group = match kind {
            "WasmPlugin" => "extensions.istio.io/v1alpha1",
            _ => "security.istio.io/v1beta1",
        };
        format!(
            "apiVersion: {group}\nkind: {kind}\nmetadata: {{name: p}}\nspec: {{selector: {{matchLabels: {{app: web}}}}, {spec}}}\n---\n"
        )
    }

    fn service(target: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, ports: [{{name: http, port: \
             80{target}}}]}}\n---\n"
        )
    }

    fn deployment(ports: &str) -> String {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{template: {{metadata: {{labels: {{app: \
             web}}}}, spec: {{containers: [{{name: c, ports: [{ports}]}}]}}}}}}\n"
        )
    }

    const PEER: &str = "portLevelMtls: {80: {mode: STRICT}}";
    const ALLOW: &str = "rules: [{to: [{operation: {ports: ['80']}}]}]";

    #[test]
    fn the_service_s_port() {
        let service = service(", targetPort: 8080");
        fires("A15", &(policy("PeerAuthentication", PEER) + &service));
        fires(
            "A15",
            &(policy("AuthorizationPolicy", ALLOW)
                + &service
                + &deployment("{containerPort: 8080}")),
        );
        fires(
            "A15",
            &(policy("AuthorizationPolicy", &ALLOW.replace("ports", "notPorts")) + &service),
        );
        let when = "rules: [{when: [{key: destination.port, values: ['80']}]}]";
        fires("A15", &(policy("AuthorizationPolicy", when) + &service));
        fires(
            "A15",
            &(policy(
                "WasmPlugin",
                "match: [{mode: SERVER, ports: [{number: 80}]}]",
            ) + &service),
        );
        let named = self::service(", targetPort: web");
        fires(
            "A15",
            &(policy("PeerAuthentication", PEER)
                + &named
                + &deployment("{name: web, containerPort: 8080}")),
        );
    }

    #[test]
    fn the_container_s_port() {
        silent("A15", &(policy("PeerAuthentication", PEER) + &service("")));
        silent(
            "A15",
            &(policy("PeerAuthentication", PEER) + &service(", targetPort: 80")),
        );
        silent(
            "A15",
            &(policy("PeerAuthentication", &PEER.replace("80", "8080"))
                + &service(", targetPort: 8080")),
        );
        silent(
            "A15",
            &(policy("AuthorizationPolicy", ALLOW)
                + &service(", targetPort: 8080")
                + &deployment("{containerPort: 80}")),
        );
        silent(
            "A15",
            &(policy("PeerAuthentication", PEER) + &service(", targetPort: web")),
        );
        silent(
            "A15",
            &(policy(
                "WasmPlugin",
                "match: [{mode: CLIENT, ports: [{number: 80}]}]",
            ) + &service(", targetPort: 8080")),
        );
        silent(
            "A15",
            &(policy("PeerAuthentication", PEER)
                + &service(", targetPort: 8080").replace("app: web", "app: x")),
        );
    }
}

//! Hosts and DestinationRules that the clients of a route do not see.

use std::collections::{HashMap, HashSet};

use super::clients::{Clients, Pods};
use super::shown;
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, Destination, DestinationRule, Host, Meta, Place, RouteTable, ServiceEntry};

/// ServiceEntries by their hosts, in every namespace.
type Entries<'a> = HashMap<Host, Vec<&'a ServiceEntry>>;

/// Pairs of places that are reported already.
type Said = HashSet<(Place, Place)>;

pub(super) fn check<'a>(mesh: &Mesh<'a>, pods: &mut Pods<'a>, findings: &mut Findings<'_>) {
    let mut entries: Entries<'_> = HashMap::new();
    for entry in &mesh.resources.service_entries {
        for host in &entry.hosts {
            let host = mesh.host(host, &entry.meta);
            entries.entry(host).or_default().push(entry);
        }
    }
    let mut said = Said::new();
    for table in mesh.virtual_services().filter(|it| !it.hosts.is_empty()) {
        for clients in clients_of(mesh, table, pods) {
            let http = table.http.iter().flat_map(|it| &it.destinations);
            let layer4 = table
                .tls
                .iter()
                .chain(&table.tcp)
                .flat_map(|it| &it.destinations);
            for destination in http.chain(layer4) {
                let to = To {
                    mesh,
                    table,
                    destination,
                    host: mesh.host(&destination.host, &table.meta),
                    clients: &clients,
                };
                if !to.hidden_host(&entries, &mut said, findings) {
                    to.hidden_rule(&mut said, findings);
                }
            }
        }
    }
}

/// The gateways' pods; for the mesh, clients in the VirtualService's own namespace, which has it for them.
fn clients_of<'a>(mesh: &Mesh<'a>, table: &'a RouteTable, pods: &mut Pods<'a>) -> Vec<Clients<'a>> {
    let gateways = table.real_gateways();
    let mut clients: Vec<_> = gateways
        .filter_map(|name| pods.of_gateway(mesh, table, name))
        .collect();
    if table.in_mesh() && table.meta.namespace_said {
        clients.push(Clients {
            namespaces: vec![&table.meta.namespace],
            level: Level::Warning,
            meta: &table.meta,
            place: table.meta.namespace_place,
        });
    }
    clients
}

/// A destination, as the clients of its route see it.
struct To<'m, 'a> {
    mesh: &'m Mesh<'a>,
    table: &'a RouteTable,
    destination: &'a Destination,
    host: Host,
    clients: &'m Clients<'a>,
}

impl<'a> To<'_, 'a> {
    /// True where the clients see nothing of this name, though it is there.
    fn hidden_host(
        &self,
        entries: &Entries<'a>,
        said: &mut Said,
        findings: &mut Findings<'_>,
    ) -> bool {
        let mesh = self.mesh;
        let clients = &self.clients.namespaces;
        let services = mesh.service(&self.host).into_iter().map(|it| {
            let seen = clients.iter().any(|client| mesh.sees_service(client, it));
            (&it.meta, it.export_to.as_ref(), seen)
        });
        let entries = entries.get(&self.host).into_iter().flatten().map(|it| {
            let seen = clients.iter().any(|client| mesh.sees_entry(client, it));
            (&it.meta, it.export_to.as_ref(), seen)
        });
        let all: Vec<_> = services.chain(entries).collect();
        let Some((meta, Some(export_to), _)) = all.first().copied() else {
            return false;
        };
        if all.iter().any(|it| it.2) {
            return false;
        }
        let namespace = self.clients.named();
        let written = &self.destination.host.value;
        if said.insert((export_to.place, self.table.meta.place)) {
            finding(format!(
                "Requests from {namespace} to {written} get 503: exportTo {} hides the {} from {namespace}",
                shown(export_to),
                meta.kind
            ))
            .level(self.clients.level)
            .at(meta, export_to.place, format!("hidden from {namespace}"))
            .at(&self.table.meta, self.destination.place, format!("proxies in {namespace} have no such cluster"))
            .fix(findings, format!("exportTo with {namespace} too, or none"));
        }
        true
    }

    /// A DestinationRule that the clients do not use, though it has what the route selects, or settings for it.
    fn hidden_rule(&self, said: &mut Said, findings: &mut Findings<'_>) {
        let clients = &self.clients.namespaces;
        let used = |it: &&str| self.mesh.rules_used(it, &self.host);
        let used: Vec<_> = clients.iter().flat_map(used).collect();
        let hidden = self.mesh.rules_covering(&self.host).into_iter();
        let hidden = hidden.filter(|rule| !used.iter().any(|it| std::ptr::eq(*it, *rule)));
        let found = match &self.destination.subset {
            Some(subset) => {
                let has = |it: &&'a DestinationRule| it.subsets.iter().any(|it| it.name == *subset);
                if used.iter().any(has) {
                    return;
                }
                hidden
                    .filter(|it| has(it))
                    .find_map(|it| Some((it, self.reason(it, Some(subset))?)))
            }
            None if used.is_empty() => hidden
                .filter(|it| it.policy.is_some() && !self.is_clients_own(it))
                .find_map(|it| Some((it, self.reason(it, None)?))),
            None => return,
        };
        let Some((rule, (place, reason))) = found else {
            return;
        };
        if said.insert((rule.meta.place, self.table.meta.place)) {
            self.report(rule, place, &reason, findings);
        }
    }

    /// True where the rule may be meant for clients in its own namespace.
    fn is_clients_own(&self, rule: &DestinationRule) -> bool {
        let own = rule.meta.namespace.as_str();
        let of_service = self.mesh.namespace_of(&self.host);
        of_service.as_deref() != Some(own) && !self.mesh.workloads_in(own).is_empty()
    }

    /// Why the clients do not use the rule: where, and in words. None where it is not for lack of sight.
    fn reason(
        &self,
        rule: &DestinationRule,
        subset: Option<&At<String>>,
    ) -> Option<(Place, String)> {
        let namespace = self.clients.named();
        let own = rule.meta.namespace.as_str();
        let seen = self
            .clients
            .namespaces
            .iter()
            .any(|it| self.mesh.sees_rule(it, rule));
        if let (false, Some(export_to)) = (seen, &rule.export_to) {
            let shown = shown(export_to);
            return Some((
                export_to.place,
                format!("exportTo {shown} hides it from {namespace}"),
            ));
        }
        let of_service = self.mesh.namespace_of(&self.host)?;
        let looked = [of_service.as_str(), self.mesh.root_namespace()];
        let told = rule.meta.namespace_said && !looked.contains(&own);
        let third = told && !self.clients.namespaces.contains(&own);
        let place = rule.meta.namespace_place;
        // Without a subset, a rule elsewhere is a mistake only where the host's own namespace is known.
        let known = subset.is_some() || self.mesh.service(&self.host).is_some();
        (third && known).then(|| {
            let reason = format!(
                "clients in {namespace} look for it there, in {of_service} and in {}, and not in {own}",
                self.mesh.root_namespace()
            );
            (place, reason)
        })
    }

    fn report(
        &self,
        rule: &DestinationRule,
        place: Place,
        reason: &str,
        findings: &mut Findings<'_>,
    ) {
        let namespace = self.clients.named();
        let written = &self.destination.host.value;
        let outcome = match &self.destination.subset {
            Some(subset) => format!(
                "Requests from {namespace} to subset {} of {written} get 503",
                subset.value
            ),
            None => {
                format!("Requests from {namespace} to {written} have none of this trafficPolicy")
            }
        };
        let level = match self.destination.subset {
            Some(_) => self.clients.level,
            // A rule for many hosts elsewhere is seldom meant for these clients, unless that is the root namespace.
            None if rule.host.starts_with('*') => Level::Info,
            None => Level::Warning,
        };
        let label = match self.destination.subset {
            Some(_) => "selects a subset that these clients do not have",
            None => "without the rule's settings",
        };
        let fix = match &rule.export_to {
            Some(_) => format!("exportTo with {namespace} too, or none"),
            None => match self.mesh.namespace_of(&self.host) {
                Some(of_service) => format!("namespace: {of_service}, the host's own"),
                None => format!("namespace: {namespace}"),
            },
        };
        finding(format!("{outcome}: {reason}"))
            .level(level)
            .at(
                &rule.meta,
                place,
                format!("not used by clients in {namespace}"),
            )
            .at(of_table(self.table), self.destination.place, label)
            .fix(findings, fix);
    }
}

fn of_table(table: &RouteTable) -> &Meta {
    &table.meta
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    const GATEWAY: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: edge}\nspec: {selector: \
                           {istio: gw}, servers: []}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: edge}\n\
                           spec: {selector: {istio: gw}, ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: \
                           web, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n---\n";

    /// A rule for `web` in a namespace, and a route of the gateway, or of the mesh in `shop`.
    fn with(namespace: &str, rule: &str, destination: &str, gateways: &str) -> String {
        format!(
            "{GATEWAY}apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: {namespace}}}\n\
             spec: {{host: web.shop.svc.cluster.local, {rule}}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: v, namespace: shop}}\nspec: {{hosts: [x.com], gateways: [{gateways}], http: [{{route: \
             [{{destination: {{host: web{destination}}}}}]}}]}}\n"
        )
    }

    const SUBSET: &str = "subsets: [{name: v1, labels: {version: v1}}]";
    const POLICY: &str = "trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}";
    const V1: &str = ", subset: v1";

    #[test]
    fn a_rule_that_is_hidden() {
        fires(
            "A19",
            &with("shop", &format!("exportTo: ['.'], {SUBSET}"), V1, "edge/g"),
        );
        fires(
            "A19",
            &with("shop", &format!("exportTo: ['.'], {POLICY}"), "", "edge/g"),
        );
        fires(
            "A19",
            &with(
                "shop",
                &format!("exportTo: [other], {POLICY}"),
                "",
                "edge/g",
            ),
        );
    }

    #[test]
    fn a_rule_in_a_third_namespace() {
        fires("A19", &with("config", SUBSET, V1, "edge/g"));
        fires("A19", &with("config", SUBSET, V1, "mesh"));
        fires("A19", &with("config", POLICY, "", "edge/g"));
    }

    #[test]
    fn a_rule_that_is_found() {
        for namespace in ["shop", "edge", "istio-system"] {
            silent("A19", &with(namespace, SUBSET, V1, "edge/g"));
            silent("A19", &with(namespace, POLICY, "", "edge/g"));
        }
        silent(
            "A19",
            &with("shop", &format!("exportTo: ['.'], {SUBSET}"), V1, "mesh"),
        );
        silent(
            "A19",
            &with(
                "shop",
                &format!("exportTo: ['.', edge], {SUBSET}"),
                V1,
                "edge/g",
            ),
        );
        silent(
            "A19",
            &with("shop", &format!("exportTo: ['*'], {POLICY}"), "", "edge/g"),
        );
        // For clients of that namespace.
        let client =
            "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: config}\nspec: {}\n";
        silent("A19", &(with("config", POLICY, "", "edge/g") + client));
        // Not a matter of sight.
        silent("A19", &with("shop", SUBSET, ", subset: v2", "edge/g"));
    }

    fn entry(export_to: &str, namespace: &str) -> String {
        format!(
            "{GATEWAY}apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: shop}}\nspec: {{hosts: \
             [api.example.com], ports: [{{number: 80, name: http, protocol: HTTP}}], exportTo: [{export_to}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: {namespace}}}\nspec: \
             {{hosts: [x.com], gateways: [edge/g], http: [{{route: [{{destination: {{host: api.example.com}}}}]}}]}}\n"
        )
    }

    #[test]
    fn a_host_that_is_hidden() {
        fires("A19", &entry("'.'", "shop"));
        fires(
            "A19",
            &entry("'.'", "other").replace("gateways: [edge/g], ", ""),
        );
        silent(
            "A19",
            &entry("'.'", "shop").replace("gateways: [edge/g], ", ""),
        );
        silent("A19", &entry("'*'", "shop"));
        silent("A19", &entry("edge", "shop"));
        let annotated = with("shop", POLICY, "", "edge/g").replace(
            "namespace: shop}\nspec: {selector",
            "namespace: shop, annotations: {networking.istio.io/exportTo: '.'}}\nspec: {selector",
        );
        fires("A19", &annotated);
        silent(
            "A19",
            &annotated.replace("exportTo: '.'", "exportTo: 'shop, edge'"),
        );
    }
}

//! A11: HTTP routes for a port that is not HTTP.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{Api, At, Host, HttpRoute, Meta, Port, Protocol, RouteTable};

pub(super) const RULE: Rule = Rule {
    id: "A11",
    name: "http-route-for-tcp-port",
    level: Level::Error,
    title: "An HTTP route never applies to a port that is not HTTP",
    since: None,
    until: None,
    why: texts!("A11", "why.md"),
    wrong: texts!("A11", "wrong.yaml"),
    right: texts!("A11", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in &mesh.resources.routes {
        // A gateway reads HTTP whatever its destination's port is called.
        if table.api == Api::Istio && table.in_mesh() && !table.http.is_empty() {
            for host in &table.hosts {
                check_host(mesh, table, host, findings);
            }
        }
    }
}

fn check_host(mesh: &Mesh<'_>, table: &RouteTable, name: &At<String>, findings: &mut Findings<'_>) {
    let host = mesh.host(name, &table.meta);
    let (meta, ports) = match (mesh.service(&host), mesh.service_entry(&host)) {
        (Some(service), _) => (&service.meta, &service.ports),
        (None, Some(entry)) => (&entry.meta, &entry.ports),
        (None, None) => {
            if !host.is_wildcard() {
                findings.undecided(format!("no ports known for {host}"));
            }
            return;
        }
    };
    for route in &table.http {
        if let Some(port) = unreachable(route, ports) {
            report(table, route, &host, meta, port, findings);
            return;
        }
    }
}

/// The opaque port of a route that has no other port.
fn unreachable<'a>(route: &HttpRoute, ports: &'a [Port]) -> Option<&'a Port> {
    let named: Vec<u32> = route
        .matches
        .iter()
        .filter_map(|it| Some(it.port?.value))
        .collect();
    // A match without a port is for every port; one for a port that is not there is not about protocols.
    let any = named.len() < route.matches.len() || route.matches.is_empty();
    let mut own = ports.iter().filter(|it| any || named.contains(&it.number));
    let first = own.next()?;
    let opaque = |port: &Port| port.protocol() == Protocol::Opaque;
    (opaque(first) && own.all(opaque)).then_some(first)
}

fn report(
    table: &RouteTable,
    route: &HttpRoute,
    host: &Host,
    meta: &Meta,
    port: &Port,
    findings: &mut Findings<'_>,
) {
    let (number, place) = (
        port.number.value,
        port.told.as_ref().map_or(port.place, |it| it.place),
    );
    let told = match &port.told {
        Some(told) => format!("{} by its name or protocol", told.value),
        None => "TCP by its number".to_owned(),
    };
    let lost = [
        route.timeout.is_some().then_some("timeout"),
        route.retries.is_some().then_some("retries"),
        (route.fault.delay.is_some() || route.fault.abort.is_some()).then_some("fault"),
    ];
    let lost: Vec<&str> = lost.into_iter().flatten().collect();
    let what = match lost.as_slice() {
        [] => "this HTTP route never applies".to_owned(),
        some => format!("this HTTP route and its {} never apply", some.join(", ")),
    };
    finding(format!("Port {number} of {host} is {told}, so proxies pass bytes: {what}"))
        .at(&table.meta, route.place, "for HTTP alone")
        .at(meta, place, "not HTTP for the proxies")
        .fix(
            findings,
            "Name the port http (or http2, grpc), or set appProtocol: http, if it speaks HTTP; else write tcp or tls routes",
        );
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent, virtual_service};

    fn service(port: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: reviews, namespace: shop}}\nspec: {{ports: [{port}]}}\n"
        )
    }

    fn routes(more: &str) -> String {
        virtual_service(&format!(
            "http: [{{timeout: 1s{more}, route: [{{destination: {{host: reviews}}}}]}}]"
        ))
    }

    #[test]
    fn ports_that_are_not_http() {
        for port in [
            "{port: 80, name: tcp-web}",
            "{port: 80, name: tcp}",
            "{port: 443, name: https}",
            "{port: 443, name: tls-x}",
            "{port: 80, name: http, appProtocol: tcp}",
            "{port: 3306, name: db}",
            "{port: 80, name: mysql-x}",
            "{port: 80, name: tcp-a}, {port: 81, name: tls-b}",
        ] {
            fires("A11", &(routes("") + &service(port)));
        }
        let two = service("{port: 80, name: http}, {port: 90, name: tcp}");
        fires("A11", &(routes(", match: [{port: 90}]") + &two));
    }

    #[test]
    fn ports_that_are_or_may_be_http() {
        for port in [
            "{port: 80, name: http}",
            "{port: 80, name: http-web}",
            "{port: 80, name: HTTP2}",
            "{port: 80, name: grpc-web-x}",
            "{port: 80}",
            "{port: 80, name: web}",
            "{port: 80, name: tcp, appProtocol: http}",
            "{port: 80, name: tcp, appProtocol: kubernetes.io/h2c}",
            "{port: 80, name: http}, {port: 90, name: tcp}",
        ] {
            silent("A11", &(routes("") + &service(port)));
        }
        let two = service("{port: 80, name: http}, {port: 90, name: tcp}");
        silent("A11", &(routes(", match: [{port: 80}]") + &two));
        let gateway = routes("").replace("hosts: [reviews]", "hosts: [reviews]\n  gateways: [g]");
        silent("A11", &(gateway + &service("{port: 80, name: tcp}")));
    }

    #[test]
    fn entries_of_other_hosts() {
        let routes = routes("").replace("hosts: [reviews]", "hosts: [api.example.com]");
        let entry = |ports: &str| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e}}\nspec: {{hosts: \
                 ['*.example.com'], ports: [{ports}]}}\n"
            )
        };
        fires(
            "A11",
            &(routes.clone() + &entry("{number: 443, name: http, protocol: HTTPS}")),
        );
        silent(
            "A11",
            &(routes.clone()
                + &entry(
                    "{number: 80, name: x, protocol: HTTP}, {number: 443, name: y, protocol: TLS}",
                )),
        );
        silent("A11", &routes);
    }
}

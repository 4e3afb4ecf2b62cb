//! A12: HTTP routes bound to a server that reads no HTTP.

use std::collections::HashMap;

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, Gateway, RouteTable, Server, covers};

pub(super) const RULE: Rule = Rule {
    id: "A12",
    name: "http-route-on-passthrough",
    level: Level::Error,
    title: "A gateway's server that reads no HTTP has no listener for http routes alone",
    since: None,
    until: None,
    why: texts!("A12", "why.md"),
    wrong: texts!("A12", "wrong.yaml"),
    right: texts!("A12", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let mut bound: HashMap<String, Vec<&RouteTable>> = HashMap::new();
    for table in mesh.virtual_services() {
        for name in mesh.gateway_names(table) {
            bound.entry(name).or_default().push(table);
        }
    }
    for gateway in &mesh.resources.gateways {
        let name = mesh.gateway_name(&gateway.meta.name, &gateway.meta);
        let bound = bound.get(&name).map(Vec::as_slice).unwrap_or_default();
        for server in &gateway.servers {
            check_server(gateway, server, bound, findings);
        }
    }
}

fn check_server(
    gateway: &Gateway,
    server: &Server,
    bound: &[&RouteTable],
    findings: &mut Findings<'_>,
) {
    let automatic = server
        .tls_mode
        .as_ref()
        .is_some_and(|it| it.value == "AUTO_PASSTHROUGH");
    if server.is_http() || automatic {
        return;
    }
    let here: Vec<(&RouteTable, &At<String>)> = bound
        .iter()
        .filter_map(|table| Some((*table, served(server, table)?)))
        .collect();
    if here
        .iter()
        .any(|(table, _)| !table.tls.is_empty() || !table.tcp.is_empty())
    {
        return;
    }
    // Another server may be the one that the routes are for, unless this one names TLS that is passed on.
    let elsewhere = |table: &RouteTable| {
        let mut others = gateway.servers.iter().filter(|it| it.is_http());
        !server.passes_through() && others.any(|it| served(it, table).is_some())
    };
    let mut routed = here.iter().filter(|(table, _)| !table.http.is_empty());
    let Some((table, host)) = routed.find(|(table, _)| !elsewhere(table)) else {
        return;
    };
    let (port, host) = (server.port.value, &host.value);
    let (place, reads) = match &server.tls_mode {
        Some(mode) if server.passes_through() => (
            mode.place,
            format!("TLS with mode {} is passed on unread", mode.value),
        ),
        _ => (
            server.protocol.place,
            format!("protocol {} is not read as HTTP", server.protocol.value),
        ),
    };
    let http = table.http.first().map_or(table.meta.place, |it| it.place);
    finding(format!(
        "Nothing listens on port {port} for {host}: {reads}, and the VirtualService has only http routes"
    ))
    .at(&table.meta, http, "an http route: not for this server")
    .at(&gateway.meta, place, "no HTTP is read here")
    .fix(
        findings,
        "Write a tls route with match.sniHosts (tcp for protocol TCP), or end the TLS here with mode SIMPLE and \
         protocol HTTPS",
    );
}

/// The host of the VirtualService that the server takes.
fn served<'a>(server: &Server, table: &'a RouteTable) -> Option<&'a At<String>> {
    table.hosts.iter().find(|host| {
        let takes = |name: &str| covers(name, host) || covers(host, name);
        server.names().any(takes)
    })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn with(servers: &str, routes: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec: {{servers: [{servers}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec: {{hosts: \
             [a.example.com], gateways: [g], {routes}}}\n"
        )
    }

    const HTTP: &str = "http: [{route: [{destination: {host: a}}]}]";
    const TLS: &str = "tls: [{match: [{port: 443, sniHosts: [a.example.com]}], route: [{destination: {host: a}}]}]";
    const PASS: &str = "{port: {number: 443, protocol: HTTPS}, tls: {mode: PASSTHROUGH}, hosts: ['*.example.com']}";
    const PLAIN: &str = "{port: {number: 80, protocol: HTTP}, hosts: ['*']}";

    #[test]
    fn no_listener() {
        fires("A12", &with(PASS, HTTP));
        fires("A12", &with(&PASS.replace("HTTPS", "TLS"), HTTP));
        fires("A12", &with(&format!("{PLAIN}, {PASS}"), HTTP));
        fires(
            "A12",
            &with("{port: {number: 9000, protocol: TCP}, hosts: ['*']}", HTTP),
        );
    }

    #[test]
    fn a_listener() {
        silent("A12", &with(PASS, TLS));
        silent(
            "A12",
            &with(
                &format!("{PLAIN}, {{port: {{number: 9000, protocol: TCP}}, hosts: ['*']}}"),
                HTTP,
            ),
        );
        silent(
            "A12",
            &with(&format!("{PLAIN}, {PASS}"), &format!("{HTTP}, {TLS}")),
        );
        silent("A12", &with(PLAIN, HTTP));
        silent("A12", &with(&PASS.replace("PASSTHROUGH", "SIMPLE"), HTTP));
        silent(
            "A12",
            &with(&PASS.replace("PASSTHROUGH", "AUTO_PASSTHROUGH"), HTTP),
        );
        silent(
            "A12",
            &with(&PASS.replace("*.example.com", "*.example.org"), HTTP),
        );
        silent(
            "A12",
            &with(PASS, HTTP).replace("gateways: [g]", "gateways: [h]"),
        );
    }
}

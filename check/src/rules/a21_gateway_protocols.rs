//! A21: Gateways that want different protocols of one port.

use std::collections::HashMap;

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{Gateway, Labels, Server};

pub(super) const RULE: Rule = Rule {
    id: "A21",
    name: "gateway-server-dropped",
    level: Level::Error,
    title: "Of two servers on one port of the same proxies, with protocols that do not go together, one is dropped",
    since: None,
    until: None,
    why: texts!("A21", "why.md"),
    wrong: texts!("A21", "wrong.yaml"),
    right: texts!("A21", "right.yaml"),
    check,
};

/// A server, its Gateway and its position there.
#[derive(Clone, Copy)]
struct On<'a> {
    gateway: &'a Gateway,
    server: &'a Server,
}

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let mut listeners: HashMap<(u32, &str), Vec<On<'_>>> = HashMap::new();
    for gateway in &mesh.resources.gateways {
        for server in &gateway.servers {
            let bind = server.bind.as_deref().unwrap_or_default();
            let own = On { gateway, server };
            let others = listeners.entry((server.port.value, bind)).or_default();
            let conflict = others.iter().find_map(|other| conflict(mesh, *other, own));
            if let Some(conflict) = conflict {
                report(&conflict, findings);
            }
            others.push(own);
        }
    }
}

/// What a server's bytes are, as far as merging goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Http,
    /// Told apart by SNI.
    Tls,
    Tcp,
}

fn class(server: &Server) -> Class {
    match server.protocol.as_str() {
        "HTTPS" | "TLS" => Class::Tls,
        _ if server.is_http() => Class::Http,
        _ => Class::Tcp,
    }
}

/// As istiod's `mergeGateways`: plain text that is there already takes only HTTP beside HTTP.
fn drops(first: Class, second: Class) -> bool {
    first != Class::Tls && (first, second) != (Class::Http, Class::Http)
}

struct Conflict<'a> {
    stays: On<'a>,
    dropped: On<'a>,
    level: Level,
    when: &'static str,
}

/// `one` stands before `other` in the input.
fn conflict<'a>(mesh: &Mesh<'_>, one: On<'a>, other: On<'a>) -> Option<Conflict<'a>> {
    let (first, second) = (class(one.server), class(other.server));
    let (forth, back) = (drops(first, second), drops(second, first));
    // Variants of one Gateway in several files take each other's place.
    let variants = !std::ptr::eq(one.gateway, other.gateway)
        && one.gateway.meta.is_same_object(&other.gateway.meta);
    if !(forth || back) || variants || !share(mesh, &one.gateway.selector, &other.gateway.selector)
    {
        return None;
    }
    let of = |stays, dropped, level, when| {
        Some(Conflict {
            stays,
            dropped,
            level,
            when,
        })
    };
    let before = match std::ptr::eq(one.gateway, other.gateway) {
        true => Some(true),
        false => one.gateway.meta.comes_before(&other.gateway.meta),
    };
    match (before, forth, back) {
        (Some(true), true, _) => of(one, other, Level::Error, ""),
        (Some(false), _, true) => of(other, one, Level::Error, ""),
        (Some(_), ..) => None,
        (None, true, true) => of(one, other, Level::Error, ", if it is the younger one"),
        // TLS that is there first leaves the rest of the port to plain text.
        (None, true, false) => of(one, other, Level::Warning, ", unless it is the older one"),
        (None, ..) => of(other, one, Level::Warning, ", unless it is the older one"),
    }
}

/// True where pods have both selectors' labels, as one selector within the other or a workload tells.
fn share(mesh: &Mesh<'_>, one: &Labels, other: &Labels) -> bool {
    let both = |it: &Labels| one.select(it) && other.select(it);
    both(one) || both(other) || {
        let differ =
            |(key, value): (&String, &String)| other.0.get(key).is_some_and(|it| it != value);
        let mut pods = mesh.selected_anywhere(one);
        !one.0.iter().any(differ) && pods.any(|it| other.select(&it.labels))
    }
}

fn report(conflict: &Conflict<'_>, findings: &mut Findings<'_>) {
    let (stays, dropped) = (conflict.stays, conflict.dropped);
    let port = dropped.server.port.value;
    let (own, theirs) = (&dropped.server.protocol.value, &stays.server.protocol.value);
    let host = dropped.server.names().next().unwrap_or("*");
    let name = &stays.gateway.meta.name.value;
    let when = conflict.when;
    finding(format!(
        "The {own} server for {host} is dropped{when}: the same proxies' port {port} is {theirs} for Gateway {name}, and \
         hosts do not tell the two apart"
    ))
    .level(conflict.level)
    .at(&dropped.gateway.meta, dropped.server.protocol.place, format!("{own} on port {port}"))
    .at(&stays.gateway.meta, stays.server.protocol.place, format!("{theirs} on port {port}"))
    .fix(findings, "Another port for one of the two, or proxies of its own");
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn gateway(name: &str, selector: &str, servers: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: {name}}}\nspec: {{selector: \
             {{{selector}}}, servers: [{servers}]}}\n---\n"
        )
    }

    fn server(protocol: &str, more: &str) -> String {
        format!(
            "{{port: {{number: 443, name: p, protocol: {protocol}}}, hosts: [{}.com]{more}}}",
            protocol.to_lowercase()
        )
    }

    fn two(one: &str, other: &str) -> String {
        gateway("a", "istio: ingressgateway", one) + &gateway("b", "istio: ingressgateway", other)
    }

    #[test]
    fn protocols_that_do_not_go_together() {
        for (one, other) in [
            ("HTTP", "HTTPS"),
            ("HTTPS", "HTTP"),
            ("TCP", "HTTP"),
            ("TCP", "TLS"),
            ("HTTP", "TCP"),
            ("TCP", "TCP"),
        ] {
            fires("A21", &two(&server(one, ""), &server(other, "")));
        }
        let one = gateway(
            "a",
            "istio: ingressgateway",
            &format!("{}, {}", server("HTTP", ""), server("HTTPS", "")),
        );
        fires("A21", &one);
        let wider = gateway("a", "app: gw", &server("HTTP", ""))
            + &gateway("b", "app: gw, istio: x", &server("TCP", ""));
        fires("A21", &wider);
    }

    #[test]
    fn protocols_that_do() {
        for (one, other) in [
            ("HTTP", "HTTP"),
            ("HTTP", "HTTP2"),
            ("HTTPS", "TLS"),
            ("HTTPS", "HTTPS"),
            ("GRPC", "http"),
        ] {
            silent("A21", &two(&server(one, ""), &server(other, "")));
        }
    }

    #[test]
    fn other_ports_proxies_or_addresses() {
        let (http, https) = (server("HTTP", ""), server("HTTPS", ""));
        silent("A21", &two(&http.replace("443", "80"), &https));
        silent(
            "A21",
            &(gateway("a", "istio: a", &http) + &gateway("b", "istio: b", &https)),
        );
        silent("A21", &two(&server("HTTP", ", bind: 10.0.0.1"), &https));
        // Served first, TLS leaves the rest of the port to plain text.
        silent(
            "A21",
            &gateway("a", "istio: a", &format!("{https}, {http}")),
        );
    }

    #[test]
    fn ages_decide_where_they_are_known() {
        let aged = |protocol: &str, year: u32| {
            gateway(&format!("y{year}"), "istio: a", &server(protocol, "")).replace(
                "metadata: {",
                &format!("metadata: {{creationTimestamp: '{year}-01-01T00:00:00Z', "),
            )
        };
        let found = fires("A21", &(aged("TCP", 2024) + &aged("HTTP", 2023)));
        assert!(found.message.starts_with("The TCP server"), "{found:?}");
        silent("A21", &(aged("HTTPS", 2023) + &aged("HTTP", 2024)));
    }
}

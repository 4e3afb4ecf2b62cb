//! A24: a delegate's route that istiod drops.

use std::collections::HashMap;

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, Delegate, HttpMatch, HttpRoute, Place, RouteTable, TextMatch};

pub(super) const RULE: Rule = Rule {
    id: "A24",
    name: "delegate-route-dropped",
    level: Level::Error,
    title: "A delegate's route whose match is not within the root's is dropped",
    since: None,
    until: None,
    why: texts!("A24", "why.md"),
    wrong: texts!("A24", "wrong.yaml"),
    right: texts!("A24", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let name = |it: &'_ RouteTable| (it.meta.namespace.clone(), it.meta.name.value.clone());
    let tables: HashMap<_, _> = mesh.virtual_services().map(|it| (name(it), it)).collect();
    for root in mesh.virtual_services().filter(|it| !it.hosts.is_empty()) {
        for route in &root.http {
            let Some(delegate) = &route.delegate else {
                continue;
            };
            let namespace = delegate.namespace.as_ref().unwrap_or(&root.meta.namespace);
            let key = (namespace.clone(), delegate.name.clone());
            match tables.get(&key) {
                Some(leaf) => check_pair(mesh, root, route, delegate, leaf, findings),
                None => findings.undecided(format!(
                    "VirtualService {}/{} is not in the input",
                    key.0, key.1
                )),
            }
        }
    }
}

fn check_pair(
    mesh: &Mesh<'_>,
    root: &RouteTable,
    route: &HttpRoute,
    delegate: &At<Delegate>,
    leaf: &RouteTable,
    findings: &mut Findings<'_>,
) {
    if let Some(host) = leaf.hosts.first() {
        let name = &leaf.meta.name.value;
        finding(format!(
            "The route is dropped: it delegates to {name}, and a VirtualService with hosts is no delegate"
        ))
        .at(&leaf.meta, host.place, "a delegate has no hosts")
        .at(&root.meta, delegate.place, "delegates to it")
        .fix(findings, format!("Take hosts and gateways out of {name}"));
        return;
    }
    if route.matches.is_empty() {
        return;
    }
    let gateways = Gateways { mesh, root, leaf };
    for dropped in &leaf.http {
        for own in &dropped.matches {
            let conflicts: Vec<_> = route
                .matches
                .iter()
                .map(|it| gateways.conflict(it, own))
                .collect();
            // One match of the root that takes it is enough.
            if conflicts.iter().any(Option::is_none) {
                continue;
            }
            let Some(conflict) = conflicts.into_iter().flatten().next() else {
                continue;
            };
            finding(format!(
                "This route of the delegate is dropped, and its requests get 404 or another route: {}",
                conflict.reason
            ))
            .at(&leaf.meta, conflict.leaf, "drops its whole route")
            .at(&root.meta, conflict.root, "the root's condition")
            .fix(findings, conflict.fix);
            break;
        }
    }
}

struct Conflict {
    root: Place,
    leaf: Place,
    reason: String,
    fix: String,
}

/// For the names of gateways, which are relative to each VirtualService's namespace.
struct Gateways<'a> {
    mesh: &'a Mesh<'a>,
    root: &'a RouteTable,
    leaf: &'a RouteTable,
}

impl Gateways<'_> {
    /// As istiod's `hasConflict`: the first condition of the leaf that is not within the root's.
    fn conflict(&self, root: &At<HttpMatch>, leaf: &At<HttpMatch>) -> Option<Conflict> {
        let texts = [
            ("uri", &root.uri, &leaf.uri),
            ("scheme", &root.scheme, &leaf.scheme),
            ("method", &root.method, &leaf.method),
            ("authority", &root.authority, &leaf.authority),
        ];
        let texts = texts
            .iter()
            .find_map(|(name, root, leaf)| of_texts(name, root.as_ref()?, leaf.as_ref()?));
        texts
            .or_else(|| of_named("header", &root.headers, &leaf.headers))
            .or_else(|| {
                of_named(
                    "header (withoutHeaders)",
                    &root.without_headers,
                    &leaf.without_headers,
                )
            })
            .or_else(|| of_named("query parameter", &root.query, &leaf.query))
            .or_else(|| of_scalars(root, leaf))
            .or_else(|| self.of_gateways(root, leaf))
    }

    fn of_gateways(&self, root: &At<HttpMatch>, leaf: &At<HttpMatch>) -> Option<Conflict> {
        let name = |table: &RouteTable, it: &At<String>| self.mesh.gateway_name(it, &table.meta);
        let roots: Vec<_> = root.gateways.iter().map(|it| name(self.root, it)).collect();
        let beyond = |it: &&At<String>| !roots.contains(&name(self.leaf, it));
        let beyond = leaf.gateways.iter().find(beyond)?;
        let first = root.gateways.first()?;
        Some(Conflict {
            root: first.place,
            leaf: beyond.place,
            reason: format!("gateway {} is not among the root's", beyond.value),
            fix: "Only gateways of the root's match, or none".to_owned(),
        })
    }
}

fn of_texts(name: &str, root: &At<TextMatch>, leaf: &At<TextMatch>) -> Option<Conflict> {
    let reason = match (&root.value, &leaf.value) {
        (TextMatch::Regex(_), _)
        | (_, TextMatch::Regex(_))
        | (TextMatch::Present, _)
        | (_, TextMatch::Present) => {
            "a regex on either side beside a condition on the other is a conflict"
        }
        (TextMatch::Exact(_), TextMatch::Prefix(_)) => "an exact root takes no prefix",
        (TextMatch::Exact(root), TextMatch::Exact(leaf)) if root != leaf => {
            "the root takes another text only"
        }
        (TextMatch::Prefix(root), TextMatch::Prefix(leaf) | TextMatch::Exact(leaf))
            if !leaf.starts_with(root) =>
        {
            "the root takes only what starts with its prefix"
        }
        _ => return None,
    };
    let fix = match &root.value {
        TextMatch::Prefix(prefix) => {
            format!("{name}: a prefix or exact value that starts with {prefix}, or none")
        }
        _ => {
            format!("{name} in only one of the two, or a prefix in the root and a longer one here")
        }
    };
    Some(Conflict {
        root: root.place,
        leaf: leaf.place,
        reason: format!(
            "{name} is {} here and {} in the root, and {reason}",
            leaf.value, root.value
        ),
        fix,
    })
}

type NamedText = (String, At<TextMatch>);

fn of_named(kind: &str, root: &[NamedText], leaf: &[NamedText]) -> Option<Conflict> {
    leaf.iter().find_map(|(name, leaf)| {
        let (_, root) = root.iter().find(|(other, _)| other == name)?;
        of_texts(&format!("{kind} {name}"), root, leaf)
    })
}

fn of_scalars(root: &At<HttpMatch>, leaf: &At<HttpMatch>) -> Option<Conflict> {
    if root.ignore_uri_case != leaf.ignore_uri_case {
        let (has, lacks) = match root.ignore_uri_case {
            true => ("the root", "here"),
            false => ("this match", "in the root"),
        };
        return Some(Conflict {
            root: root.place,
            leaf: leaf.place,
            reason: format!(
                "ignoreUriCase is true in {has} and absent {lacks}, and both must be equal"
            ),
            fix: "ignoreUriCase: true in both".to_owned(),
        });
    }
    let port = root
        .port
        .filter(|it| it.value > 0)
        .zip(leaf.port.filter(|it| it.value > 0));
    if let Some((root, leaf)) = port.filter(|(root, leaf)| root.value != leaf.value) {
        return Some(Conflict {
            root: root.place,
            leaf: leaf.place,
            reason: format!("port is {} here and {} in the root", leaf.value, root.value),
            fix: format!("port: {}, or none", root.value),
        });
    }
    if let Some(namespace) = root.source_namespace.as_ref().filter(|it| !it.is_empty()) {
        let own = leaf.source_namespace.as_ref();
        if own.is_none_or(|it| it.value != namespace.value) {
            let said = own.map_or("absent", |it| it.as_str());
            return Some(Conflict {
                root: namespace.place,
                leaf: own.map_or(leaf.place, |it| it.place),
                reason: format!(
                    "sourceNamespace is {} in the root and {said} here, and it must be repeated",
                    namespace.value
                ),
                fix: format!("sourceNamespace: {} here too", namespace.value),
            });
        }
    }
    let (root, leaf) = (root.source_labels.as_ref()?, leaf.source_labels.as_ref()?);
    let differs =
        |(key, value): &(&String, &String)| root.0.get(*key).is_some_and(|it| it != *value);
    let (key, value) = leaf.0.iter().find(differs)?;
    Some(Conflict {
        root: root.place,
        leaf: leaf.place,
        reason: format!("the source's label {key} is {value} here and another in the root"),
        fix: format!("The root's value of {key}, or none"),
    })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn both(root: &str, leaf: &str) -> String {
        let vs = |name: &str, spec: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: a}}\nspec: \
                 {{{spec}}}\n---\n"
            )
        };
        vs(
            "root",
            &format!("hosts: [x.com], gateways: [g], http: [{{{root}delegate: {{name: leaf}}}}]"),
        ) + &vs(
            "leaf",
            &format!("http: [{{{leaf}route: [{{destination: {{host: web}}}}]}}]"),
        )
    }

    fn matches(text: &str) -> String {
        match text {
            "" => String::new(),
            _ => format!("match: [{text}], "),
        }
    }

    #[test]
    fn not_within_the_root() {
        for (root, leaf) in [
            ("{uri: {regex: '/a/.*'}}", "{uri: {prefix: /a/b}}"),
            ("{uri: {prefix: /a}}", "{uri: {regex: '/a/.*'}}"),
            ("{uri: {exact: /a}}", "{uri: {prefix: /a}}"),
            ("{uri: {exact: /a}}", "{uri: {exact: /b}}"),
            ("{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}"),
            ("{uri: {prefix: /a}}", "{uri: {exact: /b}}"),
            ("{sourceNamespace: x}", "{uri: {prefix: /a}}"),
            (
                "{uri: {prefix: /a}, ignoreUriCase: true}",
                "{uri: {prefix: /a}}",
            ),
            (
                "{uri: {prefix: /a}}",
                "{uri: {prefix: /a}, ignoreUriCase: true}",
            ),
            ("{headers: {x: {exact: a}}}", "{headers: {x: {exact: b}}}"),
            (
                "{headers: {x: {regex: a.*}}}",
                "{headers: {x: {exact: ab}}}",
            ),
            ("{gateways: [g]}", "{gateways: [h]}"),
            ("{port: 80}", "{port: 81}"),
            ("{sourceLabels: {app: x}}", "{sourceLabels: {app: y}}"),
            (
                "{uri: {prefix: /a}}, {uri: {prefix: /b}}",
                "{uri: {prefix: /c}}",
            ),
            (
                "{uri: {prefix: /a}}",
                "{uri: {prefix: /a/b}}, {uri: {prefix: /c}}",
            ),
        ] {
            fires("A24", &both(&matches(root), &matches(leaf)));
        }
    }

    #[test]
    fn within_the_root() {
        for (root, leaf) in [
            ("", "{uri: {regex: '/a/.*'}}"),
            ("{uri: {regex: '/a/.*'}}", ""),
            ("{uri: {regex: '/a/.*'}}", "{headers: {x: {exact: a}}}"),
            ("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}"),
            ("{uri: {prefix: /a}}", "{uri: {exact: /a}}"),
            ("{uri: {exact: /a}}", "{uri: {exact: /a}}"),
            (
                "{uri: {prefix: /a}}, {uri: {prefix: /b}}",
                "{uri: {prefix: /b/c}}",
            ),
            (
                "{sourceNamespace: x}",
                "{sourceNamespace: x, uri: {prefix: /a}}",
            ),
            ("{headers: {x: {exact: a}}}", "{headers: {y: {regex: a.*}}}"),
            ("{gateways: [g, h]}", "{gateways: [a/h]}"),
            ("{sourceLabels: {app: x}}", "{sourceLabels: {version: y}}"),
        ] {
            silent("A24", &both(&matches(root), &matches(leaf)));
        }
    }

    #[test]
    fn a_delegate_has_no_hosts() {
        fires(
            "A24",
            &both("", "").replace("spec: {http", "spec: {hosts: [y.com], http"),
        );
    }
}

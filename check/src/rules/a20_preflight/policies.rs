//! Policies of a gateway that ask every request for a token.

use std::collections::BTreeMap;

use super::OPTIONS;
use crate::finding::{Findings, finding};
use crate::mesh::Mesh;
use crate::model::{
    At, AuthorizationPolicy, AuthorizationRule, Gateway, Operation, Place, PolicyKind, RouteTable,
    Selected, Source, TextMatch,
};

/// A route with a CORS policy.
#[derive(Clone, Copy)]
struct Answering<'a> {
    table: &'a RouteTable,
    place: Place,
    /// Paths of its matches; none: every path.
    path: Option<&'a TextMatch>,
}

pub(super) fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let mut gateways: BTreeMap<String, Vec<Answering<'_>>> = BTreeMap::new();
    for table in mesh.virtual_services() {
        let routes = table.http.iter().filter(|it| !it.answers);
        for (route, cors) in routes.filter_map(|it| Some((it, it.cors.as_ref()?))) {
            let answering = Answering {
                table,
                place: cors.place,
                path: route
                    .matches
                    .first()
                    .and_then(|it| it.uri.as_ref())
                    .map(|it| &it.value),
            };
            for name in table.real_gateways() {
                let name = mesh.gateway_name(name, &table.meta);
                gateways.entry(name).or_default().push(answering);
            }
        }
    }
    let mut said: Vec<Place> = Vec::new();
    for (name, routes) in gateways {
        let Some(gateway) = mesh.gateway_of_name(&name) else {
            continue;
        };
        let pods = mesh.namespaces_with(&gateway.selector);
        let policies = mesh
            .resources
            .policies
            .iter()
            .filter_map(|it| match &it.kind {
                PolicyKind::Authorization(authorization) if applies(mesh, it, gateway, &pods) => {
                    Some((it, authorization))
                }
                _ => None,
            });
        let policies: Vec<_> = policies.collect();
        let found = denied(&policies, &routes).or_else(|| not_allowed(&policies, &routes));
        if let Some(found) = found.filter(|it| !said.contains(&it.place)) {
            said.push(found.place);
            report(gateway, &found, findings);
        }
    }
}

/// True where the policy holds for the gateway's pods.
fn applies(mesh: &Mesh<'_>, policy: &Selected, gateway: &Gateway, pods: &[&str]) -> bool {
    if policy.target.by_reference || gateway.selector.is_empty() {
        return false;
    }
    let namespace = policy.meta.namespace.as_str();
    let here = match pods.is_empty() {
        true => policy.target.selector.is_some() && namespace == gateway.meta.namespace,
        false => pods.contains(&namespace),
    };
    if namespace != mesh.root_namespace() && !here {
        return false;
    }
    policy.target.selector.as_ref().is_none_or(|selector| {
        let mut pods = mesh.selected_anywhere(&gateway.selector);
        selector.select(&gateway.selector) || pods.any(|it| selector.select(&it.labels))
    })
}

type Policy<'a> = (&'a Selected, &'a AuthorizationPolicy);

struct Refused<'a> {
    policy: &'a Selected,
    place: Place,
    why: &'static str,
    route: Answering<'a>,
    fix: &'static str,
}

fn action(policy: &AuthorizationPolicy) -> &str {
    policy.action.as_ref().map_or("ALLOW", |it| it.as_str())
}

/// A rule that denies whoever has no token, whatever the method.
fn denied<'a>(policies: &[Policy<'a>], routes: &[Answering<'a>]) -> Option<Refused<'a>> {
    let denying = policies.iter().filter(|it| action(it.1) == "DENY");
    let mut rules =
        denying.flat_map(|(policy, it)| it.rules.iter().map(move |rule| (*policy, rule)));
    rules.find_map(|(policy, rule)| {
        let place = without_token(rule)?;
        let route = routes.iter().find(|it| takes(rule, it))?;
        Some(Refused {
            policy,
            place,
            why: "this rule denies requests without a token, OPTIONS among them",
            route: *route,
            fix: "notMethods: [OPTIONS] in the rule's operation",
        })
    })
}

/// Where the rule is for requests without a token.
fn without_token(rule: &AuthorizationRule) -> Option<Place> {
    let any = |it: &Source| {
        let all = it.not_request_principals.iter().find(|it| it.value == "*");
        all.map(|it| it.place)
    };
    let claim = rule
        .when
        .iter()
        .find(|it| it.key.starts_with("request.auth.") && it.values.is_empty());
    let claim = claim
        .and_then(|it| it.not_values.first())
        .map(|it| it.place);
    rule.from.iter().find_map(any).or(claim)
}

/// Where the input has rules that allow, and none of them allows a preflight.
fn not_allowed<'a>(policies: &[Policy<'a>], routes: &[Answering<'a>]) -> Option<Refused<'a>> {
    let allowing = policies.iter().filter(|it| action(it.1) == "ALLOW");
    let rules: Vec<_> = allowing
        .flat_map(|(policy, it)| it.rules.iter().map(move |rule| (*policy, rule)))
        .collect();
    let (policy, place) = rules
        .iter()
        .find_map(|(policy, rule)| Some((*policy, needs_token(rule)?)))?;
    let allowed = |route: &&Answering<'_>| {
        rules
            .iter()
            .any(|(_, rule)| needs_token(rule).is_none() && takes(rule, route))
    };
    let route = routes.iter().find(|it| !allowed(it))?;
    Some(Refused {
        policy,
        place,
        why: "no rule allows OPTIONS without a token",
        route: *route,
        fix: "One more rule, for OPTIONS alone: to: [{operation: {methods: [OPTIONS]}}]",
    })
}

/// Where the rule asks for a token; none where some source may have none.
fn needs_token(rule: &AuthorizationRule) -> Option<Place> {
    let claim = rule
        .when
        .iter()
        .find(|it| it.key.starts_with("request.auth.") && !it.values.is_empty());
    let claim = claim.and_then(|it| it.values.first()).map(|it| it.place);
    let every =
        !rule.from.is_empty() && rule.from.iter().all(|it| !it.request_principals.is_empty());
    let first = rule
        .from
        .first()
        .and_then(|it| it.request_principals.first());
    claim.or(first.filter(|_| every).map(|it| it.place))
}

/// True where a preflight for the route's path is one of the rule's operations.
fn takes(rule: &AuthorizationRule, route: &Answering<'_>) -> bool {
    let method = |it: &Operation| {
        let listed = |all: &[At<String>]| {
            all.iter()
                .any(|it| matches!(it.as_str(), OPTIONS | "*" | "OPTION*"))
        };
        (it.methods.is_empty() || listed(&it.methods)) && !listed(&it.not_methods)
    };
    let path =
        |it: &Operation| it.paths.is_empty() || it.paths.iter().any(|it| overlap(it, route.path));
    rule.to.is_empty() || rule.to.iter().any(|it| method(it) && path(it))
}

/// True where a path of the route may match the pattern.
fn overlap(pattern: &str, path: Option<&TextMatch>) -> bool {
    let (text, exact) = match path {
        Some(TextMatch::Exact(text)) => (text.as_str(), true),
        Some(TextMatch::Prefix(text) | TextMatch::Segments(text)) => (text.as_str(), false),
        Some(TextMatch::Regex(_) | TextMatch::Present) | None => return true,
    };
    if pattern.starts_with('*') || pattern.contains('{') {
        return true;
    }
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start) || (!exact && start.starts_with(text)),
        None => pattern == text || (!exact && pattern.starts_with(text)),
    }
}

fn report(gateway: &Gateway, found: &Refused<'_>, findings: &mut Findings<'_>) {
    let name = &gateway.meta.name.value;
    finding(format!(
        "Preflights through Gateway {name} get 403: {}, and policies are asked before corsPolicy answers",
        found.why
    ))
    .at(&found.policy.meta, found.place, "a preflight has no token")
    .at(&found.route.table.meta, found.route.place, "never sees the preflight")
    .fix(findings, found.fix);
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    const ROUTES: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: edge}\nspec: {selector: \
                          {istio: gw}, servers: []}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: \
                          {name: v, namespace: a}\nspec: {hosts: [x.com], gateways: [edge/g], http: [{match: [{uri: {prefix: \
                          /api}}], corsPolicy: {allowOrigins: [{exact: 'https://a.com'}]}, route: [{destination: {host: \
                          a}}]}]}\n---\n";

    fn policy(action: &str, rules: &str) -> String {
        format!(
            "{ROUTES}apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: \
             istio-system}}\nspec: {{selector: {{matchLabels: {{istio: gw}}}}, action: {action}, rules: [{rules}]}}\n"
        )
    }

    const ANY: &str = "from: [{source: {requestPrincipals: ['*']}}]";
    const NONE: &str = "from: [{source: {notRequestPrincipals: ['*']}}]";

    #[test]
    fn a_token_is_asked_for() {
        fires("A20", &policy("ALLOW", &format!("{{{ANY}}}")));
        fires(
            "A20",
            &policy(
                "ALLOW",
                "{when: [{key: 'request.auth.claims[groups]', values: [a]}]}",
            ),
        );
        fires(
            "A20",
            &policy(
                "ALLOW",
                &format!("{{{ANY}}}, {{to: [{{operation: {{paths: [/healthz]}}}}]}}"),
            ),
        );
        fires("A20", &policy("DENY", &format!("{{{NONE}}}")));
        fires(
            "A20",
            &policy(
                "DENY",
                &format!("{{{NONE}, to: [{{operation: {{paths: ['/api*']}}}}]}}"),
            ),
        );
        fires(
            "A20",
            &policy("DENY", &format!("{{{NONE}}}"))
                .replace("namespace: istio-system", "namespace: edge"),
        );
        fires(
            "A20",
            &policy("DENY", &format!("{{{NONE}}}"))
                .replace("selector: {matchLabels: {istio: gw}}, ", ""),
        );
    }

    #[test]
    fn preflights_are_exempt() {
        silent(
            "A20",
            &policy(
                "ALLOW",
                &format!("{{{ANY}}}, {{to: [{{operation: {{methods: [OPTIONS]}}}}]}}"),
            ),
        );
        silent(
            "A20",
            &policy(
                "ALLOW",
                &format!("{{{ANY}}}, {{to: [{{operation: {{paths: ['/api/*']}}}}]}}"),
            ),
        );
        silent(
            "A20",
            &policy("ALLOW", "{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}"),
        );
        silent(
            "A20",
            &policy(
                "DENY",
                &format!("{{{NONE}, to: [{{operation: {{notMethods: [OPTIONS]}}}}]}}"),
            ),
        );
        silent(
            "A20",
            &policy(
                "DENY",
                &format!("{{{NONE}, to: [{{operation: {{methods: [GET, POST]}}}}]}}"),
            ),
        );
        silent(
            "A20",
            &policy(
                "DENY",
                &format!("{{{NONE}, to: [{{operation: {{paths: ['/admin*']}}}}]}}"),
            ),
        );
    }

    #[test]
    fn policies_of_others() {
        let deny = policy("DENY", &format!("{{{NONE}}}"));
        silent(
            "A20",
            &deny.replace("namespace: istio-system", "namespace: a"),
        );
        silent(
            "A20",
            &deny.replace("matchLabels: {istio: gw}", "matchLabels: {app: a}"),
        );
        silent(
            "A20",
            &deny.replace(
                "corsPolicy: {allowOrigins: [{exact: 'https://a.com'}]}, ",
                "",
            ),
        );
        silent("A20", &deny.replace("gateways: [edge/g], ", ""));
    }
}

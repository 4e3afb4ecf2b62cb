//! A26: an asterisk that is taken literally.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, AuthorizationPolicy, AuthorizationRule, Condition, PolicyKind, Selected};
use crate::version::Version;

pub(super) const RULE: Rule = Rule {
    id: "A26",
    name: "literal-asterisk",
    level: Level::Error,
    title: "An asterisk that is neither first nor last in a value of an AuthorizationPolicy stands for itself",
    since: None,
    until: None,
    why: texts!("A26", "why.md"),
    wrong: texts!("A26", "wrong.yaml"),
    right: texts!("A26", "right.yaml"),
    check,
};

/// The first Istio that knows `{*}` and `{**}` in paths.
const TEMPLATES: Version = Version::istio(22);

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for policy in &mesh.resources.policies {
        if let PolicyKind::Authorization(authorization) = &policy.kind {
            for rule in &authorization.rules {
                check_rule(mesh, policy, authorization, rule, findings);
            }
        }
    }
}

/// What a rule does with what a value names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    /// It holds for that.
    Named,
    /// It holds for all but that.
    Excepted,
}

/// How the asterisks of a field are read.
#[derive(Clone, Copy)]
enum Field {
    Path,
    Text,
    Token,
}

fn check_rule(
    mesh: &Mesh<'_>,
    policy: &Selected,
    authorization: &AuthorizationPolicy,
    rule: &AuthorizationRule,
    findings: &mut Findings<'_>,
) {
    let operations = rule.to.iter().flat_map(|it| {
        [
            ("paths", Field::Path, Sense::Named, &it.paths),
            ("notPaths", Field::Path, Sense::Excepted, &it.not_paths),
            ("hosts", Field::Text, Sense::Named, &it.hosts),
            ("notHosts", Field::Text, Sense::Excepted, &it.not_hosts),
        ]
    });
    let sources = rule.from.iter().flat_map(|it| {
        [
            ("principals", Field::Text, Sense::Named, &it.principals),
            (
                "notPrincipals",
                Field::Text,
                Sense::Excepted,
                &it.not_principals,
            ),
            (
                "requestPrincipals",
                Field::Token,
                Sense::Named,
                &it.request_principals,
            ),
            (
                "notRequestPrincipals",
                Field::Token,
                Sense::Excepted,
                &it.not_request_principals,
            ),
        ]
    });
    let conditions = rule
        .when
        .iter()
        .filter_map(|it| Some((it, of_condition(it)?)));
    let conditions = conditions.flat_map(|(it, field)| {
        let key = it.key.as_str();
        [
            (key, field, Sense::Named, &it.values),
            (key, field, Sense::Excepted, &it.not_values),
        ]
    });
    for (name, field, sense, values) in operations.chain(sources).chain(conditions) {
        let literal = |it: &&At<String>| has_literal(field, it, mesh.version);
        if let Some(value) = values.iter().find(literal) {
            report(
                policy,
                authorization,
                rule,
                (name, field, sense, value),
                findings,
            );
        }
    }
}

/// Attributes whose values are read as texts. A namespace's asterisk counts anywhere.
fn of_condition(condition: &Condition) -> Option<Field> {
    let key = condition.key.as_str();
    let texts = [
        "request.headers[",
        "request.auth.claims[",
        "source.principal",
        "connection.sni",
    ];
    match key {
        "request.auth.principal" => Some(Field::Token),
        _ if texts.iter().any(|it| key.starts_with(it)) => Some(Field::Text),
        _ => None,
    }
}

fn has_literal(field: Field, value: &str, version: Version) -> bool {
    match field {
        Field::Path
            if version >= TEMPLATES && (value.contains("{*}") || value.contains("{**}")) =>
        {
            false
        }
        Field::Path | Field::Text => in_text(value),
        Field::Token => in_token(value),
    }
}

/// As istiod: alone it is any text, first it is any start, else last it is any end; all others are literal.
fn in_text(value: &str) -> bool {
    let rest = match value.strip_prefix('*') {
        Some(rest) => rest,
        None => value.strip_suffix('*').unwrap_or(value),
    };
    rest.contains('*')
}

/// The issuer and the subject are compared each by itself, and only the one at the asterisk's end is open.
fn in_token(value: &str) -> bool {
    match value.rsplit_once('/') {
        Some((issuer, subject)) if value.starts_with('*') => {
            issuer.get(1..).is_some_and(|it| it.contains('*')) || subject.contains('*')
        }
        _ => in_text(value),
    }
}

fn report(
    policy: &Selected,
    authorization: &AuthorizationPolicy,
    rule: &AuthorizationRule,
    (name, field, sense, value): (&str, Field, Sense, &At<String>),
    findings: &mut Findings<'_>,
) {
    let text = &value.value;
    let action = authorization.action.as_ref();
    let verb = match action.map(|it| it.as_str()) {
        None | Some("ALLOW") => "allows",
        Some("DENY") => "denies",
        Some("AUDIT") => "audits",
        Some(_) => "asks about",
    };
    let templated = text.replace("{*}", "*").replace("{**}", "*");
    let fix = match field {
        Field::Path if matches!(templated.matches('*').count(), 1..) && text.starts_with('/') => {
            let segments: Vec<_> = text
                .split('/')
                .map(|it| if it == "*" { "{*}" } else { it })
                .collect();
            let last = text.ends_with("/*") || text.ends_with("/**");
            let mut path = segments.join("/");
            if last {
                path = path
                    .trim_end_matches("{*}")
                    .trim_end_matches("**")
                    .to_owned()
                    + "{**}";
            }
            format!("{path}, since Istio {TEMPLATES}")
        }
        _ => "One value for each case, with the asterisk only first or only last".to_owned(),
    };
    let (does, label) = match sense {
        Sense::Named => (verb, format!("{verb} only the literal text")),
        Sense::Excepted => ("excepts", format!("{verb} all but the literal text")),
    };
    let place = action.map_or(rule.place, |action| action.place);
    finding(format!(
        "{name} {text} {does} only what has an asterisk in that place: only one at the start or at the end stands for \
         other text"
    ))
    .at(&policy.meta, value.place, "this asterisk is literal")
    .at(&policy.meta, place, label)
    .fix(findings, fix);
}

#[cfg(test)]
mod tests {
    use crate::check::Options;
    use crate::rules::testing::{findings_with, fires, silent};

    fn policy(rule: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  \
             action: DENY\n  rules:\n  - {rule}\n"
        )
    }

    fn path(path: &str) -> String {
        policy(&format!("to: [{{operation: {{paths: ['{path}']}}}}]"))
    }

    #[test]
    fn inside_a_value() {
        for value in ["/api/*/users", "*/admin/*", "/a*b*", "/api/*.html"] {
            fires("A26", &path(value));
        }
        fires(
            "A26",
            &policy("to: [{operation: {hosts: ['api.*.example.com']}}]"),
        );
        fires(
            "A26",
            &policy("to: [{operation: {notPaths: ['/api/*/public']}}]"),
        );
        fires(
            "A26",
            &policy("from: [{source: {principals: ['cluster.local/ns/*/sa/a']}}]"),
        );
        fires(
            "A26",
            &policy("from: [{source: {principals: ['*/ns/a/*']}}]"),
        );
        fires(
            "A26",
            &policy("from: [{source: {requestPrincipals: ['*/*']}}]"),
        );
        fires(
            "A26",
            &policy("when: [{key: 'request.headers[x]', values: ['a*b']}]"),
        );
    }

    #[test]
    fn what_is_left_out_is_said_to_be() {
        let found = fires("A26", &policy("to: [{operation: {notPaths: ['/dex/**']}}]"));
        assert!(found.message.starts_with("notPaths /dex/** excepts only"));
        assert_eq!(found.marks[1].label, "denies all but the literal text");
    }

    #[test]
    fn first_last_or_alone() {
        for value in [
            "*",
            "/api/*",
            "*.html",
            "/api*",
            "*/info",
            "/plain",
            "/api/{*}/users",
            "/api/{**}",
        ] {
            silent("A26", &path(value));
        }
        silent(
            "A26",
            &policy("from: [{source: {principals: ['*', 'a/ns/b/*', '*/sa/c']}}]"),
        );
        silent(
            "A26",
            &policy("from: [{source: {requestPrincipals: ['*', 'https://a/*', '*/sub']}}]"),
        );
    }

    #[test]
    fn a_namespace_takes_one_anywhere() {
        silent("A26", &policy("from: [{source: {namespaces: ['a-*-b']}}]"));
        silent(
            "A26",
            &policy("when: [{key: source.namespace, values: ['a-*-b']}]"),
        );
    }

    #[test]
    fn templates_were_literal_before_1_22() {
        let options = Options {
            istio: "1.21".parse().unwrap(),
            ..Options::default()
        };
        assert_eq!(findings_with(&path("/api/{*}/users"), &options).len(), 1);
    }
}

//! A20: a CORS policy whose preflight is refused.

mod policies;

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::{Covering, Mesh};
use crate::model::{At, Cors, HttpMatch, HttpRoute, RouteTable, TextMatch};

pub(super) const RULE: Rule = Rule {
    id: "A20",
    name: "preflight-refused",
    level: Level::Error,
    title: "A browser's preflight is an OPTIONS request without a token, and it is refused before corsPolicy answers it",
    since: None,
    until: None,
    why: texts!("A20", "why.md"),
    wrong: texts!("A20", "wrong.yaml"),
    right: texts!("A20", "right.yaml"),
    check,
};

const OPTIONS: &str = "OPTIONS";

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in mesh.virtual_services() {
        if table.http.iter().any(|it| it.cors.is_some()) {
            check_table(table, findings);
        }
    }
    policies::check(mesh, findings);
}

/// The matches of a table that take OPTIONS, and the route of each.
struct Preflights<'a> {
    covering: Covering<'a>,
    routes: Vec<&'a HttpRoute>,
    catch_all: Option<&'a HttpRoute>,
}

fn check_table(table: &RouteTable, findings: &mut Findings<'_>) {
    let mut preflights = Preflights {
        covering: Covering::default(),
        routes: Vec::new(),
        catch_all: None,
    };
    for route in &table.http {
        if route.matches.is_empty() {
            preflights.catch_all = Some(route);
            break;
        }
        for one in &route.matches {
            match &one.method {
                None => {
                    preflights.covering.add(one);
                    preflights.routes.push(route);
                }
                // Who names OPTIONS has thought of it.
                Some(method) if takes_options(method) => return,
                Some(_) => {}
            }
        }
    }
    for route in &table.http {
        let Some(cors) = route.cors.as_ref().filter(|_| !route.answers) else {
            continue;
        };
        let refused = route
            .matches
            .iter()
            .find_map(|one| Some((one, one.method.as_ref()?)));
        if let Some((one, method)) = refused {
            check_match(table, cors, one, method, &preflights, findings);
        }
    }
}

/// In doubt true.
fn takes_options(method: &TextMatch) -> bool {
    method.matches(OPTIONS).unwrap_or(true)
}

fn check_match(
    table: &RouteTable,
    cors: &At<Cors>,
    one: &At<HttpMatch>,
    method: &At<TextMatch>,
    preflights: &Preflights<'_>,
    findings: &mut Findings<'_>,
) {
    let preflight = HttpMatch {
        method: Some(At {
            place: method.place,
            value: TextMatch::Exact(OPTIONS.to_owned()),
        }),
        ..one.value.clone()
    };
    let taken = preflights.covering.first(&preflight, |_| true);
    let taken = taken.and_then(|number| preflights.routes.get(number).copied());
    let taken = taken.or(preflights.catch_all);
    // The route that takes it may answer it as well.
    if taken.is_some_and(|it| it.cors.is_some()) {
        return;
    }
    let level = match (simple(method, cors), taken) {
        // A browser asks first only for what a form could not send.
        (true, _) => Level::Info,
        (false, Some(_)) => Level::Warning,
        (false, None) => Level::Error,
    };
    let outcome = match taken {
        None => "gets 404",
        Some(_) => "takes another route, which has no corsPolicy",
    };
    let text = &method.value;
    finding(format!(
        "The preflight of this corsPolicy {outcome}: it is an OPTIONS request, and the route takes the method {text} only"
    ))
    .level(level)
    .at(&table.meta, method.place, "does not take OPTIONS")
    .at(&table.meta, cors.place, "answers a preflight only on this route")
    .fix(findings, "No method in the match, or one more match with method: {exact: OPTIONS}");
}

/// True for requests that a browser sends without asking first.
fn simple(method: &TextMatch, cors: &Cors) -> bool {
    let plain = |it: &String| matches!(it.as_str(), "GET" | "HEAD");
    let method = match method {
        TextMatch::Exact(method) => plain(method),
        _ => false,
    };
    method && cors.allow_headers.is_empty() && cors.allow_methods.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent, virtual_service};

    const CORS: &str = "corsPolicy: {allowOrigins: [{exact: 'https://a.com'}], allowMethods: [GET, POST], allowHeaders: [x-a]}";
    const ROUTE: &str = "route: [{destination: {host: reviews}}]";

    fn routes(matches: &str, more: &str) -> String {
        virtual_service(&format!(
            "http: [{{match: [{matches}], {CORS}, {ROUTE}}}{more}]"
        ))
    }

    #[test]
    fn methods_without_options() {
        for matches in [
            "{method: {exact: POST}}",
            "{method: {regex: GET|POST}}",
            "{method: {exact: GET}, uri: {prefix: /api}}",
            "{method: {exact: GET}}, {method: {exact: POST}}",
        ] {
            let found = fires("A20", &routes(matches, ""));
            assert!(found.message.contains("gets 404"), "{found:?}");
        }
        let found = fires(
            "A20",
            &routes("{method: {exact: POST}}", &format!(", {{{ROUTE}}}")),
        );
        assert!(found.message.contains("takes another route"), "{found:?}");
    }

    #[test]
    fn the_preflight_is_answered() {
        silent("A20", &routes("{uri: {prefix: /}}", ""));
        silent("A20", &routes("{method: {regex: GET|POST|OPTIONS}}", ""));
        silent(
            "A20",
            &routes("{method: {exact: POST}}, {method: {exact: OPTIONS}}", ""),
        );
        silent(
            "A20",
            &routes("{method: {exact: POST}}", &format!(", {{{CORS}, {ROUTE}}}")),
        );
        silent(
            "A20",
            &routes(
                "{method: {exact: POST}}",
                &format!(", {{match: [{{method: {{exact: OPTIONS}}}}], {ROUTE}}}"),
            ),
        );
        silent(
            "A20",
            &routes("{method: {exact: POST}}", "").replace(CORS, "timeout: 1s"),
        );
    }

    #[test]
    fn without_a_preflight_nothing_is_refused() {
        let simple = "corsPolicy: {allowOrigins: [{exact: 'https://a.com'}], allowMethods: [GET]}";
        silent(
            "A20",
            &routes("{method: {exact: GET}}", "").replace(CORS, simple),
        );
    }
}

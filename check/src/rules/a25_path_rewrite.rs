//! A25: a path rewrite that gives another path than it looks like.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::{Covering, Mesh};
use crate::model::{Api, At, HttpMatch, HttpRoute, Place, RouteTable, TextMatch};

pub(super) const RULE: Rule = Rule {
    id: "A25",
    name: "rewrite-joins-wrongly",
    level: Level::Warning,
    title: "The text of rewrite.uri takes the place of the matched text, slashes or not",
    since: None,
    until: None,
    why: texts!("A25", "why.md"),
    wrong: texts!("A25", "wrong.yaml"),
    right: texts!("A25", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let tables = mesh.resources.routes.iter();
    for table in tables.filter(|it| it.api == Api::Istio) {
        let mut earlier = Covering::default();
        for route in &table.http {
            check_route(table, route, &mut earlier, findings);
        }
    }
}

/// A path, and what the destination gets.
struct Sent {
    matched: (Place, String),
    outcome: String,
    fix: String,
}

fn check_route<'a>(
    table: &RouteTable,
    route: &'a HttpRoute,
    earlier: &mut Covering<'a>,
    findings: &mut Findings<'_>,
) {
    let mut sent = route
        .matches
        .is_empty()
        .then(|| rewritten(route).and_then(|uri| whole_path(table, route.place, uri)))
        .flatten();
    for one in &route.matches {
        if let Some(uri) = rewritten(route).filter(|_| sent.is_none()) {
            sent = of_match(table, one, uri, earlier);
        }
        earlier.add(one);
    }
    let (Some(sent), Some(uri)) = (sent, rewritten(route)) else {
        return;
    };
    finding(sent.outcome)
        .at(
            &table.meta,
            uri.place,
            "takes the place of the matched text",
        )
        .at(&table.meta, sent.matched.0, sent.matched.1)
        .fix(findings, sent.fix);
}

/// The text of the rewrite. A route that delegates may leave the path to the delegate's matches.
fn rewritten(route: &HttpRoute) -> Option<&At<String>> {
    let rewrite = route.rewrite.as_ref().filter(|it| !it.by_regex)?;
    let applies = !route.answers && route.delegate.is_none();
    rewrite.uri.as_ref().filter(|_| applies)
}

fn of_match(
    table: &RouteTable,
    one: &At<HttpMatch>,
    uri: &At<String>,
    earlier: &Covering<'_>,
) -> Option<Sent> {
    let Some(path) = &one.uri else {
        return whole_path(table, one.place, uri);
    };
    match &path.value {
        TextMatch::Prefix(prefix) => {
            let (request, result, fix) = joined(prefix, uri)?;
            let mut longer = one.value.clone();
            longer.uri = Some(At {
                place: path.place,
                value: TextMatch::Prefix(format!("{prefix}/")),
            });
            // `/api/` first and `/api` behind it: the second takes only `/api` itself.
            let taken = !prefix.ends_with('/') && earlier.first(&longer, |_| true).is_some();
            (!taken).then(|| Sent {
                matched: (path.place, format!("the matched text: {prefix}")),
                outcome: format!(
                    "{request} is sent as {result}: {} takes the place of {prefix}",
                    uri.value
                ),
                fix,
            })
        }
        TextMatch::Regex(expression) => of_regex(expression, path.place, uri),
        TextMatch::Exact(_) | TextMatch::Segments(_) | TextMatch::Present => None,
    }
}

/// Without a path in the match, Envoy matches the prefix `/` and replaces it.
fn whole_path(table: &RouteTable, place: Place, uri: &At<String>) -> Option<Sent> {
    // Without a host the path is matched where this table is delegated from.
    if table.hosts.is_empty() {
        return None;
    }
    let (request, result, _) = joined("/", uri)?;
    let text = &uri.value;
    Some(Sent {
        matched: (place, "no path is matched: the prefix /".to_owned()),
        outcome: format!(
            "{request} is sent as {result}: without a matched path, {text} takes the place of the first /"
        ),
        fix: format!("uri: {text}/"),
    })
}

/// A path under the prefix, what it becomes, and the mend, where a slash is doubled or lost.
fn joined(prefix: &str, uri: &At<String>) -> Option<(String, String, String)> {
    let text = uri.value.as_str();
    // The last word is a whole segment, unless it ends with what joins words.
    let word = |text: &str| text.ends_with(|it: char| it.is_ascii_alphanumeric());
    if prefix.ends_with('/') {
        // `/static/` to `/assets` gives `/assetslogo.png`.
        let lost = word(text);
        return lost.then(|| {
            let path = (format!("{prefix}users"), format!("{text}users"));
            (path.0, path.1, format!("uri: {text}/"))
        });
    }
    let doubled = text.ends_with('/') && word(prefix);
    doubled.then(|| {
        let fix = match text {
            "/" => format!(
                "Two matches in the place of this one, both with the rewrite: first prefix {prefix}/, then exact {prefix}"
            ),
            _ => format!("uri: {}", text.trim_end_matches('/')),
        };
        (format!("{prefix}/users"), format!("{text}/users"), fix)
    })
}

/// With an expression the whole path is replaced, which is wanted only where the expression has no open end.
fn of_regex(expression: &str, place: Place, uri: &At<String>) -> Option<Sent> {
    const OPEN: [&str; 6] = [".*", ".+", "[^/]+", "[^/]*", r"\w+", r"\d+"];
    let end = expression.trim_end_matches(['$', ')', '?', '*']);
    let starred = expression
        .get(..end.len() + 1)
        .filter(|it| it.ends_with('*'));
    let open = OPEN
        .iter()
        .any(|it| end.ends_with(it) || starred.is_some_and(|end| end.ends_with(it)));
    let refers = [r"\1", r"\2", "$1", "$2"].iter().any(|it| uri.contains(it));
    // A page such as /index.html is meant for every path.
    let page = uri
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains('.'));
    if !refers && (!open || page) {
        return None;
    }
    let fix = if refers {
        format!(
            "uriRegexRewrite: {{match: '{expression}', rewrite: '{}'}}",
            uri.value
        )
    } else {
        "uriRegexRewrite with the part to replace as match".to_owned()
    };
    Some(Sent {
        matched: (place, format!("any path that {expression} matches")),
        outcome: format!(
            "Every path that {expression} matches is sent as {}: with a regex match rewrite.uri replaces the whole path",
            uri.value
        ),
        fix,
    })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent, virtual_service};

    fn rewritten(matches: &str, uri: &str) -> String {
        virtual_service(&format!(
            "http: [{{match: [{matches}], rewrite: {{uri: {uri}}}, route: [{{destination: {{host: reviews}}}}]}}]"
        ))
    }

    #[test]
    fn a_slash_is_doubled_or_lost() {
        for (prefix, uri, request, result) in [
            ("/api", "/", "/api/users", "//users"),
            ("/api", "/v2/", "/api/users", "/v2//users"),
            ("/api/", "/v2", "/api/users", "/v2users"),
            ("/", "/v2", "/users", "/v2users"),
        ] {
            let found = fires(
                "A25",
                &rewritten(&format!("{{uri: {{prefix: {prefix}}}}}"), uri),
            );
            let said = format!("{request} is sent as {result}:");
            assert!(found.message.starts_with(&said), "{found:#?}");
        }
    }

    #[test]
    fn without_a_path_the_first_slash_is_replaced() {
        let found = fires("A25", &rewritten("{headers: {x: {exact: y}}}", "/v2"));
        assert!(
            found.message.starts_with("/users is sent as /v2users"),
            "{found:#?}"
        );
        fires(
            "A25",
            &virtual_service(
                "http: [{rewrite: {uri: /v2}, route: [{destination: {host: reviews}}]}]",
            ),
        );
        silent("A25", &rewritten("{headers: {x: {exact: y}}}", "/v2/"));
        silent("A25", &rewritten("{headers: {x: {exact: y}}}", "/"));
    }

    #[test]
    fn texts_that_join_well() {
        for (prefix, uri) in [
            ("/api", "/v2"),
            ("/api/", "/"),
            ("/api/", "/v2/"),
            ("/", "/v2/"),
            ("/user-", "/users/"),
            ("/items/", "/item?id="),
            ("/files/", "/old-"),
        ] {
            silent(
                "A25",
                &rewritten(&format!("{{uri: {{prefix: {prefix}}}}}"), uri),
            );
        }
        silent("A25", &rewritten("{uri: {exact: /api}}", "/"));
        silent("A25", &rewritten("{uri: {exact: /api/}}", "/v2"));
    }

    #[test]
    fn the_known_pair_of_matches() {
        silent(
            "A25",
            &rewritten("{uri: {prefix: /api/}}, {uri: {exact: /api}}", "/"),
        );
        silent(
            "A25",
            &rewritten("{uri: {prefix: /api/}}, {uri: {prefix: /api}}", "/"),
        );
        fires(
            "A25",
            &rewritten("{uri: {prefix: /api}}, {uri: {prefix: /api/}}", "/"),
        );
    }

    #[test]
    fn an_expression_replaces_the_whole_path() {
        for (regex, uri) in [
            ("/api/v[12]/.*", "/"),
            ("/api(/.*)?", "/v2"),
            ("^/users/[^/]+$", "/people"),
            ("/v1/(.*)/x", r"/v2/\1/x"),
        ] {
            fires(
                "A25",
                &rewritten(
                    &format!("{{uri: {{regex: '{regex}'}}}}"),
                    &format!("'{uri}'"),
                ),
            );
        }
        silent(
            "A25",
            &rewritten("{uri: {regex: '/v[12]/status'}}", "/status"),
        );
        silent(
            "A25",
            &rewritten("{uri: {regex: '/(a|b)/.*'}}", "/index.html"),
        );
        silent(
            "A25",
            &virtual_service(
                "http: [{match: [{uri: {regex: '/api/.*'}}], rewrite: {uriRegexRewrite: {match: /api, rewrite: ''}}, \
                 route: [{destination: {host: reviews}}]}]",
            ),
        );
    }
}

//! The image pull secret: found or missed in Check, taken where it is needed, and never put over somebody's. With a
//! real registry and a real Istio it is in e2e/registry.

use crate::{console::told, standin::StandIn};
use std::{fs, process::Output};

/// A cluster whose secrets lie in files, `secret.NAMESPACE`, each as the login in it, and `type.NAMESPACE`,
/// `whose.NAMESPACE`; it notes what is applied.
const KUBECTL: &str = r#"#!/bin/sh
case "$*" in
  *"config view"*) printf team; exit ;;
  *"create --validate=false"*)
    while [ "$1" != -f ]; do shift; done
    sed -n 's/.*verb: "\([^"]*\)", group: "[^"]*", resource: "\([^"]*\)".*namespace: "\([^"]*\)".*/true \1 \2\/ \3/p' "$2"; exit ;;
  *apply*) cat >>"$standin/applied"; exit ;;
esac
while [ "$1" != -n ]; do shift; done
[ -e "$standin/secret.$2" ] || exit 0
case "$*" in
  *.metadata.name*) printf 'registry '; cat "$standin/whose.$2" 2>/dev/null ;;
  *base64decode*) cat "$standin/type.$2" 2>/dev/null || echo kubernetes.io/dockerconfigjson; cat "$standin/secret.$2" ;;
  *) sed 's/^/data /' "$standin/secret.$2" ;;
esac
exit 0
"#;

fn cluster(files: &[(&str, &str)]) -> StandIn {
    let standin = StandIn::new(KUBECTL);
    for (name, content) in files {
        fs::write(standin.file(name), content).expect("a file");
    }
    standin
}

fn check(standin: &StandIn, settings: &str) -> Output {
    standin.run(&format!(
        "pull_secret=registry registry=r.test:5000/team {settings}; check_pull_secret; printf %s \"$pull_secret_source\""
    ))
}

const LOGIN: &str = r#"{"auths": {"r.test:5000": {"auth": "eDp5"}}}"#;

#[test]
fn it_is_found_where_it_may_be() {
    for (place, settings) in [
        ("team", ""),
        ("faultline", ""),
        ("elsewhere", "pull_secret_source=elsewhere"),
    ] {
        let standin = cluster(&[(&format!("secret.{place}"), LOGIN)]);
        let output = check(&standin, settings);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            place,
            "{}",
            told(&output)
        );
    }
}

#[test]
fn what_is_no_login_for_the_registry_is_refused_with_the_command_that_makes_one() {
    let make = "create secret docker-registry";
    for (files, settings, sentence) in [
        (
            vec![],
            "",
            "there is no secret registry in the namespace team or faultline",
        ),
        (
            vec![("secret.team", LOGIN)],
            "pull_secret_source=elsewhere",
            "there is no secret registry in the namespace elsewhere",
        ),
        (
            vec![("secret.team", LOGIN), ("type.team", "Opaque\n")],
            "",
            "is of the type Opaque; it must be kubernetes.io/dockerconfigjson",
        ),
        (
            vec![("secret.team", r#"{"auths": {"other.test": {}}}"#)],
            "",
            "the secret registry in the namespace team has no login for r.test:5000",
        ),
    ] {
        let output = check(&cluster(&files), settings);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(sentence) && told.contains(make), "{told}");
        assert!(told.contains("--docker-server=r.test:5000"), "{told}");
    }
}

/// What is applied where the target's secret is these files.
fn taken(files: &[(&str, &str)]) -> String {
    let standin = cluster(files);
    standin.printed("pull_secret=registry pull_secret_source=team; take_pull_secret_to edge");
    fs::read_to_string(standin.file("applied")).unwrap_or_default()
}

#[test]
fn somebodys_secret_stays_and_a_copy_follows_its_source() {
    let source = ("secret.team", LOGIN);
    assert!(taken(&[source]).contains("data "), "there was none");
    let ours = ("whose.edge", "faultline/faultline");
    assert!(taken(&[source, ("secret.edge", "old"), ours]).contains("data "));
    assert_eq!(
        taken(&[source, ("secret.edge", LOGIN), ours]),
        "",
        "the same already"
    );
    for whose in ["", "<no value>/<no value>", "faultline/other"] {
        let there = [source, ("secret.edge", "old"), ("whose.edge", whose)];
        assert_eq!(taken(&there), "", "{whose}");
    }
}

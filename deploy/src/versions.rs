//! What deploy.sh says it was proved on is what the test cluster is made of.

use crate::manifest::bash;

/// The value that a script's variable has after `setup`.
fn variable(setup: &str, name: &str) -> String {
    bash(&format!("{setup}; printf %s \"${name}\""))
}

#[test]
fn the_proved_versions_are_the_test_clusters() {
    // the script itself would start a cluster
    let assignments = "eval \"$(grep -E '^(kubernetes|istio)_version=' e2e/cluster/cluster.sh)\"";
    for product in ["kubernetes", "istio"] {
        let tested = variable(assignments, &format!("{product}_version"));
        let proved = variable(". deploy/cluster.sh", &format!("proved_{product}"));
        let minor: Vec<&str> = tested.split('.').take(2).collect();
        assert_eq!(minor.join("."), proved, "{product}");
    }
}

#[test]
fn an_older_version_is_called_untested_and_the_proved_one_is_not() {
    let warned = |version: &str| {
        let script = format!(
            "warn() {{ said=$1; }}; said=; . deploy/tools.sh; . deploy/cluster.sh; warn_if_unproved Istio {version} 1.31"
        );
        variable(&script, "said")
    };
    assert!(warned("1.30.9").contains("Istio 1.30.9 is untested"));
    for fine in ["1.31", "1.31.2-distroless", "1.40.0", "2.0", "unknown"] {
        assert_eq!(warned(fine), "", "{fine}");
    }
}

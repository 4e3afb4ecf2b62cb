//! When an earlier version's outbox counts as handed over. That nothing is lost the acceptance suite proves.

use crate::manifest::bash;

/// What bash prints after `deploy/takeover.sh` was read.
fn printed(script: &str) -> String {
    bash(&format!(
        ". deploy/takeover.sh; namespace=n log=/dev/null; {script}"
    ))
}

/// Which of successive looks (entries held and delivered; empty: the metrics cannot be read) says so.
fn handed_over(looks: &[&str], pod_is_gone: bool) -> Vec<bool> {
    let looks: Vec<String> = looks.iter().map(|look| format!("'{look}'")).collect();
    let script = format!(
        "outbox_of() {{ [ -n \"$now\" ] && echo \"$now\"; }}; pod_is_gone() {{ {pod_is_gone}; }}; first_seen=; \
         for now in {}; do if outbox_handed_over p; then echo yes; else echo no; fi; done",
        looks.join(" ")
    );
    printed(&script).lines().map(|line| line == "yes").collect()
}

#[test]
fn an_outbox_is_handed_over_when_it_is_empty() {
    assert_eq!(handed_over(&["0 0"], false), [true]);
    assert_eq!(
        handed_over(&["3 7", "3 7", "0 10"], false),
        [false, false, true]
    );
}

/// Under load it always holds something: what came last.
#[test]
fn an_outbox_is_handed_over_when_all_that_it_held_first_has_left() {
    assert_eq!(
        handed_over(&["3 7", "5 9", "4 10"], false),
        [false, false, true]
    );
}

#[test]
fn what_is_not_said_is_not_taken_for_empty() {
    assert_eq!(
        handed_over(&["", "2 0", "", "2 1"], false),
        [false, false, false, false]
    );
    assert_eq!(handed_over(&[""], true), [true], "its pod is gone");
}

#[test]
fn the_metrics_page_is_read() {
    let of = |page: &str| {
        printed(&format!(
            "kube() {{ printf %b '{page}'; }}; outbox_of p || echo unsaid"
        ))
    };
    let pending = r#"custom_app_outbox_entries{state="pending"} 4\n"#;
    let refused = r#"custom_app_outbox_entries{state="refused"} 2\n"#;
    let delivered = "custom_app_entries_delivered_total 9\\n";
    assert_eq!(of(&format!("{delivered}{refused}{pending}")), "6 9\n");
    assert_eq!(of(pending), "4 0\n", "none was delivered yet");
    assert_eq!(of(delivered), "unsaid\n");
    assert_eq!(of(""), "unsaid\n");
}

//! What one must be allowed to do is asked before anything is done.

use crate::{console::told, standin::StandIn};

/// Says yes to every question but those in the file `denied`, as VERB RESOURCE/PART NAMESPACE.
const REVIEWS: &str = r#"#!/bin/sh
while [ "$1" != -f ]; do shift; done
sed -n 's/.*verb: "\([^"]*\)", group: "\([^"]*\)", resource: "\([^"]*\)", subresource: "\([^"]*\)", namespace: "\([^"]*\)".*/\1 \3\/\4 \5/p' "$2" |
  while read -r question; do
    echo "$question" >>"$standin/asked"
    if grep -qx "$question" "$standin/denied"; then echo "false $question"; else echo "true $question"; fi
  done
"#;

/// What check_rights and the same at the gateway come to when this is denied.
fn denied(question: &str, mode: &str) -> (Option<i32>, String) {
    let standin = StandIn::new(REVIEWS);
    std::fs::write(standin.file("denied"), format!("{question}\n")).expect("a file");
    let check = format!(
        "mode={mode} skip_build=false gateway_namespace=istio-system; check_rights
         if proof_is_wanted; then need_for_proof_at_gateway; check_needs; fi"
    );
    let output = standin.run(&check);
    (output.status.code(), told(&output))
}

#[test]
fn what_the_proof_needs_is_asked() {
    for (question, sentence) in [
        (
            "create pods/exec faultline",
            "you may not create pods/exec in the namespace faultline",
        ),
        (
            "create pods/exec istio-system",
            "you may not create pods/exec in the namespace istio-system",
        ),
        (
            "get pods/log faultline",
            "you may not get pods/log in the namespace faultline",
        ),
        (
            "get pods/proxy istio-system",
            "you may not get pods/proxy in the namespace istio-system",
        ),
        (
            "create jobs/ faultline",
            "you may not create jobs in the namespace faultline",
        ),
        (
            "delete jobs/ faultline",
            "you may not delete jobs in the namespace faultline",
        ),
    ] {
        let (code, told) = denied(question, "deploy");
        assert_eq!(code, Some(1), "{question}: {told}");
        assert!(told.contains(sentence), "{question}: {told}");
        let (code, told) = denied(question, "dry-run");
        assert_eq!(code, Some(0), "a dry run proves nothing: {told}");
    }
}

#[test]
fn what_the_lock_needs_is_asked() {
    for verb in ["get", "create", "update", "delete"] {
        let (code, told) = denied(&format!("{verb} leases/ faultline"), "deploy");
        assert_eq!(code, Some(1));
        assert!(
            told.contains(&format!(
                "you may not {verb} leases in the namespace faultline"
            )),
            "{told}"
        );
    }
}

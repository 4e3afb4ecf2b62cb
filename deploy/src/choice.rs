//! Which gateway Faultline stands behind: what was said, what was noted, what is there.

use crate::{console::told, standin::StandIn};

/// A kubectl that prints, for `get KIND …`, the file of that name, and nothing for what has none; it notes what is
/// deleted.
const FILES: &str = r#"#!/bin/sh
case " $* " in *' delete '*) echo "$*" >>"$standin/deleted"; exit ;; esac
while [ "$1" != get ]; do shift; done
shift
case $1 in -f) cat "$standin/wanted"; exit ;; esac
cat "$standin/$1" 2>/dev/null || true
"#;

fn standin(files: &[(&str, &str)]) -> StandIn {
    StandIn::with_files(FILES, files)
}

const SHOW: &str =
    "printf '%s|%s|%s|%s' \"$gateway\" \"$host\" \"$gateway_api\" \"$istio_revision\"";

#[test]
fn the_last_choice_goes_on_until_another_is_made() {
    let noted = "own\nshop.test\n\nprod\n.";
    let nothing = standin(&[("namespace", "\n\n\n\n.")]);
    assert_eq!(nothing.printed(&format!("find_choice; {SHOW}")), "||false|");
    for (said, choice) in [
        ("", "own|shop.test|false|prod"),
        // the three are one choice: what is not said has its default
        ("gateway=edge/edge", "edge/edge||false|prod"),
        ("host=other.test", "|other.test|false|prod"),
        ("host='*'", "||false|prod"),
        ("gateway_api=true", "own||true|prod"),
        ("istio_revision=canary", "own|shop.test|false|canary"),
        // what was deployed, whatever the environment says
        ("mode=delete gateway=edge/edge", "own|shop.test|false|prod"),
        ("mode=status host='*'", "own|shop.test|false|prod"),
        ("namespace_state=absent", "||false|"),
        ("namespace_state=absent gateway_api=true", "own||true|"),
    ] {
        let printed =
            standin(&[("namespace", noted)]).printed(&format!("{said}\nfind_choice; {SHOW}"));
        assert_eq!(printed, choice, "{said}");
    }
}

const GATEWAY: &str = "printf '%s|%s|%s|%s' \"$gateway_namespace\" \"$gateway_service\" \"$gateway_accounts\" \"$gateway_selector\"";

#[test]
fn a_gateway_of_others_is_known_by_its_service() {
    let edge = standin(&[
        ("service", "edge app=edge,istio=ingress,"),
        ("pods", "edge\nedge\nedge-canary\n"),
    ]);
    assert_eq!(
        edge.printed(&format!(
            "gateway=istio-ingress/edge; find_gateway; {GATEWAY}"
        )),
        "istio-ingress|edge|istio-ingress/edge istio-ingress/edge-canary|app=edge,istio=ingress"
    );
    // scaled to nothing
    let edge = standin(&[
        ("service", "edge istio=ingress,"),
        ("deployments", "edge\n"),
    ]);
    assert_eq!(
        edge.printed(&format!(
            "gateway=istio-ingress/edge; find_gateway; {GATEWAY}"
        )),
        "istio-ingress|edge|istio-ingress/edge|istio=ingress"
    );
    assert_eq!(
        standin(&[]).printed(&format!("gateway=own; find_gateway; {GATEWAY}")),
        "faultline|faultline-gateway|faultline/faultline-gateway|\
         app.kubernetes.io/instance=faultline,istio=faultline-gateway"
    );
}

/// Each refusal names the options that go on.
#[test]
fn what_is_no_gateway_is_refused() {
    let candidates = ("services", "istio-ingress/edge\n");
    for (said, files, sentence) in [
        (
            "gateway=a/b",
            vec![candidates],
            "there is no Service b in the namespace a",
        ),
        (
            "gateway=''",
            vec![],
            "Istio is installed, but no gateway: no Service has the label istio=ingressgateway",
        ),
        (
            "gateway=a/b",
            vec![candidates, ("service", "b ")],
            "the Service a/b selects no pods",
        ),
    ] {
        let output = standin(&files).run(&format!("{said}; find_gateway; check_gateway"));
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains(sentence) && told.contains("--gateway own"),
            "{told}"
        );
        if files.contains(&candidates) {
            let way = "--gateway NAMESPACE/SERVICE, for example istio-ingress/edge";
            assert!(told.contains(way), "{told}");
        }
    }
}

/// Whatever a Service of others lacks to be proved at.
#[test]
fn a_service_must_be_a_gateway_at_port_80() {
    let check = |ports: &str, proxies: &str| {
        let standin = standin(&[("service", ports), ("pods", proxies)]);
        let set = "gateway=a/b gateway_namespace=a gateway_service=b gateway_selector=x=y";
        let output = standin.run(&format!("{set}; check_gateway_of_others"));
        (output.status.code(), told(&output))
    };
    assert_eq!(
        check("LoadBalancer 15021 80 443 ", "istio-proxy\n").0,
        Some(0)
    );
    for (ports, proxies, sentence) in [
        ("LoadBalancer 8080 443 ", "istio-proxy\n", "has no port 80"),
        ("ClusterIP 80 ", "istio-proxy\n", "is of the type ClusterIP"),
        ("LoadBalancer 80 ", "nginx\n", "runs no proxy of Istio's"),
    ] {
        let (code, told) = check(ports, proxies);
        assert_eq!(code, Some(1), "{sentence}: {told}");
        assert!(
            told.contains(sentence) && told.contains("--gateway own"),
            "{told}"
        );
    }
}

/// What is rendered stays, and what an earlier version has not handed over yet; the rest of another choice goes.
#[test]
fn what_another_choice_has_left_goes() {
    let wanted = "apps/v1|Deployment|faultline|log-agent\nv1|Service|faultline|custom-app-service\n\
                  networking.istio.io/v1|Gateway|faultline|faultline-gateway\n\
                  extensions.istio.io/v1alpha1|WasmPlugin|istio-system|faultline-gateway\n";
    // the same API group in another version is the same object
    let found = "apps/v1|Deployment|faultline|log-agent\napps/v1|Deployment|faultline|custom-app\n\
                 apps/v1|Deployment|faultline|faultline-gateway\nv1|Service|faultline|custom-app-service\n\
                 networking.istio.io/v1beta1|Gateway|faultline|faultline-gateway\n\
                 gateway.networking.k8s.io/v1|Gateway|faultline|faultline-gateway\n\
                 networking.k8s.io/v1|NetworkPolicy|faultline|faultline-gateway\n";
    let plugins = "extensions.istio.io/v1alpha1|WasmPlugin|istio-system|faultline-gateway\n\
                   extensions.istio.io/v1alpha1|WasmPlugin|edge|faultline-gateway\n";
    let kinds = "services,serviceaccounts,deployments.apps,statefulsets.apps,networkpolicies.networking.k8s.io,\
                 poddisruptionbudgets.policy,wasmplugins.extensions.istio.io,gateways.networking.istio.io";
    let standin = standin(&[
        (
            "crds",
            "gateways.networking.istio.io wasmplugins.extensions.istio.io",
        ),
        ("crd", "wasmplugins.extensions.istio.io"),
        ("wanted", wanted),
        (kinds, found),
        ("wasmplugins.extensions.istio.io", plugins),
    ]);
    let said = standin.printed("gateway_namespace=istio-system; prune any; printf %s \"$pruned\"");
    assert_eq!(said, ", 4 that an earlier run had left deleted");
    let deleted = std::fs::read_to_string(standin.file("deleted")).expect("what was deleted");
    let deleted: Vec<&str> = deleted
        .lines()
        .filter_map(|line| line.split(" --ignore-not-found").next())
        .collect();
    assert_eq!(
        deleted,
        [
            "-n faultline delete Deployment.apps faultline-gateway",
            "-n faultline delete Gateway.gateway.networking.k8s.io faultline-gateway",
            "-n faultline delete NetworkPolicy.networking.k8s.io faultline-gateway",
            "-n edge delete WasmPlugin.extensions.istio.io faultline-gateway",
        ]
    );
}

/// What is applied and waited for, in its order, with these variables.
fn applied(variables: &str) -> Vec<String> {
    let standin = StandIn::new("#!/bin/sh\necho \"$*\" >>\"$standin/done\"\n");
    standin.printed(&format!(
        "image_filter=filter; {variables}
         gateway_namespace=edge; find_boundary() {{ :; }}; render() {{ :; }}; compare() {{ changes=1 resources=2; }}; prune() {{ pruned=''; }}; ok() {{ :; }}
         wait_for_rollout() {{ echo \"wait $1\" >>\"$standin/done\"; }}
         apply"
    ));
    let done = std::fs::read_to_string(standin.file("done")).expect("what was done");
    let folder = standin.folder().display().to_string();
    done.lines()
        .map(|line| {
            line.replace(&folder, "")
                .replace("apply -f /scratch/faultline.yaml", "apply")
        })
        .collect()
}

/// Under FAIL_OPEN too, a module that no proxy can load would answer everybody at that gateway with 500.
#[test]
fn a_gateway_of_others_gets_the_module_last() {
    let loads = "module_is_loaded() { echo loads >>\"$standin/done\"; };";
    let first = [
        "apply --selector app notin (custom-app, faultline-gateway)",
        "wait deployment/log-agent",
    ];
    let tried = [
        "apply --selector app!=faultline-gateway",
        "wait statefulset/custom-app",
        "loads",
    ];
    assert_eq!(
        applied(&format!("gateway=a/b; {loads}")),
        [&first[..], &tried[..], &["apply"]].concat()
    );
    assert_eq!(applied(loads), [&first[..], &["apply"]].concat());

    let standin = StandIn::new("#!/bin/sh\necho \"$*\" >>\"$standin/done\"\n");
    let output = standin.run(
        "gateway=a/b image_filter=filter timeout=1; wait_for_rollout() { :; }
         module_is_loaded() { false; }; try_module; echo unreached",
    );
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("the gateway a/b was left without it"),
        "{told}"
    );
}

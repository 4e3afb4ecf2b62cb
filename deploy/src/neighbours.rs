//! Who else is served by the gateway: what the templates print, line by line, and what is made of it. That they print it
//! of a real cluster's resources is in the acceptance suite (`neighbour`).

use crate::{console::told, standin::StandIn};

/// A kubectl that prints, for `get KIND`, the file of that name, and nothing for what has none.
const FILES: &str = r#"#!/bin/sh
while [ "$1" != get ]; do shift; done
cat "$standin/$2" 2>/dev/null || true
"#;

/// An Istio with a gateway, Faultline's own resources behind it, and the Gateway API's definitions.
const CLUSTER: [(&str, &str); 6] = [
    (
        "crds",
        "httproutes.gateway.networking.k8s.io gateways.gateway.networking.k8s.io gateways.networking.istio.io virtualservices.networking.istio.io",
    ),
    (
        "pods",
        "app=istio-ingressgateway,istio=ingressgateway,pod-template-hash=1,;",
    ),
    (
        "services",
        "istio-ingressgateway|app=istio-ingressgateway,istio=ingressgateway,\nistiod|app=istiod,\n",
    ),
    (
        "gateways.networking.istio.io",
        "faultline/faultline-gateway|faultline|istio=ingressgateway,|* \n",
    ),
    (
        "virtualservices.networking.istio.io",
        "faultline/faultline|faultline|faultline-gateway |* \nfaultline/log-agent|faultline|mesh |log-agent-service \n",
    ),
    ("ingressclasses.networking.k8s.io", "mesh "),
];

/// What Istio's default profile installs.
const GATEWAY: &str = "gateway_namespace=istio-system gateway_service=istio-ingressgateway gateway_selector=istio=ingressgateway";

fn cluster() -> StandIn {
    let cluster = StandIn::new(FILES);
    for (kind, printed) in CLUSTER {
        std::fs::write(cluster.file(kind), printed).expect("a file");
    }
    cluster
}

fn neighbours(kind: &str, lines: &str) -> String {
    let cluster = cluster();
    let file = cluster.file(kind);
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(&file, format!("{before}{lines}\n")).expect("a file");
    let find = format!("{GATEWAY}; find_neighbours; printf %s \"$neighbours\"");
    cluster.printed(&find).trim().to_owned()
}

#[test]
fn its_own_resources_are_no_neighbours() {
    assert_eq!(neighbours("nothing", ""), "");
}

#[test]
fn whoever_the_gateway_serves_is_named_with_its_hosts() {
    for (kind, line, found) in [
        (
            "gateways.networking.istio.io",
            "shop/shop|<no value>|istio=ingressgateway,|shop.test www.shop.test ",
            "Gateway shop/shop (shop.test www.shop.test)",
        ),
        // as Istio's own documentation labels the pods; and no selector selects every gateway
        (
            "gateways.networking.istio.io",
            "shop/shop||app=istio-ingressgateway,|shop.test ",
            "Gateway shop/shop (shop.test)",
        ),
        (
            "gateways.networking.istio.io",
            "shop/shop|||shop.test ",
            "Gateway shop/shop (shop.test)",
        ),
        // another instance, or a copy under Faultline's label
        (
            "gateways.networking.istio.io",
            "other/faultline-gateway|faultline|istio=ingressgateway,|* ",
            "Gateway other/faultline-gateway (*)",
        ),
        (
            "gateways.networking.istio.io",
            "faultline/theirs||istio=ingressgateway,|a.test ",
            "Gateway faultline/theirs (a.test)",
        ),
        // bound to Faultline's own Gateway
        (
            "virtualservices.networking.istio.io",
            "shop/shop||mesh faultline/faultline-gateway |shop.test ",
            "VirtualService shop/shop (shop.test)",
        ),
        (
            "virtualservices.networking.istio.io",
            "faultline/theirs||faultline-gateway |a.test ",
            "VirtualService faultline/theirs (a.test)",
        ),
        (
            "gateways.gateway.networking.k8s.io",
            "shop/web||istio-ingressgateway.istio-system.svc.cluster.local |* ",
            "Gateway API Gateway shop/web (*)",
        ),
        (
            "gateways.gateway.networking.k8s.io",
            "istio-system/web||istio-ingressgateway |a.test ",
            "Gateway API Gateway istio-system/web (a.test)",
        ),
        (
            "ingresses.networking.k8s.io",
            "shop/web||istio;<no value>|shop.test ",
            "Ingress shop/web (shop.test)",
        ),
        (
            "ingresses.networking.k8s.io",
            "shop/web||<no value>;mesh|* ",
            "Ingress shop/web (*)",
        ),
    ] {
        assert_eq!(neighbours(kind, line), found, "{line}");
    }
}

#[test]
fn whoever_has_another_gateway_is_none() {
    for (kind, line) in [
        (
            "gateways.networking.istio.io",
            "shop/shop||istio=shop-gateway,|shop.test ",
        ),
        (
            "gateways.networking.istio.io",
            "shop/shop||app=istio-ingressgateway,istio=egressgateway,|shop.test ",
        ),
        (
            "virtualservices.networking.istio.io",
            "shop/shop||shop-gateway mesh other/faultline-gateway |shop.test ",
        ),
        (
            "virtualservices.networking.istio.io",
            "shop/shop||faultline-gateway |shop.test ",
        ),
        ("gateways.gateway.networking.k8s.io", "shop/web|||* "),
        (
            "gateways.gateway.networking.k8s.io",
            "shop/web||istio-ingressgateway istiod.istio-system.svc.cluster.local |* ",
        ),
        ("ingresses.networking.k8s.io", "shop/web||nginx;mesh|* "),
        (
            "ingresses.networking.k8s.io",
            "shop/web||<no value>;nginx|* ",
        ),
        (
            "ingresses.networking.k8s.io",
            "shop/web||<no value>;<no value>|* ",
        ),
    ] {
        assert_eq!(neighbours(kind, line), "", "{line}");
    }
}

/// Faultline may be there already when they come; the advice is another then.
#[test]
fn a_shared_gateway_is_refused_in_a_sentence() {
    for (plugin, sentence, advice) in [
        (
            "",
            "deploy.sh: the gateway istio-system/istio-ingressgateway serves others: Gateway shop/shop (shop.test)",
            "--gateway own; or share this one by a host name: --gateway istio-system/istio-ingressgateway --host NAME",
        ),
        (
            "wasmplugin.extensions.istio.io/faultline-gateway",
            "deploy.sh: the gateway istio-system/istio-ingressgateway, behind which Faultline runs, serves others too: \
             Gateway shop/shop (shop.test)",
            "./deploy.sh --delete --namespace faultline",
        ),
    ] {
        let cluster = cluster();
        std::fs::write(cluster.file("wasmplugins.extensions.istio.io"), plugin).expect("a file");
        let theirs = "shop/shop||istio=ingressgateway,|shop.test \n";
        std::fs::write(cluster.file("gateways.networking.istio.io"), theirs).expect("a file");
        let output = cluster.run(&format!("{GATEWAY}; check_gateway_is_free"));
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(sentence) && told.contains(advice), "{told}");
    }
}

/// What check_gateway_is_free comes to with a host, beside others.
fn shared(host: &str, kind: &str, line: &str) -> (Option<i32>, String) {
    let cluster = cluster();
    let file = cluster.file(kind);
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(&file, format!("{before}{line}\n")).expect("a file");
    let output = cluster.run(&format!("{GATEWAY} host={host}; check_gateway_is_free"));
    (output.status.code(), told(&output))
}

#[test]
fn a_gateway_is_shared_by_a_host_that_is_nobody_elses() {
    let gateways = "gateways.networking.istio.io";
    for line in [
        "shop/shop||istio=ingressgateway,|shop.test ",
        "shop/shop||istio=ingressgateway,|* ",
        "shop/shop||istio=ingressgateway,|shop/* *.test ",
    ] {
        let (code, told) = shared("faultline.test", gateways, line);
        assert_eq!(code, Some(0), "{line}: {told}");
    }
    for (kind, line, whose) in [
        (
            gateways,
            "shop/shop||istio=ingressgateway,|a.test shop/faultline.test ",
            "Gateway shop/shop (a.test shop/faultline.test)",
        ),
        // behind a gateway that takes every host
        (
            "virtualservices.networking.istio.io",
            "shop/web||shop/all |faultline.test ",
            "VirtualService shop/web (faultline.test)",
        ),
        (
            "ingresses.networking.k8s.io",
            "shop/web||istio;<no value>|faultline.test ",
            "Ingress shop/web (faultline.test)",
        ),
        (
            "httproutes.gateway.networking.k8s.io",
            "shop/web|||faultline.test ",
            "HTTPRoute shop/web (faultline.test)",
        ),
    ] {
        let (code, told) = shared("faultline.test", kind, line);
        assert_eq!(code, Some(1), "{line}");
        let sentence = format!("the host faultline.test is served to others: {whose}");
        assert!(
            told.contains(&sentence) && told.contains("--host NAME"),
            "{told}"
        );
    }
    // inside the mesh a host of that name disturbs nobody
    let (code, told) = shared(
        "faultline.test",
        "virtualservices.networking.istio.io",
        "shop/web||mesh |faultline.test ",
    );
    assert_eq!(code, Some(0), "{told}");
}

/// Istio's Ingresses have one gateway, by default that of the default profile.
#[test]
fn an_ingress_is_no_neighbour_at_another_gateway() {
    let cluster = cluster();
    let line = "shop/web||istio;<no value>|shop.test \n";
    std::fs::write(cluster.file("ingresses.networking.k8s.io"), line).expect("a file");
    std::fs::write(cluster.file("pods"), "app=edge,istio=ingress,;").expect("a file");
    let edge =
        "gateway_namespace=edge gateway_service=edge gateway_selector=app=edge,istio=ingress";
    let find = |more: &str| {
        let script = format!("{edge}; {more} find_neighbours; printf %s \"$neighbours\"");
        cluster.printed(&script).trim().to_owned()
    };
    assert_eq!(find(""), "");
    assert_eq!(
        find("ingress_selector() { printf ingress; };"),
        "Ingress shop/web (shop.test)"
    );
}

#[test]
fn a_long_list_is_cut() {
    let listed = StandIn::new("").printed("printf '%s\\n' a b '' c d | listed 3");
    assert_eq!(listed, "a, b, c and 1 more");
}

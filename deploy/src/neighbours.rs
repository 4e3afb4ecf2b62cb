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
        "gateways.gateway.networking.k8s.io gateways.networking.istio.io virtualservices.networking.istio.io",
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
    let find = "gateway_namespace=istio-system; find_neighbours; printf %s \"$neighbours\"";
    cluster.printed(find).trim().to_owned()
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
            "https://istio.io/latest/docs/setup/additional-setup/gateway/",
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
        let output = cluster.run(
            "gateway_namespace=istio-system gateway_service=istio-ingressgateway; check_gateway_is_free",
        );
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(sentence) && told.contains(advice), "{told}");
    }
}

#[test]
fn a_long_list_is_cut() {
    let listed = StandIn::new("").printed("printf '%s\\n' a b '' c d | listed 3");
    assert_eq!(listed, "a, b, c and 1 more");
}

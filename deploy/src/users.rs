//! Who uses Istio besides Faultline, and what becomes of it then. On a real cluster: `neighbour` and `deploy-delete` of
//! the acceptance suite.

use crate::standin::StandIn;

/// Notes what is deleted; prints, for `get KIND`, the file of that name, commas and all.
const FILES: &str = r#"#!/bin/sh
case $* in *'istio\.io/rev'*) echo default; exit ;; esac
while :; do
  case $1 in
    get) break ;;
    api-resources) echo configmaps; exit ;;
    delete|annotate) echo "kubectl $*" >>"$standin/done"; exit ;;
  esac
  shift
done
cat "$standin/$2" 2>/dev/null || true
"#;

/// An installation by deploy.sh, and Faultline's own namespace, which --delete is about to remove or has removed.
const CLUSTER: [(&str, &str); 6] = [
    (
        "deployments.apps,daemonsets.apps",
        "istio-system/istio-ingressgateway istio-system/istiod istio-system/ztunnel ",
    ),
    ("deployments", "Deployment/istiod|istio-system\n"),
    (
        "namespaces",
        "default|a=b \nfaultline|istio-injection=enabled \nistio-system|\n",
    ),
    (
        "pods",
        "istio-ingressgateway-79b4557c9c-z5db7|istio-system|istio-proxy \n\
         ztunnel-abcde|istio-system|istio-proxy \n\
         custom-app-1|faultline|custom-app istio-init istio-proxy \n\
         web-1|default|web \n",
    ),
    (
        "crds",
        "gateways.networking.istio.io gatewayclasses.gateway.networking.k8s.io others.example.com",
    ),
    (
        "gateways.networking.istio.io,gatewayclasses.gateway.networking.k8s.io",
        "Gateway/faultline-gateway|faultline\nGatewayClass/istio|\nGatewayClass/istio-remote|\n",
    ),
];

const SET: &str = "istio_namespace=istio-system istio_mark=1.31 istio_brought='labels definitions namespace' \
                   gateway_namespace='' skip_istio=false;";

fn cluster(kind: &str, lines: &str) -> StandIn {
    let cluster = StandIn::new(FILES);
    for (kind, printed) in CLUSTER {
        std::fs::write(cluster.file(kind), printed).expect("a file");
    }
    let file = cluster.file(kind);
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(&file, format!("{before}{lines}\n")).expect("a file");
    // an istioctl that only notes what it is asked
    let istioctl = cluster.file("istioctl");
    std::fs::write(
        &istioctl,
        "#!/bin/sh\necho \"istioctl $*\" >>\"$standin/done\"\n",
    )
    .expect("a file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&istioctl, executable).expect("executable");
    cluster
}

fn users(kind: &str, lines: &str) -> String {
    let find = format!("{SET} find_istio_users; printf %s \"$istio_users\"");
    cluster(kind, lines).printed(&find)
}

#[test]
fn faultline_and_the_installation_itself_are_no_users() {
    assert_eq!(users("nothing", ""), "");
}

#[test]
fn every_use_is_found() {
    for (kind, line, found) in [
        (
            "gateways.networking.istio.io,gatewayclasses.gateway.networking.k8s.io",
            "Gateway/shop|shop",
            "the Gateway/shop in shop",
        ),
        (
            "gateways.networking.istio.io,gatewayclasses.gateway.networking.k8s.io",
            "GatewayClass/theirs|",
            "the GatewayClass/theirs",
        ),
        (
            "gateways.networking.istio.io,gatewayclasses.gateway.networking.k8s.io",
            "EnvoyFilter/theirs|istio-system",
            "the EnvoyFilter/theirs in istio-system",
        ),
        (
            "pods",
            "shop-1|shop|shop istio-proxy ",
            "the proxy of shop/shop-1",
        ),
        // in the installation's own namespace, and by a name that begins like its gateway's
        (
            "pods",
            "istio-ingressgateway-of-shop-79b4557c9c-z5db7|istio-system|istio-proxy ",
            "the proxy of istio-system/istio-ingressgateway-of-shop-79b4557c9c-z5db7",
        ),
        (
            "namespaces",
            "shop|istio-injection=enabled ",
            "the namespace shop (istio-injection=enabled)",
        ),
        (
            "namespaces",
            "shop|a=b istio.io/rev=canary ",
            "the namespace shop (istio.io/rev=canary)",
        ),
        (
            "namespaces",
            "shop|istio.io/dataplane-mode=ambient ",
            "the namespace shop (istio.io/dataplane-mode=ambient)",
        ),
        (
            "deployments",
            "Deployment/istiod-canary|istio-system",
            "the control plane istio-system/istiod-canary",
        ),
    ] {
        assert_eq!(users(kind, line), found, "{line}");
    }
}

#[test]
fn what_only_looks_like_a_use_is_none() {
    for (kind, line) in [
        ("namespaces", "shop|istio-injection=disabled istio.io/rev= "),
        ("pods", "shop-1|shop|not-istio-proxy istio-proxy-not "),
    ] {
        assert_eq!(users(kind, line), "", "{line}");
    }
}

/// What was done, and what is said of it.
fn deleted(kind: &str, line: &str, brought: &str) -> (String, String) {
    let cluster = cluster(kind, line);
    let delete =
        format!("{SET} istio_brought='{brought}'; delete_istio; printf %s \"$istio_fate\"");
    let said = cluster.printed(&delete);
    let done = std::fs::read_to_string(cluster.file("done")).unwrap_or_default();
    (done, said)
}

#[test]
fn nothing_is_touched_while_anybody_uses_it() {
    let (done, said) = deleted(
        "pods",
        "shop-1|shop|shop istio-proxy ",
        "labels definitions namespace",
    );
    assert_eq!(
        said,
        "Istio stays, since others use it: the proxy of shop/shop-1"
    );
    assert_eq!(done, "");
}

#[test]
fn what_was_there_before_stays() {
    let kinds = "gateways.networking.istio.io";
    let (done, said) = deleted(kinds, "", "labels definitions namespace");
    assert_eq!(said, "Istio deleted, as deploy.sh had installed it");
    assert!(
        done.contains("istioctl uninstall -y -f ") && !done.contains("--purge"),
        "{done}"
    );
    assert!(
        done.contains("delete crds gateways.networking.istio.io --"),
        "{done}"
    );
    assert!(!done.contains("others.example.com"), "{done}");
    assert!(done.contains("delete namespace istio-system"), "{done}");

    let (done, said) = deleted(kinds, "", "labels");
    assert!(
        said.contains("the namespace istio-system stays, since it was there before"),
        "{said}"
    );
    assert!(
        !done.contains("crds") && !done.contains("delete namespace"),
        "{done}"
    );

    let (done, said) = deleted(
        "configmaps",
        "ConfigMap/theirs",
        "labels definitions namespace",
    );
    assert!(
        said.contains("the namespace istio-system stays, since in it are ConfigMap/theirs"),
        "{said}"
    );
    assert!(!done.contains("delete namespace"), "{done}");
}

/// Its installation has no labels of its own: what is not by name the default profile's is somebody else's.
#[test]
fn the_installation_of_an_earlier_deploy_goes_by_its_revision() {
    let kinds = "gateways.networking.istio.io";
    let (done, said) = deleted(kinds, "", "definitions namespace");
    assert!(
        said.ends_with("others use it: the proxy of istio-system/ztunnel-abcde"),
        "{said}"
    );
    assert_eq!(done, "");

    let cluster = cluster(kinds, "");
    let gateway = "istio-ingressgateway-79b4557c9c-z5db7|istio-system|istio-proxy \n";
    std::fs::write(cluster.file("pods"), gateway).expect("a file");
    cluster.printed(&format!(
        "{SET} istio_brought='definitions namespace'; delete_istio"
    ));
    let done = std::fs::read_to_string(cluster.file("done")).expect("what was done");
    assert!(
        done.contains("istioctl uninstall -y --revision default"),
        "{done}"
    );
}

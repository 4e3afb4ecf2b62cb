//! The module itself.

use faultline_testbed::filter;

/// The size promised.
const LARGEST: usize = 64 * 1024;

#[test]
fn the_module_is_small_and_exports_only_what_it_uses() {
    let module = std::fs::read(filter().unwrap()).unwrap();
    assert!(module.len() <= LARGEST, "{} bytes", module.len());
    let has = |name: &str| {
        module
            .windows(name.len())
            .any(|window| window == name.as_bytes())
    };
    for used in [
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_log",
    ] {
        assert!(has(used), "{used} is not exported");
    }
    for unused in [
        "proxy_on_request_body",
        "proxy_on_response_body",
        "proxy_on_grpc_receive",
    ] {
        assert!(
            !has(unused),
            "{unused} is exported: each callback costs every request"
        );
    }
}

/// The module holds nothing of the machine that built it.
#[test]
fn the_module_names_no_path_of_this_machine() {
    let module = std::fs::read(filter().unwrap()).unwrap();
    for path in [env!("CARGO_MANIFEST_DIR"), "/registry/src/"] {
        let found = module
            .windows(path.len())
            .any(|window| window == path.as_bytes());
        assert!(!found, "{path}");
    }
}

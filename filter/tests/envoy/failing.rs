//! A module that traps while it serves, under each failure policy: what `filter/README.md` says of `failStrategy`.
//!
//! The module is none of Faultline's, since nothing makes that one trap: `filter/tests/trapping/module.rs`.

use crate::{
    client::{get, request, send},
    configuration::{discover_plugin, discovery},
    host::Host,
    proxy::{Proxy, cluster},
};
use faultline_testbed::{Envoy, Step, Upstream, until};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

/// Taken by the module, and answered by an upstream that waits until it is told to.
const SLOW: &str = "/open/slow";

/// Refused with 404 by the module while it works; the upstream answers 200.
const GUARDED: &str = "/guarded";

/// The file by which the proxy is told of the module, as Istio tells it by discovery.
const DISCOVERED: &str = "plugin.json";

/// A VM is replaced once it is as old as this, and up to half as much more: Envoy's own default.
const BACK_OFF: Duration = Duration::from_secs(1);

#[tokio::test]
async fn fail_open_lets_requests_pass_once_the_module_has_trapped() {
    let proxy = Trapping::start("FAIL_OPEN").await;
    proxy.traps().await;
    for path in [GUARDED, "/trap", "/open"] {
        assert_eq!(get(proxy.address, path).await.status, 200, "{path}");
    }
    assert_eq!(proxy.reloads().await, 0);
    proxy.is_configured_anew().await;
}

#[tokio::test]
async fn fail_close_refuses_every_request_once_the_module_has_trapped() {
    let proxy = Trapping::start("FAIL_CLOSED").await;
    proxy.traps().await;
    for path in [GUARDED, "/trap", "/open"] {
        assert_eq!(get(proxy.address, path).await.status, 503, "{path}");
    }
    assert_eq!(proxy.reloads().await, 0);
    proxy.is_configured_anew().await;
}

#[tokio::test]
async fn fail_reload_brings_the_module_back_and_never_lets_a_request_pass() {
    let proxy = Trapping::start("FAIL_RELOAD").await;
    // The VM was loaded when the proxy started: by now it is old enough to be replaced at once.
    let aged = until("the VM's age", async || {
        let stats = proxy.envoy.stats().await.unwrap();
        (stats["server.uptime"] > 2).then_some(())
    });
    aged.await.unwrap();
    proxy.traps().await;
    let replaced = Instant::now();
    assert_eq!(get(proxy.address, GUARDED).await.status, 404);
    assert_eq!(proxy.reloads().await, 1);

    // The one that has just been loaded has to wait: until then nothing passes.
    proxy.traps().await;
    let back = until("the module to be back", async || {
        let status = get(proxy.address, GUARDED).await.status;
        assert!(matches!(status, 404 | 503), "{status}");
        (status == 404).then_some(())
    });
    back.await.unwrap();
    let waited = replaced.elapsed();
    assert!(waited >= BACK_OFF, "{waited:?}");
    assert_eq!(get(proxy.address, "/open").await.status, 200);
    assert_eq!(proxy.reloads().await, 2);
}

/// A proxy with one worker, which runs the module.
struct Trapping {
    envoy: Envoy,
    address: SocketAddr,
    slow: TcpListener,
    plugin: Value,
    directory: TempDir,
    _upstream: Upstream,
}

impl Trapping {
    async fn start(policy: &str) -> Self {
        let (directory, module) = module();
        let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
        let slow = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut proxy = Proxy::to(Host::Wasm, &upstream, &json!({}));
        let mut plugin = Host::Wasm.plugin("first");
        plugin["config"]["vm_config"]["code"]["local"]["filename"] = json!(module);
        plugin["config"]["failure_policy"] = json!(policy);
        let discovered = directory.path().join(DISCOVERED);
        discover_plugin(&discovered, &plugin);
        proxy.plugin = discovery(Host::Wasm, &discovered);
        let to_slow = json!({"match": {"path": SLOW}, "route": {"cluster": "slow"}});
        proxy.routes.insert(0, to_slow);
        let address = slow.local_addr().unwrap();
        proxy
            .clusters
            .push(cluster("slow", Some(address), json!({})));
        let (envoy, address) = proxy.start().await;
        assert_eq!(get(address, GUARDED).await.status, 404);
        assert_eq!(get(address, "/open").await.status, 200);
        Self {
            envoy,
            address,
            slow,
            plugin,
            directory,
            _upstream: upstream,
        }
    }

    /// Has the module trap while another request is under way: whatever the policy, both get 503.
    async fn traps(&self) {
        let address = self.address;
        let under_way = tokio::spawn(async move { get(address, SLOW).await });
        let (mut stream, _) = self.slow.accept().await.unwrap();
        let trapping = send(address, &request(b"GET", b"/trap")).await.unwrap();
        assert_eq!(trapping.status, 503);
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nslow";
        // The proxy may have hung up.
        let _ = stream.write_all(answer).await;
        assert_eq!(under_way.await.unwrap().status, 503);
    }

    /// Gives the module another configuration, which brings it back whatever the policy.
    async fn is_configured_anew(&self) {
        let mut plugin = self.plugin.clone();
        plugin["config"]["configuration"]["value"] = json!("second");
        discover_plugin(&self.directory.path().join(DISCOVERED), &plugin);
        let back = until("the module to be back", async || {
            (get(self.address, GUARDED).await.status == 404).then_some(())
        });
        back.await.unwrap();
    }

    /// How often Envoy has replaced the VM.
    async fn reloads(&self) -> u64 {
        let stats = self.envoy.stats().await.unwrap();
        let name = "wasm.faultline.test.vm_reload_success";
        stats.get(name).copied().unwrap_or_default()
    }
}

/// The module, built.
fn module() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("trapping.wasm");
    let built = Command::new("rustc")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--edition=2024", "--crate-type=cdylib", "-O"])
        .arg("--target=wasm32-unknown-unknown")
        .arg("-o")
        .arg(&module)
        .arg("tests/trapping/module.rs")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{words}");
    (directory, module)
}

//! How deploy.sh refuses: one clear sentence, an exit code, nothing changed. What needs a cluster to be
//! refused by is in the acceptance suite.

use crate::manifest::root;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A cluster that cannot answer: nothing listens on the discard port.
pub(crate) const NO_CLUSTER: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "nowhere", "context": {"cluster": "c"}}]}"#;

/// deploy.sh with a kubeconfig of its own and no settings from outside.
pub(crate) fn deploy(kubeconfig: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = TempDir::new().expect("a folder");
    let config = folder.path().join("config");
    fs::write(&config, kubeconfig).expect("a file");
    let mut command = Command::new(root().join("deploy.sh"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FAULTLINE_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("KUBECONFIG", config)
        .envs(environment.iter().copied())
        .output()
        .expect("deploy.sh runs")
}

/// What it says to the person.
pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// It refuses this as wrong usage, in this sentence.
pub(crate) fn refused_as_usage(arguments: &[&str], environment: &[(&str, &str)], sentence: &str) {
    let output = deploy(NO_CLUSTER, arguments, environment);
    let told = told(&output);
    let asked = format!("{arguments:?} {environment:?}: {told}");
    assert_eq!(output.status.code(), Some(2), "{asked}");
    assert!(told.contains(sentence), "{asked}");
}

#[test]
fn wrong_usage_is_named() {
    for (arguments, sentence) in [
        (vec!["--frobnicate"], "there is no option --frobnicate"),
        (vec!["surplus"], "there is no option surplus"),
        (vec!["--registry"], "--registry needs a value"),
        (vec!["--skip-build=yes"], "--skip-build takes no value"),
        (
            vec!["--registry", "https://example.com"],
            "is not of the form HOST[:PORT][/PATH]",
        ),
        (
            vec!["--registry", "team"],
            "is not of the form HOST[:PORT][/PATH]",
        ),
        (
            vec!["--namespace", "Faultline"],
            "the namespace \"Faultline\" must be lower-case",
        ),
        (vec!["--namespace", "kube-system"], "belongs to the cluster"),
        (
            vec!["--timeout", "soon"],
            "the timeout \"soon\" must be a number of seconds",
        ),
        (
            vec!["--build", "make"],
            "--build is \"make\"; it must be rust, container, docker, podman or buildah",
        ),
        (
            vec!["--architectures", "amd64,s390x"],
            "--architectures has \"s390x\"; it may have amd64 and arm64",
        ),
        (
            vec!["--image-pull-secret", "A_B"],
            "the secret \"A_B\" is not of the form NAME or NAMESPACE/NAME",
        ),
        (
            vec!["--image-pull-secret", "team/"],
            "the secret \"team/\" lacks its name",
        ),
        (
            vec!["--registry-ca", "/nowhere.pem"],
            "the certificates /nowhere.pem cannot be read",
        ),
        (
            vec!["--istio-config", "/nowhere.yaml"],
            "/nowhere.yaml cannot be read",
        ),
        (
            vec!["--gateway", "mine"],
            "the gateway \"mine\" must be own, or NAMESPACE/SERVICE",
        ),
        (
            vec!["--gateway-api", "--gateway", "istio-system/edge"],
            "--gateway-api goes with --gateway own alone",
        ),
        (
            vec!["--host", "http://example.com"],
            "must be a host name in lower-case letters",
        ),
        (
            vec!["--host", "example.com:80"],
            "must be a host name in lower-case letters",
        ),
        (
            vec!["--istio-revision", "1.31"],
            "the revision \"1.31\" must be lower-case letters",
        ),
        (
            vec!["--status", "--delete"],
            "--status and --delete do not go together",
        ),
    ] {
        refused_as_usage(&arguments, &[], sentence);
    }
}

#[test]
fn the_environment_is_read_and_checked_alike() {
    for (name, value, sentence) in [
        ("FAULTLINE_TIMEOUT", "0", "the timeout \"0\""),
        (
            "FAULTLINE_SKIP_BUILD",
            "maybe",
            "FAULTLINE_SKIP_BUILD is \"maybe\"",
        ),
        (
            "FAULTLINE_REGISTRY",
            "Example.com",
            "the registry \"Example.com\"",
        ),
        ("FAULTLINE_GATEWAY", "own/", "the gateway \"own/\""),
        (
            "FAULTLINE_GATEWAY_API",
            "maybe",
            "FAULTLINE_GATEWAY_API is \"maybe\"",
        ),
        (
            "FAULTLINE_ISTIO_CONFIG",
            "/nowhere.yaml",
            "/nowhere.yaml cannot be read",
        ),
    ] {
        refused_as_usage(&[], &[(name, value)], sentence);
    }
    let output = deploy(NO_CLUSTER, &["--status"], &[("FAULTLINE_DELETE", "true")]);
    assert!(
        told(&output).contains("do not go together"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_cluster_that_does_not_answer_is_named() {
    for mode in [
        vec!["--registry", "registry.example"],
        vec!["--status"],
        vec!["--delete"],
        vec!["--dry-run"],
    ] {
        let output = deploy(NO_CLUSTER, &mode, &[]);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("the cluster of the context \"nowhere\" does not answer"),
            "{told}"
        );
    }
}

#[test]
fn no_context_is_named() {
    let output = deploy(
        r#"{"apiVersion": "v1", "kind": "Config"}"#,
        &["--status"],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("kubectl has no current context"),
        "{}",
        told(&output)
    );
}

/// A PATH with everything the script needs before it looks for kubectl, and no kubectl.
#[test]
fn a_missing_kubectl_is_named() {
    let tools = TempDir::new().expect("a folder");
    for tool in [
        "bash", "env", "dirname", "hostname", "mkdir", "rm", "find", "awk", "tail", "tr", "date",
        "curl",
    ] {
        let output = Command::new("bash")
            .args(["-c", "command -v \"$0\"", tool])
            .output()
            .expect("bash");
        let path = String::from_utf8(output.stdout).expect("a path");
        std::os::unix::fs::symlink(Path::new(path.trim()), tools.path().join(tool))
            .expect("a link");
    }
    let path = tools.path().to_str().expect("a path");
    let output = deploy(NO_CLUSTER, &["--status"], &[("PATH", path)]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).starts_with("deploy.sh: kubectl is not installed"),
        "{}",
        told(&output)
    );
}

#[test]
fn help_names_every_option() {
    let output = deploy(NO_CLUSTER, &["--help"], &[]);
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for option in [
        "--registry",
        "--insecure-registry",
        "--namespace",
        "--gateway own",
        "--gateway NAMESPACE/SERVICE",
        "--host",
        "--gateway-api",
        "--istio-revision",
        "--istio-config",
        "--timeout",
        "--skip-build",
        "--release",
        "--skip-istio",
        "--dry-run",
        "--status",
        "--delete",
    ] {
        assert!(help.contains(&format!("  {option}")), "{option}");
    }
    assert!(help.contains("push-filter --help"));
}

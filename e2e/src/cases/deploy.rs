//! deploy.sh: its second run, its refusals, its deletion.

use std::ffi::OsString;
use std::time::Instant;

use serde_json::Value;

use crate::case::{Case, Tier};
use crate::cases::script;
use crate::environment::{Deletion, DeployScript, Environment};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const AGAIN: Case = Case {
    feature: "deploy.sh",
    name: "deploy-again",
    tier: Tier::Full,
    claim: "run again: exit code 0, and every object of the deployment is the same one with the same content",
    run: |environment| Box::pin(again(environment)),
};

pub(super) const REFUSALS: Case = Case {
    feature: "deploy.sh",
    name: "deploy-refusals",
    tier: Tier::Full,
    claim: "missing kubectl, no context, no cluster, no registry, no permission, bad flag, bad value: a clear \
            sentence each, exit code not 0, nothing changed",
    run: |environment| Box::pin(refusals(environment)),
};

pub(super) const DELETE: Case = Case {
    feature: "deploy.sh",
    name: "deploy-delete",
    tier: Tier::Full,
    claim: "--delete leaves nothing: no namespace, no plugin at the gateway, no volume, nor Istio where the script installed it",
    run: |environment| Box::pin(delete(environment)),
};

/// Why local mode has nothing of this to prove.
const NO_CLUSTER: &str =
    "this is about what deploy.sh does on a cluster; --local has its own tests";

/// The script under proof.
pub(super) fn script(environment: &Environment) -> Result<&DeployScript, Unmet> {
    let missing = || Unmet::Skipped("--deploy-script is not given".to_owned());
    environment.deploy_script.as_ref().ok_or_else(missing)
}

async fn again(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_CLUSTER)?;
    let script = script(environment)?;
    let before = cluster.snapshot().await?;
    let start = Instant::now();
    let ran = script::run(
        &script.path,
        &["--namespace", &cluster.names.namespace],
        &[],
    )
    .await?;
    let took = start.elapsed().as_secs();
    expect(
        ran.code == Some(0),
        "exit code 0",
        ran.tail(),
        "what deploy.sh says",
    )?;
    let changes = before.changes(&cluster.snapshot().await?);
    expect(
        changes.is_empty(),
        "no object changed",
        changes.join(", "),
        "`kubectl get -o yaml` of these",
    )?;
    Ok(format!(
        "exit code 0 after {took} s; {} objects, none changed",
        before.len()
    ))
}

/// A run that must be refused.
struct Refused<'a> {
    what: &'static str,
    args: Vec<&'a str>,
    variables: Vec<(&'static str, OsString)>,
    code: i32,
    /// What the sentence must say.
    says: &'static str,
}

async fn refusals(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_CLUSTER)?;
    let script = script(environment)?;
    let names = &cluster.names;
    let folder = tempfile::tempdir().map_err(anyhow::Error::from)?;
    let token = [
        "create",
        "token",
        "custom-app",
        "-n",
        &names.namespace,
        "--duration=10m",
    ];
    let token = cluster.kubectl.run(&token).await?;
    let as_token = |config: &mut Value| script::with_token(config, token.trim());
    let powerless = script::kubeconfig(cluster, &folder, "powerless", as_token).await?;
    let to_nowhere = |config: &mut Value| script::with_server(config, "https://127.0.0.1:1");
    let nowhere = script::kubeconfig(cluster, &folder, "nowhere", to_nowhere).await?;
    let path = script::path_without("kubectl", &folder)?;

    let refused = |what, says| Refused {
        what,
        args: Vec::new(),
        variables: Vec::new(),
        code: 1,
        says,
    };
    let cases = [
        Refused {
            // as root with apt it would be installed
            variables: vec![("PATH", path), ("FAULTLINE_INSTALL", "false".into())],
            ..refused("kubectl missing", "kubectl is not installed")
        },
        Refused {
            variables: vec![("KUBECONFIG", "/dev/null".into())],
            ..refused("no context", "no current context")
        },
        Refused {
            variables: vec![("KUBECONFIG", nowhere.into())],
            ..refused("no cluster", "does not answer")
        },
        Refused {
            args: vec!["--registry", "127.0.0.1:1"],
            // without a build no registry is needed
            variables: vec![("FAULTLINE_SKIP_BUILD", "false".into())],
            ..refused("no registry", "does not answer")
        },
        Refused {
            variables: vec![("KUBECONFIG", powerless.into())],
            ..refused("no permission", "you may not")
        },
        Refused {
            args: vec!["--no-such-option"],
            code: 2,
            ..refused("bad flag", "--no-such-option")
        },
        Refused {
            args: vec!["--timeout", "soon"],
            code: 2,
            ..refused("bad value", "soon")
        },
    ];
    let before = cluster.snapshot().await?;
    let mut seen = Vec::new();
    for case in &cases {
        let mut args = vec!["--namespace", names.namespace.as_str()];
        args.extend(&case.args);
        let ran = script::run(&script.path, &args, &case.variables).await?;
        let sentence = ran
            .stderr
            .lines()
            .find(|line| line.starts_with("deploy.sh: "))
            .unwrap_or_default();
        expect(
            ran.code == Some(case.code) && sentence.contains(case.says),
            format!(
                "{}: exit code {} and \"{}\"",
                case.what, case.code, case.says
            ),
            ran.tail(),
            "deploy.sh",
        )?;
        seen.push(format!("{} {}", case.what, case.code));
    }
    let changes = before.changes(&cluster.snapshot().await?);
    expect(
        changes.is_empty(),
        "nothing changed",
        changes.join(", "),
        "deploy.sh's checks come first",
    )?;
    Ok(format!("{}; nothing changed", seen.join(", ")))
}

async fn delete(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_CLUSTER)?;
    let script = script(environment)?;
    if script.delete == Deletion::Refused {
        return Err(Unmet::Skipped(
            "--with-delete is not given; the deployment stays".to_owned(),
        ));
    }
    let namespace = cluster.names.namespace.as_str();
    let before = cluster.snapshot().await?;
    let mut namespaces = vec![namespace];
    let gateway = cluster.names.gateway_namespace.as_str();
    let found = cluster.kubectl.json(&["get", "namespace", gateway]).await?;
    // Istio, too, if the script installed it
    if found
        .pointer("/metadata/annotations/faultline~1istio")
        .is_some()
    {
        namespaces.push(gateway);
    }
    let ran = script::run(&script.path, &["--delete", "--namespace", namespace], &[]).await?;
    expect(
        ran.code == Some(0),
        "exit code 0",
        ran.tail(),
        "what deploy.sh says",
    )?;

    let mut left = String::new();
    for namespace in &namespaces {
        let find = [
            "get",
            "namespace",
            namespace,
            "--ignore-not-found",
            "-o",
            "name",
        ];
        left.push_str(&cluster.kubectl.run(&find).await?);
    }
    match cluster.read(&cluster.gateway_plugin()).await {
        Ok(_) => left.push_str("the gateway's WasmPlugin"),
        // without Istio the kind itself is gone
        Err(error) => {
            let text = format!("{error:#}");
            if !text.contains("NotFound") && !text.contains("doesn't have a resource type") {
                return Err(error.into());
            }
        }
    }
    let volumes = cluster.kubectl.json(&["get", "persistentvolumes"]).await?;
    for volume in volumes
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if volume
            .pointer("/spec/claimRef/namespace")
            .and_then(Value::as_str)
            == Some(namespace)
        {
            left.push_str(
                volume
                    .pointer("/metadata/name")
                    .and_then(Value::as_str)
                    .unwrap_or("a volume"),
            );
        }
    }
    expect(
        left.is_empty(),
        "nothing left",
        left.clone(),
        "deploy.sh --delete",
    )?;
    Ok(format!(
        "{} objects before; {}, plugin and volumes gone",
        before.len(),
        namespaces.join(", ")
    ))
}

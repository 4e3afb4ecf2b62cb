//! deploy.sh: its refusals and its deletion. Its second run is in `again.rs`.

use std::ffi::OsString;

use serde_json::Value;

use crate::case::{Case, Tier};
use crate::cases::script;
use crate::cluster::Cluster;
use crate::environment::{Deletion, DeployScript, Environment};
use crate::unmet::{Outcome, Unmet, expect};

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
    claim: "--delete leaves nothing: no namespace, no plugin and no copied secret at the gateway, no volume; where the script installed Istio and \
            nobody else uses it, no object on the cluster has Istio in its name",
    run: |environment| Box::pin(delete(environment)),
};

/// Why local mode has nothing of this to prove.
pub(super) const NO_CLUSTER: &str =
    "this is about what deploy.sh does on a cluster; --local has its own tests";

/// Whether the script has installed the cluster's Istio.
pub(super) async fn installed_by_script(cluster: &Cluster) -> anyhow::Result<bool> {
    let found = cluster.kubectl.json(&["get", "namespaces"]).await?;
    let items = found.get("items").and_then(Value::as_array);
    let noted = |item: &Value| {
        item.pointer("/metadata/annotations/faultline~1istio")
            .is_some()
    };
    Ok(items.into_iter().flatten().any(noted))
}

/// The script under proof.
pub(super) fn script(environment: &Environment) -> Result<&DeployScript, Unmet> {
    let missing = || Unmet::Skipped("--deploy-script is not given".to_owned());
    environment.deploy_script.as_ref().ok_or_else(missing)
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
    let before = cluster.inventory().await?;
    let installed = installed_by_script(cluster).await?;
    let ran = script::run(&script.path, &["--delete", "--namespace", namespace], &[]).await?;
    expect(
        ran.code == Some(0),
        "exit code 0",
        ran.tail(),
        "what deploy.sh says",
    )?;

    let after = cluster.inventory().await?;
    let mut left = after.mentioning(&format!("Namespace {namespace}"));
    if installed {
        left.extend(after.mentioning("istio"));
    }
    match cluster.read(&cluster.gateway_plugin()).await {
        Ok(_) => left.push("the gateway's WasmPlugin".to_owned()),
        // without Istio the kind itself is gone
        Err(error) => {
            let text = format!("{error:#}");
            if !text.contains("NotFound") && !text.contains("doesn't have a resource type") {
                return Err(error.into());
            }
        }
    }
    let instance =
        format!("app.kubernetes.io/part-of=faultline,app.kubernetes.io/instance={namespace}");
    let secrets = ["get", "secrets", "-A", "-l", &instance, "-o", "name"];
    let secrets = cluster.kubectl.run(&secrets).await?;
    left.extend(secrets.lines().map(ToOwned::to_owned));
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
            let name = volume.pointer("/metadata/name").and_then(Value::as_str);
            left.push(name.unwrap_or("a volume").to_owned());
        }
    }
    expect(
        left.is_empty(),
        "nothing left",
        left.join(", "),
        format!("deploy.sh --delete, which said: {}", ran.tail()),
    )?;
    Ok(format!(
        "{} objects on the cluster before, {} after; {}",
        before.len(),
        after.len(),
        if installed {
            "Istio is gone, too"
        } else {
            "Istio, which was there before, stays"
        }
    ))
}

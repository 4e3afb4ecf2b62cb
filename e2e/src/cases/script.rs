//! Runs `deploy.sh` as a person would, in an environment made for the case.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::cluster::Cluster;

/// Longer than a build from nothing.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What became of a run.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    /// What matters of both outputs, for a message: the cases that its proof failed, and the end.
    pub(super) fn tail(&self) -> String {
        let lines: Vec<&str> = self.stdout.lines().chain(self.stderr.lines()).collect();
        let (before, end) = lines.split_at(lines.len().saturating_sub(8));
        let failed = before.iter().filter(|line| line.contains(" FAIL "));
        let told: Vec<&str> = failed.chain(end).copied().collect();
        format!("exit code {:?}: {}", self.code, told.join(" | "))
    }
}

/// Runs the script with these arguments and, on top of the present environment, these variables.
pub(super) async fn run(
    script: &Path,
    args: &[&str],
    variables: &[(&str, OsString)],
) -> Result<Ran> {
    let command = Command::new(script)
        .args(args)
        .envs(variables.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, command)
        .await
        .with_context(|| format!("{} took longer than {PATIENCE:?}", script.display()))?
        .with_context(|| format!("running {}", script.display()))?;
    Ok(Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Whether a program is on the PATH.
pub(super) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// A PATH with every program of the present one except `missing`.
pub(super) fn path_without(missing: &str, folder: &TempDir) -> Result<OsString> {
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).context("making a folder of programs")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    for entry in std::env::split_paths(&path)
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
    {
        let entry = entry.context("reading a folder of the PATH")?;
        let link = programs.join(entry.file_name());
        // the first of a name wins, as in a PATH
        if entry.file_name() != missing && link.symlink_metadata().is_err() {
            symlink(entry.path(), &link).with_context(|| format!("linking {}", link.display()))?;
        }
    }
    Ok(programs.into_os_string())
}

/// A kubeconfig for the cluster's address but with another user, or for another address.
pub(super) async fn kubeconfig(
    cluster: &Cluster,
    folder: &TempDir,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Result<PathBuf> {
    let view = ["config", "view", "--minify", "--raw", "--flatten"];
    let mut config = cluster.kubectl.json(&view).await?;
    change(&mut config);
    let path = folder.path().join(name);
    fs::write(&path, config.to_string()).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// Makes a kubeconfig's only user one that is known by a token.
pub(super) fn with_token(config: &mut Value, token: &str) {
    if let Some(user) = config.pointer_mut("/users/0/user") {
        *user = json!({"token": token});
    }
}

/// Makes a kubeconfig's only cluster one at another address.
pub(super) fn with_server(config: &mut Value, server: &str) {
    if let Some(address) = config.pointer_mut("/clusters/0/cluster/server") {
        *address = json!(server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_goes_missing_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_without("sh", &folder).unwrap();
        assert!(!Path::new(&path).join("sh").exists());
        assert!(Path::new(&path).join("env").exists());
        assert!(has("sh") && !has("no-such-program"));
    }

    #[test]
    fn a_kubeconfig_is_changed_where_it_says() {
        let mut config = json!({
            "users": [{"name": "u", "user": {"client-key-data": "k"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://a", "certificate-authority-data": "x"}}],
        });
        with_token(&mut config, "t");
        with_server(&mut config, "https://b");
        assert_eq!(config["users"][0]["user"], json!({"token": "t"}));
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://b");
        assert_eq!(
            config["clusters"][0]["cluster"]["certificate-authority-data"],
            "x"
        );
    }
}

//! `kubectl` as a subprocess.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// No single call takes longer, waiting for a pod included.
const PATIENCE: Duration = Duration::from_secs(180);

/// The command line of Kubernetes, with the ambient kubeconfig.
#[derive(Clone, Copy, Debug)]
pub struct Kubectl;

impl Kubectl {
    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// When it is missing, fails or takes too long; the error holds what it said.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        self.feed(args, "").await
    }

    /// The same with an input, for `-f -`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn feed(&self, args: &[&str], input: &str) -> Result<String> {
        let shown = || format!("kubectl {}", args.join(" "));
        let work = async {
            let mut child = Command::new("kubectl")
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                // of its own, so that Ctrl-C stops the suite and not the clearing away
                .process_group(0)
                .spawn()
                .context("kubectl cannot be started: is it installed and on the PATH?")?;
            if let Some(mut stdin) = child.stdin.take() {
                // a kubectl that reads no input closes it early, which is no failure
                let _unread = stdin.write_all(input.as_bytes()).await;
            }
            child.wait_with_output().await.with_context(shown)
        };
        let output = tokio::time::timeout(PATIENCE, work)
            .await
            .with_context(|| format!("{} took longer than {PATIENCE:?}", shown()))??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}", shown(), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it with `-o json`.
    ///
    /// # Errors
    /// As [`Self::run`], or when it prints something else.
    pub async fn json(&self, args: &[&str]) -> Result<Value> {
        let mut args = args.to_vec();
        args.extend(["-o", "json"]);
        let printed = self.run(&args).await?;
        serde_json::from_str(&printed)
            .with_context(|| format!("kubectl {} printed no JSON", args.join(" ")))
    }
}

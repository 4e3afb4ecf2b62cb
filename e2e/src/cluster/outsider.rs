//! A caller that is not in the mesh: the API server, which connects to a pod as `kubectl get --raw` asks it to. It has
//! no certificate of the mesh, and needs no pod of the suite's.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, Url};

use super::Cluster;
use crate::exchange::{Answer, Ask, Reply};
use crate::part::App;

/// The API server's words for a connection to a pod that ended without an answer.
const NO_ANSWER: &str = "error trying to reach service";

impl Cluster {
    /// Makes a GET in plaintext from outside the mesh, to the first pod of the service that the URL names.
    pub(super) async fn call_from_outside(&self, ask: &Ask) -> Result<Reply> {
        let url = Url::parse(&ask.url).with_context(|| ask.url.clone())?;
        let service = url.host_str().and_then(|host| host.split('.').next());
        let app = [App::CustomApp, App::LogAgent]
            .into_iter()
            .find(|app| Some(app.service()) == service)
            .with_context(|| format!("{} is no service of Faultline's", ask.url))?;
        if ask.method != Method::GET {
            bail!("the API server is only asked to GET");
        }
        let pods = self.pods(app).await?;
        let pod = pods.first().context("no pod")?;
        let query = url.query().map(|query| format!("?{query}"));
        let page = format!(
            "/api/v1/namespaces/{}/pods/{}:{}/proxy{}{}",
            pod.namespace,
            pod.name,
            url.port_or_known_default().context("no port")?,
            url.path(),
            query.unwrap_or_default()
        );
        let start = Instant::now();
        let printed = self.kubectl.run(&["get", "--raw", &page]).await;
        let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match printed {
            Ok(body) => Ok(Reply::Answer(Answer {
                status: 200,
                headers: Vec::new(),
                body,
                elapsed_ms,
            })),
            Err(error) => refusal(&format!("{error:#}"))
                .map(|error| Reply::NoAnswer { error, elapsed_ms })
                .ok_or(error),
        }
    }
}

/// What became of the connection, when that is what the API server reports.
fn refusal(said: &str) -> Option<String> {
    let (_, rest) = said.split_once(NO_ANSWER)?;
    Some(rest.trim_start_matches(':').trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ended_is_told_from_a_question_that_was_not_allowed() {
        let reset = "kubectl get --raw /x: Error from server (ServiceUnavailable): error trying to reach service: \
                     read tcp 192.0.2.1:1->192.0.2.5:8080: read: connection reset by peer";
        let seen = refusal(reset).unwrap();
        assert!(seen.ends_with("connection reset by peer"), "{seen}");
        assert_eq!(
            refusal("kubectl get --raw /x: Error from server (Forbidden): pods is forbidden"),
            None
        );
    }
}

//! The log agent, as this application knows it: where it is and what its answers mean.

mod answer;

use std::time::{Duration, Instant};

use faultline_service::api::{Newest, Page};
use faultline_service::context::TraceHeaders;
use faultline_service::entry::Entry;
use faultline_service::problem::Problem;
use faultline_service::query::LogQuery;
use http::{HeaderMap, HeaderValue, header};
use metrics::histogram;
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use self::answer::Answer;
pub(crate) use self::answer::failures;
use crate::config::LogAgentUrl;
use crate::outbox::Batch;

/// A client of the log agent; clones share its connections.
#[derive(Clone, Debug)]
pub struct LogAgent {
    client: Client,
    url: LogAgentUrl,
    delivery_timeout: Duration,
    read_timeout: Duration,
}

impl LogAgent {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// When the system gives it nothing to connect with.
    pub fn new(
        url: &LogAgentUrl,
        delivery_timeout: Duration,
        read_timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // What the environment says about proxies is not about the mesh.
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            // Half of what the log agent keeps one open: a request must not meet its closing.
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            client,
            url: url.clone(),
            delivery_timeout,
            read_timeout,
        })
    }

    /// Offers a batch.
    pub async fn deliver(&self, batch: &Batch) -> Answer {
        let started = Instant::now();
        let request = self
            .client
            .post(self.url.with("/log", ""))
            .headers(headers(&batch.trace()))
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )
            .timeout(self.delivery_timeout)
            .body(batch.body());
        let answer = match answer::receive(request).await {
            Ok((status, body)) => {
                Answer::to_delivery(batch.rows().iter().map(|row| row.id), status, &body)
            }
            Err(error) => Answer::Failed(error.to_string()),
        };
        histogram!("custom_app_delivery_duration_seconds").record(started.elapsed());
        histogram!("custom_app_delivery_size")
            .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        answer
    }

    /// The entry stored last.
    ///
    /// # Errors
    /// A 502 or 504 that says what is wrong behind this application.
    pub async fn newest(&self, trace: &TraceHeaders) -> Result<Newest, Problem> {
        self.ask(self.client.get(self.url.with("/log", "")), trace)
            .await
    }

    /// The entries a query asks for.
    ///
    /// # Errors
    /// As [`LogAgent::newest`], and a 400 when `after` names no entry.
    pub async fn page(&self, query: &LogQuery, trace: &TraceHeaders) -> Result<Page, Problem> {
        let url = self.url.with("/logs", &query.to_query_string());
        self.ask(self.client.get(url), trace).await
    }

    /// The entry of an id, if it is stored, the log agent can be asked, and knows how to tell.
    pub async fn find(&self, id: Uuid, trace: &TraceHeaders) -> Option<Entry> {
        let url = self.url.with("/logs", &LogQuery::of(id).to_query_string());
        let request = self.client.get(url).headers(headers(trace));
        let (status, body) = answer::receive(request.timeout(self.read_timeout))
            .await
            .ok()?;
        let page: Page = answer::to_question(status, &body).ok()?;
        page.entries.into_iter().find(|entry| entry.id == id)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        trace: &TraceHeaders,
    ) -> Result<T, Problem> {
        let request = request.headers(headers(trace)).timeout(self.read_timeout);
        let (status, body) = answer::receive(request).await?;
        answer::to_question(status, &body)
    }
}

fn headers(trace: &TraceHeaders) -> HeaderMap {
    let mut headers = HeaderMap::new();
    trace.apply(&mut headers);
    headers
}

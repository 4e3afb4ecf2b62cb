//! Prometheus metrics: the recorder, and what is measured of every request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// The upper bounds of every histogram of durations, in seconds: dense around the mesh's own
/// figures (400 ms per try, 1 s at the gateway, 2 s of injected delay).
pub const DURATION_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.45, 1.0, 2.0, 2.5, 5.0, 10.0,
];

/// The upper bounds of every histogram of counts.
pub const COUNT_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The process's metrics, ready to be read.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The process's recorder, installed by whoever calls first.
    ///
    /// # Errors
    /// When another recorder than this one is installed.
    pub fn install() -> Result<Self, BuildError> {
        static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = installed.as_ref() {
            return Ok(metrics.clone());
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &DURATION_BUCKETS)?
            .set_buckets_for_metric(Matcher::Suffix("_size".into()), &COUNT_BUCKETS)?
            .install_recorder()?;
        describe();
        Ok(installed.insert(Self(handle)).clone())
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what was measured since into the histograms; without it they would grow between
    /// readings, without end where nobody reads.
    pub(crate) async fn keep_up(self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(5));
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

fn describe() {
    describe_counter!(
        "http_requests_total",
        "Requests by route, method and status; 499: the caller had gone."
    );
    describe_histogram!(
        "http_request_duration_seconds",
        "From a request's head to its answer's end, by route."
    );
    describe_gauge!(
        "http_requests_in_flight",
        "Requests that have begun and not ended."
    );
    describe_counter!(
        "http_requests_shed_total",
        "Requests refused because too many were in flight."
    );
    describe_counter!(
        "http_panics_total",
        "Handlers that panicked; anything but 0 is a defect."
    );
    describe_gauge!("ready", "1 while /readyz answers 200.");
    describe_histogram!(
        "store_commit_duration_seconds",
        "One transaction, synced to disk."
    );
    describe_histogram!(
        "store_commit_group_size",
        "Jobs that shared one transaction."
    );
    describe_gauge!(
        "store_writable",
        "1 while what is sent can be written to disk."
    );
    describe_counter!(
        "store_commit_failures_total",
        "Transactions that could not be committed."
    );
}

pub(crate) fn request_began() {
    gauge!("http_requests_in_flight").increment(1);
}

pub(crate) fn request_ended(route: &str, method: &Method, status: u16, took: Duration) {
    gauge!("http_requests_in_flight").decrement(1);
    let route = route.to_owned();
    counter!(
        "http_requests_total",
        "route" => route.clone(), "method" => bounded(method), "status" => status.to_string()
    )
    .increment(1);
    histogram!("http_request_duration_seconds", "route" => route).record(took);
}

/// A caller may invent methods; a label's values must be few.
fn bounded(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

//! What the filter asks of its host.

use crate::pairs;
use alloc::vec::Vec;
use core::ops::Deref;
use faultline_filter_core::{Admission, Config, Reads, problem::Problem};

/// Why the host did not do what it was asked: the status of its answer, other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

/// What the host says to a question or an order.
pub type Answer<T> = Result<T, Status>;

/// A map of headers. The host has each only in its own phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// Of the request, in the request phase.
    Request = 0,
    /// Of the response, in the response phase.
    Response = 2,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter = 0,
    /// A distribution.
    Histogram = 2,
}

/// A metric that the host has defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// The proxy, as the filter sees it.
///
/// It may refuse anything, at any time and with any status, and every value may hold any bytes.
pub trait Host {
    /// Bytes that the host gave.
    type Bytes: Deref<Target = [u8]> + AsRef<[u8]>;

    /// The plugin's configuration, while it is being configured.
    fn configuration(&self) -> Answer<Self::Bytes>;

    /// The value of a variable of the environment.
    fn environment(&self, name: &str) -> Option<Vec<u8>>;

    /// All headers, as [`crate::pairs`] reads them.
    fn headers(&self, of: Headers) -> Answer<Self::Bytes>;

    /// The first header called `name`.
    fn header(&self, of: Headers, name: &str) -> Answer<Self::Bytes>;

    /// The decision over a request, in the request phase.
    ///
    /// In WebAssembly each question costs more than its answer: all headers at once cost less than
    /// two of them one after the other, and a little more than one (docs/filter-cost.md). A host
    /// where a question costs little asks for each header by itself instead.
    fn admit<'c>(&self, config: &'c Config) -> Admission<'c> {
        match config.reads() {
            Reads::Headers => {
                let map = self.headers(Headers::Request).ok();
                config.admit(|name| pairs::value(map.as_deref()?, name))
            }
            Reads::Path => {
                let path = self.header(Headers::Request, ":path").ok();
                config.admit(|_| path.as_deref())
            }
        }
    }

    /// Adds a header beside those of the same name: for a list header, appends to the list.
    fn add_header(&self, to: Headers, name: &str, value: &str) -> Answer<()>;

    /// The property at `path`, whose elements are joined by NUL.
    fn property(&self, path: &str) -> Answer<Self::Bytes>;

    /// Leaves `value` in the request's filter state, as `wasm.` and `path`.
    fn set_property(&self, path: &str, value: &str) -> Answer<()>;

    /// Nanoseconds of a clock, since any moment that stays the same.
    fn now(&self) -> Answer<u64>;

    /// Answers the request instead of the upstream, in the request phase.
    fn answer(&self, problem: &Problem<'_>) -> Answer<()>;

    /// Defines a metric. A second definition of one name gives a second id, and no id is ever
    /// given up.
    fn define(&self, kind: MetricKind, name: &str) -> Answer<MetricId>;

    /// Adds to a counter.
    fn add(&self, counter: MetricId, count: i64) -> Answer<()>;

    /// Records a value in a histogram.
    fn record(&self, histogram: MetricId, value: u64) -> Answer<()>;

    /// Writes a line into the proxy's log, as an error.
    fn log_error(&self, line: &str);
}

//! Envoy, as the filter sees it.

use crate::abi::{Attribute, ConfigHandle, FilterHandle};
use faultline_filter::host::{Answer, Headers, Host, MetricId, MetricKind, Status};
use faultline_filter_core::{Admission, Config, problem::Problem};
use std::{env, ops::Deref, os::unix::ffi::OsStringExt, sync::OnceLock, time::Instant};

/// Whatever Envoy does not do or does not have: it gives no reason.
const REFUSED: Status = Status(1);

/// What Envoy is asked from.
pub(crate) enum Envoy<'h> {
    /// A configuration that is being taken: its name, and its text.
    Configuration(ConfigHandle, &'h [u8], &'h [u8]),
    /// A request.
    Request(FilterHandle),
}

impl Envoy<'_> {
    fn request(&self) -> Answer<&FilterHandle> {
        match self {
            Self::Request(filter) => Ok(filter),
            Self::Configuration(..) => Err(REFUSED),
        }
    }
}

/// Bytes that Envoy gave, copied: what it lends it may take back at the next order. Most are short,
/// and need no allocation.
pub(crate) enum Given {
    Short([u8; SHORT], usize),
    Long(Vec<u8>),
}

/// The longest value that needs no allocation, in bytes.
const SHORT: usize = 32;

impl Given {
    fn number(number: u64) -> Self {
        Self::from(number.to_le_bytes().as_slice())
    }
}

impl From<&[u8]> for Given {
    fn from(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match short.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(bytes);
                Self::Short(short, bytes.len())
            }
            None => Self::Long(bytes.to_vec()),
        }
    }
}

impl Deref for Given {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => bytes.get(..*length).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Given {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// The status that the gRPC specification makes of an HTTP status, for those the filter answers with.
fn grpc_status(http: u32) -> &'static str {
    match http {
        404 => "12", // UNIMPLEMENTED
        503 => "14", // UNAVAILABLE
        _ => "2",    // UNKNOWN
    }
}

fn done(is_done: bool) -> Answer<()> {
    is_done.then_some(()).ok_or(REFUSED)
}

impl Host for Envoy<'_> {
    type Bytes = Given;

    fn configuration(&self) -> Answer<Given> {
        match self {
            Self::Configuration(_, _, text) => Ok(Given::from(*text)),
            Self::Request(_) => Err(REFUSED),
        }
    }

    /// Of Envoy's own process.
    fn environment(&self, name: &str) -> Option<Vec<u8>> {
        env::var_os(name).map(OsStringExt::into_vec)
    }

    /// Never asked: [`Host::admit`] reads header by header.
    fn headers(&self, _: Headers) -> Answer<Given> {
        Err(REFUSED)
    }

    fn header(&self, of: Headers, name: &str) -> Answer<Given> {
        let header = self.request()?.header(of, name, |value| Given::from(value));
        header.ok_or(REFUSED)
    }

    fn admit<'c>(&self, config: &'c Config) -> Admission<'c> {
        match self {
            Self::Request(filter) => filter.admit(config),
            Self::Configuration(..) => config.admit(|_| None),
        }
    }

    fn add_header(&self, to: Headers, name: &str, value: &str) -> Answer<()> {
        done(self.request()?.add_header(to, name, value))
    }

    fn property(&self, path: &str) -> Answer<Given> {
        let number = |attribute| {
            let number = self.request()?.number(attribute);
            number.map(Given::number).ok_or(REFUSED)
        };
        match path {
            "plugin_name" => match self {
                Self::Configuration(_, name, _) => Ok(Given::from(*name)),
                Self::Request(_) => Err(REFUSED),
            },
            "response\0code" => number(Attribute::ResponseCode),
            "response\0flags" => number(Attribute::ResponseFlags),
            "upstream\0request_attempt_count" => number(Attribute::UpstreamRequestAttemptCount),
            "response\0code_details" => {
                let details = Attribute::ResponseCodeDetails;
                let details = self.request()?.text(details, |text| Given::from(text));
                details.ok_or(REFUSED)
            }
            _ => Err(REFUSED),
        }
    }

    /// Under the name that the WebAssembly host gives it, so that one access log format reads both.
    fn set_property(&self, path: &str, value: &str) -> Answer<()> {
        let key = ["wasm.", path].concat();
        done(self.request()?.set_filter_state(&key, value))
    }

    /// By a clock that nobody sets.
    fn now(&self) -> Answer<u64> {
        static START: OnceLock<Instant> = OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed();
        u64::try_from(elapsed.as_nanos()).map_err(|_| REFUSED)
    }

    fn answer(&self, problem: &Problem<'_>) -> Answer<()> {
        let request = self.request()?;
        // Envoy writes the answer to a gRPC request as gRPC has it. But what it takes for its status
        // from this interface is OK, unless a header says otherwise.
        let is_grpc = request.header(Headers::Request, "content-type", |content_type| {
            content_type.starts_with(b"application/grpc")
        });
        match is_grpc {
            Some(true) => {
                let mut problem = problem.clone();
                problem
                    .headers
                    .push(("grpc-status", grpc_status(problem.status)));
                request.send(&problem);
            }
            _ => request.send(problem),
        }
        Ok(())
    }

    fn define(&self, kind: MetricKind, name: &str) -> Answer<MetricId> {
        let id = match self {
            Self::Configuration(config, ..) => config.define(kind, name),
            Self::Request(_) => None,
        };
        let id = id.and_then(|id| u32::try_from(id).ok());
        id.map(MetricId).ok_or(REFUSED)
    }

    fn add(&self, MetricId(counter): MetricId, count: i64) -> Answer<()> {
        let count = u64::try_from(count).map_err(|_| REFUSED)?;
        done(match self {
            Self::Configuration(config, ..) => config.add(counter, count),
            Self::Request(filter) => filter.add(counter, count),
        })
    }

    fn record(&self, MetricId(histogram): MetricId, value: u64) -> Answer<()> {
        done(self.request()?.record(histogram, value))
    }

    fn log_error(&self, line: &str) {
        crate::abi::log_error(line);
    }
}

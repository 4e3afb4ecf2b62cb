//! The dynamic module's part: configurations one after the other, requests called back in any order,
//! and a host that calls back while it is asked something.

use crate::mock::{Asked, Mock};
use faultline_filter::{
    Action, Plugins,
    host::{Answer, Headers, Host, MetricId, MetricKind},
};
use faultline_filter_core::{Admission, Config, problem::Problem};
use faultline_filter_module::{Configured, Filter};
use std::cell::Cell;

/// How many requests are under way at once.
const FILTERS: usize = 4;

/// How deep callbacks within callbacks go.
const DEEPEST: u8 = 3;

/// Takes a configuration for each piece of the input, and makes callbacks until the piece ends. A
/// request that is stopped is answered, one is counted at most once after its headers came, and nothing panics.
pub fn module(bytes: &[u8]) {
    let Some((size, rest)) = bytes.split_first() else {
        return;
    };
    let mut plugins = Plugins::new();
    for piece in rest.chunks(usize::from(*size) + 16) {
        // Ids are those of one configuration, as in Envoy.
        let mock = Mock::new(piece);
        let configured = Configured::new(&mut plugins, &mock);
        assert_eq!(mock.asked.borrow().panics, 0, "a panic is caught");
        let mut filters = [(); FILTERS].map(|()| Filter::new(&configured));
        let mut counted = [0; FILTERS];
        let arrivals = [(); FILTERS].map(|()| Cell::new(0));
        while !mock.read(|input| input.is_empty()) {
            let place = mock.read(|input| input.choose_index(FILTERS).unwrap_or_default());
            let (Some(filter), Some(counted), Some(arrivals)) = (
                filters.get_mut(place),
                counted.get_mut(place),
                arrivals.get(place),
            ) else {
                break;
            };
            if mock.read(|input| input.ratio(1, 8).unwrap_or_default()) {
                *filter = Filter::new(&configured);
                *counted = 0;
                arrivals.set(0);
            }
            let before = requests(&mock);
            Nested {
                mock: &mock,
                filter,
                arrivals,
                depth: Cell::new(0),
            }
            .call_back();
            *counted += requests(&mock) - before;
            assert!(*counted <= arrivals.get(), "one request is counted once");
            assert_eq!(mock.asked.borrow().panics, 0, "a panic is caught");
        }
    }
}

fn requests(mock: &Mock<'_>) -> u64 {
    mock.asked.borrow().requests
}

/// The mock, which calls back with the very filter that is asking.
struct Nested<'m, 'a, 'c> {
    mock: &'m Mock<'a>,
    filter: &'m Filter<'c>,
    /// How often its headers came.
    arrivals: &'m Cell<u64>,
    depth: Cell<u8>,
}

impl Nested<'_, '_, '_> {
    /// Makes a callback that the input says.
    fn call_back(&self) {
        let answers = |asked: &Asked| asked.answers;
        match self
            .mock
            .read(|input| input.int_in_range(0..=3).unwrap_or_default())
        {
            0 => {
                let before = answers(&self.mock.asked.borrow());
                self.arrivals.set(self.arrivals.get() + 1);
                let action = self.filter.on_request_headers(self);
                let after = answers(&self.mock.asked.borrow());
                // One within it may have answered too.
                assert!(action == Action::Continue || after > before);
            }
            1 => self.filter.on_response_headers(self),
            _ => self.filter.on_stream_complete(self),
        }
    }

    /// Sometimes calls back before the mock is asked.
    fn ask(&self) -> &Self {
        let depth = self.depth.get();
        if depth < DEEPEST
            && self
                .mock
                .read(|input| input.ratio(1, 8).unwrap_or_default())
        {
            self.depth.set(depth + 1);
            self.call_back();
            self.depth.set(depth);
        }
        self
    }
}

impl<'a> Host for Nested<'_, 'a, '_> {
    type Bytes = <Mock<'a> as Host>::Bytes;

    fn configuration(&self) -> Answer<Self::Bytes> {
        self.mock.configuration()
    }

    fn environment(&self, name: &str) -> Option<Vec<u8>> {
        self.mock.environment(name)
    }

    fn headers(&self, of: Headers) -> Answer<Self::Bytes> {
        self.ask().mock.headers(of)
    }

    fn header(&self, of: Headers, name: &str) -> Answer<Self::Bytes> {
        self.ask().mock.header(of, name)
    }

    /// Header by header, as the module asks Envoy.
    fn admit<'c>(&self, config: &'c Config) -> Admission<'c> {
        let names = [
            ":authority",
            ":path",
            ":method",
            "origin",
            "access-control-request-method",
        ];
        let headers = names.map(|name| (name, self.header(Headers::Request, name).ok()));
        config.admit(|name| {
            let (_, value) = headers.iter().find(|(known, _)| *known == name)?;
            value.as_deref()
        })
    }

    fn add_header(&self, to: Headers, name: &str, value: &str) -> Answer<()> {
        self.ask().mock.add_header(to, name, value)
    }

    fn property(&self, path: &str) -> Answer<Self::Bytes> {
        self.ask().mock.property(path)
    }

    fn set_property(&self, path: &str, value: &str) -> Answer<()> {
        self.ask().mock.set_property(path, value)
    }

    fn now(&self) -> Answer<u64> {
        self.mock.now()
    }

    fn answer(&self, problem: &Problem<'_>) -> Answer<()> {
        self.ask().mock.answer(problem)
    }

    fn define(&self, kind: MetricKind, name: &str) -> Answer<MetricId> {
        self.mock.define(kind, name)
    }

    fn add(&self, counter: MetricId, count: i64) -> Answer<()> {
        self.ask().mock.add(counter, count)
    }

    fn record(&self, histogram: MetricId, value: u64) -> Answer<()> {
        self.ask().mock.record(histogram, value)
    }

    fn log_error(&self, line: &str) {
        self.mock.log_error(line);
    }
}

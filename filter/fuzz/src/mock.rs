//! A host that does anything: every answer is what the input says, a status or bytes.

use arbitrary::Unstructured;
use faultline_filter::{
    host::{Answer, Headers, Host, MetricId, MetricKind, Status},
    pairs,
};
use faultline_filter_core::{metrics::PANICS, problem::Problem};
use std::cell::RefCell;

/// Configurations worth having often: as many good ones as [`GOOD`], and then bad ones.
const CONFIGURATIONS: [&str; 9] = [
    r#"{"hosts":["a.b","*.c"],"name":"edge","routes":[{"path":"/{x}","observe":"x","annotate":false},{"path":"/log","methods":["GET"],"cors":"pass"}]}"#,
    r#"{"hosts":["a.b"],"routes":[{"prefix":"/"},{"prefix":"/s/"},{"path":"/s/{x}/y"}],"fallback":"observe"}"#,
    r#"{"routes":[{"path":"/log","methods":["GET"],"observe":"log"}]}"#,
    r#"{"routes":[{"prefix":"/","observe":"all"}],"labels":true}"#,
    r#"{"routes":[{"path":"/"},{"path":"/log","observe":"log"},{"prefix":"/s/","observe":"s"}],"fallback":"observe"}"#,
    r#"{"routes":[]}"#,
    r#"{"routes":[{"path":"/log","observe":"log"},{"path":"/log"}]}"#,
    "{",
    "",
];

const GOOD: usize = 5;

/// Values of headers and properties worth having often.
const VALUES: [&[u8]; 20] = [
    b"a.b:80",
    b"x.c",
    b"OPTIONS",
    b"refuse",
    b"/log",
    b"/",
    b"/s/a?b",
    b"/nowhere",
    b"GET",
    b"POST",
    b"200",
    b"504",
    b"99999",
    b"via_upstream",
    b"\xff\xfe\0",
    &[4, 0x82, 0, 0, 0, 0, 0, 0],
    &[200, 0, 0, 0, 0, 0, 0, 0],
    &[3, 0, 0, 0, 0, 0, 0, 0],
    &[0xff; 8],
    &[0; 9],
];

/// The size of a long value, in bytes: no page of the module's has room for it.
const LONG: usize = 80 << 10;

/// What was asked of the host.
#[derive(Default)]
pub(crate) struct Asked {
    /// Names of the metrics it defined, by id.
    pub(crate) defined: Vec<(MetricKind, String)>,
    /// How often requests were counted: `faultline_requests_total`, any route, any outcome.
    pub(crate) requests: u64,
    /// How many answers were sent.
    pub(crate) answers: u64,
    /// How many panics were caught and counted.
    pub(crate) panics: u64,
    /// How many lines were logged.
    pub(crate) lines: u64,
}

/// The host.
pub(crate) struct Mock<'a> {
    input: RefCell<Unstructured<'a>>,
    pub(crate) asked: RefCell<Asked>,
}

impl<'a> Mock<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            input: RefCell::new(Unstructured::new(bytes)),
            asked: RefCell::default(),
        }
    }

    /// Reads from the input.
    pub(crate) fn read<T>(&self, from: impl FnOnce(&mut Unstructured<'a>) -> T) -> T {
        from(&mut self.input.borrow_mut())
    }

    /// A configuration that is taken.
    pub(crate) fn good_configuration(&self) -> Vec<u8> {
        let good = CONFIGURATIONS.get(..GOOD).unwrap_or_default();
        let text = self.read(|input| input.choose(good).copied());
        text.unwrap_or_default().into()
    }

    /// Success more often than not.
    fn status(&self) -> Answer<()> {
        self.read(|input| match input.ratio(3, 4) {
            Ok(false) => Err(Status(input.arbitrary().unwrap_or(u32::MAX))),
            _ => Ok(()),
        })
    }

    fn value(&self) -> Answer<Vec<u8>> {
        self.status()?;
        Ok(
            self.read(|input| match input.arbitrary::<u8>().unwrap_or_default() {
                // Rarely: they take longer than all the rest.
                254 => vec![b'a'; LONG],
                255 => vec![0xff; LONG],
                0..=40 => input.arbitrary().unwrap_or_default(),
                _ => input
                    .choose(&VALUES)
                    .map(|value| value.to_vec())
                    .unwrap_or_default(),
            }),
        )
    }
}

impl Host for Mock<'_> {
    type Bytes = Vec<u8>;

    fn configuration(&self) -> Answer<Vec<u8>> {
        self.status()?;
        Ok(self.read(|input| match input.ratio(7, 8) {
            Ok(false) => input.arbitrary().unwrap_or_default(),
            _ => input
                .choose(&CONFIGURATIONS)
                .map(|text| text.as_bytes().to_vec())
                .unwrap_or_default(),
        }))
    }

    fn environment(&self, _name: &str) -> Option<Vec<u8>> {
        self.value().ok()
    }

    fn headers(&self, _of: Headers) -> Answer<Vec<u8>> {
        self.status()?;
        if self.read(|input| input.ratio(1, 8).unwrap_or(false)) {
            return self.value();
        }
        let text = || Ok(String::from_utf8_lossy(&self.value()?).into_owned());
        let (host, path, method) = (text()?, text()?, text()?);
        Ok(pairs::write(&[
            (":authority", &host),
            (":path", &path),
            (":method", &method),
            ("origin", "https://a.b"),
            ("access-control-request-method", "PUT"),
        ]))
    }

    fn header(&self, _of: Headers, _name: &str) -> Answer<Vec<u8>> {
        self.value()
    }

    fn add_header(&self, _to: Headers, name: &str, value: &str) -> Answer<()> {
        let is_plain = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        assert!(is_plain(name) && is_plain(value), "{name}: {value}");
        self.status()
    }

    fn property(&self, _path: &str) -> Answer<Vec<u8>> {
        self.value()
    }

    fn set_property(&self, _path: &str, _value: &str) -> Answer<()> {
        self.status()
    }

    fn now(&self) -> Answer<u64> {
        self.status()?;
        Ok(self.read(|input| input.arbitrary().unwrap_or_default()))
    }

    fn answer(&self, problem: &Problem<'_>) -> Answer<()> {
        assert!(matches!(problem.status, 404 | 405 | 503));
        self.asked.borrow_mut().answers += 1;
        self.status()
    }

    /// The counter of panics is always there, so that none goes unseen.
    fn define(&self, kind: MetricKind, name: &str) -> Answer<MetricId> {
        if name != PANICS {
            self.status()?;
        }
        let defined = &mut self.asked.borrow_mut().defined;
        let is_known = defined.iter().any(|(_, known)| known == name);
        assert!(!is_known, "{name} is defined again: an id is lost");
        defined.push((kind, name.to_owned()));
        Ok(MetricId(u32::try_from(defined.len()).unwrap_or(u32::MAX)))
    }

    fn add(&self, counter: MetricId, count: i64) -> Answer<()> {
        assert!(count > 0, "a counter does not go backwards");
        let asked = &mut *self.asked.borrow_mut();
        let (kind, name) = defined(asked, counter);
        assert_eq!(kind, MetricKind::Counter, "{name}");
        if name.contains("faultline_requests_total") {
            assert_eq!(count, 1);
            asked.requests += 1;
        }
        if name == PANICS {
            asked.panics += 1;
        }
        self.status()
    }

    fn record(&self, histogram: MetricId, _value: u64) -> Answer<()> {
        let (kind, name) = defined(&self.asked.borrow(), histogram);
        assert_eq!(kind, MetricKind::Histogram, "{name}");
        self.status()
    }

    fn log_error(&self, line: &str) {
        assert!(!line.contains('\n'), "{line}");
        self.asked.borrow_mut().lines += 1;
    }
}

/// The metric of an id that was handed out.
fn defined(asked: &Asked, MetricId(id): MetricId) -> (MetricKind, String) {
    let place = usize::try_from(id).unwrap_or_default().wrapping_sub(1);
    asked
        .defined
        .get(place)
        .cloned()
        .expect("an id the host gave")
}

//! Envoy's side of the interface, for tests that Miri runs: Miri cannot run Envoy.
//!
//! What it lends is gone when Envoy's would be, at the next change of headers or the hook's end, and
//! what it is given it reads to the end. So Miri sees every pointer that is used for too long.

use super::*;
use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering},
};

/// A configuration's metrics: made with it, counted by every worker.
#[derive(Default)]
pub(super) struct Metrics {
    defined: Mutex<Vec<String>>,
    counts: [AtomicU64; 32],
}

impl Metrics {
    /// How much all counters have counted whose names begin so.
    pub(super) fn count(&self, name: &str) -> u64 {
        let defined = self.defined.lock().unwrap();
        let named = defined.iter().enumerate();
        named
            .filter(|(_, known)| known.starts_with(name))
            .map(|(id, _)| self.counts[id].load(Ordering::Relaxed))
            .sum()
    }

    fn define(&self, name: &[u8]) -> usize {
        let mut defined = self.defined.lock().unwrap();
        defined.push(str::from_utf8(name).unwrap().to_owned());
        defined.len() - 1
    }

    fn add(&self, id: usize, count: u64) {
        self.counts[id].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn as_envoys(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// A request, and what the hooks have done with it.
pub(super) struct Request<'m> {
    metrics: &'m Metrics,
    headers: RefCell<Vec<(Headers, String, Vec<u8>)>>,
    attributes: Box<dyn Fn(Attribute) -> Option<u64> + 'm>,
    /// What Envoy does while it sends an answer.
    within_answer: Box<dyn Fn(&Self) + 'm>,
    lent: RefCell<Vec<*mut [u8]>>,
    pub(super) answer: Cell<Option<u32>>,
    pub(super) outcome: RefCell<String>,
}

impl<'m> Request<'m> {
    pub(super) fn new(metrics: &'m Metrics, headers: &[(&str, &[u8])]) -> Self {
        let of_request =
            |(name, value): &(&str, &[u8])| (Headers::Request, (*name).to_owned(), value.to_vec());
        Self {
            metrics,
            headers: RefCell::new(headers.iter().map(of_request).collect()),
            attributes: Box::new(|_| Some(1)),
            within_answer: Box::new(|_| ()),
            lent: RefCell::default(),
            answer: Cell::new(None),
            outcome: RefCell::default(),
        }
    }

    /// A number for each attribute, or none.
    pub(super) fn with_attributes(
        mut self,
        attributes: impl Fn(Attribute) -> Option<u64> + 'm,
    ) -> Self {
        self.attributes = Box::new(attributes);
        self
    }

    /// What Envoy does with the request while it sends an answer.
    pub(super) fn while_answering(mut self, what: impl Fn(&Self) + 'm) -> Self {
        self.within_answer = Box::new(what);
        self
    }

    /// The first header called `name`.
    pub(super) fn header(&self, of: Headers, name: &str) -> Option<Vec<u8>> {
        let headers = self.headers.borrow();
        let mut named = headers
            .iter()
            .filter(|(map, known, _)| *map == of && known == name);
        named.next().map(|(_, _, value)| value.clone())
    }

    pub(super) fn set(&self, of: Headers, name: &str, value: &[u8]) {
        self.take_back();
        let header = (of, name.to_owned(), value.to_vec());
        self.headers.borrow_mut().push(header);
    }

    pub(super) fn as_envoys(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// Runs a hook. What it was lent ends with it.
    pub(super) fn hook<T>(&self, hook: impl FnOnce(*mut c_void) -> T) -> T {
        let result = hook(self.as_envoys());
        self.take_back();
        result
    }

    /// Lends a copy of its own, which nothing else keeps alive. Envoy may have no pointer for an empty
    /// one.
    fn lend(&self, value: Vec<u8>) -> Buffer {
        if value.is_empty() {
            return Buffer::NONE;
        }
        let lent = Box::into_raw(value.into_boxed_slice());
        self.lent.borrow_mut().push(lent);
        Buffer {
            start: lent.cast_const().cast(),
            length: lent.len(),
        }
    }

    fn take_back(&self) {
        for lent in self.lent.take() {
            // SAFETY: it was lent once, and is taken back once.
            drop(unsafe { Box::from_raw(lent) });
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// # Safety
/// `request` is of [`Request::as_envoys`], and lives.
unsafe fn request<'r>(request: *mut c_void) -> &'r Request<'r> {
    // SAFETY: the caller's.
    unsafe { &*request.cast_const().cast() }
}

/// # Safety
/// `metrics` is of [`Metrics::as_envoys`], and lives.
unsafe fn metrics<'m>(metrics: *mut c_void) -> &'m Metrics {
    // SAFETY: the caller's.
    unsafe { &*metrics.cast_const().cast() }
}

fn map(map: u32) -> Headers {
    match map {
        0 => Headers::Request,
        2 => Headers::Response,
        other => panic!("a map of headers that the filter does not ask for: {other}"),
    }
}

// SAFETY, of every callback: the handles are those that the tests gave to the hooks; buffers are
// what the module says they are, which is what is tested.

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_log(_level: u32, line: Buffer) {
    let line = str::from_utf8(unsafe { line.bytes() }).unwrap();
    assert!(line.starts_with("faultline: ") && !line.contains('\n'));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_header(
    filter: *mut c_void,
    of: u32,
    name: Buffer,
    value: *mut Buffer,
    index: usize,
    count: *mut usize,
) -> bool {
    assert!(index == 0 && count.is_null());
    let (request, name) = unsafe { (request(filter), name.bytes()) };
    let found = request.header(map(of), str::from_utf8(name).unwrap());
    let is_found = found.is_some();
    let lent = found.map_or(Buffer::NONE, |found| request.lend(found));
    unsafe { value.write(lent) };
    is_found
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_add_header(
    filter: *mut c_void,
    to: u32,
    name: Buffer,
    value: Buffer,
) -> bool {
    let (request, name, value) = unsafe { (request(filter), name.bytes(), value.bytes()) };
    request.set(map(to), str::from_utf8(name).unwrap(), value);
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_send_response(
    filter: *mut c_void,
    status: u32,
    headers: *const Header,
    headers_length: usize,
    body: Buffer,
    details: Buffer,
) {
    let request = unsafe { request(filter) };
    request.take_back();
    for header in unsafe { slice::from_raw_parts(headers, headers_length) } {
        let (name, value) = unsafe { (header.name.bytes(), header.value.bytes()) };
        request.set(Headers::Response, str::from_utf8(name).unwrap(), value);
    }
    assert!(!unsafe { body.bytes() }.is_empty());
    assert_eq!(unsafe { details.bytes() }, b"faultline");
    assert_eq!(request.answer.replace(Some(status)), None, "two answers");
    (request.within_answer)(request);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
    filter: *mut c_void,
    attribute: Attribute,
    value: *mut u64,
) -> bool {
    let number = (unsafe { request(filter) }.attributes)(attribute);
    if let Some(number) = number {
        unsafe { value.write(number) };
    }
    number.is_some()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
    filter: *mut c_void,
    attribute: Attribute,
    value: *mut Buffer,
) -> bool {
    let request = unsafe { request(filter) };
    let number = (request.attributes)(attribute);
    if number.is_some() {
        unsafe { value.write(request.lend(b"via_upstream".to_vec())) };
    }
    number.is_some()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
    filter: *mut c_void,
    key: Buffer,
    value: Buffer,
) -> bool {
    let (request, key, value) = unsafe { (request(filter), key.bytes(), value.bytes()) };
    assert_eq!(key, b"wasm.faultline.outcome");
    *request.outcome.borrow_mut() = str::from_utf8(value).unwrap().to_owned();
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_define_counter(
    config: *mut c_void,
    name: Buffer,
    _labels: *const Buffer,
    labels_length: usize,
    id: *mut usize,
) -> u32 {
    assert_eq!(labels_length, 0);
    unsafe { id.write(metrics(config).define(name.bytes())) };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
    config: *mut c_void,
    name: Buffer,
    labels: *const Buffer,
    labels_length: usize,
    id: *mut usize,
) -> u32 {
    envoy_dynamic_module_callback_http_filter_config_define_counter(
        config,
        name,
        labels,
        labels_length,
        id,
    )
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_increment_counter(
    config: *mut c_void,
    id: usize,
    _labels: *const Buffer,
    labels_length: usize,
    count: u64,
) -> u32 {
    assert_eq!(labels_length, 0);
    unsafe { metrics(config) }.add(id, count);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_increment_counter(
    filter: *mut c_void,
    id: usize,
    _labels: *const Buffer,
    labels_length: usize,
    count: u64,
) -> u32 {
    assert_eq!(labels_length, 0);
    unsafe { request(filter) }.metrics.add(id, count);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
    filter: *mut c_void,
    id: usize,
    labels: *const Buffer,
    labels_length: usize,
    _value: u64,
) -> u32 {
    envoy_dynamic_module_callback_http_filter_increment_counter(
        filter,
        id,
        labels,
        labels_length,
        1,
    )
}

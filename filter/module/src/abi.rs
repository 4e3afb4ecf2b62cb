//! The binary interface of Envoy's dynamic modules: the hooks that Envoy calls, and what it can be
//! asked.
//!
//! Envoy's `source/extensions/dynamic_modules/abi/abi.h` describes it. Released functions keep their
//! form; the fewer are used, the longer this works. `http_filter_config_increment_counter` came with
//! Envoy 1.39: an older one cannot load the module, and says which function it lacks. It could
//! not tell response flags and attempts, either.
#![expect(
    unsafe_code,
    reason = "the interface passes pointers, and names its functions"
)]

#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;

use crate::{Configured, Filter, envoy::Envoy, guard::catch};
use faultline_filter::{
    Action, Plugins,
    host::{Headers, MetricKind},
};
use faultline_filter_core::{Admission, Config, problem::Problem};
use std::{
    ffi::{c_char, c_void},
    mem::ManuallyDrop,
    panic, ptr,
    rc::Rc,
    slice,
    sync::{Mutex, PoisonError},
};

/// Bytes, of Envoy's or of this module.
#[repr(C)]
#[derive(Clone, Copy)]
struct Buffer {
    start: *const u8,
    length: usize,
}

impl Buffer {
    const NONE: Self = Self {
        start: ptr::null(),
        length: 0,
    };

    fn of(text: &str) -> Self {
        Self {
            start: text.as_ptr(),
            length: text.len(),
        }
    }

    /// # Safety
    /// Envoy has filled it, and the bytes stay for `'b`.
    unsafe fn bytes<'b>(self) -> &'b [u8] {
        match self.start.is_null() {
            true => &[],
            // SAFETY: the caller's.
            false => unsafe { slice::from_raw_parts(self.start, self.length) },
        }
    }
}

/// A header of a response of this module.
#[repr(C)]
struct Header {
    name: Buffer,
    value: Buffer,
}

/// Attributes, by their place in Envoy's list.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) enum Attribute {
    ResponseCode = 15,
    ResponseCodeDetails = 16,
    ResponseFlags = 17,
    UpstreamRequestAttemptCount = 53,
}

unsafe extern "C" {
    fn envoy_dynamic_module_callback_log(level: u32, line: Buffer);
    fn envoy_dynamic_module_callback_http_get_header(
        filter: *mut c_void,
        map: u32,
        name: Buffer,
        value: *mut Buffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_add_header(
        filter: *mut c_void,
        map: u32,
        name: Buffer,
        value: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_send_response(
        filter: *mut c_void,
        status: u32,
        headers: *const Header,
        headers_length: usize,
        body: Buffer,
        details: Buffer,
    );
    fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        filter: *mut c_void,
        attribute: Attribute,
        value: *mut u64,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        filter: *mut c_void,
        attribute: Attribute,
        value: *mut Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: *mut c_void,
        key: Buffer,
        value: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: *mut c_void,
        name: Buffer,
        labels: *const Buffer,
        labels_length: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: *mut c_void,
        name: Buffer,
        labels: *const Buffer,
        labels_length: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_increment_counter(
        config: *mut c_void,
        id: usize,
        labels: *const Buffer,
        labels_length: usize,
        count: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_increment_counter(
        filter: *mut c_void,
        id: usize,
        labels: *const Buffer,
        labels_length: usize,
        count: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
        filter: *mut c_void,
        id: usize,
        labels: *const Buffer,
        labels_length: usize,
        value: u64,
    ) -> u32;
}

/// What the functions for metrics say if all is well.
const SUCCESS: u32 = 0;

/// Writes a line into Envoy's log, as an error.
pub(crate) fn log_error(line: &str) {
    const ERROR: u32 = 4;
    // SAFETY: the line is read before the call returns.
    unsafe { envoy_dynamic_module_callback_log(ERROR, Buffer::of(line)) }
}

/// Envoy's side of a configuration, while that is being taken.
pub(crate) struct ConfigHandle(*mut c_void);

// SAFETY, of every call of both handles: Envoy made the pointer and keeps it for as long as the hook
// runs that has the handle; buffers are of live values; and results are local variables, which are
// written before the call returns.
impl ConfigHandle {
    /// The id of a metric without labels of the interface's own.
    pub(crate) fn define(&self, kind: MetricKind, name: &str) -> Option<usize> {
        let mut id = 0;
        let define = match kind {
            MetricKind::Counter => envoy_dynamic_module_callback_http_filter_config_define_counter,
            MetricKind::Histogram => {
                envoy_dynamic_module_callback_http_filter_config_define_histogram
            }
        };
        let result = unsafe { define(self.0, Buffer::of(name), ptr::null(), 0, &raw mut id) };
        (result == SUCCESS).then_some(id)
    }

    pub(crate) fn add(&self, counter: u32, count: u64) -> bool {
        let add = envoy_dynamic_module_callback_http_filter_config_increment_counter;
        SUCCESS == unsafe { add(self.0, counter as usize, ptr::null(), 0, count) }
    }
}

/// Envoy's side of a request.
pub(crate) struct FilterHandle(*mut c_void);

impl FilterHandle {
    /// The first header called `name`.
    ///
    /// # Safety
    /// It stays until the next order to change headers, or the hook's end.
    unsafe fn lent<'b>(&self, of: Headers, name: &str) -> Option<&'b [u8]> {
        let mut value = Buffer::NONE;
        let get = envoy_dynamic_module_callback_http_get_header;
        let (map, name) = (of as u32, Buffer::of(name));
        let found = unsafe { get(self.0, map, name, &raw mut value, 0, ptr::null_mut()) };
        found.then(|| unsafe { value.bytes() })
    }

    /// Reads the first header called `name`.
    pub(crate) fn header<T>(&self, of: Headers, name: &str, read: fn(&[u8]) -> T) -> Option<T> {
        // A function without captures has no handle to change headers by.
        unsafe { self.lent(of, name) }.map(read)
    }

    /// The decision over this request.
    pub(crate) fn admit<'c>(&self, config: &'c Config) -> Admission<'c> {
        // The core has no handle, either.
        config.admit(|name| unsafe { self.lent(Headers::Request, name) })
    }

    pub(crate) fn add_header(&self, to: Headers, name: &str, value: &str) -> bool {
        let (name, value) = (Buffer::of(name), Buffer::of(value));
        unsafe { envoy_dynamic_module_callback_http_add_header(self.0, to as u32, name, value) }
    }

    pub(crate) fn send(&self, problem: &Problem<'_>) {
        let header = |(name, value): &(&str, &str)| Header {
            name: Buffer::of(name),
            value: Buffer::of(value),
        };
        let headers: Vec<Header> = problem.headers.iter().map(header).collect();
        unsafe {
            envoy_dynamic_module_callback_http_send_response(
                self.0,
                problem.status,
                headers.as_ptr(),
                headers.len(),
                Buffer::of(problem.body),
                // The access log's %RESPONSE_CODE_DETAILS%.
                Buffer::of("faultline"),
            );
        }
    }

    pub(crate) fn number(&self, attribute: Attribute) -> Option<u64> {
        let mut value = 0;
        let get = envoy_dynamic_module_callback_http_filter_get_attribute_int;
        unsafe { get(self.0, attribute, &raw mut value) }.then_some(value)
    }

    /// Reads a text.
    pub(crate) fn text<T>(&self, attribute: Attribute, read: fn(&[u8]) -> T) -> Option<T> {
        let mut value = Buffer::NONE;
        let get = envoy_dynamic_module_callback_http_filter_get_attribute_string;
        let found = unsafe { get(self.0, attribute, &raw mut value) };
        // As for a header.
        found.then(|| read(unsafe { value.bytes() }))
    }

    pub(crate) fn set_filter_state(&self, key: &str, value: &str) -> bool {
        let (key, value) = (Buffer::of(key), Buffer::of(value));
        unsafe { envoy_dynamic_module_callback_http_set_filter_state_bytes(self.0, key, value) }
    }

    pub(crate) fn add(&self, counter: u32, count: u64) -> bool {
        let add = envoy_dynamic_module_callback_http_filter_increment_counter;
        SUCCESS == unsafe { add(self.0, counter as usize, ptr::null(), 0, count) }
    }

    pub(crate) fn record(&self, histogram: u32, value: u64) -> bool {
        let record = envoy_dynamic_module_callback_http_filter_record_histogram_value;
        SUCCESS == unsafe { record(self.0, histogram as usize, ptr::null(), 0, value) }
    }
}

/// The last good configurations, for as long as the process lives or the module is loaded.
static PLUGINS: Mutex<Plugins> = Mutex::new(Plugins::new());

/// The version of the interface that Envoy 1.39 has.
const VERSION: *const c_char = c"v0.1.0".as_ptr();

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    // One line of Envoy's log instead of several of standard error.
    panic::set_hook(Box::new(|panic| {
        let line = format!("faultline: {panic}; it goes on as without the filter");
        log_error(&line.replace('\n', " "));
    }));
    VERSION
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: *mut c_void,
    name: Buffer,
    text: Buffer,
) -> *const Configured {
    let configured = catch(|| {
        // SAFETY: Envoy lends both for as long as this hook runs.
        let (name, text) = unsafe { (name.bytes(), text.bytes()) };
        let host = Envoy::Configuration(ConfigHandle(config), name, text);
        let mut plugins = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
        Box::into_raw(Box::new(Configured::new(&mut plugins, &host))).cast_const()
    });
    // Null refuses it. Only what cannot panic is outside of the guard within.
    configured.unwrap_or(ptr::null())
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(configured: *mut Configured) {
    // SAFETY: it was made above, and Envoy destroys it once, after the last of its requests.
    let _ = catch(|| drop(unsafe { Box::from_raw(configured) }));
}

/// A request's state as Envoy holds it. By reference count: Envoy may destroy it while one of its
/// hooks still runs.
type Held = Rc<Filter<'static>>;

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(
    configured: *const Configured,
    _filter: *mut c_void,
) -> *const Filter<'static> {
    // SAFETY: Envoy keeps a configuration until the last of its requests is destroyed.
    let made = catch(|| Rc::into_raw(Held::new(Filter::new(unsafe { &*configured }))));
    made.unwrap_or(ptr::null())
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: *const Filter<'static>) {
    // SAFETY: it was made above, and Envoy destroys it once.
    let _ = catch(|| drop(unsafe { Held::from_raw(filter) }));
}

/// # Safety
/// `filter` was made above and is not destroyed yet.
unsafe fn held(filter: *const Filter<'static>) -> Held {
    // SAFETY: the caller's. What Envoy holds stays counted.
    let envoys = ManuallyDrop::new(unsafe { Held::from_raw(filter) });
    Rc::clone(&envoys)
}

// In the hooks that follow, the guard is within.

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: *mut c_void,
    filter: *const Filter<'static>,
    _ends: bool,
) -> u32 {
    // SAFETY: Envoy calls no hook of a filter that it has destroyed.
    let filter = unsafe { held(filter) };
    match filter.on_request_headers(&Envoy::Request(FilterHandle(envoy))) {
        Action::Continue => CONTINUE,
        // Envoy's StopIteration.
        Action::Pause => 1,
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: *mut c_void,
    filter: *const Filter<'static>,
    _ends: bool,
) -> u32 {
    // SAFETY: as above.
    let filter = unsafe { held(filter) };
    filter.on_response_headers(&Envoy::Request(FilterHandle(envoy)));
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    envoy: *mut c_void,
    filter: *const Filter<'static>,
) {
    // SAFETY: as above.
    let filter = unsafe { held(filter) };
    filter.on_stream_complete(&Envoy::Request(FilterHandle(envoy)));
}

const CONTINUE: u32 = 0;

/// Hooks that Envoy wants to find, and that have nothing to do. Their arguments are not read.
macro_rules! empty_hooks {
    ($($name:ident -> $type:ty = $value:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> $type {
            $value
        }
    )*};
}

empty_hooks! {
    envoy_dynamic_module_on_http_filter_request_body -> u32 = CONTINUE;
    envoy_dynamic_module_on_http_filter_request_trailers -> u32 = CONTINUE;
    envoy_dynamic_module_on_http_filter_response_body -> u32 = CONTINUE;
    envoy_dynamic_module_on_http_filter_response_trailers -> u32 = CONTINUE;
    envoy_dynamic_module_on_http_filter_http_callout_done -> () = ();
    envoy_dynamic_module_on_http_filter_http_stream_headers -> () = ();
    envoy_dynamic_module_on_http_filter_http_stream_data -> () = ();
    envoy_dynamic_module_on_http_filter_http_stream_trailers -> () = ();
    envoy_dynamic_module_on_http_filter_http_stream_complete -> () = ();
    envoy_dynamic_module_on_http_filter_http_stream_reset -> () = ();
    envoy_dynamic_module_on_http_filter_scheduled -> () = ();
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark -> () = ();
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark -> () = ();
}

//! The hooks, called as Envoy may call them. Miri runs these tests too (`test.sh --only miri`).

use super::{
    stand_in::{Metrics, Request},
    *,
};
use std::thread;

const CONFIGURATION: &str = r#"{"routes":[{"path":"/log","methods":["GET"],"observe":"log"}]}"#;

/// A configuration that Envoy holds. Its workers share it.
struct Made<'m>(*mut Configured, &'m Metrics);

// SAFETY: Envoy's workers share a configuration, and Configured is Sync.
unsafe impl Sync for Made<'_> {}

impl<'m> Made<'m> {
    fn new(metrics: &'m Metrics, name: &str, text: Buffer) -> Self {
        // What Envoy lends here is gone when the hook has ended.
        let name = name.to_owned();
        let configured = envoy_dynamic_module_on_http_filter_config_new(
            metrics.as_envoys(),
            Buffer::of(&name),
            text,
        );
        assert!(!configured.is_null());
        Self(configured.cast_mut(), metrics)
    }

    fn of(metrics: &'m Metrics, name: &str, text: &str) -> Self {
        let text = text.to_owned();
        Self::new(metrics, name, Buffer::of(&text))
    }

    fn arrives(&self) -> *const Filter<'static> {
        let filter = envoy_dynamic_module_on_http_filter_new(self.0, ptr::null_mut());
        assert!(!filter.is_null());
        filter
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        envoy_dynamic_module_on_http_filter_config_destroy(self.0);
    }
}

fn request_headers(request: &Request<'_>, filter: *const Filter<'static>) -> u32 {
    request.hook(|envoy| envoy_dynamic_module_on_http_filter_request_headers(envoy, filter, true))
}

fn response_headers(request: &Request<'_>, filter: *const Filter<'static>) {
    request.hook(|envoy| envoy_dynamic_module_on_http_filter_response_headers(envoy, filter, true));
}

fn stream_complete(request: &Request<'_>, filter: *const Filter<'static>) {
    request.hook(|envoy| envoy_dynamic_module_on_http_filter_stream_complete(envoy, filter));
}

fn destroy(filter: *const Filter<'static>) {
    envoy_dynamic_module_on_http_filter_destroy(filter);
}

fn get(path: &str) -> [(&str, &[u8]); 2] {
    [(":path", path.as_bytes()), (":method", b"GET")]
}

#[test]
fn a_request_from_its_arrival_to_its_end() {
    let metrics = Metrics::default();
    let made = Made::of(&metrics, "whole", CONFIGURATION);
    let request = Request::new(&metrics, &get("/log"));
    let filter = made.arrives();
    assert_eq!(request_headers(&request, filter), CONTINUE);
    request.set(Headers::Response, ":status", b"200");
    response_headers(&request, filter);
    let annotated = request.header(Headers::Response, "proxy-status").unwrap();
    assert!(annotated.starts_with(b"faultline"));
    stream_complete(&request, filter);
    stream_complete(&request, filter);
    destroy(filter);
    assert_eq!(metrics.count("faultline_requests_total.log."), 1);
    assert_eq!(request.answer.get(), None);
}

/// An answer takes the request through the rest of its hooks before the order to send it returns.
#[test]
fn an_answer_ends_the_request_within_the_hook() {
    let metrics = Metrics::default();
    let made = Made::of(&metrics, "within", CONFIGURATION);
    for is_destroyed_within in [false, true] {
        let filter = made.arrives();
        let request = Request::new(&metrics, &get("/nowhere")).while_answering(|request| {
            response_headers(request, filter);
            stream_complete(request, filter);
            if is_destroyed_within {
                destroy(filter);
            }
        });
        assert_ne!(request_headers(&request, filter), CONTINUE);
        assert_eq!(request.answer.get(), Some(404));
        assert_eq!(*request.outcome.borrow(), "unknown_route");
        if !is_destroyed_within {
            destroy(filter);
        }
    }
    assert_eq!(metrics.count("faultline_unknown_routes_total"), 2);
}

/// Without a text Envoy has no pointer either. The one before stays for as long as anybody needs it.
#[test]
fn a_refused_configuration_has_the_one_before() {
    let metrics = [Metrics::default(), Metrics::default(), Metrics::default()];
    let unconfigured = Made::new(&metrics[0], "refused", Buffer::NONE);
    let first = Made::of(&metrics[1], "refused", CONFIGURATION);
    let under_way = first.arrives();
    let second = Made::new(&metrics[2], "refused", Buffer::NONE);
    let request = Request::new(&metrics[1], &get("/log"));
    assert_eq!(request_headers(&request, under_way), CONTINUE);
    stream_complete(&request, under_way);
    destroy(under_way);
    drop(first);
    for (made, metrics, answer) in [
        (&unconfigured, &metrics[0], None),
        (&second, &metrics[2], Some(404)),
    ] {
        let request = Request::new(metrics, &get("/nowhere"));
        let filter = made.arrives();
        request_headers(&request, filter);
        destroy(filter);
        assert_eq!(request.answer.get(), answer);
        assert_eq!(metrics.count("faultline_config_errors_total"), 1);
    }
}

/// Workers, each with requests of its own, over configurations that come and go.
#[test]
fn any_order_of_hooks_on_any_worker() {
    const NAMES: [&str; 2] = ["a", "b"];
    let (rounds, steps) = if cfg!(miri) { (2, 40) } else { (50, 1000) };
    for round in 0..rounds {
        let metrics: [Metrics; 2] = Default::default();
        let made = [0, 1].map(|place| Made::of(&metrics[place], NAMES[place], CONFIGURATION));
        thread::scope(|scope| {
            for worker in 0..2 {
                let (made, random) = (&made, fastrand::Rng::with_seed(2 * round + worker));
                scope.spawn(move || work(made, random, steps));
            }
        });
    }
}

fn work(made: &[Made<'_>], mut random: fastrand::Rng, steps: usize) {
    const PATHS: [&str; 5] = ["/log", "/log?x", "/nowhere", "", "/\u{0}"];
    const METHODS: [&[u8]; 4] = [b"GET", b"POST", b"", b"\xff"];
    let mut live = Vec::new();
    for _ in 0..steps {
        match random.u8(0..8) {
            0 | 1 => {
                let made = &made[random.usize(0..made.len())];
                let (path, method) = (random.choice(PATHS), random.choice(METHODS));
                let headers = [
                    (":path", path.unwrap_or_default().as_bytes()),
                    (":method", method.unwrap_or_default()),
                    ("content-type", b"application/grpc"),
                ];
                let kept = random.usize(0..=headers.len());
                let number = random.bool().then(|| random.u64(..));
                let request = Request::new(made.1, &headers[..kept]);
                let request = request.with_attributes(move |_| number);
                live.push((request, made.arrives()));
            }
            2 if !live.is_empty() => {
                let (_, filter) = live.swap_remove(random.usize(0..live.len()));
                destroy(filter);
            }
            hook if !live.is_empty() => {
                let (request, filter) = &live[random.usize(0..live.len())];
                match hook {
                    // Once, since Envoy has no second answer.
                    3 | 4 if request.answer.get().is_none() => {
                        let action = request_headers(request, *filter);
                        assert_eq!(action != CONTINUE, request.answer.get().is_some());
                    }
                    5 => response_headers(request, *filter),
                    _ => stream_complete(request, *filter),
                }
            }
            _ => {}
        }
    }
    live.into_iter().for_each(|(_, filter)| destroy(filter));
}

/// A panic unwinds to the hook and no further, and what it held is let go.
#[cfg(feature = "provoke")]
#[test]
fn a_panic_ends_in_its_hook() {
    assert_eq!(envoy_dynamic_module_on_program_init(), VERSION);
    let metrics = Metrics::default();
    let made = Made::of(&metrics, "panics", CONFIGURATION);
    for hook in ["request_headers", "response_headers", "stream_complete"] {
        let [path, method] = get("/nowhere");
        let provoked = ("x-faultline-provoke", hook.as_bytes());
        let request = Request::new(&metrics, &[path, method, provoked]);
        let filter = made.arrives();
        let action = request_headers(&request, filter);
        assert_eq!(action == CONTINUE, hook == "request_headers");
        response_headers(&request, filter);
        stream_complete(&request, filter);
        destroy(filter);
    }
    assert_eq!(metrics.count("faultline_panics_total"), 3);
    let refused = Metrics::default();
    drop(Made::of(&refused, "panics", "configuration"));
    assert_eq!(refused.count("faultline_panics_total"), 1);
    // The hook of the process is the tests' own again.
    let _ = panic::take_hook();
}

//! The callbacks of proxy-wasm in any order, and what they promise whichever host they have.

use crate::mock::Mock;
use arbitrary::Unstructured;
use faultline_filter::{Action, Vm};
use std::collections::BTreeSet;

/// Few, so that they meet often.
pub(crate) const IDS: [u32; 8] = [0, 1, 2, 3, 4, 1000, u32::MAX - 1, u32::MAX];

/// What is called back, and the host it asks.
pub(crate) trait Callbacks<'a> {
    fn host(&self) -> &Mock<'a>;
    fn on_context_create(&mut self, id: u32, parent: u32);
    fn on_configure(&mut self, id: u32) -> bool;
    fn on_request_headers(&mut self, id: u32) -> Action;
    fn on_response_headers(&mut self, id: u32);
    fn on_log(&mut self, id: u32);
    fn on_delete(&mut self, id: u32);
}

/// Makes callbacks until the input ends, then deletes every context. A request is answered exactly
/// if it is stopped, counted when it is logged and only once.
pub(crate) fn call_back<'a, C: Callbacks<'a>>(called: &mut C, check: impl Fn(&C)) {
    let mut created: BTreeSet<u32> = BTreeSet::new();
    loop {
        let next = called.host().read(|input| match input.is_empty() {
            true => None,
            false => Some((input.int_in_range(0..=9).unwrap_or(0), id(input), id(input))),
        });
        let Some((callback, id, parent)) = next else {
            break;
        };
        let before = snapshot(called.host());
        match callback {
            0 => {
                assert!(called.on_configure(id));
                created.insert(id);
            }
            1 | 2 => {
                called.on_context_create(id, parent);
                created.insert(id);
            }
            3..=5 => {
                let action = called.on_request_headers(id);
                let answered = snapshot(called.host()).answers - before.answers;
                assert_eq!(answered, u64::from(action == Action::Pause));
            }
            6 => called.on_response_headers(id),
            7 | 8 => {
                called.on_log(id);
                let counted = snapshot(called.host()).requests - before.requests;
                assert!(counted <= 1, "one request is counted once");
                called.on_log(id);
                let again = snapshot(called.host()).requests - before.requests;
                assert_eq!(again, counted, "logged again, it is not counted again");
            }
            _ => called.on_delete(id),
        }
        if !matches!(callback, 7 | 8) {
            assert_eq!(snapshot(called.host()).requests, before.requests);
        }
        check(called);
    }
    for id in created {
        called.on_delete(id);
    }
}

struct Snapshot {
    answers: u64,
    requests: u64,
}

fn snapshot(host: &Mock<'_>) -> Snapshot {
    let asked = host.asked.borrow();
    Snapshot {
        answers: asked.answers,
        requests: asked.requests,
    }
}

/// An id of a context.
pub(crate) fn id(input: &mut Unstructured<'_>) -> u32 {
    input.choose(&IDS).copied().unwrap_or_default()
}

impl<'a> Callbacks<'a> for Vm<Mock<'a>> {
    fn host(&self) -> &Mock<'a> {
        self.host()
    }

    fn on_context_create(&mut self, id: u32, parent: u32) {
        self.on_context_create(id, parent);
    }

    fn on_configure(&mut self, id: u32) -> bool {
        self.on_configure(id)
    }

    fn on_request_headers(&mut self, id: u32) -> Action {
        self.on_request_headers(id)
    }

    fn on_response_headers(&mut self, id: u32) {
        self.on_response_headers(id);
    }

    fn on_log(&mut self, id: u32) {
        self.on_log(id);
    }

    fn on_delete(&mut self, id: u32) {
        self.on_delete(id);
    }
}

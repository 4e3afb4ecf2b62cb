//! The whole adapter, on a host that does anything, called back in any order.

use crate::mock::Mock;
use arbitrary::Unstructured;
use faultline_filter::{Action, Vm};
use std::collections::BTreeSet;

/// Few, so that they meet often.
const IDS: [u32; 8] = [0, 1, 2, 3, 4, 1000, u32::MAX - 1, u32::MAX];

/// Makes callbacks until the input ends, then deletes every context. A request is answered exactly
/// if it is stopped, counted when it is logged and only once; no context is left.
pub fn adapter(bytes: &[u8]) {
    let mut vm = Vm::new(Mock::new(bytes));
    let mut created: BTreeSet<u32> = BTreeSet::new();
    loop {
        let next = vm.host().read(|input| match input.is_empty() {
            true => None,
            false => Some((input.int_in_range(0..=9).unwrap_or(0), id(input), id(input))),
        });
        let Some((callback, id, parent)) = next else {
            break;
        };
        let before = snapshot(&vm);
        match callback {
            0 => {
                assert!(vm.on_configure(id));
                created.insert(id);
            }
            1 | 2 => {
                vm.on_context_create(id, parent);
                created.insert(id);
            }
            3..=5 => {
                let action = vm.on_request_headers(id);
                let answered = snapshot(&vm).answers - before.answers;
                assert_eq!(answered, u64::from(action == Action::Pause));
            }
            6 => vm.on_response_headers(id),
            7 | 8 => {
                vm.on_log(id);
                let counted = snapshot(&vm).requests - before.requests;
                assert!(counted <= 1, "one request is counted once");
                vm.on_log(id);
                let again = snapshot(&vm).requests - before.requests;
                assert_eq!(again, counted, "logged again, it is not counted again");
            }
            _ => vm.on_delete(id),
        }
        if !matches!(callback, 7 | 8) {
            assert_eq!(snapshot(&vm).requests, before.requests);
        }
        assert!(vm.contexts() <= 2 * IDS.len());
    }
    for id in created {
        vm.on_delete(id);
    }
    assert_eq!(vm.contexts(), 0, "a context is left");
}

struct Snapshot {
    answers: u64,
    requests: u64,
}

fn snapshot(vm: &Vm<Mock<'_>>) -> Snapshot {
    let asked = vm.host().asked.borrow();
    Snapshot {
        answers: asked.answers,
        requests: asked.requests,
    }
}

fn id(input: &mut Unstructured<'_>) -> u32 {
    input.choose(&IDS).copied().unwrap_or_default()
}

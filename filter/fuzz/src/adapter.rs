//! The whole adapter, on a host that does anything, called back in any order.

use crate::{
    callbacks::{IDS, call_back},
    mock::Mock,
};
use faultline_filter::Vm;

/// Makes the callbacks that the input says: they keep their promises, and no context is left.
pub fn adapter(bytes: &[u8]) {
    let mut vm = Vm::new(Mock::new(bytes));
    call_back(&mut vm, |vm| assert!(vm.contexts() <= 2 * IDS.len()));
    assert_eq!(vm.contexts(), 0, "a context is left");
}

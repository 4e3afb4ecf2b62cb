//! The module as its host sees it: its memory and its exports.

use crate::mock::Mock;
use wasmi::{
    Instance, Memory, ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder, TypedFunc,
    WasmParams, WasmResults,
};

/// The most memory the module may have, in bytes: more than it needs for all that [`Mock`] gives.
const MEMORY: usize = 64 << 20;

/// The most memory that the host keeps, in bytes. What it asks for without end ends in any module.
const KEPT: usize = 1 << 20;

/// The module's exports.
#[derive(Clone, Copy)]
pub(super) struct Guest {
    pub(super) memory: Memory,
    pub(super) on_context_create: TypedFunc<(u32, u32), ()>,
    pub(super) on_configure: TypedFunc<(u32, u32), u32>,
    pub(super) on_request_headers: TypedFunc<(u32, u32, u32), u32>,
    pub(super) on_response_headers: TypedFunc<(u32, u32, u32), u32>,
    pub(super) on_log: TypedFunc<u32, ()>,
    pub(super) on_delete: TypedFunc<u32, ()>,
    pub(super) allocate: TypedFunc<u32, u32>,
}

impl Guest {
    pub(super) fn of(store: &Store<Host<'_>>, instance: &Instance) -> Self {
        Self {
            memory: instance.get_memory(store, "memory").expect("a memory"),
            on_context_create: export(store, instance, "proxy_on_context_create"),
            on_configure: export(store, instance, "proxy_on_configure"),
            on_request_headers: export(store, instance, "proxy_on_request_headers"),
            on_response_headers: export(store, instance, "proxy_on_response_headers"),
            on_log: export(store, instance, "proxy_on_log"),
            on_delete: export(store, instance, "proxy_on_delete"),
            allocate: export(store, instance, "proxy_on_memory_allocate"),
        }
    }
}

fn export<P: WasmParams, R: WasmResults>(
    store: &Store<Host<'_>>,
    instance: &Instance,
    name: &str,
) -> TypedFunc<P, R> {
    let found = instance.get_typed_func(store, name);
    found.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The host's side of a VM.
pub(super) struct Host<'a> {
    pub(super) mock: Mock<'a>,
    /// Once the module is there.
    pub(super) guest: Option<Guest>,
    limits: StoreLimits,
    /// The first configuration is a good one, and is given as it is: what is behind it is rare by
    /// chance.
    pub(super) is_first: bool,
    /// While the host calls back within a call of the module.
    pub(super) calls_back: bool,
    /// Memory that it has asked for and never gave, and what it has written there.
    kept: Vec<(u32, Vec<u8>)>,
    /// The variables of the environment, since their sizes were asked for.
    pub(super) environment: Vec<u8>,
}

impl<'a> Host<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            mock: Mock::new(bytes),
            guest: None,
            limits: StoreLimitsBuilder::new().memory_size(MEMORY).build(),
            is_first: true,
            calls_back: false,
            kept: Vec::new(),
            environment: Vec::new(),
        }
    }

    pub(super) fn limits(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }

    /// The host's memory holds what the host has written.
    pub(super) fn check(&self, memory: &[u8]) {
        for (start, written) in &self.kept {
            let there = memory.get(*start as usize..).unwrap_or_default();
            assert!(
                there.starts_with(written),
                "the host's memory is written to"
            );
        }
    }

    pub(super) fn keep(&mut self, start: u32, written: Vec<u8>) {
        if start != 0 && !written.is_empty() {
            self.kept.push((start, written));
        }
    }

    /// Whether some of these bytes are the host's.
    pub(super) fn keeps_any(&self, start: u32, size: u32) -> bool {
        let place = |start: u32, size: usize| (start as usize)..(start as usize + size);
        let asked = place(start, size as usize);
        let mut kept = self.kept.iter();
        kept.any(|(start, written)| {
            let kept = place(*start, written.len());
            kept.start < asked.end && asked.start < kept.end
        })
    }

    /// Whether it may keep so much more.
    pub(super) fn has_room(&self, size: usize) -> bool {
        let kept: usize = self.kept.iter().map(|(_, written)| written.len()).sum();
        kept + size <= KEPT
    }
}

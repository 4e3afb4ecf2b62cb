//! The binary interface, proxy-wasm 0.2.1: what the host calls, and what it can be asked.
//!
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>. Exported is only what is
//! used: the host calls every callback it finds, and each call costs.
#![expect(
    unsafe_code,
    reason = "the interface passes pointers, and names its functions"
)]

use crate::{
    host::{Answer, Headers, Host, MetricId, MetricKind, Status},
    memory::{Given, Memory},
    pairs,
    vm::Vm,
};
use alloc::vec::Vec;
use core::{cell::RefCell, ptr};
use faultline_filter_core::problem::Problem;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Out of memory is what remains: nothing else here panics. The host ends the VM.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// A static of a VM, which has one thread.
struct Single<T>(T);

// SAFETY: without threads nothing is shared between them.
unsafe impl<T> Sync for Single<T> {}

static VM: Single<RefCell<Vm<Proxy>>> = Single(RefCell::new(Vm::new(Proxy)));

/// Does `what` with the VM. A host that called back within a host call would get the default.
fn with_vm<T: Default>(what: impl FnOnce(&mut Vm<Proxy>) -> T) -> T {
    match VM.0.try_borrow_mut() {
        Ok(mut vm) => what(&mut vm),
        Err(_) => T::default(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    with_vm(|vm| vm.on_context_create(id, parent));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(id: u32, _size: u32) -> bool {
    with_vm(|vm| vm.on_configure(id))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(id: u32, _count: u32, _ends: u32) -> u32 {
    with_vm(|vm| vm.on_request_headers(id) as u32)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(id: u32, _count: u32, _ends: u32) -> u32 {
    with_vm(|vm| vm.on_response_headers(id));
    0
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(id: u32) {
    with_vm(|vm| vm.on_log(id));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(id: u32) {
    with_vm(|vm| vm.on_delete(id));
}

static MEMORY: Single<Memory> = Single(Memory::new());

/// Memory for a value that the host is about to give.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    MEMORY.0.allocate(size)
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, line: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        most: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, value: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u32;
    fn environ_get(variables: *mut *mut u8, block: *mut u8) -> u32;
}

/// The environment of this VM: `NAME=value`, each with a NUL behind it.
fn environment() -> Answer<Given<'static>> {
    let (mut count, mut size) = (0_usize, 0);
    // SAFETY: both pointers are of local variables.
    done(unsafe { environ_sizes_get(&raw mut count, &raw mut size) })?;
    // Where each variable starts in the block, which nobody reads.
    let (starts, _starts) = room(count.saturating_mul(size_of::<*mut u8>()))?;
    let (block, variables) = room(size)?;
    // SAFETY: both have the sizes that the host has just named, and are not read meanwhile.
    done(unsafe { environ_get(starts.cast(), block) })?;
    Ok(variables)
}

/// Room for so many bytes: where the host is to write them, and what they are then.
fn room(size: usize) -> Answer<(*mut u8, Given<'static>)> {
    let start = MEMORY.0.allocate(size);
    match MEMORY.0.given(start, size) {
        Some(value) if value.len() == size => Ok((start, value)),
        _ => Err(INVALID_MEMORY_ACCESS),
    }
}

/// The host's memory is not where it says, or there is not so much of it.
const INVALID_MEMORY_ACCESS: Status = Status(6);

fn done(status: u32) -> Answer<()> {
    match status {
        0 => Ok(()),
        other => Err(Status(other)),
    }
}

/// The value that `call` has the host give.
fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Answer<Given<'static>> {
    let (mut start, mut length) = (ptr::null_mut(), 0);
    done(call(&raw mut start, &raw mut length))?;
    let given = MEMORY.0.given(start, length);
    given.ok_or(INVALID_MEMORY_ACCESS)
}

/// The proxy around this VM.
struct Proxy;

// SAFETY, of every call here: the pointers are of live values with the sizes beside them, which
// the host reads, or of local variables, which it writes before it returns.
impl Host for Proxy {
    type Bytes = Given<'static>;

    fn configuration(&self) -> Answer<Given<'static>> {
        const PLUGIN_CONFIGURATION: u32 = 7;
        given(|value, size| unsafe {
            proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, value, size)
        })
    }

    fn environment(&self, name: &str) -> Option<Vec<u8>> {
        let block = environment().ok()?;
        let mut variables = block.split(|byte| *byte == 0);
        variables.find_map(|variable| {
            let rest = variable.strip_prefix(name.as_bytes())?;
            Some(rest.strip_prefix(b"=")?.to_vec())
        })
    }

    fn headers(&self, of: Headers) -> Answer<Given<'static>> {
        given(|value, size| unsafe { proxy_get_header_map_pairs(of as u32, value, size) })
    }

    fn header(&self, of: Headers, name: &str) -> Answer<Given<'static>> {
        given(|value, size| unsafe {
            proxy_get_header_map_value(of as u32, name.as_ptr(), name.len(), value, size)
        })
    }

    fn add_header(&self, to: Headers, name: &str, value: &str) -> Answer<()> {
        done(unsafe {
            proxy_add_header_map_value(
                to as u32,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        })
    }

    fn property(&self, path: &str) -> Answer<Given<'static>> {
        given(|value, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), value, size) })
    }

    fn set_property(&self, path: &str, value: &str) -> Answer<()> {
        done(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
    }

    fn now(&self) -> Answer<u64> {
        let mut time = 0;
        done(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
        Ok(time)
    }

    fn answer(&self, problem: &Problem<'_>) -> Answer<()> {
        const NO_GRPC_STATUS: i32 = -1;
        let headers = pairs::write(&problem.headers);
        done(unsafe {
            proxy_send_local_response(
                problem.status,
                ptr::null(),
                0,
                problem.body.as_ptr(),
                problem.body.len(),
                headers.as_ptr(),
                headers.len(),
                NO_GRPC_STATUS,
            )
        })
    }

    fn define(&self, kind: MetricKind, name: &str) -> Answer<MetricId> {
        let mut id = 0;
        done(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
        Ok(MetricId(id))
    }

    fn add(&self, counter: MetricId, count: i64) -> Answer<()> {
        done(unsafe { proxy_increment_metric(counter.0, count) })
    }

    fn record(&self, histogram: MetricId, value: u64) -> Answer<()> {
        done(unsafe { proxy_record_metric(histogram.0, value) })
    }

    fn log_error(&self, line: &str) {
        const ERROR: u32 = 4;
        // A line that cannot be logged has nowhere else to go.
        let _ = unsafe { proxy_log(ERROR, line.as_ptr(), line.len()) };
    }
}

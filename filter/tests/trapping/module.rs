//! A guard that is none of Faultline's: what Envoy does with a module that fails at run time is tested with it.
//!
//! `/trap` traps, `/open` passes, and any other path gets the module's own 404, by which its presence is seen.
#![no_std]

use core::{arch::wasm32, ptr};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_length: usize,
        value: *mut *const u8,
        value_length: *mut usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_length: usize,
        body: *const u8,
        body_length: usize,
        headers: *const u8,
        headers_length: usize,
        grpc_status: i32,
    ) -> u32;
}

const REQUEST_HEADERS: u32 = 0;
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;
const NO_GRPC_STATUS: i32 = -1;

/// Where the proxy puts what it was asked for, one value at a time.
static mut MEMORY: [u8; 4096] = [0; 4096];

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(_size: usize) -> *mut u8 {
    (&raw mut MEMORY).cast()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_id: u32, _parent: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_id: u32, _count: u32, _is_end: u32) -> u32 {
    match second_byte_of_the_path() {
        b't' => wasm32::unreachable(),
        b'o' => CONTINUE,
        _ => {
            let none = ptr::null();
            // SAFETY: nothing of any length is read.
            unsafe { proxy_send_local_response(404, none, 0, none, 0, none, 0, NO_GRPC_STATUS) };
            PAUSE
        }
    }
}

fn second_byte_of_the_path() -> u8 {
    let name = b":path";
    let (mut value, mut length) = (ptr::null(), 0);
    // SAFETY: the name is as long as said, and the proxy writes to the two places.
    unsafe {
        proxy_get_header_map_value(
            REQUEST_HEADERS,
            name.as_ptr(),
            name.len(),
            &mut value,
            &mut length,
        );
        if length > 1 { value.add(1).read() } else { 0 }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}

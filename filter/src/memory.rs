//! Memory for the values that the host gives: each is read and let go within one callback, so that
//! nearly every request finds room in one page and needs nothing of the allocator.
//!
//! The host is not trusted with it: memory is read as a value if the host has just asked for it, in
//! that size, and once.
#![expect(unsafe_code, reason = "the host writes through pointers")]

use alloc::alloc::{alloc_zeroed, dealloc};
use core::{
    alloc::Layout,
    cell::Cell,
    ops::Deref,
    ptr::{self, NonNull},
    slice,
};

/// The size of the first page, in bytes: a long path, or the headers of most requests.
const FIRST_PAGE: usize = 4 * 1024;

/// The largest page, in bytes. Envoy refuses a request whose headers are larger than 60 KiB
/// (`max_request_headers_kb`), unless it is told otherwise.
const LARGEST_PAGE: usize = 64 * 1024;

/// Values in a page, given out from its front, and beside it those that do not fit. Once all of the
/// page's are back it starts again, as a larger one if that was too small.
pub(crate) struct Memory {
    /// Null before the first value.
    page: Cell<*mut u8>,
    size: Cell<usize>,
    used: Cell<usize>,
    live: Cell<usize>,
    /// What the host has asked for last, and how much, until it gives a value.
    asked: Cell<(*mut u8, usize)>,
}

/// Nothing is asked for.
const NOTHING: (*mut u8, usize) = (ptr::null_mut(), 0);

impl Memory {
    pub(crate) const fn new() -> Self {
        Self {
            page: Cell::new(ptr::null_mut()),
            size: Cell::new(0),
            used: Cell::new(0),
            live: Cell::new(0),
            asked: Cell::new(NOTHING),
        }
    }

    /// Room for a value of `size` bytes, to be taken back as a [`Given`]; null if there is none, or
    /// for no bytes.
    pub(crate) fn allocate(&self, size: usize) -> *mut u8 {
        if size == 0 {
            return ptr::null_mut();
        }
        if self.live.get() == 0 && size > self.size.get() && size <= LARGEST_PAGE {
            self.turn(size.next_power_of_two().max(FIRST_PAGE));
        }
        let used = self.used.get();
        let start = match used.checked_add(size).filter(|end| *end <= self.size.get()) {
            Some(end) => {
                self.used.set(end);
                self.live.set(self.live.get().saturating_add(1));
                self.page.get().wrapping_add(used)
            }
            None => allocate(size),
        };
        self.asked.set((start, size));
        start
    }

    /// A new page, while nothing is in the old one.
    fn turn(&self, size: usize) {
        let old = (self.page.get(), self.size.get());
        let new = allocate(size);
        if !new.is_null() {
            self.page.set(new);
            self.size.set(size);
            self.used.set(0);
            free(old.0, old.1);
        }
    }

    /// The value of `length` bytes that the host says it has written at `start`; `None` if that is not
    /// what the host has asked for last. Memory that the host asks for and does not give stays its own.
    pub(crate) fn given(&self, start: *mut u8, length: usize) -> Option<Given<'_>> {
        let (start, length) = if start.is_null() || length == 0 {
            // An empty value needs no memory.
            (NonNull::dangling(), 0)
        } else {
            let asked = self.asked.replace(NOTHING);
            let start = NonNull::new(asked.0).filter(|_| asked == (start, length))?;
            (start, length)
        };
        Some(Given {
            memory: self,
            start,
            length,
        })
    }

    fn take_back(&self, start: *mut u8, length: usize) {
        let page = self.page.get();
        let is_in_page = (page..page.wrapping_add(self.size.get())).contains(&start);
        if !is_in_page {
            free(start, length);
        } else if self.live.replace(self.live.get().saturating_sub(1)) == 1 {
            self.used.set(0);
        }
    }
}

/// A page is given up with what it belongs to: only tests do that.
impl Drop for Memory {
    fn drop(&mut self) {
        free(self.page.get(), self.size.get());
    }
}

/// Zeroed, since a host may say that it has written what it has not.
fn allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        // SAFETY: no caller asks for no bytes.
        Ok(layout) if size > 0 => unsafe { alloc_zeroed(layout) },
        _ => ptr::null_mut(),
    }
}

fn free(start: *mut u8, size: usize) {
    if let Ok(layout) = Layout::array::<u8>(size)
        && size > 0
        && !start.is_null()
    {
        // SAFETY: it came from `allocate` with this size.
        unsafe { dealloc(start, layout) }
    }
}

/// A value that the host has given.
pub(crate) struct Given<'m> {
    memory: &'m Memory,
    start: NonNull<u8>,
    length: usize,
}

impl Deref for Given<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are of `Memory::allocate`, and until the drop nobody else has them.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for Given<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if self.length > 0 {
            self.memory.take_back(self.start.as_ptr(), self.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    /// Has the host write `size` bytes of one value.
    fn give(memory: &Memory, size: usize, byte: u8) -> Given<'_> {
        let start = memory.allocate(size);
        assert_eq!(start.is_null(), size == 0);
        // SAFETY: the memory is for so many bytes.
        unsafe { start.write_bytes(byte, size) };
        memory.given(start, size).unwrap()
    }

    #[test]
    fn what_was_not_asked_for_is_no_value() {
        let memory = Memory::new();
        let elsewhere = ptr::from_ref(&memory).cast_mut().cast();
        for (start, length) in [(0, 9), (0, 11), (0, usize::MAX), (1, 9), (1, 10)] {
            let asked = memory.allocate(10);
            let start = asked.wrapping_add(start);
            assert!(memory.given(start, length).is_none(), "{length} bytes");
            assert!(memory.given(asked, 10).is_none(), "it is asked for no more");
        }
        memory.allocate(10);
        assert!(memory.given(elsewhere, 10).is_none());
        assert!(memory.given(elsewhere, 0).unwrap().is_empty());
        assert!(memory.given(ptr::null_mut(), 10).unwrap().is_empty());
        let twice = memory.allocate(10);
        let value = memory.given(twice, 10).unwrap();
        assert!(memory.given(twice, 10).is_none());
        assert_eq!(&*value, [0; 10], "nobody has written it");
    }

    #[test]
    fn values_do_not_overlap_and_all_of_the_page_comes_back() {
        let memory = Memory::new();
        let first = give(&memory, 3000, 1);
        let page = memory.page.get();
        let second = give(&memory, 1000, 2);
        let beside = give(&memory, 200, 3);
        assert!(first.iter().all(|byte| *byte == 1) && second.iter().all(|byte| *byte == 2));
        assert!(beside.iter().all(|byte| *byte == 3));
        drop(first);
        assert_eq!(memory.used.get(), 4000, "one value is still read");
        drop(second);
        assert_eq!((memory.used.get(), memory.page.get()), (0, page));
        drop(beside);
        assert!(give(&memory, 0, 0).is_empty());
    }

    #[test]
    fn a_page_that_was_too_small_is_replaced_once() {
        let memory = Memory::new();
        drop(give(&memory, 10, 1));
        drop(give(&memory, 8 * 1024 + 1, 1));
        let page = memory.page.get();
        assert_eq!(memory.size.get(), 16 * 1024);
        for _ in 0..3 {
            drop(give(&memory, 16 * 1024, 1));
            assert_eq!(memory.page.get(), page);
        }
        drop(give(&memory, LARGEST_PAGE + 1, 1));
        assert_eq!(
            memory.page.get(),
            page,
            "what no page holds stands beside it"
        );
        assert!(memory.allocate(usize::MAX).is_null());
    }

    #[test]
    fn a_page_in_use_is_kept() {
        let memory = Memory::new();
        let kept = give(&memory, 4000, 7);
        let large = give(&memory, 5000, 8);
        assert!(kept.iter().all(|byte| *byte == 7) && large.iter().all(|byte| *byte == 8));
        assert_eq!(memory.size.get(), FIRST_PAGE);
    }

    #[test]
    fn any_order_of_values_keeps_them_apart() {
        let mut random = fastrand::Rng::with_seed(4);
        let memory = Memory::new();
        let mut live: Vec<(u8, Given<'_>)> = Vec::new();
        let steps = if cfg!(miri) { 200 } else { 20_000 };
        for step in 0..steps {
            let byte = step as u8;
            match random.u8(0..3) {
                0 if !live.is_empty() => drop(live.swap_remove(random.usize(0..live.len()))),
                1 => live.clear(),
                _ => live.push((byte, give(&memory, random.usize(0..3000), byte))),
            }
            for (byte, value) in &live {
                assert_eq!(**value, vec![*byte; value.len()]);
            }
        }
    }
}

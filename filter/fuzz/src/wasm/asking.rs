//! The module asks, and its host answers: truly, or with a lie about memory.

use super::guest::{Guest, Host};
use crate::{callbacks::id, mock::Mock};
use faultline_filter::host::{Answer, Host as _, Status};
use std::mem;
use wasmi::{AsContext, AsContextMut, Caller, TypedFunc, WasmParams, WasmResults};

/// The module, from within a call of it.
pub(super) struct Asking<'c, 'a> {
    caller: Caller<'c, Host<'a>>,
    guest: Guest,
}

impl<'c, 'a> Asking<'c, 'a> {
    /// Sometimes the host calls back before it answers: as long as it is asked, that does nothing.
    pub(super) fn new(caller: Caller<'c, Host<'a>>) -> Self {
        let guest = caller.data().guest.expect("nothing is asked before");
        let mut asking = Self { caller, guest };
        assert!(
            !asking.caller.data().calls_back,
            "a callback within a call asks the host"
        );
        if asking
            .mock()
            .read(|input| input.ratio(1, 16).unwrap_or_default())
        {
            asking.caller.data_mut().calls_back = true;
            asking.call_back();
            asking.caller.data_mut().calls_back = false;
        }
        asking
    }

    fn call_back(&mut self) {
        let guest = self.guest;
        let (callback, id) = self
            .mock()
            .read(|input| (input.int_in_range(0..=5).unwrap_or(0_u8), id(input)));
        match callback {
            0 => self.call(guest.on_context_create, (id, id)),
            1 => assert_eq!(self.call(guest.on_configure, (id, 0)), 0),
            2 => assert_eq!(self.call(guest.on_request_headers, (id, 0, 0)), 0),
            3 => assert_eq!(self.call(guest.on_response_headers, (id, 0, 0)), 0),
            4 => self.call(guest.on_log, id),
            _ => self.call(guest.on_delete, id),
        }
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, export: TypedFunc<P, R>, with: P) -> R {
        match export.call(&mut self.caller, with) {
            Ok(result) => result,
            Err(error) => panic!("a callback within a callback ends in a trap: {error}"),
        }
    }

    pub(super) fn mock(&self) -> &Mock<'a> {
        &self.caller.data().mock
    }

    /// Bytes that the module names.
    pub(super) fn bytes(&self, start: u32, size: u32) -> Vec<u8> {
        let memory = self.guest.memory.data(self.caller.as_context());
        let named = memory
            .get(start as usize..)
            .and_then(|rest| rest.get(..size as usize));
        named.expect("memory that there is").to_vec()
    }

    /// A text that the module names.
    pub(super) fn text(&self, start: u32, size: u32) -> String {
        String::from_utf8(self.bytes(start, size)).expect("a text")
    }

    /// Writes where the module has said.
    pub(super) fn write(&mut self, start: u32, bytes: &[u8]) {
        let memory = self.guest.memory.data_mut(self.caller.as_context_mut());
        let named = memory.get_mut(start as usize..);
        let named = named.and_then(|rest| rest.get_mut(..bytes.len()));
        named.expect("memory that there is").copy_from_slice(bytes);
    }

    /// Writes a number there, more often than not. What nobody has written is 0.
    pub(super) fn write_number(&mut self, start: u32, number: &[u8]) {
        if self
            .mock()
            .read(|input| input.ratio(15, 16).unwrap_or(true))
        {
            self.write(start, number);
        }
    }

    /// The configuration, while the plugin is given one.
    pub(super) fn configuration(&mut self, at: (u32, u32)) -> u32 {
        if mem::take(&mut self.caller.data_mut().is_first) {
            let good = self.mock().good_configuration();
            return self.tell(&good, at);
        }
        let answer = self.mock().configuration();
        self.give(answer, at)
    }

    /// Memory for so many bytes; 0 if there is none.
    fn allocate(&mut self, size: u32) -> u32 {
        let start = self.call(self.guest.allocate, size);
        let end = start as usize + size as usize;
        let there = self.guest.memory.data_size(self.caller.as_context());
        assert!(start == 0 || end <= there, "memory that there is not");
        let is_hosts = start != 0 && self.caller.data().keeps_any(start, size);
        assert!(!is_hosts, "memory that is the host's");
        start
    }

    /// Memory with these bytes.
    fn place(&mut self, bytes: &[u8]) -> u32 {
        let start = self.allocate(length(bytes));
        if start != 0 {
            self.write(start, bytes);
        }
        start
    }

    /// Gives an answer's value, with its start and its size where the module has said: in memory that
    /// it has asked for, or in any other.
    pub(super) fn give(&mut self, answer: Answer<Vec<u8>>, at: (u32, u32)) -> u32 {
        let value = match answer {
            Ok(value) => value,
            Err(Status(status)) => return status,
        };
        let is_true = !self.caller.data().has_room(2 * value.len())
            || self.mock().read(|input| input.ratio(7, 8).unwrap_or(true));
        match is_true {
            true => self.tell(&value, at),
            false => self.lie(value, at),
        }
    }

    /// Gives a value as the module expects it.
    fn tell(&mut self, value: &[u8], at: (u32, u32)) -> u32 {
        let start = self.place(value);
        self.answer((start, length(value)), at)
    }

    fn answer(&mut self, (start, size): (u32, u32), at: (u32, u32)) -> u32 {
        self.write(at.0, &start.to_le_bytes());
        self.write(at.1, &size.to_le_bytes());
        0
    }

    /// Gives a start and a size that are not those of a value.
    fn lie(&mut self, value: Vec<u8>, at: (u32, u32)) -> u32 {
        let (lie, any) = self.mock().read(|input| {
            let lie = input.int_in_range(0..=7).unwrap_or(0_u8);
            (lie, input.arbitrary::<u32>().unwrap_or(u32::MAX))
        });
        let length = length(&value);
        let told = match lie {
            // Nothing but a number.
            0 => (any, length),
            1 => (0, any),
            // More than there can be.
            2 => (self.allocate(any | 1 << 30), any | 1 << 30),
            _ => {
                let start = self.place(&value);
                let told = match lie {
                    3 => (start, any),
                    4 => (start, length.wrapping_add(1)),
                    5 => (start, length.wrapping_sub(1)),
                    6 => (start.wrapping_add(1), length),
                    _ => (start, length),
                };
                if lie == 7 {
                    // Asked for twice: the first is not the one that is expected.
                    let second = self.place(&value);
                    self.caller.data_mut().keep(second, value.clone());
                }
                // By chance it may be no lie.
                if lie == 7 || told != (start, length) {
                    self.caller.data_mut().keep(start, value);
                }
                told
            }
        };
        self.answer(told, at)
    }

    /// The variables of the environment, once their sizes were asked for.
    pub(super) fn environment(&mut self) -> &mut Vec<u8> {
        &mut self.caller.data_mut().environment
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

//! The WebAssembly module as it is built for the proxy, in an interpreter. Its host does anything: it
//! answers as `Mock` does, and lies about the memory that it gives.

mod asking;
mod guest;
mod imports;

use crate::{
    callbacks::{Callbacks, call_back},
    mock::Mock,
};
use faultline_filter::Action;
use guest::{Guest, Host};
use std::{fs, path::Path};
use wasmi::{Config, Engine, Store, TypedFunc, WasmParams, WasmResults};

/// More than a callback takes: one that takes so many instructions does not end.
const FUEL: u64 = 500_000_000;

/// A module of WebAssembly.
pub struct Module {
    engine: Engine,
    module: wasmi::Module,
}

impl Module {
    /// The module that stands at `path`, where `filter/build.sh` left it.
    ///
    /// # Errors
    /// It cannot be read, or is no module.
    pub fn read(path: &Path) -> Result<Self, wasmi::Error> {
        let bytes = fs::read(path)
            .map_err(|error| wasmi::Error::new(format!("{}: {error}", path.display())))?;
        let mut config = Config::default();
        config.consume_fuel(true);
        let engine = Engine::new(&config);
        Ok(Self {
            module: wasmi::Module::new(&engine, bytes)?,
            engine,
        })
    }

    /// Makes the callbacks that the input says, in a new VM: they keep their promises. None of them
    /// traps, runs for ever, names memory that there is not, or writes into the host's.
    pub fn run(&self, bytes: &[u8]) {
        let mut store = Store::new(&self.engine, Host::new(bytes));
        store.limiter(Host::limits);
        let linker = imports::linker(&self.engine).expect("each import is defined once");
        let instance = linker.instantiate_and_start(&mut store, &self.module);
        let instance = instance.expect("a module with the imports of proxy-wasm 0.2.1");
        let guest = Guest::of(&store, &instance);
        store.data_mut().guest = Some(guest);
        let mut called = Called { store, guest };
        called.on_configure(0);
        called.on_context_create(1, 0);
        called.on_request_headers(1);
        call_back(&mut called, |called| {
            let memory = called.guest.memory.data(&called.store);
            called.store.data().check(memory);
        });
    }
}

/// A VM whose callbacks are made.
struct Called<'a> {
    store: Store<Host<'a>>,
    guest: Guest,
}

impl Called<'_> {
    fn call<P: WasmParams, R: WasmResults>(&mut self, callback: TypedFunc<P, R>, with: P) -> R {
        self.store.set_fuel(FUEL).expect("fuel is consumed");
        match callback.call(&mut self.store, with) {
            Ok(result) => result,
            Err(error) => panic!("a callback ends in a trap: {error}"),
        }
    }

    /// Numbers that the callbacks are given, and that say nothing to them.
    fn number(&self) -> u32 {
        let host = &self.store.data().mock;
        host.read(|input| input.arbitrary().unwrap_or_default())
    }
}

impl<'a> Callbacks<'a> for Called<'a> {
    fn host(&self) -> &Mock<'a> {
        &self.store.data().mock
    }

    fn on_context_create(&mut self, id: u32, parent: u32) {
        self.call(self.guest.on_context_create, (id, parent));
    }

    fn on_configure(&mut self, id: u32) -> bool {
        let size = self.number();
        self.call(self.guest.on_configure, (id, size)) == 1
    }

    fn on_request_headers(&mut self, id: u32) -> Action {
        let count = self.number();
        match self.call(self.guest.on_request_headers, (id, count, 1)) {
            0 => Action::Continue,
            1 => Action::Pause,
            other => panic!("an action that is none: {other}"),
        }
    }

    fn on_response_headers(&mut self, id: u32) {
        let count = self.number();
        let action = self.call(self.guest.on_response_headers, (id, count, 1));
        assert_eq!(action, 0, "a response goes on");
    }

    fn on_log(&mut self, id: u32) {
        self.call(self.guest.on_log, id);
    }

    fn on_delete(&mut self, id: u32) {
        self.call(self.guest.on_delete, id);
    }
}

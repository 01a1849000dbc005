//! A guest that the input drives: in each callback it calls whatever the host offers, with arguments that point at memory full of
//! the input's bytes, or anywhere else.

#![no_main]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use resty_proxy_wasm::abi::types::AbiVersion;
use resty_proxy_wasm::abi::vm::VmState;
use resty_proxy_wasm::abi::wire::Encoder;
use resty_proxy_wasm::abi::{Callbacks, imports, wasi};
use resty_proxy_wasm::engine::cache::Kept;
use resty_proxy_wasm::engine::{
    Engine, Error, Export, ExportKind, Func, FuncType, Guest, HostFunc, Import, Instance, Limits,
    Module, Template, Trap, ValType,
};
use resty_proxy_wasm::plugin::Plugin;
use resty_proxy_wasm_fuzz::host::AnyHost;
use resty_proxy_wasm_fuzz::{Input, life, statuses};

/// What a guest's memory begins with, and how far it grows.
const MEMORY: usize = 1024;
const MAX_MEMORY: usize = 8 * 1024;
/// How deep allocators go that call the host themselves.
const MAX_DEPTH: u32 = 4;
/// What one callback does at most.
const MAX_STEPS: usize = 20;

thread_local! {
    /// What the guests of this run do.
    static INPUT: RefCell<Input> = RefCell::new(Input::new(b""));
}

struct Script;

impl Engine<VmState> for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    /// The first byte says which ABI it is, the others what is exported.
    fn compile(&self, bytes: &[u8]) -> Result<Arc<dyn Module<VmState>>, Error> {
        let (marker, _) = AbiVersion::MARKERS[usize::from(bytes[0]) % AbiVersion::MARKERS.len()];
        let ty = |params: usize, result: bool| {
            ExportKind::Func(FuncType {
                params: vec![ValType::I32; params],
                results: vec![ValType::I32; usize::from(result)],
            })
        };
        let optional = [
            "malloc",
            "proxy_on_memory_allocate",
            "_initialize",
            "_start",
        ];
        let optional = optional.iter().chain(Callbacks::NAMES).enumerate();
        let mut exports = vec![Export {
            name: "memory".into(),
            kind: ExportKind::Memory,
        }];
        exports.push(Export {
            name: marker.into(),
            kind: ty(0, false),
        });
        exports.extend(
            optional
                .filter(|(i, _)| bytes[1 + i / 8] & 1 << (i % 8) == 0)
                .map(|(_, name)| Export {
                    name: (*name).into(),
                    kind: ty(params_of(name).into(), true),
                }),
        );
        let wasi = wasi::FUNCTIONS
            .iter()
            .map(|row| ("wasi_unstable", row.name, row.params));
        let hostcalls = imports::HOSTCALLS
            .iter()
            .map(|row| ("env", row.name, row.params));
        let imports = hostcalls.chain(wasi).map(|(module, name, params)| Import {
            module: module.into(),
            name: name.into(),
            ty: Some(FuncType {
                params: params.to_vec(),
                results: vec![ValType::I32],
            }),
        });
        Ok(Arc::new(Compiled {
            imports: imports.collect(),
            exports,
        }))
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        None
    }

    fn restore(&self, bytes: &[u8], _kept: &Kept) -> Result<Arc<dyn Module<VmState>>, Error> {
        self.compile(bytes)
    }
}

/// As many as the callback has; an allocator has one.
fn params_of(name: &str) -> u8 {
    match name {
        "_initialize" | "_start" => 0,
        "proxy_on_context_create"
        | "proxy_on_vm_start"
        | "proxy_on_configure"
        | "proxy_on_queue_ready" => 2,
        "proxy_on_request_headers"
        | "proxy_on_request_body"
        | "proxy_on_response_headers"
        | "proxy_on_response_body" => 3,
        "proxy_on_http_call_response" => 5,
        _ => 1,
    }
}

struct Compiled {
    imports: Vec<Import>,
    exports: Vec<Export>,
}

impl Module<VmState> for Compiled {
    fn imports(&self) -> &[Import] {
        &self.imports
    }

    fn exports(&self) -> &[Export] {
        &self.exports
    }

    fn link(&self, funcs: Vec<HostFunc<VmState>>) -> Result<Arc<dyn Template<VmState>>, Error> {
        Ok(Arc::new(Linked {
            funcs: funcs.into(),
            exports: self.exports.clone().into(),
        }))
    }
}

struct Linked {
    funcs: Arc<[HostFunc<VmState>]>,
    exports: Arc<[Export]>,
}

impl Template<VmState> for Linked {
    fn instantiate(
        &self,
        state: VmState,
        _limits: Limits,
    ) -> Result<Box<dyn Instance<VmState>>, Trap> {
        let input = INPUT.with_borrow(Input::clone);
        if input.byte() == 0xff {
            return Err(Trap::new("no room"));
        }
        Ok(Box::new(Running {
            funcs: Arc::clone(&self.funcs),
            exports: Arc::clone(&self.exports),
            memory: vec![0; MEMORY],
            state,
            input,
            depth: 0,
            trapped: false,
        }))
    }
}

struct Running {
    funcs: Arc<[HostFunc<VmState>]>,
    exports: Arc<[Export]>,
    memory: Vec<u8>,
    state: VmState,
    input: Input,
    depth: u32,
    /// A call from the host into the guest has trapped.
    trapped: bool,
}

impl Instance<VmState> for Running {
    fn allow(&mut self, _time: Duration) {}

    fn func(&mut self, name: &str) -> Option<Func> {
        let is_there = self.exports.iter().any(|export| export.name == name);
        is_there.then(|| Func::fake(params_of(name)))
    }
}

impl Guest<VmState> for Running {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn state(&mut self) -> &mut VmState {
        &mut self.state
    }

    fn split(&mut self) -> (&mut [u8], &mut VmState) {
        (&mut self.memory, &mut self.state)
    }

    /// Every export does what the input says, and returns what it says.
    fn call(&mut self, _func: Func, _args: &[u64]) -> Result<u64, Trap> {
        if self.depth == MAX_DEPTH {
            self.trapped = true;
            return Err(Trap::new("too deep"));
        }
        self.depth += 1;
        let result = self.steps();
        self.depth -= 1;
        self.trapped |= result.is_err();
        result?;
        Ok(self.argument())
    }
}

impl Running {
    fn steps(&mut self) -> Result<(), Trap> {
        for _ in 0..MAX_STEPS {
            match self.input.byte() {
                ..0x60 => return Ok(()),
                0xfd => {
                    let grown = self.memory.len() + 64 * self.input.below(64);
                    self.memory.resize(grown.min(MAX_MEMORY), 0);
                }
                0xfe => return Err(Trap::new("unreachable")),
                0xe0.. => self.fill(),
                _ => self.hostcall()?,
            }
        }
        Ok(())
    }

    /// Puts bytes, or a header map, into memory.
    fn fill(&mut self) {
        let at = self.pointer();
        let mut bytes = self.input.bytes();
        if self.input.flag() {
            bytes.clear();
            let mut map = Encoder::new(&mut bytes, self.input.below(4));
            for _ in 0..self.input.below(4) {
                map.push(&self.input.bytes(), &self.input.bytes());
            }
            map.finish();
        }
        let room = &mut self.memory[at..];
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
    }

    fn pointer(&self) -> usize {
        (usize::from(self.input.byte()) * 4).min(self.memory.len())
    }

    /// Mostly a small number or a place in memory.
    fn argument(&self) -> u64 {
        let end = self.memory.len() as u64;
        match self.input.byte() {
            byte @ ..0x60 => u64::from(byte & 0x1f),
            0x60..0xe0 => self.pointer() as u64,
            0xe0..0xe8 => self.input.u16().into(),
            0xe8..0xf0 => self.input.u32().into(),
            byte => match byte & 7 {
                0 => 0,
                1 => end - 4,
                2 => end - 3,
                3 => end,
                4 => 0x7fff_ffff,
                5 => 0x8000_0000,
                6 => 0xffff_fff0,
                _ => 0xffff_ffff,
            },
        }
    }

    fn hostcall(&mut self) -> Result<(), Trap> {
        let funcs = Arc::clone(&self.funcs);
        let at = self.input.below(funcs.len());
        let row = imports::HOSTCALLS.get(at);
        let (name, params) = match row {
            Some(row) => (row.name, row.params),
            None => {
                let row = &wasi::FUNCTIONS[at - imports::HOSTCALLS.len()];
                (row.name, row.params)
            }
        };
        let args: Vec<u64> = params
            .iter()
            .map(|ty| match ty {
                ValType::I64 => self.input.u64(),
                _ => self.argument(),
            })
            .collect();
        let HostFunc::Call(call) = &funcs[at] else {
            panic!("{name} is not known");
        };
        let abi = self.state.plugin.abi;
        let can_allocate = self.state.allocator.is_some();
        match call(self, &args) {
            Ok(status) if row.is_some() => statuses::check(name, abi, status),
            Ok(errno) => assert!(errno <= 76, "{name} has answered {errno}"),
            Err(trap) => {
                let may_trap = self.trapped || !can_allocate || name == "proc_exit";
                assert!(may_trap, "{name} has trapped: {}", trap.message);
                return Err(trap);
            }
        }
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((module, data)) = data.split_first_chunk::<4>() else {
        return;
    };
    let input = Input::new(data);
    INPUT.set(input.clone());
    let host = Rc::new(AnyHost::new(&input));
    let options = life::options(&input, Limits::default());
    if let Ok(plugin) = Plugin::new(
        "fuzz",
        module,
        options,
        &Script,
        Rc::<AnyHost>::clone(&host),
    ) {
        life::run(plugin, &host, &input);
    }
});

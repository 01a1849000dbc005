mod module;
mod stack;
mod values;

use std::fs;
use std::path::Path;

use wasmparser::{Payload, Validator, WasmFeatures};
use wasmtime as wt;

use super::{IMPORTS, Prepared, prepare};
use crate::engine::{Error, Export, ExportKind, Import};

const STACK: u32 = 64 << 10;

const FEATURES: WasmFeatures = WasmFeatures::WASM2.union(WasmFeatures::EXTENDED_CONST);

fn rewrite(bytes: &[u8]) -> Prepared {
    let prepared = prepare(bytes, STACK).unwrap();
    let mut validator = Validator::new_with_features(FEATURES);
    if let Err(error) = validator.validate_all(&prepared.wasm) {
        panic!("{error}");
    }
    prepared
}

fn error(bytes: &[u8]) -> String {
    match prepare(bytes, STACK) {
        Err(Error::Invalid(message)) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{} is valid", String::from_utf8_lossy(bytes)),
    }
}

/// A rewritten module at work. Each host function answers with ten times the sum of its number and its arguments, and
/// keeps what was left of the stack.
struct Guest {
    store: wt::Store<Vec<i32>>,
    instance: wt::Instance,
    stack_left: String,
}

impl Guest {
    fn new(wat: &str) -> Self {
        Self::try_new(wat).unwrap()
    }

    fn try_new(wat: &str) -> wt::Result<Self> {
        let Prepared { wasm, outline } = rewrite(wat.as_bytes());
        let names = outline.names;
        let engine = wt::Engine::default();
        let module = wt::Module::new(&engine, wasm)?;
        let mut linker = wt::Linker::<Vec<i32>>::new(&engine);
        for import in module.imports() {
            let number: i32 = import.name().parse()?;
            let ty = import.ty().unwrap_func().clone();
            let stack_left = names.stack_left.clone();
            linker.func_new(
                IMPORTS,
                import.name(),
                ty,
                move |mut caller, args, results| {
                    let global = caller.get_export(&stack_left).unwrap().into_global();
                    let left = global.unwrap().get(&mut caller).unwrap_i32();
                    caller.data_mut().push(left);
                    let sum: i32 = args.iter().filter_map(wt::Val::i32).sum();
                    for result in results {
                        *result = wt::Val::I32(10 * (sum + number));
                    }
                    Ok(())
                },
            )?;
        }
        let mut store = wt::Store::new(&engine, Vec::new());
        let instance = linker.instantiate(&mut store, &module)?;
        if let Some(start) = &names.start {
            let start = instance.get_typed_func::<(), ()>(&mut store, start)?;
            start.call(&mut store, ())?;
        }
        Ok(Self {
            store,
            instance,
            stack_left: names.stack_left,
        })
    }

    fn call(&mut self, name: &str, args: &[i32]) -> Result<Vec<i32>, wt::Trap> {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let args: Vec<wt::Val> = args.iter().copied().map(wt::Val::I32).collect();
        let mut results = vec![wt::Val::I32(0); func.ty(&self.store).results().len()];
        match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => Ok(results.iter().map(wt::Val::unwrap_i32).collect()),
            Err(error) => Err(error.downcast().unwrap()),
        }
    }

    fn stack_left(&mut self) -> i32 {
        let global = self.instance.get_global(&mut self.store, &self.stack_left);
        global.unwrap().get(&mut self.store).unwrap_i32()
    }

    fn is_exhausted_by(&mut self, name: &str) {
        assert_eq!(self.call(name, &[]), Err(wt::Trap::UnreachableCodeReached));
        assert!(self.stack_left() < 0, "{name}");
    }
}

/// Calls `f` and checks what it gives and that it gives back its stack.
fn gives(wat: &str, cases: &[(&[i32], &[i32])]) {
    let mut guest = Guest::new(wat);
    for (args, results) in cases {
        assert_eq!(
            guest.call("f", args).as_deref(),
            Ok(*results),
            "{args:?} to {wat}"
        );
        assert_eq!(guest.stack_left(), STACK as i32, "{args:?} to {wat}");
    }
}

/// The code of each function of the module's own.
fn bodies(wasm: &[u8]) -> Vec<&[u8]> {
    let payloads = wasmparser::Parser::new(0).parse_all(wasm);
    payloads
        .filter_map(|payload| match payload.unwrap() {
            Payload::CodeSectionEntry(body) => Some(body.as_bytes()),
            _ => None,
        })
        .collect()
}

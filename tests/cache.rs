//! Compiled code that is kept on disk, on each engine of the build.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, io, process};

use parking_lot::Mutex;
use resty_proxy_wasm::engine::cache::{Cache, Kept};
#[cfg(feature = "wasmedge")]
use resty_proxy_wasm::engine::wasmedge::{AheadOfTime, WasmEdge};
use resty_proxy_wasm::engine::wasmtime::Wasmtime;
use resty_proxy_wasm::engine::{
    Engine, Error, Export, Guest, HostFunc, Import, Limits, Module, Template, Trap,
};

/// Engines set handlers of signals for the whole process, which in nginx has one thread.
static ALONE: Mutex<()> = Mutex::new(());

fn on_each_engine(test: impl Fn(&dyn Engine<()>, &Path)) {
    let _alone = ALONE.lock();
    let dir = env::temp_dir().join(format!("cache-test-{}", process::id()));
    test(&Wasmtime::new().unwrap(), &dir);
    #[cfg(feature = "wasmedge")]
    test(&*wasmedge(AheadOfTime::Always), &dir);
    fs::remove_dir_all(dir).unwrap();
}

#[cfg(feature = "wasmedge")]
fn wasmedge(which: AheadOfTime) -> Box<WasmEdge> {
    let engine = WasmEdge::new().unwrap();
    engine.compile_ahead(which);
    Box::new(engine)
}

/// Compiles, or finds, and says which.
fn obtain(engine: &dyn Engine<()>, dir: &Path, wat: &str) -> (Arc<dyn Module<()>>, bool) {
    let mut hash = [0; 32];
    let len = wat.len().min(32);
    hash[..len].copy_from_slice(&wat.as_bytes()[wat.len() - len..]);
    let cache = Cache::new(dir, 1 << 30);
    let obtained = cache.compile(engine, wat.as_bytes(), &hash).unwrap();
    assert_eq!(obtained.problem, None);
    assert_eq!(obtained.module.notice(), None);
    (obtained.module, obtained.found)
}

/// What the function `run` returns.
fn run(module: &dyn Module<()>, funcs: Vec<HostFunc<()>>) -> Result<u64, Trap> {
    let Ok(template) = module.link(funcs) else {
        panic!("it does not link");
    };
    let mut instance = template.instantiate((), Limits::default()).unwrap();
    let func = instance.func("run").unwrap();
    instance.call(func, &[])
}

/// All kinds of things that a module is made of.
const RICH: &str = r#"(module
    (import "a" "f" (func $f (param i32) (result i32)))
    (import "b" "g" (func $g (param i64 f64)))
    (memory (export "memory") 2)
    (global $started (mut i32) (i32.const 0))
    (table 3 funcref)
    (elem (i32.const 0) $f $twice)
    (type $t (func (param i32) (result i32)))
    (data (i32.const 100) "\07")
    (func $start (global.set $started (i32.const 1000)))
    (start $start)
    (func $twice (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func (export "stop") (call $g (i64.const 1) (f64.const 1)) unreachable)
    (func (export "run") (result i32)
        (i32.add
            (i32.add (global.get $started) (i32.load8_u (i32.const 100)))
            (i32.add
                (call_indirect (type $t) (i32.const 30) (i32.const 0))
                (call_indirect (type $t) (i32.const 100) (i32.const 1))))))"#;

#[test]
fn what_is_found_is_what_was_compiled() {
    #[allow(clippy::unnecessary_wraps, reason = "the type of a host function")]
    fn more(_: &mut dyn Guest<()>, args: &[u64]) -> Result<u64, Trap> {
        Ok(args[0] + 1)
    }
    on_each_engine(|engine, dir| {
        let mut seen = Vec::new();
        for is_found in [false, true, true] {
            let (module, found) = obtain(engine, dir, RICH);
            assert_eq!(found, is_found, "{}", engine.name());
            assert!(module.is_compiled());
            let funcs = vec![HostFunc::Call(more), HostFunc::Answer(0)];
            let result = run(&*module, funcs).unwrap();
            assert_eq!(result, 1000 + 7 + 31 + 200, "{}", engine.name());
            seen.push(format!("{:?} {:?}", module.imports(), module.exports()));
        }
        assert_eq!(seen[0], seen[1]);
    });
}

#[test]
fn a_trap_is_one() {
    let wat = r#"(module (func $f (export "run") (result i32) (call $g))
        (func $g (result i32) (i32.div_u (i32.const 1) (i32.const 0))))"#;
    on_each_engine(|engine, dir| {
        for is_found in [false, true] {
            let (module, found) = obtain(engine, dir, wat);
            assert_eq!(found, is_found);
            let trap = run(&*module, vec![]).unwrap_err();
            assert_eq!(trap.message, "wasm trap: integer divide by zero");
        }
    });
}

#[test]
fn what_does_not_compile_is_an_error_each_time() {
    on_each_engine(|engine, dir| {
        let cache = Cache::new(dir, 1 << 30);
        for _ in 0..2 {
            let Err(error) = cache.compile(engine, b"(module (func $f call $g))", &[7; 32]) else {
                panic!("it compiles");
            };
            assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
        assert!(files(dir).is_empty());
    });
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(dir).unwrap();
    folders
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

/// An engine whose code is changed before it is kept.
struct Changing<'a> {
    engine: &'a dyn Engine<()>,
    change: fn(Vec<u8>) -> Vec<u8>,
}

struct Changed {
    module: Arc<dyn Module<()>>,
    change: fn(Vec<u8>) -> Vec<u8>,
}

impl Engine<()> for Changing<'_> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn variant(&self) -> u32 {
        self.engine.variant()
    }

    fn compile(&self, bytes: &[u8]) -> Result<Arc<dyn Module<()>>, Error> {
        Ok(Arc::new(Changed {
            module: self.engine.compile(bytes)?,
            change: self.change,
        }))
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        self.engine.fingerprint()
    }

    fn restore(&self, bytes: &[u8], kept: &Kept) -> Result<Arc<dyn Module<()>>, Error> {
        self.engine.restore(bytes, kept)
    }
}

impl Module<()> for Changed {
    fn imports(&self) -> &[Import] {
        self.module.imports()
    }

    fn exports(&self) -> &[Export] {
        self.module.exports()
    }

    fn code(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.module.code()?.map(self.change))
    }

    fn link(&self, funcs: Vec<HostFunc<()>>) -> Result<Arc<dyn Template<()>>, Error> {
        self.module.link(funcs)
    }
}

/// Code that the engine itself does not take, as another version of it or another machine wrote it, is compiled anew.
#[test]
fn what_the_engine_does_not_take_is_replaced() {
    fn another(mut code: Vec<u8>) -> Vec<u8> {
        code[4] ^= 0xff;
        code
    }
    let wat = r#"(module (func (export "run") (result i32) (i32.const 5)))"#;
    on_each_engine(|engine, dir| {
        let change = another;
        assert!(!obtain(&Changing { engine, change }, dir, wat).1);
        for is_found in [false, true] {
            let (module, found) = obtain(engine, dir, wat);
            assert_eq!(found, is_found, "{}", engine.name());
            assert_eq!(run(&*module, vec![]).unwrap(), 5);
        }
    });
}

/// WasmEdge interprets what it cannot run otherwise, and says nothing. Here the bytecode beside the code tells which of the two runs.
#[cfg(feature = "wasmedge")]
#[test]
fn wasmedge_runs_the_code_and_not_the_bytecode() {
    /// 1,111,111,111 and 1,222,222,222 as bytecode has them.
    const CODE: [u8; 5] = [0xc7, 0xeb, 0xe8, 0x91, 0x04];
    const BYTECODE: [u8; 5] = [0x8e, 0xc3, 0xe6, 0xc6, 0x04];
    fn other_bytecode(mut code: Vec<u8>) -> Vec<u8> {
        let at = code.windows(5).position(|part| part == CODE).unwrap();
        code[at..at + 5].copy_from_slice(&BYTECODE);
        code
    }
    let wat = r#"(module (func (export "run") (result i32) (i32.const 1111111111)))"#;
    let _alone = ALONE.lock();
    let dir = env::temp_dir().join(format!("cache-test-{}-code", process::id()));
    let engine = &*wasmedge(AheadOfTime::Always);
    let change = other_bytecode;
    assert!(!obtain(&Changing { engine, change }, &dir, wat).1);
    let (module, found) = obtain(engine, &dir, wat);
    assert!(found);
    assert_eq!(run(&*module, vec![]).unwrap(), 1_111_111_111);
    fs::remove_dir_all(dir).unwrap();
}

/// What is interpreted is not kept, and code for one setting is not for another.
#[cfg(feature = "wasmedge")]
#[test]
fn wasmedge_keeps_what_it_compiles() {
    let wat = r#"(module (func (export "run") (result i32) (i32.const 5)))"#;
    let _alone = ALONE.lock();
    let dir = env::temp_dir().join(format!("cache-test-{}-which", process::id()));
    let _ = fs::create_dir(&dir);
    for (which, is_compiled, is_found) in [
        (AheadOfTime::Never, false, false),
        (AheadOfTime::Large, false, false),
        (AheadOfTime::Large, false, false),
        (AheadOfTime::Always, true, false),
        (AheadOfTime::Always, true, true),
        (AheadOfTime::Large, false, false),
        (AheadOfTime::Never, false, false),
    ] {
        let (module, found) = obtain(&*wasmedge(which), &dir, wat);
        assert_eq!(
            (module.is_compiled(), found),
            (is_compiled, is_found),
            "{which:?}"
        );
        assert_eq!(run(&*module, vec![]).unwrap(), 5);
    }
    assert_eq!(files(&dir).len(), 1);
    fs::remove_dir_all(dir).unwrap();
}

//! What every engine has to do. Each test runs on each engine of the build.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use resty_proxy_wasm::engine::clock;
#[cfg(feature = "wasmedge")]
use resty_proxy_wasm::engine::wasmedge::{AheadOfTime, WasmEdge};
use resty_proxy_wasm::engine::wasmtime::Wasmtime;
use resty_proxy_wasm::engine::{
    Engine, Error, ExportKind, Func, FuncType, Guest, HostFunc, Instance, Limits, TABLE_ELEMENTS,
    Trap, ValType,
};

/// What host functions leave behind: the arguments of each call.
#[derive(Default)]
struct State {
    calls: Vec<Vec<u64>>,
    /// The function that a host function calls.
    back: Option<Func>,
}

type TestEngine = dyn Engine<State>;
type TestInstance = Box<dyn Instance<State>>;
type TestGuest<'a> = &'a mut dyn Guest<State>;

/// Engines set handlers of signals for the whole process, which in nginx has one thread.
static ALONE: Mutex<()> = Mutex::new(());

fn on_each_engine(test: impl Fn(&TestEngine)) {
    let _alone = ALONE.lock();
    test(&Wasmtime::new().unwrap());
    #[cfg(feature = "wasmedge")]
    for ahead in [AheadOfTime::Never, AheadOfTime::Always] {
        let wasmedge = WasmEdge::new().unwrap();
        wasmedge.compile_ahead(ahead);
        test(&wasmedge);
    }
}

fn instantiate(
    engine: &TestEngine,
    wat: &str,
    funcs: Vec<HostFunc<State>>,
) -> Result<TestInstance, Trap> {
    let module = engine.compile(wat.as_bytes()).unwrap();
    let Ok(template) = module.link(funcs) else {
        panic!("{wat} does not link");
    };
    template.instantiate(State::default(), Limits::default())
}

fn instance(engine: &TestEngine, wat: &str, funcs: Vec<HostFunc<State>>) -> TestInstance {
    instantiate(engine, wat, funcs).unwrap()
}

fn call(instance: &mut TestInstance, name: &str, args: &[u64]) -> Result<u64, Trap> {
    let func = instance.func(name).unwrap();
    assert_eq!(usize::from(func.params), args.len());
    instance.call(func, args)
}

/// Keeps its arguments and answers with their sum.
#[allow(clippy::unnecessary_wraps, reason = "the type of a host function")]
fn record(guest: TestGuest<'_>, args: &[u64]) -> Result<u64, Trap> {
    guest.state().calls.push(args.to_vec());
    Ok(args.iter().fold(0, |sum, arg| sum.wrapping_add(*arg)))
}

fn link_error(engine: &TestEngine, wat: &str, funcs: Vec<HostFunc<State>>) -> Error {
    let module = engine.compile(wat.as_bytes()).unwrap();
    match module.link(funcs) {
        Ok(_) => panic!("{wat} links"),
        Err(error) => error,
    }
}

#[test]
fn imports_and_exports_are_listed_in_order() {
    on_each_engine(|engine| {
        let module = engine
            .compile(
                br#"(module
                    (import "a" "b" (func (param i32 i64 f32 f64 externref) (result i32)))
                    (import "a" "memory" (memory 1))
                    (import "" "" (func))
                    (export "memory" (memory 0))
                    (func (export "f") (param v128) (result i64 i32) unreachable)
                    (global (export "g") i32 (i32.const 0)))"#,
            )
            .unwrap();
        let imports: Vec<_> = module
            .imports()
            .iter()
            .map(|i| {
                let ty = i.ty.as_ref().map(ToString::to_string);
                (&*i.module, &*i.name, ty.unwrap_or_default())
            })
            .collect();
        let all = "(i32, i64, f32, f64, externref) -> (i32)".to_owned();
        let want = [
            ("a", "b", all),
            ("a", "memory", String::new()),
            ("", "", "() -> ()".to_owned()),
        ];
        assert_eq!(imports, want);

        let exports: Vec<_> = module
            .exports()
            .iter()
            .map(|e| (&*e.name, e.kind.clone()))
            .collect();
        let func = FuncType {
            params: vec![ValType::V128],
            results: vec![ValType::I64, ValType::I32],
        };
        let want = [
            ("memory", ExportKind::Memory),
            ("f", ExportKind::Func(func)),
            ("g", ExportKind::Other),
        ];
        assert_eq!(exports, want);
    });
}

#[test]
fn a_binary_compiles_as_text_does() {
    on_each_engine(|engine| {
        let module = engine.compile(b"\0asm\x01\0\0\0").unwrap();
        assert!(module.imports().is_empty() && module.exports().is_empty());
    });
}

#[test]
fn what_is_no_module_is_an_error_in_one_line() {
    on_each_engine(|engine| {
        for bytes in [
            &b"\0asm"[..],
            b"\0asm\x01\0\0\0\x01",
            b"\0asm\x0d\0\x01\0",
            b"no module",
            b"(module (func (result i32)))",
            b"\xff\xfe",
        ] {
            match engine.compile(bytes).map(|_| ()) {
                Err(Error::Invalid(text)) => {
                    assert!(!text.is_empty() && !text.contains('\n'), "{text}");
                }
                other => panic!("{}: {other:?}", bytes.escape_ascii()),
            }
        }
    });
}

#[test]
fn arguments_and_results_cross_as_they_are() {
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module
                (func (export "none"))
                (func (export "i32") (param i32) (result i32) local.get 0)
                (func (export "i64") (param i64) (result i64) local.get 0)
                (func (export "f32") (param f32) (result f32) local.get 0)
                (func (export "f64") (param f64) (result f64) local.get 0)
                (func (export "last") (param i32 i64 i32) (result i32) local.get 2)
                (func (export "two") (result i32 i32) i32.const 1 i32.const 2)
                (func (export "drop") (param i32 i32)))"#,
            vec![],
        );
        let minus_one = u64::from(u32::MAX);
        let pi = std::f64::consts::PI.to_bits();
        for (name, args, want) in [
            ("none", &[][..], 0),
            ("i32", &[minus_one], minus_one),
            ("i64", &[u64::MAX], u64::MAX),
            ("f32", &[u64::from(1.5_f32.to_bits())], 0x3fc0_0000),
            ("f64", &[pi], pi),
            ("last", &[1, u64::MAX, 3], 3),
            ("two", &[], 1),
            ("drop", &[1, 2], 0),
        ] {
            assert_eq!(call(&mut instance, name, args).unwrap(), want, "{name}");
        }
    });
}

#[test]
fn any_number_of_arguments_crosses_both_ways() {
    on_each_engine(|engine| {
        for count in 0..20 {
            let params = "i32 ".repeat(count);
            let gets: String = (0..count).map(|i| format!("local.get {i} ")).collect();
            let wat = format!(
                r#"(module
                    (import "h" "unit" (func $unit (param {params})))
                    (import "h" "value" (func $value (param {params}) (result i32)))
                    (func (export "unit") (param {params}) {gets} call $unit)
                    (func (export "value") (param {params}) (result i32) {gets} call $value))"#
            );
            let funcs = vec![HostFunc::Call(record), HostFunc::Call(record)];
            let mut instance = instance(engine, &wat, funcs);
            let args: Vec<u64> = (1..).take(count).collect();
            assert_eq!(call(&mut instance, "unit", &args).unwrap(), 0);
            let sum = args.iter().sum::<u64>();
            assert_eq!(call(&mut instance, "value", &args).unwrap(), sum);
            assert_eq!(instance.state().calls, [args.clone(), args]);
        }
    });
}

#[test]
fn host_functions_take_and_give_every_number_type() {
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module
                (import "h" "i64" (func $i64 (param i32 i64) (result i64)))
                (import "h" "f64" (func $f64 (param f64) (result f64)))
                (import "h" "mixed" (func $mixed (param i64 f32 f64 i32)))
                (func (export "i64") (result i64) i32.const -1 i64.const -2 call $i64)
                (func (export "f64") (result f64) f64.const 0.5 call $f64)
                (func (export "mixed")
                    i64.const -1 f32.const 1 f64.const 1 i32.const -1 call $mixed))"#,
            (0..3).map(|_| HostFunc::Call(record)).collect(),
        );
        let answer = call(&mut instance, "i64", &[]).unwrap();
        assert_eq!(answer, u64::from(u32::MAX) - 2);
        let half = 0.5_f64.to_bits();
        assert_eq!(call(&mut instance, "f64", &[]).unwrap(), half);
        call(&mut instance, "mixed", &[]).unwrap();
        let calls = &instance.state().calls;
        let i32_minus_one = u64::from(u32::MAX);
        assert_eq!(calls[0], [i32_minus_one, u64::MAX - 1]);
        let (one32, one64) = (u64::from(1_f32.to_bits()), 1_f64.to_bits());
        assert_eq!(calls[2], [u64::MAX, one32, one64, i32_minus_one]);
    });
}

#[test]
fn stubs_answer_or_trap_whatever_their_type() {
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module
                (import "h" "answer" (func $answer (param f64 i64) (result i32)))
                (import "h" "silent" (func $silent (param i32)))
                (import "h" "trap" (func $trap (param i32) (result f32)))
                (func (export "answer") (result i32) f64.const 0 i64.const 0 call $answer)
                (func (export "silent") i32.const 0 call $silent)
                (func (export "trap") i32.const 0 call $trap drop))"#,
            vec![
                HostFunc::Answer(12),
                HostFunc::Answer(12),
                HostFunc::Trap("not here".into()),
            ],
        );
        assert_eq!(call(&mut instance, "answer", &[]).unwrap(), 12);
        assert_eq!(call(&mut instance, "silent", &[]).unwrap(), 0);
        let trap = call(&mut instance, "trap", &[]).unwrap_err();
        assert_eq!(trap.message, "not here");
    });
}

#[test]
fn stubs_stand_in_for_functions_of_references_too() {
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module
                (import "h" "answer" (func $answer (param externref funcref) (result i32)))
                (import "h" "trap" (func $trap (result funcref)))
                (func (export "answer") (result i32)
                    ref.null extern ref.null func call $answer)
                (func (export "trap") call $trap drop))"#,
            vec![HostFunc::Answer(12), HostFunc::Trap("not here".into())],
        );
        assert_eq!(call(&mut instance, "answer", &[]).unwrap(), 12);
        let trap = call(&mut instance, "trap", &[]).unwrap_err();
        assert_eq!(trap.message, "not here");
    });
}

#[test]
fn the_host_reads_and_writes_the_guests_memory() {
    fn upper(guest: TestGuest<'_>, args: &[u64]) -> Result<u64, Trap> {
        let (memory, state) = guest.split();
        memory[args[0] as usize..][..args[1] as usize].make_ascii_uppercase();
        state.calls.push(args.to_vec());
        Ok(0)
    }
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module
                (import "h" "upper" (func $upper (param i32 i32)))
                (memory (export "memory") 1)
                (data (i32.const 8) "text")
                (func (export "run") (result i32)
                    i32.const 8 i32.const 4 call $upper
                    i32.const 8 i32.load))"#,
            vec![HostFunc::Call(upper)],
        );
        let seen = call(&mut instance, "run", &[]).unwrap() as u32;
        assert_eq!(seen.to_le_bytes(), *b"TEXT");
        assert_eq!(&instance.memory()[8..12], b"TEXT");
        assert_eq!(instance.state().calls, [[8, 4]]);
    });
}

#[test]
fn memory_that_grew_is_seen_by_the_host() {
    /// What an allocator of the guest's does under a host function's feet.
    fn grow(guest: TestGuest<'_>, args: &[u64]) -> Result<u64, Trap> {
        let before = guest.memory().len();
        record(guest, args)?;
        guest.state().calls.push(vec![before as u64]);
        Ok(0)
    }
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module
                (import "h" "look" (func $look))
                (memory (export "memory") 1 4)
                (func (export "grow") (result i32)
                    call $look
                    i32.const 2 memory.grow
                    i32.const 196607 i32.const 7 i32.store8
                    call $look))"#,
            vec![HostFunc::Call(grow)],
        );
        assert_eq!(instance.memory().len(), 65536);
        call(&mut instance, "grow", &[]).unwrap();
        let sizes: Vec<u64> = instance.state().calls.iter().flatten().copied().collect();
        assert_eq!(sizes, [65536, 196_608]);
        assert_eq!(instance.memory()[196_607], 7);
    });
}

#[test]
fn a_host_function_can_call_the_guest() {
    /// Calls the export `allocate`, the first function that was looked up.
    fn through(guest: TestGuest<'_>, _args: &[u64]) -> Result<u64, Trap> {
        let func = ALLOCATE.get().unwrap();
        let address = guest.call(func, &[16])?;
        guest.memory()[address as usize] = 42;
        Ok(address)
    }
    thread_local! {
        static ALLOCATE: std::cell::Cell<Option<resty_proxy_wasm::engine::Func>> = const { std::cell::Cell::new(None) };
    }
    on_each_engine(|engine| {
        let wat = r#"(module
            (import "h" "through" (func $through (result i32)))
            (memory (export "memory") 1 2)
            (func (export "allocate") (param i32) (result i32)
                i32.const 1 memory.grow drop
                i32.const 131071)
            (func (export "trap") (param i32) (result i32) unreachable)
            (func (export "run") (result i32) call $through i32.load8_u))"#;
        let mut first = instance(engine, wat, vec![HostFunc::Call(through)]);
        ALLOCATE.set(first.func("allocate"));
        assert_eq!(call(&mut first, "run", &[]).unwrap(), 42);

        let mut second = instance(engine, wat, vec![HostFunc::Call(through)]);
        ALLOCATE.set(second.func("trap"));
        let trap = call(&mut second, "run", &[]).unwrap_err();
        assert!(trap.message.contains("unreachable"), "{trap}");
    });
}

#[test]
fn without_an_exported_memory_there_is_none() {
    on_each_engine(|engine| {
        for wat in [
            "(module)",
            r#"(module (memory 1) (func (export "memory")))"#,
            r#"(module (memory (export "other") 1))"#,
        ] {
            assert!(instance(engine, wat, vec![]).memory().is_empty());
        }
    });
}

#[test]
fn only_an_exported_function_is_found() {
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module (func $hidden) (memory (export "memory") 1) (func (export "") (param i32)))"#,
            vec![],
        );
        assert!(instance.func("hidden").is_none());
        assert!(instance.func("memory").is_none());
        assert_eq!(instance.func("").unwrap().params, 1);
    });
}

#[test]
fn the_start_section_runs_with_state_and_memory() {
    fn keep(guest: TestGuest<'_>, _args: &[u64]) -> Result<u64, Trap> {
        let byte = u64::from(guest.memory()[3]);
        record(guest, &[byte])
    }
    on_each_engine(|engine| {
        let wat = r#"(module
            (import "h" "keep" (func $keep))
            (memory (export "memory") 1)
            (data (i32.const 3) "x")
            (start $keep))"#;
        let mut instance = instance(engine, wat, vec![HostFunc::Call(keep)]);
        assert_eq!(instance.state().calls, [[u64::from(b'x')]]);
    });
}

#[test]
fn a_start_section_that_traps_makes_no_instance() {
    on_each_engine(|engine| {
        let wat = "(module (func $start unreachable) (start $start))";
        let trap = instantiate(engine, wat, vec![]).map(|_| ()).unwrap_err();
        assert!(trap.message.contains("unreachable"), "{trap}");
        // So does a data segment that does not fit.
        let wat = r#"(module (memory 1) (data (i32.const 65536) "x"))"#;
        assert!(instantiate(engine, wat, vec![]).is_err());
    });
}

#[test]
fn a_trap_says_what_happened_and_where() {
    on_each_engine(|engine| {
        let wat = r#"(module $plugin
            (func $inner (param i32) (result i32) i32.const 1 local.get 0 i32.div_u)
            (func $outer (export "run") (param i32) (result i32) local.get 0 call $inner))"#;
        let mut instance = instance(engine, wat, vec![]);
        let trap = call(&mut instance, "run", &[0]).unwrap_err();
        assert!(trap.message.contains("divide by zero"), "{trap}");
        assert!(!trap.message.contains('\n'));
        // An engine may have no backtrace; one that it has is complete.
        if !trap.backtrace.is_empty() {
            assert_eq!(trap.backtrace.len(), 2, "{:?}", trap.backtrace);
            assert!(trap.backtrace[0].contains("inner"));
            assert!(trap.backtrace[1].contains("outer"));
        }
    });
}

#[test]
fn each_kind_of_trap_is_one() {
    on_each_engine(|engine| {
        for body in [
            "unreachable",
            "i32.const 65536 i32.load drop",
            "i32.const -1 i32.const 0 i32.store",
            "i32.const 0 call_indirect",
            "i32.const 9 call_indirect",
            "f64.const nan i32.trunc_f64_s drop",
            "i32.const -2147483648 i32.const -1 i32.div_s drop",
        ] {
            let wat = format!(
                r#"(module (memory (export "memory") 1) (table 1 funcref) (func (export "run") {body}))"#
            );
            let mut instance = instance(engine, &wat, vec![]);
            let trap = call(&mut instance, "run", &[]).unwrap_err();
            assert!(!trap.message.is_empty(), "{body}");
        }
    });
}

#[test]
fn a_trap_of_the_host_reaches_the_host() {
    fn refuse(_guest: TestGuest<'_>, args: &[u64]) -> Result<u64, Trap> {
        Err(Trap::new(format!("refused {}", args[0])))
    }
    on_each_engine(|engine| {
        // A shape that an engine may have a quick way for, and one that it has not.
        for param in ["i32", "i64"] {
            let wat = format!(
                r#"(module
                    (import "h" "refuse" (func $refuse (param {param}) (result i32)))
                    (func (export "run") (result i32) {param}.const 7 call $refuse))"#
            );
            let mut instance = instance(engine, &wat, vec![HostFunc::Call(refuse)]);
            let trap = call(&mut instance, "run", &[]).unwrap_err();
            assert_eq!(trap.message, "refused 7");
        }
    });
}

#[test]
fn a_stack_overflow_is_a_trap_and_hurts_no_other_instance() {
    on_each_engine(|engine| {
        let wat = r#"(module
            (func $deeper (export "deeper") (param i32) (result i32)
                local.get 0 i32.const 1 i32.add call $deeper i32.const 1 i32.add)
            (func (export "fine") (result i32) i32.const 1))"#;
        let module = engine.compile(wat.as_bytes()).unwrap();
        let template = module.link(vec![]).unwrap_or_else(|e| panic!("{e}"));
        let mut other = template
            .instantiate(State::default(), Limits::default())
            .unwrap();
        for _ in 0..2 {
            let mut instance = template
                .instantiate(State::default(), Limits::default())
                .unwrap();
            let trap = call(&mut instance, "deeper", &[0]).unwrap_err();
            assert!(!trap.message.contains('\n'), "{trap}");
            assert_eq!(call(&mut other, "fine", &[]).unwrap(), 1);
        }
    });
}

#[test]
fn memory_has_a_limit() {
    on_each_engine(|engine| {
        let module = engine
            .compile(
                br#"(module (memory (export "memory") 2)
                    (func (export "grow") (param i32) (result i32) local.get 0 memory.grow))"#,
            )
            .unwrap();
        let template = module
            .link(vec![])
            .unwrap_or_else(|error| panic!("{error}"));
        let pages = |pages: u64| Limits {
            memory: pages * 65536,
            ..Limits::default()
        };
        let mut instance = template.instantiate(State::default(), pages(4)).unwrap();
        for (more, want) in [
            (1, 2),
            (2, u64::from(u32::MAX)),
            (1, 3),
            (1, u64::from(u32::MAX)),
        ] {
            assert_eq!(call(&mut instance, "grow", &[more]).unwrap(), want);
        }
        assert_eq!(instance.memory().len(), 4 * 65536);
        let trap = template
            .instantiate(State::default(), pages(1))
            .map(|_| ())
            .unwrap_err();
        assert!(
            trap.message
                .contains("memory minimum size of 2 pages exceeds memory limits"),
            "{trap}"
        );
        assert!(
            template
                .instantiate(State::default(), pages(1 << 16))
                .is_ok()
        );
    });
}

/// All tables of an instance together have a limit: growing past it fails, starting with more too.
#[test]
fn tables_have_a_limit() {
    on_each_engine(|engine| {
        let limit = TABLE_ELEMENTS;
        let instantiate = |text: &str| {
            let module = engine.compile(text.as_bytes()).unwrap();
            let template = module
                .link(vec![])
                .unwrap_or_else(|error| panic!("{error}"));
            template.instantiate(State::default(), Limits::default())
        };
        let first = limit / 2;
        let mut instance = instantiate(&format!(
            r#"(module (table $a {first} funcref) (table $b 0 funcref)
                (func (export "a") (param i32) (result i32) (table.grow $a (ref.null func) (local.get 0)))
                (func (export "b") (param i32) (result i32) (table.grow $b (ref.null func) (local.get 0))))"#
        ))
        .unwrap();
        let failed = u64::from(u32::MAX);
        assert_eq!(call(&mut instance, "a", &[limit]).unwrap(), failed);
        assert_eq!(call(&mut instance, "a", &[limit / 4]).unwrap(), first);
        assert_eq!(call(&mut instance, "b", &[limit / 2]).unwrap(), failed);
        assert_eq!(call(&mut instance, "b", &[limit / 4]).unwrap(), 0);
        assert_eq!(call(&mut instance, "a", &[1]).unwrap(), failed);
        assert_eq!(call(&mut instance, "b", &[1]).unwrap(), failed);

        let more = limit + 1;
        let trap = instantiate(&format!("(module (table {more} funcref))"))
            .map(|_| ())
            .unwrap_err();
        let want = format!("table minimum size of {more} elements exceeds table limits");
        assert!(trap.message.contains(&want), "{trap}");
    });
}

/// What takes too long is ended: in the guest itself, in what a host function calls, and in the start section. What does not is left
/// alone, and so are other instances.
#[test]
fn a_call_has_a_limit_of_time() {
    const TIME: Duration = Duration::from_millis(30);
    fn call_back(guest: TestGuest<'_>, args: &[u64]) -> Result<u64, Trap> {
        let back = guest.state().back.unwrap();
        guest.call(back, args)
    }
    let clock = Clock::start();
    on_each_engine(|engine| {
        let wat = r#"(module
            (import "h" "record" (func $record (param i32) (result i32)))
            (import "h" "call_back" (func $call_back (param i32) (result i32)))
            (func (export "loop") (param i32) (result i32) (loop $again (br $again)) unreachable)
            (func (export "host") (param i32) (result i32)
                (loop $again (br_if $again (i32.or (call $record (local.get 0)) (i32.const 1)))) unreachable)
            (func $deep (export "deep") (param i32) (result i32)
                (local $i i32)
                (loop $again
                    (drop (call $shallow (local.get 0)))
                    (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const -1))))
                unreachable)
            (func $shallow (param i32) (result i32) (local.get 0))
            (func (export "back") (param i32) (result i32) (call $call_back (local.get 0)))
            (func (export "quick") (param i32) (result i32) (call $record (local.get 0))))"#;
        let funcs = || vec![HostFunc::Call(record), HostFunc::Call(call_back)];
        for name in ["loop", "host", "deep", "back"] {
            let mut instance = instance(engine, wat, funcs());
            instance.state().back = instance.func("loop");
            instance.allow(TIME);
            assert_eq!(call(&mut instance, "quick", &[7]).unwrap(), 7);
            let trap = call(&mut instance, name, &[0]).unwrap_err();
            assert_eq!(trap.message, "it took more than 30 ms", "{name}");
        }
        let wat = "(module (func $start (loop $again (br $again))) (start $start))";
        let module = engine.compile(wat.as_bytes()).unwrap();
        let template = module
            .link(vec![])
            .unwrap_or_else(|error| panic!("{error}"));
        let limits = Limits {
            time: TIME,
            ..Limits::default()
        };
        let trap = template
            .instantiate(State::default(), limits)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(trap.message, "it took more than 30 ms");
    });
    drop(clock);
}

/// The clock, while it lives.
struct Clock(Arc<AtomicBool>);

impl Clock {
    fn start() -> Self {
        let runs = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&runs);
        clock::set_runs(true);
        thread::spawn(move || {
            // It never stands still.
            while goes_on.load(Ordering::Relaxed) {
                thread::sleep(clock::period());
                clock::tick(&mut 0);
            }
        });
        Self(runs)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        clock::set_runs(false);
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn instances_share_nothing() {
    on_each_engine(|engine| {
        let wat = r#"(module
            (import "h" "record" (func $record (param i32) (result i32)))
            (memory (export "memory") 1)
            (global $count (mut i32) (i32.const 0))
            (func (export "run") (result i32)
                (global.set $count (i32.add (global.get $count) (i32.const 1)))
                (i32.store8 (i32.const 0) (i32.const 1))
                (call $record (global.get $count))))"#;
        let module = engine.compile(wat.as_bytes()).unwrap();
        let template = module
            .link(vec![HostFunc::Call(record)])
            .unwrap_or_else(|e| panic!("{e}"));
        drop(module);
        let mut first = template
            .instantiate(State::default(), Limits::default())
            .unwrap();
        let mut second = template
            .instantiate(State::default(), Limits::default())
            .unwrap();
        drop(template);
        assert_eq!(call(&mut first, "run", &[]).unwrap(), 1);
        assert_eq!(call(&mut first, "run", &[]).unwrap(), 2);
        assert_eq!(second.memory()[0], 0);
        assert_eq!(call(&mut second, "run", &[]).unwrap(), 1);
        assert_eq!(first.state().calls, [[1], [2]]);
        assert_eq!(second.state().calls, [[1]]);
    });
}

#[test]
fn a_function_can_be_imported_twice() {
    on_each_engine(|engine| {
        let mut instance = instance(
            engine,
            r#"(module
                (import "h" "f" (func $first (param i32) (result i32)))
                (import "h" "f" (func $second (param i32) (result i32)))
                (func (export "run") (result i32)
                    (i32.add (call $first (i32.const 1)) (call $second (i32.const 2)))))"#,
            vec![HostFunc::Call(record), HostFunc::Call(record)],
        );
        assert_eq!(call(&mut instance, "run", &[]).unwrap(), 3);
        assert_eq!(instance.state().calls, [[1], [2]]);
    });
}

#[test]
fn what_is_no_function_cannot_be_linked() {
    on_each_engine(|engine| {
        for import in ["memory 1", "global i32", "table 1 funcref"] {
            let wat = format!(r#"(module (import "env" "it" ({import})))"#);
            let error = link_error(engine, &wat, vec![HostFunc::Answer(0)]);
            assert_eq!(error.to_string(), r#"import "env.it" is not a function"#);
        }
    });
}

//! What WasmEdge has to do beyond what every engine has to.
#![cfg(feature = "wasmedge")]

use parking_lot::Mutex;
use resty_proxy_wasm::engine::wasmedge::{AheadOfTime, WasmEdge};
use resty_proxy_wasm::engine::wasmtime::Wasmtime;
use resty_proxy_wasm::engine::{Engine, Func, Guest, HostFunc, Instance, Limits, Trap};

/// The function that host functions call back.
#[derive(Default)]
struct State {
    back: Option<Func>,
    calls: u64,
}

type TestInstance = Box<dyn Instance<State>>;

/// Engines set handlers of signals for the whole process, which in nginx has one thread.
static ALONE: Mutex<()> = Mutex::new(());

/// Interpreting and compiling.
fn in_each_way(test: impl Fn(&WasmEdge)) {
    let _alone = ALONE.lock();
    for which in [AheadOfTime::Never, AheadOfTime::Always] {
        let engine = WasmEdge::new().unwrap();
        engine.compile_ahead(which);
        test(&engine);
    }
}

fn instance(engine: &dyn Engine<State>, wat: &str, funcs: Vec<HostFunc<State>>) -> TestInstance {
    let module = engine.compile(wat.as_bytes()).unwrap();
    assert_eq!(module.notice(), None);
    let Ok(template) = module.link(funcs) else {
        panic!("{wat} does not link");
    };
    let mut instance = template
        .instantiate(State::default(), Limits::default())
        .unwrap();
    instance.state().back = instance.func("back");
    instance
}

fn run(instance: &mut TestInstance, args: &[u64]) -> Result<u64, Trap> {
    let func = instance.func("run").unwrap();
    instance.call(func, args)
}

/// Calls the guest's function `back` with its own argument.
fn call_back(guest: &mut dyn Guest<State>, args: &[u64]) -> Result<u64, Trap> {
    guest.state().calls += 1;
    let back = guest.state().back.unwrap();
    guest.call(back, args)
}

/// A guest goes on where it was when a host function has called it in between: with its own stack, locals, memory and
/// globals. WasmEdge's compiled code would not by itself.
#[test]
fn a_guest_goes_on_after_a_host_function_called_it() {
    let wat = r#"(module
        (import "h" "call_back" (func $call_back (param i32) (result i32)))
        (import "h" "plain" (func $plain (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (global $sum (mut i32) (i32.const 0))
        (table 4 funcref)
        (elem (i32.const 0) $call_back $back)
        (type $t (func (param i32) (result i32)))
        (func $back (export "back") (param $n i32) (result i32)
            (local $i i32)
            (loop $again
                (global.set $sum (i32.add (global.get $sum) (i32.const 1)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.and (local.get $n) (i32.const 7)))))
            (if (i32.eqz (i32.and (local.get $n) (i32.const 1023)))
                (then (drop (memory.grow (i32.const 1)))))
            (i32.store (i32.mul (memory.size) (i32.const 4)) (local.get $n))
            (call $plain (local.get $n) (i32.const 0) (i32.const 0)))
        (func (export "run") (param $count i32) (result i32)
            (local $i i32) (local $x i32)
            (loop $again
                (local.set $x (i32.add (local.get $x) (call $call_back (local.get $i))))
                (local.set $x (i32.add (local.get $x) (call_indirect (type $t) (local.get $i) (i32.const 0))))
                (local.set $x (i32.add (local.get $x) (call_indirect (type $t) (local.get $i) (i32.const 1))))
                (local.set $x (i32.add (local.get $x) (call $plain (local.get $i) (i32.const 1) (i32.const 2))))
                (memory.fill (i32.const 1024) (local.get $i) (i32.const 64))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (local.get $count))))
            (i32.add (local.get $x) (i32.mul (memory.size) (i32.const 1000000)))))"#;
    #[allow(clippy::unnecessary_wraps, reason = "the type of a host function")]
    fn plain(_: &mut dyn Guest<State>, args: &[u64]) -> Result<u64, Trap> {
        Ok(args.iter().sum::<u64>() & 0xff)
    }
    const COUNT: u64 = 20_000;
    let funcs = || vec![HostFunc::Call(call_back), HostFunc::Call(plain)];
    in_each_way(|engine| {
        let want = run(
            &mut instance(&Wasmtime::new().unwrap(), wat, funcs()),
            &[COUNT],
        )
        .unwrap();
        let mut instance = instance(engine, wat, funcs());
        assert_eq!(run(&mut instance, &[COUNT]).unwrap(), want);
        assert_eq!(instance.state().calls, 2 * COUNT);
    });
}

/// A trap in the guest that a host function called is that function's to handle.
#[test]
fn a_guest_goes_on_after_a_trap_that_a_host_function_caught() {
    fn tolerant(guest: &mut dyn Guest<State>, args: &[u64]) -> Result<u64, Trap> {
        Ok(call_back(guest, args).map_or_else(|trap| trap.message.len() as u64, |_| 0))
    }
    let wat = r#"(module
        (import "h" "tolerant" (func $tolerant (param i32) (result i32)))
        (func (export "back") (param i32) (result i32) unreachable)
        (func (export "run") (param i32) (result i32)
            (i32.add (call $tolerant (i32.const 1)) (call $tolerant (i32.const 1)))))"#;
    let length = "wasm trap: wasm `unreachable` instruction executed".len() as u64;
    in_each_way(|engine| {
        let mut instance = instance(engine, wat, vec![HostFunc::Call(tolerant)]);
        assert_eq!(run(&mut instance, &[0]).unwrap(), 2 * length);
    });
}

/// No guest gets to the end of the native stack, whatever its functions are like.
#[test]
fn no_recursion_ends_the_process() {
    let wide = |count: usize, ty: &str| format!("({ty})").repeat(count);
    let mut guests = vec![
        // nothing but calls
        "(func $f (export \"run\") (param i32) (result i32) (call $f (local.get 0)))".to_owned(),
        // through a table
        "(table 1 funcref) (elem (i32.const 0) $f) (type $t (func (param i32) (result i32)))
         (func $f (export \"run\") (param i32) (result i32)
            (call_indirect (type $t) (local.get 0) (i32.const 0)))"
            .to_owned(),
        // two that call each other
        "(func $f (export \"run\") (param i32) (result i32) (call $g (local.get 0)))
         (func $g (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))"
            .to_owned(),
        // locals that live across the call
        format!(
            "(func $f (export \"run\") (param i32) (result i32) {} (drop (call $f (local.get 0))) {} i32.const 1)",
            wide(2000, "local v128"),
            (1..2000)
                .map(|i| format!("(local.set {i} (i8x16.add (local.get {i}) (local.get 1))) "))
                .collect::<String>()
        ),
    ];
    for (operator, sink) in [
        ("(i64.load (local.get 0)) ", "drop "),
        ("(v128.load (local.get 0)) ", "drop "),
        ("(call $h (local.get 0)) ", "drop drop drop drop "),
    ] {
        // values that wait on the operand stack during the call
        guests.push(format!(
            "(func $h (param i32) (result v128 v128 v128 v128)
                (v128.load (local.get 0)) (v128.load (local.get 0)) (v128.load (local.get 0)) (v128.load (local.get 0)))
             (func $f (export \"run\") (param i32) (result i32)
                {} (drop (call $f (local.get 0))) {} i32.const 1)",
            operator.repeat(1000),
            sink.repeat(1000),
        ));
    }
    in_each_way(|engine| {
        for guest in &guests {
            let wat = format!("(module (memory (export \"memory\") 1) {guest})");
            let mut instance = instance(engine, &wat, vec![]);
            let trap = run(&mut instance, &[0]).unwrap_err();
            assert_eq!(
                trap.message, "wasm trap: call stack exhausted",
                "{guest:.200}"
            );
        }
    });
}

/// Nor does one that goes through host functions.
#[test]
fn no_recursion_through_the_host_ends_the_process() {
    let wat = r#"(module
        (import "h" "call_back" (func $call_back (param i32) (result i32)))
        (func (export "back") (export "run") (param i32) (result i32) (call $call_back (local.get 0))))"#;
    in_each_way(|engine| {
        let mut instance = instance(engine, wat, vec![HostFunc::Call(call_back)]);
        let trap = run(&mut instance, &[0]).unwrap_err();
        assert_eq!(trap.message, "wasm trap: call stack exhausted");
        assert!(instance.state().calls >= 10);
    });
}

/// A host function in a table can be called any number of times in one call of the guest.
#[test]
fn calls_through_a_table_leave_nothing_on_the_stack() {
    let wat = r#"(module
        (import "h" "answer" (func $answer (param i64 i64 i64 i64 i64 i64) (result i64)))
        (type $t (func (param i64 i64 i64 i64 i64 i64) (result i64)))
        (table 1 funcref)
        (elem (i32.const 0) $answer)
        (func (export "run") (param $count i32) (result i32)
            (loop $again
                (drop (call_indirect (type $t)
                    (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)
                    (i32.const 0)))
                (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
            (local.get $count)))"#;
    in_each_way(|engine| {
        let mut instance = instance(engine, wat, vec![HostFunc::Answer(7)]);
        assert_eq!(run(&mut instance, &[300_000]).unwrap(), 0);
    });
}

/// Both engines may be used in one process, though each has handlers for the same signals.
#[test]
fn the_other_engine_still_traps() {
    let wat = r#"(module (memory (export "memory") 1)
        (func (export "run") (param i32) (result i32) (i32.load (local.get 0))))"#;
    let wasmtime = Wasmtime::new().unwrap();
    in_each_way(|engine| {
        for _ in 0..3 {
            for engine in [engine as &dyn Engine<State>, &wasmtime] {
                let trap = run(&mut instance(engine, wat, vec![]), &[0xffff_ffff]).unwrap_err();
                assert!(
                    trap.message.contains("out of bounds memory access"),
                    "{trap}"
                );
            }
        }
    });
}

/// A panic of the host's does not unwind through WasmEdge.
#[test]
fn a_panic_of_a_host_function_is_a_trap() {
    let wat = r#"(module (import "h" "panic" (func $panic)) (func (export "run") (call $panic)))"#;
    in_each_way(|engine| {
        let mut instance = instance(
            engine,
            wat,
            vec![HostFunc::Call(|_, _| panic!("on purpose"))],
        );
        let trap = run(&mut instance, &[]).unwrap_err();
        assert_eq!(trap.message, "a host function panicked");
    });
}

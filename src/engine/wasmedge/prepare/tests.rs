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
        let Prepared {
            wasm, stack_left, ..
        } = rewrite(wat.as_bytes());
        let engine = wt::Engine::default();
        let module = wt::Module::new(&engine, wasm)?;
        let mut linker = wt::Linker::<Vec<i32>>::new(&engine);
        for import in module.imports() {
            let number: i32 = import.name().parse()?;
            let ty = import.ty().unwrap_func().clone();
            let stack_left = stack_left.clone();
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
        Ok(Self {
            store,
            instance,
            stack_left,
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

#[test]
fn endless_recursion_exhausts_the_stack() {
    let mut guest = Guest::new(
        r#"(module
            (type $t (func))
            (table funcref (elem $indirect))
            (func $direct (export "direct") call $direct)
            (func $even (export "even") call $odd)
            (func $odd call $even)
            (func $indirect (export "indirect") (call_indirect (type $t) (i32.const 0)))
            (func $result (export "result") (result i32) (i32.add (call $result) (i32.const 1)))
            (func $results (export "results") (result i32 i32) call $results)
            (func $deep (export "deep") (block (loop (if (i32.const 1) (then (call $deep) return))))))"#,
    );
    for name in ["direct", "even", "indirect", "result", "results", "deep"] {
        guest.is_exhausted_by(name);
        // It stays so.
        guest.is_exhausted_by("direct");
        let global = guest.instance.get_global(&mut guest.store, "stack_left");
        let full = wt::Val::I32(STACK as i32);
        global.unwrap().set(&mut guest.store, full).unwrap();
    }
}

#[test]
fn a_start_function_is_bounded_too() {
    let result = Guest::try_new("(module (func $f call $f) (start $f))");
    let trap = result.err().unwrap().downcast().unwrap();
    assert_eq!(wt::Trap::UnreachableCodeReached, trap);
}

#[test]
fn other_traps_leave_the_stack_at_zero_or_more() {
    let mut guest = Guest::new(r#"(module (func (export "f") call 1) (func unreachable))"#);
    assert_eq!(guest.call("f", &[]), Err(wt::Trap::UnreachableCodeReached));
    assert!(guest.stack_left() > 0);
}

#[test]
fn stack_is_given_back_at_every_exit() {
    // The argument chooses the way out.
    let exits = r#"(module
        (func $call)
        (func (export "f") (param i32) (result i32)
            call $call
            block
                loop
                    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (i32.const 10))))
                    (if (i32.eq (local.get 0) (i32.const 2)) (then (br 3 (i32.const 20))))
                    (if (i32.eq (local.get 0) (i32.const 3))
                        (then (block (return (i32.const 30)) unreachable))
                        (else (block (br_if 3 (i32.eq (local.get 0) (i32.const 4))))))
                    (block (result i32)
                        i32.const 50
                        (br_if 3 (i32.eq (local.get 0) (i32.const 5)))
                        (br_table 3 0 3 (i32.sub (local.get 0) (i32.const 6))))
                    drop
                    br 1
                end
                unreachable
            end
            i32.const 40
            return
            unreachable))"#;
    let cases: [(&[i32], &[i32]); 8] = [
        (&[1], &[10]),
        (&[2], &[20]),
        (&[3], &[30]),
        (&[4], &[40]),
        (&[5], &[50]),
        (&[6], &[50]),
        (&[7], &[40]),
        (&[8], &[50]),
    ];
    gives(exits, &cases);
}

#[test]
fn no_result_and_several_results() {
    gives(
        r#"(module
            (global $g (mut i32) (i32.const 0))
            (func $call)
            (func $none (param i32)
                call $call
                (br_if 0 (i32.eqz (local.get 0)))
                (global.set $g (i32.const 7))
                return)
            (func (export "f") (param i32) (result i32)
                (global.set $g (i32.const 0))
                (call $none (local.get 0))
                global.get $g))"#,
        &[(&[0], &[0]), (&[1], &[7])],
    );
    gives(
        r#"(module
            (func $call)
            (func $pair (result i32 i32) call $same)
            (func $same (result i32 i32) call $call i32.const 1 i32.const 2)
            (func $swap (param i64 i32) (result i32 i64) call $call (return (local.get 1) (local.get 0)))
            (func (export "f") (param i32) (result i32 i32 i32)
                (if (i32.eqz (local.get 0)) (then (br 1 (i32.const 3) (call $pair))))
                (block (result i32 i64)
                    (call $swap (i64.const 9) (local.get 0)))
                i32.wrap_i64
                i32.const 5
                return
                unreachable))"#,
        &[(&[0], &[3, 1, 2]), (&[4], &[4, 9, 5])],
    );
}

#[test]
fn a_function_that_calls_none_is_left_as_it_is() {
    let wat = r#"(module
        (func $leaf (param i32) (result i32) (local i64)
            (if (local.get 0) (then (return (i32.const 1))))
            i32.const 2)
        (func call 1)
        (func (local i64) local.get 0 drop return))"#;
    let original = wat::parse_str(wat).unwrap();
    let rewritten = rewrite(wat.as_bytes()).wasm;
    let (original, rewritten) = (bodies(&original), bodies(&rewritten));
    assert_eq!(original[0], rewritten[0]);
    assert_ne!(original[1], rewritten[1]);
    assert_eq!(original[2], rewritten[2]);
}

#[test]
fn a_large_frame_costs_much() {
    let locals = |count: usize| {
        let locals = "i64 ".repeat(count);
        format!(r#"(module (func (export "f") (local {locals})))"#)
    };
    // Neither calls anything: the first is too small to be counted, the last too large to be called at all.
    gives(&locals(200), &[(&[], &[])]);
    gives(&locals(4_000), &[(&[], &[])]);
    Guest::new(&locals(50_000)).is_exhausted_by("f");

    let operands = |count: usize| {
        let (push, drop) = ("i32.const 1 ".repeat(count), "drop ".repeat(count));
        format!(r#"(module (func (export "f") {push} {drop}))"#)
    };
    gives(&operands(1_000), &[(&[], &[])]);
    Guest::new(&operands(5_000)).is_exhausted_by("f");

    let results = |count: usize| {
        let (types, push) = ("i32 ".repeat(100), "i32.const 1 ".repeat(100));
        let calls = format!("call $many {}", "drop ".repeat(100)).repeat(count);
        format!(r#"(module (func $many (result {types}) {push}) (func (export "f") {calls}))"#)
    };
    gives(&results(10), &[(&[], &[])]);
    Guest::new(&results(20)).is_exhausted_by("f");
}

#[test]
fn parameters_are_part_of_the_frame() {
    let depth = |params: &str, args: &str| {
        let wat = format!(
            r#"(module (global $g (export "depth") (mut i32) (i32.const 0))
                (func $f {params} (global.set $g (i32.add (global.get $g) (i32.const 1))) {args} call $f)
                (func (export "f") {args} call $f))"#
        );
        let mut guest = Guest::new(&wat);
        guest.is_exhausted_by("f");
        let depth = guest.instance.get_global(&mut guest.store, "depth");
        depth.unwrap().get(&mut guest.store).unwrap_i32()
    };
    let none = depth("", "");
    let many = depth(&"(param i32)".repeat(100), &"i32.const 0 ".repeat(100));
    assert!((100..1_000).contains(&none), "{none}");
    assert!((10..20).contains(&many), "{many}");
}

#[test]
fn a_host_function_as_a_value_is_called_by_the_guest() {
    let module = |fields: &str, code: &str| {
        format!(
            r#"(module
                (type $t (func (param i32 i32) (result i32)))
                (import "env" "other" (func $other))
                (import "env" "host" (func $host (type $t)))
                {fields}
                (func (export "f") (result i32)
                    (drop (call $host (i32.const 3) (i32.const 4)))
                    {code}
                    (call_indirect (type $t) (i32.const 3) (i32.const 4) (i32.const 1))))"#
        )
    };
    for (fields, code) in [
        ("(table funcref (elem $other $host))", ""),
        (
            "(table 2 funcref) (elem (table 0) (i32.const 0) funcref (ref.null func) (ref.func $host))",
            "",
        ),
        (
            "(table 2 funcref) (elem $passive func $other $host)",
            "(table.init $passive (i32.const 0) (i32.const 0) (i32.const 2))",
        ),
        (
            "(table 2 funcref) (global $g funcref (ref.func $host))",
            "(table.set (i32.const 1) (global.get $g))",
        ),
        (
            "(table 2 funcref) (elem declare func $host)",
            "(table.set (i32.const 1) (ref.func $host))",
        ),
        (
            r#"(table 2 funcref) (export "host" (func $host))"#,
            "(table.set (i32.const 1) (ref.func $host))",
        ),
        (
            r#"(table 2 funcref) (global $g funcref (ref.func $host)) (elem (i32.const 0) $other $other) (elem declare func $host)"#,
            "(table.set (i32.const 1) (ref.func $host)) (table.set (i32.const 0) (ref.func $other))",
        ),
    ] {
        let wat = module(fields, code);
        gives(&wat, &[(&[], &[80])]);
        let mut guest = Guest::new(&wat);
        guest.call("f", &[]).unwrap();
        let [direct, indirect] = guest.store.data()[..] else {
            panic!("{:?}", guest.store.data())
        };
        assert!(indirect < direct, "{wat}");
    }
}

#[test]
fn a_host_function_is_exported_as_it_is_and_started_by_the_guest() {
    let wat = r#"(module
        (import "env" "host" (func $host))
        (export "host" (func $host))
        (table funcref (elem $host))
        (start $host))"#;
    let wasm = rewrite(wat.as_bytes()).wasm;
    for payload in wasmparser::Parser::new(0).parse_all(&wasm) {
        match payload.unwrap() {
            Payload::ExportSection(section) => {
                let export = section.into_iter().next().unwrap().unwrap();
                assert_eq!(("host", 0), (export.name, export.index));
            }
            Payload::StartSection { func, .. } => assert_eq!(1, func),
            _ => {}
        }
    }
    let guest = Guest::new(wat);
    let seen = guest.store.data();
    assert!(
        matches!(seen[..], [left] if left < STACK as i32),
        "{seen:?}"
    );
}

#[test]
fn a_host_function_with_several_results_as_a_value() {
    gives(
        r#"(module
            (type $t (func (param i32) (result i32 i32)))
            (import "env" "host" (func $host (type $t)))
            (table funcref (elem $host))
            (func (export "f") (param i32) (result i32 i32)
                (call_indirect (type $t) (local.get 0) (i32.const 0))))"#,
        &[(&[1], &[10, 10])],
    );
}

#[test]
fn endless_recursion_through_the_host_exhausts_the_stack() {
    let wat = r#"(module
        (import "env" "host" (func $host))
        (table funcref (elem $host))
        (func $f (export "f") (call_indirect (i32.const 0)) call $f))"#;
    let mut guest = Guest::new(wat);
    guest.is_exhausted_by("f");
    assert!(guest.store.data().iter().all(|left| *left >= 0));
}

#[test]
fn each_import_gets_a_name_of_its_own() {
    let wat = r#"(module
        (import "env" "twice" (func $a (param i32) (result i32)))
        (import "env" "twice" (func $b (param i32 i32) (result i32)))
        (import "" "" (func $c))
        (func (export "f") (result i32 i32)
            (call $a (i32.const 5))
            (call $b (i32.const 5) (i32.const 6))))"#;
    gives(wat, &[(&[], &[50, 120])]);
}

#[test]
fn imports_and_exports_are_those_of_the_module() {
    let prepared = rewrite(
        br#"(module
            (import "env" "f" (func (param i32 i64 f32 f64) (result i32)))
            (import "env" "g" (global i32))
            (import "env" "r" (func (param v128 funcref externref)))
            (memory (export "memory") 1)
            (global (export "global") i32 (i32.const 1))
            (func (export "run") (result i64 i32) i64.const 0 i32.const 0)
            (export "again" (func 0)))"#,
    );
    let list = |import: &Import| {
        let ty = import
            .ty
            .as_ref()
            .map_or(String::new(), ToString::to_string);
        format!("{}.{} {ty}", import.module, import.name)
    };
    let imports: Vec<String> = prepared.imports.iter().map(list).collect();
    assert_eq!(
        imports,
        [
            "env.f (i32, i64, f32, f64) -> (i32)",
            "env.g ",
            "env.r (v128, funcref, externref) -> ()",
        ]
    );
    let list = |export: &Export| match &export.kind {
        ExportKind::Func(ty) => format!("{} {ty}", export.name),
        ExportKind::Memory => format!("{} memory", export.name),
        ExportKind::Other => format!("{} other", export.name),
    };
    let exports: Vec<String> = prepared.exports.iter().map(list).collect();
    assert_eq!(
        exports,
        [
            "memory memory",
            "global other",
            "run () -> (i64, i32)",
            "again (i32, i64, f32, f64) -> (i32)",
        ]
    );
}

#[test]
fn the_name_of_the_global_is_a_free_one() {
    let prepared =
        rewrite(br#"(module (func (export "stack_left")) (func (export "stack_left_")))"#);
    assert_eq!(prepared.stack_left, "stack_left__");
    assert_eq!(rewrite(b"(module)").stack_left, "stack_left");
}

#[test]
fn the_global_starts_with_the_stack() {
    for (stack, left) in [(0, 0), (1, 1), (u32::MAX, i32::MAX)] {
        let prepared = prepare(b"(module)", stack).unwrap();
        let engine = wt::Engine::default();
        let module = wt::Module::new(&engine, prepared.wasm).unwrap();
        let mut store = wt::Store::new(&engine, ());
        let instance = wt::Instance::new(&mut store, &module, &[]).unwrap();
        let global = instance.get_global(&mut store, "stack_left").unwrap();
        assert_eq!(global.get(&mut store).unwrap_i32(), left);
    }
}

#[test]
fn sections_that_the_module_lacks_are_added_in_their_order() {
    for fields in [
        "",
        "(memory 1)",
        "(func)",
        "(global i32 (i32.const 1))",
        r#"(memory (export "memory") 1) (data (i32.const 0) "x")"#,
        r#"(import "a" "b" (func))"#,
        r#"(import "a" "b" (func)) (table funcref (elem 0))"#,
        r#"(import "a" "b" (func)) (table funcref (elem 0)) (memory 1) (data (i32.const 0) "x")"#,
        r#"(import "a" "b" (func)) (global funcref (ref.func 0)) (start 0)"#,
        r#"(import "a" "b" (func)) (export "b" (func 0)) (func ref.func 0 drop)"#,
        r#"(import "a" "b" (func)) (export "b" (func 0)) (func ref.func 0 drop data.drop 0) (memory 1) (data "x")"#,
        r#"(import "a" "b" (table 1 funcref)) (import "a" "c" (func)) (elem (i32.const 0) 0)"#,
    ] {
        let prepared = rewrite(format!("(module {fields})").as_bytes());
        assert_eq!(prepared.stack_left, "stack_left", "{fields}");
    }
}

#[test]
fn custom_sections_are_dropped() {
    let wasm = rewrite(br#"(module $name (@custom "x" "y") (func $f))"#).wasm;
    for payload in wasmparser::Parser::new(0).parse_all(&wasm) {
        assert!(!matches!(payload, Ok(Payload::CustomSection(_))));
    }
}

#[test]
fn what_memory_starts_with_is_told() {
    assert_eq!(rewrite(b"(module (memory 16 65536))").memory_pages, 16);
    assert_eq!(rewrite(b"(module)").memory_pages, 0);
}

#[test]
fn what_is_invalid_is_said_as_wasmtime_says_it() {
    let engine = wt::Engine::default();
    for bytes in [
        &b""[..],
        b"neither",
        b"(module",
        b"(module\n  (func oops))",
        b"(component)",
        b"\0asm",
        b"\0asm\x02\0\0\0",
        b"\0asm\x01\0\0\0\x01",
        b"(module (export \"f\" (func 3)))",
        b"(module (memory 70000))",
        b"(module (memory 1 2 shared))",
        b"(module (func (result i32)))",
        b"(module (import \"a\" \"b\" (func)) (func) (func i32.add))",
        b"(module (func) (func ref.func 0 drop))",
    ] {
        let wasmtime = format!("{:#}", wt::Module::new(&engine, bytes).err().unwrap());
        assert_eq!(error(bytes), super::one_line(&wasmtime));
    }
}

#[test]
fn what_wasmedge_is_not_used_with_is_refused() {
    for (field, message) in [
        ("(func return_call 0)", "tail calls support is not enabled"),
        ("(memory i64 1)", "memory64 must be enabled"),
        ("(memory 1) (memory 1)", "multiple memories"),
        ("(tag)", "exceptions proposal not enabled"),
        ("(func try_table end)", "exceptions support is not enabled"),
        ("(type (struct))", "without the gc feature"),
        (
            "(type $t (func)) (func (param (ref $t)))",
            "function references required",
        ),
        (
            "(table 1 funcref (ref.func 0)) (func)",
            "require the function-references proposal",
        ),
        (
            "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
            "relaxed SIMD support is not enabled",
        ),
    ] {
        let error = error(format!("(module {field})").as_bytes());
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn real_modules_are_valid_afterwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for directory in ["t/plugins/wat", "build/guests"] {
        // Guests are there once `make` has built them.
        for entry in fs::read_dir(root.join(directory)).into_iter().flatten() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            rewrite(&bytes);
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

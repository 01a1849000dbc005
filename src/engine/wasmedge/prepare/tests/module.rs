//! The module as a whole.

use super::*;

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
    let imports: Vec<String> = prepared.outline.imports.iter().map(list).collect();
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
    let exports: Vec<String> = prepared.outline.exports.iter().map(list).collect();
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
    assert_eq!(prepared.outline.names.stack_left, "stack_left__");
    assert_eq!(rewrite(b"(module)").outline.names.stack_left, "stack_left");
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
        assert_eq!(prepared.outline.names.stack_left, "stack_left", "{fields}");
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
    assert_eq!(
        rewrite(b"(module (memory 16 65536))").outline.memory_pages,
        16
    );
    assert_eq!(rewrite(b"(module)").outline.memory_pages, 0);
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
        assert_eq!(error(bytes), crate::engine::one_line(&wasmtime));
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
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            // Each has what WasmEdge is not given, and is named for it.
            let is_refused = path.ends_with("memories.wat") || path.ends_with("tail-calls.wat");
            if is_refused {
                error(&bytes);
                continue;
            }
            rewrite(&bytes);
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

//! Imported functions as values.

use super::*;

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
            Payload::StartSection { func, .. } => assert_eq!(2, func),
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

//! Functions that count the stack.

use super::*;

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
fn a_guest_that_is_told_to_stop_does() {
    let wat = r#"(module
        (func (export "loop") (loop))
        (func $f (export "call") call $leaf)
        (func $leaf (export "leaf"))
        (func (export "deep") (block (block (loop (br_if 1 (i32.const 1))))))
    )"#;
    let mut guest = Guest::new(wat);
    let stop = guest.instance.get_global(&mut guest.store, "stop").unwrap();
    for name in ["loop", "call", "leaf", "deep"] {
        stop.set(&mut guest.store, wt::Val::I32(0)).unwrap();
        assert_eq!(guest.call(name, &[]), Ok(vec![]), "{name}");
        stop.set(&mut guest.store, wt::Val::I32(1)).unwrap();
        let want = match name {
            "leaf" => Ok(vec![]),
            _ => Err(wt::Trap::UnreachableCodeReached),
        };
        assert_eq!(guest.call(name, &[]), want, "{name}");
        assert_eq!(guest.stack_left(), STACK as i32, "{name}");
    }
}

//! The life of a plugin without nginx: VMs, plugin contexts, streams, forks and traps.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use common::{
    Log, Proxy, TestHost, alone, configure, load, load_on, load_with, no_fork, plugin_text, request,
};
use resty_proxy_wasm::abi::types::AbiVersion;
use resty_proxy_wasm::engine::clock;
use resty_proxy_wasm::plugin::{BodyOutcome, Error, Options, Plugin, Stream, Waiting, process};

/// A request with a body on a plugin that was just loaded; what came before is not in the log.
fn one_request(changed: &[(char, &str)]) -> (Stream, Rc<Log>) {
    let (plugin, log) = load(changed);
    let context = configure(&plugin).unwrap_or_else(|e| panic!("{e}"));
    let stream = request(&context, &log, true).unwrap_or_else(|e| panic!("{e}"));
    log.take();
    (stream, log)
}

fn message(result: Result<impl Sized, Error>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The clock that ends what takes too long, while this lives.
struct Clock;

impl Clock {
    fn start() -> Self {
        clock::set_runs(true);
        thread::spawn(|| {
            while clock::runs() {
                thread::sleep(clock::period());
                clock::tick(&mut 0);
            }
        });
        Self
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        clock::set_runs(false);
    }
}

/// A plugin, and the host that counts what it does.
fn load_counted(text: &str, options: Options) -> (Result<Rc<Plugin>, Error>, Rc<TestHost>) {
    let host = Rc::new(TestHost::default());
    (load_on(&host, text, options), host)
}

#[test]
fn contexts_begin_and_end_in_the_order_of_the_specification() {
    let _fork = no_fork();
    let (plugin, log) = load(&[]);
    assert_eq!(log.take(), "");
    let first = configure(&plugin).unwrap();
    assert_eq!(log.take(), "C1 V1 F1");
    let second = configure(&plugin).unwrap();
    assert_eq!(log.take(), "C2 F2", "a VM starts once");

    let stream = request(&second, &log, true).unwrap();
    stream.on_request_headers().unwrap();
    let mut out = Vec::new();
    stream.on_request_body(Some(b"x"), true, &mut out).unwrap();
    stream.on_response_headers().unwrap();
    stream.on_response_body(b"x", true, &mut out).unwrap();
    assert_eq!(log.take(), "C3 H3 B3 h3 b3");
    stream.finish();
    assert_eq!(log.take(), "D3 L3 X3");
    assert_eq!(plugin.contexts(), 2);

    drop(stream);
    drop(second);
    assert_eq!(log.take(), "D2 X2", "a plugin context has no log");
    drop(first);
    assert_eq!(log.take(), "D1 X1");
    assert_eq!(plugin.contexts(), 0);
}

#[test]
fn callbacks_are_told_of_headers_sizes_and_the_end() {
    let _fork = no_fork();
    let say_all = "(call $say (i32.const 43) (local.get 1)) (call $say (i32.const 43) (local.get 2)) i32.const 0";
    let changed = ['H', 'B', 'h', 'b'].map(|letter| (letter, say_all));
    let (plugin, log) = load(&changed);
    let context = configure(&plugin).unwrap();
    for (has_body, end) in [(true, 0), (false, 1)] {
        let stream = request(&context, &log, has_body).unwrap();
        log.take();
        stream.on_request_headers().unwrap();
        assert_eq!(log.take(), format!("H2 +3 +{end}"));
        stream.on_response_headers().unwrap();
        assert_eq!(log.take(), format!("h2 +2 +{end}"));
        let mut out = Vec::new();
        stream.on_request_body(None, true, &mut out).unwrap();
        assert_eq!(log.take(), "B2 +0 +1");
        stream.on_response_body(b"abc", false, &mut out).unwrap();
        assert_eq!(log.take(), "b2 +3 +0");
        stream.finish();
    }
}

#[test]
fn contexts_are_freed_and_their_ids_used_again() {
    let _fork = no_fork();
    let (plugin, log) = load(&[]);
    let context = configure(&plugin).unwrap();
    log.take();
    for _ in 0..1000 {
        let stream = request(&context, &log, false).unwrap();
        assert_eq!(plugin.contexts(), 2);
        stream.finish();
        assert_eq!(plugin.contexts(), 1);
        assert_eq!(log.take(), "C2 D2 L2 X2");
    }
    for _ in 0..1000 {
        let other = configure(&plugin).unwrap();
        drop(other);
        assert_eq!(plugin.contexts(), 1);
        assert_eq!(log.take(), "C3 F3 D3 X3");
    }
}

#[test]
fn what_is_held_outlives_whatever_is_dropped_first() {
    let _fork = no_fork();
    let (plugin, log) = load(&[]);
    let context = configure(&plugin).unwrap();
    let stream = request(&context, &log, false).unwrap();
    log.take();
    drop(plugin);
    drop(context);
    stream.on_request_headers().unwrap();
    stream.finish();
    assert_eq!(log.take(), "H2 D2 L2 X2");
    drop(stream);
    assert_eq!(log.take(), "D1 X1");
}

#[test]
fn entry_points_run_before_anything_else() {
    let _fork = no_fork();
    let say = |name: &str, code: char| {
        let code = u32::from(code);
        format!(r#"(func (export "{name}") (call $say (i32.const {code}) (i32.const 0)))"#)
    };
    for (entries, want) in [
        (&[("_initialize", 'i'), ("main", 'm')][..], "i0 m0"),
        (&[("_start", 's')], "s0"),
        (&[("_start", 's'), ("_initialize", 'i')], "i0"),
        (&[("main", 'm')], ""),
    ] {
        let mut text = plugin_text(&[]);
        text.pop();
        for (name, code) in entries {
            text.push_str(&say(name, *code));
        }
        text.push(')');
        let (plugin, log) = load_with(&text, Options::default());
        let plugin = plugin.unwrap();
        assert_eq!(log.take(), want);
        let _context = configure(&plugin).unwrap();
        assert_eq!(log.take(), "C1 V1 F1");
    }
}

#[test]
fn a_plugin_without_callbacks_lets_everything_pass() {
    let _fork = no_fork();
    let text = r#"(module (memory (export "memory") 0) (func (export "proxy_abi_version_0_1_0")))"#;
    let (plugin, log) = load_with(text, Options::default());
    let plugin = plugin.unwrap();
    assert_eq!(plugin.info().abi, AbiVersion::V0_1_0);
    let context = configure(&plugin).unwrap();
    let stream = request(&context, &log, true).unwrap();
    let mut out = Vec::new();
    stream.on_request_headers().unwrap();
    let outcome = stream.on_response_body(b"body", true, &mut out).unwrap();
    assert_eq!(outcome, BodyOutcome::Pass);
    stream.finish();
    assert_eq!(plugin.contexts(), 1);
    assert_eq!(log.take(), "");
}

#[test]
fn a_refused_configuration_leaves_no_context() {
    let _fork = no_fork();
    // It accepts in its first context only.
    let (plugin, log) = load(&[('F', "(i32.eq (local.get 0) (i32.const 1))")]);
    let first = configure(&plugin).unwrap();
    log.take();
    let text = "proxy_on_configure returned false";
    assert_eq!(message(configure(&plugin)), text);
    assert_eq!(log.take(), format!("C2 F2 X2 {text}"));
    assert_eq!(plugin.contexts(), 1);
    request(&first, &log, false)
        .unwrap()
        .on_request_headers()
        .unwrap();
    assert_eq!(log.take(), "C3 H3", "the VM goes on");
}

#[test]
fn a_vm_that_refuses_to_start_is_not_used_again() {
    let _fork = no_fork();
    let (plugin, log) = load(&[('V', "i32.const 0")]);
    for _ in 0..2 {
        let text = "proxy_on_vm_start returned false";
        assert_eq!(message(configure(&plugin)), text);
        assert_eq!(log.take(), format!("C1 V1 {text}"));
    }
}

#[test]
fn after_a_trap_the_next_request_gets_a_new_vm() {
    let _fork = no_fork();
    // It traps in the first request that it sees and counts in a global.
    let trap = "(global.set $seen (i32.add (global.get $seen) (i32.const 1)))
        (if (i32.eq (global.get $seen) (i32.const 2)) (then unreachable)) i32.const 0";
    let mut text = plugin_text(&[('H', trap)]);
    text.insert_str(
        text.find("(memory").unwrap(),
        "(global $seen (mut i32) (i32.const 0))",
    );
    let (plugin, log) = load_with(&text, Options::default());
    let plugin = plugin.unwrap();
    let context = configure(&plugin).unwrap();
    let before = request(&context, &log, true).unwrap();
    before.on_request_headers().unwrap();
    let stream = request(&context, &log, true).unwrap();
    log.take();

    assert!(matches!(
        stream.on_request_headers(),
        Err(Error::Trap { .. })
    ));
    let logged = log.take();
    assert!(
        logged.starts_with("H3 proxy_on_request_headers trapped: "),
        "{logged}"
    );
    assert!(logged.contains("unreachable"), "{logged}");

    // Both requests were on that VM. Each is told once in the log, and runs nothing more.
    for stream in [&before, &stream] {
        for _ in 0..2 {
            assert!(matches!(stream.on_response_headers(), Err(Error::Poisoned)));
        }
        let logged = log.take();
        assert_eq!(logged.matches("cannot run").count(), 1, "{logged}");
        stream.finish();
        assert_eq!(log.take(), "");
    }

    let after = request(&context, &log, true).unwrap();
    after.on_request_headers().unwrap();
    assert_eq!(log.take(), "C1 V1 F1 C2 H2");
    after.finish();
    assert_eq!(plugin.contexts(), 1);
}

#[test]
fn a_trap_while_it_is_configured_is_an_error_and_the_next_try_is_new() {
    let _fork = no_fork();
    for (letter, name) in [
        ('C', "proxy_on_context_create"),
        ('V', "proxy_on_vm_start"),
        ('F', "proxy_on_configure"),
    ] {
        let (plugin, log) = load(&[(letter, "unreachable")]);
        for _ in 0..2 {
            let text = message(configure(&plugin));
            assert!(text.starts_with(&format!("{name} trapped: ")), "{text}");
            assert!(log.take().starts_with("C1 "));
        }
    }
}

#[test]
fn a_trap_at_the_end_harms_no_one_else() {
    let _fork = no_fork();
    for letter in ['D', 'L', 'X'] {
        let (plugin, log) = load(&[(letter, "unreachable")]);
        let context = configure(&plugin).unwrap();
        request(&context, &log, false).unwrap().finish();
        log.take();
        request(&context, &log, false).unwrap();
        assert_eq!(log.take(), "C1 V1 F1 C2");
    }
}

#[test]
fn a_start_that_traps_is_no_plugin() {
    let _fork = no_fork();
    for entry in [
        r#"(func (export "_initialize") unreachable)"#,
        r#"(func (export "_start") unreachable)"#,
        "(func $start unreachable) (start $start)",
    ] {
        let mut text = plugin_text(&[]);
        text.pop();
        let (plugin, log) = load_with(&format!("{text} {entry})"), Options::default());
        let text = message(plugin);
        assert!(text.contains(" trapped: "), "{text}");
        assert!(log.take().starts_with(&text));
    }
}

#[test]
fn after_a_fork_everything_is_made_anew_on_first_use() {
    let _alone = alone();
    let (plugin, log) = load(&[]);
    let first = configure(&plugin).unwrap();
    let second = configure(&plugin).unwrap();
    log.take();
    process::forked();
    assert_eq!(log.take(), "", "nothing runs before it is needed");

    request(&second, &log, false).unwrap();
    assert_eq!(log.take(), "C1 V1 F1 C2");
    request(&first, &log, false).unwrap();
    assert_eq!(log.take(), "C3 F3 C4");

    process::forked();
    drop(first);
    assert_eq!(log.take(), "", "the other process ends what it began");
    request(&second, &log, false).unwrap();
    assert_eq!(log.take(), "C1 V1 F1 C2");
}

#[test]
fn the_end_waits_for_proxy_done() {
    let _fork = no_fork();
    // What runs in another context says that context 2 is done.
    let resume = "(drop (call $effective (i32.const 2))) (drop (call $done)) i32.const 0";
    let (plugin, log) = load(&[('D', "i32.const 0"), ('h', resume)]);
    let context = configure(&plugin).unwrap();
    let first = request(&context, &log, false).unwrap();
    let second = request(&context, &log, false).unwrap();
    log.take();
    first.finish();
    assert_eq!(log.take(), "D2");
    assert_eq!(plugin.contexts(), 3);
    second.on_response_headers().unwrap();
    assert_eq!(log.take(), "h3 L2 X2");
    assert_eq!(plugin.contexts(), 2);
    second.on_response_headers().unwrap();
    assert_eq!(log.take(), "h3", "it has ended once");
}

#[test]
fn done_may_be_called_at_once() {
    let _fork = no_fork();
    for answer in [0, 1] {
        let body = format!("(drop (call $done)) i32.const {answer}");
        let (plugin, log) = load(&[('D', &body)]);
        let context = configure(&plugin).unwrap();
        let stream = request(&context, &log, false).unwrap();
        log.take();
        stream.finish();
        assert_eq!(log.take(), "D2 L2 X2");
        assert_eq!(plugin.contexts(), 1);
    }
}

#[test]
fn what_is_done_one_after_the_other_takes_no_more_stack_for_that() {
    let _fork = no_fork();
    // The log of each request says that the next is done.
    let next = "(drop (call $effective (i32.add (local.get 0) (i32.const 1)))) (drop (call $done))";
    let first = "(drop (call $effective (i32.const 2))) (drop (call $done)) i32.const 0";
    let (plugin, log) = load(&[('D', "i32.const 0"), ('L', next), ('h', first)]);
    let context = configure(&plugin).unwrap();
    let requests = 10_000;
    for _ in 0..requests {
        request(&context, &log, false).unwrap().finish();
    }
    let last = request(&context, &log, false).unwrap();
    assert_eq!(plugin.contexts(), requests + 2);
    while plugin.contexts() > 2 {
        let before = plugin.contexts();
        last.on_response_headers().unwrap();
        assert!(plugin.contexts() < before, "some end with each callback");
    }
}

#[test]
fn a_body_that_is_not_touched_passes() {
    let _fork = no_fork();
    let (stream, _log) = one_request(&[]);
    let mut out = Vec::new();
    for (chunk, end) in [(&b"one"[..], false), (b"", false), (b"two", true)] {
        let outcome = stream.on_response_body(chunk, end, &mut out).unwrap();
        assert_eq!(outcome, BodyOutcome::Pass);
    }
}

#[test]
fn a_body_is_held_while_the_plugin_pauses() {
    let _fork = no_fork();
    // Paused until the end; the size is said.
    let body = "(call $say (i32.const 43) (local.get 1)) (i32.eqz (local.get 2))";
    let (stream, log) = one_request(&[('B', body), ('b', body)]);
    let mut out = Vec::new();
    let held = stream.on_request_body(Some(b"one"), false, &mut out);
    assert_eq!(held.unwrap(), BodyOutcome::Hold);
    assert!(stream.is_paused());
    let all = stream.on_request_body(Some(b"two"), true, &mut out);
    assert_eq!(all.unwrap(), BodyOutcome::Replace);
    assert_eq!(out, b"onetwo");
    assert!(!stream.is_paused());
    assert_eq!(log.take(), "B2 +3 B2 +6");

    let held = stream.on_response_body(b"three", false, &mut out);
    assert_eq!(held.unwrap(), BodyOutcome::Hold);
    let all = stream.on_response_body(b"", true, &mut out);
    assert_eq!(all.unwrap(), BodyOutcome::Replace);
    assert_eq!(out, b"three");
}

#[test]
fn a_body_that_the_plugin_changed_goes_on_instead() {
    let _fork = no_fork();
    let body = "(drop (call $set_buffer
        (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 2))) i32.const 0";
    let (stream, _log) = one_request(&[('b', body)]);
    let mut out = Vec::new();
    let outcome = stream.on_response_body(b"a body", true, &mut out);
    assert_eq!(outcome.unwrap(), BodyOutcome::Replace);
    assert_eq!(out, b"b2body");
}

#[test]
fn a_pause_at_the_end_of_a_body_does_not_hold_it() {
    let _fork = no_fork();
    let (stream, log) = one_request(&[('B', "i32.const 1"), ('b', "i32.const 1")]);
    let mut out = Vec::new();
    let outcome = stream.on_request_body(Some(b"body"), true, &mut out);
    assert_eq!(outcome.unwrap(), BodyOutcome::Pass);
    assert!(!stream.is_paused());
    assert!(log.take().contains("proxy_on_request_body paused"));
    let outcome = stream.on_response_body(b"body", true, &mut out);
    assert_eq!(outcome.unwrap(), BodyOutcome::Pass);
    assert!(log.take().contains("proxy_on_response_body paused"));
}

#[test]
fn a_plugin_that_goes_on_has_not_paused() {
    let _fork = no_fork();
    let both = |side: u32| format!("(drop (call $continue (i32.const {side}))) i32.const 1");
    let (request, response) = (both(0), both(1));
    let changed = [('H', &*request), ('B', &*request), ('b', &*response)];
    let (stream, log) = one_request(&changed);
    stream.on_request_headers().unwrap();
    assert!(!stream.is_paused());
    let mut out = Vec::new();
    for end in [false, true] {
        let outcome = stream.on_request_body(Some(b"x"), end, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Pass);
        let outcome = stream.on_response_body(b"x", end, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Pass);
    }
    assert_eq!(log.take(), "H2 B2 b2 B2 b2", "there is nothing to warn of");
}

#[test]
fn to_continue_what_is_not_held_does_not_let_a_later_pause_go() {
    let _fork = no_fork();
    let early =
        "(drop (call $continue (i32.const 0))) (drop (call $continue (i32.const 1))) i32.const 0";
    let until_end = "(i32.eqz (local.get 2))";
    for letter in ['H', 'h'] {
        let changed = [(letter, early), ('B', until_end), ('b', until_end)];
        let (stream, _log) = one_request(&changed);
        stream.on_request_headers().unwrap();
        stream.on_response_headers().unwrap();
        let mut out = Vec::new();
        let outcome = stream.on_request_body(Some(b"x"), false, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Hold, "{letter}");
        let outcome = stream.on_response_body(b"x", false, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Hold, "{letter}");
    }
}

#[test]
fn paused_headers_wait_for_the_body_where_there_is_one() {
    let _fork = no_fork();
    let (plugin, log) = load(&[('H', "i32.const 1")]);
    let context = configure(&plugin).unwrap();
    for has_body in [true, false] {
        let stream = request(&context, &log, has_body).unwrap();
        log.take();
        stream.on_request_headers().unwrap();
        assert_eq!(stream.is_paused(), has_body);
        let warned = log.take().contains("paused the request");
        assert_eq!(warned, !has_body);
        let mut out = Vec::new();
        stream.on_request_body(Some(b""), true, &mut out).unwrap();
        assert!(!stream.is_paused());
    }
}

#[test]
fn what_was_held_is_given_back_when_the_plugin_traps() {
    let _fork = no_fork();
    let trap_at_end = "(if (local.get 2) (then unreachable)) i32.const 1";
    let (stream, _log) = one_request(&[('b', trap_at_end)]);
    let mut out = Vec::new();
    stream.on_response_body(b"one", false, &mut out).unwrap();
    assert!(stream.on_response_body(b"two", true, &mut out).is_err());
    assert_eq!(out, b"onetwo");
    assert!(stream.on_response_body(b"three", true, &mut out).is_err());
    assert_eq!(out, b"three");
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let _fork = no_fork();
    let marker = r#"(func (export "proxy_abi_version_0_2_1"))"#;
    let memory = r#"(memory (export "memory") 1)"#;
    for (text, want) in [
        (String::new(), "empty"),
        ("no module".into(), "neither"),
        ("\0asm\x01\0\0\0\x01".into(), "not a WebAssembly module"),
        (format!("(module {memory})"), "proxy_abi_version_0_1_0"),
        (format!("(module {marker})"), "no memory"),
        (
            format!(r#"(module (import "env" "proxy_done" (func (param i64))) {marker} {memory})"#),
            r#"import "env.proxy_done" has type (i64) -> ()"#,
        ),
        (
            format!(r#"(module (import "env" "t" (table 1 funcref)) {marker} {memory})"#),
            r#"import "env.t" is not a function"#,
        ),
        (
            format!(r#"(module (func (export "proxy_on_log") (param i64)) {marker} {memory})"#),
            r#"export "proxy_on_log" has type (i64) -> ()"#,
        ),
    ] {
        let (plugin, _log) = load_with(&text, Options::default());
        let error = message(plugin);
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn an_unknown_import_is_named_once() {
    let _fork = no_fork();
    let import = r#"(import "env" "proxy_new" (func (result i32)))"#;
    let text = plugin_text(&[]).replacen("(module", &format!("(module {import} {import}"), 1);
    let (plugin, log) = load_with(&text, Options::default());
    assert_eq!(
        plugin.unwrap().compiled().unknown_imports,
        ["env.proxy_new"]
    );
    let warning = r#"import "env.proxy_new" is unknown, a stub stands in for it"#;
    assert_eq!(log.take(), warning);
}

#[test]
fn the_newest_version_that_is_marked_counts() {
    let _fork = no_fork();
    let text = plugin_text(&[]);
    let marker = r#"(func (export "proxy_abi_version_0_2_100")) (memory"#;
    let (plugin, _log) = load_with(&text.replacen("(memory", marker, 1), Options::default());
    assert_eq!(plugin.unwrap().info().abi, AbiVersion::V0_2_100);
}

#[test]
fn the_root_id_is_what_was_said_or_what_the_module_holds() {
    let _fork = no_fork();
    let without = plugin_text(&[]);
    let with = without.replacen("(func (", r#"(data (i32.const 9) "test") (func ("#, 1);
    let said = || Options {
        root_id: Some(b"said".to_vec()),
        ..Options::default()
    };
    for (text, options, want) in [
        (&without, Options::default(), &b""[..]),
        (&with, Options::default(), b"test"),
        (&with, said(), b"said"),
    ] {
        let (plugin, _log) = load_with(text, options);
        assert_eq!(plugin.unwrap().info().root_id, want);
    }
}

#[test]
fn the_same_code_is_compiled_once() {
    let _fork = no_fork();
    let (first, _) = load(&[]);
    let (second, _) = load(&[]);
    let (third, _) = load(&[('H', "i32.const 1")]);
    assert!(std::ptr::eq(first.compiled(), second.compiled()));
    assert!(!std::ptr::eq(first.compiled(), third.compiled()));
}

#[test]
fn in_0_2_100_a_body_can_be_taken_without_being_kept() {
    let _fork = no_fork();
    let text = plugin_text(&[('b', "i32.const 3")]).replace("0_2_1\"", "0_2_100\"");
    let (plugin, log) = load_with(&text, Options::default());
    let context = configure(&plugin.unwrap()).unwrap();
    let stream = request(&context, &log, true).unwrap();
    let mut out = b"old".to_vec();
    for chunk in [&b"one"[..], b"two"] {
        let outcome = stream.on_response_body(chunk, false, &mut out);
        assert_eq!(outcome.unwrap(), BodyOutcome::Replace);
        assert_eq!(out, b"");
    }
}

#[test]
fn short_callbacks_are_told_of_when_no_other_follows() {
    let _fork = no_fork();
    let (plugin, host) = load_counted(&plugin_text(&[]), Options::default());
    host.has_short_callbacks.set(true);
    let context = configure(&plugin.unwrap()).unwrap();
    assert_eq!(host.take_events(), "+1:65536 3 callbacks");
    let stream = request(&context, &host.log, false).unwrap();
    stream.on_request_headers().unwrap();
    assert_eq!(host.take_events(), "request");
    stream.finish();
    assert_eq!(host.take_events(), "5 callbacks");
    drop((stream, context));
    assert_eq!(host.take_events(), "2 callbacks -1:-65536");
}

#[test]
fn vms_requests_and_callbacks_are_counted() {
    let _fork = no_fork();
    let (plugin, host) = load_counted(&plugin_text(&[]), Options::default());
    let plugin = plugin.unwrap();
    assert_eq!(host.take_events(), "+1:65536");
    let context = configure(&plugin).unwrap();
    assert_eq!(host.take_events(), "callback callback callback");
    let stream = request(&context, &host.log, false).unwrap();
    assert_eq!(host.take_events(), "request callback");
    stream.on_request_headers().unwrap();
    assert_eq!(host.take_events(), "callback");
    stream.finish();
    assert_eq!(host.take_events(), "callback callback callback");
    drop((stream, context, plugin));
    assert_eq!(host.take_events(), "callback callback -1:-65536");

    let text = r#"(module (memory (export "memory") 0) (func (export "proxy_abi_version_0_1_0")))"#;
    let (plugin, host) = load_counted(text, Options::default());
    let context = configure(&plugin.unwrap()).unwrap();
    let stream = request(&context, &host.log, true).unwrap();
    stream.on_request_headers().unwrap();
    stream.finish();
    drop((stream, context));
    assert_eq!(host.take_events(), "+1:0 request -1:0");
}

#[test]
fn memory_is_counted_as_it_grows() {
    let _fork = no_fork();
    let grow = |pages: u32| format!("(drop (memory.grow (i32.const {pages})))");
    let on_headers = format!("{} i32.const 0", grow(2));
    let on_body = format!("{} unreachable", grow(1));
    let mut text = plugin_text(&[('H', &on_headers), ('B', &on_body)]);
    text.pop();
    let text = format!(r#"{text} (func (export "_initialize") {}))"#, grow(3));
    let (plugin, host) = load_counted(&text, Options::default());
    let plugin = plugin.unwrap();
    assert_eq!(host.take_events(), format!("+1:{}", 4 << 16));
    let context = configure(&plugin).unwrap();
    let stream = request(&context, &host.log, true).unwrap();
    host.take_events();
    stream.on_request_headers().unwrap();
    assert_eq!(host.take_events(), format!("callback +0:{}", 2 << 16));
    stream.on_response_headers().unwrap();
    assert_eq!(host.take_events(), "callback");
    let trapped = stream.on_request_body(None, true, &mut Vec::new());
    assert!(trapped.is_err());
    assert_eq!(host.take_events(), "callback trap +0:65536");
    drop((stream, context, plugin));
    assert_eq!(host.take_events(), format!("-1:-{}", 7 << 16));
}

#[test]
fn traps_and_restarts_are_counted() {
    let _fork = no_fork();
    let property = r#"(module (import "env" "proxy_get_property"
        (func $property (param i32 i32 i32 i32) (result i32)))"#;
    // It does not start where there are properties.
    let start = r#"(func (export "_initialize") (if (i32.eqz (call $property
        (i32.const 0) (i32.const 0) (i32.const 32) (i32.const 36))) (then unreachable))))"#;
    let mut text = plugin_text(&[('H', "unreachable")]).replacen("(module", property, 1);
    text.pop();
    let (plugin, host) = load_counted(&format!("{text} {start}"), Options::default());
    let context = configure(&plugin.unwrap()).unwrap();
    let stream = request(&context, &host.log, false).unwrap();
    host.take_events();
    assert!(stream.on_request_headers().is_err());
    assert!(stream.on_response_headers().is_err());
    stream.finish();
    assert_eq!(host.take_events(), "callback trap", "nothing runs after it");

    host.has_properties.set(true);
    for _ in 0..2 {
        assert!(request(&context, &host.log, false).is_err());
        assert_eq!(host.take_events(), "trap");
    }
    host.has_properties.set(false);
    drop(stream);
    assert_eq!(host.take_events(), "-1:-65536", "its last request is gone");
    let again = "+1:65536 restart callback callback callback request callback";
    let stream = request(&context, &host.log, false).unwrap();
    assert_eq!(host.take_events(), again);
    assert!(stream.on_request_headers().is_err());
    drop(stream);
    host.take_events();
    request(&context, &host.log, false).unwrap();
    assert_eq!(host.take_events(), format!("-1:-65536 {again}"));
}

#[test]
fn what_takes_too_long_is_counted_as_such() {
    const TIME: Duration = Duration::from_millis(20);
    const FOREVER: &str = "(loop $again (br $again))";
    let _alone = alone();
    let _clock = Clock::start();
    let allocator = "(result i32) i32.const 4096";
    let endless_allocator = format!("(result i32) {FOREVER} unreachable");
    for (body, allocator_is) in [
        (FOREVER, allocator),
        ("(call $show (i32.const 7))", &endless_allocator),
    ] {
        // In the contexts of requests.
        let on_create = format!("(if (local.get 1) (then {body}))");
        let text = plugin_text(&[('C', &on_create)]).replacen(allocator, allocator_is, 1);
        let mut options = Options::default();
        options.limits.callback = TIME;
        let (plugin, host) = load_counted(&text, options);
        let context = configure(&plugin.unwrap()).unwrap();
        host.take_events();
        assert!(request(&context, &host.log, false).is_err());
        assert_eq!(host.take_events(), "request callback trap deadline");
    }

    let mut text = plugin_text(&[]);
    text.pop();
    for entry in [
        r#"(func (export "_initialize")"#,
        "(start $start) (func $start",
    ] {
        let mut options = Options::default();
        options.limits.vm.time = TIME;
        let (plugin, host) = load_counted(&format!("{text} {entry} {FOREVER}))"), options);
        assert!(plugin.is_err());
        assert_eq!(host.take_events(), "trap deadline");
    }
}

#[test]
fn headers_are_looked_at_only_for_callbacks_that_look_at_them() {
    let _fork = no_fork();
    let none = "i32.const 0";
    let count = "(i32.ge_u (local.get 1) (i32.const 9))";
    let end = "(i32.eqz (local.get 2))";
    for (body, callback, looks) in [
        ("", none, 0),
        ("", count, 1),
        ("", end, 1),
        // Whether a body follows matters where it is shown.
        (
            r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) i32.const 0)"#,
            none,
            1,
        ),
    ] {
        let on = |map: &str| {
            format!(
                r#"(func (export "proxy_on_{map}_headers") (param i32 i32 i32) (result i32) {callback})"#
            )
        };
        let text = format!(
            r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1")) {body} {} {})"#,
            on("request"),
            on("response")
        );
        let proxy = Proxy::with(&text, Waiting::default());
        // The answer is to go on where the plugin was told 3 headers, or 2, and that a body does not follow.
        let (stream, http) = proxy.request(false);
        stream.on_request_headers().unwrap();
        stream.on_response_headers().unwrap();
        assert!(!stream.is_paused(), "{text}");
        let response = if body.is_empty() { looks } else { 0 };
        assert_eq!(
            http.looks.each_ref().map(Cell::get),
            [looks, response],
            "{text}"
        );
    }
}

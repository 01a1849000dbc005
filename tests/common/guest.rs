//! Plugins whose callbacks say that they run.

/// What each plugin here can do: `$say` logs a letter and the digit of a number, `$show` a buffer. A queue is named by its id. What fails says `!` and its status.
const PRELUDE: &str = r#"
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_done" (func $done (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes"
        (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes"
        (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $send_local_response (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $set_tick (param i32) (result i32)))
    (import "env" "proxy_http_call"
        (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_call"
        (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_stream"
        (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_cancel" (func $grpc_cancel (param i32) (result i32)))
    (import "env" "proxy_register_shared_queue"
        (func $register_queue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_enqueue_shared_queue"
        (func $enqueue_item (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "upstream")
    (func (export "malloc") (param i32) (result i32) i32.const 4096)
    (func $say (param $letter i32) (param $digit i32)
        (i32.store8 (i32.const 0) (local.get $letter))
        (i32.store8 (i32.const 1) (i32.add (i32.const 48) (local.get $digit)))
        (drop (call $log (i32.const 2) (i32.const 0) (i32.const 2))))
    (func $check (param $status i32)
        (if (local.get $status) (then (call $say (i32.const 33) (local.get $status)))))
    (func $show (param $buffer i32)
        (call $check (call $get_buffer
            (local.get $buffer) (i32.const 0) (i32.const 100) (i32.const 32) (i32.const 36)))
        (drop (call $log
            (i32.const 2) (i32.load (i32.const 32)) (i32.load (i32.const 36)))))
    (func $in (param $context i32) (call $check (call $effective (local.get $context))))
    (func $go_on (param $context i32)
        (call $in (local.get $context))
        (call $check (call $continue (i32.const 0))))
    (func $refuse (param $context i32)
        (call $in (local.get $context))
        (call $check (call $send_local_response (i32.const 403) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))))
    (func $tick (param $period i32) (call $check (call $set_tick (local.get $period))))
    (func $http (call $check (call $http_call (i32.const 16) (i32.const 8)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 40))))
    (func $unary (call $check (call $grpc_call (i32.const 16) (i32.const 8)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 40))))
    (func $stream (call $check (call $grpc_stream (i32.const 16) (i32.const 8)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 40))))
    (func $cancel (param $call i32) (call $check (call $grpc_cancel (local.get $call))))
    (func $register (param $queue i32)
        (call $check (call $register_queue (i32.const 16) (local.get $queue) (i32.const 40))))
    (func $enqueue (param $queue i32)
        (call $check (call $enqueue_item (local.get $queue) (i32.const 0) (i32.const 0))))
"#;

/// Every callback says its letter and the context's id; one about a call says the call's.
const CALLBACKS: [(&str, char, &str); 17] = [
    ("proxy_on_context_create", 'C', "(param i32 i32)"),
    ("proxy_on_vm_start", 'V', "(param i32 i32) (result i32)"),
    ("proxy_on_configure", 'F', "(param i32 i32) (result i32)"),
    (
        "proxy_on_request_headers",
        'H',
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "proxy_on_request_body",
        'B',
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "proxy_on_response_headers",
        'h',
        "(param i32 i32 i32) (result i32)",
    ),
    (
        "proxy_on_response_body",
        'b',
        "(param i32 i32 i32) (result i32)",
    ),
    ("proxy_on_done", 'D', "(param i32) (result i32)"),
    ("proxy_on_log", 'L', "(param i32)"),
    ("proxy_on_delete", 'X', "(param i32)"),
    ("proxy_on_tick", 'T', "(param i32)"),
    ("proxy_on_queue_ready", 'Q', "(param i32 i32)"),
    (
        "proxy_on_http_call_response",
        'R',
        "(param i32 i32 i32 i32 i32)",
    ),
    (
        "proxy_on_grpc_receive_initial_metadata",
        'I',
        "(param i32 i32 i32)",
    ),
    ("proxy_on_grpc_receive", 'M', "(param i32 i32 i32)"),
    (
        "proxy_on_grpc_receive_trailing_metadata",
        'E',
        "(param i32 i32 i32)",
    ),
    ("proxy_on_grpc_close", 'Z', "(param i32 i32 i32)"),
];

/// A plugin of 0.2.1 whose callbacks do what `changed` says for their letter, after saying it; else they accept and continue.
pub fn plugin_text(changed: &[(char, &str)]) -> String {
    let mut text = format!(r#"(module {PRELUDE} (func (export "proxy_abi_version_0_2_1"))"#);
    for (name, letter, ty) in CALLBACKS {
        let accepts = if matches!(letter, 'V' | 'F' | 'D') {
            1
        } else {
            0
        };
        let answer = match ty.contains("result") {
            true => format!("i32.const {accepts}"),
            false => String::new(),
        };
        let body = changed
            .iter()
            .find(|(changed, _)| *changed == letter)
            .map_or(&*answer, |(_, body)| body);
        let code = u32::from(letter);
        let id = u32::from("RIMEZ".contains(letter));
        text.push_str(&format!(
            r#"(func (export "{name}") {ty} (call $say (i32.const {code}) (local.get {id})) {body})"#
        ));
    }
    text.push(')');
    text
}

;; Is busy for 30 ms with each item of the queue `busy`, and with each answer to its calls, of which it makes 60 when a request ends. Logs `done` after
;; each.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))
  (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "busydone")
  (data (i32.const 32) "127.0.0.1:1")
  (data (i32.const 64) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func $now (result i64)
    (drop (call $time (i32.const 8)))
    (i64.load (i32.const 8)))
  (func $work
    (local $end i64)
    (local.set $end (i64.add (call $now) (i64.const 30000000)))
    (loop $more
      (br_if $more (i64.lt_u (call $now) (local.get $end))))
    (drop (call $log (i32.const 2) (i32.const 20) (i32.const 4))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $register (i32.const 16) (i32.const 4) (i32.const 8)))
    (i32.const 1))
  (func (export "proxy_on_queue_ready") (param i32 i32)
    (call $work))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (call $work))
  (func (export "proxy_on_log") (param i32)
    (local $left i32)
    (local.set $left (i32.const 60))
    (loop $more
      (drop (call $call (i32.const 32) (i32.const 11) (i32.const 64) (i32.const 61)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 8)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))))

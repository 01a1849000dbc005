;; Its allocator traps when asked for memory in a hostcall; what the log would say comes after the trap.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "plugin_name")
  (data (i32.const 32) ":path")
  (data (i32.const 64) "get_property -> ")
  (data (i32.const 96) "get_header_map_value -> ")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)

  ;; Logs the text at $at with a status below 100 after it.
  (func $say (param $at i32) (param $size i32) (param $status i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (i32.store8 (local.get $end) (i32.add (i32.const 48) (i32.div_u (local.get $status) (i32.const 10))))
    (if (i32.ge_u (local.get $status) (i32.const 10))
      (then (local.set $end (i32.add (local.get $end) (i32.const 1)))))
    (i32.store8 (local.get $end) (i32.add (i32.const 48) (i32.rem_u (local.get $status) (i32.const 10))))
    (drop (call $log (i32.const 2) (local.get $at)
      (i32.add (i32.const 1) (i32.sub (local.get $end) (local.get $at))))))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $say (i32.const 64) (i32.const 16)
      (call $property (i32.const 16) (i32.const 11) (i32.const 8) (i32.const 12)))
    (call $say (i32.const 96) (i32.const 24)
      (call $header (i32.const 0) (i32.const 32) (i32.const 5) (i32.const 8) (i32.const 12)))
    (i32.const 0)))

;; Its allocator makes the memory grow each time, and hands out the new page: where the memory lay before, it may lie no
;; longer. Copies the request header `x-value` to `x-copy`, and the plugin's name to the log.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "plugin_name")
  (data (i32.const 32) "x-value")
  (data (i32.const 48) "x-copy")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (local $pages i32)
    (local.set $pages (memory.grow (i32.const 1)))
    (if (i32.eq (local.get $pages) (i32.const -1)) (then (return (i32.const 0))))
    (i32.mul (local.get $pages) (i32.const 65536)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (call $property (i32.const 16) (i32.const 11) (i32.const 8) (i32.const 12)) (then unreachable))
    (if (call $log (i32.const 2) (i32.load (i32.const 8)) (i32.load (i32.const 12))) (then unreachable))
    (if (call $header (i32.const 0) (i32.const 32) (i32.const 7) (i32.const 8) (i32.const 12)) (then unreachable))
    (if (call $add (i32.const 0) (i32.const 48) (i32.const 6) (i32.load (i32.const 8)) (i32.load (i32.const 12)))
      (then unreachable))
    (i32.const 0)))

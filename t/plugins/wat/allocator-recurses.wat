;; Its allocator asks the host for what needs the allocator.
(module
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "plugin_name")
  (func (export "proxy_abi_version_0_2_1"))
  (func $ask (drop (call $property (i32.const 16) (i32.const 11) (i32.const 8) (i32.const 12))))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (call $ask)
    (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $ask)
    (i32.const 0)))

;; Adds the response header `hello: world` with one hostcall.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "helloworld")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (if (call $add (i32.const 2) (i32.const 16) (i32.const 5) (i32.const 21) (i32.const 5))
      (then unreachable))
    (i32.const 0)))

;; Calls a function that no host has and that could not say so by a status.
(module
  (import "env" "another_unknown" (func $another_unknown (param i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $another_unknown (i32.const 1))
    (i32.const 0)))

;; Has a memory, but does not export it: the host can read nothing.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory 1)
  (data (i32.const 16) "never seen")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 16) (i32.const 10)))
    (i32.const 0)))

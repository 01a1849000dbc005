;; Has the host write all request headers into its memory, and looks at nothing of them.
(module
  (import "env" "proxy_get_header_map_pairs"
    (func $pairs (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (call $pairs (i32.const 0) (i32.const 0) (i32.const 4))
      (then unreachable))
    (i32.const 0)))

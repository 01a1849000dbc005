;; Calls itself on a request until its stack is used up.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func $deeper (param $depth i32) (result i32)
    (i32.add (i32.const 1) (call $deeper (i32.add (i32.const 1) (local.get $depth)))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $deeper (i32.const 0))))

;; A callback whose parameters and result are not of the types that callbacks have.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i64 f32) (result f64) (f64.const 1)))

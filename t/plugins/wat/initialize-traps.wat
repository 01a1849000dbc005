;; Traps in the first function that the host calls.
(module
  (memory (export "memory") 1)
  (func (export "_initialize") unreachable)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))

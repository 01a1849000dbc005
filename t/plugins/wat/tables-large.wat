;; Has tables of one element more than an instance may have.
(module
  (memory (export "memory") 1)
  (table 1048576 funcref)
  (table 1 funcref)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))

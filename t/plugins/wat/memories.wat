;; Makes two memories grow and traps unless they come to 16 pages in all. WebAssembly 3.0.
(module
  (memory (export "memory") 1)
  (memory $other 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $must (i32.eq (memory.grow 0 (i32.const 10)) (i32.const 1)))
    (call $must (i32.eq (memory.grow $other (i32.const 5)) (i32.const -1)))
    (call $must (i32.eq (memory.grow $other (i32.const 4)) (i32.const 1)))
    (call $must (i32.eq (memory.grow 0 (i32.const 1)) (i32.const -1)))
    (call $must (i32.eq (memory.grow $other (i32.const 1)) (i32.const -1)))
    (i32.const 0)))

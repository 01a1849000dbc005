;; Takes 8 MiB more with each request, and traps in `proxy_on_done` of its plugin context.
(module
  (memory (export "memory") 1)
  (global $root (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param $id i32) (param $parent i32)
    (if (i32.eqz (local.get $parent)) (then (global.set $root (local.get $id)))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (memory.grow (i32.const 128)))
    (i32.const 0))
  (func (export "proxy_on_done") (param $id i32) (result i32)
    (if (i32.eq (local.get $id) (global.get $root)) (then unreachable))
    (i32.const 1)))

;; Traps on each request. Says in `proxy_on_vm_start`, or in `proxy_on_configure`, that it cannot go on while there is shared data with that name
;; as its key; with the key `trap` it traps there instead, with `_initialize` in that.
(module
  (import "env" "proxy_get_shared_data"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "_initialize")
  (data (i32.const 32) "proxy_on_vm_start")
  (data (i32.const 64) "proxy_on_configure")
  (data (i32.const 96) "trap")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func $is (param $key i32) (param $size i32) (result i32)
    (i32.eqz (call $get (local.get $key) (local.get $size) (i32.const 0) (i32.const 4) (i32.const 8))))
  (func (export "_initialize")
    (if (call $is (i32.const 16) (i32.const 11)) (then unreachable)))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (i32.eqz (call $is (i32.const 32) (i32.const 17))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (if (call $is (i32.const 96) (i32.const 4)) (then unreachable))
    (i32.eqz (call $is (i32.const 64) (i32.const 18))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))

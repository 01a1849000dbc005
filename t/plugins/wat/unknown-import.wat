;; Imports functions that no host has. Calls the one that has a status to answer with, and logs it.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "some_unknown" (func $some_unknown (param i32) (result i32)))
  (import "env" "another_unknown" (func $another_unknown (param i32)))
  (import "elsewhere" "unknown" (func $elsewhere (param i64 f64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "some_unknown -> ")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))

  ;; Writes a number below 100 in decimal and gives back how many digits it has.
  (func $decimal (param $at i32) (param $number i32) (result i32)
    (if (result i32) (i32.ge_u (local.get $number) (i32.const 10))
      (then
        (i32.store8 (local.get $at)
          (i32.add (i32.const 48) (i32.div_u (local.get $number) (i32.const 10))))
        (i32.store8 offset=1 (local.get $at)
          (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
        (i32.const 2))
      (else
        (i32.store8 (local.get $at) (i32.add (i32.const 48) (local.get $number)))
        (i32.const 1))))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 16)
      (i32.add (i32.const 16) (call $decimal (i32.const 32) (call $some_unknown (i32.const 1))))))
    (i32.const 0)))

;; On a request says whether its memory is as that of a new VM, "clean" or "stained", the pages that it adds too. Then it writes all over
;; it, and traps if its configuration is "trap".
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "clean")
  (data (i32.const 32) "stained")
  (global $traps (mut i32) (i32.const 0))
  (global $requests (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))

  (func $is_clean (param $from i32) (result i32)
    (local $to i32)
    (local.set $to (i32.shl (memory.size) (i32.const 16)))
    (loop $more
      (if (i64.ne (i64.load (local.get $from)) (i64.const 0)) (then (return (i32.const 0))))
      (local.set $from (i32.add (local.get $from) (i32.const 8)))
      (br_if $more (i32.lt_u (local.get $from) (local.get $to))))
    (i32.const 1))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (global.set $traps (i32.eq (local.get 1) (i32.const 4)))
    (i32.const 1))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $end i32)
    (local.set $end (i32.shl (memory.size) (i32.const 16)))
    (if (i32.and (i32.eqz (global.get $requests)) (call $is_clean (i32.const 1024)))
      (then
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (if (call $is_clean (local.get $end))
          (then (drop (call $log (i32.const 2) (i32.const 16) (i32.const 5))))
          (else (drop (call $log (i32.const 2) (i32.const 32) (i32.const 7))))))
      (else (drop (call $log (i32.const 2) (i32.const 32) (i32.const 7)))))
    (global.set $requests (i32.add (global.get $requests) (i32.const 1)))
    (memory.fill (i32.const 1024) (i32.const 0xaa) (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1024)))
    (if (global.get $traps) (then unreachable))
    (i32.const 0)))

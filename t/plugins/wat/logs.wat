;; Writes as many records to the log as the request header `x-records` says, each of as many bytes as `x-bytes` says (up to 200000), at the level
;; `x-level`; and then traps if there is a header `x-trap`.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 5)
  (data (i32.const 16) "x-records")
  (data (i32.const 32) "x-bytes")
  (data (i32.const 48) "x-level")
  (data (i32.const 64) "x-trap")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  ;; the number that a header is, 0 where there is none
  (func $number (param $name i32) (param $size i32) (result i32)
    (local $sum i32) (local $at i32) (local $end i32)
    (if (call $header (i32.const 0) (local.get $name) (local.get $size) (i32.const 8) (i32.const 12))
      (then (return (i32.const 0))))
    (local.set $at (i32.load (i32.const 8)))
    (local.set $end (i32.add (local.get $at) (i32.load (i32.const 12))))
    (loop $digit
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 10))
            (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $digit))))
    (local.get $sum))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $left i32) (local $bytes i32) (local $level i32)
    (local.set $left (call $number (i32.const 16) (i32.const 9)))
    (local.set $bytes (call $number (i32.const 32) (i32.const 7)))
    (local.set $level (call $number (i32.const 48) (i32.const 7)))
    (memory.fill (i32.const 65536) (i32.const 120) (local.get $bytes))
    (loop $record
      (if (local.get $left)
        (then
          (drop (call $log (local.get $level) (i32.const 65536) (local.get $bytes)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $record))))
    (if (call $number (i32.const 64) (i32.const 6)) (then unreachable))
    (i32.const 0)))

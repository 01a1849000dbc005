;; Replaces a request header as often as its configuration is long, with values that come to 1 MiB in all, or of one byte where that is 4096
;; times; and then 100 times more. Traps unless all of the first are `Ok` and all others `BadArgument`.
(module
  (import "env" "proxy_replace_header_map_value"
    (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 16) "x-value")
  (global $times (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
    (global.set $times (local.get $size))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $size i32) (local $done i32)
    (local.set $size (if (result i32) (i32.eq (global.get $times) (i32.const 4096))
      (then (i32.const 1))
      (else (i32.sub (i32.div_u (i32.const 1048576) (global.get $times)) (i32.const 7)))))
    (memory.fill (i32.const 1024) (i32.const 120) (local.get $size))
    (loop $more
      (if (i32.ne
          (call $replace (i32.const 0) (i32.const 16) (i32.const 7) (i32.const 1024) (local.get $size))
          (if (result i32) (i32.lt_u (local.get $done) (global.get $times)) (then (i32.const 0)) (else (i32.const 2))))
        (then unreachable))
      (local.set $done (i32.add (local.get $done) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $done) (i32.add (global.get $times) (i32.const 100)))))
    (i32.const 0)))

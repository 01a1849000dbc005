;; Never comes back from a request; how it spends its time says the length of its configuration.
(module
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value"
    (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (table 1024 funcref)
  (type $unary (func (param i32) (result i32)))
  (elem (i32.const 0) $fibonacci)
  (data (i32.const 16) "request.path")
  (data (i32.const 32) "127.0.0.1:1")
  (data (i32.const 64) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
  (global $kind (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
    (global.set $kind (local.get $size))
    (i32.const 1))

  ;; ends, but not in the lifetime of a machine
  (func $fibonacci (type $unary)
    (if (i32.lt_u (local.get 0) (i32.const 2)) (then (return (local.get 0))))
    (i32.add
      (call $fibonacci (i32.sub (local.get 0) (i32.const 1)))
      (call_indirect (type $unary) (i32.sub (local.get 0) (i32.const 2)) (i32.const 0))))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.ge_u (global.get $kind) (i32.const 9))
      (then (drop (memory.grow (i32.const 4000)))))
    ;; 8: a tree of calls, without a loop
    (if (i32.eq (global.get $kind) (i32.const 8))
      (then (return (call $fibonacci (i32.const 100)))))
    (loop $again
      (block $copy (block $fill (block $jump (block $share (block $call (block $pairs (block $replace (block $log (block $property
        (br_table $jump $property $log $replace $pairs $call $share $jump $jump $fill $copy (global.get $kind)))
        ;; 1: what a request has
        (drop (call $property (i32.const 16) (i32.const 12) (i32.const 8) (i32.const 12)))
        (br $again))
        ;; 2: the log
        (drop (call $log (i32.const 2) (i32.const 16) (i32.const 12)))
        (br $again))
        ;; 3: a header
        (drop (call $replace (i32.const 0) (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 9)))
        (br $again))
        ;; 4: all headers
        (drop (call $pairs (i32.const 0) (i32.const 8) (i32.const 12)))
        (br $again))
        ;; 5: calls
        (drop (call $call (i32.const 32) (i32.const 11) (i32.const 64) (i32.const 61)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 8)))
        (br $again))
        ;; 6: what is shared
        (drop (call $share (i32.const 16) (i32.const 12) (i32.const 0) (i32.const 60000) (i32.const 0)))
        (br $again))
        ;; 7: nothing, by a table
        (br_table $again $again (global.get $kind)))
        ;; 9: 250 MiB that are filled
        (memory.fill (i32.const 65536) (i32.const 120) (i32.const 262078464))
        (br $again))
      ;; 10: that are copied
      (memory.copy (i32.const 65536) (i32.const 131072) (i32.const 262012928))
      (br $again))
    unreachable))

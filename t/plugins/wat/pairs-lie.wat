;; Gives the host serialized maps that lie about their counts and lengths. The configuration's first byte chooses one:
;;
;;   a  a count of 2^32-1 and nothing behind it
;;   b  a key of 2^32-1 bytes
;;   c  two pairs announced, one there
;;   d  three bytes: not even a count
;;   e  no NUL after key and value
;;   f  bytes behind the last pair
;;   g  a count whose lengths take 2^32 bytes, so 0 when it wraps
;;   h  lengths whose sum wraps
;;   i  a size beyond the memory
;;   j  an empty key
;;   k  an empty map as one zero byte, which is right
;;   l  no pairs, which is right
;;   m  a line break in the value
;;   n  one pair, which is right
;;
;; On a request, a small letter is tried with proxy_set_header_map_pairs and then proxy_send_local_response (code 400), a
;; capital one with proxy_http_call, as headers and then as trailers; each status is logged.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 32) "set_header_map_pairs -> ")
  (data (i32.const 64) "send_local_response -> ")
  (data (i32.const 96) "http_call headers -> ")
  (data (i32.const 128) "http_call trailers -> ")
  (data (i32.const 160) "127.0.0.1:1")

  ;; The maps, 64 bytes each from 1024 on, and their sizes from 512 on.
  (data (i32.const 1024) "\ff\ff\ff\ff")
  (data (i32.const 1088) "\01\00\00\00\ff\ff\ff\ff\01\00\00\00k\00v\00")
  (data (i32.const 1152) "\02\00\00\00\01\00\00\00\01\00\00\00\01\00\00\00\01\00\00\00k\00v\00")
  (data (i32.const 1216) "\01\00\00")
  (data (i32.const 1280) "\01\00\00\00\01\00\00\00\01\00\00\00k.v.")
  (data (i32.const 1344) "\01\00\00\00\01\00\00\00\01\00\00\00k\00v\00more")
  (data (i32.const 1408) "\00\00\00 k\00v\00")
  (data (i32.const 1472) "\01\00\00\00\fe\ff\ff\ff\03\00\00\00k\00v\00")
  (data (i32.const 1536) "\01\00\00\00\01\00\00\00\01\00\00\00k\00v\00")
  (data (i32.const 1600) "\01\00\00\00\00\00\00\00\01\00\00\00\00v\00")
  (data (i32.const 1664) "\00")
  (data (i32.const 1728) "\00\00\00\00")
  (data (i32.const 1792) "\01\00\00\00\03\00\00\00\09\00\00\00x-m\00v\0d\0ax-n: w\00")
  (data (i32.const 1856) "\01\00\00\00\06\00\00\00\01\00\00\00x-fair\00v\00")
  (data (i32.const 512)
    "\04\00\00\00\10\00\00\00\18\00\00\00\03\00\00\00"
    "\10\00\00\00\14\00\00\00\08\00\00\00\10\00\00\00"
    "\ff\ff\ff\7f\0f\00\00\00\01\00\00\00\04\00\00\00"
    "\1a\00\00\00\15\00\00\00")

  (global $choice (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))

  ;; Logs the text at $at with a status below 100 after it.
  (func $say (param $at i32) (param $size i32) (param $status i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (i32.store8 (local.get $end) (i32.add (i32.const 48) (i32.div_u (local.get $status) (i32.const 10))))
    (if (i32.ge_u (local.get $status) (i32.const 10))
      (then (local.set $end (i32.add (local.get $end) (i32.const 1)))))
    (i32.store8 (local.get $end) (i32.add (i32.const 48) (i32.rem_u (local.get $status) (i32.const 10))))
    (drop (call $log (i32.const 2) (local.get $at)
      (i32.add (i32.const 1) (i32.sub (local.get $end) (local.get $at))))))

  (func $map (result i32)
    (i32.add (i32.const 1024)
      (i32.mul (i32.const 64) (i32.and (i32.sub (global.get $choice) (i32.const 97)) (i32.const 31)))))
  (func $size (result i32)
    (i32.load offset=512
      (i32.mul (i32.const 4) (i32.and (i32.sub (global.get $choice) (i32.const 97)) (i32.const 31)))))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (if (call $buffer (i32.const 7) (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 12)) (then unreachable))
    (global.set $choice (i32.load8_u (i32.load (i32.const 8))))
    (i32.const 1))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.lt_u (global.get $choice) (i32.const 97))
      (then
        (call $say (i32.const 96) (i32.const 21)
          (call $http_call (i32.const 160) (i32.const 11) (call $map) (call $size)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 8)))
        (call $say (i32.const 128) (i32.const 22)
          (call $http_call (i32.const 160) (i32.const 11) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (call $map) (call $size) (i32.const 100) (i32.const 8)))
        (return (i32.const 0))))
    (call $say (i32.const 32) (i32.const 24) (call $set_pairs (i32.const 0) (call $map) (call $size)))
    (call $say (i32.const 64) (i32.const 23)
      (call $respond (i32.const 400) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (call $map) (call $size) (i32.const -1)))
    (i32.const 0)))

;; Does one thing with the store many times for each request. Its configuration is four numbers: what, the size of values, how many keys
;; there are (a power of 2, at most 1024), and how often.
(module
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer_bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_log_level" (func $get_log_level (param i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $get_shared_data (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $set_shared_data (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_register_shared_queue" (func $register_shared_queue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_enqueue_shared_queue" (func $enqueue_shared_queue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_dequeue_shared_queue" (func $dequeue_shared_queue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define_metric (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment_metric (param i32 i64) (result i32)))
  (import "env" "proxy_record_metric" (func $record_metric (param i32 i64) (result i32)))
  ;; From 0: pointer, size and number of what was got; ids of the queue, the counter and the histogram. From 32: names. From 1024: what
  ;; the host gives. From 4096: what is set.
  (memory (export "memory") 1)
  (data (i32.const 32) "benchmark-key-AAqueuecounterhistogram")
  (table funcref (elem $bare $get $set $get_and_set $increment $record $enqueue_and_dequeue))
  (type $work (func (param i32) (result i32)))
  (global $what (mut i32) (i32.const 0))
  (global $size (mut i32) (i32.const 0))
  (global $keys (mut i32) (i32.const 0))
  (global $times (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))

  (func $must (param $status i32)
    (if (local.get $status) (then (unreachable))))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $must (call $get_buffer_bytes (i32.const 7) (i32.const 0) (i32.const 16) (i32.const 0) (i32.const 4)))
    (global.set $what (i32.load (i32.const 1024)))
    (global.set $size (i32.load (i32.const 1028)))
    (global.set $keys (i32.load (i32.const 1032)))
    (global.set $times (i32.load (i32.const 1036)))
    (call $must (call $register_shared_queue (i32.const 48) (i32.const 5) (i32.const 12)))
    (call $must (call $define_metric (i32.const 0) (i32.const 53) (i32.const 7) (i32.const 16)))
    (call $must (call $define_metric (i32.const 2) (i32.const 60) (i32.const 9) (i32.const 20)))
    (i32.const 1))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $i i32)
    (loop $again
      (call $must (call_indirect (type $work) (local.get $i) (global.get $what)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (global.get $times))))
    (i32.const 0))

  ;; Puts the last two letters of the i-th key.
  (func $key (param $i i32)
    (local.set $i (i32.and (local.get $i) (i32.sub (global.get $keys) (i32.const 1))))
    (i32.store8 (i32.const 46) (i32.add (i32.const 65) (i32.shr_u (local.get $i) (i32.const 5))))
    (i32.store8 (i32.const 47) (i32.add (i32.const 65) (i32.and (local.get $i) (i32.const 31)))))

  (func $get_it (result i32)
    (call $get_shared_data (i32.const 32) (i32.const 16) (i32.const 0) (i32.const 4) (i32.const 8)))

  (func $set_it (param $cas i32) (result i32)
    (call $set_shared_data (i32.const 32) (i32.const 16) (i32.const 4096) (global.get $size) (local.get $cas)))

  (func $bare (param i32) (result i32)
    (call $get_log_level (i32.const 0)))

  (func $get (param $i i32) (result i32)
    (call $key (local.get $i))
    (call $get_it))

  (func $set (param $i i32) (result i32)
    (call $key (local.get $i))
    (call $set_it (i32.const 0)))

  ;; Again where another was faster.
  (func $get_and_set (param $i i32) (result i32)
    (local $status i32)
    (call $key (local.get $i))
    (loop $again
      (call $must (call $get_it))
      (local.set $status (call $set_it (i32.load (i32.const 8))))
      (br_if $again (i32.eq (local.get $status) (i32.const 8))))
    (local.get $status))

  (func $increment (param i32) (result i32)
    (call $increment_metric (i32.load (i32.const 16)) (i64.const 1)))

  (func $record (param $i i32) (result i32)
    (call $record_metric (i32.load (i32.const 20)) (i64.extend_i32_u (i32.and (local.get $i) (i32.const 1023)))))

  (func $enqueue_and_dequeue (param i32) (result i32)
    (call $must (call $enqueue_shared_queue (i32.load (i32.const 12)) (i32.const 4096) (global.get $size)))
    (call $dequeue_shared_queue (i32.load (i32.const 12)) (i32.const 0) (i32.const 4))))

;; Gives every hostcall pointers to memory that is not there, one at a time, the others being right. On a request it logs,
;; for each pointer, `HOSTCALL ARGUMENT wraps -> STATUS` (the end of the range wraps around the address space: -4096 with
;; 8192 bytes, or an output at -4) and `… beyond -> STATUS` (it starts in the memory's last two bytes); of an array also
;; `… many`, a number of elements whose size wraps to 0.
(module
  (import "env" "proxy_log"
    (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_log_level"
    (func $get_log_level (param i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds"
    (func $get_current_time_nanoseconds (param i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes"
    (func $set_buffer_bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $get_buffer_bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_status"
    (func $get_buffer_status (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_size"
    (func $get_header_map_size (param i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs"
    (func $get_header_map_pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs"
    (func $set_header_map_pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $get_header_map_value (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add_header_map_value (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value"
    (func $replace_header_map_value (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value"
    (func $remove_header_map_value (param i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $send_local_response (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call"
    (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_stream"
    (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_send"
    (func $grpc_send (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_status"
    (func $get_status (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data"
    (func $set_shared_data (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data"
    (func $get_shared_data (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_register_shared_queue"
    (func $register_shared_queue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_resolve_shared_queue"
    (func $resolve_shared_queue (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_enqueue_shared_queue"
    (func $enqueue_shared_queue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_dequeue_shared_queue"
    (func $dequeue_shared_queue (param i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric"
    (func $define_metric (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_metric"
    (func $get_metric (param i32 i32) (result i32)))
  (import "env" "proxy_get_property"
    (func $get_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property"
    (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function"
    (func $call_foreign_function (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get"
    (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "host")
  ;; A vector of no bytes for fd_write.
  (data (i32.const 64) "\10\00\00\00\00\00\00\00")

  ;; What is being tried, 64 bytes each from 4096 on; a NUL ends it.
  (data (i32.const 4096) "log message wraps -> ")
  (data (i32.const 4160) "log message beyond -> ")
  (data (i32.const 4224) "get_log_level level wraps -> ")
  (data (i32.const 4288) "get_log_level level beyond -> ")
  (data (i32.const 4352) "get_current_time_nanoseconds time wraps -> ")
  (data (i32.const 4416) "get_current_time_nanoseconds time beyond -> ")
  (data (i32.const 4480) "set_buffer_bytes value wraps -> ")
  (data (i32.const 4544) "set_buffer_bytes value beyond -> ")
  (data (i32.const 4608) "get_buffer_bytes data wraps -> ")
  (data (i32.const 4672) "get_buffer_bytes data beyond -> ")
  (data (i32.const 4736) "get_buffer_bytes size wraps -> ")
  (data (i32.const 4800) "get_buffer_bytes size beyond -> ")
  (data (i32.const 4864) "get_buffer_status size wraps -> ")
  (data (i32.const 4928) "get_buffer_status size beyond -> ")
  (data (i32.const 4992) "get_buffer_status unused wraps -> ")
  (data (i32.const 5056) "get_buffer_status unused beyond -> ")
  (data (i32.const 5120) "get_header_map_size size wraps -> ")
  (data (i32.const 5184) "get_header_map_size size beyond -> ")
  (data (i32.const 5248) "get_header_map_pairs data wraps -> ")
  (data (i32.const 5312) "get_header_map_pairs data beyond -> ")
  (data (i32.const 5376) "get_header_map_pairs size wraps -> ")
  (data (i32.const 5440) "get_header_map_pairs size beyond -> ")
  (data (i32.const 5504) "set_header_map_pairs pairs wraps -> ")
  (data (i32.const 5568) "set_header_map_pairs pairs beyond -> ")
  (data (i32.const 5632) "get_header_map_value key wraps -> ")
  (data (i32.const 5696) "get_header_map_value key beyond -> ")
  (data (i32.const 5760) "get_header_map_value data wraps -> ")
  (data (i32.const 5824) "get_header_map_value data beyond -> ")
  (data (i32.const 5888) "get_header_map_value size wraps -> ")
  (data (i32.const 5952) "get_header_map_value size beyond -> ")
  (data (i32.const 6016) "add_header_map_value key wraps -> ")
  (data (i32.const 6080) "add_header_map_value key beyond -> ")
  (data (i32.const 6144) "add_header_map_value value wraps -> ")
  (data (i32.const 6208) "add_header_map_value value beyond -> ")
  (data (i32.const 6272) "replace_header_map_value key wraps -> ")
  (data (i32.const 6336) "replace_header_map_value key beyond -> ")
  (data (i32.const 6400) "replace_header_map_value value wraps -> ")
  (data (i32.const 6464) "replace_header_map_value value beyond -> ")
  (data (i32.const 6528) "remove_header_map_value key wraps -> ")
  (data (i32.const 6592) "remove_header_map_value key beyond -> ")
  (data (i32.const 6656) "send_local_response details wraps -> ")
  (data (i32.const 6720) "send_local_response details beyond -> ")
  (data (i32.const 6784) "send_local_response body wraps -> ")
  (data (i32.const 6848) "send_local_response body beyond -> ")
  (data (i32.const 6912) "send_local_response headers wraps -> ")
  (data (i32.const 6976) "send_local_response headers beyond -> ")
  (data (i32.const 7040) "http_call upstream wraps -> ")
  (data (i32.const 7104) "http_call upstream beyond -> ")
  (data (i32.const 7168) "http_call headers wraps -> ")
  (data (i32.const 7232) "http_call headers beyond -> ")
  (data (i32.const 7296) "http_call body wraps -> ")
  (data (i32.const 7360) "http_call body beyond -> ")
  (data (i32.const 7424) "http_call trailers wraps -> ")
  (data (i32.const 7488) "http_call trailers beyond -> ")
  (data (i32.const 7552) "http_call call_id wraps -> ")
  (data (i32.const 7616) "http_call call_id beyond -> ")
  (data (i32.const 7680) "grpc_call upstream wraps -> ")
  (data (i32.const 7744) "grpc_call upstream beyond -> ")
  (data (i32.const 7808) "grpc_call service wraps -> ")
  (data (i32.const 7872) "grpc_call service beyond -> ")
  (data (i32.const 7936) "grpc_call method wraps -> ")
  (data (i32.const 8000) "grpc_call method beyond -> ")
  (data (i32.const 8064) "grpc_call metadata wraps -> ")
  (data (i32.const 8128) "grpc_call metadata beyond -> ")
  (data (i32.const 8192) "grpc_call message wraps -> ")
  (data (i32.const 8256) "grpc_call message beyond -> ")
  (data (i32.const 8320) "grpc_call call_id wraps -> ")
  (data (i32.const 8384) "grpc_call call_id beyond -> ")
  (data (i32.const 8448) "grpc_stream upstream wraps -> ")
  (data (i32.const 8512) "grpc_stream upstream beyond -> ")
  (data (i32.const 8576) "grpc_stream service wraps -> ")
  (data (i32.const 8640) "grpc_stream service beyond -> ")
  (data (i32.const 8704) "grpc_stream method wraps -> ")
  (data (i32.const 8768) "grpc_stream method beyond -> ")
  (data (i32.const 8832) "grpc_stream metadata wraps -> ")
  (data (i32.const 8896) "grpc_stream metadata beyond -> ")
  (data (i32.const 8960) "grpc_stream stream_id wraps -> ")
  (data (i32.const 9024) "grpc_stream stream_id beyond -> ")
  (data (i32.const 9088) "grpc_send message wraps -> ")
  (data (i32.const 9152) "grpc_send message beyond -> ")
  (data (i32.const 9216) "get_status code wraps -> ")
  (data (i32.const 9280) "get_status code beyond -> ")
  (data (i32.const 9344) "get_status data wraps -> ")
  (data (i32.const 9408) "get_status data beyond -> ")
  (data (i32.const 9472) "get_status size wraps -> ")
  (data (i32.const 9536) "get_status size beyond -> ")
  (data (i32.const 9600) "set_shared_data key wraps -> ")
  (data (i32.const 9664) "set_shared_data key beyond -> ")
  (data (i32.const 9728) "set_shared_data value wraps -> ")
  (data (i32.const 9792) "set_shared_data value beyond -> ")
  (data (i32.const 9856) "get_shared_data key wraps -> ")
  (data (i32.const 9920) "get_shared_data key beyond -> ")
  (data (i32.const 9984) "get_shared_data data wraps -> ")
  (data (i32.const 10048) "get_shared_data data beyond -> ")
  (data (i32.const 10112) "get_shared_data size wraps -> ")
  (data (i32.const 10176) "get_shared_data size beyond -> ")
  (data (i32.const 10240) "get_shared_data cas wraps -> ")
  (data (i32.const 10304) "get_shared_data cas beyond -> ")
  (data (i32.const 10368) "register_shared_queue name wraps -> ")
  (data (i32.const 10432) "register_shared_queue name beyond -> ")
  (data (i32.const 10496) "register_shared_queue queue_id wraps -> ")
  (data (i32.const 10560) "register_shared_queue queue_id beyond -> ")
  (data (i32.const 10624) "resolve_shared_queue vm_id wraps -> ")
  (data (i32.const 10688) "resolve_shared_queue vm_id beyond -> ")
  (data (i32.const 10752) "resolve_shared_queue name wraps -> ")
  (data (i32.const 10816) "resolve_shared_queue name beyond -> ")
  (data (i32.const 10880) "resolve_shared_queue queue_id wraps -> ")
  (data (i32.const 10944) "resolve_shared_queue queue_id beyond -> ")
  (data (i32.const 11008) "enqueue_shared_queue value wraps -> ")
  (data (i32.const 11072) "enqueue_shared_queue value beyond -> ")
  (data (i32.const 11136) "dequeue_shared_queue data wraps -> ")
  (data (i32.const 11200) "dequeue_shared_queue data beyond -> ")
  (data (i32.const 11264) "dequeue_shared_queue size wraps -> ")
  (data (i32.const 11328) "dequeue_shared_queue size beyond -> ")
  (data (i32.const 11392) "define_metric name wraps -> ")
  (data (i32.const 11456) "define_metric name beyond -> ")
  (data (i32.const 11520) "define_metric metric_id wraps -> ")
  (data (i32.const 11584) "define_metric metric_id beyond -> ")
  (data (i32.const 11648) "get_metric value wraps -> ")
  (data (i32.const 11712) "get_metric value beyond -> ")
  (data (i32.const 11776) "get_property path wraps -> ")
  (data (i32.const 11840) "get_property path beyond -> ")
  (data (i32.const 11904) "get_property data wraps -> ")
  (data (i32.const 11968) "get_property data beyond -> ")
  (data (i32.const 12032) "get_property size wraps -> ")
  (data (i32.const 12096) "get_property size beyond -> ")
  (data (i32.const 12160) "set_property path wraps -> ")
  (data (i32.const 12224) "set_property path beyond -> ")
  (data (i32.const 12288) "set_property value wraps -> ")
  (data (i32.const 12352) "set_property value beyond -> ")
  (data (i32.const 12416) "call_foreign_function name wraps -> ")
  (data (i32.const 12480) "call_foreign_function name beyond -> ")
  (data (i32.const 12544) "call_foreign_function arguments wraps -> ")
  (data (i32.const 12608) "call_foreign_function arguments beyond -> ")
  (data (i32.const 12672) "call_foreign_function data wraps -> ")
  (data (i32.const 12736) "call_foreign_function data beyond -> ")
  (data (i32.const 12800) "call_foreign_function size wraps -> ")
  (data (i32.const 12864) "call_foreign_function size beyond -> ")
  (data (i32.const 12928) "random_get buffer wraps -> ")
  (data (i32.const 12992) "random_get buffer beyond -> ")
  (data (i32.const 13056) "fd_write iovec wraps -> ")
  (data (i32.const 13120) "fd_write iovec beyond -> ")
  (data (i32.const 13184) "fd_write iovec many -> ")
  (data (i32.const 13248) "fd_write written wraps -> ")
  (data (i32.const 13312) "fd_write written beyond -> ")
  (data (i32.const 13376) "environ_sizes_get count wraps -> ")
  (data (i32.const 13440) "environ_sizes_get count beyond -> ")
  (data (i32.const 13504) "environ_sizes_get size wraps -> ")
  (data (i32.const 13568) "environ_sizes_get size beyond -> ")
  (data (i32.const 13632) "clock_time_get time wraps -> ")
  (data (i32.const 13696) "clock_time_get time beyond -> ")

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))

  ;; Logs a text with the status after it, which is below 100 but for something very wrong: `?`.
  (func $say (param $text i32) (param $status i32)
    (local $at i32) (local $start i32) (local $end i32)
    (local.set $at (i32.add (i32.const 4096) (i32.mul (i32.const 64) (local.get $text))))
    (local.set $end (local.get $at))
    (block $found
      (loop $next
        (br_if $found (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next)))
    (local.set $start (local.get $end))
    (if (i32.ge_u (local.get $status) (i32.const 100))
      (then (i32.store8 (local.get $end) (i32.const 63)))
      (else
        (i32.store8 (local.get $end) (i32.add (i32.const 48) (i32.div_u (local.get $status) (i32.const 10))))
        (if (i32.ge_u (local.get $status) (i32.const 10))
          (then (local.set $end (i32.add (local.get $end) (i32.const 1)))))
        (i32.store8 (local.get $end) (i32.add (i32.const 48) (i32.rem_u (local.get $status) (i32.const 10))))))
    (drop (call $log (i32.const 2) (local.get $at)
      (i32.add (i32.const 1) (i32.sub (local.get $end) (local.get $at)))))
    ;; So that a second request finds the text as it was.
    (i32.store16 (local.get $start) (i32.const 0)))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $say (i32.const 0) (call $log (i32.const 2) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 1) (call $log (i32.const 2) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 2) (call $get_log_level (i32.const -4)))
    (call $say (i32.const 3) (call $get_log_level (i32.const 65534)))
    (call $say (i32.const 4) (call $get_current_time_nanoseconds (i32.const -4)))
    (call $say (i32.const 5) (call $get_current_time_nanoseconds (i32.const 65534)))
    (call $say (i32.const 6)
      (call $set_buffer_bytes
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 7)
      (call $set_buffer_bytes
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 8)
      (call $get_buffer_bytes
        (i32.const 7) (i32.const 0) (i32.const 8) (i32.const -4) (i32.const 136)))
    (call $say (i32.const 9)
      (call $get_buffer_bytes
        (i32.const 7) (i32.const 0) (i32.const 8) (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 10)
      (call $get_buffer_bytes
        (i32.const 7) (i32.const 0) (i32.const 8) (i32.const 128) (i32.const -4)))
    (call $say (i32.const 11)
      (call $get_buffer_bytes
        (i32.const 7) (i32.const 0) (i32.const 8) (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 12) (call $get_buffer_status (i32.const 0) (i32.const -4) (i32.const 136)))
    (call $say (i32.const 13) (call $get_buffer_status (i32.const 0) (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 14) (call $get_buffer_status (i32.const 0) (i32.const 128) (i32.const -4)))
    (call $say (i32.const 15) (call $get_buffer_status (i32.const 0) (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 16) (call $get_header_map_size (i32.const 0) (i32.const -4)))
    (call $say (i32.const 17) (call $get_header_map_size (i32.const 0) (i32.const 65534)))
    (call $say (i32.const 18) (call $get_header_map_pairs (i32.const 0) (i32.const -4) (i32.const 136)))
    (call $say (i32.const 19) (call $get_header_map_pairs (i32.const 0) (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 20) (call $get_header_map_pairs (i32.const 0) (i32.const 128) (i32.const -4)))
    (call $say (i32.const 21) (call $get_header_map_pairs (i32.const 0) (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 22) (call $set_header_map_pairs (i32.const 0) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 23) (call $set_header_map_pairs (i32.const 0) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 24)
      (call $get_header_map_value
        (i32.const 0) (i32.const -4096) (i32.const 8192) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 25)
      (call $get_header_map_value
        (i32.const 0) (i32.const 65534) (i32.const 4) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 26)
      (call $get_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const -4) (i32.const 136)))
    (call $say (i32.const 27)
      (call $get_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 28)
      (call $get_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 128) (i32.const -4)))
    (call $say (i32.const 29)
      (call $get_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 30)
      (call $add_header_map_value
        (i32.const 0) (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4)))
    (call $say (i32.const 31)
      (call $add_header_map_value
        (i32.const 0) (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4)))
    (call $say (i32.const 32)
      (call $add_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 33)
      (call $add_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 34)
      (call $replace_header_map_value
        (i32.const 0) (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4)))
    (call $say (i32.const 35)
      (call $replace_header_map_value
        (i32.const 0) (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4)))
    (call $say (i32.const 36)
      (call $replace_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 37)
      (call $replace_header_map_value
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 38) (call $remove_header_map_value (i32.const 0) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 39) (call $remove_header_map_value (i32.const 0) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 40)
      (call $send_local_response
        (i32.const 200) (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0)
        (i32.const -1)))
    (call $say (i32.const 41)
      (call $send_local_response
        (i32.const 200) (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0)
        (i32.const -1)))
    (call $say (i32.const 42)
      (call $send_local_response
        (i32.const 200) (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 0) (i32.const 0)
        (i32.const -1)))
    (call $say (i32.const 43)
      (call $send_local_response
        (i32.const 200) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 0) (i32.const 0)
        (i32.const -1)))
    (call $say (i32.const 44)
      (call $send_local_response
        (i32.const 200) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192)
        (i32.const -1)))
    (call $say (i32.const 45)
      (call $send_local_response
        (i32.const 200) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4)
        (i32.const -1)))
    (call $say (i32.const 46)
      (call $http_call
        (i32.const -4096) (i32.const 8192) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 47)
      (call $http_call
        (i32.const 65534) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 48)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 49)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 50)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const -4096) (i32.const 8192) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 51)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 65534) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 52)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const -4096)
        (i32.const 8192) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 53)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 65534)
        (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 54)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const -4)))
    (call $say (i32.const 55)
      (call $http_call
        (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 100) (i32.const 65534)))
    (call $say (i32.const 56)
      (call $grpc_call
        (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 57)
      (call $grpc_call
        (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 58)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 59)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 60)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 61)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 62)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const -4096)
        (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 63)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 65534)
        (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 64)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const -4096) (i32.const 8192) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 65)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 65534) (i32.const 4) (i32.const 100) (i32.const 128)))
    (call $say (i32.const 66)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const -4)))
    (call $say (i32.const 67)
      (call $grpc_call
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100) (i32.const 65534)))
    (call $say (i32.const 68)
      (call $grpc_stream
        (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 128)))
    (call $say (i32.const 69)
      (call $grpc_stream
        (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 128)))
    (call $say (i32.const 70)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 128)))
    (call $say (i32.const 71)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 128)))
    (call $say (i32.const 72)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 0)
        (i32.const 0) (i32.const 128)))
    (call $say (i32.const 73)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 128)))
    (call $say (i32.const 74)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const -4096)
        (i32.const 8192) (i32.const 128)))
    (call $say (i32.const 75)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 65534)
        (i32.const 4) (i32.const 128)))
    (call $say (i32.const 76)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const -4)))
    (call $say (i32.const 77)
      (call $grpc_stream
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)
        (i32.const 0) (i32.const 65534)))
    (call $say (i32.const 78) (call $grpc_send (i32.const 1) (i32.const -4096) (i32.const 8192) (i32.const 0)))
    (call $say (i32.const 79) (call $grpc_send (i32.const 1) (i32.const 65534) (i32.const 4) (i32.const 0)))
    (call $say (i32.const 80) (call $get_status (i32.const -4) (i32.const 136) (i32.const 144)))
    (call $say (i32.const 81) (call $get_status (i32.const 65534) (i32.const 136) (i32.const 144)))
    (call $say (i32.const 82) (call $get_status (i32.const 128) (i32.const -4) (i32.const 144)))
    (call $say (i32.const 83) (call $get_status (i32.const 128) (i32.const 65534) (i32.const 144)))
    (call $say (i32.const 84) (call $get_status (i32.const 128) (i32.const 136) (i32.const -4)))
    (call $say (i32.const 85) (call $get_status (i32.const 128) (i32.const 136) (i32.const 65534)))
    (call $say (i32.const 86)
      (call $set_shared_data
        (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 0)))
    (call $say (i32.const 87)
      (call $set_shared_data
        (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0)))
    (call $say (i32.const 88)
      (call $set_shared_data
        (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 0)))
    (call $say (i32.const 89)
      (call $set_shared_data
        (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 0)))
    (call $say (i32.const 90)
      (call $get_shared_data
        (i32.const -4096) (i32.const 8192) (i32.const 128) (i32.const 136) (i32.const 144)))
    (call $say (i32.const 91)
      (call $get_shared_data
        (i32.const 65534) (i32.const 4) (i32.const 128) (i32.const 136) (i32.const 144)))
    (call $say (i32.const 92)
      (call $get_shared_data
        (i32.const 16) (i32.const 4) (i32.const -4) (i32.const 136) (i32.const 144)))
    (call $say (i32.const 93)
      (call $get_shared_data
        (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 136) (i32.const 144)))
    (call $say (i32.const 94)
      (call $get_shared_data
        (i32.const 16) (i32.const 4) (i32.const 128) (i32.const -4) (i32.const 144)))
    (call $say (i32.const 95)
      (call $get_shared_data
        (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 65534) (i32.const 144)))
    (call $say (i32.const 96)
      (call $get_shared_data
        (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 136) (i32.const -4)))
    (call $say (i32.const 97)
      (call $get_shared_data
        (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 136) (i32.const 65534)))
    (call $say (i32.const 98) (call $register_shared_queue (i32.const -4096) (i32.const 8192) (i32.const 128)))
    (call $say (i32.const 99) (call $register_shared_queue (i32.const 65534) (i32.const 4) (i32.const 128)))
    (call $say (i32.const 100) (call $register_shared_queue (i32.const 16) (i32.const 4) (i32.const -4)))
    (call $say (i32.const 101) (call $register_shared_queue (i32.const 16) (i32.const 4) (i32.const 65534)))
    (call $say (i32.const 102)
      (call $resolve_shared_queue
        (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 128)))
    (call $say (i32.const 103)
      (call $resolve_shared_queue
        (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 128)))
    (call $say (i32.const 104)
      (call $resolve_shared_queue
        (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 128)))
    (call $say (i32.const 105)
      (call $resolve_shared_queue
        (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 128)))
    (call $say (i32.const 106)
      (call $resolve_shared_queue
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const -4)))
    (call $say (i32.const 107)
      (call $resolve_shared_queue
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 65534)))
    (call $say (i32.const 108) (call $enqueue_shared_queue (i32.const 1) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 109) (call $enqueue_shared_queue (i32.const 1) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 110) (call $dequeue_shared_queue (i32.const 1) (i32.const -4) (i32.const 136)))
    (call $say (i32.const 111) (call $dequeue_shared_queue (i32.const 1) (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 112) (call $dequeue_shared_queue (i32.const 1) (i32.const 128) (i32.const -4)))
    (call $say (i32.const 113) (call $dequeue_shared_queue (i32.const 1) (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 114) (call $define_metric (i32.const 0) (i32.const -4096) (i32.const 8192) (i32.const 128)))
    (call $say (i32.const 115) (call $define_metric (i32.const 0) (i32.const 65534) (i32.const 4) (i32.const 128)))
    (call $say (i32.const 116) (call $define_metric (i32.const 0) (i32.const 16) (i32.const 4) (i32.const -4)))
    (call $say (i32.const 117) (call $define_metric (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 65534)))
    (call $say (i32.const 118) (call $get_metric (i32.const 1) (i32.const -4)))
    (call $say (i32.const 119) (call $get_metric (i32.const 1) (i32.const 65534)))
    (call $say (i32.const 120) (call $get_property (i32.const -4096) (i32.const 8192) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 121) (call $get_property (i32.const 65534) (i32.const 4) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 122) (call $get_property (i32.const 16) (i32.const 4) (i32.const -4) (i32.const 136)))
    (call $say (i32.const 123) (call $get_property (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 124) (call $get_property (i32.const 16) (i32.const 4) (i32.const 128) (i32.const -4)))
    (call $say (i32.const 125) (call $get_property (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 126) (call $set_property (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4)))
    (call $say (i32.const 127) (call $set_property (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4)))
    (call $say (i32.const 128) (call $set_property (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 129) (call $set_property (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 130)
      (call $call_foreign_function
        (i32.const -4096) (i32.const 8192) (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 131)
      (call $call_foreign_function
        (i32.const 65534) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 132)
      (call $call_foreign_function
        (i32.const 16) (i32.const 4) (i32.const -4096) (i32.const 8192) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 133)
      (call $call_foreign_function
        (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 4) (i32.const 128) (i32.const 136)))
    (call $say (i32.const 134)
      (call $call_foreign_function
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const -4) (i32.const 136)))
    (call $say (i32.const 135)
      (call $call_foreign_function
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 136)
      (call $call_foreign_function
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 128) (i32.const -4)))
    (call $say (i32.const 137)
      (call $call_foreign_function
        (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 138) (call $random_get (i32.const -4096) (i32.const 8192)))
    (call $say (i32.const 139) (call $random_get (i32.const 65534) (i32.const 4)))
    (call $say (i32.const 140) (call $fd_write (i32.const 1) (i32.const -4) (i32.const 1) (i32.const 128)))
    (call $say (i32.const 141) (call $fd_write (i32.const 1) (i32.const 65534) (i32.const 1) (i32.const 128)))
    (call $say (i32.const 142) (call $fd_write (i32.const 1) (i32.const 64) (i32.const 0x20000000) (i32.const 128)))
    (call $say (i32.const 143) (call $fd_write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const -4)))
    (call $say (i32.const 144) (call $fd_write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 65534)))
    (call $say (i32.const 145) (call $environ_sizes_get (i32.const -4) (i32.const 136)))
    (call $say (i32.const 146) (call $environ_sizes_get (i32.const 65534) (i32.const 136)))
    (call $say (i32.const 147) (call $environ_sizes_get (i32.const 128) (i32.const -4)))
    (call $say (i32.const 148) (call $environ_sizes_get (i32.const 128) (i32.const 65534)))
    (call $say (i32.const 149) (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const -4)))
    (call $say (i32.const 150) (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 65534)))
    (i32.const 0)))

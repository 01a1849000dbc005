;; Takes all the memory that it can have, a MiB at a time and then a page, and adds the response header `pages` with an x for each MiB.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "pagesnone")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (local $count i32)
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (local.set $count (i32.div_u (memory.size) (i32.const 16)))
    (memory.fill (i32.const 2048) (i32.const 120) (local.get $count))
    (drop (if (result i32) (local.get $count)
      (then (call $add (i32.const 2) (i32.const 16) (i32.const 5) (i32.const 2048) (local.get $count)))
      (else (call $add (i32.const 2) (i32.const 16) (i32.const 5) (i32.const 21) (i32.const 4)))))
    (i32.const 0)))

;; Sets the response header that its configuration names, as `name=value`, and has no callback for the body.
(module
  (import "env" "proxy_replace_header_map_value"
    (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  ;; only the configuration is asked for
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (i32.eqz (call $buffer (i32.const 7) (i32.const 0) (i32.const 4096) (i32.const 8) (i32.const 12))))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (local $name i32)
    (loop $more
      (local.set $name (i32.add (local.get $name) (i32.const 1)))
      (br_if $more (i32.ne (i32.load8_u offset=1024 (local.get $name)) (i32.const 61))))
    (drop (call $replace (i32.const 2) (i32.const 1024) (local.get $name)
      (i32.add (i32.const 1025) (local.get $name))
      (i32.sub (i32.load (i32.const 12)) (i32.add (local.get $name) (i32.const 1)))))
    (i32.const 0)))

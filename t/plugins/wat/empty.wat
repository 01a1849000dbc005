;; The least that is a plugin: every callback is optional, the allocator too.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1")))

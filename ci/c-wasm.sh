#!/usr/bin/env bash
# A C compiler for guests, as WASI reactors. Prints CC_WASM and CFLAGS_WASM.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

apt_install clang lld wasi-libc libclang-rt-dev-wasm32

print_var CC_WASM /usr/bin/clang
# Hostcalls are imports: a declared, undefined function.
print_var CFLAGS_WASM --target=wasm32-wasi -mexec-model=reactor -O2 \
    -Wl,--allow-undefined,--strip-debug

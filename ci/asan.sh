#!/usr/bin/env bash
# ci/asan.sh [ARGUMENT...]: `cargo test` with AddressSanitizer, and with its check for leaks.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
host=$(rustc -vV | sed -n 's/^host: //p')
# Stable Rust brings what is needed, but calls it unstable.
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address ${RUSTFLAGS-}"
# What a guest may not touch is found out by a signal, which is Wasmtime's.
export ASAN_OPTIONS="detect_leaks=1:allow_user_segv_handler=1:detect_stack_use_after_return=1:${ASAN_OPTIONS-}"
"${CARGO:-cargo}" test --locked --target "$host" --target-dir build/asan "$@"

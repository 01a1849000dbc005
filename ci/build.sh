#!/usr/bin/env bash
# ci/build.sh: builds the library for WASM_VM, wasmtime or wasmedge. One with WasmEdge has Wasmtime too.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
use_engine
if [[ $WASM_VM == wasmedge ]]; then
    ci/deps.sh build wasmedge
    # In a folder of its own, but with the dependencies that are compiled already.
    CARGO_BUILD_BUILD_DIR=target ci/cargo-wasmedge.sh build --release --locked --target-dir build/wasmedge
else
    ci/deps.sh build
    "${CARGO:-cargo}" build --release --locked
fi

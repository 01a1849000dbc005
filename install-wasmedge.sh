#!/usr/bin/env bash
# install-wasmedge.sh [--prefix DIR] [--uninstall]
#
# As install-wasmtime.sh, with a library that can run plugins on WasmEdge too. WasmEdge 0.14 itself is not in it: it is installed from the
# system's packages where they have it (Debian 13), or has to be there, with its C header.

set -euo pipefail
export WASM_VM=wasmedge INSTALLER=$0
exec "$(dirname "${BASH_SOURCE[0]}")/ci/install.sh" --build "$@"

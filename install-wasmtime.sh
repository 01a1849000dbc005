#!/usr/bin/env bash
# install-wasmtime.sh [--prefix DIR] [--uninstall]
#
# Builds libresty_proxy_wasm.so with its embedded Wasmtime and installs library, Lua files and C header to where OpenResty, or else
# nginx with lua-nginx-module, looks for them. DIR is OpenResty's own prefix where there is one (/usr/local/openresty), else
# a prefix like /usr/local. Nothing else has to be installed at run time.

set -euo pipefail
export WASM_VM=wasmtime INSTALLER=$0
exec "$(dirname "${BASH_SOURCE[0]}")/ci/install.sh" --build "$@"

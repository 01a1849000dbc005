#!/usr/bin/env bash
# ci/t.sh [--trixie] [FILE...]: runs those test files, or all of t/, against the default nginx, or against Debian trixie's. With WasmEdge
# (WASM_VM) the nginx is the one that it can be loaded in, and WASMEDGE_AOT may say what it compiles.
# TEST_NGINX_SERVROOT and TEST_NGINX_PORT may be set to run two at once; PROXY_WASM_LIB_DIR to test the library in that folder,
# NGINX_WRAPPER to start nginx by a program that reads NGINX_BINARY.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
nginx=nginx.sh
if [[ ${1-} == --trixie ]]; then
    nginx="nginx-trixie.sh"
    shift
fi

# The variables that the scripts print are for the tests.
set -a
use_engine
use_nginx "$nginx"
take_over test-nginx.sh
PROXY_WASM_LIB_DIR=${PROXY_WASM_LIB_DIR:-$LIBRARY_DIR}
TEST_NGINX_SERVROOT=${TEST_NGINX_SERVROOT:-$ROOT/build/servroot}
set +a
export TEST_NGINX_BINARY=${NGINX_WRAPPER:-$NGINX_BINARY} TEST_NGINX_LOAD_MODULES=$NGINX_LOAD_MODULES

mkdir -p "$(dirname "$TEST_NGINX_SERVROOT")"
files=("$@")
(($#)) || mapfile -t files < <(find t -name "*.t" | sort)
say "tests on $("$NGINX_BINARY" -v 2>&1 | sed 's/.*: //'), $WASM_VM${WASMEDGE_AOT:+, wasmedge_aot $WASMEDGE_AOT}"
# A test that cannot start nginx tries for half a minute.
timeout "${T_TIMEOUT:-1500}" prove -It/lib "${files[@]}"

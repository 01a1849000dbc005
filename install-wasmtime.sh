#!/usr/bin/env bash
# install-wasmtime.sh [--prefix DIR] [--uninstall]
#
# Builds libresty_proxy_wasm.so with its embedded Wasmtime and installs library, Lua files and C header to where OpenResty, or else
# nginx with lua-nginx-module, looks for them. DIR is OpenResty's own prefix where there is one (/usr/local/openresty), else
# a prefix like /usr/local. Nothing else has to be installed at run time.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    echo "usage: $0 [--prefix DIR] [--uninstall]" >&2
    exit 2
}

uninstall=
while (($#)); do
    case $1 in
        --prefix)
            [[ ${2-} ]] || usage
            if [[ -x $2/nginx/sbin/nginx ]]; then
                export OPENRESTY_PREFIX=$2
            else
                export PREFIX=$2
                # An OpenResty elsewhere is not what was asked for.
                export LUA_LIB_DIR=${LUA_LIB_DIR:-$2/share/lua/5.1} LUA_CLIB_DIR=${LUA_CLIB_DIR:-$2/lib/lua/5.1}
                export INCLUDE_DIR=${INCLUDE_DIR:-$2/include}
            fi
            shift 2
            ;;
        --uninstall)
            uninstall=--uninstall
            shift
            ;;
        *) usage ;;
    esac
done

if [[ ! $uninstall ]]; then
    ci/deps.sh build
    cargo build --release --locked
fi
exec ci/install.sh $uninstall

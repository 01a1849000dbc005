#!/usr/bin/env bash
# ci/install.sh [--build] [--prefix DIR] [--uninstall]: puts library, Lua files and C header to where OpenResty, or Debian's nginx, looks
# for them, with --build after building the library. DIR is OpenResty's prefix or takes the place of PREFIX.
#
#   WASM_VM            wasmedge for the library that has WasmEdge too
#   DESTDIR            put in front of every path
#   PREFIX             where nothing says otherwise: /usr/local
#   OPENRESTY_PREFIX   /usr/local/openresty, if it is there
#   LUA_LIB_DIR        Lua files
#   LUA_CLIB_DIR       the library; it has to be on package.cpath
#   INCLUDE_DIR        the C header

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
use_engine

usage() {
    echo "usage: ${INSTALLER:-ci/install.sh [--build]} [--prefix DIR] [--uninstall]" >&2
    exit 2
}

build=
uninstall=
prefix=
while (($#)); do
    case $1 in
        --build) build=1 ;;
        --uninstall) uninstall=1 ;;
        --prefix)
            [[ ${2-} ]] || usage
            prefix=$2
            shift
            ;;
        *) usage ;;
    esac
    shift
done

PREFIX=${PREFIX:-/usr/local}
if [[ $prefix && -x $prefix/nginx/sbin/nginx ]]; then
    OPENRESTY_PREFIX=$prefix
elif [[ $prefix ]]; then
    PREFIX=$prefix
    # An OpenResty elsewhere is not what was asked for.
    OPENRESTY_PREFIX=
elif [[ -z ${OPENRESTY_PREFIX-} && -d /usr/local/openresty ]]; then
    OPENRESTY_PREFIX=/usr/local/openresty
fi
if [[ ${OPENRESTY_PREFIX-} ]]; then
    lua=$OPENRESTY_PREFIX/site/lualib
    clib=$lua
    include=$OPENRESTY_PREFIX/include
else
    # What LuaJIT has in its default paths, with Debian's nginx and with one built from source.
    lua=$PREFIX/share/lua/5.1
    clib=$PREFIX/lib/lua/5.1
    include=$PREFIX/include
fi
lua=${DESTDIR-}${LUA_LIB_DIR:-$lua}
clib=${DESTDIR-}${LUA_CLIB_DIR:-$clib}
include=${DESTDIR-}${INCLUDE_DIR:-$include}

mapfile -t sources < <(cd lib && find resty -name '*.lua' | sort)

if [[ $uninstall ]]; then
    for file in "${sources[@]}"; do
        rm -f "$lua/$file"
    done
    rmdir "$lua/resty/proxy-wasm" "$lua/resty" 2>/dev/null || true
    rm -f "$clib/libresty_proxy_wasm.so" "$include/proxy_wasm.h"
    echo "removed from $lua, $clib and $include"
    exit
fi

if [[ $build ]]; then
    # Checked first: what serves to build and test is not enough to run.
    [[ $WASM_VM != wasmedge ]] || ci/wasmedge.sh --installed >/dev/null
    ci/build.sh
fi
library=$LIBRARY_DIR/libresty_proxy_wasm.so
[[ -e $library ]] || die "$library is not built: run make"
# A running nginx may have the old library mapped: it keeps its file, and new ones get the new.
install -d "$clib"
install -m 755 "$library" "$clib/.libresty_proxy_wasm.so.new"
mv "$clib/.libresty_proxy_wasm.so.new" "$clib/libresty_proxy_wasm.so"
for file in "${sources[@]}"; do
    install -D -m 644 "lib/$file" "$lua/$file"
done
install -D -m 644 include/proxy_wasm.h "$include/proxy_wasm.h"

cat <<EOF
installed
  $clib/libresty_proxy_wasm.so
  $lua/resty/proxy-wasm.lua and resty/proxy-wasm/
  $include/proxy_wasm.h

In nginx.conf, after the lines for ndk and lua where those are modules too:

  load_module ${clib#"${DESTDIR-}"}/libresty_proxy_wasm.so;
EOF
if [[ $WASM_VM == wasmedge ]]; then
    printf '\nand in its context http, for Wasmtime is the default:\n\n  wasm_vm wasmedge;\n'
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
    [[ $known == *libwasmedge.so.0* ]] ||
        printf '\nnginx would not find libwasmedge.so.0 yet: name its folder in /etc/ld.so.conf.d and run ldconfig.\n'
fi

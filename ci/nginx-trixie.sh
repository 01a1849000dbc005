#!/usr/bin/env bash
# A second, newer generation of nginx and lua-nginx-module to test with: Debian
# trixie's, unpacked into a folder and started through its own loader and libc.
# Prints what ci/nginx.sh prints. With --with-wasmedge libwasmedge is there too,
# and TRIXIE_ROOT, TRIXIE_LIB and TRIXIE_LOADER tell how to reach it.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

unpack_trixie() {
    local root="${*: -1}" dir lib loader
    for dir in bin sbin lib lib64; do
        mkdir -p "$root/usr/$dir"
        ln -s "usr/$dir" "$root/$dir"
    done
    fetch_debs --with-depends trixie "$@"

    cd "$root"
    lib=$(echo usr/lib/*-linux-gnu)
    loader=$(echo "$lib"/ld-linux-*.so.*)
    cat >nginx <<WRAPPER
#!/bin/sh
root=\${0%/*}
exec "\$root/$loader" --argv0 nginx --library-path "\$root/$lib" "\$root/usr/sbin/nginx" "\$@"
WRAPPER
    chmod 755 nginx
}

packages=(nginx libnginx-mod-http-lua lua-resty-core lua-resty-lrucache lua-cjson)
if [[ "${1:-}" == --with-wasmedge ]]; then
    install_tool trixie nginx-wasmedge-1 unpack_trixie "${packages[@]}" libwasmedge-dev
elif ! tool_is trixie nginx-wasmedge-1; then
    install_tool trixie nginx-1 unpack_trixie "${packages[@]}"
fi

root="$TOOLS/trixie"
lib=$(echo "$root"/usr/lib/*-linux-gnu)
lua="$root/usr/share/lua/5.1"
print_var NGINX_BINARY "$root/nginx"
print_var NGINX_LOAD_MODULES "$root"/usr/lib/nginx/modules/{ndk_http_module,ngx_http_lua_module}.so
print_var LUA_PATH_PREFIX "$lua/?.lua;$lua/?/init.lua;"
print_var LUA_CPATH_PREFIX "$lib/lua/5.1/?.so;"
if [[ "${1:-}" == --with-wasmedge ]]; then
    print_var TRIXIE_ROOT "$root"
    print_var TRIXIE_LIB "$lib"
    print_var TRIXIE_LOADER "$lib"/ld-linux-*.so.*
fi

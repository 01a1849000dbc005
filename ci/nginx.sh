#!/usr/bin/env bash
# The nginx to use by default: OpenResty where there is one, else Debian's.
# Prints NGINX_BINARY, NGINX_LOAD_MODULES (space separated, in load order; empty
# where Lua is linked in), LUA_PATH_PREFIX and LUA_CPATH_PREFIX.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

modules=()
if ! binary="$(find_openresty)"; then
    binary="$(command -v nginx || echo /usr/sbin/nginx)"
    [[ -x "$binary" ]] || die "neither openresty nor nginx is installed: run ci/deps.sh demo"
    modules=(/usr/lib/nginx/modules/{ndk_http_module,ngx_http_lua_module}.so)
    [[ -e "${modules[1]}" ]] || die "$binary has no lua-nginx-module: run ci/deps.sh demo"
fi

print_var NGINX_BINARY "$binary"
print_var NGINX_LOAD_MODULES "${modules[@]}"
print_var LUA_PATH_PREFIX ""
print_var LUA_CPATH_PREFIX ""

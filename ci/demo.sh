#!/usr/bin/env bash
# ci/demo.sh [assemblyscript|rust]: runs examples/add-header in an nginx of its own, shows what its locations answer, and stops it.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
guest="$ROOT/build/guests/add-header-${1:-assemblyscript}.wasm"
vars="$(ci/nginx.sh)"
eval "$vars"
prefix="$ROOT/build/demo"
rm -rf "$prefix"
mkdir -p "$prefix"

# One that the system says is free.
port=$(perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK)) or die;
    print((sockaddr_in(getsockname(S)))[0])')

modules=
for module in $NGINX_LOAD_MODULES "$ROOT/target/release/libresty_proxy_wasm.so"; do
    modules+="load_module $module;\\n"
done
# Started by root, the workers could not read a checkout in a private home.
[[ $EUID != 0 ]] || modules="user root;\\n$modules"

sed -e "s|@LOAD_MODULES@|$modules|" -e "s|@PORT@|$port|" -e "s|@GUEST@|$guest|" \
    -e "s|@LUA_PATH@|$LUA_PATH_PREFIX$ROOT/lib/?.lua|" \
    -e "s|@LUA_CPATH@|$LUA_CPATH_PREFIX$ROOT/target/release/?.so|" \
    examples/add-header/nginx.conf >"$prefix/nginx.conf"

"$NGINX_BINARY" -p "$prefix" -c "$prefix/nginx.conf" -e "$prefix/error.log" &
nginx=$!
trap 'kill $nginx 2>/dev/null; wait $nginx 2>/dev/null || true' EXIT
for _ in {1..100}; do
    curl -s -o /dev/null "http://127.0.0.1:$port/d" && break
    kill -0 $nginx 2>/dev/null || { cat "$prefix/error.log" >&2; die "nginx did not start"; }
    sleep 0.1
done

for location in t d; do
    echo "\$ curl -i http://127.0.0.1:$port/$location"
    curl -si "http://127.0.0.1:$port/$location"
done
if [[ -s "$prefix/error.log" ]]; then
    echo "error.log:"
    cat "$prefix/error.log"
fi
curl -si "http://127.0.0.1:$port/t" | grep -q '^hello: add_header' || die "the plugin added no header"

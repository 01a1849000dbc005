#!/usr/bin/env bash
# ci/demo.sh [assemblyscript|rust]: runs examples/add-header in an nginx of its own, shows what its locations answer, and stops it.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
GUEST="$ROOT/build/guests/add-header-${1:-assemblyscript}.wasm"
start_nginx examples/add-header/nginx.conf demo

for location in t d; do
    echo "\$ curl -i http://127.0.0.1:$PORT/$location"
    curl -si "http://127.0.0.1:$PORT/$location"
done
if [[ -s "$PREFIX_DIR/error.log" ]]; then
    echo "error.log:"
    cat "$PREFIX_DIR/error.log"
fi
curl -si "http://127.0.0.1:$PORT/t" | grep -q '^hello: add_header' || die "the plugin added no header"

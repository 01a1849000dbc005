#!/usr/bin/env bash
# ci/demo.sh [assemblyscript|rust|forward-auth|metrics|rate-limit|tick-logger]: runs an example in an nginx of its own (add-header, in
# one of the two languages, or another), shows what its locations answer, and stops it.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
example=${1:-assemblyscript}
GUEST="$ROOT/build/guests/$example.wasm"

# show PATH [HEADER]
show() {
    echo "\$ curl -i ${2:+-H \"$2\" }http://127.0.0.1:$PORT$1"
    curl -si ${2:+-H "$2"} "http://127.0.0.1:$PORT$1"
}

# in_log TEXT SECONDS: whether it gets there in time.
in_log() {
    for ((i = 0; i < $2 * 10; i++)); do
        ! grep -qF -- "$1" "$PREFIX_DIR/error.log" || return 0
        sleep 0.1
    done
    return 1
}

case $example in
    assemblyscript | rust)
        GUEST="$ROOT/build/guests/add-header-$example.wasm"
        start_nginx examples/add-header/nginx.conf demo
        show /t
        show /d
        curl -si "http://127.0.0.1:$PORT/t" | grep -q '^hello: add_header' || die "the plugin added no header"
        ;;
    forward-auth)
        bearer='Authorization: Bearer sesame'
        start_nginx examples/forward-auth/nginx.conf demo
        show /
        show / "$bearer"
        curl -s -H "$bearer" "http://127.0.0.1:$PORT/" | grep -qx 'x-user: ali' || die "the request did not pass"
        ;;
    metrics)
        start_nginx examples/metrics/nginx.conf demo
        show /
        show /missing
        show /metrics | tee "$PREFIX_DIR/metrics"
        grep -q '^responses_4xx_total.* 1$' "$PREFIX_DIR/metrics" || die "the 404 was not counted"
        ;;
    rate-limit)
        key='x-api-key: ali'
        start_nginx examples/rate-limit/nginx.conf demo
        # five requests pass in a window, and all of this takes less than two
        for ((i = 1; i <= 11; i++)); do
            show / "$key" | tee "$PREFIX_DIR/answer"
            ! grep -q '^HTTP/1.1 429' "$PREFIX_DIR/answer" || break
        done
        ((i <= 11)) || die "no request was refused"
        show / 'x-api-key: eve' | tee "$PREFIX_DIR/answer"
        grep -qx 'hello' "$PREFIX_DIR/answer" || die "another client's request was refused"
        ;;
    tick-logger)
        start_nginx examples/tick-logger/nginx.conf demo
        in_log 'collected {' 5 || die "nothing was collected"
        ;;
    *) die "there is no example $example" ;;
esac
if [[ -s "$PREFIX_DIR/error.log" ]]; then
    echo "error.log:"
    cat "$PREFIX_DIR/error.log"
fi

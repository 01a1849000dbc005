# shellcheck shell=bash
# Runs an nginx of one's own for the scripts that source this: `start_nginx TEMPLATE NAME` sets PORT, PREFIX_DIR and WORKER, and the
# nginx stops with the script. NGINX_RUNNER starts it, if that is set; WORKERS (1), MASTER (on) and GUEST go into the template, NGINX_LIBRARY is
# empty for an nginx without the library, and START_SECONDS is how long it may take to start (60). `start_upstream NAME` starts one that
# plugins call, and sets UPSTREAM and GRPC_UPSTREAM.

# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MASTERS=()
NGINX_RUNNER=()

# One that the system says is free.
free_port() {
    perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK)) or die;
        print((sockaddr_in(getsockname(S)))[0])'
}

stop_nginx() {
    kill "${MASTERS[@]}" 2>/dev/null || true
    wait "${MASTERS[@]}" 2>/dev/null || true
    MASTERS=()
}

start_nginx() {
    local template=$1 name=$2 modules='' module master tries
    use_engine
    use_nginx nginx.sh
    # Those of the same name are started one after the other.
    [[ ${PREFIX_DIR-} == "$ROOT/build/$name" ]] || say "$name on $("$NGINX_BINARY" -v 2>&1 | sed 's/.*: //'), $WASM_VM"
    PREFIX_DIR="$ROOT/build/$name"
    rm -rf "$PREFIX_DIR"
    mkdir -p "$PREFIX_DIR"

    PORT=$(free_port)
    GRPC_PORT=$(free_port)

    for module in $NGINX_LOAD_MODULES ${NGINX_LIBRARY-"$LIBRARY_DIR/libresty_proxy_wasm.so"}; do
        modules+="load_module $module;\\n"
    done
    # Started by root, the workers could not read a checkout in a private home.
    [[ $EUID != 0 ]] || modules="user root;\\n$modules"

    sed -e "s|@LOAD_MODULES@|$modules|" -e "s|@PORT@|$PORT|" -e "s|@GRPC_PORT@|$GRPC_PORT|" -e "s|@ROOT@|$ROOT|g" -e "s|@PREFIX@|$PREFIX_DIR|" \
        -e "s|@WORKERS@|${WORKERS-1}|" -e "s|@MASTER@|${MASTER-on}|" -e "s|@GUEST@|${GUEST-}|" -e "s|@UPSTREAM@|${UPSTREAM-}|" -e "s|@GRPC_UPSTREAM@|${GRPC_UPSTREAM-}|" \
        -e "s|@LUA_PATH@|$LUA_PATH_PREFIX$ROOT/lib/?.lua|" \
        -e "s|@LUA_CPATH@|$LUA_CPATH_PREFIX$LIBRARY_DIR/?.so|" \
        -e "s|wasm_vm wasmtime;|wasm_vm $WASM_VM;|" \
        "$template" >"$PREFIX_DIR/nginx.conf"

    "${NGINX_RUNNER[@]}" "$NGINX_BINARY" -p "$PREFIX_DIR" -c "$PREFIX_DIR/nginx.conf" -e "$PREFIX_DIR/error.log" &
    master=$!
    MASTERS+=("$master")
    trap stop_nginx EXIT
    for ((tries = 0; tries < ${START_SECONDS-60} * 10; tries++)); do
        curl -s -o /dev/null "http://127.0.0.1:$PORT/d" && break
        kill -0 "$master" 2>/dev/null || { cat "$PREFIX_DIR/error.log" >&2; die "nginx did not start"; }
        sleep 0.1
    done
    # Without a master there is one process.
    # shellcheck disable=SC2034 # for those who source this
    WORKER=$(pgrep -d, -P "$master" || echo "$master")
}

start_upstream() {
    start_nginx benches/upstream.conf "$1"
    UPSTREAM="127.0.0.1:$PORT"
    GRPC_UPSTREAM="127.0.0.1:$GRPC_PORT"
}

# connections: how many the upstream has accepted, with the one that asks.
connections() { curl -s "http://$UPSTREAM/connections"; }

# resident KB of the worker
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$WORKER/status"; }

# load LOCATION SECONDS: how many requests were answered
load() {
    wrk -t1 -c16 -d"$2" "http://127.0.0.1:$PORT$1" | awk '/requests in/ { n = $1 } /Non-2xx/ { bad = 1 }
        END { if (bad) exit 1; print n }'
}

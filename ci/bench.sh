#!/usr/bin/env bash
# ci/bench.sh [ROUNDS]: what plugins cost, in interleaved rounds (7). Prints tables, and writes what they show to build/bench.json, with
# the machine, versions and the commit:
#
#   CPU time of one worker per request, for each row of ci/bench.py
#   the same and how long requests wait, that ask another server: by the plugin forward-auth, and by a cosocket in Lua
#   the store that workers share: see ci/bench-shared.sh
#   loading plugins: compiling them, from the cache, from memory; and making an instance
#   resident memory of a worker without the library, and with 0, 1 and 10 plugins
#   requests per second of 1 and 2 workers
#   the library's layers, without nginx: benches/layers

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
rounds=${1:-7}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || die "usage: ci/bench.sh [ROUNDS]"
export PYTHONDONTWRITEBYTECODE=1
sections="$ROOT/build/bench-sections"
rm -rf "$sections"
mkdir -p "$sections" build/bench-cache
ci/bench.py bodies
ci/bench.py locations >build/bench-locations.conf

# table SECTION: prints what is in its file.
table() { ci/bench-report.py table "$1" "$sections/$1.json"; }

# no_errors: nothing is in the log of the last nginx.
no_errors() {
    [[ ! -s "$PREFIX_DIR/error.log" ]] || die "errors: $(tail -n 5 "$PREFIX_DIR/error.log")"
}

# The first start may compile.
START_SECONDS=300
start_nginx benches/filters.conf bench
ci/bench.py rows --port "$PORT" --workers "$WORKER" "$rounds" >"$sections/rows.json"
no_errors
stop_nginx
table rows

start_upstream bench-upstream
start_nginx benches/nginx.conf bench
ci/bench.py calls --port "$PORT" --workers "$WORKER" "$rounds" >"$sections/calls.json"
no_errors
stop_nginx
table calls

echo
ci/bench-shared.sh "$rounds"
mv build/bench-shared/shared.json "$sections"

# loads HOW: once, in a process of its own.
loads() {
    GUEST=$1 start_nginx benches/load.conf bench
    no_errors
    stop_nginx
    cp "$PREFIX_DIR/loads" "$sections/loads-$1-$2"
    cp "$PREFIX_DIR/versions.json" "$sections"
}

say "loading plugins"
for ((round = 0; round < 3; round++)); do
    rm -rf build/bench-load-cache
    loads cold "$round"
done
for ((round = 0; round < 3 + rounds; round++)); do
    loads cache "$round"
done
ci/bench.py loads "$sections"/loads-* >"$sections/loads.json"
table loads

# memory NAME PLUGINS: of a worker with so many, none, or without the library.
memory() {
    local template=benches/memory.conf
    if [[ $2 == without ]]; then
        template=build/bench-without.conf
        sed '/^ *wasm_/d' benches/memory.conf >"$template"
        NGINX_LIBRARY=''
    fi
    GUEST=$2 start_nginx "$template" bench
    unset NGINX_LIBRARY
    ci/bench.py memory --port "$PORT" --workers "$WORKER" "$1" "${2/without/0}" >>"$sections/memory"
    no_errors
    stop_nginx
}

say "memory of workers"
ci/bench.py copies build/guests/bench-rust.wasm 10
memory "Lua, without the library" without
memory "the library" 0
rm -rf build/bench-memory-cache
memory "1 plugin (Rust), compiled by the master" 1
memory "1 plugin (Rust), from the cache" 1
rm -rf build/bench-memory-cache
memory "10 plugins (Rust), compiled by the master" 10
memory "10 plugins (Rust), from the cache" 10
ci/bench.py list "$sections/memory" >"$sections/memory.json"
table memory

for workers in 1 2; do
    WORKERS=$workers start_nginx benches/filters.conf bench
    ci/bench.py rate --port "$PORT" --workers "$WORKER" $(((rounds + 1) / 2)) >>"$sections/rate"
    no_errors
    stop_nginx
done
ci/bench.py list "$sections/rate" >"$sections/rate.json"
table rate

say "layers"
"${CARGO:-cargo}" bench --quiet --locked --bench layers >"$sections/layers" 2>"$sections/layers.log" ||
    die "$(tail -n 20 "$sections/layers.log")"
ci/bench-report.py layers "$sections/layers" >"$sections/layers.json"
table layers

ci/bench-report.py all "$rounds" "$sections" build/bench.json
echo
say "written to build/bench.json"

#!/usr/bin/env bash
# ci/bench-shared.sh [ROUNDS [TIMES]]: what hostcalls cost that use the store, beside wasm.shared and lua_shared_dict from Lua. First the
# CPU time of the only worker that does anything, on 1024 keys. Then four workers are at one key, counter or queue at the same time: the
# CPU time of each, how often they all do it, and how long the first and the last to be done have taken each time. All is done so many
# times in a round (200,000), in interleaved rounds (7); prints medians, and writes them to build/bench-shared/shared.json.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
rounds=${1:-7}
times=${2:-200000}
export PYTHONDONTWRITEBYTECODE=1
workers=4
start_nginx benches/shared.conf bench-shared

# run NAME WORKERS KEYS LARGEST: samples of values up to that size, in files NAME.1 and so on
run() {
    local worker requests=()
    for ((worker = 1; worker <= $2; worker++)); do
        curl -sSf -o "$PREFIX_DIR/$1.$worker" \
            "http://127.0.0.1:$PORT/run?workers=$2&keys=$3&largest=$4&rounds=$rounds&times=$times" &
        requests+=($!)
        # A worker that waits for the others takes no other request.
        sleep 0.1
    done
    for worker in "${requests[@]}"; do
        wait "$worker" || die "a worker failed: $(tail -n 5 "$PREFIX_DIR/error.log")"
    done
}

run alone 1 1024 1024
run together "$workers" 1 8

ci/bench.py shared "$PREFIX_DIR"/{alone,together}.* >"$PREFIX_DIR/shared.json"
ci/bench-report.py table shared "$PREFIX_DIR/shared.json"

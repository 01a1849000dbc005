#!/usr/bin/env bash
# ci/bench-shared.sh [ROUNDS [TIMES]]: what hostcalls cost that use the store, beside wasm.shared and lua_shared_dict from Lua. First the
# CPU time of the only worker that does anything, on 1024 keys. Then four workers are at one key, counter or queue at the same time: the
# CPU time of each, how often they all do it, and how long the first and the last to be done have taken each time. All is done so many
# times in a round (200,000), in interleaved rounds (7); prints medians.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
rounds=${1:-7}
times=${2:-200000}
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

# shellcheck disable=SC2016 # awk's
common='
    BEGIN { FS = "\t" }
    function sample(name, number) { value[name, ++n[name]] = number }
    function median(name,   i, j, t, a) {
        for (i = 1; i <= n[name]; i++) a[i] = value[name, i]
        for (i = 2; i <= n[name]; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return a[int((n[name] + 1) / 2)]
    }'

awk "$common"'
    !($2 in known) { known[$2] = 1; order[++count] = $2 }
    { sample($2 FS $3, $5) }
    function column(what, who) { return (what FS who) in n ? sprintf("%.0f", median(what FS who)) : "-" }
    END {
        printf "%-28s %14s %14s %18s\n", "1 worker, ns of CPU", "a plugin", "wasm.shared", "lua_shared_dict"
        for (i = 1; i <= count; i++) {
            w = order[i]
            printf "%-28s %14s %14s %18s\n", w, column(w, "a plugin"), column(w, "wasm.shared"), column(w, "lua_shared_dict")
        }
    }' "$PREFIX_DIR/alone.1"

echo
awk -v workers="$workers" "$common"'
    {
        subject = $2 FS $3
        if (!(subject in known)) { known[subject] = 1; order[++count] = subject }
        sample(subject FS "cpu", $5)
        round = subject FS $1
        of[round] = subject
        if (!(round in first) || $4 < first[round]) first[round] = $4
        if ($4 > last[round]) last[round] = $4
    }
    END {
        for (round in of) {
            sample(of[round] FS "first", first[round])
            sample(of[round] FS "last", last[round])
            sample(of[round] FS "rate", workers * 1000 / last[round])
        }
        printf "%-28s %-18s %12s %12s %12s %12s\n", workers " workers at once", "", "ns of CPU", "millions/s", "first, ns", "last, ns"
        for (i = 1; i <= count; i++) {
            split(order[i], name, FS)
            printf "%-28s %-18s %12.0f %12.1f %12.0f %12.0f\n", name[1], name[2], median(order[i] FS "cpu"), median(order[i] FS "rate"),
                median(order[i] FS "first"), median(order[i] FS "last")
        }
    }' "$PREFIX_DIR"/together.*

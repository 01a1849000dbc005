#!/usr/bin/env bash
# ci/soak.sh [REQUESTS]: that many requests (200,000) through each way of running a plugin, half as many where it does more than that request,
# and the worker's resident memory after each quarter of them. Fails where the second half adds more than 1 MB (a guest's own heap may
# grow to its size in the first), or where calls make many more connections than there are requests at a time.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
requests=${1:-200000}
start_upstream soak-upstream
start_nginx benches/nginx.conf soak

failed=0

# soak LOCATION REQUESTS
soak() {
    local location=$1 requests=$2 figures=("$(resident)") total=0 before made verdict=''
    before=$(connections)
    for quarter in 1 2 3 4; do
        while ((total < requests * quarter / 4)); do
            answered=$(load "/$location" 1) || die "/$location answered with an error"
            total=$((total + answered))
        done
        figures+=("$(resident)")
    done
    # The one that asks is one too.
    made=$(($(connections) - before - 1))
    if ((figures[4] - figures[2] > 1024)); then
        verdict+=' GROWS'
        failed=1
    fi
    if ((made > 64)); then
        verdict+=' CONNECTS'
        failed=1
    fi
    printf '%-28s %10d %11d   %s%s\n' "/$location" "$total" "$made" "${figures[*]}" "$verdict"
}

printf '%-28s %10s %11s   %s\n' location requests connections 'resident KB: before, then after each quarter'
for location in rust rust-per-request assemblyscript assemblyscript-per-request go c chain shared; do
    soak "$location" "$requests"
done
for location in queue auth grpc tick; do
    soak "$location" $((requests / 2))
done
if [[ -s "$PREFIX_DIR/error.log" ]]; then
    tail -n 5 "$PREFIX_DIR/error.log"
fi
exit $failed

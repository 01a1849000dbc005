#!/usr/bin/env bash
# ci/soak.sh [REQUESTS]: that many requests (200,000) through each way of running a plugin, and the worker's resident memory after each
# quarter of them. Fails where the second half adds more than 1 MB: a guest's own heap may grow to its size in the first.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
requests=${1:-200000}
start_nginx benches/nginx.conf soak

failed=0
printf '%-28s %10s   %s\n' location requests 'resident KB: before, then after each quarter'
for location in rust rust-per-request assemblyscript assemblyscript-per-request go c chain; do
    figures=("$(resident)")
    total=0
    for quarter in 1 2 3 4; do
        while ((total < requests * quarter / 4)); do
            answered=$(load "/$location" 1) || die "/$location answered with an error"
            total=$((total + answered))
        done
        figures+=("$(resident)")
    done
    verdict=
    if ((figures[4] - figures[2] > 1024)); then
        verdict=GROWS
        failed=1
    fi
    printf '%-28s %10d   %s %s\n' "/$location" "$total" "${figures[*]}" "$verdict"
done
if [[ -s "$PREFIX_DIR/error.log" ]]; then
    tail -n 5 "$PREFIX_DIR/error.log"
fi
exit $failed

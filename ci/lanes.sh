#!/usr/bin/env bash
# ci/lanes.sh TARGETS...: makes each group of targets beside the others, with a port and a folder of its own for Test::Nginx. Shows what
# they print one after another; fails if one does.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

pids=()
for lane in "$@"; do
    n=${#pids[@]}
    read -ra targets <<<"$lane"
    TEST_NGINX_PORT=$((1984 + 20 * n)) TEST_NGINX_SERVROOT=$ROOT/build/servroot-$n \
        "${MAKE:-make}" "${targets[@]}" >"$logs/$n" 2>&1 &
    pids+=($!)
done

failed=0
for n in "${!pids[@]}"; do
    wait "${pids[$n]}" || failed=1
    cat "$logs/$n"
done
exit $failed

#!/usr/bin/env bash
# ci/bench.sh [ROUNDS]: CPU time of one worker per request, for each way of running a plugin and for the native Lua line, in interleaved
# rounds of a second (7); prints medians, and what each adds to a bare `return 200`.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
rounds=${1:-7}
start_nginx benches/nginx.conf bench

locations=(bare noop d nothing wat rust assemblyscript go rust-per-request assemblyscript-per-request)
samples="$PREFIX_DIR/samples"
for ((round = 0; round < rounds; round++)); do
    for location in "${locations[@]}"; do
        before=$(ticks)
        answered=$(load "/$location" 1) || die "/$location answered with an error"
        after=$(ticks)
        echo "$location $(((after - before) * 10000)) $answered" >>"$samples"
    done
done

awk -v order="${locations[*]}" '
    { value[$1, ++n[$1]] = $2 / $3 }
    function median(name,   i, j, t, a) {
        for (i = 1; i <= n[name]; i++) a[i] = value[name, i]
        for (i = 2; i <= n[name]; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return a[int((n[name] + 1) / 2)]
    }
    END {
        count = split(order, names, " ")
        bare = median("bare"); line = median("d") - bare
        printf "%-28s %12s %12s %18s\n", "location", "us/request", "over bare", "times the Lua line"
        for (i = 1; i <= count; i++) {
            m = median(names[i])
            printf "%-28s %12.2f %12.2f %18s\n", "/" names[i], m, m - bare, (line > 0 ? sprintf("%.1f", (m - bare) / line) : "-")
        }
    }' "$samples"

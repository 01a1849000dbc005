#!/usr/bin/env bash
# ci/bench.sh [ROUNDS]: CPU time of one worker per request, for each way of running a plugin and for the native Lua line, in interleaved
# rounds of a second (7); prints medians, and what each adds to a bare `return 200`. Then the same for a request that waits for another
# server: asked by the plugin forward-auth, and by a cosocket in Lua.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
rounds=${1:-7}
start_upstream bench-upstream
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

# shellcheck disable=SC2016 # awk's
median='
    function median(name,   i, j, t, a) {
        for (i = 1; i <= n[name]; i++) a[i] = value[name, i]
        for (i = 2; i <= n[name]; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return a[int((n[name] + 1) / 2)]
    }'

awk -v order="${locations[*]}" "$median"'
    { value[$1, ++n[$1]] = $2 / $3 }
    END {
        count = split(order, names, " ")
        bare = median("bare"); line = median("d") - bare
        printf "%-28s %12s %12s %18s\n", "location", "us/request", "over bare", "times the Lua line"
        for (i = 1; i <= count; i++) {
            m = median(names[i])
            printf "%-28s %12.2f %12.2f %18s\n", "/" names[i], m, m - bare, (line > 0 ? sprintf("%.1f", (m - bare) / line) : "-")
        }
    }' "$samples"

# call LOCATION CONCURRENCY: requests in a second, and microseconds of the worker per request and of waiting: the median, and what 99 % get
call() {
    local before after
    before=$(ticks)
    wrk -t1 -c"$2" -d1 --latency "http://127.0.0.1:$PORT/$1" >"$PREFIX_DIR/wrk"
    after=$(ticks)
    ! grep -q Non-2xx "$PREFIX_DIR/wrk" || die "/$1 answered with an error"
    awk -v cpu=$(((after - before) * 10000)) '
        function us(text) { return text * (text ~ /us$/ ? 1 : text ~ /ms$/ ? 1000 : 1000000) }
        $1 == "50%" { half = us($2) }
        $1 == "99%" { most = us($2) }
        /requests in/ { n = $1; time = us($4) }
        END { print n * 1000000 / time, cpu / n, half, most }' "$PREFIX_DIR/wrk"
}

waiting="$PREFIX_DIR/waiting"
for ((round = 0; round < rounds; round++)); do
    for concurrency in 1 32; do
        for location in auth cosocket; do
            echo "$location $concurrency $(call "$location" "$concurrency")" >>"$waiting"
        done
    done
done

echo
awk "$median"'
    { for (i = 3; i <= NF; i++) { name = $1 " " $2 " " i; value[name, ++n[name]] = $i } }
    END {
        printf "%-28s %12s %12s %12s %12s %12s\n", "location", "at a time", "requests/s", "us/request", "us, median", "us, 99 %"
        for (c = 1; c <= 32; c += 31) for (l = 0; l < 2; l++) {
            name = (l ? "cosocket" : "auth") " " c " "
            printf "%-28s %12d %12d %12.1f %12d %12d\n", l ? "/cosocket" : "/auth", c, median(name 3), median(name 4), median(name 5), median(name 6)
        }
    }' "$waiting"

#!/usr/bin/env bash
# ci/fuzz.sh [SECONDS [TARGET...]]: feeds each target of fuzz/ with what libFuzzer makes up, for so long (60 s each), and shows what came of
# it. Fails where one panics, hangs or breaks a promise; the input is then in fuzz/artifacts/TARGET/. What was learnt stays in
# fuzz/corpus/TARGET/ for the next time.
#
# A nightly compiler is not needed.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo_fuzz=0.13.2

make_cargo_fuzz() {
    cargo install --locked --version "$cargo_fuzz" --root "$1" cargo-fuzz
}

cd "$ROOT"
seconds=${1:-60}
targets=("${@:2}")
ci/deps.sh build
command -v c++ >/dev/null || apt_install g++
if ! command -v cargo-fuzz >/dev/null; then
    install_tool cargo-fuzz "$cargo_fuzz" make_cargo_fuzz
    PATH="$TOOLS/cargo-fuzz/bin:$PATH"
fi
((${#targets[@]})) || read -ra targets <<<"$(cargo fuzz list | paste -sd' ')"

# What instruments code is behind options that a stable compiler has too.
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER="$ROOT/ci/fuzz-rustc"
# The sanitizer keeps what was freed for a while, so a process takes some hundred megabytes.
options=(-rss_limit_mb=2048 -timeout=20 -max_total_time="$seconds" -print_final_stats=1)

# fuzz TARGET
fuzz() {
    local target=$1 corpus="fuzz/corpus/$1" seeds=() log
    mkdir -p "$corpus"
    for folder in "fuzz/seeds/$target" "$([[ $target == module ]] && echo t/plugins/wat)"; do
        [[ ! -d $folder ]] || seeds+=("$folder")
    done
    [[ ! -f fuzz/$target.dict ]] || seeds+=(-dict="fuzz/$target.dict")
    log=$(mktemp)
    if ! cargo fuzz run -O "$target" "$corpus" "${seeds[@]}" -- "${options[@]}" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        rm -f "$log"
        say "$target: found something"
        return 1
    fi
    printf '%-12s %s\n' "$target" "$(figures "$log")"
    rm -f "$log"
}

# figures LOG: how much was tried, and how much of our code that reached.
figures() {
    awk '/^#[0-9]+.*cov:/ { for (i = 1; i <= NF; i++) if ($i ~ /^(cov|ft|corp|exec\/s):$/) at[$i] = $(i + 1) }
        /^stat::number_of_executed_units:/ { runs = $2 }
        END { printf "%d runs, coverage %s, features %s, corpus %s", runs, at["cov:"], at["ft:"], at["corp:"] }' "$1"
}

failed=0
for target in "${targets[@]}"; do
    fuzz "$target" || failed=1
done
((failed == 0))

#!/usr/bin/env bash
# ci/instructions.sh [--update]: instructions of a worker per request, in user space, for rows of ci/bench.py; callgrind counts them, so
# it does not matter how busy the machine is. Fails where a row adds more than in benches/instructions.txt to the one it is compared
# with, by 10 % and by 300; --update writes that file.

. "$(dirname "${BASH_SOURCE[0]}")/run-nginx.sh"

cd "$ROOT"
[[ $# == 0 || $* == --update ]] || die "usage: ci/instructions.sh [--update]"
export PYTHONDONTWRITEBYTECODE=1
WASM_VM=wasmtime
counts="$ROOT/build/instructions-counts"
rm -rf "$counts"
mkdir -p "$counts" build/bench-cache
ci/bench.py bodies
ci/bench.py locations >build/bench-locations.conf

# One process, which is the one to look at.
MASTER=off
NGINX_RUNNER=(valgrind -q --tool=callgrind --instr-atstart=no "--callgrind-out-file=$counts/counts")
start_nginx benches/filters.conf instructions
ci/instructions.py "$PORT" "$WORKER" "$counts" benches/instructions.txt "$("$NGINX_BINARY" -v 2>&1 | sed 's/.*: //'), $(uname -m)" "$@"

#!/usr/bin/env bash
# ci/cargo-wasmedge.sh COMMAND [ARGUMENT...]: cargo with the feature `wasmedge`, with what its build and its tests need.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

set -a
take_over wasmedge.sh
set +a
if [[ $WASMEDGE_RUNNER ]]; then
    host=$(rustc -vV | sed -n 's/^host: //p')
    runner="CARGO_TARGET_${host^^}_RUNNER"
    export "${runner//-/_}=$WASMEDGE_RUNNER"
fi
exec "${CARGO:-cargo}" "$1" --features wasmedge "${@:2}"

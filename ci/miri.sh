#!/usr/bin/env bash
# ci/miri.sh [TEST...]: runs the unit tests under Miri, or those whose path has one of these words in it. Miri has no engine, no second process
# and no network, so that what needs them is left out.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
toolchain=${MIRI_TOOLCHAIN:-nightly}
cargo "+$toolchain" miri --version >&2 ||
    die "Miri is needed, which comes with nightly Rust: rustup toolchain install nightly --component miri,rust-src"

# The time is the system's, and so is what /proc tells of processes.
export MIRIFLAGS="${MIRIFLAGS--Zmiri-disable-isolation -Zmiri-strict-provenance}"
tests=("$@")
(($#)) || tests=(abi:: egress:: engine::clock nginx:: plugin:: shared::)
without=(
    # sockets, and ring's assembler
    egress::tests::
    # Wasmtime
    plugin::module::
    # the processor's clock
    shared::clock::
    # processes
    shared::tests::crash:: shared::tests::process shared::tests::workers::
    # hours
    a_long_message_is_cut any_bytes_are_survived any_names bytes_from_anywhere_to_anywhere shared::tests::damage:: shared::tests::model:: shared::tests::room::
)
cargo "+$toolchain" miri test --locked --lib -- "${tests[@]}" "${without[@]/#/--skip=}"

#!/usr/bin/env bash
# A cargo for guests: builds for wasm32-wasip1, and for the targets named in
# RUST_WASM_TARGETS instead, if set. Prints CARGO_WASM.
#
# Where rustup can add the targets, that is all. Else the compiler is the one
# that Debian 12 keeps for browsers: unpacked privately, as it would push out an
# installed rustc; it comes without these targets, so we build their std.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
read -ra targets <<<"${RUST_WASM_TARGETS:-wasm32-wasip1}"
rust=1.96
llvm=22

rustup_has_targets() {
    local installed target
    installed="$(timeout 20 rustup target list --installed 2>/dev/null)" || return
    for target in "${targets[@]}"; do
        grep -qxF "$target" <<<"$installed" || return
    done
}

rustup_add_targets() {
    say "rustup target add ${targets[*]}"
    timeout 60 rustup target add "${targets[@]}" >/dev/null 2>&1
}

make_rustup() {
    cp "$here/rust-wasm-cargo" "$1/cargo"
}

make_packaged() {
    local root=$1 target
    fetch_debs bookworm rustc-web libstd-rust-web-$rust libstd-rust-web-dev rust-web-src \
        lld-$llvm libllvm$llvm wasi-libc "$root"
    cp "$here/rust-wasm-cargo" "$root/cargo"
    cp "$here/rust-wasm-rustc" "$root/rustc"
    ln -s usr/lib/llvm-$llvm/bin/wasm-ld "$root/wasm-ld"

    for target in "${targets[@]}"; do
        build_std "$root" "$target"
    done
    rm -rf "${root:?}"/{empty,usr/src,usr/share,usr/lib/rustlib/src}
}

build_std() {
    local root=$1 target=$2
    local lib="$root/usr/lib/rustlib/$target/lib"
    mkdir -p "$root/empty/src"
    : >"$root/empty/src/lib.rs"
    printf '[package]\nname = "empty"\n[workspace]\n' >"$root/empty/Cargo.toml"
    (
        cd "$root/empty"
        export RUSTC_BOOTSTRAP=1
        export GUEST_RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$root/usr/lib/rustlib/src/rust=/rust"
        "$root/cargo" build --release -Zbuild-std=std,panic_abort --target "$target"
    )
    mkdir -p "$lib/self-contained"
    cp "$root/empty/target/$target"/release/deps/*.rlib "$lib"
    rm -f "$lib"/libempty-*.rlib
    if [[ $target == wasm32-wasi* ]]; then
        cp "$root"/usr/lib/wasm32-wasi/{crt1-command.o,crt1-reactor.o,libc.a} "$lib/self-contained"
    fi
}

packaged="packaged-1 $rust ${targets[*]}"
if ! tool_is rust-wasm "$packaged"; then
    if rustup_has_targets || rustup_add_targets; then
        install_tool rust-wasm rustup-1 make_rustup
    else
        "$here/deps.sh" build
        apt_install libedit2 libffi8 libstdc++6 libxml2 libz3-4 libzstd1
        install_tool rust-wasm "$packaged" make_packaged
    fi
fi
print_var CARGO_WASM "$TOOLS/rust-wasm/cargo"

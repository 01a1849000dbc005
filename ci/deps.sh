#!/usr/bin/env bash
# ci/deps.sh [build|wasmedge|demo|load|test|memcheck|lint]...: the system packages that each needs.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RUST_VERSION=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")

build() {
    command -v cc >/dev/null || apt_install gcc libc6-dev
    local hint="see https://rustup.rs or run: rustup update stable"
    command -v cargo >/dev/null || die "Rust $RUST_VERSION or newer is needed: $hint"
    local found
    found=$(cargo --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$RUST_VERSION" "$found" | sort -V | head -n1) == "$RUST_VERSION" ]] ||
        die "Rust $RUST_VERSION or newer is needed, $(command -v cargo) is $found: $hint"
}

# Bindings for WasmEdge's header need libclang and the compiler's own headers: this has both.
wasmedge() {
    command -v clang >/dev/null || [[ ${LIBCLANG_PATH-} ]] || apt_install clang
}

demo() {
    find_openresty >/dev/null ||
        apt_install nginx libnginx-mod-http-lua lua-resty-core lua-resty-lrucache lua-cjson
    command -v curl >/dev/null || apt_install curl ca-certificates
    command -v npm >/dev/null || apt_install nodejs npm
    command -v pgrep >/dev/null || apt_install procps
}

load() {
    command -v wrk >/dev/null || apt_install wrk
    command -v python3 >/dev/null || apt_install python3
}

# What Test::Nginx uses, and what the servers that plugins call do.
test() {
    apt_install perl procps libtest-base-perl libtest-longstring-perl libtext-diff-perl \
        liblist-moreutils-perl libhttp-message-perl liburi-perl libwww-perl libipc-run-perl \
        openssl python3 python3-grpcio python3-prometheus-client
}

memcheck() {
    apt_install valgrind elfutils binutils
}

lint() {
    command -v luacheck >/dev/null || apt_install lua-check
    command -v shellcheck >/dev/null || apt_install shellcheck
}

for group in "${@:-build}"; do
    case $group in
        build | wasmedge | demo | load | test | memcheck | lint) "$group" ;;
        *) die "usage: ci/deps.sh [build|wasmedge|demo|load|test|memcheck|lint]..." ;;
    esac
done

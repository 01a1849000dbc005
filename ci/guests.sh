#!/usr/bin/env bash
# ci/guests.sh [NAME...]: build those guests, or all but those of benchmarks, into
# build/guests/NAME.wasm where that is older than its sources.
#
#   t/plugins/NAME/{Cargo.toml,go.mod,*.c}    NAME
#   benches/guests/LANGUAGE                   bench-LANGUAGE
#   examples/EXAMPLE                          EXAMPLE
#   examples/EXAMPLE/rust                     EXAMPLE-rust
#   examples/EXAMPLE/assemblyscript           EXAMPLE-assemblyscript

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

shopt -s nullglob
cd "$ROOT"
out="$ROOT/build/guests"
mkdir -p "$out"
wanted=("$@")
seen=" "

# select_guest NAME SOURCE...: whether it is asked for and out of date.
select_guest() {
    local name=$1
    shift
    seen+="$name "
    if ((${#wanted[@]})); then
        [[ " ${wanted[*]} " == *" $name "* ]] || return
    else
        [[ $name != bench-* ]] || return
    fi
    [[ ! -e "$out/$name.wasm" ]] || [[ $(find "$@" \
        \( -name target -o -name node_modules -o -name build \) -prune -o \
        -type f -newer "$out/$name.wasm" -print -quit) ]]
}

# A new file in one step: an nginx may have the old one open.
put_guest() {
    cp "$1" "$out/.$2.new"
    mv "$out/.$2.new" "$out/$2.wasm"
}

# rust_guests WORKSPACE MANIFEST...: its members' packages are named as the guests.
rust_guests() {
    local workspace=$1 manifest name names=()
    shift
    for manifest; do
        name=$(sed -n '/^\[package\]/,/^name/s/^name *= *"\(.*\)"/\1/p' "$manifest")
        ! select_guest "$name" "$workspace" || names+=("$name")
    done
    ((${#names[@]})) || return 0

    take_over rust-wasm.sh
    quietly "building ${names[*]}" "$CARGO_WASM" build --release --locked \
        --target wasm32-wasip1 --target-dir build/rust-guests \
        --manifest-path "$workspace/Cargo.toml" "${names[@]/#/--package=}"
    for name in "${names[@]}"; do
        put_guest "build/rust-guests/wasm32-wasip1/release/${name//-/_}.wasm" "$name"
    done
}

assemblyscript_guest() {
    local dir=$1 name
    name=$(sed -n 's/^ *"name": *"\(.*\)",$/\1/p' "$dir/package.json")
    select_guest "$name" "$dir" || return 0

    command -v npm >/dev/null || apt_install nodejs npm
    quietly "building $name" npm_build "$dir"
    put_guest "$dir/build/release.wasm" "$name"
}

npm_build() {
    cd "$1"
    if [[ ! package-lock.json -ot node_modules/.package-lock.json ]]; then
        npm ci --no-audit --no-fund
    fi
    npm run build
}

go_guest() {
    local dir=$1 name
    name=$(sed -n 's/^module //p' "$dir/go.mod")
    select_guest "$name" "$dir" || return 0

    take_over go-wasm.sh
    quietly "building $name" env GOOS=wasip1 GOARCH=wasm GOFLAGS= GOTOOLCHAIN=local \
        "$GO" build -C "$dir" -buildmode=c-shared -trimpath -ldflags='-s -w' \
        -o "$ROOT/build/$name.wasm" .
    put_guest "build/$name.wasm" "$name"
    rm "build/$name.wasm"
}

c_guest() {
    local dir=$1 name
    name=$(basename "$dir")
    select_guest "$name" "$dir" || return 0

    take_over c-wasm.sh
    # shellcheck disable=SC2086 # a list of flags
    quietly "building $name" "$CC_WASM" $CFLAGS_WASM -Wl,--export=malloc -o "build/$name.wasm" "$dir"/*.c
    put_guest "build/$name.wasm" "$name"
    rm "build/$name.wasm"
}

rust_guests t/plugins t/plugins/*/Cargo.toml
rust_guests examples examples/*/Cargo.toml examples/*/rust/Cargo.toml
rust_guests benches/guests/rust benches/guests/rust/Cargo.toml
for file in {examples/*,benches/guests}/assemblyscript/package.json; do
    assemblyscript_guest "$(dirname "$file")"
done
for file in {t/plugins/*,benches/guests/go}/go.mod; do
    go_guest "$(dirname "$file")"
done
for dir in t/plugins/*/; do
    sources=("$dir"*.c)
    ((${#sources[@]} == 0)) || c_guest "$dir"
done

for name in "${wanted[@]}"; do
    [[ $seen == *" $name "* ]] || die "no such guest: $name"
done

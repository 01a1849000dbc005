# The first two: `make demo` shows a plugin at work, `make test` runs every test. Each installs what it needs.
#
# WASM_VM=wasmedge does the same with WasmEdge: builds a library that has it too, and shows or tests that. `make test` without WASM_VM
# tests both engines; all else is for wasmtime then.

PREFIX ?= /usr/local
CARGO ?= cargo

ifneq ($(filter-out wasmtime wasmedge,$(WASM_VM)),)
    $(error WASM_VM is $(WASM_VM): it must be wasmtime or wasmedge)
endif

WASMTIME_LIBRARY := target/release/libresty_proxy_wasm.so
WASMEDGE_LIBRARY := build/wasmedge/release/libresty_proxy_wasm.so
LIBRARY := $(if $(filter wasmedge,$(WASM_VM)),$(WASMEDGE_LIBRARY),$(WASMTIME_LIBRARY))
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock

TESTS_wasmtime := test-nginx test-nginx-trixie
TESTS_wasmedge := test-nginx-wasmedge
LIBRARIES := $(if $(WASM_VM),$(LIBRARY),$(WASMTIME_LIBRARY) $(WASMEDGE_LIBRARY))

.PHONY: all demo test test-rust test-nginx test-nginx-trixie test-nginx-wasmedge lint fmt miri asan valgrind header guests soak fuzz bench instructions install uninstall clean
# Tests share a port.
.NOTPARALLEL:

all: $(LIBRARY)

$(WASMTIME_LIBRARY): $(SOURCES)
	WASM_VM=wasmtime ci/build.sh
	@touch $@

$(WASMEDGE_LIBRARY): $(SOURCES)
	WASM_VM=wasmedge ci/build.sh
	@touch $@

# make demo EXAMPLE=forward-auth, or metrics, rate-limit or tick-logger, shows another.
demo: $(LIBRARY)
	ci/deps.sh demo
	ci/guests.sh $(or $(EXAMPLE),add-header-assemblyscript add-header-rust)
	ci/demo.sh $(EXAMPLE)

# What runs an nginx spends most of its time waiting, so the engines are tested side by side.
test: test-rust $(LIBRARIES) guests
	ci/deps.sh demo test
	ci/lanes.sh $(foreach vm,$(or $(WASM_VM),wasmedge wasmtime),"$(TESTS_$(vm))")

# With WasmEdge the tests of engines run on both.
test-rust:
	ci/deps.sh build
ifeq ($(WASM_VM),wasmtime)
	$(CARGO) test --locked
else
	ci/deps.sh wasmedge
	ci/cargo-wasmedge.sh test --locked
	WASM_VM=wasmedge ci/cargo-wasmedge.sh test --locked --test plugin --test calls --test waiting --test background --test limits
endif

guests:
	ci/guests.sh

test-nginx: $(WASMTIME_LIBRARY) guests
	ci/deps.sh demo test
	WASM_VM=wasmtime ci/t.sh

# The same build of the library in a later generation of nginx and lua-nginx-module.
test-nginx-trixie: $(WASMTIME_LIBRARY) guests
	ci/deps.sh demo test
	WASM_VM=wasmtime ci/t.sh --trixie

# The build with WasmEdge, interpreting, and then what runs plugins in earnest with compiled ones, as compiling takes its time at each
# start of an nginx; then that it does without a WasmEdge, for those who use Wasmtime.
test-nginx-wasmedge: $(WASMEDGE_LIBRARY) guests
	ci/deps.sh demo test
	WASM_VM=wasmedge WASMEDGE_AOT=off ci/t.sh
	WASM_VM=wasmedge WASMEDGE_AOT=on ci/t.sh t/apisix.t t/calls/http.t t/calls/pause.t t/guests/*.t t/lua/chain.t \
		t/nginx/*.t t/plugin/*.t t/shared/storm.t
	WASM_VM=wasmtime PROXY_WASM_LIB_DIR=$(abspath $(dir $(WASMEDGE_LIBRARY))) ci/t.sh t/lua/chain.t t/nginx/engines.t

lint:
	ci/deps.sh build wasmedge lint
	ci/lint.sh

fmt:
	$(CARGO) fmt
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

# The tests in Rust that can, interpreted, with every access to memory checked.
miri:
	ci/deps.sh build
	ci/miri.sh

# The tests in Rust with AddressSanitizer.
asan:
	ci/deps.sh build
	ci/asan.sh

# A part of t/ with nginx under valgrind's memcheck; it takes the better part of an hour.
valgrind:
	ci/valgrind.sh

# include/proxy_wasm.h from the source; `make test` fails where it is out of date.
header:
	UPDATE_HEADER=1 $(CARGO) test --locked --test header

# 200,000 requests through each example: the worker's memory before and after.
soak: $(LIBRARY)
	ci/deps.sh demo load
	ci/guests.sh
	ci/soak.sh

# TIME=3600 feeds each target of fuzz/ for an hour, TARGET=guest only that one.
fuzz:
	ci/fuzz.sh $(or $(TIME),60) $(TARGET)

# What plugins cost, in CPU time, memory, and until they are loaded; and what shared data, queues and metrics do, beside lua_shared_dict.
# All of it is in build/bench.json afterwards. It takes some eight minutes; ROUNDS=3 takes less.
bench: $(LIBRARY)
	ci/deps.sh demo load
	ci/guests.sh
	ci/guests.sh bench-rust bench-assemblyscript bench-go
	ci/bench.sh $(ROUNDS)

# Instructions of a worker per request, against benches/instructions.txt, which ci/instructions.sh --update writes.
instructions: $(WASMTIME_LIBRARY)
	ci/deps.sh demo load memcheck
	ci/guests.sh bench-rust bench-assemblyscript bench-go
	ci/instructions.sh

install: $(LIBRARY)
	ci/install.sh

uninstall:
	ci/install.sh --uninstall

clean:
	rm -rf build target fuzz/target

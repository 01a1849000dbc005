#!/usr/bin/env bash
# ci/valgrind.sh [FILE...]: runs those test files, or those below, with nginx under valgrind's memcheck. Fails on an access to memory that is
# not there, a decision on bytes that nobody has written, and memory that nothing points to any more when a process ends.
# WASM_VM says on which engine; PROXY_WASM_LIB_DIR tests the library in that folder, which has the names of its functions. What is found stays
# in build/valgrind.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
files=("$@")
(($#)) || files=(
    t/calls/http.t
    t/hostcalls/{buffer,header_map_request,header_map_response,local_response,pairs,pointers,property,shared_data,wasi}.t
    t/lua/chain.t
    t/nginx/{body_filter,reload,request_end}.t
    t/plugin/{contexts,deadline,load,recovery}.t
    t/shared/queue.t
)

# name_loader DIR: puts Debian 13's loader there with the names of its functions, without which memcheck does not start.
name_loader() {
    local dir="${*: -1}" id
    fetch_debs trixie libc6-dbg "$dir"
    id=$(readelf -n "$TRIXIE_LOADER" | sed -n 's/.*Build ID: //p')
    eu-unstrip "$TRIXIE_LOADER" "$dir/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug" -o "$dir/ld.so"
    chmod 755 "$dir/ld.so"
    rm -rf "${dir:?}/usr"
}

ci/deps.sh build demo test memcheck
ci/guests.sh
use_engine
if [[ ! ${PROXY_WASM_LIB_DIR-} ]]; then
    # The names of functions are in the reports then; what was compiled for the library itself is used again.
    build=("${CARGO:-cargo}")
    if [[ $WASM_VM == wasmedge ]]; then
        ci/deps.sh wasmedge
        build=(ci/cargo-wasmedge.sh)
    fi
    CARGO_BUILD_BUILD_DIR=target "${build[@]}" rustc --release --locked --lib --crate-type cdylib --target-dir "build/valgrind-$WASM_VM" -- -Cstrip=none
    PROXY_WASM_LIB_DIR=$ROOT/build/valgrind-$WASM_VM/release
fi

VALGRIND_LOADER=
if [[ $WASM_VM == wasmedge ]]; then
    take_over wasmedge.sh
    if [[ $WASMEDGE_NGINX == nginx-trixie.sh ]]; then
        take_over nginx-trixie.sh --with-wasmedge
        install_tool valgrind-loader 1 name_loader
        VALGRIND_LOADER=$TOOLS/valgrind-loader/ld.so
        export TRIXIE_ROOT TRIXIE_LIB
    fi
fi
export VALGRIND_LOADER

logs=$ROOT/build/valgrind/$WASM_VM
rm -rf "$logs"
mkdir -p "$logs"
# Everything takes some twenty times as long, which some tests do not pass: that is not what is looked at here.
NGINX_WRAPPER=$ROOT/ci/valgrind-nginx VALGRIND_LOGS=$logs VALGRIND_SUPPRESSIONS=$ROOT/ci/valgrind.suppress \
    PROXY_WASM_LIB_DIR=$PROXY_WASM_LIB_DIR TEST_NGINX_TIMEOUT=${TEST_NGINX_TIMEOUT:-60} T_TIMEOUT=${T_TIMEOUT:-7200} \
    ci/t.sh "${files[@]}" || say "some tests failed"

# What is said of each process, once; the same in several is counted.
perl -0777 -ne '
    $processes++;
    $ended++ if /ERROR SUMMARY/;
    s/^==\d+== ?//mg;
    for my $block (split /\n\n+/) {
        # Where it was when a test ended it is no error.
        next if $block !~ /^ +at 0x/m || $block =~ /signal 15 /;
        $lost += $1 =~ tr/,//dr if $block =~ /^([\d,]+) .*definitely lost/m;
        (my $key = $block) =~ s/0x[0-9A-F]+|[\d,]+ (?:\([^)]*\) )?bytes in [\d,]+ blocks|loss record.*//g;
        $seen{$key}++ or $text{$key} = $block;
    }
    END {
        print "$text{$_}\n($seen{$_} times)\n\n" for sort { $seen{$b} <=> $seen{$a} } keys %seen;
        printf "%d processes, %d of them ended by themselves: %d errors, %d bytes lost\n", $processes, $ended, scalar keys %seen, $lost;
        exit(%seen || !$ended ? 1 : 0);
    }
' "$logs"/* | tee "$logs.txt"

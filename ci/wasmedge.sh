#!/usr/bin/env bash
# ci/wasmedge.sh [--installed]: WasmEdge 0.14 to build the feature `wasmedge` with and to test it on. That is the system's own; where
# there is none, Debian trixie's, in a folder and with a loader of its own, unless --installed asks for one that nginx would find. Prints
#
#   WASMEDGE_INCLUDE_DIR, WASMEDGE_LIB_DIR   what the crate wasmedge-sys reads
#   WASMEDGE_RUNNER                          what a program that loads WasmEdge is started with; empty for the system's own
#   WASMEDGE_NGINX                           the script beside this one that has an nginx for it
#   LD_LIBRARY_PATH                          only where the system's loader does not know the folder

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
wanted=0.14
others=()

# find_wasmedge: sets `include` and `library`, and `others` to what has another version.
find_wasmedge() {
    local prefix found
    others=()
    for prefix in /usr/local /usr "$HOME/.wasmedge" "$HOME/.local"; do
        include="$prefix/include"
        found=$(sed -n 's/^#define WASMEDGE_VERSION "\(.*\)"/\1/p' "$include/wasmedge/version.h" 2>/dev/null) || continue
        for library in "$prefix"/lib/*-linux-gnu/libwasmedge.so "$prefix"/lib{64,}/libwasmedge.so; do
            [[ -e $library ]] || continue
            [[ $found != "$wanted".* ]] || return 0
            others+=("$found in $prefix")
        done
    done
    return 1
}

packaged() {
    local candidate
    command -v apt-cache >/dev/null || return
    # A fresh image has no lists.
    [[ $EUID != 0 ]] || compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || apt-get update >&2
    candidate=$(apt-cache policy libwasmedge-dev 2>/dev/null | sed -n 's/^ *Candidate: //p')
    [[ $candidate == "$wanted".* ]]
}

# link_folder LIBRARY: wasmedge-sys adds its folder to the linker's and the loader's, so it may hold nothing else.
link_folder() {
    local folder="$TOOLS/wasmedge-link"
    if [[ $(readlink "$folder/libwasmedge.so") != "$1" ]]; then
        mkdir -p "$folder"
        ln -s "$1" "$folder/.libwasmedge.so.$$"
        mv -T "$folder/.libwasmedge.so.$$" "$folder/libwasmedge.so"
    fi
    print_var WASMEDGE_LIB_DIR "$folder"
}

if ! find_wasmedge && packaged; then
    apt_install libwasmedge-dev
fi
if find_wasmedge; then
    print_var WASMEDGE_INCLUDE_DIR "$include"
    link_folder "$library"
    print_var WASMEDGE_RUNNER ""
    print_var WASMEDGE_NGINX nginx.sh
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
    [[ $known == *libwasmedge.so.0* ]] ||
        print_var LD_LIBRARY_PATH "$(dirname "$library")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
elif [[ ${1-} == --installed ]]; then
    say "WasmEdge $wanted is needed, with its C header; ${others[*]:+found: }${others[*]:-none is installed}"
    die "please install version 0.14.1, see https://wasmedge.org/docs/start/install/ (its installer takes \`-v 0.14.1 -p /usr/local\`)"
else
    vars="$("$here/nginx-trixie.sh" --with-wasmedge)"
    eval "$vars"
    print_var WASMEDGE_INCLUDE_DIR "$TRIXIE_ROOT/usr/include"
    link_folder "$TRIXIE_LIB/libwasmedge.so"
    print_var WASMEDGE_RUNNER "$TRIXIE_LOADER" --library-path "$TRIXIE_LIB"
    print_var WASMEDGE_NGINX nginx-trixie.sh
fi

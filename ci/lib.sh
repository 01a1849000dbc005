# shellcheck shell=bash
# Shared by the scripts beside it: source it, do not run it.
# Results go to stdout as NAME=value lines for `eval`; everything else to stderr.

set -euo pipefail

# shellcheck disable=SC2034 # for those who source this
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TOOLS="${TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/resty-proxy-wasm}"

say() { printf '%s\n' "ci: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# print_var NAME VALUE...: one shell-quoted assignment.
print_var() {
    local name=$1
    shift
    printf '%s=%q\n' "$name" "$*"
}

# quietly LABEL COMMAND...: show the output only if the command fails.
# Not usable as a condition, where bash would ignore `set -e` inside COMMAND.
quietly() (
    local label=$1 log
    shift
    log="$(mktemp)"
    trap 'tail -n 40 "$log" >&2; rm -f "$log"; say "$label: failed"' EXIT
    say "$label"
    ("$@") >"$log" 2>&1
    trap - EXIT
    rm -f "$log"
)

# install_tool NAME VERSION COMMAND...: fill $TOOLS/NAME unless that version is
# there. COMMAND gets a temporary folder as its last argument, which is moved
# into place once complete, so what it writes must not hold its own path.
install_tool() {
    local name=$1 version=$2 temp
    shift 2
    tool_is "$name" "$version" && return

    mkdir -p "$TOOLS"
    exec 9>"$TOOLS/.$name.lock"
    flock 9
    if ! tool_is "$name" "$version"; then
        rm -rf "$TOOLS/.$name".new.*
        temp="$(mktemp -d "$TOOLS/.$name.new.XXXXXX")"
        chmod 755 "$temp"
        quietly "preparing $name in $TOOLS" "$@" "$temp"
        echo "$version" >"$temp/.version"
        rm -rf "${TOOLS:?}/$name"
        mv "$temp" "$TOOLS/$name"
    fi
    exec 9>&-
}

tool_is() { [[ "$(cat "$TOOLS/$1/.version" 2>/dev/null)" == "$2" ]]; }

# apt_install PACKAGE...: install those that are missing.
apt_install() {
    local missing=() package
    for package; do
        [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    command -v apt-get >/dev/null ||
        die "this machine has no apt-get; please install what Debian calls: ${missing[*]}"
    ((EUID == 0)) ||
        die "please install as root: apt-get install --no-install-recommends ${missing[*]}"
    quietly "installing ${missing[*]}" apt_install_now "${missing[@]}"
}

# Debian starts a service when it is installed, unless policy-rc.d forbids it.
apt_install_now() (
    policy=/usr/sbin/policy-rc.d
    export DEBIAN_FRONTEND=noninteractive
    # A source of the user's that cannot be reached need not be one we need.
    apt-get update || true
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get install -y --no-install-recommends "$@"
)

# fetch_debs [--with-depends] SUITE PACKAGE... DIR: download from that Debian
# suite and unpack into DIR. Uses an apt of its own: the system's sources, lists
# and package cache are neither read nor written.
fetch_debs() {
    local depends=
    [[ $1 == --with-depends ]] && depends=1 && shift
    local suite=$1 dir="${*: -1}" apt
    apt="$dir/.apt"
    set -- "${@:2:$#-2}"
    mkdir -p "$apt"/{lists/partial,archives/partial}
    : >"$apt/status"
    debian_sources "$suite" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Cache::archives "$apt/archives";
Dir::Cache::pkgcache "$apt/pkgcache.bin";
Dir::Cache::srcpkgcache "$apt/srcpkgcache.bin";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
APT::Sandbox::User "root";
#clear Acquire::IndexTargets::deb::DEP-11;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
    # By -c it is read after the system's own configuration, and so wins.
    apt-get -c "$apt/apt.conf" update
    if [[ $depends ]]; then
        apt-get -c "$apt/apt.conf" install -y --download-only --no-install-recommends "$@"
    else
        (cd "$apt/archives" && apt-get -c "$apt/apt.conf" download "$@")
    fi

    local deb
    for deb in "$apt"/archives/*.deb; do
        dpkg-deb -x "$deb" "$dir"
    done
    rm -rf "$apt"
}

# The mirrors that the system itself uses, with the same paths for other suites.
debian_sources() {
    local suite=$1 key=/usr/share/keyrings/debian-archive-keyring.gpg main security
    main="$(debian_mirror Debian)"
    security="$(debian_mirror Debian-Security)"
    echo "deb [signed-by=$key] $main $suite main"
    [[ $suite == sid ]] || echo "deb [signed-by=$key] $security $suite-security main"
}

# debian_mirror LABEL: where the system gets that archive from.
debian_mirror() {
    local found
    found="$(find_mirror "$1")"
    if [[ ! $found ]]; then
        # What an archive is called is known only once its lists are there.
        [[ $EUID != 0 ]] || apt-get update >&2
        found="$(find_mirror "$1")"
    fi
    [[ $found ]] || die "apt knows no mirror of $1: look at its sources and run apt-get update"
    echo "$found"
}

find_mirror() {
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk -v label="$1" '$1 == label && !seen++ { print $2 }'
}

# take_over SCRIPT [ARGUMENT...]: sets what that script of this folder prints.
take_over() {
    local vars
    vars="$("$ROOT/ci/$1" "${@:2}")"
    eval "$vars"
}

# use_engine: sets WASM_VM where it is not, and LIBRARY_DIR to the folder of the library that has this engine.
# shellcheck disable=SC2034 # for those who source this
use_engine() {
    WASM_VM=${WASM_VM:-wasmtime}
    case $WASM_VM in
        wasmtime) LIBRARY_DIR="$ROOT/target/release" ;;
        wasmedge) LIBRARY_DIR="$ROOT/build/wasmedge/release" ;;
        *) die "WASM_VM is $WASM_VM: it must be wasmtime or wasmedge" ;;
    esac
}

# use_nginx SCRIPT: takes over what that script prints about its nginx, or with WasmEdge about the one in which that can be loaded.
use_nginx() {
    local script=$1
    if [[ $WASM_VM == wasmedge ]]; then
        take_over wasmedge.sh
        [[ ! ${LD_LIBRARY_PATH-} ]] || export LD_LIBRARY_PATH
        script=$WASMEDGE_NGINX
    fi
    take_over "$script"
}

# `openresty` in PATH is a link to its nginx.
find_openresty() {
    local nginx
    for nginx in "$(command -v openresty)" /usr/local/openresty/nginx/sbin/nginx; do
        [[ -x "$nginx" ]] && echo "$nginx" && return
    done
    return 1
}

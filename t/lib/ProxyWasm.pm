# What every .t file of this suite stands on: Test::Nginx with the library loaded and defaults, so that a block shows only
# what differs.
#
# WASM_VM chooses the engine, and WASMEDGE_AOT (auto, on, off) what WasmEdge compiles.
#
# Sections of a block beside those of Test::Nginx::Socket:
#
#   --- init_by_lua  Lua that runs in init_by_lua after `wasm = require("resty.proxy-wasm")`
#   --- no_vm        no directive `wasm_vm`
#   --- http         more of the context http; `--- http_config` replaces all of it
#
# Lua sees `guests` and `wat`, the folders of compiled guests and of .wat files, each with a slash at the end, and the functions
#
#   load(name[, opts])      loads a guest by file name: "script.wasm" from `guests`, "x.wat" from `wat`
#   configure(name, conf)   a plugin context of it, made once in a process for the same arguments
#
# Defaults: GET /t, status 200, nothing at level error or above in the log, no worker that died.

package ProxyWasm;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

our ($root, $library, $vm);

# Test::Nginx reads its environment when it is loaded
BEGIN {
    $root = abs_path(dirname(__FILE__) . '/../..');
    $library = $ENV{PROXY_WASM_LIB_DIR} // "$root/target/release";
    $vm = $ENV{WASM_VM} // 'wasmtime';
    $ENV{TEST_NGINX_LOAD_MODULES} = join ' ', grep { $_ } $ENV{TEST_NGINX_LOAD_MODULES},
        "$library/libresty_proxy_wasm.so";
}

use Test::Nginx::Socket -Base;

our @EXPORT = (@Test::Nginx::Socket::EXPORT, qw($root $library $vm));

# a worker that runs as another user could read nothing below a private home
master_process_enabled(0) unless $ENV{TEST_NGINX_MASTER};
no_long_string();
log_level('info');

my $paths = sprintf <<'_EOC_', ($ENV{LUA_PATH_PREFIX} // ''), $root, ($ENV{LUA_CPATH_PREFIX} // ''), $library;
lua_package_path "%s%s/lib/?.lua;;";
lua_package_cpath "%s%s/?.so;;";
_EOC_

my $prelude = <<"_EOC_";
guests = "$root/build/guests/"
wat = "$root/t/plugins/wat/"
wasm = require("resty.proxy-wasm")

function load(name, opts)
    local folder = name:find("%.wat\$") and wat or guests
    return wasm.load(name:match("^(.*)%."), folder .. name, opts)
end

local contexts, plugins = {}, {}

function configure(name, conf)
    local key = name .. "\\0" .. conf
    if not contexts[key] then
        plugins[name] = plugins[name] or assert(load(name))
        contexts[key] = assert(wasm.on_configure(plugins[name], conf))
    end
    return contexts[key]
end
_EOC_

add_block_preprocessor(sub {
    my $block = shift;

    if (!defined $block->http_config) {
        my $init = $block->init_by_lua // '';
        my $more = $block->http // '';
        my $directive = defined $block->no_vm ? '' : "wasm_vm $vm;";
        $directive .= "\nwasmedge_aot $ENV{WASMEDGE_AOT};" if $directive && $ENV{WASMEDGE_AOT};
        $block->set_value(http_config => <<"_EOC_");
$paths
$directive
init_by_lua_block {
$prelude
$init
}
$more
_EOC_
    }

    if (!defined $block->request && !defined $block->raw_request
        && !defined $block->pipelined_requests && !defined $block->http2)
    {
        $block->set_value(request => 'GET /t');
    }

    if (!defined $block->no_error_log && !defined $block->error_log_allowed) {
        $block->set_value(no_error_log => "[error]\n[crit]\n[alert]\n[emerg]\n");
    }
});

1;

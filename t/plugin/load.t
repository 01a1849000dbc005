# What is no plugin, or a bad one, is refused with an error that says which and why, and the worker goes on.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;

# Every block runs its Lua and then another plugin in the same worker, which adds `hello: world`.
add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<'_EOC_');
-- Takes a plugin through load, on_configure and a request's headers; says how far it came.
function try(file, opts, conf)
    local plugin, err = load(file, opts)
    if not plugin then
        return ngx.say("load: ", err)
    end

    local ctx, err = wasm.on_configure(plugin, conf or "x")
    if not ctx then
        return ngx.say("on_configure: ", err)
    end

    local ok, err = wasm.on_http_request_headers(ctx)
    if not ok then
        return ngx.say("on_http_request_headers: ", err)
    end

    ngx.say("ok")
    return plugin, ctx
end

-- A file with that content.
function file(content)
    local path = ngx.config.prefix() .. "html/plugin.wasm"
    local handle = assert(io.open(path, "wb"))
    handle:write(content)
    handle:close()
    return path
end

-- What becomes of loading a file by its path.
function refuse(name, path)
    local plugin, err = wasm.load(name, path)
    ngx.say(tostring(plugin), " ", err)
end
_EOC_

    $block->set_value(config => sprintf <<'_EOC_', $block->lua);
location /t {
    content_by_lua_block {
        %s
    }
    header_filter_by_lua_block {
        assert(wasm.on_http_response_headers(configure("add-header.wat", "x")))
    }
}
_EOC_
    $block->set_value(response_headers => 'hello: world');
    if (defined $block->error_log) {
        $block->set_value(no_error_log => "[crit]\n[alert]\n[emerg]\n");
    } elsif (!defined $block->wasm_log && !defined $block->problems) {
        $block->set_value(problems => "");
    }
});

run_tests();

__DATA__

=== TEST 1: no file: the system's message
--- lua
refuse("gone", "/nowhere/plugin.wasm")
--- response_body
nil /nowhere/plugin.wasm: No such file or directory



=== TEST 2: a directory: the system's message
--- lua
refuse("folder", "/tmp")
--- response_body
nil /tmp: Is a directory



=== TEST 3: an empty file is said to be empty
--- lua
refuse("nil", "/dev/null")
--- response_body
nil failed to load wasm plugin
--- error_log eval
qr{\[error\] .*proxy-wasm nil: failed to load "/dev/null": .*\bempty\b}



=== TEST 4: a web page in place of a plugin
--- lua
refuse("page", file("<html>\n<title>404</title>\n</html>\n"))
--- response_body
nil failed to load wasm plugin
--- error_log eval
qr{\[error\] .*proxy-wasm page: failed to load ".*/plugin\.wasm": neither a WebAssembly module nor the text form of one$}



=== TEST 5: bytes that are no text
--- lua
refuse("bytes", file("\0\1\2\255\254"))
--- response_body
nil failed to load wasm plugin
--- error_log eval
qr{\[error\] .*proxy-wasm bytes: failed to load ".*/plugin\.wasm": neither a WebAssembly module nor the text form of one$}



=== TEST 6: a truncated file, wherever it ends
--- lua
local handle = assert(io.open(guests .. "sdk-filter.wasm", "rb"))
local code = handle:read("*a")
handle:close()

local failed = 0
for _, size in ipairs({ 4, 7, 8, 9, 100, 5000, #code / 2, #code - 1 }) do
    local plugin, err = wasm.load("cut", file(code:sub(1, size)))
    if not plugin and err == "failed to load wasm plugin" then
        failed = failed + 1
    end
end
ngx.say(failed)
--- response_body
8
--- error_log eval
qr{\[error\] .*proxy-wasm cut: failed to load ".*/plugin\.wasm": not a WebAssembly module that can be used: .*unexpected end}



=== TEST 7: an error in the text of a .wat file
--- lua
refuse("text", file("(module (func $f (i32.add)))"))
--- response_body
nil failed to load wasm plugin
--- error_log eval
qr{\[error\] .*proxy-wasm text: failed to load ".*/plugin\.wasm": not a WebAssembly module that can be used: .*type mismatch}



=== TEST 8: no memory exported
--- lua
try("no-memory.wat")
--- response_body
load: failed to load wasm plugin
--- problems
no-memory: failed to load "ROOT/t/plugins/wat/no-memory.wat": exports no memory named "memory"



=== TEST 9: no ABI version
--- lua
try("no-abi-version.wat")
--- response_body
load: failed to load wasm plugin
--- problems
no-abi-version: failed to load "ROOT/t/plugins/wat/no-abi-version.wat": exports no proxy_abi_version_0_1_0, proxy_abi_version_0_2_0, proxy_abi_version_0_2_1 or proxy_abi_version_0_2_100, so it is not a Proxy-Wasm plugin



=== TEST 10: a hostcall imported with another type
--- lua
try("import-wrong-type.wat")
--- response_body
load: failed to load wasm plugin
--- problems
import-wrong-type: failed to load "ROOT/t/plugins/wat/import-wrong-type.wat": import "env.proxy_log" has type (i64) -> (i32), the host's has (i32, i32, i32) -> (i32)



=== TEST 11: an import that is not a function
--- lua
refuse("global", file([[(module
    (import "env" "__stack_pointer" (global i32))
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1")))]]))
--- response_body
nil failed to load wasm plugin
--- error_log eval
qr{\[error\] .*proxy-wasm global: failed to load ".*": .*import "env\.__stack_pointer" is not a function}



=== TEST 12: imports that nobody knows: a stub and one warning each
--- lua
try("unknown-import.wat")
--- response_body
ok
--- wasm_log
unknown-import: import "env.some_unknown" is unknown, a stub stands in for it
unknown-import: import "env.another_unknown" is unknown, a stub stands in for it
unknown-import: import "elsewhere.unknown" is unknown, a stub stands in for it
unknown-import: some_unknown -> 12



=== TEST 13: an unknown import without a status to answer with traps, and names itself
--- lua
try("unknown-import-trap.wat")
--- response_body
on_http_request_headers: failed to run proxy_on_http_request_headers
--- problems
unknown-import-trap: import "env.another_unknown" is unknown, a stub stands in for it
unknown-import-trap: proxy_on_request_headers trapped: env.another_unknown is not a function of this host



=== TEST 14: the start function traps
--- lua
try("start-traps.wat")
--- response_body
load: failed to load wasm plugin
--- problems
start-traps: the start function trapped: wasm trap: wasm `unreachable` instruction executed
start-traps: failed to load "ROOT/t/plugins/wat/start-traps.wat": the start function trapped: wasm trap: wasm `unreachable` instruction executed



=== TEST 15: _initialize traps
--- lua
try("initialize-traps.wat")
--- response_body
load: failed to load wasm plugin
--- problems
initialize-traps: _initialize trapped: wasm trap: wasm `unreachable` instruction executed
initialize-traps: failed to load "ROOT/t/plugins/wat/initialize-traps.wat": _initialize trapped: wasm trap: wasm `unreachable` instruction executed



=== TEST 16: proxy_on_configure returns false
--- lua
try("configure-false.wat")
--- response_body
on_configure: failed to run proxy_on_configure
--- problems
configure-false: proxy_on_configure returned false



=== TEST 17: proxy_on_configure traps
--- lua
try("configure-traps.wat")
--- response_body
on_configure: failed to run proxy_on_configure
--- problems
configure-traps: proxy_on_configure trapped: wasm trap: wasm `unreachable` instruction executed



=== TEST 18: proxy_on_vm_start returns false, each time
--- lua
try("vm-start-false.wat")
local plugin = load("vm-start-false.wat")
ngx.say(select(2, wasm.on_configure(plugin, "x")))
ngx.say(select(2, wasm.on_configure(plugin, "y")))
--- response_body
on_configure: failed to run proxy_on_configure
failed to run proxy_on_configure
failed to run proxy_on_configure
--- problems
vm-start-false: proxy_on_vm_start returned false
vm-start-false: proxy_on_vm_start returned false
vm-start-false: proxy_on_vm_start returned false



=== TEST 19: a refused configuration leaves nothing behind, and the next is taken
--- lua
local plugin = load("script.wasm")
for _ = 1, 3 do
    ngx.say(select(2, wasm.on_configure(plugin, "on_configure return false")))
end
ngx.say(wasm.info(plugin).contexts)
local ctx = wasm.on_configure(plugin, "on_configure args\non_configure count calls")
ngx.say(wasm.info(plugin).contexts)
--- response_body
failed to run proxy_on_configure
failed to run proxy_on_configure
failed to run proxy_on_configure
0
1
--- wasm_log
script: proxy_on_configure returned false
script: proxy_on_configure returned false
script: proxy_on_configure returned false
script: on_configure args: 1 42
script: on_configure count calls 1



=== TEST 20: a configuration that traps does not spoil the plugin
--- lua
local plugin = load("script.wasm")
ngx.say(select(2, wasm.on_configure(plugin, "on_configure trap")))
local ctx = assert(wasm.on_configure(plugin, "on_request_headers count calls"))
ngx.say(wasm.on_http_request_headers(ctx))
--- response_body
failed to run proxy_on_configure
true
--- wasm_log
script: proxy_on_configure trapped: wasm trap: wasm `unreachable` instruction executed
script: on_request_headers count calls 1



=== TEST 21: the configuration is a string that is not empty
--- lua
local plugin = load("script.wasm")
for _, conf in ipairs({ "", 1, true, {} }) do
    ngx.say(select(2, wasm.on_configure(plugin, conf)))
end
ngx.say(select(2, wasm.on_configure(plugin)))
ngx.say(select(2, wasm.on_configure(plugin, ngx.null)))
--- response_body
bad conf
bad conf
bad conf
bad conf
bad conf
bad conf



=== TEST 22: a configuration of any bytes and a megabyte
--- lua
local plugin = load("script.wasm")
local conf = "# \0\255\n" .. ("#" .. ("x"):rep(1023)):rep(1024) .. "\non_configure args"
ngx.say(#conf)
local ctx = assert(wasm.on_configure(plugin, conf))
--- response_body
1048599
--- wasm_log
script: on_configure args: 1 1048599



=== TEST 23: options reach the plugin
--- lua
local ctx = assert(wasm.on_configure(load("script.wasm", {
    root_id = "my_root",
    vm_id = "my_vm",
    vm_config = "on_vm_start get_buffer_bytes 6 0 100\non_vm_start args",
    env = { TZ = "UTC", EMPTY = "" },
}), [[
on_configure get_property plugin_root_id
on_configure get_property plugin_vm_id
on_configure get_property plugin_name
on_configure env TZ
on_configure env EMPTY
on_configure env HOME
]]))
--- wasm_log
script: on_vm_start get_buffer_bytes -> 0 "on_vm_start get_buffer_bytes 6 0 100\x0aon_vm_start args"
script: on_vm_start args: 1 53
script: on_configure get_property -> 0 "my_root"
script: on_configure get_property -> 0 "my_vm"
script: on_configure get_property -> 0 "script"
script: on_configure env TZ "UTC"
script: on_configure env EMPTY ""
script: on_configure env HOME unset



=== TEST 24: an unknown option raises an error where it was given
--- lua
ngx.say(select(2, pcall(function()
    wasm.load("x", guests .. "script.wasm", { rootid = "x" })
end)))
--- response_body_like eval
qr{^content_by_lua\(nginx.conf:\d+\):3: unknown option "rootid"\n$}



=== TEST 25: an allocator without memory: a status
--- lua
try("allocator-null.wat")
--- response_body
ok
--- wasm_log
allocator-null: get_property -> 6
allocator-null: get_header_map_value -> 6



=== TEST 26: an allocator that hands out memory that is not there: a status
--- lua
try("allocator-lies.wat")
--- response_body
ok
--- wasm_log
allocator-lies: get_header_map_value -> 6
allocator-lies: get_header_map_value -> 6
allocator-lies: get_header_map_value -> 6



=== TEST 27: an allocator that traps
--- lua
try("allocator-traps.wat")
--- response_body
on_http_request_headers: failed to run proxy_on_http_request_headers
--- problems
allocator-traps: proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed



=== TEST 28: an allocator that moves the memory
--- more_headers
x-value: 0123456789
--- lua
try("allocator-grows.wat")
ngx.say(ngx.req.get_headers()["x-copy"])
--- response_body
ok
0123456789
--- wasm_log
allocator-grows: allocator-grows



=== TEST 29: callbacks are called with as many arguments as they take
--- lua
local plugin, ctx = try("arity.wat")
assert(wasm.on_http_response_headers(ctx))
--- response_body
ok
--- wasm_log
arity: on_context_create takes 1
arity: on_configure takes 0
arity: on_context_create takes 1
arity: on_request_headers takes 2
arity: on_response_headers takes 3
arity: on_log takes 0



=== TEST 30: arguments beyond those of the ABI are 0
--- lua
try("arity-more.wat")
--- response_body
ok



=== TEST 31: a callback of a wrong type is refused, as in other hosts
--- lua
try("callback-wrong-type.wat")
--- response_body
load: failed to load wasm plugin
--- error_log eval
qr{\[error\] .*proxy-wasm callback-wrong-type: failed to load "\S+": .*proxy_on_request_headers}



=== TEST 32: every callback is optional, and the allocator
--- lua
local plugin, ctx = try("empty.wat")
ngx.say(wasm.on_http_request_body(ctx, "body", true))
ngx.say(wasm.on_http_response_headers(ctx))
ngx.say(wasm.info(plugin).contexts)
--- response_body
ok
true
true
2
--- wasm_log



=== TEST 33: without proxy_on_log the rest of the end runs
--- lua
try("no-on-log.wat")
--- response_body
ok
--- wasm_log
no-on-log: on_done
no-on-log: on_delete



=== TEST 34: endless recursion ends with the stack, in the log
--- lua
try("recursion.wat")
--- response_body
on_http_request_headers: failed to run proxy_on_http_request_headers
--- error_log eval
# WasmEdge 0.14 has no backtrace
[qr{\[error\] .*proxy-wasm recursion: proxy_on_request_headers trapped: wasm trap: call stack exhausted, client},
$::vm eq 'wasmedge' ? () : qr{\[error\] .* 19: +0x\w+ - .*!deeper, client}]



=== TEST 35: proc_exit ends the plugin's instance and not the worker
--- lua
try("proc-exit.wat")
try("script.wasm", nil, "on_request_headers exit 0")
--- response_body
on_http_request_headers: failed to run proxy_on_http_request_headers
on_http_request_headers: failed to run proxy_on_http_request_headers
--- problems
proc-exit: proxy_on_request_headers trapped: proc_exit(3)
script: proxy_on_request_headers trapped: proc_exit(0)



=== TEST 36: hostcalls of 0.1.0 imported without a result
--- lua
local plugin, ctx = try("continue-without-result.wat")
ngx.say(wasm.on_http_response_headers(ctx))
--- response_body
ok
true



=== TEST 37: a panic of a Rust plugin: its words, then the trap
--- lua
try("script.wasm", nil, "on_request_headers panic gone wrong")
--- response_body
on_http_request_headers: failed to run proxy_on_http_request_headers
--- error_log eval
[qr/\[error\] .*gone wrong/,
qr/\[error\] .*proxy-wasm script: proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed, client/]



=== TEST 38: a plugin in ABI 0.1.0, 0.2.0, 0.2.1 and 0.2.100
--- lua
for _, name in ipairs({ "script-0-1-0", "script-0-2-0", "script", "script-0-2-100" }) do
    ngx.say(wasm.info((try(name .. ".wasm"))).abi_version)
end
--- response_body
ok
0.1.0
ok
0.2.0
ok
0.2.1
ok
0.2.100
--- error_log eval
qr/script: x: /



=== TEST 39: the same file twice is two plugins
--- lua
local a, b = load("script.wasm"), load("script.wasm")
local one = assert(wasm.on_configure(a, "on_request_headers count calls"))
local two = assert(wasm.on_configure(b, "on_request_headers count calls"))
ngx.say(wasm.info(a).contexts, wasm.info(b).contexts, " ", wasm.info(a).hash == wasm.info(b).hash)
assert(wasm.on_http_request_headers(one))
assert(wasm.on_http_request_headers(two))
--- response_body
11 true
--- wasm_log
script: on_request_headers count calls 1
script: on_request_headers count calls 1

# A trap costs the requests that its instance was working on, and nothing else.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(init_by_lua => <<'_EOC_');
-- A plugin of its own that counts how often it started.
function new()
    return assert(load("script.wasm", { vm_config = "on_vm_start count started" }))
end
_EOC_
});

run_tests();

__DATA__

=== TEST 1: error, cause and the guest's backtrace are in the log, with the request
--- lua
run(configure("script.wasm", "on_request_headers trap"))
--- response_body_like
^200 hello: failed to run proxy_on_http_request_headers[^\n]*
--- error_log eval
# WasmEdge 0.14 has no backtrace
my @backtrace = $::vm eq 'wasmedge' ? () : qr{\[error\] \S+ \*\d+ proxy-wasm script: +0: +0x\w+ - \S+!.*, client: 127};
[qr{\[error\] \S+ \*\d+ proxy-wasm script: proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed, client: 127},
@backtrace]
--- error_log_allowed
--- no_error_log
[crit]
[alert]
[emerg]



=== TEST 2: after a trap in proxy_on_request_headers every call of the request fails, once logged
--- lua
run(configure("script.wasm", "on_request_headers trap\non_response_headers args\non_log args"))
--- response_body
200 hello: failed to run proxy_on_http_request_headers, failed to run proxy_on_http_request_body, failed to run proxy_on_http_response_headers, failed to run proxy_on_http_response_body, failed to run proxy_on_http_response_body
--- wasm_log
script: proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_request_body cannot run: the VM of this request trapped earlier



=== TEST 3: a trap in proxy_on_request_body
--- lua
run(configure("script.wasm", "on_request_body trap"))
--- response_body
200 hello: failed to run proxy_on_http_request_body, failed to run proxy_on_http_response_headers, failed to run proxy_on_http_response_body, failed to run proxy_on_http_response_body
--- problems
script: proxy_on_request_body trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_response_headers cannot run: the VM of this request trapped earlier



=== TEST 4: a trap in proxy_on_response_headers
--- lua
run(configure("script.wasm", "on_response_headers trap"))
--- response_body
200 hello: failed to run proxy_on_http_response_headers, failed to run proxy_on_http_response_body, failed to run proxy_on_http_response_body
--- problems
script: proxy_on_response_headers trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_response_body cannot run: the VM of this request trapped earlier



=== TEST 5: a trap in proxy_on_response_body, the body held back before goes on
--- lua
run(configure("script.wasm", "on_response_body return pause\non_response_body@end trap"))
--- response_body
200 hello: failed to run proxy_on_http_response_body
--- problems
script: proxy_on_response_body trapped: wasm trap: wasm `unreachable` instruction executed



=== TEST 6: a trap in proxy_on_done, proxy_on_log or proxy_on_delete is logged
--- lua
run(configure("script.wasm", "on_done trap"))
run(configure("script.wasm", "on_log trap"))
run(configure("script.wasm", "on_delete trap"))
run(configure("script.wasm", "on_log count calls"))
--- response_body
200 hello
200 hello
200 hello
200 hello
--- wasm_log
script: proxy_on_done trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_log trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_delete trapped: wasm trap: wasm `unreachable` instruction executed
script: on_log count calls 1



=== TEST 7: a trap in a stream's proxy_on_context_create is the error of the call that made it
--- lua
run(configure("script.wasm", "on_context_create trap"))
--- response_body_like
^200 hello: failed to run proxy_on_http_request_headers[^\n]*
--- error_log
proxy-wasm script: proxy_on_context_create trapped: wasm trap: wasm `unreachable` instruction executed, client
--- error_log_allowed
--- no_error_log
[crit]
[alert]
[emerg]



=== TEST 8: the next request gets a fresh instance, configured anew
--- lua
local plugin = new()
local counts = assert(wasm.on_configure(plugin, "on_configure count configured\non_request_headers count requests"))
local traps = assert(wasm.on_configure(plugin, "on_configure count other\non_request_body trap"))
run(counts)
run(counts)
run(traps)
run(counts)
run(counts)
--- response_body
200 hello
200 hello
200 hello: failed to run proxy_on_http_request_body, failed to run proxy_on_http_response_headers, failed to run proxy_on_http_response_body, failed to run proxy_on_http_response_body
200 hello
200 hello
--- wasm_log
script: on_vm_start count started 1
script: on_configure count configured 1
script: on_configure count other 1
script: on_request_headers count requests 1
script: on_request_headers count requests 2
script: proxy_on_request_body trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_response_headers cannot run: the VM of this request trapped earlier
script: on_vm_start count started 1
script: on_configure count configured 1
script: on_request_headers count requests 1
script: on_request_headers count requests 2



=== TEST 9: every way to die: trap, panic, exit, recursion
--- lua
for _, death in ipairs({ "trap", "exit 0", "exit 1", "recurse" }) do
    run(configure("script.wasm", "on_request_headers " .. death))
    run(configure("script.wasm", "on_request_headers count after"))
end
--- response_body_like eval
qr{^(200 hello: failed to run proxy_on_http_request_headers[^\n]*\n200 hello\n){4}$}
--- grep_error_log eval
qr/(?:count after \d|request_headers trapped: .*?)(?=, client| while )/
--- grep_error_log_out
request_headers trapped: wasm trap: wasm `unreachable` instruction executed
count after 1
request_headers trapped: proc_exit(0)
count after 1
request_headers trapped: proc_exit(1)
count after 1
request_headers trapped: wasm trap: call stack exhausted
count after 1
--- error_log_allowed



=== TEST 10: a stream in flight on the same instance gets an error from its next call, once logged, and its request its response
--- config
location /slow {
    access_by_lua_block {
        ngx.ctx.failed = {}
        assert(wasm.on_http_request_headers(share.slow))
        ngx.sleep(0.2)
        ngx.ctx.failed[1] = select(2, wasm.on_http_request_body(share.slow, nil, true))
    }
    content_by_lua_block { ngx.print("slow, ", ngx.ctx.failed[1]) }
    header_filter_by_lua_block {
        ngx.header["x-failed"] = select(2, wasm.on_http_response_headers(share.slow))
    }
}
--- lua
local plugin = new()
share.slow = assert(wasm.on_configure(plugin, "on_request_headers count slow\non_log args"))
ngx.update_time()
local thread = ngx.thread.spawn(request, "GET /slow")
ngx.sleep(0.05)
run(assert(wasm.on_configure(plugin, "on_request_headers trap")))
local _, res = ngx.thread.wait(thread)
ngx.say(res.status, " ", res.body, "; ", res.headers["x-failed"])
run(share.slow)
--- response_body_like
200 hello: failed to run proxy_on_http_request_headers.*
200 slow, failed to run proxy_on_http_request_body; failed to run proxy_on_http_response_headers
200 hello
--- wasm_log
script: on_vm_start count started 1
script: on_request_headers count slow 1
script: proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_request_body cannot run: the VM of this request trapped earlier
script: proxy_on_request_body cannot run: the VM of this request trapped earlier
script: on_vm_start count started 1
script: on_request_headers count slow 1
script: on_log args: 2



=== TEST 11: other plugins are untouched, also another load of the same file
--- lua
local a, b = new(), new()
local counts = assert(wasm.on_configure(a, "on_request_headers count requests"))
local traps = assert(wasm.on_configure(b, "on_request_headers trap"))
run(counts)
run(traps)
run(counts)
--- response_body_like
200 hello
200 hello: .*
200 hello
--- wasm_log
script: on_vm_start count started 1
script: on_vm_start count started 1
script: on_request_headers count requests 1
script: proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_request_body cannot run: the VM of this request trapped earlier
script: on_request_headers count requests 2



=== TEST 12: two plugins in one request: the trap of one leaves the other's calls alone
--- config
location /two {
    content_by_lua_block {
        ngx.say(wasm.on_http_request_headers(share.one))
        ngx.say(wasm.on_http_request_headers(share.two))
        ngx.say(wasm.on_http_request_body(share.one, "body", true))
        ngx.say(wasm.on_http_request_body(share.two, "body", true))
    }
}
--- lua
share.one = assert(wasm.on_configure(new(), "on_request_headers trap"))
share.two = assert(wasm.on_configure(new(), "on_request_body get_buffer_bytes 0 0 100\non_log count logged"))
ngx.print(request("GET /two").body)
--- response_body
nilfailed to run proxy_on_http_request_headers
true
nilfailed to run proxy_on_http_request_body
true
--- wasm_log
script: on_vm_start count started 1
script: on_vm_start count started 1
script: proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_request_body cannot run: the VM of this request trapped earlier
script: on_request_body get_buffer_bytes -> 0 "body"
script: on_log count logged 1



=== TEST 13: a trap while the collector frees a context
--- lua
local plugin = new()
do
    local ctx = assert(wasm.on_configure(plugin, "on_done trap"))
end
collectgarbage()
collectgarbage()
run(assert(wasm.on_configure(plugin, "on_request_headers count requests")))
--- response_body
200 hello
--- wasm_log
script: on_vm_start count started 1
script: proxy_on_done trapped: wasm trap: wasm `unreachable` instruction executed
script: on_vm_start count started 1
script: on_request_headers count requests 1



=== TEST 14: the memory of trapped instances is given back
--- timeout: 20
--- http
wasm_crash_limit off;
--- lua
local function memory(key)
    local file = assert(io.open("/proc/self/status"))
    local text = file:read("*a")
    file:close()
    return tonumber(text:match(key .. ":%s*(%d+) kB")) / 1024
end

local plugin = assert(load("script.wasm"))
local traps = assert(wasm.on_configure(plugin, "on_request_headers trap"))
local function round()
    for _ = 1, 100 do
        assert(not wasm.on_configure(plugin, "on_configure alloc 100000\non_configure trap"))
        ctx = traps
        request("GET /p")
    end
    collectgarbage()
    collectgarbage()
end

round()
local rss, size = memory("VmRSS"), memory("VmSize")
round()
round()
ngx.say("RSS ", memory("VmRSS") - rss < 8 and "flat" or memory("VmRSS") - rss)
ngx.say("size ", memory("VmSize") - size < 9000 and "flat" or memory("VmSize") - size)
--- response_body
RSS flat
size flat
--- error_log_allowed

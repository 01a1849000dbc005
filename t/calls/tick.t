# Ticks: when they begin, how often they come, what they may do, and when they end.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw);
use ProxyWasm::Log;
use ProxyWasm::Phases;

run_tests();

__DATA__

=== TEST 1: with wasm.init_worker() they begin without a request; a period of 0 ends them
--- http
init_worker_by_lua_block { wasm.init_worker() }
--- init_by_lua
plugin = assert(load("script.wasm"))
ticking = assert(wasm.on_configure(plugin, [[
on_configure set_tick_period_milliseconds 10
on_tick args
on_tick@3 set_tick_period_milliseconds 0]]))
--- lua
ngx.say(logged("on_tick set_tick"))
ngx.sleep(0.05)
--- response_body
true
--- log_of: on_tick
--- wasm_log
script: on_tick args: 1
script: on_tick args: 1
script: on_tick args: 1
script: on_tick set_tick_period_milliseconds -> 0



=== TEST 2: without it they begin with the first request that the plugin sees
--- init_by_lua
plugin = assert(load("script.wasm"))
ticking = assert(wasm.on_configure(plugin, [[
on_configure set_tick_period_milliseconds 10
on_tick@1 args
on_request_headers log info seen]]))
--- lua
ngx.sleep(0.05)
run(ticking, "GET /p")
ngx.say(logged("on_tick args"))
--- response_body
200 hello
true
--- log_of: on_tick|seen
--- wasm_log
script: seen
script: on_tick args: 1



=== TEST 3: a period can be changed in any callback, and each plugin context has its own
--- lua
local plugin = assert(load("script.wasm"))
local one = assert(wasm.on_configure(plugin, [[
on_request_headers set_tick_period_milliseconds 60000
on_response_headers set_tick_period_milliseconds 10
on_log set_tick_period_milliseconds 5
on_tick@1 args
on_tick@2 args
on_tick@2 set_tick_period_milliseconds 0]]))
local two = assert(wasm.on_configure(plugin, [[
on_configure set_tick_period_milliseconds 15
on_tick@1 args
on_tick@8 args
on_tick@8 set_tick_period_milliseconds -1]]))
run(one, "GET /p")
ngx.say(logged("on_tick args: 1", 2), " ", logged("on_tick args: 2", 2))
ngx.sleep(0.04)
run(one, "GET /p")
ngx.say(logged("on_tick args: 2", 2))
--- response_body
200 hello
true true
200 hello
true
--- grep_error_log eval: qr/on_tick set_tick\S+ -> \d/
--- grep_error_log_out
on_tick set_tick_period_milliseconds -> 0
on_tick set_tick_period_milliseconds -> 0



=== TEST 4: a tick belongs to no request, but may look at those there are
--- lua
share.ctx = configure("script.wasm", [[
on_request_headers set_tick_period_milliseconds 10
on_tick@1 get_header_map_value 0 host
on_tick@1 get_header_map_pairs 0
on_tick@1 add_header_map_value 0 x-a 1
on_tick@1 get_header_map_value 2 :status
on_tick@1 get_buffer_bytes 0 0 10
on_tick@1 get_property request.path
on_tick@1 get_property remote_addr
on_tick@1 get_property plugin_name
on_tick@1 continue_stream 0
on_tick@1 close_stream 0
on_tick@1 send_local_response 403 "" no
on_tick@1 done
on_tick@1 effective stream
on_tick@1 get_header_map_value 0 host
on_tick@1 get_property request.path
on_tick@1 add_header_map_value 0 x-a 1
on_tick@1 set_tick_period_milliseconds 0
on_log get_header_map_value 0 x-a
]])
run(share.ctx, "GET /held")
--- config
location /held {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("held ", logged("on_tick set_tick_period_milliseconds")) }
}
--- response_body
200 held true
--- wasm_log
script: on_request_headers set_tick_period_milliseconds -> 0
script: on_tick get_header_map_value -> 1
script: on_tick get_header_map_pairs -> 0 null
script: on_tick add_header_map_value -> 2
script: on_tick get_header_map_value -> 1
script: on_tick get_buffer_bytes -> 1
script: on_tick get_property -> 1
script: on_tick get_property -> 1
script: on_tick get_property -> 0 "script"
script: on_tick continue_stream -> 2
script: on_tick close_stream -> 2
script: proxy_send_local_response: dropped, there is no request or its response has been sent
script: on_tick send_local_response -> 0
script: on_tick done -> 1
script: on_tick effective -> 0
script: on_tick get_header_map_value -> 0 "localhost"
script: on_tick get_property -> 0 "/held"
script: on_tick add_header_map_value -> 0
script: on_tick set_tick_period_milliseconds -> 0
script: on_log get_header_map_value -> 0 "1"



=== TEST 5: calls from ticks, and more of them from their callbacks
--- lua
run(configure("script.wasm", [[
on_configure set_tick_period_milliseconds 5
on_tick http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/echo) "" () 5000
on_tick set_tick_period_milliseconds 0
on_http_call_response@1 http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/echo) "" () 5000
on_http_call_response@1 effective caller
on_http_call_response@2 get_buffer_bytes 4 0 9
on_http_call_response@2 set_tick_period_milliseconds 0
]]), "GET /p")
ngx.say(logged("on_http_call_response set_tick"))
--- response_body
200 hello
true
--- log_of: on_(?:tick|http_call_response)
--- wasm_log
script: on_tick http_call -> 0 1
script: on_tick set_tick_period_milliseconds -> 0
script: on_http_call_response http_call -> 0 2
script: on_http_call_response effective -> 0
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo"
script: on_http_call_response set_tick_period_milliseconds -> 0



=== TEST 6: they end with the plugin context
--- init_by_lua
function forget()
    ctx = false
    collectgarbage()
    collectgarbage()
end
--- lua
local function count()
    local n = 0
    for line in io.lines(ngx.config.prefix() .. "logs/error.log") do
        n = n + (line:find("on_tick", 1, true) and 1 or 0)
    end
    return n
end

local plugin = assert(load("script.wasm"))
local ctx = assert(wasm.on_configure(plugin, "on_configure set_tick_period_milliseconds 5\non_tick args\non_delete args"))
run(ctx, "GET /p")
ngx.say(logged("on_tick args", 3))
ctx = nil
forget()
ngx.say(logged("on_delete args: 1"))
local before = count()
ngx.sleep(0.05)
ngx.say(count() == before)
--- response_body
200 hello
true
true
true



=== TEST 7: a tick that traps ends the VM; the plugin starts anew, and ticks
--- lua
local plugin = assert(load("script.wasm", { vm_config = "on_vm_start log info starts" }))
local ctx = assert(wasm.on_configure(plugin, "on_configure set_tick_period_milliseconds 10\non_tick trap"))
run(ctx, "GET /p")
ngx.say(logged("proxy_on_tick trapped", 3), " ", logged("script: starts", 3))
run(ctx, "GET /p")
--- response_body
200 hello
true true
200 hello
--- error_log_allowed

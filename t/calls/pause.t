# Requests that wait: for calls, for ticks, and what ends the wait.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw);
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(config => ($block->config // '') . <<'_EOC_');
location /answer {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print(ngx.var.http_x_answer) }
}
location /body {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print(ngx.req.get_body_data()) }
}
location /up { content_by_lua_block { ngx.req.read_body() ngx.print("up ", ngx.req.get_body_data()) } }
location /abort {
    lua_check_client_abort on;
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("not to be seen") }
}
location /count {
    content_by_lua_block {
        ngx.print(tonumber(require("resty.proxy-wasm.cdefs").lib.proxy_wasm_worker_requests()), " ", wasm.info(share.plugin).contexts)
    }
}
_EOC_
    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<'_EOC_');
-- Waits until only the plugin context of share.plugin is left.
function settled()
    return wait_for(function() return request("GET /count").body == "0 1" end)
end

-- A request whose client goes away once condition() holds.
function abandoned(path, condition)
    local socket = ngx.socket.tcp()
    assert(socket:connect("127.0.0.1", ngx.var.server_port))
    assert(socket:send("GET " .. path .. " HTTP/1.1\r\nHost: a\r\n\r\n"))
    ngx.say("waits: ", wait_for(condition))
    socket:close()
end
_EOC_
});

run_tests();

__DATA__

=== TEST 1: the callback of a call lets the request go on, answers it, or closes it
--- lua
for _, ending in ipairs{
    "continue_stream 0",
    'send_local_response 403 "" "not you" (x-why=call)',
    'send_local_response 401 details ""',
    "close_stream 0",
    "close_stream 1",
} do
    local res = run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_headers return pause
on_http_call_response effective caller
on_http_call_response ]] .. ending .. [[

on_response_headers add_header_map_value 2 x-seen 1
on_log get_header_map_value 2 x-seen]]), "GET /p")
    ngx.say(ending, ": ", res.headers["x-why"], " ", res.headers["x-seen"])
end
--- response_body_like eval
qr/\A200 hello
continue_stream 0: nil 1
403 not you
send_local_response 403 "" "not you" \(x-why=call\): call 1
401 <html>.*401 Authorization Required.*<\/html>\s+send_local_response 401 details "": nil 1
0 
close_stream 0: nil nil
0 
close_stream 1: nil nil
\z/s
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response effective -> 0
script: on_http_call_response continue_stream -> 0
script: on_response_headers add_header_map_value -> 0
script: on_log get_header_map_value -> 0 "1"
script: on_request_headers http_call -> 0 2
script: on_http_call_response effective -> 0
script: on_http_call_response send_local_response -> 0
script: on_response_headers add_header_map_value -> 0
script: on_log get_header_map_value -> 0 "1"
script: on_request_headers http_call -> 0 3
script: on_http_call_response effective -> 0
script: on_http_call_response send_local_response -> 0
script: on_response_headers add_header_map_value -> 0
script: on_log get_header_map_value -> 0 "1"
script: on_request_headers http_call -> 0 4
script: on_http_call_response effective -> 0
script: on_http_call_response close_stream -> 0
script: on_log get_header_map_value -> 1
script: on_request_headers http_call -> 0 5
script: on_http_call_response effective -> 0
script: on_http_call_response close_stream -> 0
script: on_log get_header_map_value -> 1



=== TEST 2: a local response in a callback also ends a request that was not paused
--- lua
run(configure("script.wasm", [[
on_request_headers as slow http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/200) "" () 5000
on_request_headers as fast http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/10) "" () 5000
on_http_call_response args
on_http_call_response effective caller
on_http_call_response@of:fast send_local_response 403 "" no
on_response_headers log info response
]]), "GET /p")
ngx.say(logged("effective", 2))
--- response_body
403 no
true
--- wasm_log
script: on_request_headers slow -> 0 1
script: on_request_headers fast -> 0 2
script: on_http_call_response args: 1 2 2 11 0
script: on_http_call_response effective -> 0
script: on_http_call_response send_local_response -> 0
script: response
script: on_http_call_response args: 1 1 2 12 0
script: on_http_call_response effective -> 2



=== TEST 3: paused with its body: the body is there in the callback, and can be changed
--- lua
run(configure("script.wasm", [[
on_request_body as body get_buffer_bytes 0 0 100
on_request_body http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:method=POST :path=/up) %body () 5000
on_request_body return pause
on_http_call_response as answer get_buffer_bytes 4 0 100
on_http_call_response get_buffer_bytes 0 0 100
on_http_call_response effective caller
on_http_call_response get_buffer_bytes 0 0 100
on_http_call_response get_buffer_status 0
on_http_call_response set_buffer_bytes 0 0 100 %answer
on_http_call_response continue_stream 0
]]), "POST /body", {}, "body")
run(configure("script.wasm", [[
on_request_body http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_body return pause
on_http_call_response effective caller
on_http_call_response send_local_response 413 "" "too long"
]]), "POST /body", {}, "body")
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_headers return pause
on_request_body http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_body return pause
on_http_call_response effective caller
on_http_call_response get_buffer_bytes 0 0 100
on_http_call_response continue_stream 0
]]), "POST /body", {}, "body")
--- response_body
200 up body
413 too long
200 body
--- wasm_log
script: on_request_body body -> 0 "body"
script: on_request_body http_call -> 0 1
script: on_http_call_response answer -> 0 "up body"
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response effective -> 0
script: on_http_call_response get_buffer_bytes -> 0 "body"
script: on_http_call_response get_buffer_status -> 0 4 0
script: on_http_call_response set_buffer_bytes -> 0
script: on_http_call_response continue_stream -> 0
script: on_request_body http_call -> 0 2
script: on_http_call_response effective -> 0
script: on_http_call_response send_local_response -> 0
script: on_request_headers http_call -> 0 3
script: on_http_call_response effective -> 0
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response continue_stream -> 0
script: on_request_body http_call -> 0 4
script: on_http_call_response effective -> 0
script: on_http_call_response get_buffer_bytes -> 0 "body"
script: on_http_call_response continue_stream -> 0



=== TEST 4: wasm_call_wait off waits only for a request that is paused, until it goes on
--- http: wasm_call_wait off;
--- lua
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/50) "" () 5000
on_response_headers log info response
on_http_call_response log info first answer
]]), "GET /p")
ngx.say(logged("first answer"))
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/20) "" () 5000
on_request_headers as late http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/200) "" () 5000
on_request_headers return pause
on_http_call_response@1 resume
on_http_call_response log info answer
on_response_headers log info response
]]), "GET /p")
ngx.say(logged("answer", 3))
--- response_body
200 hello
true
200 hello
true
--- log_of: answer|response$|response,
--- wasm_log
script: response
script: first answer
script: answer
script: response
script: answer



=== TEST 5: a pause that nothing takes back ends with wasm_pause_timeout, and a warning
--- http: wasm_pause_timeout 50ms;
--- lua
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_headers return pause
on_http_call_response log info "no word of going on"
]]), "GET /p")
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/never) "" () 80
on_request_headers return pause
on_http_call_response log info "none here either"
]]), "GET /p")
run(configure("script.wasm", [[
on_configure set_tick_period_milliseconds 60000
on_request_headers return pause
]]), "GET /p")
run(configure("script.wasm", "on_request_headers return pause"), "GET /p")
--- response_body
200 hello
200 hello
200 hello
200 hello
--- wasm_log
script: on_request_headers http_call -> 0 1
script: no word of going on
script: proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on
script: on_request_headers http_call -> 0 2
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: timed out
script: none here either
script: proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on
script: on_configure set_tick_period_milliseconds -> 0
script: proxy_on_request_headers paused the request and did not resume it in 50ms, it goes on
script: proxy_on_request_headers paused the request and did not resume it in 50ms, it goes on



=== TEST 6: a tick lets a request go on
--- lua
run(configure("script.wasm", [[
on_configure set_tick_period_milliseconds 10
on_request_headers return pause
on_tick@2 effective stream
on_tick@2 add_header_map_value 0 x-answer tick
on_tick@2 continue_stream 0
on_tick@2 set_tick_period_milliseconds 0
]]), "GET /answer")
--- response_body
200 tick
--- wasm_log
script: on_configure set_tick_period_milliseconds -> 0
script: on_tick effective -> 0
script: on_tick add_header_map_value -> 0
script: on_tick continue_stream -> 0
script: on_tick set_tick_period_milliseconds -> 0



=== TEST 7: so does another request of the same VM, or it answers it
--- config
location /other {
    access_by_lua_block { wasm.on_http_request_headers(share.other) }
    content_by_lua_block { ngx.print("other") }
}
--- lua
for i, ending in ipairs{ "continue_stream 0", 'send_local_response 429 "" "too many"', "close_stream 0" } do
    local plugin = assert(load("script.wasm"))
    ctx = assert(wasm.on_configure(plugin, "on_configure set_tick_period_milliseconds 60000\non_request_headers log info waits\non_request_headers return pause"))
    share.other = assert(wasm.on_configure(plugin, "on_request_headers effective 3\non_request_headers " .. ending))
    local waits = ngx.thread.spawn(request, "GET /p")
    logged("waits", i)
    local res = request("GET /other")
    ngx.print(res.status, " ", res.body)
    local _
    _, res = ngx.thread.wait(waits)
    ngx.say(" ", res.status, " ", res.body)
end
--- response_body
200 other 200 hello
200 other 429 too many
200 other 0 
--- wasm_log
script: on_configure set_tick_period_milliseconds -> 0
script: waits
script: on_request_headers effective -> 0
script: on_request_headers continue_stream -> 0
script: on_configure set_tick_period_milliseconds -> 0
script: waits
script: on_request_headers effective -> 0
script: on_request_headers send_local_response -> 0
script: on_configure set_tick_period_milliseconds -> 0
script: waits
script: on_request_headers effective -> 0
script: on_request_headers close_stream -> 0



=== TEST 8: clients that go away while their requests wait: all is freed, and the calls are given up
--- init_by_lua
local semaphore = require("ngx.semaphore")
local new = semaphore.new
made = 0
function semaphore.new(n)
    made = made + 1
    return new(n)
end
--- lua
share.plugin = assert(load("script.wasm"))
ctx = assert(wasm.on_configure(share.plugin, [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/never) "" () 5000
on_request_headers return pause
on_http_call_response log info "not to be seen"
on_done log info done
on_delete log info delete
]]))
for _ = 1, 2 do
    abandoned("/abort", function() return raw("/waiting") == "1" end)
    ngx.say(settled())
    ngx.say("call given up: ", wait_for(function() return raw("/waiting") == "0" end))
end
ngx.say("semaphores: ", made)
--- response_body
waits: true
true
call given up: true
waits: true
true
call given up: true
semaphores: 1
--- wasm_log
script: on_request_headers http_call -> 0 1
script: done
script: delete
script: on_request_headers http_call -> 0 2
script: done
script: delete



=== TEST 9: an answer that comes after the client has gone is dropped
--- lua
share.plugin = assert(load("script.wasm"))
ctx = assert(wasm.on_configure(share.plugin, [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/100) "" () 5000
on_http_call_response log info "not to be seen"
on_request_headers return pause
]]))
abandoned("/abort", function() return logged("http_call") end)
ngx.say(settled())
ngx.sleep(0.15)
--- response_body
waits: true
true
--- wasm_log
script: on_request_headers http_call -> 0 1



=== TEST 10: a trap in a call's callback fails the request that waits, and those that share the VM; the next starts anew
--- config
location /bare {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("goes on") }
}
location ~ ^/(same|other)$ {
    access_by_lua_block { share.result = { wasm.on_http_request_headers(share[ngx.var[1]]) } }
    content_by_lua_block { ngx.print(tostring(share.result[1]), " ", tostring(share.result[2])) }
}
--- lua
local calls = 'on_request_headers http_call %s "" () 5000\non_request_headers return pause\non_http_call_response %s'
local slow, up = "127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/100)", "127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up)"
local plugin = assert(load("script.wasm", { vm_config = "on_vm_start count started" }))
local trapping = assert(wasm.on_configure(plugin, calls:format(up, "trap")))
share.same = assert(wasm.on_configure(plugin, calls:format(slow, "log info never")))
local goes_on = "effective caller\non_http_call_response continue_stream 0"
share.other = assert(wasm.on_configure(assert(load("script-0-2-0.wasm")), calls:format(slow, goes_on)))
local same, other = ngx.thread.spawn(request, "GET /same"), ngx.thread.spawn(request, "GET /other")
ngx.say(logged("http_call %-> 0", 2))
run(trapping, "GET /bare")
local _, res = ngx.thread.wait(same)
ngx.say("same VM: ", res.status, " ", res.body)
_, res = ngx.thread.wait(other)
ngx.say("other VM: ", res.status, " ", res.body)
run(assert(wasm.on_configure(plugin, calls:format(up, goes_on))), "GET /p")
--- response_body
true
200 goes on: failed to run proxy_on_http_call_response
same VM: 200 nil failed to run proxy_on_http_call_response
other VM: 200 true nil
200 hello
--- wasm_log
script: on_vm_start count started 1
script: on_request_headers http_call -> 0 1
script-0-2-0: on_request_headers http_call -> 0 1
script: on_request_headers http_call -> 0 2
script: proxy_on_http_call_response trapped: wasm trap: wasm `unreachable` instruction executed
script: the request cannot go on: the VM of this request trapped earlier
script-0-2-0: on_http_call_response effective -> 0
script-0-2-0: on_http_call_response continue_stream -> 0
script: on_vm_start count started 1
script: on_request_headers http_call -> 0 1
script: on_http_call_response effective -> 0
script: on_http_call_response continue_stream -> 0



=== TEST 11: a callback that never ends
--- http: wasm_deadline 50ms;
--- lua
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_headers return pause
on_http_call_response loop
]]), "GET /bare")
--- config
location /bare {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("goes on") }
}
--- response_body
200 goes on: failed to run proxy_on_http_call_response
--- problems
script: proxy_on_http_call_response trapped: it took more than 50 ms



=== TEST 12: a chain and a trap in a call's callback
--- init_by_lua
local conf = [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_headers return pause
on_http_call_response trap]]
chains = {
    open = assert(wasm.chain{ { path = guests .. "script.wasm", conf = conf, fail = "open" }, { path = guests .. "script.wasm", conf = "on_request_headers add_header_map_value 0 x-answer behind" } }),
    closed = assert(wasm.chain{ { path = guests .. "script.wasm", conf = conf } }),
}
--- config
location /chain {
    access_by_lua_block { chains[ngx.var.args]:access() }
    header_filter_by_lua_block { chains[ngx.var.args]:header_filter() }
    body_filter_by_lua_block { return chains[ngx.var.args]:body_filter() }
    content_by_lua_block { ngx.print(ngx.var.http_x_answer) }
}
--- lua
for _, name in ipairs{ "open", "closed" } do
    local res = request("GET /chain?" .. name)
    ngx.say(res.status, " ", res.status == 200 and res.body or "")
end
--- response_body
200 behind
500 
--- problems
script: proxy_on_http_call_response trapped: wasm trap: wasm `unreachable` instruction executed
script: proxy_on_response_headers cannot run: the VM of this request trapped earlier
script: proxy_on_http_call_response trapped: wasm trap: wasm `unreachable` instruction executed



=== TEST 13: response headers do not wait
--- lua
run(configure("script.wasm", [[
on_response_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/50) "" () 5000
on_response_headers return pause
on_response_body@1 log info body
on_http_call_response log info answer
]]), "GET /p")
ngx.say(logged("answer"))
--- response_body
200 hello
true
--- wasm_log
script: on_response_headers http_call -> 0 1
script: proxy_on_response_headers paused with calls out, but a response cannot be held, it goes on
script: body
script: answer



=== TEST 14: several light threads of a request wait, and one that is killed waits no more
--- config
location /threads {
    access_by_lua_block {
        local threads = {}
        for i, context in ipairs(share) do
            threads[i] = ngx.thread.spawn(wasm.on_http_request_headers, context)
        end
        for i = 1, 2 do
            ngx.ctx[i] = tostring(select(2, ngx.thread.wait(threads[i])))
        end
        ngx.ctx[3] = ngx.thread.kill(threads[3])
    }
    content_by_lua_block { ngx.say(table.concat(ngx.ctx, " "), " ", ngx.var.http_x_answer) }
}
--- lua
for i, path in ipairs{ "/slow/60", "/slow/30", "/slow/150" } do
    share[i] = assert(wasm.on_configure(assert(load("script.wasm")), [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=]] .. path .. [[) "" () 5000
on_request_headers return pause
on_http_call_response as answer get_buffer_bytes 4 0 20
on_http_call_response effective caller
on_http_call_response replace_header_map_value 0 x-answer %answer
on_http_call_response continue_stream 0
]]))
end
ngx.print(request("GET /threads").body)
ngx.sleep(0.15)
run(share[1], "GET /answer")
--- response_body
true true 1 after 60 ms
200 after 60 ms

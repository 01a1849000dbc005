# A plugin that waits for a server which never answers does not hold up anybody else.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw);
use ProxyWasm::Log;
use ProxyWasm::Phases;

run_tests();

__DATA__

=== TEST 1: requests without plugins, requests with the same one, its calls, and ticks all go on
--- config
location /plain { return 200 "plain"; }
location /stuck {
    access_by_lua_block { share.stuck = (share.stuck or 0) + 1 wasm.on_http_request_headers(share.waits) }
    content_by_lua_block { share.stuck = share.stuck - 1 }
}
--- lua
local plugin = assert(load("script.wasm"))
share.waits = assert(wasm.on_configure(plugin, [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/never) "" () 60000
on_request_headers http_call 127.0.0.1:$TEST_NGINX_FULL_PORT () "" () 60000
on_request_headers http_call https://127.0.0.1:$TEST_NGINX_SILENT_PORT () "" () 60000
on_request_headers return pause]]))
ctx = assert(wasm.on_configure(plugin, [[
on_configure set_tick_period_milliseconds 10
on_tick@5 log info ticks
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/echo) "" () 5000
on_request_headers return pause
on_http_call_response resume]]))
local sockets = {}
for i = 1, 5 do
    sockets[i] = ngx.socket.tcp()
    assert(sockets[i]:connect("127.0.0.1", ngx.var.server_port))
    assert(sockets[i]:send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n"))
end
ngx.say(wait_for(function() return raw("/waiting") == "5" end))
local plain, called = 0, 0
for _ = 1, 10 do
    plain = plain + (request("GET /plain").body == "plain" and 1 or 0)
    called = called + (request("GET /p").body == "hello" and 1 or 0)
end
ngx.say(plain, " ", called, " ", table.concat(failed, ", "), logged(": ticks"), " ", share.stuck)
for i = 1, 5 do
    sockets[i]:close()
end
--- response_body
true
10 10 true 5

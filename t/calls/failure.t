# Calls that fail: how the plugin learns of it, and what cannot be called at all.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw);
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<"_EOC_");
other = "127.0.0.1:" .. $ENV{TEST_NGINX_RAW_PORT}

-- Calls with those arguments from proxy_on_request_headers, and has the reason for what comes back logged.
function fails(arguments)
    run(configure("script.wasm", "on_request_headers http_call " .. arguments .. [[

on_http_call_response args
on_http_call_response get_property wasm.http_call.error]]), "GET /p")
end
_EOC_
});

run_tests();

__DATA__

=== TEST 1: no connection
--- lua
fails('127.0.0.1:$TEST_NGINX_REFUSED_PORT () "" () 5000')
fails(("x"):rep(64) .. '.test:80 () "" () 5000')
fails('unix:$TEST_NGINX_HTML_DIR/none.sock () "" () 5000')
fails('https://' .. other .. ' () "" () 5000')
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_REFUSED_PORT" failed: connection refused
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_property -> 0 "connection refused"
script: on_request_headers http_call -> 0 2
script: the call to "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.test:80" failed: host not found: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.test
script: on_http_call_response args: 3 2 0 0 0
script: on_http_call_response get_property -> 0 "host not found: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.test"
script: on_request_headers http_call -> 0 3
script: the call to "unix:$TEST_NGINX_HTML_DIR/none.sock" failed: no such socket
script: on_http_call_response args: 5 3 0 0 0
script: on_http_call_response get_property -> 0 "no such socket"
script: on_request_headers http_call -> 0 4
script: the call to "https://127.0.0.1:$TEST_NGINX_RAW_PORT" failed: TLS: connection closed during the handshake
script: on_http_call_response args: 7 4 0 0 0
script: on_http_call_response get_property -> 0 "TLS: connection closed during the handshake"



=== TEST 2: a connection, but no whole response
--- lua
for _, path in ipairs{ "/reset", "/close", "/half", "/half-chunked", "/half-header", "/garbage" } do
    fails(other .. " (:path=" .. path .. ') "" () 5000')
end
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: connection reset
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_property -> 0 "connection reset"
script: on_request_headers http_call -> 0 2
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: connection closed before the response was complete
script: on_http_call_response args: 3 2 0 0 0
script: on_http_call_response get_property -> 0 "connection closed before the response was complete"
script: on_request_headers http_call -> 0 3
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: connection closed before the response was complete
script: on_http_call_response args: 5 3 0 0 0
script: on_http_call_response get_property -> 0 "connection closed before the response was complete"
script: on_request_headers http_call -> 0 4
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: connection closed before the response was complete
script: on_http_call_response args: 7 4 0 0 0
script: on_http_call_response get_property -> 0 "connection closed before the response was complete"
script: on_request_headers http_call -> 0 5
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: connection closed before the response was complete
script: on_http_call_response args: 9 5 0 0 0
script: on_http_call_response get_property -> 0 "connection closed before the response was complete"
script: on_request_headers http_call -> 0 6
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: not an HTTP/1.1 response: invalid HTTP version parsed
script: on_http_call_response args: 11 6 0 0 0
script: on_http_call_response get_property -> 0 "not an HTTP/1.1 response: invalid HTTP version parsed"



=== TEST 3: in time: a connection, TLS, headers, body, or somebody to read the request
--- config
location /upload {
    client_max_body_size 4m;
    client_body_buffer_size 4m;
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("uploaded") }
}
--- lua
fails('127.0.0.1:$TEST_NGINX_FULL_PORT () "" () 40')
fails('https://127.0.0.1:$TEST_NGINX_SILENT_PORT () "" () 40')
fails('127.0.0.1:$TEST_NGINX_SILENT_PORT () "" () 40')
fails(other .. ' (:path=/never) "" () 40')
fails(other .. ' (:path=/stall) "" () 40')
fails(other .. ' (:path=/slow/1000) "" () 40')
run(configure("script.wasm", [[
on_request_body get_buffer_bytes 0 0 -1
on_request_body http_call 127.0.0.1:$TEST_NGINX_SILENT_PORT (:method=POST) %value () 40
on_http_call_response get_property wasm.http_call.error]]), "POST /upload", {}, ("x"):rep(4e6))
ngx.say(wait_for(function() return raw("/waiting") == "0" end))
--- response_body
200 hello
200 hello
200 hello
200 hello
200 hello
200 hello
200 uploaded
true
--- log_of: (?:request_headers|http_call_response|failed)
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_FULL_PORT" failed: timed out
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_property -> 0 "timed out"
script: on_request_headers http_call -> 0 2
script: the call to "https://127.0.0.1:$TEST_NGINX_SILENT_PORT" failed: timed out
script: on_http_call_response args: 3 2 0 0 0
script: on_http_call_response get_property -> 0 "timed out"
script: on_request_headers http_call -> 0 3
script: the call to "127.0.0.1:$TEST_NGINX_SILENT_PORT" failed: timed out
script: on_http_call_response args: 5 3 0 0 0
script: on_http_call_response get_property -> 0 "timed out"
script: on_request_headers http_call -> 0 4
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: timed out
script: on_http_call_response args: 7 4 0 0 0
script: on_http_call_response get_property -> 0 "timed out"
script: on_request_headers http_call -> 0 5
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: timed out
script: on_http_call_response args: 9 5 0 0 0
script: on_http_call_response get_property -> 0 "timed out"
script: on_request_headers http_call -> 0 6
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: timed out
script: on_http_call_response args: 11 6 0 0 0
script: on_http_call_response get_property -> 0 "timed out"
script: the call to "127.0.0.1:$TEST_NGINX_SILENT_PORT" failed: timed out
script: on_http_call_response get_property -> 0 "timed out"



=== TEST 4: a call that names no time has wasm_call_timeout
--- http: wasm_call_timeout 60ms;
--- lua
fails(other .. ' (:path=/never) "" () 0')
fails(other .. ' (:path=/slow/100) "" () 2147483647')
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: timed out
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_property -> 0 "timed out"
script: on_request_headers http_call -> 0 2
script: on_http_call_response args: 3 2 2 12 0
script: on_http_call_response get_property -> 1



=== TEST 5: too much comes back
--- lua
for _, path in ipairs{ "/bigheader", "/headers/5000", "/big", "/big-chunked" } do
    fails(other .. " (:path=" .. path .. ') "" () 5000')
end
fails(other .. ' (:path=/headers/500) "" () 5000')
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: response headers larger than 65536 bytes
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_property -> 0 "response headers larger than 65536 bytes"
script: on_request_headers http_call -> 0 2
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: response headers larger than 65536 bytes
script: on_http_call_response args: 3 2 0 0 0
script: on_http_call_response get_property -> 0 "response headers larger than 65536 bytes"
script: on_request_headers http_call -> 0 3
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: response body larger than 10485760 bytes
script: on_http_call_response args: 5 3 0 0 0
script: on_http_call_response get_property -> 0 "response body larger than 10485760 bytes"
script: on_request_headers http_call -> 0 4
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: response body larger than 10485760 bytes
script: on_http_call_response args: 7 4 0 0 0
script: on_http_call_response get_property -> 0 "response body larger than 10485760 bytes"
script: on_request_headers http_call -> 0 5
script: on_http_call_response args: 9 5 502 0 0
script: on_http_call_response get_property -> 1



=== TEST 6: the limits can be set
--- http
wasm_call_max_headers 1k;
wasm_call_max_body 5k;
--- config
location /size { content_by_lua_block { ngx.print(("x"):rep(tonumber(ngx.var.args))) } }
--- lua
fails(other .. ' (:path=/headers/100) "" () 5000')
fails(other .. ' (:path=/headers/10) "" () 5000')
fails('127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/size?5121) "" () 5000')
fails('127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/size?5120) "" () 5000')
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: response headers larger than 1024 bytes
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_property -> 0 "response headers larger than 1024 bytes"
script: on_request_headers http_call -> 0 2
script: on_http_call_response args: 3 2 12 0 0
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 3
script: the call to "127.0.0.1:$TEST_NGINX_SERVER_PORT" failed: response body larger than 5120 bytes
script: on_http_call_response args: 5 3 0 0 0
script: on_http_call_response get_property -> 0 "response body larger than 5120 bytes"
script: on_request_headers http_call -> 0 4
script: on_http_call_response args: 7 4 6 5120 0
script: on_http_call_response get_property -> 1



=== TEST 7: what is wrong with the arguments is a status, there is no call then, and no trap
--- lua
local good = '127.0.0.1:$TEST_NGINX_SERVER_PORT'
local function wrong(upstream, headers, trailers, timeout)
    run(configure("script.wasm", "on_request_headers http_call " .. upstream .. " " .. (headers or "()") .. ' "" '
        .. (trailers or "()") .. " " .. (timeout or 100) .. "\non_http_call_response args"), "GET /p")
end

for _, upstream in ipairs{
    '""', ":80", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "127.0.0.1:", "127.0.0.1:80:80", "::1:80", "[::1", "[::1:80", "[name]:80", "[::1]80", "ftp://a:80",
    "http://", "https://:443", "http://a/path", "unix:", "unix:relative", '"a b:80"', '"a\\n:80"', '"a\\0b:80"', '"outbound|80||"', '"outbound|x||a"',
    '"outbound|80|a"', '"outbound|80||a:1"', "user@a:80", "a:80/path", '"\\xff:80"', '"' .. ("x"):rep(254) .. '"', "a..b:80",
} do
    wrong(upstream)
end
for _, headers in ipairs{
    '(:path="/a b")', '(:path="/\\n")', "(:method=)", '(:method="G T")', '(:authority="a b")', "(:scheme=ftp)",
    "(:other=x)", "(=x)", '("a b"=x)', '(x-a="1\\r\\nx-b: 2")', '(x-a="\\0")',
    'bytes:"\\x01\\x00\\x00"', 'bytes:"\\x02\\x00\\x00\\x00"', 'bytes:"\\x01\\x00\\x00\\x00\\xff\\xff\\xff\\xff\\x01\\x00\\x00\\x00ab"', 'bytes:"\\xff\\xff\\xff\\xff"',
} do
    wrong(good, headers)
end
for _, trailers in ipairs{ 'bytes:"\\x01\\x00\\x00"', '("a b"=x)', '(x-a="1\\n2")', "(:path=/)" } do
    wrong(good, nil, trailers)
end
wrong(good, nil, nil, 2147483648)
wrong(good, nil, nil, -1)
--- grep_error_log eval: qr/on_http_call_response args|http_call -> \d+/
--- grep_error_log_out eval: "http_call -> 2\n" x (30 + 15 + 4 + 2)



=== TEST 8: wasm_call_limit is how many may be outstanding in a worker
--- http: wasm_call_limit 2;
--- lua
local ctx = configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/20) "" () 5000
on_request_headers http_call 127.0.0.1:$TEST_NGINX_REFUSED_PORT () "" () 5000
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/20) "" () 5000
on_request_headers grpc_call 127.0.0.1:$TEST_NGINX_RAW_PORT a b () "" 5000]])
run(ctx, "GET /p")
run(ctx, "GET /p")
--- response_body
200 hello
200 hello
--- grep_error_log eval: qr/on_request_headers \K\w+ -> \d+/
--- grep_error_log_out
http_call -> 0
http_call -> 0
http_call -> 10
grpc_call -> 10
http_call -> 0
http_call -> 0
http_call -> 10
grpc_call -> 10
--- error_log_allowed



=== TEST 9: the callback for a failed call: no headers, nothing to read, a status, and the reason where the plugin looks
--- lua
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_REFUSED_PORT () "" () 5000
on_request_headers return pause
on_http_call_response args
on_http_call_response get_header_map_value 6 :status
on_http_call_response get_header_map_size 6
on_http_call_response get_header_map_pairs 6
on_http_call_response get_header_map_pairs 7
on_http_call_response get_buffer_bytes 4 0 100
on_http_call_response get_status
on_http_call_response get_property wasm.http_call.error
on_http_call_response effective caller
on_http_call_response get_property wasm.http_call.error
on_http_call_response get_status
on_http_call_response continue_stream 0
on_response_headers get_property wasm.http_call.error
on_response_headers get_status
]]), "GET /p")
--- response_body
200 hello
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_REFUSED_PORT" failed: connection refused
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_header_map_value -> 1
script: on_http_call_response get_header_map_size -> 0 0
script: on_http_call_response get_header_map_pairs -> 0 null
script: on_http_call_response get_header_map_pairs -> 0 null
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response get_status -> 0 11 "connection refused"
script: on_http_call_response get_property -> 0 "connection refused"
script: on_http_call_response effective -> 0
script: on_http_call_response get_property -> 0 "connection refused"
script: on_http_call_response get_status -> 0 11 "connection refused"
script: on_http_call_response continue_stream -> 0
script: on_response_headers get_property -> 1
script: on_response_headers get_status -> 0 0 null



=== TEST 10: failures of calls that nobody waits for
--- lua
run(configure("script.wasm", [[
on_log http_call 127.0.0.1:$TEST_NGINX_REFUSED_PORT () "" () 5000
on_http_call_response args
on_http_call_response@1 http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/never) "" () 30
]]), "GET /p")
ngx.say(logged("on_http_call_response args", 2))
--- response_body
200 hello
true
--- wasm_log
script: on_log http_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_REFUSED_PORT" failed: connection refused
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response http_call -> 0 2
script: the call to "127.0.0.1:$TEST_NGINX_RAW_PORT" failed: timed out
script: on_http_call_response args: 1 2 0 0 0



=== TEST 11: a trap in the callback of a call that nobody waits for: the next request finds a new VM
--- lua
local plugin = assert(load("script.wasm", { vm_config = "on_vm_start log info starts" }))
local ctx = assert(wasm.on_configure(plugin, [[
on_log http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/0) "" () 5000
on_configure http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/100) "" () 5000
on_http_call_response args
on_http_call_response trap
]]))
for i = 1, 2 do
    run(ctx, "GET /p")
    ngx.say(logged("proxy_on_http_call_response trapped", i))
end
ngx.sleep(0.15)
--- response_body
200 hello
true
200 hello
true
--- wasm_log
script: starts
script: on_configure http_call -> 0 1
script: on_log http_call -> 0 2
script: on_http_call_response args: 1 2 2 10 0
script: proxy_on_http_call_response trapped: wasm trap: wasm `unreachable` instruction executed
script: starts
script: on_configure http_call -> 0 1
script: on_log http_call -> 0 2
script: on_http_call_response args: 1 2 2 10 0
script: proxy_on_http_call_response trapped: wasm trap: wasm `unreachable` instruction executed



=== TEST 12: a plugin context that is collected gives its calls up
--- init_by_lua
function forget()
    ctx = false
    collectgarbage()
    collectgarbage()
end
--- lua
local plugin = assert(load("script.wasm"))
local ctx = assert(wasm.on_configure(plugin, [[
on_configure http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/never) "" () 5000
on_log http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/never) "" () 5000
on_http_call_response log info "not to be seen"
on_delete args
]]))
run(ctx, "GET /p")
ngx.say(wait_for(function() return raw("/waiting") == "2" end))
ctx = nil
forget()
ngx.say(wait_for(function() return raw("/waiting") == "0" end), " ", wasm.info(plugin).contexts)
--- response_body
200 hello
true
true 0
--- wasm_log
script: on_configure http_call -> 0 1
script: on_log http_call -> 0 2
script: on_delete args: 2
script: on_delete args: 1

# Calls over HTTP/2: when it is spoken, streams side by side, and connections that the other side ends.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw tls);
use ProxyWasm::Log;
use ProxyWasm::Phases;

# TLS with and without HTTP/2, and HTTP/2 in clear text.
add_block_preprocessor(sub {
    my $block = shift;

    my $server = $block->server // 'location / { return 200 "$server_protocol"; }';
    my @servers = map { <<"_EOC_" } [2, 'ssl http2'], [3, 'ssl'], [4, 'http2'];
server {
    listen 127.0.0.$_->[0]:\$TEST_NGINX_SERVER_PORT $_->[1];
    ssl_certificate \$TEST_NGINX_CERTS/good.pem;
    ssl_certificate_key \$TEST_NGINX_CERTS/key.pem;
    $server
}
_EOC_
    $block->set_value(http => join '', $block->http // '', 'wasm_call_ssl_trusted_certificate $TEST_NGINX_CERTS/ca.pem;', @servers);
    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<'_EOC_');
both, old, clear = "https://127.0.0.2:$TEST_NGINX_SERVER_PORT", "https://127.0.0.3:$TEST_NGINX_SERVER_PORT", "127.0.0.4:$TEST_NGINX_SERVER_PORT"

function call(upstream, headers, more)
    run(configure("script.wasm", "on_request_headers http_call " .. upstream .. " (" .. (headers or "") .. [[) "" () 5000
on_http_call_response get_buffer_bytes 4 0 100
on_http_call_response get_property wasm.http_call.error
]] .. (more or "")), "GET /p")
end
_EOC_
});

run_tests();

__DATA__

=== TEST 1: what the other side offers over TLS, and HTTP/1.1 in clear text
--- config
location = / { return 200 "$server_protocol"; }
--- lua
call(both)
call(old)
call("127.0.0.1:$TEST_NGINX_SERVER_PORT")
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "HTTP/2.0"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "HTTP/1.1"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "HTTP/1.1"
script: on_http_call_response get_property -> 1



=== TEST 2: wasm_call_http2 on speaks it to everybody
--- http: wasm_call_http2 on;
--- lua
call(both)
call(clear)
call(old)
call("127.0.0.1:$TEST_NGINX_RAW_PORT")
--- grep_error_log eval: qr/-> 0 "\K(?:connection closed|[^"]+)/
--- grep_error_log_out
HTTP/2.0
HTTP/2.0
TLS: received fatal alert: NoApplicationProtocol
connection closed
--- error_log_allowed



=== TEST 3: wasm_call_http2 off speaks it to nobody
--- http: wasm_call_http2 off;
--- lua
call(both)
call(old)
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "HTTP/1.1"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "HTTP/1.1"
script: on_http_call_response get_property -> 1



=== TEST 4: names are lower case, pseudo-headers are where they belong, trailers and bodies are there
--- http: wasm_call_http2 on;
--- server
location / {
    add_header X-Method $request_method;
    add_header X-Host $http_host;
    add_header X-A $http_x_a;
    add_trailer X-Sum 5;
    content_by_lua_block { ngx.req.read_body() ngx.print(ngx.var.request_uri, " ", ngx.req.get_body_data()) }
}
--- lua
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.4:$TEST_NGINX_SERVER_PORT (:method=PUT :path=/a?b :authority=some.test X-A=1 connection=close host=x) body () 5000
on_http_call_response get_header_map_value 6 :status
on_http_call_response get_header_map_value 6 x-method
on_http_call_response get_header_map_value 6 x-host
on_http_call_response get_header_map_value 6 x-a
on_http_call_response get_header_map_pairs 7
on_http_call_response get_buffer_bytes 4 0 100]]), "GET /p")
--- response_body
200 hello
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_header_map_value -> 0 "200"
script: on_http_call_response get_header_map_value -> 0 "PUT"
script: on_http_call_response get_header_map_value -> 0 "some.test"
script: on_http_call_response get_header_map_value -> 0 "1"
script: on_http_call_response get_header_map_pairs -> 0 x-sum=5
script: on_http_call_response get_buffer_bytes -> 0 "/a?b body"



=== TEST 5: calls share a connection; one that times out does not disturb the others on it
--- http: wasm_call_http2 on;
--- server
location / { content_by_lua_block { ngx.print(ngx.var.connection) } }
location /slow { content_by_lua_block { ngx.sleep(0.2) ngx.print(ngx.var.connection) } }
--- lua
run(configure("script.wasm", [[
on_request_headers as first http_call 127.0.0.4:$TEST_NGINX_SERVER_PORT () "" () 5000
on_http_call_response@of:first as connection get_buffer_bytes 4 0 100
on_http_call_response@of:first effective caller
on_http_call_response@of:first as late http_call 127.0.0.4:$TEST_NGINX_SERVER_PORT (:path=/slow) "" () 30
on_http_call_response@of:first as slow http_call 127.0.0.4:$TEST_NGINX_SERVER_PORT (:path=/slow) "" () 5000
on_http_call_response@of:late get_property wasm.http_call.error
on_http_call_response@of:slow log info same %connection
on_http_call_response@of:slow get_buffer_bytes 4 0 100
]]), "GET /p")
--- response_body
200 hello
--- grep_error_log eval: qr/(?:on_http_call_response|same) .*?(?=, client|$)/
--- grep_error_log_out eval
qr/\Aon_http_call_response connection -> 0 "(\d+)"
on_http_call_response effective -> 0
on_http_call_response late -> 0 2
on_http_call_response slow -> 0 3
on_http_call_response get_property -> 0 "[^"]+"
same \1
on_http_call_response get_buffer_bytes -> 0 "\1"
\z/
--- error_log_allowed



=== TEST 6: the other side ends connections (GOAWAY) and streams (RST_STREAM)
--- http: wasm_call_http2 on;
--- server
keepalive_requests 2;
location / { return 200 "fine"; }
location /abort { return 444; }
--- lua
for _ = 1, 5 do
    call(clear)
end
call(clear, ":path=/abort")
call(clear)
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "fine"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "fine"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "fine"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 4
script: on_http_call_response get_buffer_bytes -> 0 "fine"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 5
script: on_http_call_response get_buffer_bytes -> 0 "fine"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 6
script: the call to "127.0.0.4:$TEST_NGINX_SERVER_PORT" failed: stream reset: unspecific protocol error detected
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response get_property -> 0 "stream reset: unspecific protocol error detected"
script: on_request_headers http_call -> 0 7
script: on_http_call_response get_buffer_bytes -> 0 "fine"
script: on_http_call_response get_property -> 1



=== TEST 7: a large body against a small window
--- http: wasm_call_http2 on;
--- server
http2_body_preread_size 1k;
location / {
    client_max_body_size 8m;
    content_by_lua_block { ngx.req.read_body() ngx.print(("x"):rep(3e6)) }
}
--- config
location /upload {
    client_max_body_size 8m;
    client_body_buffer_size 8m;
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("uploaded") }
}
--- lua
run(configure("script.wasm", [[
on_request_body get_buffer_bytes 0 0 -1
on_request_body http_call 127.0.0.4:$TEST_NGINX_SERVER_PORT (:method=POST) %value () 5000
on_http_call_response get_buffer_status 4
]]), "POST /upload", {}, ("b"):rep(3e6))
--- response_body
200 uploaded
--- grep_error_log eval: qr/get_buffer_status \K.*(?=, client|$)/
--- grep_error_log_out
-> 0 3000000 0
--- error_log_allowed



=== TEST 8: requests that came over HTTP/2 wait as others do, side by side on a connection
--- server
location / {
    access_by_lua_block { assert(wasm.on_http_request_headers(share.inner)) }
    content_by_lua_block { ngx.print(ngx.var.http_x_answer) }
}
--- config
location /outer {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print(ngx.var.http_x_answer) }
}
--- lua
local conf = [[
on_request_headers as id get_header_map_value 0 x-id
on_request_headers http_call UPSTREAM (:path=/slow x-id=%id) "" () 5000
on_http_call_response as answer get_buffer_bytes 4 0 20
on_http_call_response effective caller
on_http_call_response add_header_map_value 0 x-answer %answer
]]
ctx = configure("script.wasm", (conf:gsub("UPSTREAM", "h2c://" .. clear)))
share.inner = configure("script.wasm", (conf:gsub("UPSTREAM", "http://127.0.0.1:$TEST_NGINX_RAW_PORT"):gsub("/slow", "/slow/20")))
local threads, right = {}, 0
for i = 1, 5 do
    threads[i] = ngx.thread.spawn(request, "GET /outer", { ["X-Id"] = i })
end
for i = 1, 5 do
    local _, res = ngx.thread.wait(threads[i])
    right = right + (res.body == "after 20 ms" and 1 or 0)
end
ngx.say(right, " ", table.concat(failed, ", "))
--- response_body eval: "5 \n"

# gRPC: calls, streams, their statuses, and what may be said to them when.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw grpc tls);
use ProxyWasm::Log;
use ProxyWasm::Phases;

# What is told of a call or a stream, from first to last.
add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<'_EOC_');
told = [[

on_grpc_receive_initial_metadata args
on_grpc_receive_initial_metadata get_header_map_pairs 4
on_grpc_receive args
on_grpc_receive get_buffer_bytes 5 0 400
on_grpc_receive_trailing_metadata args
on_grpc_receive_trailing_metadata get_header_map_pairs 5
on_grpc_close args
on_grpc_close get_status
]]

-- Calls with those arguments from proxy_on_request_headers, and shows all that comes back.
function calls(arguments, more)
    run(configure("script.wasm", "on_request_headers grpc_call " .. arguments .. told .. (more or "") .. [[

on_request_headers return pause
on_grpc_receive resume
on_grpc_close resume]]), "GET /p")
end

here = "127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo "
_EOC_
});

run_tests();

__DATA__

=== TEST 1: an answered call is told by one callback
--- lua
calls(here .. [[Unary (x-a=1 x-bin=AP8=) "a message\0\xff" 5000]], "on_grpc_receive get_status\non_grpc_receive get_buffer_status 5")
calls(here .. [[Unary () "" 5000]])
--- response_body
200 hello
200 hello
--- wasm_log
script: on_request_headers grpc_call -> 0 1
script: on_grpc_receive args: 1 1 11
script: on_grpc_receive get_buffer_bytes -> 0 "a message\x00\xff"
script: on_grpc_receive get_status -> 0 0 null
script: on_grpc_receive get_buffer_status -> 0 11 0
script: on_request_headers grpc_call -> 0 2
script: on_grpc_receive args: 3 2 0
script: on_grpc_receive get_buffer_bytes -> 0 null



=== TEST 2: what the other side sees
--- lua
calls(here .. [[About (x-a=1 x-a=2 X-Upper=u x-data-bin=AP8= user-agent=own) "" 5000]])
calls(here .. [[About (user-agent=own) "" 0]])
--- wasm_log
script: on_request_headers grpc_call -> 0 1
script: on_grpc_receive args: 1 1 76
script: on_grpc_receive get_buffer_bytes -> 0 "user-agent: own\x0ax-a: 1\x0ax-a: 2\x0ax-upper: u\x0ax-data-bin: b'\\x00\\xff'\x0aa deadline\x0a"
script: on_request_headers grpc_call -> 0 2
script: on_grpc_receive args: 3 2 28
script: on_grpc_receive get_buffer_bytes -> 0 "user-agent: own\x0ano deadline\x0a"



=== TEST 3: a call that fails ends with its status and its message
--- lua
calls(here .. [[Fail () "5 no such thing" 5000]])
calls(here .. [[Fail () "16 100%\n\xc3\xbc" 5000]])
calls(here .. [[Fail () "7" 5000]])
calls(here .. [[Nothing () "" 5000]])
--- wasm_log
script: on_request_headers grpc_call -> 0 1
script: on_grpc_close args: 1 1 5
script: on_grpc_close get_status -> 0 5 "no such thing"
script: on_request_headers grpc_call -> 0 2
script: on_grpc_close args: 3 2 16
script: on_grpc_close get_status -> 0 16 "100%\x0a\xc3\xbc"
script: on_request_headers grpc_call -> 0 3
script: on_grpc_close args: 5 3 7
script: on_grpc_close get_status -> 0 7 null
script: on_request_headers grpc_call -> 0 4
script: on_grpc_close args: 7 4 12
script: on_grpc_close get_status -> 0 12 "Method not found!"



=== TEST 4: calls that run out of time
--- http: wasm_call_timeout 80ms;
--- lua
calls(here .. [[Never () "" 40]])
calls(here .. [[Never () "" 0]])
calls([[127.0.0.1:$TEST_NGINX_SILENT_PORT a b () "" 40]])
calls([[127.0.0.1:$TEST_NGINX_FULL_PORT a b () "" 40]])
--- log_of: args
--- wasm_log
script: on_grpc_close args: 1 1 4
script: on_grpc_close args: 3 2 4
script: on_grpc_close args: 5 3 4
script: on_grpc_close args: 7 4 4



=== TEST 5: no connection, or one to something else
--- http
server {
    listen 127.0.0.2:$TEST_NGINX_SERVER_PORT http2;
    location /test.Echo/Unavailable { return 503; }
    location /test.Echo/Unauthenticated { return 401; }
    location /test.Echo/None { return 404; }
    location /test.Echo/Html { return 200 "<html>"; }
    location /test.Echo/Cut { return 444; }
}
--- lua
calls([[127.0.0.1:$TEST_NGINX_REFUSED_PORT a b () "" 5000]])
calls([[https://127.0.0.1:$TEST_NGINX_GRPCS_PORT test.Echo Unary () "" 5000]])
for _, method in ipairs{ "Unavailable", "Unauthenticated", "None", "Html", "Cut" } do
    calls("127.0.0.2:$TEST_NGINX_SERVER_PORT test.Echo " .. method .. [[ () "" 5000]])
end
--- wasm_log
script: on_request_headers grpc_call -> 0 1
script: the call to "127.0.0.1:$TEST_NGINX_REFUSED_PORT" failed: connection refused
script: on_grpc_close args: 1 1 14
script: on_grpc_close get_status -> 0 14 "connection refused"
script: on_request_headers grpc_call -> 0 2
script: the call to "https://127.0.0.1:$TEST_NGINX_GRPCS_PORT" failed: TLS: invalid peer certificate: UnknownIssuer
script: on_grpc_close args: 3 2 14
script: on_grpc_close get_status -> 0 14 "TLS: invalid peer certificate: UnknownIssuer"
script: on_request_headers grpc_call -> 0 3
script: the call to "127.0.0.2:$TEST_NGINX_SERVER_PORT" failed: HTTP status 503
script: on_grpc_close args: 5 3 14
script: on_grpc_close get_status -> 0 14 "HTTP status 503"
script: on_request_headers grpc_call -> 0 4
script: the call to "127.0.0.2:$TEST_NGINX_SERVER_PORT" failed: HTTP status 401
script: on_grpc_close args: 7 4 16
script: on_grpc_close get_status -> 0 16 "HTTP status 401"
script: on_request_headers grpc_call -> 0 5
script: the call to "127.0.0.2:$TEST_NGINX_SERVER_PORT" failed: HTTP status 404
script: on_grpc_close args: 9 5 12
script: on_grpc_close get_status -> 0 12 "HTTP status 404"
script: on_request_headers grpc_call -> 0 6
script: the call to "127.0.0.2:$TEST_NGINX_SERVER_PORT" failed: content type "text/plain", not gRPC's
script: on_grpc_close args: 11 6 2
script: on_grpc_close get_status -> 0 2 "content type \"text/plain\", not gRPC's"
script: on_request_headers grpc_call -> 0 7
script: the call to "127.0.0.2:$TEST_NGINX_SERVER_PORT" failed: stream reset: unspecific protocol error detected
script: on_grpc_close args: 13 7 13
script: on_grpc_close get_status -> 0 13 "stream reset: unspecific protocol error detected"



=== TEST 6: over TLS
--- http: wasm_call_ssl_trusted_certificate $TEST_NGINX_CERTS/ca.pem;
--- lua
calls([[https://127.0.0.1:$TEST_NGINX_GRPCS_PORT test.Echo Unary () secret 5000]])
--- wasm_log
script: on_request_headers grpc_call -> 0 1
script: on_grpc_receive args: 1 1 6
script: on_grpc_receive get_buffer_bytes -> 0 "secret"



=== TEST 7: large messages
--- lua
run(configure("script.wasm", [[
on_request_headers as large grpc_call 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Large () 3000000 5000
on_request_headers return pause
on_grpc_receive args
on_grpc_receive@of:large as message get_buffer_bytes 5 0 -1
on_grpc_receive@of:large as back grpc_call 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Unary () %message 5000
on_grpc_receive@of:back effective stream
on_grpc_receive@of:back continue_stream 0
]]), "GET /p")
calls(here .. "Large () 12000000 5000")
--- response_body
200 hello
200 hello
--- log_of: args|close
--- wasm_log
script: on_grpc_receive args: 1 1 3000000
script: on_grpc_receive args: 1 2 3000000
script: on_grpc_close args: 3 3 8
script: on_grpc_close get_status -> 0 8 "message larger than 10485760 bytes"



=== TEST 8: a stream: messages both ways, sent from any callback, until it is closed
--- lua
run(configure("script.wasm", [[
on_request_headers as echo grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Stream (x-a=1)
on_request_headers grpc_send %echo "" 0
on_request_headers grpc_send %echo first 0
on_request_headers return pause
]] .. told .. [[
on_grpc_receive@2 grpc_send %echo "se\0cond" 0
on_grpc_receive@3 grpc_send %echo last 1
on_grpc_receive@3 grpc_send %echo "too late" 0
on_grpc_close grpc_send %echo "too late" 0
on_grpc_close grpc_cancel %echo
on_grpc_close resume
]]), "GET /p")
--- response_body
200 hello
--- wasm_log
script: on_request_headers echo -> 0 1
script: on_request_headers grpc_send -> 0
script: on_request_headers grpc_send -> 0
script: on_grpc_receive_initial_metadata args: 1 1 3
script: on_grpc_receive_initial_metadata get_header_map_pairs -> 0 content-type=application/grpc; grpc-accept-encoding=identity, deflate, gzip; x-a=1
script: on_grpc_receive args: 1 1 0
script: on_grpc_receive get_buffer_bytes -> 0 null
script: on_grpc_receive args: 1 1 5
script: on_grpc_receive get_buffer_bytes -> 0 "first"
script: on_grpc_receive grpc_send -> 0
script: on_grpc_receive args: 1 1 7
script: on_grpc_receive get_buffer_bytes -> 0 "se\x00cond"
script: on_grpc_receive grpc_send -> 0
script: on_grpc_receive grpc_send -> 1
script: on_grpc_receive args: 1 1 4
script: on_grpc_receive get_buffer_bytes -> 0 "last"
script: on_grpc_receive_trailing_metadata args: 1 1 3
script: on_grpc_receive_trailing_metadata get_header_map_pairs -> 0 grpc-status=0; x-trailing=yes; x-binary-bin=AP8
script: on_grpc_close args: 1 1 0
script: on_grpc_close get_status -> 0 0 null
script: on_grpc_close grpc_send -> 1
script: on_grpc_close grpc_cancel -> 1



=== TEST 9: grpc_close ends our side, grpc_cancel both
--- lua
run(configure("script.wasm", [[
on_request_headers as echo grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Stream ()
on_request_headers grpc_send %echo message 0
on_request_headers grpc_close %echo
on_request_headers grpc_send %echo "too late" 0
on_request_headers return pause
on_grpc_close resume
]] .. told), "GET /p")
run(configure("script.wasm", [[
on_request_headers as echo grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Stream ()
on_request_headers grpc_send %echo message 0
on_request_headers as never grpc_call 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Never () "" 5000
on_request_headers as unary grpc_call 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Unary () "" 5000
on_request_headers grpc_cancel %echo
on_request_headers grpc_cancel %echo
on_request_headers grpc_close %echo
on_request_headers grpc_send %echo message 0
on_request_headers grpc_send %unary message 0
on_request_headers grpc_cancel %never
on_request_headers return pause
on_grpc_receive resume
]] .. told), "GET /p")
--- response_body
200 hello
200 hello
--- wasm_log
script: on_request_headers echo -> 0 1
script: on_request_headers grpc_send -> 0
script: on_request_headers grpc_close -> 0
script: on_request_headers grpc_send -> 1
script: on_grpc_receive_initial_metadata args: 1 1 2
script: on_grpc_receive_initial_metadata get_header_map_pairs -> 0 content-type=application/grpc; grpc-accept-encoding=identity, deflate, gzip
script: on_grpc_receive args: 1 1 7
script: on_grpc_receive get_buffer_bytes -> 0 "message"
script: on_grpc_receive_trailing_metadata args: 1 1 3
script: on_grpc_receive_trailing_metadata get_header_map_pairs -> 0 grpc-status=0; x-trailing=yes; x-binary-bin=AP8
script: on_grpc_close args: 1 1 0
script: on_grpc_close get_status -> 0 0 null
script: on_request_headers echo -> 0 2
script: on_request_headers grpc_send -> 0
script: on_request_headers never -> 0 3
script: on_request_headers unary -> 0 4
script: on_request_headers grpc_cancel -> 0
script: on_request_headers grpc_cancel -> 1
script: on_request_headers grpc_close -> 1
script: on_request_headers grpc_send -> 1
script: on_request_headers grpc_send -> 1
script: on_request_headers grpc_cancel -> 0
script: on_grpc_receive args: 3 4 0
script: on_grpc_receive get_buffer_bytes -> 0 null



=== TEST 10: many messages, one after the other, and a stream that breaks
--- lua
run(configure("script.wasm", [[
on_request_headers as many grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Many ()
on_request_headers grpc_send %many 5 1
on_request_headers as abort grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Abort ()
on_request_headers return pause
on_grpc_receive@of:many get_buffer_bytes 5 0 10
on_grpc_receive@of:abort get_buffer_bytes 5 0 20
on_grpc_receive_trailing_metadata args
on_grpc_receive_trailing_metadata get_header_map_pairs 5
on_grpc_close args
on_grpc_close get_status
on_grpc_close@of:many grpc_send %abort 2 1
on_grpc_close@of:abort resume
]]), "GET /p")
--- response_body
200 hello
--- wasm_log
script: on_request_headers many -> 0 1
script: on_request_headers grpc_send -> 0
script: on_request_headers abort -> 0 2
script: on_grpc_receive get_buffer_bytes -> 0 "1"
script: on_grpc_receive get_buffer_bytes -> 0 "2"
script: on_grpc_receive get_buffer_bytes -> 0 "3"
script: on_grpc_receive get_buffer_bytes -> 0 "4"
script: on_grpc_receive get_buffer_bytes -> 0 "5"
script: on_grpc_receive_trailing_metadata args: 1 1 1
script: on_grpc_receive_trailing_metadata get_header_map_pairs -> 0 grpc-status=0
script: on_grpc_close args: 1 1 0
script: on_grpc_close get_status -> 0 0 null
script: on_grpc_close grpc_send -> 0
script: on_grpc_receive get_buffer_bytes -> 0 "1"
script: on_grpc_receive get_buffer_bytes -> 0 "2"
script: on_grpc_receive_trailing_metadata args: 1 2 2
script: on_grpc_receive_trailing_metadata get_header_map_pairs -> 0 grpc-status=15; grpc-message=lost on the way: 100%25 %C3%BC
script: on_grpc_close args: 1 2 15
script: on_grpc_close get_status -> 0 15 "lost on the way: 100% \xc3\xbc"



=== TEST 11: streams that cannot be: no connection, no such method, refused at once
--- lua
for _, upstream in ipairs{ "127.0.0.1:$TEST_NGINX_REFUSED_PORT", "127.0.0.1:$TEST_NGINX_RAW_PORT", "127.0.0.1:$TEST_NGINX_GRPC_PORT" } do
    run(configure("script.wasm", "on_request_headers as id grpc_stream " .. upstream .. [[ test.Echo Nothing ()
on_request_headers return pause
on_grpc_close resume
]] .. told), "GET /p")
end
--- response_body
200 hello
200 hello
200 hello
--- log_of: args
--- wasm_log
script: on_grpc_close args: 1 1 14
script: on_grpc_close args: 3 2 14
script: on_grpc_receive_trailing_metadata args: 5 3 3
script: on_grpc_close args: 5 3 12



=== TEST 12: what is wrong with the arguments is a status
--- lua
local function wrong(call)
    run(configure("script.wasm", "on_request_headers " .. call .. told), "GET /p")
end

for _, upstream in ipairs{ '""', "127.0.0.1:0", "127.0.0.1:65536", "ftp://a:1", '"\\x0a"' } do
    wrong("grpc_call " .. upstream .. ' a b () "" 100')
    wrong("grpc_stream " .. upstream .. " a b ()")
end
local upstream = "127.0.0.1:$TEST_NGINX_GRPC_PORT"
for _, arguments in ipairs{ '"a b" b ()', 'a "\\n" ()', 'a b bytes:"\\x01\\x00\\x00"', 'a b ("x y"=1)', 'a b (x="\\n")' } do
    wrong("grpc_call " .. upstream .. " " .. arguments .. ' "" 100')
    wrong("grpc_stream " .. upstream .. " " .. arguments)
end
wrong("grpc_call " .. upstream .. ' a b () "" -1')
--- grep_error_log eval: qr/script: \Kon_\w+ \w+ -> \d+/
--- grep_error_log_out eval
CORE::join('', map { "on_request_headers grpc_call -> $_\non_request_headers grpc_stream -> $_\n" } (4) x 5, (10) x 5) . "on_request_headers grpc_call -> 10\n"



=== TEST 13: an upstream may be Envoy's GrpcService, whose cluster or target it is
--- lua
-- field 1 (envoy_grpc) or 2 (google_grpc) of bytes, whose field 1 is the name
local name = "127.0.0.1:$TEST_NGINX_GRPC_PORT"
local function field(number, bytes)
    return ("\\x%02x\\x%02x"):format(number * 8 + 2, #bytes:gsub("\\x..", "x")) .. bytes
end
for number = 1, 2 do
    calls('"' .. field(number, field(1, name)) .. [[" test.Echo Unary () message 5000]])
end
--- response_body
200 hello
200 hello
--- wasm_log
script: on_request_headers grpc_call -> 0 1
script: on_grpc_receive args: 1 1 7
script: on_grpc_receive get_buffer_bytes -> 0 "message"
script: on_request_headers grpc_call -> 0 2
script: on_grpc_receive args: 3 2 7
script: on_grpc_receive get_buffer_bytes -> 0 "message"



=== TEST 14: many requests at once, each with a stream and a call
--- config
location /answer {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print(ngx.var.http_x_call, " ", ngx.var.http_x_stream) }
}
--- lua
ctx = configure("script.wasm", [[
on_request_headers as id get_header_map_value 0 x-id
on_request_headers as echo grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Stream ()
on_request_headers grpc_send %echo %id 1
on_request_headers return pause
on_grpc_receive as message get_buffer_bytes 5 0 10
on_grpc_receive effective caller
on_grpc_receive add_header_map_value 0 x-stream %message
on_grpc_close effective caller
on_grpc_close as id get_header_map_value 0 x-id
on_grpc_close add_header_map_value 0 x-call %id
on_grpc_close continue_stream 0
]])
local threads, right = {}, 0
for i = 1, 10 do
    threads[i] = ngx.thread.spawn(request, "GET /answer", { ["X-Id"] = i })
end
for i = 1, 10 do
    local ok, res = ngx.thread.wait(threads[i])
    right = right + (ok and res.status == 200 and res.body == i .. " " .. i and 1 or 0)
end
ngx.say(right, " ", table.concat(failed, ", "))
--- response_body eval: "10 \n"



=== TEST 15: calls and streams that no request waits for, by a plugin of 0.1.0
--- lua
run(configure("script-0-1-0.wasm", [[
on_log grpc_call 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Unary () message 5000
on_grpc_receive@1 get_buffer_bytes 5 0 100
on_grpc_receive@1 as echo grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Stream ()
on_grpc_receive@1 grpc_send %echo more 1
on_grpc_receive@2 get_buffer_bytes 5 0 100
on_grpc_close args
]]), "GET /p")
ngx.say(logged("on_grpc_close args"))
--- response_body
200 hello
true
--- wasm_log
script-0-1-0: on_log grpc_call -> 0 1
script-0-1-0: on_grpc_receive get_buffer_bytes -> 0 "message"
script-0-1-0: on_grpc_receive echo -> 0 2
script-0-1-0: on_grpc_receive grpc_send -> 0
script-0-1-0: on_grpc_receive get_buffer_bytes -> 0 "more"
script-0-1-0: on_grpc_close args: 1 2 0



=== TEST 16: a request's end ends its streams, but not its calls
--- lua
run(configure("script.wasm", [[
on_request_headers as echo grpc_stream 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Stream ()
on_request_headers grpc_call 127.0.0.1:$TEST_NGINX_GRPC_PORT test.Echo Unary () message 5000
on_delete grpc_send %echo message 0
on_grpc_receive get_buffer_bytes 5 0 100
on_grpc_receive grpc_send %echo message 0
on_grpc_close args
]]), "GET /p")
ngx.say(logged("on_grpc_receive grpc_send"))
--- response_body
200 hello
true
--- wasm_log
script: on_request_headers echo -> 0 1
script: on_request_headers grpc_call -> 0 2
script: on_delete grpc_send -> 0
script: on_grpc_receive get_buffer_bytes -> 0 "message"
script: on_grpc_receive grpc_send -> 1

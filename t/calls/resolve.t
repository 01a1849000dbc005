# Names that Lua gives addresses to: the option `resolve` of setup().

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw tls);
use ProxyWasm::Log;
use ProxyWasm::Phases;

run_tests();

__DATA__

=== TEST 1: it is asked for each upstream as the plugin named it, and knows best
--- init_by_lua
asked = {}
assert(wasm.setup{
    resolve = function(name)
        asked[#asked + 1] = name
        ngx.sleep(0.001)
        if name:find("users", 1, true) then
            return "127.0.0.1:$TEST_NGINX_RAW_PORT"
        end
    end
})
--- config
location /echo { return 200 "$http_host"; }
--- lua
for _, upstream in ipairs{ "users", "users", "outbound|80||users.default.svc", "http://users:80", "127.0.0.1:$TEST_NGINX_SERVER_PORT" } do
    run(configure("script.wasm", 'on_request_headers http_call "' .. upstream .. [[" (:path=/echo) "" () 5000
    on_http_call_response get_buffer_bytes 4 0 100]]), "GET /p")
end
ngx.say(table.concat(asked, " "))
--- response_body
200 hello
200 hello
200 hello
200 hello
200 hello
users users outbound|80||users.default.svc http://users:80 127.0.0.1:$TEST_NGINX_SERVER_PORT
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo HTTP/1.1\x0ahost: users\x0a\x0a\x0a"
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo HTTP/1.1\x0ahost: users\x0a\x0a\x0a"
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo HTTP/1.1\x0ahost: users.default.svc\x0a\x0a\x0a"
script: on_request_headers http_call -> 0 4
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo HTTP/1.1\x0ahost: users\x0a\x0a\x0a"
script: on_request_headers http_call -> 0 5
script: on_http_call_response get_buffer_bytes -> 0 "127.0.0.1:$TEST_NGINX_SERVER_PORT"



=== TEST 2: nil and a reason fail the call, and so do answers that make no sense
--- init_by_lua
local answers = { text = "not a name", number = 80, table = {}, empty = "", no = false }
assert(wasm.setup{
    resolve = function(name)
        if name == "error" then
            error("no idea", 0)
        elseif name == "slow" then
            ngx.sleep(0.3)
        end
        return answers[name], name == "reason" and "no such service" or nil
    end
})
--- lua
for _, upstream in ipairs{ "reason", "text", "number", "table", "empty", "no", "error", "slow" } do
    run(configure("script.wasm", "on_request_headers http_call " .. upstream .. ' () "" () ' .. (upstream == "slow" and 30 or 5000) .. [[

    on_http_call_response args
    on_http_call_response get_property wasm.http_call.error]]), "GET /p")
end
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "reason" failed: no such service
script: on_http_call_response args: 1 1 0 0 0
script: on_http_call_response get_property -> 0 "no such service"
script: on_request_headers http_call -> 0 2
script: the call to "text" failed: the upstream's name is not known: not a name
script: on_http_call_response args: 3 2 0 0 0
script: on_http_call_response get_property -> 0 "the upstream's name is not known: not a name"
script: on_request_headers http_call -> 0 3
script: the call to "number" failed: the resolver gave a number, not a string
script: on_http_call_response args: 5 3 0 0 0
script: on_http_call_response get_property -> 0 "the resolver gave a number, not a string"
script: on_request_headers http_call -> 0 4
script: the call to "table" failed: the resolver gave a table, not a string
script: on_http_call_response args: 7 4 0 0 0
script: on_http_call_response get_property -> 0 "the resolver gave a table, not a string"
script: on_request_headers http_call -> 0 5
script: the call to "empty" failed: the upstream's name is not known: 
script: on_http_call_response args: 9 5 0 0 0
script: on_http_call_response get_property -> 0 "the upstream's name is not known: "
script: on_request_headers http_call -> 0 6
script: the call to "no" failed: the resolver gave a boolean, not a string
script: on_http_call_response args: 11 6 0 0 0
script: on_http_call_response get_property -> 0 "the resolver gave a boolean, not a string"
script: on_request_headers http_call -> 0 7
script: the call to "error" failed: the resolver failed: no idea
script: on_http_call_response args: 13 7 0 0 0
script: on_http_call_response get_property -> 0 "the resolver failed: no idea"
script: on_request_headers http_call -> 0 8
script: the call to "slow" failed: timed out
script: on_http_call_response args: 15 8 0 0 0
script: on_http_call_response get_property -> 0 "timed out"



=== TEST 3: an answer may say how to talk, or leave that to the name; the certificate is for the name
--- http
wasm_call_ssl_trusted_certificate $TEST_NGINX_CERTS/ca.pem;
server {
    listen 127.0.0.2:$TEST_NGINX_SERVER_PORT ssl;
    ssl_certificate $TEST_NGINX_CERTS/good.pem;
    ssl_certificate_key $TEST_NGINX_CERTS/key.pem;
    location / { return 200 "$ssl_server_name $http_host"; }
}
--- init_by_lua
assert(wasm.setup{
    resolve = function(name)
        return (name:find("^https") and "" or "https://") .. "127.0.0.2:$TEST_NGINX_SERVER_PORT"
    end
})
--- lua
for _, upstream in ipairs{ "https://good.test:443", "https://wrong.test:443", "good.test:80", "wrong.test:80" } do
    run(configure("script.wasm", "on_request_headers http_call " .. upstream .. [[ () "" () 5000
    on_http_call_response get_buffer_bytes 4 0 100
    on_http_call_response get_property wasm.http_call.error]]), "GET /p")
end
--- grep_error_log eval: qr/-> 0 "\K(?:TLS: [\w ]+: [a-z ]+(?= )|[^"]+)/
--- grep_error_log_out
good.test good.test
TLS: invalid peer certificate: certificate not valid for name
good.test good.test:80
TLS: invalid peer certificate: certificate not valid for name
--- error_log_allowed



=== TEST 4: gRPC calls ask it too, and so do calls that nobody waits for
--- init_by_lua
assert(wasm.setup{
    resolve = function(name)
        if name == "users" then
            return "127.0.0.1:$TEST_NGINX_RAW_PORT"
        end
        return nil, "no such service"
    end
})
--- lua
run(configure("script.wasm", [[
on_log grpc_call others a b () "" 5000
on_grpc_close@1 get_status
on_grpc_close@1 grpc_stream others a b ()
on_grpc_close@2 get_status
on_grpc_close@2 http_call users (:path=/echo) "" () 5000
on_http_call_response get_buffer_bytes 4 0 9]]), "GET /p")
ngx.say(logged("get_buffer_bytes"))
--- response_body
200 hello
true
--- wasm_log
script: on_log grpc_call -> 0 1
script: the call to "others" failed: no such service
script: on_grpc_close get_status -> 0 14 "no such service"
script: on_grpc_close grpc_stream -> 0 2
script: the call to "others" failed: no such service
script: on_grpc_close get_status -> 0 14 "no such service"
script: on_grpc_close http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo"



=== TEST 5: not a function
--- lua
local ok, err = pcall(wasm.setup, { resolve = "127.0.0.1:80" })
ngx.say(ok, " ", err)

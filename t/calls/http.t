# HTTP calls: what is sent, what comes back, and from where they may be made.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw);
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<"_EOC_");
self = "127.0.0.1:" .. $ENV{TEST_NGINX_SERVER_PORT}
other = "127.0.0.1:" .. $ENV{TEST_NGINX_RAW_PORT}

-- Calls with those arguments from proxy_on_request_headers. The request waits, and can be told more to do with the answer.
function calls(arguments, more)
    run(configure("script.wasm", "on_request_headers http_call " .. arguments .. "\\n" .. (more or "")), "GET /p")
end
_EOC_
    # what a plugin put into the request's header x-answer
    $block->set_value(config => ($block->config // '') . <<'_EOC_');
location /answer {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print(ngx.var.http_x_answer) }
    header_filter_by_lua_block { on_response_headers() }
}
_EOC_
});

run_tests();

__DATA__

=== TEST 1: a request waits for the answer, which comes to the plugin context; the request's context is a hostcall away
--- config
location = /auth {
    content_by_lua_block {
        ngx.header["X-User"] = "alice"
        ngx.header["X-Many"] = { "1", "2" }
        ngx.header["Content-Length"] = 7
        ngx.print("welcome")
    }
}
--- lua
run(configure("script.wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:method=GET :path=/auth :authority=auth) "" () 5000
on_request_headers return pause
on_http_call_response args
on_http_call_response get_header_map_value 6 :status
on_http_call_response as user get_header_map_value 6 x-user
on_http_call_response get_header_map_value 6 X-USER
on_http_call_response get_header_map_value 6 x-none
on_http_call_response get_header_map_size 7
on_http_call_response get_buffer_status 4
on_http_call_response as body get_buffer_bytes 4 0 100
on_http_call_response get_buffer_bytes 4 3 2
on_http_call_response get_status
on_http_call_response get_property wasm.http_call.error
on_http_call_response get_header_map_value 0 host
on_http_call_response effective caller
on_http_call_response get_header_map_value 6 x-user
on_http_call_response add_header_map_value 0 x-answer %user
on_http_call_response continue_stream 0
on_log get_header_map_value 6 :status
on_log get_buffer_bytes 4 0 100
]]), "GET /answer")
--- response_body
200 alice
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response args: 1 1 9 7 0
script: on_http_call_response get_header_map_value -> 0 "200"
script: on_http_call_response user -> 0 "alice"
script: on_http_call_response get_header_map_value -> 0 "alice"
script: on_http_call_response get_header_map_value -> 1
script: on_http_call_response get_header_map_size -> 0 0
script: on_http_call_response get_buffer_status -> 0 7 0
script: on_http_call_response body -> 0 "welcome"
script: on_http_call_response get_buffer_bytes -> 0 "co"
script: on_http_call_response get_status -> 0 0 null
script: on_http_call_response get_property -> 1
script: on_http_call_response get_header_map_value -> 1
script: on_http_call_response effective -> 0
script: on_http_call_response get_header_map_value -> 0 "alice"
script: on_http_call_response add_header_map_value -> 0
script: on_http_call_response continue_stream -> 0
script: on_log get_header_map_value -> 1
script: on_log get_buffer_bytes -> 1



=== TEST 2: method, path, headers, body and trailers are sent as they are
--- lua
calls(other .. [[ (:method=POST ":path=/echo?a=%20b&c" :authority=some.test:8 :scheme=http X-Upper=A x-twice=1 x-twice=2 x-empty= x-bytes="\xe4\xf6") "a body\0\xff" () 5000]], [[
on_http_call_response get_buffer_bytes 4 0 400
on_http_call_response get_header_map_pairs 6]])
calls(other .. [[ (:method=PUT :path=/echo :authority=a) body (x-trailer=1 x-other=2) 5000]], [[
on_http_call_response get_buffer_bytes 4 0 400]])
calls(other .. [[ (:method=DELETE :path=/echo :authority=a host=b connection=close content-length=5 transfer-encoding=chunked te=trailers upgrade=x x-a=1) "" () 5000]], [[
on_http_call_response get_buffer_bytes 4 0 400]])
--- response_body
200 hello
200 hello
200 hello
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "POST /echo?a=%20b&c HTTP/1.1\x0ahost: some.test:8\x0ax-upper: A\x0ax-twice: 1\x0ax-twice: 2\x0ax-empty: \x0ax-bytes: \xe4\xf6\x0acontent-length: 8\x0a\x0aa body\x00\xff\x0a"
script: on_http_call_response get_header_map_pairs -> 0 :status=200; content-length=130
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "PUT /echo HTTP/1.1\x0ahost: a\x0atransfer-encoding: chunked\x0atrailer: x-trailer, x-other\x0a\x0abody\x0ax-trailer: 1\x0ax-other: 2\x0a"
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "DELETE /echo HTTP/1.1\x0ahost: a\x0ate: trailers\x0ax-a: 1\x0a\x0a\x0a"



=== TEST 3: GET, / and the upstream's name where a pseudo-header is missing or empty; the last one counts
--- lua
calls(other .. [[ (:path=/ :authority=a :authority= :path=echo) "" () 5000]], "on_http_call_response get_buffer_bytes 4 0 400")
calls(other .. [[ () "" () 5000]], "on_http_call_response get_header_map_value 6 :status")
calls(other .. [[ (:path=/echo) "" () 5000]], "on_http_call_response get_buffer_bytes 4 0 400")
calls([["outbound|$TEST_NGINX_RAW_PORT||127.0.0.1" (:path=/echo) "" () 5000]], "on_http_call_response get_buffer_bytes 4 0 400")
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo HTTP/1.1\x0ahost: 127.0.0.1:$TEST_NGINX_RAW_PORT\x0a\x0a\x0a"
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_header_map_value -> 0 "404"
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo HTTP/1.1\x0ahost: 127.0.0.1:$TEST_NGINX_RAW_PORT\x0a\x0a\x0a"
script: on_request_headers http_call -> 0 4
script: on_http_call_response get_buffer_bytes -> 0 "GET /echo HTTP/1.1\x0ahost: 127.0.0.1:$TEST_NGINX_RAW_PORT\x0a\x0a\x0a"



=== TEST 4: names are lower case in the response, values stay apart, trailers are there
--- lua
calls(other .. [[ (:path=/trailers) "" (x-t=1) 5000]], [[
on_http_call_response args
on_http_call_response get_header_map_pairs 6
on_http_call_response get_header_map_pairs 7
on_http_call_response get_header_map_value 7 x-sum
on_http_call_response get_header_map_value 6 x-sum
on_http_call_response add_header_map_value 6 x-a 1
on_http_call_response remove_header_map_value 7 x-sum
on_http_call_response set_buffer_bytes 4 0 5 x
on_http_call_response get_buffer_bytes 4 0 100]])
--- response_body
200 hello
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response args: 1 1 4 11 3
script: on_http_call_response get_header_map_pairs -> 0 :status=200; transfer-encoding=chunked; trailer=X-Sum, X-Other; x-request-trailers=x-t=1
script: on_http_call_response get_header_map_pairs -> 0 x-sum=11; x-other=a; x-other=b
script: on_http_call_response get_header_map_value -> 0 "11"
script: on_http_call_response get_header_map_value -> 1
script: on_http_call_response add_header_map_value -> 2
script: on_http_call_response remove_header_map_value -> 2
script: on_http_call_response set_buffer_bytes -> 1
script: on_http_call_response get_buffer_bytes -> 0 "hello world"



=== TEST 5: ways to end a body, and responses without one
--- config
location /none { return 204; }
location /not-modified { content_by_lua_block { ngx.status = 304 } }
location /error { return 503; }
location /redirect { return 302 /error; }
--- lua
for _, case in ipairs{
    { other, "GET", "/until-close" },
    { other, "GET", "/hints" },
    { other, "HEAD", "/echo" },
    { self, "GET", "/none" },
    { self, "GET", "/not-modified" },
    { self, "HEAD", "/error" },
    { self, "OPTIONS", "/redirect" },
} do
    calls(case[1] .. " (:method=" .. case[2] .. " :path=" .. case[3] .. [[) "" () 5000]], [[
    on_http_call_response get_header_map_value 6 :status
    on_http_call_response get_buffer_status 4
    on_http_call_response get_buffer_bytes 4 0 18]])
end
--- response_body
200 hello
200 hello
200 hello
200 hello
200 hello
200 hello
200 hello
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_header_map_value -> 0 "200"
script: on_http_call_response get_buffer_status -> 0 19 0
script: on_http_call_response get_buffer_bytes -> 0 "as long as it last"
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_header_map_value -> 0 "200"
script: on_http_call_response get_buffer_status -> 0 7 0
script: on_http_call_response get_buffer_bytes -> 0 "at last"
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_header_map_value -> 0 "200"
script: on_http_call_response get_buffer_status -> 0 0 0
script: on_http_call_response get_buffer_bytes -> 0 null
script: on_request_headers http_call -> 0 4
script: on_http_call_response get_header_map_value -> 0 "204"
script: on_http_call_response get_buffer_status -> 0 0 0
script: on_http_call_response get_buffer_bytes -> 0 null
script: on_request_headers http_call -> 0 5
script: on_http_call_response get_header_map_value -> 0 "304"
script: on_http_call_response get_buffer_status -> 0 0 0
script: on_http_call_response get_buffer_bytes -> 0 null
script: on_request_headers http_call -> 0 6
script: on_http_call_response get_header_map_value -> 0 "503"
script: on_http_call_response get_buffer_status -> 0 0 0
script: on_http_call_response get_buffer_bytes -> 0 null
script: on_request_headers http_call -> 0 7
script: on_http_call_response get_header_map_value -> 0 "302"
script: on_http_call_response get_buffer_status -> 0 145 0
script: on_http_call_response get_buffer_bytes -> 0 "<html>\x0d\x0a<head><tit"



=== TEST 6: a chain of calls, each made in the callback of the one before
--- config
location /next {
    content_by_lua_block { ngx.print((tonumber(ngx.var.args) or 0) + 1) }
}
--- lua
local call = "http_call " .. self .. [[ (:path=%path) "" () 5000]] .. "\n"
run(configure("script.wasm", [[
on_request_headers as path get_header_map_value 0 :path
on_request_headers as first http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/next) "" () 5000
on_request_headers return pause
on_http_call_response args
on_http_call_response as body get_buffer_bytes 4 0 100
on_http_call_response@of:first as second http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/next?1) "" () 5000
on_http_call_response@of:second effective root
on_http_call_response@of:second as third http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/next?2) "" () 5000
on_http_call_response@of:third effective stream
on_http_call_response@of:third add_header_map_value 0 x-answer %body
on_http_call_response@of:third continue_stream 0
]]), "GET /answer")
--- response_body
200 3
--- wasm_log
script: on_request_headers path -> 0 "/answer"
script: on_request_headers first -> 0 1
script: on_http_call_response args: 1 1 6 1 0
script: on_http_call_response body -> 0 "1"
script: on_http_call_response second -> 0 2
script: on_http_call_response args: 1 2 6 1 0
script: on_http_call_response body -> 0 "2"
script: on_http_call_response effective -> 0
script: on_http_call_response third -> 0 3
script: on_http_call_response args: 1 3 6 1 0
script: on_http_call_response body -> 0 "3"
script: on_http_call_response effective -> 0
script: on_http_call_response add_header_map_value -> 0
script: on_http_call_response continue_stream -> 0



=== TEST 7: several calls at once; the request goes on after the last answer, which need not be to the last call
--- lua
run(configure("script.wasm", [[
on_request_headers as slow http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/200) "" () 5000
on_request_headers as refused http_call 127.0.0.1:$TEST_NGINX_REFUSED_PORT () "" () 5000
on_request_headers as fast http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/100) "" () 5000
on_http_call_response@of:slow log info slow
on_http_call_response@of:slow effective caller
on_http_call_response@of:slow add_header_map_value 0 x-answer slow
on_http_call_response@of:refused log info refused
on_http_call_response@of:fast log info fast
on_http_call_response@of:fast get_buffer_bytes 4 0 100
on_response_headers log info response
]]), "GET /answer")
--- response_body
200 slow
--- grep_error_log eval: qr/proxy-wasm \Kscript: on_request_headers \w+ -> 0 \d|script: (?:slow|fast|refused|response)/
--- grep_error_log_out
script: on_request_headers slow -> 0 1
script: on_request_headers refused -> 0 2
script: on_request_headers fast -> 0 3
script: refused
script: fast
script: slow
script: response
--- error_log_allowed



=== TEST 8: calls of many requests at once, each answered to its own
--- config
location /who { content_by_lua_block { ngx.sleep(tonumber(ngx.var.http_x_id) % 7 / 100) ngx.print(ngx.var.http_x_id) } }
--- lua
ctx = configure("script.wasm", [[
on_request_headers as id get_header_map_value 0 x-id
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/who x-id=%id) "" () 5000
on_request_headers return pause
on_http_call_response as answer get_buffer_bytes 4 0 100
on_http_call_response effective caller
on_http_call_response add_header_map_value 0 x-answer %answer
on_http_call_response continue_stream 0
]])
local threads, right = {}, 0
for i = 1, 10 do
    threads[i] = ngx.thread.spawn(request, "GET /answer", { ["X-Id"] = i })
end
for i = 1, 10 do
    local ok, res = ngx.thread.wait(threads[i])
    right = right + (ok and res.status == 200 and res.body == tostring(i) and 1 or 0)
end
ngx.say(right, " ", table.concat(failed, ", "))
for _, res in ipairs(require("client").keepalive(3, "GET /answer HTTP/1.1\r\nHost: a\r\nX-Id: 7\r\n\r\n")) do
    ngx.say(res.body)
end
--- response_body eval: "10 \n7\n7\n7\n"



=== TEST 9: connections are kept, and one that the other side closed meanwhile costs nothing
--- lua
for _, path in ipairs{ "/count", "/count", "/bye", "/count", "/count" } do
    calls(other .. " (:path=" .. path .. [[) "" () 5000]], "on_http_call_response get_buffer_bytes 4 0 1")
end
--- response_body
200 hello
200 hello
200 hello
200 hello
200 hello
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "1"
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "2"
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "a"
script: on_request_headers http_call -> 0 4
script: on_http_call_response get_buffer_bytes -> 0 "1"
script: on_request_headers http_call -> 0 5
script: on_http_call_response get_buffer_bytes -> 0 "2"



=== TEST 10: how an upstream may be named, and what Host is then
--- http
server {
    listen unix:$TEST_NGINX_HTML_DIR/up.sock;
    location / { return 200 "unix $http_host"; }
}
--- config
location /up { return 200 "$server_addr $http_host"; }
--- lua
for _, upstream in ipairs{
    "127.0.0.1:$TEST_NGINX_SERVER_PORT",
    "localhost:$TEST_NGINX_SERVER_PORT",
    "http://127.0.0.1:$TEST_NGINX_SERVER_PORT",
    "HTTP://LocalHost:$TEST_NGINX_SERVER_PORT/",
    "outbound|$TEST_NGINX_SERVER_PORT||127.0.0.1",
    "outbound|$TEST_NGINX_SERVER_PORT|subset|localhost",
    "unix:$TEST_NGINX_HTML_DIR/up.sock",
    "unix://$TEST_NGINX_HTML_DIR/up.sock",
} do
    calls('"' .. upstream .. [[" (:path=/up) "" () 5000]], "on_http_call_response get_buffer_bytes 4 0 100")
end
calls([[localhost:$TEST_NGINX_SERVER_PORT (:path=/up :authority=given.test) "" () 5000]], "on_http_call_response get_buffer_bytes 4 0 100")
--- grep_error_log eval: qr/get_buffer_bytes -> 0 \K".*"/
--- grep_error_log_out
"127.0.0.1 127.0.0.1:$TEST_NGINX_SERVER_PORT"
"127.0.0.1 localhost:$TEST_NGINX_SERVER_PORT"
"127.0.0.1 127.0.0.1:$TEST_NGINX_SERVER_PORT"
"127.0.0.1 localhost:$TEST_NGINX_SERVER_PORT"
"127.0.0.1 127.0.0.1:$TEST_NGINX_SERVER_PORT"
"127.0.0.1 localhost:$TEST_NGINX_SERVER_PORT"
"unix localhost"
"unix localhost"
"127.0.0.1 given.test"



=== TEST 11: an IPv6 address
--- skip_eval: 3: `cat /proc/net/if_inet6 2>&1` !~ / lo$/m
--- http
server {
    listen [::1]:$TEST_NGINX_SERVER_PORT;
    location / { return 200 "$server_addr $http_host"; }
}
--- lua
for _, upstream in ipairs{ "[::1]", "http://[::1]" } do
    calls('"' .. upstream .. [[:$TEST_NGINX_SERVER_PORT" () "" () 5000]], "on_http_call_response get_buffer_bytes 4 0 100")
end
--- grep_error_log eval: qr/get_buffer_bytes -> 0 \K".*"/
--- grep_error_log_out
"::1 [::1]:$TEST_NGINX_SERVER_PORT"
"::1 [::1]:$TEST_NGINX_SERVER_PORT"



=== TEST 12: bodies of some MB both ways
--- config
location /size {
    client_max_body_size 8m;
    client_body_buffer_size 8m;
    content_by_lua_block { ngx.req.read_body() ngx.say(#ngx.req.get_body_data()) ngx.print(("x"):rep(5e6)) }
}
location /upload {
    client_max_body_size 8m;
    client_body_buffer_size 8m;
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("uploaded") }
}
--- lua
run(configure("script.wasm", [[
on_request_body get_buffer_bytes 0 0 -1
on_request_body http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:method=POST :path=/size) %value () 5000
on_http_call_response get_buffer_bytes 4 0 7
on_http_call_response get_buffer_status 4
]]), "POST /upload", {}, ("b"):rep(3e6))
--- response_body
200 uploaded
--- grep_error_log eval: qr/on_http_call_response \K.*?(?=, client|$)/
--- grep_error_log_out
get_buffer_bytes -> 0 "3000000"
get_buffer_status -> 0 5000008 0
--- error_log_allowed



=== TEST 13: from callbacks in which nothing waits, answers come all the same
--- config
location /from {
    content_by_lua_block {
        share[#share + 1] = ngx.var.args
        ngx.print(ngx.var.args)
    }
}
--- lua
local call = "http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/from?%s) \"\" () 5000"
local script = { "on_http_call_response get_buffer_bytes 4 0 100" }
for _, callback in ipairs{ "configure", "context_create", "response_headers", "response_body", "done", "log", "delete" } do
    script[#script + 1] = "on_" .. callback .. "@1 " .. call:format(callback)
end
local plugin = assert(load("script.wasm", { vm_config = "on_vm_start " .. call:format("vm_start") }))
run(assert(wasm.on_configure(plugin, table.concat(script, "\n"))))
ngx.say(logged("on_http_call_response get_buffer_bytes", 8))
table.sort(share)
ngx.say(table.concat(share, " "))
--- response_body
200 hello
true
configure context_create delete done log response_body response_headers vm_start



=== TEST 14: each version of the ABI can call, in each phase before the content
--- config
location /rewrite {
    rewrite_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("rewrite ", ngx.var.http_x_answer) }
}
location /content {
    content_by_lua_block { on_request() ngx.print("content ", ngx.var.http_x_answer) }
}
location /sub {
    content_by_lua_block { ngx.print("sub: ", ngx.location.capture("/rewrite").body) }
}
location /up { return 200 "up"; }
--- lua
for _, guest in ipairs{ "script-0-1-0", "script-0-2-0", "script", "script-0-2-100" } do
    local ctx = configure(guest .. ".wasm", [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_headers return pause
on_http_call_response as answer get_buffer_bytes 4 0 100
on_http_call_response effective caller
on_http_call_response add_header_map_value 0 x-answer %answer
on_http_call_response continue_]] .. (guest:find("0-1-0", 1, true) and "request" or "stream 0"))
    for _, path in ipairs{ "/answer", "/rewrite", "/content", "/sub" } do
        run(ctx, "GET " .. path)
    end
end
--- response_body
200 up
200 rewrite up
200 content up
200 sub: rewrite up
200 up
200 rewrite up
200 content up
200 sub: rewrite up
200 up
200 rewrite up
200 content up
200 sub: rewrite up
200 up
200 rewrite up
200 content up
200 sub: rewrite up



=== TEST 15: in a chain of plugins the next one sees the request after the answer to the one before
--- init_by_lua
local call = [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_SERVER_PORT (:path=/up) "" () 5000
on_request_headers return pause
on_http_call_response effective caller
on_http_call_response add_header_map_value 0 x-by NAME
on_http_call_response continue_stream 0
on_request_headers get_header_map_value 0 x-by]]
chain = assert(wasm.chain{
    { path = guests .. "script.wasm", name = "one", conf = (call:gsub("NAME", "one")) },
    { path = guests .. "script.wasm", name = "two", conf = (call:gsub("NAME", "two")) },
})
--- config
location /up { return 200 "up"; }
location /chain {
    access_by_lua_block { chain:access() }
    header_filter_by_lua_block { chain:header_filter() }
    body_filter_by_lua_block { return chain:body_filter() }
    content_by_lua_block { ngx.print(table.concat(ngx.req.get_headers()["x-by"], " ")) }
}
--- lua
ngx.say(request("POST /chain", {}, "body").body)
--- response_body
one two
--- wasm_log
one: on_request_headers http_call -> 0 1
one: on_request_headers get_header_map_value -> 1
one: on_http_call_response effective -> 0
one: on_http_call_response add_header_map_value -> 0
one: on_http_call_response continue_stream -> 0
two: on_request_headers http_call -> 0 1
two: on_request_headers get_header_map_value -> 0 "one"
two: on_http_call_response effective -> 0
two: on_http_call_response add_header_map_value -> 0
two: on_http_call_response continue_stream -> 0



=== TEST 16: what a request has sent is answered after its end, when its context is gone
--- lua
run(configure("script.wasm", [[
on_response_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/50) "" () 5000
on_http_call_response get_buffer_bytes 4 0 20
on_http_call_response effective caller
on_http_call_response get_header_map_value 0 host
on_http_call_response continue_stream 0
on_http_call_response send_local_response 403 "" no
on_http_call_response args
]]), "GET /p")
ngx.say(logged("on_http_call_response args"))
--- response_body
200 hello
true
--- wasm_log
script: on_response_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "after 50 ms"
script: on_http_call_response effective -> 2
script: on_http_call_response get_header_map_value -> 1
script: on_http_call_response continue_stream -> 2
script: proxy_send_local_response: dropped, there is no request or its response has been sent
script: on_http_call_response send_local_response -> 0
script: on_http_call_response args: 1 1 2 11 0

# However a request ends, its contexts end with it, once, and contexts and plugins may be collected in any order.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(init_by_lua => <<'_EOC_');
-- A plugin whose streams say how they end, with one plugin context, which is returned.
function new(conf)
    share.plugin = assert(load("script.wasm"))
    ngx.update_time()
    return assert(wasm.on_configure(share.plugin, (conf or "") .. "\non_done args\non_log args\non_delete args"))
end

-- Says how many requests with streams this worker has, and how many contexts the plugin.
function count()
    local requests = require("resty.proxy-wasm.cdefs").lib.proxy_wasm_worker_requests()
    return "requests " .. tonumber(requests) .. ", contexts " .. wasm.info(share.plugin).contexts
end

-- Waits until all has ended and says what is left.
function settled()
    for _ = 1, 30 do
        if count() == "requests 0, contexts 1" then
            break
        end
        ngx.sleep(0.05)
    end
    ngx.say(count())
end

function collect()
    collectgarbage()
    collectgarbage()
end
_EOC_
    $block->set_value(config => ($block->config // '') . <<'_EOC_');
location /count { content_by_lua_block { ngx.say(count()) } }
_EOC_
});

run_tests();

__DATA__

=== TEST 1: a request, while it runs and after
--- config
location /during {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.say(count()) }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
run(new(), "GET /during")
settled()
--- response_body
200 requests 1, contexts 2

requests 0, contexts 1
--- wasm_log
script: on_done args: 2
script: on_log args: 2
script: on_delete args: 2



=== TEST 2: HTTP/1.0, HEAD, a body, a body in chunks, keepalive and pipelining
--- lua
local client = require "client"
ctx = new()
for _, text in ipairs({
    "GET /p HTTP/1.0\r\n\r\n",
    "HEAD /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
    "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ("GET /p HTTP/1.1\r\nHost: a\r\n\r\n"):rep(3) .. "GET /count HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}) do
    local answer = client.send(text)
    ngx.say((select(2, answer:gsub("200 OK", ""))), " ", answer:match("requests [^\n]*"))
    settled()
end
--- response_body
1 nil
requests 0, contexts 1
1 nil
requests 0, contexts 1
1 nil
requests 0, contexts 1
1 nil
requests 0, contexts 1
4 requests 0, contexts 1
requests 0, contexts 1



=== TEST 3: an idle keepalive connection holds nothing
--- lua
ctx = new()
local socket = ngx.socket.tcp()
socket:connect("127.0.0.1", ngx.var.server_port)
for _ = 1, 3 do
    socket:send("GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
    socket:receiveuntil("0\r\n\r\n")()
    ngx.sleep(0.01)
    ngx.say(count())
end
socket:close()
--- response_body
requests 0, contexts 1
requests 0, contexts 1
requests 0, contexts 1



=== TEST 4: internal redirects: ngx.exec, rewrite, error_page, try_files, a named location
--- config
location /exec { rewrite_by_lua_block { on_request() } content_by_lua_block { ngx.exec("/p") } }
location /exec-named { rewrite_by_lua_block { on_request() } content_by_lua_block { ngx.exec("@named") } }
location /rewrite { rewrite_by_lua_block { on_request() } rewrite ^ /p last; }
location /set-uri { rewrite_by_lua_block { on_request() ngx.req.set_uri("/p", true) } }
location /error-page { access_by_lua_block { on_request() } error_page 404 /p; return 404; }
location /error-named { access_by_lua_block { on_request() ngx.exit(404) } error_page 404 =200 @named; }
location /try { access_by_lua_block { on_request() } try_files /gone @named; }
location @named {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("named") }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
for _, path in ipairs({ "exec", "exec-named", "rewrite", "set-uri", "error-page", "error-named", "try" }) do
    local context = new("on_context_create count made\non_log count logged")
    run(context, "GET /" .. path)
    settled()
end
--- response_body
200 hello
requests 0, contexts 1
200 named
requests 0, contexts 1
200 hello
requests 0, contexts 1
200 hello
requests 0, contexts 1
404 hello
requests 0, contexts 1
200 named
requests 0, contexts 1
200 named
requests 0, contexts 1
--- grep_error_log eval
qr/count (?:made|logged) \d/
--- grep_error_log_out eval
"count made 1\ncount logged 1\n" x 7



=== TEST 5: subrequests: capture, capture_multi, auth_request, mirror
--- config
location /sub {
    rewrite_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("sub") }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
location /capture {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print(ngx.location.capture("/sub").body, ngx.location.capture("/sub").body) }
    header_filter_by_lua_block { on_response_headers() }
}
location /multi {
    content_by_lua_block {
        for _, res in ipairs({ ngx.location.capture_multi({ { "/sub" }, { "/sub" }, { "/sub" } }) }) do
            ngx.print(res.body)
        end
    }
}
location /auth { auth_request /sub; access_by_lua_block { on_request() } content_by_lua_block { ngx.print("authorized") } }
location /mirror { mirror /sub; access_by_lua_block { on_request() } content_by_lua_block { ngx.print("mirrored") } }
--- lua
for _, path in ipairs({ "capture", "multi", "auth", "mirror" }) do
    run(new("on_log count logged"), "GET /" .. path)
    settled()
end
--- response_body
200 subsub
requests 0, contexts 1
200 subsubsub
requests 0, contexts 1
200 authorized
requests 0, contexts 1
200 mirrored
requests 0, contexts 1
--- grep_error_log eval
qr/count logged \d/
--- grep_error_log_out
count logged 1
count logged 2
count logged 3
count logged 1
count logged 2
count logged 3
count logged 1
count logged 2
count logged 1
count logged 2



=== TEST 6: ngx.exit, ngx.redirect and an error in Lua, in each phase
--- config
location /exit {
    rewrite_by_lua_block {
        on_request()
        if ngx.var.arg_phase == "rewrite" then ngx.exit(tonumber(ngx.var.arg_status)) end
        if ngx.var.arg_phase == "redirect" then ngx.redirect("/p") end
        if ngx.var.arg_phase == "error" then error("broken") end
    }
    access_by_lua_block { if ngx.var.arg_phase == "access" then ngx.exit(tonumber(ngx.var.arg_status)) end }
    content_by_lua_block {
        if ngx.var.arg_phase == "content" then ngx.exit(tonumber(ngx.var.arg_status)) end
        ngx.print("body")
    }
    header_filter_by_lua_block {
        on_response_headers()
        if ngx.var.arg_phase == "header" then return ngx.exit(tonumber(ngx.var.arg_status)) end
    }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
ctx = new()
for _, args in ipairs({ "phase=rewrite&status=403", "phase=redirect", "phase=error", "phase=access&status=444", "phase=access&status=503",
    "phase=content&status=404", "phase=content&status=200", "phase=header&status=502" }) do
    ngx.say(args, " ", request("GET /exit?" .. args).status)
    settled()
end
--- response_body
phase=rewrite&status=403 403
requests 0, contexts 1
phase=redirect 302
requests 0, contexts 1
phase=error 500
requests 0, contexts 1
phase=access&status=444 0
requests 0, contexts 1
phase=access&status=503 503
requests 0, contexts 1
phase=content&status=404 404
requests 0, contexts 1
phase=content&status=200 200
requests 0, contexts 1
phase=header&status=502 502
requests 0, contexts 1
--- error_log
broken
--- no_error_log
[crit]
[alert]



=== TEST 7: a client that goes away: in a sleep, in an upstream's answer, in the middle of its body and of the response
--- config
location /sleep {
    access_by_lua_block { on_request() ngx.sleep(0.3) }
    content_by_lua_block { ngx.print("late") }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
location /upstream { content_by_lua_block { ngx.sleep(0.3) ngx.print("late") } }
location /proxy {
    access_by_lua_block { on_request() }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
    proxy_pass http://127.0.0.1:$server_port/upstream;
}
location /half {
    access_by_lua_block {
        assert(wasm.on_http_request_headers(ctx))
        ngx.req.read_body()
        assert(wasm.on_http_request_body(ctx, ngx.req.get_body_data(), true))
    }
    content_by_lua_block { ngx.print("never") }
}
location /big {
    content_by_lua_block {
        assert(wasm.on_http_request_headers(ctx))
        for _ = 1, 200 do
            ngx.print(("x"):rep(100000))
            if not ngx.flush(true) then break end
        end
    }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
ctx = new()
for _, text in ipairs({
    "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /proxy HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
    "GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
}) do
    local socket = ngx.socket.tcp()
    socket:connect("127.0.0.1", ngx.var.server_port)
    socket:send(text)
    ngx.sleep(0.05)
    ngx.say(count())
    socket:close()
    settled()
end
--- response_body
requests 1, contexts 2
requests 0, contexts 1
requests 1, contexts 2
requests 0, contexts 1
requests 1, contexts 2
requests 0, contexts 1
requests 1, contexts 2
requests 0, contexts 1
--- no_error_log
[error]
[crit]
[alert]
cannot run



=== TEST 8: timeouts: of the client's body, of the upstream
--- config
location /slow { content_by_lua_block { ngx.sleep(1) ngx.print("late") } }
location /gateway {
    access_by_lua_block { on_request() }
    header_filter_by_lua_block { on_response_headers() }
    proxy_read_timeout 100ms;
    proxy_pass http://127.0.0.1:$server_port/slow;
}
location /refused { access_by_lua_block { on_request() } proxy_pass http://127.0.0.1:1; }
location /body {
    client_body_timeout 100ms;
    access_by_lua_block { assert(wasm.on_http_request_headers(ctx)) ngx.req.read_body() }
    content_by_lua_block { ngx.print("never") }
}
--- lua
local client = require "client"
ctx = new()
ngx.say(request("GET /gateway").status)
settled()
ngx.say(request("GET /refused").status)
settled()
ngx.say(client.parse(client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")).status)
settled()
--- response_body
504
requests 0, contexts 1
502
requests 0, contexts 1
0
requests 0, contexts 1
--- error_log
upstream timed out
--- no_error_log
[crit]
[alert]



=== TEST 9: many at once
--- lua
ctx = new()
local threads = {}
for i = 1, 20 do
    threads[i] = ngx.thread.spawn(request, "POST /p", nil, "body")
end
for i = 1, 20 do
    local _, res = ngx.thread.wait(threads[i])
    assert(res.body == "hello")
end
settled()
--- response_body
requests 0, contexts 1
--- error_log_allowed
--- no_error_log
[error]



=== TEST 10: a plugin that is collected before its context
--- lua
local ctx
do
    local plugin = load("script.wasm")
    ctx = assert(wasm.on_configure(plugin, "on_request_headers count calls\non_done args"))
end
collect()
run(ctx, "GET /p")
ctx = nil
_G.ctx = false
collect()
--- response_body
200 hello
--- wasm_log
script: on_request_headers count calls 1
script: on_done args: 2
script: on_done args: 1



=== TEST 11: a context that is collected while a request runs on it ends after the request
--- config
location /slow {
    access_by_lua_block {
        do
            local context = ctx
            ctx = false
            assert(wasm.on_http_request_headers(context))
        end
        share.started = true
        ngx.sleep(0.1)
    }
    content_by_lua_block { ngx.print("slow") }
}
--- lua
-- in a function, so that nothing of it stays on this thread's stack
(function() ctx = new() end)()
local thread = ngx.thread.spawn(request, "GET /slow")
ngx.sleep(0.05)
collect()
ngx.say(wasm.info(share.plugin).contexts)
ngx.thread.wait(thread)
ngx.say(wasm.info(share.plugin).contexts)
--- response_body
2
0
--- wasm_log
script: on_done args: 2
script: on_log args: 2
script: on_delete args: 2
script: on_done args: 1
script: on_delete args: 1



=== TEST 12: everything is collected while a request runs
--- config
location /slow {
    access_by_lua_block {
        do
            local plugin = load("script.wasm")
            local context = assert(wasm.on_configure(plugin, "on_done args\non_log args"))
            assert(wasm.on_http_request_headers(context))
        end
        collect()
        ngx.sleep(0.05)
        collect()
    }
    content_by_lua_block { ngx.print("slow") }
}
--- lua
run(false, "GET /slow")
--- response_body
200 slow
--- wasm_log
script: on_done args: 2
script: on_log args: 2
script: on_done args: 1



=== TEST 13: contexts and plugins in any order, many times
--- lua
math.randomseed(1)
local kept = {}
for i = 1, 200 do
    local plugin = load(i % 2 == 0 and "script.wasm" or "add-header.wat")
    local context = assert(wasm.on_configure(plugin, "#"))
    kept[math.random(20)] = math.random(2) == 1 and { plugin, context } or { context }
    kept[math.random(20)] = { plugin }
    if i % 20 == 0 then
        collect()
        run(context, "GET /p")
    end
end
kept = nil
collect()
--- response_body eval
"200 hello\n" x 10
--- timeout: 20



=== TEST 14: a context per request leaves nothing
--- config
location /each {
    return 200 "each";
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(assert(wasm.on_configure(share.plugin, "on_response_headers add_header_map_value 2 x-one 1")))) }
}
--- lua
share.plugin = load("script.wasm")
for _ = 1, 100 do
    assert(request("GET /each").headers["x-one"] == "1")
end
collect()
ngx.say(count())
--- response_body
requests 0, contexts 0

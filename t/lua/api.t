# The Lua API: what its functions take, answer and do.

use Digest::SHA;
use ProxyWasm 'no_plan';
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<'_EOC_');
-- Says the error that a call raises, with the place it blames.
function raises(call)
    local ok, err = pcall(call)
    ngx.say(tostring(ok), " ", (err:gsub("^content_by_lua%(nginx%.conf:%d+%)", "content")))
end

-- Says what a call answers.
function answers(...)
    ngx.say(tostring((select(1, ...))), " ", tostring((select(2, ...))))
end
_EOC_
});

run_tests();

__DATA__

=== TEST 1: handles are cdata
--- lua
local plugin = load("script.wasm")
ngx.say(type(plugin), " ", type(wasm.on_configure(plugin, "#")))
--- response_body
cdata cdata



=== TEST 2: load() takes a name, a path and options; anything else is raised where it was given
--- lua
raises(function() wasm.load() end)
raises(function() wasm.load("x") end)
raises(function() wasm.load(1, "x") end)
raises(function() wasm.load("x", {}) end)
raises(function() wasm.load("x", guests .. "script.wasm", "x") end)
raises(function() wasm.load("x", guests .. "script.wasm", { root = "x" }) end)
raises(function() wasm.load("x", guests .. "script.wasm", { root_id = 1 }) end)
raises(function() wasm.load("x", guests .. "script.wasm", { vm_config = {} }) end)
raises(function() wasm.load("x", guests .. "script.wasm", { vm_id = true }) end)
raises(function() wasm.load("x", guests .. "script.wasm", { env = "A=b" }) end)
raises(function() wasm.load("x", guests .. "script.wasm", { env = { A = 1 } }) end)
raises(function() wasm.load("x", guests .. "script.wasm", { env = { [true] = "b" } }) end)
ngx.say(type(wasm.load("x", guests .. "script.wasm", {})))
--- response_body_like eval
qr/^false content:2: bad arguments: a name and a path expected
false content:3: bad arguments: a name and a path expected
false content:4: bad arguments: a name and a path expected
false content:5: bad arguments: a name and a path expected
false content:6: bad options: table expected, got string
false content:7: unknown option "root"
false content:8: bad option "root_id": string expected, got number
false content:9: bad option "vm_config": string expected, got table
false content:10: bad option "vm_id": string expected, got boolean
false content:11: bad option "env": table expected, got string
false content:12: bad option "env:A": string expected, got number
false content:13: bad option "env[^\n]*
cdata
$/



=== TEST 3: on_configure() takes a plugin and a string that is not empty
--- lua
local plugin = load("script.wasm")
local ctx = wasm.on_configure(plugin, "#")
answers(wasm.on_configure())
answers(wasm.on_configure("plugin", "x"))
answers(wasm.on_configure({}, "x"))
answers(wasm.on_configure(ctx, "x"))
answers(wasm.on_configure(ngx.null, "x"))
answers(wasm.on_configure(nil, ""))
answers(wasm.on_configure(plugin, ""))
answers(wasm.on_configure(plugin))
answers(wasm.on_configure(plugin, 1))
--- response_body
nil bad plugin
nil bad plugin
nil bad plugin
nil bad plugin
nil bad plugin
nil bad plugin
nil bad conf
nil bad conf
nil bad conf



=== TEST 4: each on_http_*() takes a plugin context
--- lua
local plugin = load("script.wasm")
for _, phase in ipairs({ "request_headers", "request_body", "response_headers", "response_body" }) do
    for _, bad in ipairs({ plugin, "ctx", 1, ngx.null, {} }) do
        local ok, err = wasm["on_http_" .. phase](bad)
        assert(ok == nil and err == "bad plugin ctx")
    end
    answers(wasm["on_http_" .. phase]())
end
--- response_body
nil bad plugin ctx
nil bad plugin ctx
nil bad plugin ctx
nil bad plugin ctx



=== TEST 5: in init_by_lua there is no request
--- init_by_lua
share.answers = {}
for _, phase in ipairs({ "request_headers", "request_body", "response_headers", "response_body" }) do
    local ok, err = wasm["on_http_" .. phase](configure("script.wasm", "#"))
    share.answers[#share.answers + 1] = tostring(ok) .. " " .. tostring(err)
end
--- lua
ngx.say(table.concat(share.answers, "\n"))
--- response_body
nil bad request
nil bad request
nil bad request
nil bad request



=== TEST 6: in a timer and in init_worker_by_lua there is no request
--- http
init_worker_by_lua_block {
    function try_all(name)
        share[name] = {}
        for _, phase in ipairs({ "request_headers", "request_body", "response_headers", "response_body" }) do
            local ok, err = wasm["on_http_" .. phase](configure("script.wasm", "on_* args"))
            share[name][#share[name] + 1] = tostring(ok) .. " " .. tostring(err)
        end
    end
    try_all("worker")
    ngx.timer.at(0, function() try_all("timer") end)
}
--- lua
ngx.sleep(0.05)
ngx.say(table.concat(share.worker, ", "))
ngx.say(table.concat(share.timer, ", "))
--- response_body
nil bad request, nil bad request, nil bad request, nil bad request
nil bad request, nil bad request, nil bad request, nil bad request
--- no_error_log
on_request_headers args
[error]
[crit]
[alert]



=== TEST 7: info() describes a plugin
--- lua
local plugin = wasm.load("mine", wat .. "unknown-import.wat", { root_id = "root" })
local info = wasm.info(plugin)
ngx.say(info.name, " ", info.engine, " ", info.abi_version, " ", info.root_id)
ngx.say(info.size, " ", info.hash)
ngx.say(info.contexts)
ngx.say(table.concat(info.exports, " "))
ngx.say(table.concat(info.imports, " "))
ngx.say(table.concat(info.unknown_imports, " "))
local ctx = wasm.on_configure(plugin, "x")
ngx.say(wasm.info(plugin).contexts)
--- response_body eval
my $file = "$::root/t/plugins/wat/unknown-import.wat";
my $size = -s $file;
my $hash = Digest::SHA->new(256)->addfile($file)->hexdigest;
"mine $::vm 0.2.1 root
$size $hash
0
proxy_abi_version_0_2_1 proxy_on_memory_allocate proxy_on_request_headers
env.proxy_log env.some_unknown env.another_unknown elsewhere.unknown
env.some_unknown env.another_unknown elsewhere.unknown
1
"



=== TEST 8: info() of what is no plugin
--- lua
answers(wasm.info())
answers(wasm.info("x"))
answers(wasm.info(configure("script.wasm", "#")))
--- response_body
nil bad plugin
nil bad plugin
nil bad plugin



=== TEST 9: engine() is the engine's name
--- lua
ngx.say(wasm.engine())
ngx.say(wasm._VERSION)
--- response_body_like eval
qr/^$::vm\n\d+\.\d+\.\d+\n$/



=== TEST 10: setup() takes a table of known options
--- lua
raises(function() wasm.setup() end)
raises(function() wasm.setup("wasmtime") end)
raises(function() wasm.setup({ engine = "wasmtime" }) end)
raises(function() wasm.setup({ vm = 1 }) end)
raises(function() wasm.setup({ wasmedge_aot = true }) end)
answers(wasm.setup({}))
answers(wasm.setup({ vm = wasm.engine() }))
answers(wasm.setup({ vm = "v8" }))
answers(wasm.setup({ memory_limit = "256m", deadline = "1s" }))
answers(wasm.setup({ wasmedge_aot = "yes" }))
--- response_body
false content:2: bad options: table expected, got nil
false content:3: bad options: table expected, got string
false content:4: unknown option "engine"
false content:5: bad option "vm": string expected, got number
false content:6: bad option "wasmedge_aot": string expected, got boolean
true nil
true nil
nil unknown engine "v8", it must be wasmtime or wasmedge
true nil
nil bad wasmedge_aot "yes", it must be auto, on or off



=== TEST 11: a local response to the request's headers ends the request
--- config
location /deny {
    access_by_lua_block {
        wasm.on_http_request_headers(configure("script.wasm", [[
            on_request_headers send_local_response 403 why "denied" (X-One=1 set-cookie=a set-cookie=b content-type=text/html)
            on_request_headers return pause]]))
        ngx.log(ngx.ERR, "not reached")
    }
    content_by_lua_block { ngx.say("not reached") }
}
--- lua
local res = request("GET /deny")
ngx.say(res.status, " ", res.body)
for _, name in ipairs({ "x-one", "set-cookie", "content-type", "content-length" }) do
    ngx.say(name, ": ", res.headers[name])
end
--- response_body
403 denied
x-one: 1
set-cookie: a, b
content-type: text/html
content-length: 6



=== TEST 12: a local response with an empty body is nginx's own for that status
--- config
error_page 404 /missing;
location = /missing { return 404 "the missing page"; }
location /deny {
    access_by_lua_block {
        wasm.on_http_request_headers(configure("script.wasm", 'on_request_headers send_local_response ' .. ngx.var.arg_status .. ' "" "" (x-one=1 location=/there)'))
        ngx.log(ngx.ERR, "not reached")
    }
    content_by_lua_block { ngx.say("not reached") }
}
--- lua
for _, status in ipairs({ 200, 204, 302, 401, 403, 404, 429, 503 }) do
    local res = request("GET /deny?status=" .. status)
    ngx.say(res.status, " ", res.body:match("<title>([^<]*)") or '"' .. res.body .. '"', " ", res.headers["x-one"],
        status == 302 and " " .. res.headers.location or "")
end
--- response_body_like eval
qr{^200 "" 1
204 "" 1
302 (?:302 Found|"") 1 \S*/there
401 401 Authorization Required 1
403 403 Forbidden 1
404 "the missing page" [^\n]*
429 429 Too Many Requests 1
503 503 Service Temporarily Unavailable 1
$}



=== TEST 13: a local response from rewrite, access and content
--- config
location /rewrite {
    rewrite_by_lua_block { wasm.on_http_request_headers(ctx) ngx.log(ngx.ERR, "not reached") }
    content_by_lua_block { ngx.say("not reached") }
}
location /content {
    content_by_lua_block { wasm.on_http_request_headers(ctx) ngx.say("not reached") }
}
location /body {
    access_by_lua_block { wasm.on_http_request_body(ctx, "body", true) ngx.log(ngx.ERR, "not reached") }
}
--- lua
ctx = configure("script.wasm", 'on_request_headers send_local_response 418 "" "teapot"\non_request_body send_local_response 413 "" "too large"')
for _, line in ipairs({ "GET /rewrite", "GET /content", "GET /body", "HEAD /rewrite" }) do
    local res = request(line)
    ngx.say(res.status, " ", res.body, " ", res.headers["content-length"])
end
--- response_body
418 teapot 6
418 teapot 6
413 too large 9
418  6



=== TEST 14: a local response to the response's headers takes its place
--- config
location /origin {
    content_by_lua_block {
        ngx.header["x-origin"] = "yes"
        ngx.header["content-length"] = 11
        ngx.print("from origin")
    }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
ctx = configure("script.wasm", 'on_response_headers send_local_response 502 "" "bad origin" (x-one=1)')
local res = request("GET /origin")
ngx.say(res.status, " ", res.body, " ", res.headers["x-one"], " ", res.headers["x-origin"])
ctx = configure("script.wasm", 'on_response_headers send_local_response 404 "" ""')
res = request("GET /origin")
ngx.say(res.status, " ", res.body, " ", res.headers["x-origin"])
--- response_body
502 bad origin 1 nil
404  nil



=== TEST 15: a local response when the headers are gone is dropped, with an error in the log
--- lua
run(configure("script.wasm", 'on_response_body@end send_local_response 502 "" "late"'), "GET /p")
--- response_body
200 hello
--- problems
script: proxy_send_local_response: dropped, there is no request or its response has been sent



=== TEST 16: a closed request gets no response
--- config
location /close {
    access_by_lua_block {
        wasm.on_http_request_headers(ctx)
        ngx.log(ngx.ERR, "not reached")
    }
    content_by_lua_block { ngx.say("not reached") }
}
--- lua
ctx = configure("script.wasm", "on_request_headers close_stream 0")
ngx.say('"', request("GET /close").body, '"')
--- response_body
""



=== TEST 17: what a plugin changes reaches the upstream: path, arguments, headers, body
--- config
location /upstream/ {
    content_by_lua_block {
        ngx.req.read_body()
        ngx.say(ngx.var.request_method, " ", ngx.var.request_uri, " ", ngx.var.http_x_one, " ", ngx.var.http_x_two, " ", ngx.req.get_body_data())
    }
}
location /api {
    access_by_lua_block { on_request() }
    proxy_pass http://127.0.0.1:$server_port/upstream$uri$is_args$args;
}
--- lua
ctx = configure("script.wasm", [[
    on_request_headers replace_header_map_value 0 :path "/api/v2?a=b"
    on_request_headers add_header_map_value 0 x-one 1
    on_request_headers remove_header_map_value 0 x-two
    on_request_body set_buffer_bytes 0 0 4 "another body"]])
ngx.print(request("POST /api/v1?x=y", { ["x-two"] = "2" }, "body").body)
--- response_body
POST /upstream/api/v2?a=b 1 nil another body



=== TEST 18: a body is replaced once it is there as a whole
--- config
location /pieces {
    content_by_lua_block {
        ngx.req.read_body()
        assert(wasm.on_http_request_body(ctx, "bo", false))
        assert(wasm.on_http_request_body(ctx, "dy", true))
        ngx.print(ngx.req.get_body_data())
    }
}
--- lua
ctx = configure("script.wasm", "on_request_body@more return pause\non_request_body@end set_buffer_bytes 0 2 1 --")
ngx.say(request("POST /pieces", nil, "body").body)
--- response_body
bo--y



=== TEST 19: the response's body is changed chunk by chunk
--- config
location /chunks {
    content_by_lua_block {
        for _, chunk in ipairs({ "one", "two", "three" }) do
            ngx.print(chunk)
            ngx.flush(true)
        end
    }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
run(configure("script.wasm", "on_response_body@more set_buffer_bytes 1 0 1 <"), "GET /chunks")
run(configure("script.wasm", "on_response_body@end set_buffer_bytes 1 0 0 !"), "GET /chunks")
run(configure("script.wasm", "on_response_body@more return pause\non_response_body@end set_buffer_bytes 1 0 11 changed"), "GET /chunks")
run(configure("script.wasm", "on_response_body@more return pause"), "GET /chunks")
run(configure("script.wasm", "on_response_body@1 return pause"), "GET /chunks")
--- response_body
200 <ne<wo<hree
200 onetwothree!
200 changed
200 onetwothree
200 onetwothree



=== TEST 20: without a request's callback before, a response's works
--- config
location /only {
    return 200 "hello";
    header_filter_by_lua_block { on_response_headers() }
}
--- lua
ctx = configure("script.wasm", "on_response_headers add_header_map_value 2 x-one 1")
ngx.say(request("GET /only").headers["x-one"])
--- response_body
1



=== TEST 21: the issue's own configuration: a context for each request
--- config
location = /header {
    return 200;
    header_filter_by_lua_block {
        local ctx = wasm.on_configure(share.plugin, 'add_header')
        wasm.on_http_response_headers(ctx)
    }
}
--- lua
for _, name in ipairs({ "rust", "assemblyscript" }) do
    share.plugin = assert(wasm.load("add_header", guests .. "add-header-" .. name .. ".wasm"))
    for _ = 1, 50 do
        assert(request("GET /header").headers.hello == "add_header")
    end
    collectgarbage()
    collectgarbage()
    ngx.say(wasm.info(share.plugin).contexts)
end
--- response_body
0
0

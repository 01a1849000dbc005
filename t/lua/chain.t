# The filter chain.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;

# `--- chain` is the list of plugins, made in init_by_lua; /t runs it over `--- content`, by default an echo of the request, reached by
# proxy_pass. `--- lua` is another content of /t, which can send requests to /c.
add_block_preprocessor(sub {
    my $block = shift;

    if (!defined $block->lua && !defined $block->chain) {
        return;
    }

    my $path = defined $block->lua ? '/c' : '/t';
    $block->set_value(init_by_lua => sprintf(<<"_EOC_", $block->chain // '') . ($block->init_by_lua // ''));
package.path = "$root/t/lib/?.lua;" .. package.path
request = require("client").request
share = {}

-- The request's body, wherever nginx keeps it.
function body()
    ngx.req.read_body()
    local file = ngx.req.get_body_file()
    file = file and assert(io.open(file, "rb"))
    return file and file:read("*a") or ngx.req.get_body_data()
end

-- A plugin of a chain: the script guest under a name.
function script(name, conf, fail)
    return { name = name, path = guests .. "script.wasm", conf = conf, fail = fail }
end

chain = assert(wasm.chain{ %s })
_EOC_
    $block->set_value(config => sprintf(<<'_EOC_', $path, $block->upstream // '') . ($block->config // ''));
location %s {
    access_by_lua_block { chain:access() }
    header_filter_by_lua_block { chain:header_filter() }
    body_filter_by_lua_block { return chain:body_filter() }
    proxy_pass http://127.0.0.1:$server_port/upstream$uri$is_args$args;
}
location /upstream {
    content_by_lua_block {
        %s
        ngx.header["x-upstream"] = "yes"
        ngx.print(ngx.var.request_method, " ", ngx.var.request_uri, " ", body() or "no body", " ", ngx.var.http_x_seen or "")
    }
}
_EOC_
    if (defined $block->lua) {
        $block->set_value(config => $block->config . "location /t { content_by_lua_block { " . $block->lua . " } }\n");
    }
});

run_tests();

__DATA__

=== TEST 1: in order for the request, in reverse for the response
--- chain
script("a", "on_* args"), script("b", "on_* args")
--- request
POST /t
body
--- response_body chop
POST /upstream/t body 
--- grep_error_log eval
qr/\b[ab]: on_(?:request|response|log)\w* args: .*?(?=, client| while )/
--- grep_error_log_out eval
qr/^a: on_request_headers args: 2 \d+ 0
b: on_request_headers args: 2 \d+ 0
a: on_request_body args: 2 4 1
b: on_request_body args: 2 4 1
b: on_response_headers args: 2 \d+ 0
a: on_response_headers args: 2 \d+ 0
b: on_response_body args: 2 22 0
a: on_response_body args: 2 22 0
b: on_response_body args: 2 0 1
a: on_response_body args: 2 0 1
(?:a: on_log args: 2
b: on_log args: 2|b: on_log args: 2
a: on_log args: 2)
$/



=== TEST 2: each sees what the one before it made of headers and bodies
--- chain
script("a", [[
on_request_headers add_header_map_value 0 x-seen a
on_request_body set_buffer_bytes 0 4 0 " a"
on_response_headers get_header_map_value 2 x-seen
on_response_headers replace_header_map_value 2 x-seen ab
on_response_body@more set_buffer_bytes 1 0 0 "a "]]),
script("b", [[
on_request_headers get_header_map_value 0 x-seen
on_request_headers replace_header_map_value 0 x-seen ab
on_request_body get_buffer_bytes 0 0 100
on_request_body set_buffer_bytes 0 0 0 "b "
on_response_headers add_header_map_value 2 x-seen b
on_response_body@more set_buffer_bytes 1 0 0 "b "]])
--- request
POST /t
body
--- response_headers
x-seen: ab
--- response_body chop
a b POST /upstream/t b body a ab
--- grep_error_log eval
qr/\b[ab]: on_\w+ get_\w+ -> .*?(?=, client| while )/
--- grep_error_log_out
b: on_request_headers get_header_map_value -> 0 "a"
b: on_request_body get_buffer_bytes -> 0 "body a"
a: on_response_headers get_header_map_value -> 0 "b"



=== TEST 3: whether the request's body is read
--- chain
{ path = wat .. "nothing.wat", conf = "x" }
--- config
location /read {
    content_by_lua_block {
        share[ngx.var.arg_chain]:access()
        ngx.say(tostring(ngx.req.get_body_data()))
    }
}
--- lua
share.none = chain
share.some = assert(wasm.chain{ { path = wat .. "nothing.wat", conf = "x" }, script("a", "#") })
ngx.print(request("POST /read?chain=none", nil, "body").body)
ngx.print(request("POST /read?chain=some", nil, "body").body)
ngx.print(request("POST /read?chain=some", nil, "").body)
ngx.print(request("GET /read?chain=some").body)
--- response_body
nil
body
nil
nil



=== TEST 4: a large body that nginx keeps in a file
--- chain
script("a", "on_request_body args\non_request_body set_buffer_bytes 0 0 1 X")
--- config
client_body_buffer_size 1k;
--- lua
local body = ("0123456789"):rep(20000)
local res = request("POST /c", nil, body)
ngx.say(res.body == "POST /upstream/c X" .. body:sub(2) .. " ", " ", #res.body)
--- response_body
true 200018
--- error_log
a: on_request_body args: 2 200000 1
--- no_error_log
[error]
[crit]



=== TEST 5: a large body in a file goes on unchanged
--- chain
script("a", "on_request_body args")
--- config
client_body_buffer_size 1k;
--- lua
local body = ("0123456789"):rep(20000)
ngx.say(request("POST /c", nil, body).body == "POST /upstream/c " .. body .. " ")
--- response_body
true



=== TEST 6: a body that plugins change is what goes upstream, with its length
--- chain
script("a", "on_request_body set_buffer_bytes 0 0 4 \"a longer body\""), script("b", "on_request_body get_buffer_bytes 0 0 100\non_request_body set_buffer_bytes 0 0 13 short")
--- request
POST /t
body
--- response_body chop
POST /upstream/t short 
--- error_log
b: on_request_body get_buffer_bytes -> 0 "a longer body"



=== TEST 7: an empty body in place of one
--- chain
script("a", "on_request_body set_buffer_bytes 0 0 4 \"\"")
--- request
POST /t
body
--- response_body_like eval
qr{^POST /upstream/t (?:no body)? $}



=== TEST 8: a new path and arguments
--- chain
script("a", "on_request_headers replace_header_map_value 0 :path /t/new?x=1"), script("b", "on_request_headers get_header_map_value 0 :path")
--- request
GET /t/old?y=2
--- response_body chop
GET /upstream/t/new?x=1 no body 
--- error_log
b: on_request_headers get_header_map_value -> 0 "/t/new?x=1"



=== TEST 9: closed, the default: a failing plugin ends the request with 500, others do not see it
--- chain
script("a", "on_request_headers trap"), script("b", "on_request_headers args")
--- error_code: 500
--- response_body_like: 500 Internal Server Error
--- error_log
proxy-wasm a: proxy_on_request_headers trapped: wasm trap
--- no_error_log
b: on_request_headers
[alert]



=== TEST 10: closed in each phase
--- lua
for _, phase in ipairs({ "request_headers", "request_body", "response_headers", "response_body" }) do
    chain = assert(wasm.chain{ script("a", "on_" .. phase .. " trap"), script("b", "#"), script("c", "#", "open") })
    local res = request("POST /c", nil, "body")
    ngx.say(phase, " ", (res.err or res.status == 0) and "closed" or res.status, res.status == 500 and not res.headers["x-upstream"] and " without upstream's headers" or "")
end
--- chain
script("a", "#")
--- response_body
request_headers 500 without upstream's headers
request_body 500 without upstream's headers
response_headers 500 without upstream's headers
response_body closed
--- error_log_allowed
--- grep_error_log eval
qr/proxy-wasm a: proxy_on_\w+ trapped/
--- grep_error_log_out
proxy-wasm a: proxy_on_request_headers trapped
proxy-wasm a: proxy_on_request_body trapped
proxy-wasm a: proxy_on_response_headers trapped
proxy-wasm a: proxy_on_response_body trapped



=== TEST 11: open in each phase: as if the plugin were not there
--- lua
for _, phase in ipairs({ "request_headers", "request_body", "response_headers", "response_body" }) do
    chain = assert(wasm.chain{
        script("a", "on_request_headers add_header_map_value 0 x-seen a"),
        script("b", "on_" .. phase .. " trap", "open"),
        script("c", "on_response_headers add_header_map_value 2 x-seen c"),
    })
    local res = request("POST /c", nil, "body")
    ngx.say(phase, " ", res.status, " ", res.body, " ", res.headers["x-seen"])
end
--- chain
script("a", "#")
--- response_body
request_headers 200 POST /upstream/c body a c
request_body 200 POST /upstream/c body a c
response_headers 200 POST /upstream/c body a c
response_body 200 POST /upstream/c body a c
--- error_log_allowed



=== TEST 12: open: what a plugin held back of the response before it failed is not lost
--- chain
script("a", "on_response_body@more return pause\non_response_body@end trap", "open")
--- response_body chop
GET /upstream/t no body 
--- error_log_allowed



=== TEST 13: errors name the plugin
--- lua
for _, spec in ipairs({
    { path = "/nowhere/auth.wasm", conf = "x" },
    { path = wat .. "no-memory.wat", conf = "x" },
    { path = wat .. "configure-false.wat", conf = "x" },
    { path = wat .. "configure-traps.wat", conf = "x", name = "mine" },
}) do
    local ok, err = wasm.chain{ script("a", "#"), spec }
    ngx.say(ok, " ", err)
end
--- response_body
nil plugin auth: /nowhere/auth.wasm: No such file or directory
nil plugin no-memory: failed to load wasm plugin
nil plugin configure-false: failed to run proxy_on_configure
nil plugin mine: failed to run proxy_on_configure
--- error_log_allowed



=== TEST 14: misuse is raised where the chain was made
--- lua
local path = guests .. "script.wasm"
for _, specs in ipairs({
    "x", 1,
    { "x" },
    { {} },
    { { path = path, config = "x" } },
    { { path = 1 } },
    { { path = path, conf = 1 } },
    { { path = path }, { path = path, fail = "closd" } },
    { { path = path, fail = true } },
    { { path = path, env = "A=b" } },
    { { path = path, env = { A = 1 } } },
    { { path = path, name = 1 } },
}) do
    local ok, err = pcall(function() wasm.chain(specs) end)
    ngx.say(tostring(ok), " ", (err:gsub("^content_by_lua%(nginx%.conf:%d+%):", "content:")))
end
ngx.say(select(2, pcall(wasm.chain)))
--- response_body_like eval
qr/^false content:15: bad plugins: table expected, got string
false content:15: bad plugins: table expected, got number
false content:15: bad plugin 1: table expected, got string
false content:15: bad plugin 1: no path
false content:15: bad plugin 1: unknown option "config"
false content:15: bad plugin 1: path is not a string
false content:15: bad plugin 1: conf is neither string nor table
false content:15: bad plugin 2: fail is neither "open" nor "closed"
false content:15: bad plugin 1: fail is not a string
false content:15: bad plugin 1: env is not a table
false content:15: [^\n]*env[^\n]*
false content:15: bad plugin 1: name is not a string
[^\n]*bad plugins: table expected, got nil
$/



=== TEST 15: a configuration as a table is given as JSON, and may be missing
--- lua
assert(wasm.chain{ { name = "json", path = guests .. "script.wasm", conf = { key = { "value", 1, true } } } })
assert(wasm.chain{ { name = "none", path = guests .. "script.wasm" } })
ngx.say(select(2, wasm.chain{ { name = "bad", path = guests .. "script.wasm", conf = { print } } }))
--- response_body
plugin bad: conf cannot be encoded as JSON
--- error_log
proxy-wasm json: script: {"key":["value",1,true]}: 
--- no_error_log
proxy-wasm none
[crit]



=== TEST 16: options of the plugins reach them
--- chain
{ path = guests .. "script.wasm", root_id = "root", vm_id = "vm", vm_config = "on_vm_start args", env = { A = "b" },
  conf = "on_configure get_property plugin_root_id\non_configure get_property plugin_vm_id\non_configure get_property plugin_name\non_configure env A" }
--- response_body_like: GET
--- error_log
script: on_vm_start args: 1 16
script: on_configure get_property -> 0 "root"
script: on_configure get_property -> 0 "vm"
script: on_configure get_property -> 0 "script"
script: on_configure env A "b"



=== TEST 17: headers that are paused until the body: those behind see the request then
--- chain
script("a", "on_request_headers args\non_request_headers return pause\non_request_body add_header_map_value 0 x-seen a"),
script("b", "on_request_headers get_header_map_value 0 x-seen")
--- request
POST /t
body
--- response_body chop
POST /upstream/t body a
--- error_log
b: on_request_headers get_header_map_value -> 0 "a"



=== TEST 18: paused with a body to come that is shown in one piece, each plugin in turn
--- chain
script("a", "on_request_headers return pause\non_request_body args"),
script("b", "on_request_headers return pause\non_request_body args"),
script("c", "on_request_headers args\non_request_body args")
--- request
POST /t
body
--- grep_error_log eval
qr/\b[abc]: on_request_\w+ args: .*?(?=, client| while )/
--- grep_error_log_out eval
qr/^a: on_request_body args: 2 4 1
b: on_request_body args: 2 4 1
c: on_request_headers args: 2 \d+ 0
c: on_request_body args: 2 4 1
$/



=== TEST 19: a local response stops the chain and the request
--- chain
script("a", "on_request_headers args"),
script("b", "on_request_headers send_local_response 403 \"\" denied (x-by=b)\non_response_headers args"),
script("c", "on_request_headers args\non_response_headers args")
--- error_code: 403
--- response_headers
x-by: b
! x-upstream
--- response_body chop
denied
--- error_log
a: on_request_headers args
--- no_error_log
c: on_request_headers args
[error]



=== TEST 20: a local response to the request's body
--- chain
script("a", "on_request_body send_local_response 413 \"\" \"too large\""), script("b", "on_request_body args")
--- request
POST /t
body
--- error_code: 413
--- response_body chop
too large
--- no_error_log
b: on_request_body args
[error]



=== TEST 21: a local response to the response's headers takes the place of headers and body
--- chain
script("a", "on_response_headers get_header_map_value 2 :status"), script("b", "on_response_headers send_local_response 502 \"\" \"bad upstream\" (x-by=b)\non_response_body args")
--- error_code: 502
--- response_headers
x-by: b
! x-upstream
--- response_body chop
bad upstream



=== TEST 22: a local response without a body to the response's headers
--- chain
script("a", "on_response_headers send_local_response 404 \"\" \"\"")
--- error_code: 404
--- response_headers
! x-upstream
--- response_body



=== TEST 23: the response's body is buffered and replaced
--- chain
script("a", "on_response_body@more return pause\non_response_body@end set_buffer_bytes 1 0 10000 replaced")
--- upstream
for i = 1, 5 do
    ngx.print("piece", i)
    ngx.flush(true)
end
--- response_headers
! Content-Length
--- response_body chop
replaced



=== TEST 24: one buffers, the other changes what comes of it
--- chain
script("a", "on_response_body args\non_response_body@end set_buffer_bytes 1 0 0 <"), script("b", "on_response_body@more return pause")
--- upstream
ngx.print("one")
ngx.flush(true)
ngx.print("two")
ngx.flush(true)
--- response_body chop
<onetwoGET /upstream/t no body 
--- grep_error_log eval
qr/a: on_response_body args: \d+ \d+ \d/
--- grep_error_log_out
a: on_response_body args: 2 30 1



=== TEST 25: a megabyte through the chain, unchanged and changed
--- chain
script("a", "#"), script("b", "#")
--- upstream
if ngx.var.arg_big then
    local piece = ("0123456789abcdef"):rep(1024)
    for _ = 1, 64 do
        ngx.print(piece)
    end
    return
end
--- lua
local big = ("0123456789abcdef"):rep(64 * 1024)
ngx.say(request("GET /c?big=1").body == big)
chain = assert(wasm.chain{ script("a", "on_response_body set_buffer_bytes 1 0 0 \"\""), script("b", "on_response_body@1 set_buffer_bytes 1 0 1 X") })
ngx.say(request("GET /c?big=1").body == "X" .. big:sub(2))
chain = assert(wasm.chain{ script("a", "on_response_body@more return pause\non_response_body@end set_buffer_bytes 1 1048576 0 end") })
ngx.say(request("GET /c?big=1").body == big .. "end")
--- response_body
true
true
true
--- error_log_allowed
--- no_error_log
[error]
[crit]



=== TEST 26: responses without a body
--- chain
script("a", "on_response_headers args\non_response_body args")
--- upstream
if ngx.var.arg_status then
    return ngx.exit(tonumber(ngx.var.arg_status))
end
--- lua
for _, line in ipairs({ "HEAD /c", "GET /c?status=204", "GET /c?status=304" }) do
    local res = request(line)
    ngx.say(res.status, ' "', res.body, '"')
end
--- response_body
200 ""
204 ""
304 ""



=== TEST 27: a compressed response passes as it is, and is compressed after the chain
--- chain
script("a", "on_response_headers get_header_map_value 2 content-encoding\non_response_body@more set_buffer_bytes 1 0 0 x")
--- http
gzip on;
gzip_min_length 1;
gzip_types *;
--- more_headers
Accept-Encoding: gzip
--- response_headers
Content-Encoding: gzip
--- response_body_like eval
qr/^\x1f\x8b/



=== TEST 28: a response that may change has no length, one that will not keeps it
--- chain
script("a", "#")
--- upstream
ngx.header["content-length"] = 4
ngx.print("body")
do return end
--- lua
ngx.say(request("GET /c").headers["content-length"])
chain = assert(wasm.chain{ { path = wat .. "nothing.wat", conf = "x" }, { path = wat .. "add-header.wat", conf = "x" } })
local res = request("GET /c")
ngx.say(res.headers["content-length"], " ", res.headers.hello)
--- response_body
nil
4 world



=== TEST 29: a chain of no plugins
--- chain
--- response_body chop
GET /upstream/t no body 



=== TEST 30: a chain in rewrite
--- chain
script("a", "on_request_headers replace_header_map_value 0 :path /other?by=a")
--- config
location /first {
    rewrite_by_lua_block { chain:rewrite() }
    content_by_lua_block { ngx.print(ngx.var.uri, "?", ngx.var.args) }
}
--- request
GET /first
--- response_body chop
/other?by=a



=== TEST 31: a method of the chain outside a request
--- lua
ngx.timer.at(0, function()
    share.err = select(2, pcall(function() chain:access() end))
end)
ngx.sleep(0.05)
ngx.say(share.err)
--- chain
script("a", "on_request_headers args")
--- response_body_like
no request
--- no_error_log
on_request_headers args
[error]



=== TEST 32: closed by a plugin, in the request and in the response
--- lua
for _, phase in ipairs({ "request_headers", "request_body", "response_headers", "response_body" }) do
    chain = assert(wasm.chain{ script("a", "on_" .. phase .. " close_stream " .. (phase:find("request") and 0 or 1)) })
    local res = request("POST /c", nil, "body")
    ngx.say(phase, " ", (res.err or res.status == 0) and "closed" or res.status)
end
--- chain
script("a", "#")
--- response_body
request_headers closed
request_body closed
response_headers closed
response_body closed
--- no_error_log
[crit]
[alert]



=== TEST 33: a local response in place of a megabyte, with a body and without, the connection goes on
--- chain
script("a", "#")
--- upstream
local piece = ("0123456789abcdef"):rep(1024)
for _ = 1, 64 do
    ngx.print(piece)
end
do return end
--- lua
for _, body in ipairs({ '"bad gateway"', '""' }) do
    chain = assert(wasm.chain{ script("a", "on_response_body args"), script("b", 'on_response_headers send_local_response 502 "" ' .. body) })
    for _, res in ipairs(require("client").keepalive(3, "GET /c HTTP/1.1\r\nHost: a\r\n\r\n")) do
        ngx.say(res.status, ' "', res.body, '"')
    end
end
--- response_body
502 "bad gateway"
502 "bad gateway"
502 "bad gateway"
502 ""
502 ""
502 ""
--- no_error_log
on_response_body args
[error]
[crit]



=== TEST 34: a plugin sees all response headers with the changes of those before it, also behind one without the callback
--- init_by_lua
    chain = assert(wasm.chain{
        { path = guests .. "script.wasm", conf = "on_response_headers get_header_map_pairs 2\non_log get_header_map_pairs 2" },
        { path = wat .. "empty.wat" },
        { path = guests .. "script-0-2-0.wasm", conf = [[
            on_response_headers replace_header_map_value 2 x-a changed
            on_response_headers add_header_map_value 2 x-b added
            on_response_headers remove_header_map_value 2 x-c
        ]] },
    })
--- config
location /t {
    content_by_lua_block {
        ngx.header["X-A"], ngx.header["X-C"] = "first", "gone"
        ngx.say("hello")
    }
    header_filter_by_lua_block { chain:header_filter() }
    body_filter_by_lua_block { return chain:body_filter() }
}
--- response_headers
x-a: changed
x-b: added
! x-c
--- grep_error_log eval
qr/proxy-wasm script: on_\w+ get_header_map_pairs -> 0 .*?x-[abc]=.*?(?=,| while)/
--- grep_error_log_out eval
qr/\Aproxy-wasm script: on_response_headers get_header_map_pairs -> 0 (?=.*x-a=changed)(?=.*x-b=added)(?!.*(x-c|first)).*
proxy-wasm script: on_log get_header_map_pairs -> 0 (?=.*x-a=changed)(?=.*x-b=added)(?!.*(x-c|first)).*
\z/



=== TEST 35: the number of headers that each is told counts what those before it have changed, and the length that was removed
--- chain
script("a", [[
on_request_headers args
on_request_headers add_header_map_value 0 x-1 a
on_request_headers add_header_map_value 0 x-2 a
on_response_headers args]]),
script("b", [[
on_request_headers args
on_request_headers remove_header_map_value 0 x-1
on_response_headers args
on_response_headers add_header_map_value 2 x-3 b]]),
script("c", "on_* args")
--- request
GET /t
--- grep_error_log eval
qr/\b[abc]: on_re\w+_headers args: .*?(?=, client| while )/
--- grep_error_log_out
a: on_request_headers args: 2 6 1
b: on_request_headers args: 2 8 1
c: on_request_headers args: 2 7 1
c: on_response_headers args: 2 5 0
b: on_response_headers args: 2 4 0
a: on_response_headers args: 2 5 0



=== TEST 36: what Lua changes between two calls is seen by the second
--- init_by_lua
    chain = assert(wasm.chain{
        { path = guests .. "script.wasm", conf = "on_request_headers args\non_response_headers args", name = "script" } })
    other = assert(wasm.chain{
        { path = guests .. "script.wasm", conf = "on_request_headers args\non_response_headers args", name = "other" } })
--- config
location /t {
    access_by_lua_block {
        chain:access()
        ngx.req.set_header("x-1", "lua")
        other:access()
    }
    header_filter_by_lua_block {
        chain:header_filter()
        ngx.header["x-2"] = "lua"
        other:header_filter()
    }
    content_by_lua_block { ngx.say("hello") }
}
--- request
GET /t
--- grep_error_log eval
qr/\b\w+: on_re\w+_headers args: .*?(?=, client| while )/
--- grep_error_log_out
script: on_request_headers args: 2 6 1
other: on_request_headers args: 2 7 1
script: on_response_headers args: 2 3 0
other: on_response_headers args: 2 4 0



=== TEST 37: open: what a plugin asked for before it failed is not done, behind it and at the end of the chain
--- lua
local asked = {
    "on_request_headers send_local_response 403 - no",
    "on_request_headers replace_header_map_value 0 :path /other?a",
    "on_request_headers close_stream 0",
    "on_response_headers send_local_response 403 - no",
}
for _, rule in ipairs(asked) do
    local phase = rule:match("^on_%w+_headers")
    local failing = script("a", rule .. "\n" .. phase .. " trap", "open")
    for _, plugins in ipairs({ { failing, script("b", "#") }, { script("b", "#"), failing }, { failing } }) do
        chain = assert(wasm.chain(plugins))
        local res = request("GET /c")
        ngx.say(res.status, " ", res.body)
    end
end
--- chain
script("a", "#")
--- response_body eval
"200 GET /upstream/c no body \n" x 12
--- error_log_allowed
--- grep_error_log eval
qr/proxy-wasm a: proxy_on_\w+ trapped/
--- grep_error_log_out eval
"proxy-wasm a: proxy_on_request_headers trapped\n" x 9 . "proxy-wasm a: proxy_on_response_headers trapped\n" x 3

# What APISIX relies on: the calls of apisix/wasm.lua, in its order and phases, with routes, global rules and changed configurations.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;

# config.yaml's wasm.plugins are `one` (priority 7999) and `two` (7998), both the script guest; `--- plugins` gives others. `--- lua` is
# the content of /t; it sets routes and sends requests to them.
add_block_preprocessor(sub {
    my $block = shift;

    # compiling Go takes a while
    $block->set_value(timeout => 30);
    $block->set_value(init_by_lua => <<"_EOC_");
package.path = "$root/t/lib/?.lua;" .. package.path
request = require("client").request
apisix = require("apisix")

function script(...)
    return table.concat({ ... }, "\\n")
end

-- A request that shows the response in a line.
function hit(line, body)
    local res = request(line, nil, body)
    ngx.say(res.status, " ", res.headers["x-one"] or "-", " ", res.status >= 500 and "" or res.body)
    return res
end
_EOC_
    $block->set_value(http => sprintf <<'_EOC_', $block->plugins // <<'_DEFAULT_');
init_worker_by_lua_block {
    loaded = { apisix.load({ %s }) }
}
_EOC_
{ name = "two", priority = 7998, file = guests .. "script.wasm" },
{ name = "one", priority = 7999, file = guests .. "script.wasm" },
_DEFAULT_
    $block->set_value(config => sprintf <<'_EOC_', $block->lua);
location ~ ^/(?:hello|foo|bar)$ {
    set $wasm_process_req_body '';
    set $wasm_process_resp_body '';
    access_by_lua_block { apisix.access() }
    header_filter_by_lua_block { apisix.header_filter() }
    body_filter_by_lua_block { apisix.body_filter() }
    proxy_pass http://127.0.0.1:$server_port/upstream;
}
location /upstream {
    content_by_lua_block {
        ngx.req.read_body()
        local text = "hello " .. (ngx.req.get_body_data() or "world")
        ngx.header["content-length"] = #text
        ngx.print(text)
    }
}
location /t {
    content_by_lua_block {
        assert(unpack(loaded))
        %s
    }
}
_EOC_
});

run_tests();

__DATA__

=== TEST 1: two plugins on a route, by priority
--- lua
local conf = script("on_context_create args", "on_request_headers args")
apisix.routes[1] = { uri = "/hello", plugins = { two = { conf = conf }, one = { conf = conf } } }
hit("GET /hello")
hit("GET /hello")
--- response_body
200 - hello world
200 - hello world
--- grep_error_log eval
qr/(?:one|two): on_\w+ args: \d+(?: \d+(?=,))?/
--- grep_error_log_out
one: on_context_create args: 2 1
one: on_request_headers args: 2
two: on_context_create args: 2 1
two: on_request_headers args: 2
one: on_context_create args: 2 1
one: on_request_headers args: 2
two: on_context_create args: 2 1
two: on_request_headers args: 2



=== TEST 2: a plugin in the rewrite phase runs first
--- plugins
{ name = "one", priority = 7999, file = guests .. "script.wasm" },
{ name = "two", priority = 7998, file = guests .. "script.wasm", http_request_phase = "rewrite" },
--- lua
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = "on_request_headers count a" }, two = { conf = "on_request_headers count b" } } }
hit("GET /hello")
--- response_body
200 - hello world
--- wasm_log
two: on_request_headers count b 1
one: on_request_headers count a 1



=== TEST 3: a context for each route, made at its first request, the configuration shared (a service)
--- lua
local conf = { conf = script("on_configure args", "on_context_create args") }
apisix.routes[1] = { uri = "/foo", plugins = { one = conf } }
apisix.routes[2] = { uri = "/bar", plugins = { one = conf } }
for _ = 1, 2 do
    hit("GET /foo")
    hit("GET /bar")
end
--- response_body
200 - hello world
200 - hello world
200 - hello world
200 - hello world
--- wasm_log
one: on_configure args: 1 40
one: on_context_create args: 2 1
one: on_configure args: 3 40
one: on_context_create args: 4 3
one: on_context_create args: 2 1
one: on_context_create args: 4 3



=== TEST 4: a global rule and a route
--- lua
apisix.rules[1] = { id = 1, plugins = { one = { conf = "on_context_create args" }, two = { conf = "on_context_create args" } } }
hit("GET /hello")
apisix.routes[1] = { uri = "/hello", plugins = { two = { conf = "on_context_create args\n" } } }
hit("GET /hello")
apisix.rules[1] = nil
hit("GET /hello")
--- response_body
200 - hello world
200 - hello world
200 - hello world
--- wasm_log
one: on_context_create args: 2 1
two: on_context_create args: 2 1
one: on_context_create args: 2 1
two: on_context_create args: 2 1
two: on_context_create args: 4 3
two: on_context_create args: 4 3



=== TEST 5: the request's body, for the plugin that asks by its property
--- lua
apisix.routes[1] = { uri = "/hello", plugins = {
    one = { conf = script("on_request_headers set_property wasm_process_req_body true", "on_request_body args", "on_request_body get_buffer_bytes 0 1 3") },
    two = { conf = "on_request_body args" },
} }
hit("POST /hello", "hello")
hit("POST /hello")
--- response_body
200 - hello hello
200 - hello world
--- wasm_log
one: on_request_headers set_property -> 0
one: on_request_body args: 2 5 1
one: on_request_body get_buffer_bytes -> 0 "ell"
one: on_request_headers set_property -> 0
one: on_request_body args: 2 0 1
one: on_request_body get_buffer_bytes -> 1



=== TEST 6: a request's body that is replaced goes upstream
--- lua
apisix.routes[1] = { uri = "/hello", plugins = {
    one = { conf = script("on_request_headers set_property wasm_process_req_body true", "on_request_body set_buffer_bytes 0 0 5 moon") },
} }
hit("POST /hello", "world")
--- response_body
200 - hello moon



=== TEST 7: the response's body, for the plugin that asks by its property
--- lua
apisix.routes[1] = { uri = "/hello", plugins = {
    one = { conf = script("on_response_headers add_header_map_value 2 x-one yes", "on_response_body args") },
    two = { conf = script("on_response_headers set_property wasm_process_resp_body true", "on_response_body@more get_buffer_bytes 1 0 100") },
} }
hit("GET /hello")
--- response_body
200 yes hello world
--- wasm_log
one: on_response_headers add_header_map_value -> 0
two: on_response_headers set_property -> 0
two: on_response_body get_buffer_bytes -> 0 "hello world"



=== TEST 8: a response keeps its length unless a plugin asked for its body
--- lua
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = "#" } } }
ngx.say(hit("GET /hello").headers["content-length"])
apisix.routes[1] = { uri = "/hello", plugins = {
    one = { conf = script("on_response_headers set_property wasm_process_resp_body true",
        "on_response_body@more return pause", "on_response_body@end set_buffer_bytes 1 0 11 \"another body\"") },
} }
ngx.say(hit("GET /hello").headers["content-length"])
--- response_body
200 - hello world
11
200 - another body
nil



=== TEST 9: a configuration as an object is given as JSON
--- lua
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = { key = "value" } } } }
hit("GET /hello")
--- response_body
200 - hello world
--- error_log
proxy-wasm one: script: {"key":"value"}: 
--- no_error_log
[crit]



=== TEST 10: a local response, with a body and without
--- lua
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = "on_request_headers send_local_response 401 \"\" \"go away\" (x-one=1)" }, two = { conf = "on_request_headers args" } } }
hit("GET /hello")
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = "on_request_headers send_local_response 403 \"\" \"\" (x-one=2)" } } }
hit("GET /hello")
--- response_body_like eval
qr/^401 1 go away
403 2 .*403 Forbidden/s
--- no_error_log
on_request_headers args
[error]



=== TEST 11: a local response in place of what upstream sent
--- lua
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = "on_response_headers send_local_response 418 \"\" teapot (x-one=1)" } } }
hit("GET /hello")
--- response_body
418 1 teapot



=== TEST 12: 503 where the plugin traps, and again a response once the configuration is another
--- lua
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = "on_request_headers trap" } } }
hit("GET /hello")
hit("GET /hello")
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = "on_request_headers args" } } }
hit("GET /hello")
--- response_body
503 - 
503 - 
200 - hello world
--- error_log
one: failed to run wasm plugin: failed to run proxy_on_http_request_headers
one: on_request_headers args: 2
--- no_error_log
[crit]



=== TEST 13: 503 where the configuration is refused, each time asked again
--- lua
apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = script("on_configure return false", "on_configure count asked") } } }
hit("GET /hello")
hit("GET /hello")
--- response_body
503 - 
503 - 
--- grep_error_log eval
qr/one: (?:on_configure count asked \d|failed to fetch wasm plugin ctx: [\w ]+)/
--- grep_error_log_out eval
# once for the request, once for the header filter of the error page
"one: on_configure count asked 1
one: failed to fetch wasm plugin ctx: failed to run proxy_on_configure
one: on_configure count asked 2
one: failed to fetch wasm plugin ctx: failed to run proxy_on_configure
one: on_configure count asked 3
one: failed to fetch wasm plugin ctx: failed to run proxy_on_configure
one: on_configure count asked 4
one: failed to fetch wasm plugin ctx: failed to run proxy_on_configure
"
--- error_log_allowed



=== TEST 14: a changed configuration makes new contexts, and the old one ends with its last request
--- lua
local function put(conf)
    apisix.routes[1] = { uri = "/hello", plugins = { one = { conf = conf } } }
    collectgarbage()
    collectgarbage()
end
put(script("on_request_headers count old", "on_done args", "on_delete args"))
hit("GET /hello")
put("on_request_headers count new")
hit("GET /hello")
hit("GET /hello")
ngx.say(require("resty.proxy-wasm").info(apisix.plugins[1].handle).contexts)
--- response_body
200 - hello world
200 - hello world
200 - hello world
1
--- wasm_log
one: on_request_headers count old 1
one: on_done args: 2
one: on_delete args: 2
one: on_done args: 1
one: on_delete args: 1
one: on_request_headers count new 1
one: on_request_headers count new 2



=== TEST 15: a plugin that cannot be loaded: the error is given to APISIX
--- plugins
--- lua
ngx.say(select(2, apisix.load({ { name = "gone", priority = 1, file = "/nowhere/plugin.wasm" } })))
ngx.say(select(2, apisix.load({ { name = "bad", priority = 1, file = wat .. "no-memory.wat" } })))
--- response_body
/nowhere/plugin.wasm: No such file or directory
failed to load wasm plugin
--- problems
bad: failed to load "ROOT/t/plugins/wat/no-memory.wat": exports no memory named "memory"



=== TEST 16: plugins in Rust, Go, C and AssemblyScript side by side
--- plugins
{ name = "sdk-filter", priority = 4, file = guests .. "sdk-filter.wasm" },
{ name = "go-filter", priority = 3, file = guests .. "go-filter.wasm" },
{ name = "c-filter", priority = 2, file = guests .. "c-filter.wasm" },
{ name = "add_header", priority = 1, file = guests .. "add-header-assemblyscript.wasm" },
--- lua
apisix.routes[1] = { uri = "/hello", plugins = {
    ["sdk-filter"] = { conf = "add_response=x-sdk:sdk" },
    ["go-filter"] = { conf = "go" },
    ["c-filter"] = { conf = "c" },
    ["add_header"] = { conf = "as" },
} }
for _ = 1, 3 do
    local headers = hit("GET /hello").headers
    ngx.say(headers["x-sdk"], " ", headers["x-go"], " ", headers["x-c"], " ", headers.hello)
end
--- response_body
200 - hello world
sdk go c as
200 - hello world
sdk go c as
200 - hello world
sdk go c as



=== TEST 17: several requests at once on two routes
--- lua
apisix.routes[1] = { uri = "/foo", plugins = { one = { conf = "on_response_headers add_header_map_value 2 x-one foo" }, two = { conf = "#" } } }
apisix.routes[2] = { uri = "/bar", plugins = { one = { conf = "on_response_headers add_header_map_value 2 x-one bar" } } }
local threads, wrong = {}, 0
for i = 1, 12 do
    threads[i] = ngx.thread.spawn(request, "GET /" .. (i % 2 == 0 and "foo" or "bar"))
end
for i = 1, 12 do
    local _, res = ngx.thread.wait(threads[i])
    if res.headers["x-one"] ~= (i % 2 == 0 and "foo" or "bar") then
        wrong = wrong + 1
    end
end
ngx.say(wrong)
ngx.say(require("resty.proxy-wasm").info(apisix.plugins[1].handle).contexts)
--- response_body
0
2

# A plugin on the Rust SDK, which panics on any status it does not expect.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    # compiling takes a while
    $block->set_value(timeout => 30);
    $block->set_value(init_by_lua => <<'_EOC_');
function filter(...)
    return configure("sdk-filter.wasm", table.concat({ ... }, "\n"))
end
_EOC_
    $block->set_value(config => <<'_EOC_');
location /upstream {
    content_by_lua_block {
        ngx.req.read_body()
        ngx.header["x-upstream"] = "yes"
        ngx.print(ngx.var.request_uri, " ", ngx.var.http_x_name, " ", ngx.req.get_body_data())
    }
}
location /f {
    access_by_lua_block { on_request() }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
    proxy_pass http://127.0.0.1:$server_port/upstream$request_uri;
    set $wasm_process_resp_body "true";
}
location /moved {
    access_by_lua_block { on_request() }
    proxy_pass http://127.0.0.1:$server_port/upstream$uri$is_args$args;
}
_EOC_
});

run_tests();

__DATA__

=== TEST 1: a denied path, the others pass
--- lua
ctx = filter("deny=/f/secret")
local res = request("GET /f/secret")
ngx.say(res.status, " ", res.body, " ", res.headers["powered-by"])
res = request("GET /f/open")
ngx.say(res.status, " ", res.body, " ", res.headers["powered-by"])
--- response_body
403 denied proxy-wasm
200 /upstream/f/open nil nil nil



=== TEST 2: request and response headers
--- lua
ctx = filter("add_request=x-name:guest", "add_response=x-added:one", "remove_response=x-upstream")
local res = request("GET /f")
ngx.say(res.body, " ", res.headers["x-added"], " ", res.headers["x-upstream"])
--- response_body
/upstream/f guest nil one nil



=== TEST 3: a path rewritten
--- lua
ctx = filter("rewrite_path=/moved/old?a=1:/moved/new?b=2")
ngx.say(request("GET /moved/old?a=1").body)
ngx.say(request("GET /moved/other?a=1").body)
--- response_body
/upstream/moved/new?b=2 nil nil
/upstream/moved/other?a=1 nil nil



=== TEST 4: bodies replaced, and what was there before
--- lua
ctx = filter("replace_request_body=new request", "replace_response_body=new response", "log=seen")
ngx.say(request("POST /f/x", nil, "old request").body)
--- response_body
new response
--- error_log
seen: /f/x, replaced 11 bytes of request and 29 of response



=== TEST 5: ten times in a row over one connection
--- lua
ctx = filter("add_request=x-name:guest", "add_response=x-added:one", "replace_response_body=new response", "log=seen")
local right = 0
for _, res in ipairs(require("client").keepalive(10, "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")) do
    if res.status == 200 and res.body == "new response" and res.headers["x-added"] == "one" then
        right = right + 1
    end
end
ngx.say(right, " ", #failed)
--- response_body
10 0
--- grep_error_log eval
qr/seen: \S+ replaced \d+ bytes of request and \d+ of response/
--- grep_error_log_out eval
"seen: /f, replaced 0 bytes of request and 22 of response\n" x 10



=== TEST 6: a panic in its configuration: the error, then another configuration works
--- lua
local plugin = assert(load("sdk-filter.wasm"))
ngx.say(select(2, wasm.on_configure(plugin, "nonsense=1")))
ctx = assert(wasm.on_configure(plugin, "add_response=x-added:one"))
ngx.say(request("GET /f").headers["x-added"])
--- response_body
failed to run proxy_on_configure
one
--- error_log
no such rule: nonsense
proxy-wasm sdk-filter: proxy_on_configure trapped: 
--- no_error_log
[emerg]
[alert]

# The plugins of examples/ that call other services; add-header is in others.t.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw);
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(init_by_lua => <<"_EOC_");
self = "127.0.0.1:" .. $ENV{TEST_NGINX_SERVER_PORT}
refused = "127.0.0.1:" .. $ENV{TEST_NGINX_REFUSED_PORT}

function asking(upstream, more)
    return configure("forward-auth.wasm", string.format([[{
        "upstream": "%s",
        "path": "/auth?from=plugin",
        "request_headers": ["Authorization", "cookie"],
        "upstream_headers": ["X-User"],
        "client_headers": ["www-authenticate", "set-cookie"]%s
    }]], upstream, more or ""))
end
_EOC_
    $block->set_value(config => <<'_EOC_');
location = /auth {
    content_by_lua_block {
        local headers = ngx.req.get_headers()
        share.asked = headers
        share.asked_path = ngx.var.request_uri
        ngx.header["X-User"] = headers.authorization
        if headers.authorization == "none" then
            return
        end
        if headers.authorization then
            ngx.header["X-User"] = { "ali", "admins" }
            return ngx.say("welcome")
        end
        ngx.header["WWW-Authenticate"] = "Bearer"
        ngx.header["Set-Cookie"] = { "a=1", "b=2" }
        ngx.header["X-Other"] = "not for you"
        ngx.status = 401
        ngx.print("who are you?")
    }
}
location /shown {
    access_by_lua_block { on_request() }
    content_by_lua_block {
        local user = ngx.req.get_headers()["x-user"]
        ngx.print("passed ", type(user) == "table" and table.concat(user, "+") or tostring(user))
    }
}
location = /collect {
    content_by_lua_block {
        ngx.req.read_body()
        share.collected = share.collected or {}
        table.insert(share.collected, ngx.req.get_headers().content_type .. " " .. ngx.req.get_body_data())
        if #share.collected > 2 then
            ngx.exit(507)
        end
    }
}
_EOC_
});

run_tests();

__DATA__

=== TEST 1: forward-auth lets a request pass, with what the service says and not with what the client does
--- lua
ctx = asking(self)
ngx.say(request("POST /shown/a?b=c", { Authorization = "x", Cookie = "c", ["X-User"] = "root", ["X-Y"] = "y" }, "body").body)
ngx.say(request("GET /shown", { Authorization = "none", ["X-User"] = "root" }).body)
--- response_body
passed ali+admins
passed none



=== TEST 2: what the service is told
--- lua
ctx = asking(self)
request("POST /shown/a?b=c", { Authorization = "x", Cookie = "c", ["X-Y"] = "y", ["X-Forwarded-For"] = "1.1.1.1" }, "body")
ngx.say(share.asked_path)
local lines = {}
for name, value in pairs(share.asked) do
    lines[#lines + 1] = name .. ": " .. tostring(value)
end
table.sort(lines)
ngx.say(table.concat(lines, "\n"))
--- response_body
/auth?from=plugin
authorization: x
cookie: c
host: 127.0.0.1:$TEST_NGINX_SERVER_PORT
x-forwarded-for: 127.0.0.1
x-forwarded-host: localhost
x-forwarded-method: POST
x-forwarded-proto: http
x-forwarded-uri: /shown/a?b=c



=== TEST 3: forward-auth refuses with the service's status, headers and body
--- lua
ctx = asking(self)
local res = request("GET /shown")
ngx.say(res.status, " ", res.body)
ngx.say(res.headers["www-authenticate"], ", ", res.headers["set-cookie"], ", ", res.headers["x-other"])
--- response_body
401 who are you?
Bearer, a=1, b=2, nil



=== TEST 4: without an answer forward-auth refuses, or not, as its configuration says
--- lua
ctx = asking(refused)
ngx.say(request("GET /shown", { ["X-User"] = "root" }).status)
ctx = asking(refused, ', "on_error": "allow"')
ngx.say(request("GET /shown", { ["X-User"] = "root" }).body)
--- response_body
503
passed nil
--- problems
forward-auth: the call to "127.0.0.1:$TEST_NGINX_REFUSED_PORT" failed: connection refused
forward-auth: no answer from 127.0.0.1:$TEST_NGINX_REFUSED_PORT: connection refused
forward-auth: the call to "127.0.0.1:$TEST_NGINX_REFUSED_PORT" failed: connection refused
forward-auth: no answer from 127.0.0.1:$TEST_NGINX_REFUSED_PORT: connection refused



=== TEST 5: a configuration that is not understood
--- lua
for _, name in ipairs{ "forward-auth.wasm", "tick-logger.wasm" } do
    ngx.say(select(2, wasm.on_configure(assert(load(name)), '{ "other": 1 }')))
end
--- response_body
failed to run proxy_on_configure
failed to run proxy_on_configure
--- problems
forward-auth: bad configuration: unknown field `other`, expected one of `upstream`, `path`, `timeout_ms`, `request_headers`, `upstream_headers`, `client_headers`, `on_error` at line 1 column 9
forward-auth: proxy_on_configure returned false
tick-logger: bad configuration: unknown field `other`, expected `period_ms` or `collector` at line 1 column 9
tick-logger: proxy_on_configure returned false



=== TEST 6: tick-logger logs and posts
--- lua
local conf = '{ "period_ms": 100, "collector": { "upstream": "%s", "path": "/collect" } }'
ctx = configure("tick-logger.wasm", conf:format(self))
for _ = 1, 3 do
    request("GET /shown")
end
ngx.say(logged("3 requests in 100 ms"))
ngx.say(logged("the collector answered"))
ngx.say(table.concat(share.collected, "\n"):match("application/json {[^\n]*3}"))
ctx = configure("tick-logger.wasm", conf:format(refused))
request("GET /shown")
ngx.say(logged("no answer from the collector: connection refused"))
--- response_body
true
true
application/json {"period_ms":100,"requests":3}
true
--- error_log_allowed

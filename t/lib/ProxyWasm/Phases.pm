# For tests that drive requests themselves: `--- lua` is the content of /t, and /p runs a plugin in all phases.
#
# Lua sees
#
#   request("POST /p", headers, body)   see t/lib/client.lua
#   ctx                                 the contexts that /p runs, one or an array; to be set by the test
#   failed                              what went wrong in /p since it was last emptied: a list of error strings
#   share                               a table for everything else
#   run(ctx[, line[, headers, body]])   a request to /p, by default with a body; says status, body and what failed
#
# To be used after ProxyWasm.

package ProxyWasm::Phases;

use strict;
use warnings;

use Test::Nginx::Util;

Test::Nginx::Util::add_block_preprocessor(sub {
    my $block = shift;

    return unless defined $block->lua;

    $block->set_value(init_by_lua => <<"_EOC_" . ($block->init_by_lua // ''));
package.path = "$ProxyWasm::root/t/lib/?.lua;" .. package.path
request = require("client").request
ctx, failed, share = false, {}, {}

local function each(call)
    for _, context in ipairs(type(ctx) == "table" and ctx or { ctx }) do
        local ok, err = call(context)
        if not ok then
            failed[#failed + 1] = err
        end
    end
end

function on_request()
    each(wasm.on_http_request_headers)
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if body then
        each(function(context) return wasm.on_http_request_body(context, body, true) end)
    end
end

function on_response_headers()
    each(wasm.on_http_response_headers)
end

function on_response_body()
    each(wasm.on_http_response_body)
end

function run(context, line, headers, body)
    ctx, failed = context, {}
    local res = request(line or "POST /p", headers, not line and "body" or body)
    ngx.say(res.status, " ", res.body, #failed > 0 and ": " or "", table.concat(failed, ", "))
    return res
end
_EOC_

    $block->set_value(config => ($block->config // '') . sprintf <<'_EOC_', $block->lua);

location /p {
    access_by_lua_block { on_request() }
    content_by_lua_block { ngx.print("hello") }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
location /t {
    content_by_lua_block {
        %s
    }
}
_EOC_
});

1;

# Plugins in Go, C and AssemblyScript, and the example in each of its languages.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;
use ProxyWasm::Phases;

add_block_preprocessor(sub {
    my $block = shift;

    # compiling takes a while
    $block->set_value(timeout => 30);
    $block->set_value(init_by_lua => <<'_EOC_');
-- How many of ten requests over one connection are as they should be.
function ten(right)
    local n = 0
    for _, res in ipairs(require("client").keepalive(10, "GET /p HTTP/1.1\r\nHost: a\r\nX-Name: me\r\n\r\n")) do
        n = n + (right(res) and 1 or 0)
    end
    ngx.say(n, " ", #failed)
end
_EOC_
});

run_tests();

__DATA__

=== TEST 1: Go: a header on responses, and a line on standard output for each request
--- lua
ctx = configure("go-filter.wasm", "from go")
ten(function(res) return res.status == 200 and res.headers["x-go"] == "from go" and res.body == "hello" end)
request("GET /p")
--- response_body
10 0
--- grep_error_log eval
qr/\[info\] .*proxy-wasm go-filter: \Kgo-filter: .*?(?=, client| while )/
--- grep_error_log_out eval
("go-filter: me got 5 bytes\n" x 10) . "go-filter: nobody got 5 bytes\n"



=== TEST 2: Go: two configurations in one instance, requests at once
--- lua
local one, two = configure("go-filter.wasm", "one"), configure("go-filter.wasm", "two")
local threads = {}
ctx = { one, two }
for i = 1, 10 do
    threads[i] = ngx.thread.spawn(request, "GET /p")
end
for i = 1, 10 do
    local _, res = ngx.thread.wait(threads[i])
    assert(res.headers["x-go"] == "one, two", res.headers["x-go"])
end
ngx.say(#failed)
--- response_body
0



=== TEST 3: Go: garbage collected, for a while
--- lua
ctx = configure("go-filter.wasm", ("x"):rep(2000))
for _ = 1, 30 do
    for _, res in ipairs(require("client").keepalive(20, "GET /p HTTP/1.1\r\nHost: a\r\n\r\n")) do
        assert(#res.headers["x-go"] == 2000)
    end
end
ngx.say(#failed)
--- response_body
0



=== TEST 4: C: malloc as its allocator, a header, the body in capitals, stdio
--- lua
ctx = configure("c-filter.wasm", "from c")
ten(function(res) return res.status == 200 and res.headers["x-c"] == "from c" and res.body == "HELLO" end)
--- response_body
10 0
--- grep_error_log eval
qr/\[info\] .*proxy-wasm c-filter: \Kc-filter: .*?(?=, client| while )/
--- grep_error_log_out eval
qr/^(?:c-filter: context 2: \d+ headers, path \/p
c-filter: 5 bytes in capitals
){10}\z/



=== TEST 5: C: a body larger than a page of memory
--- config
location /big {
    content_by_lua_block { ngx.print(("abcdefgh"):rep(100000)) }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
ctx = configure("c-filter.wasm", "from c")
ngx.say(request("GET /big").body == ("ABCDEFGH"):rep(100000), " ", #failed)
--- response_body
true 0



=== TEST 6: add-header, in Rust and AssemblyScript: its configuration, or else world!
--- lua
for _, language in ipairs({ "rust", "assemblyscript" }) do
    local plugin = assert(wasm.load("add_header", guests .. "add-header-" .. language .. ".wasm"))
    ctx = assert(wasm.on_configure(plugin, "from " .. language))
    ten(function(res) return res.status == 200 and res.headers.hello == "from " .. language and res.body == "hello" end)
end
--- response_body
10 0
10 0



=== TEST 7: add-header without a configuration, in a chain
--- lua
for _, language in ipairs({ "rust", "assemblyscript" }) do
    share.chain = assert(wasm.chain{ { name = "add_header", path = guests .. "add-header-" .. language .. ".wasm" } })
    ngx.say(request("GET /chain").headers.hello)
end
--- config
location /chain {
    return 200;
    header_filter_by_lua_block { share.chain:header_filter() }
}
--- response_body
world!
world!



=== TEST 8: all in one request
--- lua
ctx = {
    configure("go-filter.wasm", "go"),
    configure("c-filter.wasm", "c"),
    configure("sdk-filter.wasm", "add_response=x-sdk:sdk"),
    assert(wasm.on_configure(assert(wasm.load("add_header", guests .. "add-header-assemblyscript.wasm")), "as")),
    assert(wasm.on_configure(assert(wasm.load("add_header", guests .. "add-header-rust.wasm")), "rust")),
}
ten(function(res)
    return res.headers["x-go"] == "go" and res.headers["x-c"] == "c" and res.headers["x-sdk"] == "sdk"
        and res.headers.hello == "as, rust" and res.body == "HELLO"
end)
--- response_body
10 0

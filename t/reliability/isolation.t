# What plugins do not see: each other, and the host. t/shared/data.t has what they share and do not, t/hostcalls/wasi.t each function.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw);
use ProxyWasm::Script;
use ProxyWasm::Log;
use ProxyWasm::Phases;

run_tests();

__DATA__

=== TEST 1: memory is that of a new VM after a trap, whatever the one before wrote
--- lua
share.trapping = assert(wasm.on_configure(load("stain.wat"), "trap"))
for _ = 1, 5 do
    run(share.trapping, "GET /p")
end
--- response_body
200 hello: failed to run proxy_on_http_request_headers
200 hello: failed to run proxy_on_http_request_headers
200 hello: failed to run proxy_on_http_request_headers
200 hello: failed to run proxy_on_http_request_headers
200 hello: failed to run proxy_on_http_request_headers
--- wasm_log
stain: clean
stain: clean
stain: clean
stain: clean
stain: clean
--- log_of: clean|stained



=== TEST 2: and in another load of the same file, whatever the first wrote; but what a plugin wrote is there in its next request
--- lua
for _ = 1, 3 do
    share.one = assert(wasm.on_configure(load("stain.wat"), "go"))
    run(share.one, "GET /p")
end
run(share.one, "GET /p")
share.one = nil
collectgarbage()
collectgarbage()
run(assert(wasm.on_configure(load("stain.wat"), "go")), "GET /p")
--- response_body
200 hello
200 hello
200 hello
200 hello
200 hello
--- wasm_log
stain: clean
stain: clean
stain: clean
stain: stained
stain: clean
--- log_of: clean|stained



=== TEST 3: contexts of another plugin cannot be made effective, whether or not it is of the same file
--- init_by_lua
conf = "on_request_headers set_effective_context 3\non_request_headers get_header_map_value 0 x-secret"
--- config
location /outer {
    access_by_lua_block {
        ngx.req.set_header("X-Secret", "of the outer request")
        assert(wasm.on_http_request_headers(share.one))
    }
    content_by_lua_block {
        -- the first plugin has the contexts 1, 2 and 3 now, the others 1 and 2
        ngx.print(ngx.location.capture("/inner").body)
    }
}
location /inner {
    rewrite_by_lua_block {
        ngx.req.set_header("X-Secret", "of the inner request")
        assert(wasm.on_http_request_headers(share.one))
        assert(wasm.on_http_request_headers(share.same))
        assert(wasm.on_http_request_headers(share.other))
    }
    content_by_lua_block { ngx.print("inner") }
}
--- lua
share.one = assert(wasm.on_configure(wasm.load("one", guests .. "script.wasm"), "on_request_headers@1 args\n" .. conf))
share.same = assert(wasm.on_configure(wasm.load("same", guests .. "script.wasm"), "on_request_headers args\n" .. conf))
share.other = assert(wasm.on_configure(wasm.load("other", guests .. "script-0-2-0.wasm"), "on_request_headers args\n" .. conf))
ngx.say(request("GET /outer").body)
--- response_body
inner
--- wasm_log eval
qr/\Aone: on_request_headers args: 2 \d 1
one: on_request_headers set_effective_context -> 2
one: on_request_headers get_header_map_value -> 0 "of the outer request"
one: on_request_headers args: 3 \d 1
one: on_request_headers set_effective_context -> 0
one: on_request_headers get_header_map_value -> 0 "of the inner request"
same: on_request_headers args: 2 \d 1
same: on_request_headers set_effective_context -> 2
same: on_request_headers get_header_map_value -> 0 "of the inner request"
other: on_request_headers args: 2 \d 1
other: on_request_headers set_effective_context -> 2
other: on_request_headers get_header_map_value -> 0 "of the inner request"
\z/



=== TEST 4: calls of another plugin can neither be cancelled nor be looked at
--- config
location /both {
    access_by_lua_block {
        local asking = ngx.thread.spawn(function() assert(wasm.on_http_request_headers(share.asks)) end)
        assert(wasm.on_http_request_headers(share.meddles))
        ngx.thread.wait(asking)
    }
    content_by_lua_block { ngx.print("hello") }
}
--- lua
share.asks = assert(wasm.on_configure(wasm.load("asks", guests .. "script.wasm"), [[
on_request_headers http_call 127.0.0.1:$TEST_NGINX_RAW_PORT (:path=/slow/100) "" () 5000
on_request_headers return pause
on_http_call_response get_buffer_bytes 4 0 100
on_http_call_response resume]]))
share.meddles = assert(wasm.on_configure(wasm.load("meddles", guests .. "script.wasm"), [[
on_request_headers grpc_cancel 1
on_request_headers grpc_close 1
on_request_headers grpc_send 1 message 1
on_request_headers get_buffer_bytes 4 0 100
on_request_headers get_header_map_pairs 6
on_request_headers continue_stream 0
on_http_call_response log error never]]))
ngx.say(request("GET /both").body)
--- response_body
hello
--- wasm_log
asks: on_request_headers http_call -> 0 1
meddles: on_request_headers grpc_cancel -> 1
meddles: on_request_headers grpc_close -> 1
meddles: on_request_headers grpc_send -> 1
meddles: on_request_headers get_buffer_bytes -> 1
meddles: on_request_headers get_header_map_pairs -> 0 null
meddles: on_request_headers continue_stream -> 0
asks: on_http_call_response get_buffer_bytes -> 0 "after 100 ms"



=== TEST 5: metrics of another plugin cannot be told, recorded or counted by their number
--- lua
share.counts = assert(wasm.on_configure(wasm.load("counts", guests .. "script.wasm"), [[
on_request_headers define_metric 0 hits
on_request_headers increment_metric %last 7]]))
run(share.counts, "GET /p")
local guesses = { "on_request_headers define_metric 0 hits", "on_request_headers as own increment_metric %last 1" }
for id = 0, 300 do
    guesses[#guesses + 1] = "on_request_headers as told get_metric " .. id
    guesses[#guesses + 1] = "on_request_headers as recorded record_metric " .. id .. " 100"
    guesses[#guesses + 1] = "on_request_headers as counted increment_metric " .. id .. " 1"
end
run(assert(wasm.on_configure(wasm.load("guesses", guests .. "script.wasm"), table.concat(guesses, "\n"))), "GET /p")
ngx.print((wasm.metrics():gsub("[^\n]*#[^\n]*\n", ""):gsub("proxy_wasm_[^\n]*\n", "")))
--- http
wasm_log_limit 10000;
wasm_deadline 60s;
--- response_body
200 hello
200 hello
hits{plugin="counts"} 7
hits{plugin="guesses"} 101
--- grep_error_log eval: qr/(?:told|recorded|counted|own) -> 0/
--- grep_error_log_out
own -> 0
told -> 0
recorded -> 0
counted -> 0



=== TEST 6: what one writes to a stream without ending the line does not run into what another writes
--- script
on_request_headers poke 0 "\x40\x00\x00\x00\x06\x00\x00\x00"
on_request_headers poke 8 "secret"
on_request_headers log info now
--- second
{ path = guests .. "script.wasm", name = "second", conf = 'on_request_headers stdout "own"' },
--- log
now
second: own



=== TEST 7: no descriptor of the host is there to be read, written or closed, and no file to be opened
--- http: wasm_deadline 60s;
--- init_by_lua
function descriptors()
    local list = io.popen("ls /proc/" .. ngx.worker.pid() .. "/fd | sort -n")
    local text = list:read("*a")
    list:close()
    return text
end
--- lua
local plugin = assert(load("descriptors.wat"))
run(assert(wasm.on_configure(plugin, "-")), "GET /p")
local before = descriptors()
for _ = 1, 3 do
    run(ctx, "GET /p")
end
ngx.say(wait_for(function() return descriptors() == before end))
--- response_body
200 hello
200 hello
200 hello
200 hello
true
--- wasm_log
descriptors: none
descriptors: none
descriptors: none
descriptors: none



=== TEST 8: a guest that sleeps for an hour does not
--- script
on_request_headers poke 24 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa0\xb8\x30\x46\x03\x00\x00"
on_request_headers wasi poll_oneoff %scratch %scratch+64 1 %scratch+128
on_request_headers peek 128 4
--- log
on_request_headers wasi poll_oneoff -> 0
on_request_headers peek "\x01\x00\x00\x00"

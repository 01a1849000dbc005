# Contexts: their ids, the order of callbacks and what callbacks are told.

use ProxyWasm 'no_plan';
use ProxyWasm::Log;
use ProxyWasm::Phases;

run_tests();

__DATA__

=== TEST 1: all callbacks of a request in order, with their arguments
--- lua
local plugin = assert(load("script.wasm", { vm_config = "on_* args" }))
local ctx = assert(wasm.on_configure(plugin, "on_request_headers args"))
run(assert(wasm.on_configure(plugin, "on_* args")))
--- response_body
200 hello
--- wasm_log
script: on_vm_start args: 1 9
script: on_context_create args: 2 0
script: on_configure args: 2 9
script: on_context_create args: 3 2
script: on_request_headers args: 3 7 0
script: on_request_body args: 3 4 1
script: on_response_headers args: 3 3 0
script: on_response_body args: 3 5 0
script: on_response_body args: 3 0 1
script: on_done args: 3
script: on_log args: 3
script: on_delete args: 3



=== TEST 2: the number of headers is how many there are
--- lua
run(configure("script.wasm", [[
    on_request_headers args
    on_request_headers each_header 0
    on_response_headers args
    on_response_headers each_header 2]]), "GET /p", { ["X-A"] = "1", ["X-B"] = "2" })
--- grep_error_log eval
qr/on_\w+ (?:args: \d+ \d+|header [^=]+)/
--- grep_error_log_out eval
qr/^on_request_headers args: 2 (\d+)\n((?:on_request_headers header \S+\n)+)on_response_headers args: 2 (\d+)\n((?:on_response_headers header \S+\n)+)\z(?(?{ $1 != ($2 =~ tr|\n||) || $3 != ($4 =~ tr|\n||) })(?!))/



=== TEST 3: end_of_stream of the request's headers is true where no body follows
--- lua
local client = require "client"
ctx = configure("script.wasm", "on_request_headers args")
for _, text in ipairs({
    "GET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /p HTTP/1.0\r\n\r\n",
    "HEAD /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    "GET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    "PUT /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
}) do
    ngx.say(client.parse(client.send(text)).status)
end
--- response_body
200
200
200
200
200
200
200
200
--- grep_error_log eval
qr/on_request_headers args: \d+ \d+ \K\d/
--- grep_error_log_out
1
1
1
1
1
0
0
0



=== TEST 4: end_of_stream of the response's headers is true where no body follows
--- config
location /empty {
    content_by_lua_block {
        ngx.status = tonumber(ngx.var.arg_status)
        if ngx.var.arg_length then
            ngx.header["Content-Length"] = ngx.var.arg_length
        end
        if ngx.var.arg_body then
            ngx.print("body")
        end
    }
    header_filter_by_lua_block { on_response_headers() }
}
--- lua
ctx = configure("script.wasm", "on_response_headers args")
for _, line in ipairs({
    "GET /empty?status=200&body=1", "HEAD /empty?status=200&body=1", "GET /empty?status=204", "GET /empty?status=304",
    "GET /empty?status=200&length=0", "GET /empty?status=200&length=4&body=1", "GET /empty?status=404&body=1",
}) do
    ngx.say(request(line).status)
end
--- response_body
200
200
204
304
200
200
404
--- grep_error_log eval
qr/on_response_headers args: \d+ \d+ \K\d/
--- grep_error_log_out
0
1
1
1
1
0
0



=== TEST 5: the size of a request's body is that of the piece, and of all pieces after a pause
--- config
location /pieces {
    content_by_lua_block {
        assert(wasm.on_http_request_headers(ctx))
        assert(wasm.on_http_request_body(ctx, "abc", false))
        assert(wasm.on_http_request_body(ctx, "", false))
        assert(wasm.on_http_request_body(ctx, "de", true))
    }
}
--- lua
ctx = configure("script.wasm", "on_request_body args\non_request_body@end get_buffer_bytes 0 0 10")
request("GET /pieces")
ctx = configure("script.wasm", "on_request_body args\non_request_body@more return pause\non_request_body@end get_buffer_bytes 0 0 10")
request("GET /pieces")
--- grep_error_log eval
qr/script: \Kon_request_body .*(?=, client| while )/
--- grep_error_log_out
on_request_body args: 2 3 0
on_request_body args: 2 0 0
on_request_body args: 2 2 1
on_request_body get_buffer_bytes -> 0 "de"
on_request_body args: 4 3 0
on_request_body args: 4 3 0
on_request_body args: 4 5 1
on_request_body get_buffer_bytes -> 0 "abcde"



=== TEST 6: a body that was not given has size 0 and cannot be read
--- lua
assert(wasm.on_http_request_body(configure("script.wasm", "on_request_body args\non_request_body get_buffer_bytes 0 0 10"), nil, true))
assert(wasm.on_http_request_body(configure("script.wasm", "on_request_body args\non_request_body get_buffer_bytes 0 0 10\n"), "", true))
--- wasm_log
script: on_request_body args: 2 0 1
script: on_request_body get_buffer_bytes -> 1
script: on_request_body args: 4 0 1
script: on_request_body get_buffer_bytes -> 0 null



=== TEST 7: the size of the response's body is that of the chunk, and of all chunks after a pause
--- config
location /chunks {
    content_by_lua_block {
        ngx.print("abc")
        ngx.flush(true)
        ngx.print("de")
        ngx.flush(true)
    }
    header_filter_by_lua_block { on_response_headers() }
    body_filter_by_lua_block { on_response_body() }
}
--- lua
run(configure("script.wasm", "on_response_body args"), "GET /chunks")
run(configure("script.wasm", "on_response_body args\non_response_body return pause\n"
    .. "on_response_body@end get_buffer_bytes 1 0 10\non_response_body@end return continue"), "GET /chunks")
--- response_body
200 abcde
200 abcde
--- wasm_log
script: on_response_body args: 2 3 0
script: on_response_body args: 2 2 0
script: on_response_body args: 2 0 1
script: on_response_body args: 4 3 0
script: on_response_body args: 4 5 0
script: on_response_body args: 4 5 1
script: on_response_body get_buffer_bytes -> 0 "abcde"



=== TEST 8: several plugin contexts of one plugin, each with its configuration
--- lua
local plugin = assert(load("script.wasm", { vm_config = "on_vm_start count started" }))
local a = assert(wasm.on_configure(plugin, "on_request_headers args\non_response_headers get_buffer_bytes 7 0 5"))
local b = assert(wasm.on_configure(plugin, "on_request_headers args\non_response_headers get_buffer_bytes 7 0 9"))
run(a, "GET /p")
run(b, "GET /p")
run({ a, b }, "GET /p")
--- response_body
200 hello
200 hello
200 hello
--- grep_error_log eval
qr/script: \K(?:on_vm_start .*|on_request_headers args: \d+|on_response_headers get_\S+ -> 0 .*?(?=, client| while ))/
--- grep_error_log_out eval
qr/^on_vm_start count started 1
on_request_headers args: \d
on_response_headers get_buffer_bytes -> 0 "on_re"
on_request_headers args: \d
on_response_headers get_buffer_bytes -> 0 "on_reques"
on_request_headers args: \d
on_request_headers args: \d
on_response_headers get_buffer_bytes -> 0 "on_re"
on_response_headers get_buffer_bytes -> 0 "on_reques"
$/



=== TEST 9: ids count from 1, are shared by both kinds, and are used again by their kind, streams' by their plugin context
--- config
location /slow {
    access_by_lua_block {
        assert(wasm.on_http_request_headers(ctx))
        ngx.sleep(0.2)
    }
    content_by_lua_block { ngx.print("slow") }
}
--- lua
local plugin = assert(load("script.wasm"))
local conf = "on_configure args\non_context_create args\non_delete args"
ctx = assert(wasm.on_configure(plugin, conf))
local threads = {}
for i = 1, 3 do
    threads[i] = ngx.thread.spawn(request, "GET /slow")
end
for i = 1, 3 do
    ngx.thread.wait(threads[i])
end
ngx.say(wasm.info(plugin).contexts)
do
    local other = assert(wasm.on_configure(plugin, conf))
    ngx.say(wasm.info(plugin).contexts)
end
collectgarbage()
collectgarbage()
ngx.say(wasm.info(plugin).contexts)
share.other = assert(wasm.on_configure(plugin, conf))
run(ctx, "GET /p")
ngx.say(wasm.info(plugin).contexts)
--- response_body
1
2
1
200 hello
2
--- grep_error_log eval
qr/script: \Kon_\w+ args: [\d ]+/
--- grep_error_log_out eval
qr/^on_configure args: 1 \d+
(?:on_context_create args: [234] 1\n){3}(?:on_delete args: [234]\n){3}on_configure args: 5 \d+
on_delete args: 5
on_configure args: 5 \d+
on_context_create args: [234] 1
on_delete args: [234]
$/



=== TEST 10: each plugin counts for itself
--- lua
local a, b = assert(load("script.wasm")), assert(load("script.wasm"))
local conf = "on_configure args\non_request_headers args"
run({ assert(wasm.on_configure(a, conf)), assert(wasm.on_configure(b, conf)) }, "GET /p")
--- response_body
200 hello
--- grep_error_log eval
qr/on_\w+ args: \d+/
--- grep_error_log_out
on_configure args: 1
on_configure args: 1
on_request_headers args: 2
on_request_headers args: 2



=== TEST 11: contexts of a request end in one go, each with done, log, delete
--- lua
local conf = "on_done args\non_log args\non_delete args"
run({ configure("script.wasm", conf), configure("script-0-2-0.wasm", conf) }, "GET /p")
--- response_body
200 hello
--- wasm_log
script: on_done args: 2
script: on_log args: 2
script: on_delete args: 2
script-0-2-0: on_done args: 2
script-0-2-0: on_log args: 2
script-0-2-0: on_delete args: 2



=== TEST 12: a plugin context that is freed: done and delete, no log
--- lua
do
    local gone = assert(wasm.on_configure(load("script.wasm"), "on_* args"))
end
collectgarbage()
collectgarbage()
--- wasm_log
script: on_configure args: 1 9
script: on_done args: 1
script: on_delete args: 1



=== TEST 13: root id: the option, from the first callback on
--- lua
local plugin = assert(load("script.wasm", { root_id = "given", vm_config = "on_* get_property plugin_root_id" }))
local ctx = assert(wasm.on_configure(plugin, "on_configure get_property plugin_root_id"))
local other = assert(wasm.on_configure(plugin, "#"))
ngx.say(wasm.info(plugin).root_id)
ngx.say('"', wasm.info(load("script.wasm", { root_id = "" })).root_id, '"')
--- response_body
given
""
--- wasm_log
script: on_vm_start get_property -> 0 "given"
script: on_configure get_property -> 0 "given"
script: on_context_create get_property -> 0 "given"



=== TEST 14: root id: the name where the module holds it, in UTF-8 or UTF-16, else empty
--- lua
for _, case in ipairs({
    { "helloworld", wat .. "add-header.wat" },
    { "not_in_there", wat .. "add-header.wat" },
    { "add_header", guests .. "add-header-assemblyscript.wasm" },
    { "another_name", guests .. "add-header-assemblyscript.wasm" },
}) do
    ngx.say('"', wasm.info(wasm.load(case[1], case[2])).root_id, '"')
end
--- response_body
"helloworld"
""
"add_header"
""



=== TEST 15: the choice of the root id is logged
--- log_level: debug
--- lua
wasm.load("not_in_there", wat .. "add-header.wat")
wasm.load("helloworld", wat .. "add-header.wat")
--- error_log
proxy-wasm not_in_there: root id is ""
proxy-wasm helloworld: root id is "helloworld"



=== TEST 16: a request that is paused without a body to come is released and logged
--- lua
ngx.say(wasm.on_http_request_headers(configure("pause-forever.wat", "x")))
ngx.say(wasm.on_http_request_headers(configure("script.wasm", "on_request_headers return pause")))
--- response_body
true
true
--- problems
pause-forever: proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on
script: proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on



=== TEST 17: paused by a plugin without a callback for the body: as if none came
--- request
POST /t
body
--- lua
ngx.say(wasm.on_http_request_headers(configure("pause-forever.wat", "x")))
--- response_body
true
--- problems
pause-forever: proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on



=== TEST 18: paused until the body: nothing to say
--- lua
run(configure("script.wasm", "on_request_headers return pause\non_request_body args"))
run(configure("script.wasm", "on_request_headers return pause\non_request_body return pause\non_request_body continue_stream 0"))
--- response_body
200 hello
200 hello
--- wasm_log
script: on_request_body args: 2 4 1
script: on_request_body continue_stream -> 0



=== TEST 19: paused and continued in the same callback
--- lua
run(configure("script.wasm", "on_request_headers return pause\non_request_headers continue_stream 0"), "GET /p")
run(configure("script-0-1-0.wasm", "on_request_headers return pause\non_request_headers continue_request"), "GET /p")
--- response_body
200 hello
200 hello
--- wasm_log
script: on_request_headers continue_stream -> 0
script-0-1-0: on_request_headers continue_request -> 0



=== TEST 20: paused at the end of a body: it goes on, logged
--- lua
run(configure("script.wasm", "on_request_body return pause"))
run(configure("script.wasm", "on_response_body return pause"), "GET /p")
--- response_body
200 hello
200 hello
--- problems
script: proxy_on_request_body paused at the end of the body with nothing outstanding that could resume it, it goes on
script: proxy_on_response_body paused at the end of the body, where a response cannot be held, it goes on



=== TEST 21: paused response headers go out
--- lua
run(configure("script.wasm", "on_response_headers return pause"), "GET /p")
run(configure("script.wasm", "on_response_headers return pause"), "HEAD /p")
--- response_body
200 hello
200 



=== TEST 22: proxy_on_done returns false: the context stays until proxy_done, here on the next tick
--- lua
local plugin = load("done-false.wat")
local ctx = assert(wasm.on_configure(plugin, "x"))
for _ = 1, 2 do
    run(ctx, "GET /p")
    for _ = 1, 500 do
        if wasm.info(plugin).contexts == 1 then
            break
        end
        ngx.sleep(0.01)
    end
    ngx.say(wasm.info(plugin).contexts)
end
--- response_body
200 hello
1
200 hello
1
--- wasm_log
done-false: proxy_done too early -> 1
done-false: on_done 2
done-false: proxy_done -> 0
done-false: on_log 2
done-false: on_delete 2
done-false: proxy_done too early -> 1
done-false: on_done 2
done-false: proxy_done -> 0
done-false: on_log 2
done-false: on_delete 2



=== TEST 23: without proxy_done a context that is not done is not ended
--- lua
run(configure("script.wasm", "on_done args\non_done return false\non_log args\non_delete args"), "GET /p")
--- response_body
200 hello
--- error_log
script: on_done args: 2
--- no_error_log
script: on_log args: 2
script: on_delete args: 2
[error]



=== TEST 24: a stream that looks at its end still sees its request and response
--- lua
run(configure("script.wasm", [[
    on_log get_header_map_value 0 x-name
    on_log get_header_map_value 2 content-type
    on_log get_property request.path
    on_log get_property response.code]]), "GET /p?q", { ["x-name"] = "me" })
--- response_body
200 hello
--- wasm_log
script: on_log get_header_map_value -> 0 "me"
script: on_log get_header_map_value -> 0 "text/plain"
script: on_log get_property -> 0 "/p?q"
script: on_log get_property -> 0 "\xc8\x00\x00\x00\x00\x00\x00\x00"

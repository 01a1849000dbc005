use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: the streams of a request can be told to go on, those of TCP are Unimplemented, others a BadArgument
--- script
on_request_headers continue_stream 0
on_request_headers continue_stream 1
on_request_headers continue_stream 2
on_request_headers continue_stream 3
on_request_headers continue_stream 4
on_request_headers continue_stream -1
on_response_headers continue_stream 1
on_configure continue_stream 0
on_configure continue_stream 4
--- response_body
hello
--- log
on_configure continue_stream -> 2
on_configure continue_stream -> 2
on_request_headers continue_stream -> 0
on_request_headers continue_stream -> 0
on_request_headers continue_stream -> 12
on_request_headers continue_stream -> 12
on_request_headers continue_stream -> 2
on_request_headers continue_stream -> 2
on_response_headers continue_stream -> 0



=== TEST 2: continue_stream takes back the pause of the request's headers
--- script
on_request_headers continue_stream 0
on_request_headers return pause
--- response_body
hello
--- log
on_request_headers continue_stream -> 0



=== TEST 3: a pause that nothing could take back is released, with a warning
--- script
on_request_headers return pause
--- response_body
hello
--- log
proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on



=== TEST 4: going on with the response does not take back the request's pause
--- script
on_request_headers continue_stream 1
on_request_headers return pause
--- response_body
hello
--- log
on_request_headers continue_stream -> 0
proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on



=== TEST 5: a request paused in its headers is held until the plugin has seen its body
--- script
on_request_headers return pause
on_request_body get_buffer_bytes 0 0 10
on_request_body add_header_map_value 0 x-a 1
--- second
{ path = guests .. "script.wasm", name = "second", conf = [[
on_request_headers get_header_map_value 0 x-a
on_request_body get_buffer_bytes 0 0 10]] },
--- request
POST /t
abc
--- log
on_request_body get_buffer_bytes -> 0 "abc"
on_request_body add_header_map_value -> 0
second: on_request_headers get_header_map_value -> 0 "1"
second: on_request_body get_buffer_bytes -> 0 "abc"



=== TEST 6: a guest of 0.1.0 goes on by calls that have no result
--- guest: script-0-1-0.wasm
--- script
on_request_headers continue_request
on_request_headers clear_route_cache
on_request_headers return pause
on_response_body@1 continue_response
on_response_body@1 return pause
on_response_body@2 args
on_configure continue_request
on_configure clear_route_cache
on_configure log info configured
--- response_body
hello
--- log_of: args|configured|paused
--- log
configured
on_response_body args: 2 0 1



=== TEST 7: a closed request gets no response
--- script
on_request_headers close_stream 0
on_request_headers log info "the callback goes on"
on_log log info log
--- second
{ path = guests .. "script.wasm", name = "second", conf = "on_request_headers log info reached" },
--- config
location /outer {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        assert(sock:send("GET /t HTTP/1.0\r\nHost: some\r\n\r\n"))
        ngx.say(#(sock:receive("*a") or ""))
    }
}
--- request
GET /outer
--- response_body
0
--- log
on_request_headers close_stream -> 0
the callback goes on
log



=== TEST 8: so does one closed from its body
--- script
on_request_body close_stream 0
--- config
location /outer {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        assert(sock:send("POST /t HTTP/1.0\r\nHost: some\r\nContent-Length: 3\r\n\r\nabc"))
        ngx.say(#(sock:receive("*a") or ""))
    }
}
--- request
GET /outer
--- response_body
0
--- log
on_request_body close_stream -> 0



=== TEST 9: so does one closed before its response's headers are sent
--- script
on_response_headers close_stream 1
--- upstream
ngx.say("hello")
--- config
location /outer {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        assert(sock:send("GET /t HTTP/1.0\r\nHost: some\r\n\r\n"))
        ngx.say(#(sock:receive("*a") or ""))
    }
}
--- request
GET /outer
--- response_body
0
--- log
on_response_headers close_stream -> 0



=== TEST 10: a response closed within its body is cut there
--- script
on_response_body@2 close_stream 1
--- config
location /outer {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        assert(sock:send("GET /t HTTP/1.1\r\nHost: some\r\n\r\n"))
        local all, _, partial = sock:receive("*a")
        all = all or partial
        ngx.say(all:find("first", 1, true) ~= nil, " ", all:find("second", 1, true), " ", all:find("\r\n0\r\n\r\n", 1, true))
    }
}
--- location
content_by_lua_block { ngx.print("first") ngx.flush(true) ngx.print("second") }
--- request
GET /outer
--- response_body
true nil nil
--- log
on_response_body close_stream -> 0



=== TEST 11: only a request's streams can be closed
--- script
on_configure close_stream 0
on_request_headers close_stream 2
on_request_headers close_stream 3
on_request_headers close_stream 4
on_request_headers close_stream -1
--- response_body
hello
--- log
on_configure close_stream -> 2
on_request_headers close_stream -> 2
on_request_headers close_stream -> 2
on_request_headers close_stream -> 2
on_request_headers close_stream -> 2



=== TEST 12: a local response wins over closing
--- script
on_request_headers send_local_response 403 "" no
on_request_headers close_stream 0
--- error_code: 403
--- response_body: no
--- log
on_request_headers send_local_response -> 0
on_request_headers close_stream -> 0

use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: what needs Redis or Envoy's filter chain answers, and the request goes on
--- guest: script-0-2-100.wasm
--- script
on_configure redis_init redis:6379 user password 100
on_request_headers redis_call redis:6379 "PING"
on_request_headers get_upstream_hosts
on_request_headers set_upstream_override_host 127.0.0.1:1
on_response_body@1 inject_encoded_data_to_filter_chain data 0
--- response_body
hello
--- log
on_configure redis_init -> 10
on_request_headers redis_call -> 10
on_request_headers get_upstream_hosts -> 1
on_request_headers set_upstream_override_host -> 12
on_response_body inject_encoded_data_to_filter_chain -> 12



=== TEST 2: pointers outside memory are an InvalidMemoryAccess
--- guest: script-0-2-100.wasm
--- script
on_request_headers raw redis_init %memory 1 0 0 0 0 100
on_request_headers raw redis_init 0 0 %memory 1 0 0 100
on_request_headers raw redis_init 0 0 0 0 %scratch -1 100
on_request_headers raw redis_call %memory 1 0 0 %scratch
on_request_headers raw redis_call 0 0 %memory 1 %scratch
on_request_headers raw redis_call 0 0 0 0 %memory
on_request_headers raw inject_encoded_data_to_filter_chain %memory 1 0
on_request_headers raw get_upstream_hosts %memory %scratch
on_request_headers raw get_upstream_hosts %scratch -3
on_request_headers raw set_upstream_override_host %memory 1
--- log
on_request_headers raw redis_init -> 6
on_request_headers raw redis_init -> 6
on_request_headers raw redis_init -> 6
on_request_headers raw redis_call -> 6
on_request_headers raw redis_call -> 6
on_request_headers raw redis_call -> 6
on_request_headers raw inject_encoded_data_to_filter_chain -> 6
on_request_headers raw get_upstream_hosts -> 6
on_request_headers raw get_upstream_hosts -> 6
on_request_headers raw set_upstream_override_host -> 6



=== TEST 3: it has all of 0.2.1
--- guest: script-0-2-100.wasm
--- script
on_request_headers get_log_level
on_request_headers get_header_map_value 0 x-none
on_request_headers replace_header_map_value 0 x-a b
on_response_headers continue_stream 1
--- upstream
ngx.say(ngx.var.http_x_a)
--- response_body
b
--- log
on_request_headers get_log_level -> 0 2
on_request_headers get_header_map_value -> 1
on_request_headers replace_header_map_value -> 0
on_response_headers continue_stream -> 0



=== TEST 4: continuing and ending the stream from a header callback continues
--- guest: script-0-2-100.wasm
--- script
on_request_headers return 2
on_response_headers return 2
--- response_body
hello
--- log



=== TEST 5: stopping in a request's header callback holds it until its body was seen
--- guest: script-0-2-100.wasm
--- script
on_request_headers return 1
on_request_body get_buffer_bytes 0 0 10
on_request_body add_header_map_value 0 x-a 1
--- second
{ path = guests .. "script.wasm", name = "second", conf = "on_request_headers get_header_map_value 0 x-a" },
--- request
POST /t
abc
--- response_body
hello
--- log
on_request_body get_buffer_bytes -> 0 "abc"
on_request_body add_header_map_value -> 0
second: on_request_headers get_header_map_value -> 0 "1"



=== TEST 6: stopping all iteration of a request without a body is released, with a warning
--- guest: script-0-2-100.wasm
--- script
on_request_headers return 4
--- response_body
hello
--- error_log
proxy_on_request_headers paused the request with nothing outstanding that could resume it, it goes on



=== TEST 7: stopping a body callback with or without the watermark buffers
--- guest: script-0-2-100.wasm
--- script
on_response_body args
on_response_body@1 return 1
on_response_body@2 return 2
--- location
content_by_lua_block { for _, c in ipairs { "one", "two", "three" } do ngx.print(c) ngx.flush(true) end }
--- response_body: onetwothree
--- log
on_response_body args: 2 3 0
on_response_body args: 2 6 0
on_response_body args: 2 11 0
on_response_body args: 2 0 1



=== TEST 8: stopping without buffering drops what the plugin has taken of the request's body
--- guest: script-0-2-100.wasm
--- script
on_request_body@1 return 3
on_request_body args
--- access
assert(wasm.on_http_request_headers(ctx))
assert(wasm.on_http_request_body(ctx, "first", false))
assert(wasm.on_http_request_body(ctx, "second", true))
--- request
POST /t
old
--- log
on_request_body args: 2 5 0
on_request_body args: 2 6 1

use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a request's context lives through all callbacks, and each ending comes once
--- script
on_context_create args
on_request_headers args
on_request_body args
on_response_headers args
on_response_body args
on_done args
on_log args
on_delete args
--- request
POST /t
abc
--- log eval
qr/\Aon_context_create args: 2 1
on_request_headers args: 2 7 0
on_request_body args: 2 3 1
on_response_headers args: 2 \d 0
on_response_body args: 2 6 0
on_response_body args: 2 0 1
on_done args: 2
on_log args: 2
on_delete args: 2
\z/



=== TEST 2: the id of a request that is over is used again
--- script
on_context_create args
on_delete args
--- request eval
[ "GET /t?1", "GET /t?2" ]
--- log
on_context_create args: 2 1
on_delete args: 2



=== TEST 3: the request's data can be read until its context is gone
--- script
on_done get_header_map_value 0 x-a
on_done get_property request.path
on_log get_header_map_value 0 x-a
on_log get_header_map_value 2 :status
on_log get_property request.path
on_log get_property remote_addr
on_delete get_header_map_value 0 x-a
on_delete get_property uri
--- more_headers
X-A: 1
--- log
on_done get_header_map_value -> 0 "1"
on_done get_property -> 0 "/t"
on_log get_header_map_value -> 0 "1"
on_log get_header_map_value -> 0 "200"
on_log get_property -> 0 "/t"
on_log get_property -> 0 "127.0.0.1"
on_delete get_header_map_value -> 0 "1"
on_delete get_property -> 0 "/t"



=== TEST 4: endings come once after a local response
--- script
on_request_headers send_local_response 403 "" no
on_done log info done
on_log get_header_map_value 2 :status
on_delete log info delete
--- error_code: 403
--- log
on_request_headers send_local_response -> 0
done
on_log get_header_map_value -> 0 "403"
delete



=== TEST 5: endings come once after an internal redirect and an error page
--- script
on_done log info done
on_log get_property uri
on_delete log info delete
--- config
error_page 404 /page;
location /page { return 200 "page"; }
--- location
content_by_lua_block { ngx.exec("/none") }
--- error_code: 404
--- response_body: page
--- log
done
on_log get_property -> 0 "/page"
delete
--- error_log_allowed



=== TEST 6: endings come once where nginx closes the connection
--- script
on_done log info done
on_log get_header_map_value 0 host
on_delete log info delete
--- config
location /outer {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        assert(sock:send("GET /t HTTP/1.0\r\nHost: some\r\n\r\n"))
        ngx.say(#(sock:receive("*a") or ""))
    }
}
--- location
content_by_lua_block { ngx.exit(444) }
--- request
GET /outer
--- response_body
0
--- log
done
on_log get_header_map_value -> 0 "some"
delete



=== TEST 7: a subrequest has a context of its own, that ends with it
--- script
on_context_create args
on_request_headers get_property uri
on_done args
on_log get_property uri
--- config
location /t/sub {
    rewrite_by_lua_block { chain:rewrite() }
    content_by_lua_block { ngx.print("sub") }
}
--- location
content_by_lua_block { ngx.print(ngx.location.capture("/t/sub").body) }
--- response_body: sub
--- log eval
qr/\Aon_context_create args: 2 1
on_request_headers get_property -> 0 "\/t"
on_context_create args: 3 1
on_request_headers get_property -> 0 "\/t\/sub"
(?=(?:.*\n)*on_done args: 2\n)(?=(?:.*\n)*on_done args: 3\n)(?=(?:.*\n)*on_log get_property -> 0 "\/t"\n)(?=(?:.*\n)*on_log get_property -> 0 "\/t\/sub"\n)(?:.*\n){4}\z/



=== TEST 8: each plugin of a chain has its own endings
--- script
on_done log info done
on_log log info log
on_delete log info delete
--- second
{ path = guests .. "script.wasm", name = "second", conf = [[
on_done log info done
on_log log info log
on_delete log info delete]] },
--- log
done
log
delete
second: done
second: log
second: delete



=== TEST 9: done in on_done ends the context, whatever on_done answers
--- script
on_done done
on_done done
on_done return false
on_log log info log
on_delete log info delete
--- log
on_done done -> 0
on_done done -> 1
log
delete



=== TEST 10: done is NotFound where nothing is to be finished
--- script
on_configure done
on_request_headers done
on_response_body@end done
on_log done
on_delete done
--- log
on_configure done -> 1
on_request_headers done -> 1
on_response_body done -> 1
on_log done -> 1
on_delete done -> 1



=== TEST 11: a context that is not done stays until the plugin says so, from another request
--- script
on_request_headers effective 2
on_request_headers done
on_request_headers effective self
on_done args
on_done return false
on_log args
on_log get_header_map_value 0 host
on_delete args
--- request eval
[ "GET /t?1", "GET /t?2" ]
--- log eval
qr/\Aon_request_headers effective -> 0
on_request_headers done -> 1
on_request_headers effective -> 0
on_done args: 2
\z|\Aon_request_headers effective -> 0
on_request_headers done -> 0
on_request_headers effective -> 0
on_log args: 2
on_log get_header_map_value -> 1
on_delete args: 2
on_done args: 3
\z/



=== TEST 12: an effective context is the one that hostcalls are about
--- script
on_request_headers get_header_map_value 0 host
on_request_headers effective root
on_request_headers get_header_map_value 0 host
on_request_headers add_header_map_value 0 x-a 1
on_request_headers effective self
on_request_headers get_header_map_value 0 x-a
on_request_headers get_header_map_value 0 host
on_response_headers get_header_map_value 0 host
--- log
on_request_headers get_header_map_value -> 0 "localhost"
on_request_headers effective -> 0
on_request_headers get_header_map_value -> 1
on_request_headers add_header_map_value -> 2
on_request_headers effective -> 0
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 0 "localhost"
on_response_headers get_header_map_value -> 0 "localhost"



=== TEST 13: a context that was made effective is so for that callback only
--- script
on_request_headers effective root
on_response_headers get_header_map_value 0 host
--- log
on_request_headers effective -> 0
on_response_headers get_header_map_value -> 0 "localhost"



=== TEST 14: an unknown context is a BadArgument, and the effective one stays
--- script
on_request_headers set_effective_context 0
on_request_headers set_effective_context 3
on_request_headers set_effective_context -1
on_request_headers get_header_map_value 0 host
on_configure set_effective_context 2
on_configure set_effective_context 1
--- log
on_configure set_effective_context -> 2
on_configure set_effective_context -> 0
on_request_headers set_effective_context -> 2
on_request_headers set_effective_context -> 2
on_request_headers set_effective_context -> 2
on_request_headers get_header_map_value -> 0 "localhost"



=== TEST 15: another request's context can be made effective while that request lives
--- script
on_request_headers@1 args
on_request_headers effective 2
on_request_headers get_property uri
--- config
location /t/sub {
    rewrite_by_lua_block { chain:rewrite() }
    content_by_lua_block { ngx.print("sub") }
}
--- location
content_by_lua_block { ngx.print(ngx.location.capture("/t/sub").body) }
--- response_body: sub
--- log
on_request_headers args: 2 6 1
on_request_headers effective -> 0
on_request_headers get_property -> 0 "/t"
on_request_headers args: 3 6 1
on_request_headers effective -> 0
on_request_headers get_property -> 0 "/t"



=== TEST 16: two plugin contexts of one plugin have configurations of their own
--- script
on_request_headers log info first
--- access
local other = configure("script.wasm", "on_request_headers log info other\non_request_headers get_buffer_bytes 7 0 18")
assert(wasm.on_http_request_headers(other))
chain:access()
--- log
other
on_request_headers get_buffer_bytes -> 0 "on_request_headers"
first



=== TEST 17: each ABI version ends its contexts
--- guest: script-0-1-0.wasm
--- script
on_context_create args
on_done args
on_log get_header_map_value 0 host
on_delete args
--- log
on_context_create args: 2 1
on_done args: 2
on_log get_header_map_value -> 0 "localhost"
on_delete args: 2

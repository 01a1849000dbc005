use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a range of the request's body is read
--- script
on_request_body get_buffer_bytes 0 0 6
on_request_body get_buffer_bytes 0 0 -1
on_request_body get_buffer_bytes 0 2 3
on_request_body get_buffer_bytes 0 2 100
on_request_body get_buffer_bytes 0 3 0
on_request_body get_buffer_bytes 0 6 1
on_request_body get_buffer_status 0
--- request
POST /t
abcdef
--- log
on_request_body get_buffer_bytes -> 0 "abcdef"
on_request_body get_buffer_bytes -> 0 "abcdef"
on_request_body get_buffer_bytes -> 0 "cde"
on_request_body get_buffer_bytes -> 0 "cdef"
on_request_body get_buffer_bytes -> 0 null
on_request_body get_buffer_bytes -> 0 null
on_request_body get_buffer_status -> 0 6 0



=== TEST 2: a range that begins past the end or wraps is a BadArgument
--- script
on_request_body get_buffer_bytes 0 7 1
on_request_body get_buffer_bytes 0 -1 0
on_request_body get_buffer_bytes 0 1 -1
on_request_body get_buffer_bytes 0 0xffffffff 0xffffffff
on_request_body get_buffer_bytes 0 0x80000000 0x80000000
--- request
POST /t
abcdef
--- log
on_request_body get_buffer_bytes -> 2
on_request_body get_buffer_bytes -> 2
on_request_body get_buffer_bytes -> 2
on_request_body get_buffer_bytes -> 2
on_request_body get_buffer_bytes -> 2



=== TEST 3: an unknown buffer is a BadArgument
--- script
on_request_body get_buffer_bytes 9 0 1
on_request_body get_buffer_bytes -1 0 1
on_request_body get_buffer_status 9
on_request_body set_buffer_bytes 9 0 0 x
--- request
POST /t
abc
--- log
on_request_body get_buffer_bytes -> 2
on_request_body get_buffer_bytes -> 2
on_request_body get_buffer_status -> 2
on_request_body set_buffer_bytes -> 2



=== TEST 4: a buffer that is not there now is NotFound
--- script
on_request_headers get_buffer_bytes 0 0 10
on_request_headers get_buffer_status 0
on_request_headers set_buffer_bytes 0 0 0 x
on_request_headers get_buffer_bytes 1 0 10
on_request_body get_buffer_bytes 1 0 10
on_request_body set_buffer_bytes 1 0 0 x
on_request_body get_buffer_bytes 2 0 10
on_request_body get_buffer_bytes 3 0 10
on_request_body get_buffer_bytes 4 0 10
on_request_body get_buffer_bytes 5 0 10
on_request_body get_buffer_bytes 8 0 10
on_request_body get_buffer_status 4
on_request_body set_buffer_bytes 4 0 0 x
on_response_headers get_buffer_bytes 1 0 10
on_response_headers get_buffer_bytes 0 0 10
on_response_body@end get_buffer_bytes 0 0 10
on_response_body@end set_buffer_bytes 0 0 0 x
on_log get_buffer_bytes 0 0 10
on_log get_buffer_bytes 1 0 10
on_log get_buffer_status 1
on_log set_buffer_bytes 1 0 0 x
--- request
POST /t
abc
--- response_body
hello
--- log
on_request_headers get_buffer_bytes -> 1
on_request_headers get_buffer_status -> 1
on_request_headers set_buffer_bytes -> 1
on_request_headers get_buffer_bytes -> 1
on_request_body get_buffer_bytes -> 1
on_request_body set_buffer_bytes -> 1
on_request_body get_buffer_bytes -> 1
on_request_body get_buffer_bytes -> 1
on_request_body get_buffer_bytes -> 1
on_request_body get_buffer_bytes -> 1
on_request_body get_buffer_bytes -> 1
on_request_body get_buffer_status -> 1
on_request_body set_buffer_bytes -> 1
on_response_headers get_buffer_bytes -> 1
on_response_headers get_buffer_bytes -> 1
on_response_body get_buffer_bytes -> 1
on_response_body set_buffer_bytes -> 1
on_log get_buffer_bytes -> 1
on_log get_buffer_bytes -> 1
on_log get_buffer_status -> 1
on_log set_buffer_bytes -> 1



=== TEST 5: configurations are read in their callbacks, and none can be written
--- options: vm_config = "on_vm_start get_buffer_bytes 6 0 11\non_vm_start get_buffer_status 6",
--- script
on_configure get_buffer_bytes 7 0 12
on_configure get_buffer_bytes 7 3 9
on_configure get_buffer_status 7
on_configure get_buffer_bytes 7 1000 1
on_configure set_buffer_bytes 7 0 0 x
on_configure set_buffer_bytes 6 0 0 x
on_configure set_buffer_bytes 8 0 0 x
on_configure get_buffer_bytes 0 0 1
on_configure get_buffer_bytes 1 0 1
on_configure set_buffer_bytes 0 0 0 x
--- log
on_vm_start get_buffer_bytes -> 0 "on_vm_start"
on_vm_start get_buffer_status -> 0 67 0
on_configure get_buffer_bytes -> 0 "on_configure"
on_configure get_buffer_bytes -> 0 "configure"
on_configure get_buffer_status -> 0 368 0
on_configure get_buffer_bytes -> 2
on_configure set_buffer_bytes -> 2
on_configure set_buffer_bytes -> 2
on_configure set_buffer_bytes -> 2
on_configure get_buffer_bytes -> 1
on_configure get_buffer_bytes -> 1
on_configure set_buffer_bytes -> 1



=== TEST 6: a guest of 0.1.0 asks for its configurations by a call of their own
--- guest: script-0-1-0.wasm
--- options: vm_config = "on_vm_start get_configuration",
--- script
on_configure get_configuration
on_configure get_buffer_bytes 7 0 12
on_configure raw get_configuration %scratch %memory
--- log
on_vm_start get_configuration -> 0 "on_vm_start get_configuration"
on_configure get_configuration -> 0 "on_configure get_configuration\x0aon_configure get_buffer_bytes 7 0 12\x0aon_configure raw get_configuration %scratch %memory"
on_configure get_buffer_bytes -> 0 "on_configure"
on_configure raw get_configuration -> 6



=== TEST 7: the request's body is prepended to
--- script
on_request_body set_buffer_bytes 0 0 0 "new "
on_request_body get_buffer_bytes 0 0 100
on_request_body get_buffer_status 0
--- request
POST /t
body
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.var.http_content_length)
--- response_body
new body 8
--- log
on_request_body set_buffer_bytes -> 0
on_request_body get_buffer_bytes -> 0 "new body"
on_request_body get_buffer_status -> 0 8 0



=== TEST 8: the request's body is appended to, at its end and anywhere past it
--- script
on_request_body set_buffer_bytes 0 4 0 " one"
on_request_body set_buffer_bytes 0 100 5 " two"
on_request_body set_buffer_bytes 0 -1 -1 " three"
--- request
POST /t
body
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.var.http_content_length)
--- response_body
body one two three 18
--- log
on_request_body set_buffer_bytes -> 0
on_request_body set_buffer_bytes -> 0
on_request_body set_buffer_bytes -> 0



=== TEST 9: parts of the request's body are replaced, injected and cut out
--- script
on_request_body set_buffer_bytes 0 0 2 "ONE"
on_request_body set_buffer_bytes 0 4 0 "-"
on_request_body set_buffer_bytes 0 5 2 ""
on_request_body get_buffer_bytes 0 0 100
--- request
POST /t
abcdefgh
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data())
--- response_body
ONEc-fgh
--- log
on_request_body set_buffer_bytes -> 0
on_request_body set_buffer_bytes -> 0
on_request_body set_buffer_bytes -> 0
on_request_body get_buffer_bytes -> 0 "ONEc-fgh"



=== TEST 10: the whole request body is replaced, by the size it has or by the largest
--- script
on_request_body set_buffer_bytes 0 0 8 "first\0"
on_request_body set_buffer_bytes 0 0 -1 "second\0\r\n"
--- request
POST /t
abcdefgh
--- upstream
ngx.req.read_body()
ngx.say((ngx.req.get_body_data():gsub("%c", "?")))
--- response_body
second???
--- log
on_request_body set_buffer_bytes -> 0
on_request_body set_buffer_bytes -> 0



=== TEST 11: the request's body is emptied
--- script
on_request_body set_buffer_bytes 0 0 -1 ""
--- request
POST /t
abcdefgh
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.var.http_content_length)
--- response_body
nil 0
--- log
on_request_body set_buffer_bytes -> 0



=== TEST 12: a request's body that nginx keeps in a file is shown and changed like any other
--- script
on_request_body args
on_request_body get_buffer_bytes 0 99990 100
on_request_body set_buffer_bytes 0 0 99990 "short "
--- request eval
"POST /t\n" . "0123456789" x 10000
--- location
client_body_buffer_size 1k;
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data())
--- response_body
short 0123456789
--- log
on_request_body args: 2 100000 1
on_request_body get_buffer_bytes -> 0 "0123456789"
on_request_body set_buffer_bytes -> 0



=== TEST 13: a request's body that comes in chunks is shown whole
--- script
on_request_body args
on_request_body get_buffer_bytes 0 0 100
on_request_body set_buffer_bytes 0 -1 0 "!"
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.var.http_content_length)
--- response_body
abcde! 6
--- log
on_request_body args: 2 5 1
on_request_body get_buffer_bytes -> 0 "abcde"
on_request_body set_buffer_bytes -> 0



=== TEST 14: the next plugin sees the body that the one before it made
--- script
on_request_body set_buffer_bytes 0 0 -1 "first"
--- second
{ path = guests .. "script.wasm", name = "second", conf = [[
on_request_body get_buffer_bytes 0 0 100
on_request_body args
on_request_body set_buffer_bytes 0 -1 0 " second"]] },
--- request
POST /t
abc
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data())
--- response_body
first second
--- log
on_request_body set_buffer_bytes -> 0
second: on_request_body get_buffer_bytes -> 0 "first"
second: on_request_body args: 2 5 1
second: on_request_body set_buffer_bytes -> 0



=== TEST 15: a pause before the end of the request's body keeps what came until the plugin goes on
--- script
on_request_body args
on_request_body@more return pause
on_request_body@end get_buffer_bytes 0 0 100
on_request_body@end set_buffer_bytes 0 3 0 "-"
--- request
POST /t
old
--- access
assert(wasm.on_http_request_headers(ctx))
for i, piece in ipairs { "abc", "def", "ghi" } do
    assert(wasm.on_http_request_body(ctx, piece, i == 3))
end
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data())
--- response_body
abc-defghi
--- log
on_request_body args: 2 3 0
on_request_body args: 2 6 0
on_request_body args: 2 9 1
on_request_body get_buffer_bytes -> 0 "abcdefghi"
on_request_body set_buffer_bytes -> 0



=== TEST 16: without a pause each piece of the request's body is shown by itself
--- script
on_request_body args
on_request_body get_buffer_bytes 0 0 100
--- access
assert(wasm.on_http_request_headers(ctx))
for i, piece in ipairs { "abc", "", "def" } do
    assert(wasm.on_http_request_body(ctx, piece, i == 3))
end
--- log
on_request_body args: 2 3 0
on_request_body get_buffer_bytes -> 0 "abc"
on_request_body args: 2 0 0
on_request_body get_buffer_bytes -> 0 null
on_request_body args: 2 3 1
on_request_body get_buffer_bytes -> 0 "def"



=== TEST 17: a body that was not given is NotFound, an empty one is there
--- script
on_request_body args
on_request_body get_buffer_bytes 0 0 100
on_request_body get_buffer_status 0
on_request_body set_buffer_bytes 0 0 0 x
--- access
assert(wasm.on_http_request_headers(ctx))
assert(wasm.on_http_request_body(ctx, nil, true))
assert(wasm.on_http_request_body(ctx, "", true))
--- log
on_request_body args: 2 0 1
on_request_body get_buffer_bytes -> 1
on_request_body get_buffer_status -> 1
on_request_body set_buffer_bytes -> 1
on_request_body args: 2 0 1
on_request_body get_buffer_bytes -> 0 null
on_request_body get_buffer_status -> 0 0 0
on_request_body set_buffer_bytes -> 0



=== TEST 18: a pause at the end of the request's body with nothing to wait for is released, with a warning
--- script
on_request_body set_buffer_bytes 0 0 0 "new "
on_request_body return pause
--- request
POST /t
body
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data())
--- response_body
new body
--- error_log
proxy_on_request_body paused at the end of the body with nothing outstanding that could resume it, it goes on



=== TEST 19: the chunks of a response are shown one by one, the last with end_of_stream
--- script
on_response_body args
on_response_body get_buffer_bytes 1 0 100
--- location
content_by_lua_block { ngx.print("one") ngx.flush(true) ngx.print("two") ngx.flush(true) ngx.print("three") }
--- response_body: onetwothree
--- log
on_response_body args: 2 3 0
on_response_body get_buffer_bytes -> 0 "one"
on_response_body args: 2 3 0
on_response_body get_buffer_bytes -> 0 "two"
on_response_body args: 2 5 0
on_response_body get_buffer_bytes -> 0 "three"
on_response_body args: 2 0 1
on_response_body get_buffer_bytes -> 0 null



=== TEST 20: ranges of the response's body follow the same rules
--- script
on_response_body@more get_buffer_bytes 1 1 3
on_response_body@more get_buffer_bytes 1 6 10
on_response_body@more get_buffer_bytes 1 7 1
on_response_body@more get_buffer_bytes 1 1 -1
on_response_body@more get_buffer_status 1
--- log
on_response_body get_buffer_bytes -> 0 "ell"
on_response_body get_buffer_bytes -> 0 null
on_response_body get_buffer_bytes -> 2
on_response_body get_buffer_bytes -> 2
on_response_body get_buffer_status -> 0 6 0



=== TEST 21: the response's chunks are prepended to, appended to, cut and replaced
--- script
on_response_body@1 set_buffer_bytes 1 0 0 "<"
on_response_body@2 set_buffer_bytes 1 -1 0 ">"
on_response_body@3 set_buffer_bytes 1 1 3 "-"
on_response_body@4 set_buffer_bytes 1 0 -1 ""
on_response_body@5 set_buffer_bytes 1 0 5 "all new"
on_response_body@end set_buffer_bytes 1 0 0 " END"
--- location
content_by_lua_block { for i = 1, 5 do ngx.print("chunk") ngx.flush(true) end }
--- response_body: <chunkchunk>c-kall new END
--- log
on_response_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0



=== TEST 22: a pause keeps the response's chunks, body_size is their total, and all go out at the end
--- script
on_response_body args
on_response_body@more return pause
on_response_body@end get_buffer_bytes 1 0 100
on_response_body@end set_buffer_bytes 1 0 3 "ONE, "
--- location
content_by_lua_block { for _, c in ipairs { "one", "two", "three" } do ngx.print(c) ngx.flush(true) end }
--- response_body: ONE, twothree
--- log
on_response_body args: 2 3 0
on_response_body args: 2 6 0
on_response_body args: 2 11 0
on_response_body args: 2 11 1
on_response_body get_buffer_bytes -> 0 "onetwothree"
on_response_body set_buffer_bytes -> 0



=== TEST 23: chunks that were kept go out when the plugin goes on, and are not shown again
--- script
on_response_body args
on_response_body@1 return pause
on_response_body get_buffer_bytes 1 0 100
--- location
content_by_lua_block { for _, c in ipairs { "one", "two", "three" } do ngx.print(c) ngx.flush(true) end }
--- response_body: onetwothree
--- log
on_response_body args: 2 3 0
on_response_body get_buffer_bytes -> 0 "one"
on_response_body args: 2 6 0
on_response_body get_buffer_bytes -> 0 "onetwo"
on_response_body args: 2 5 0
on_response_body get_buffer_bytes -> 0 "three"
on_response_body args: 2 0 1
on_response_body get_buffer_bytes -> 0 null



=== TEST 24: continue_stream takes back the pause of the same callback
--- script
on_response_body args
on_response_body@1 continue_stream 1
on_response_body@1 return pause
--- location
content_by_lua_block { for _, c in ipairs { "one", "two" } do ngx.print(c) ngx.flush(true) end }
--- response_body: onetwo
--- log
on_response_body args: 2 3 0
on_response_body continue_stream -> 0
on_response_body args: 2 3 0
on_response_body args: 2 0 1



=== TEST 25: a change made to chunks that are kept is kept with them
--- script
on_response_body@1 set_buffer_bytes 1 0 0 "new "
on_response_body@more return pause
on_response_body@end get_buffer_bytes 1 0 100
--- location
content_by_lua_block { for _, c in ipairs { "one", "two" } do ngx.print(c) ngx.flush(true) end }
--- response_body: new onetwo
--- log
on_response_body set_buffer_bytes -> 0
on_response_body get_buffer_bytes -> 0 "new onetwo"



=== TEST 26: a pause at the end of the response is released with all that was kept, and with a warning
--- script
on_response_body return pause
--- response_body
hello
--- error_log
proxy_on_response_body paused at the end of the body, where a response cannot be held, it goes on



=== TEST 27: an upstream's response that grows goes out whole, without its old Content-Length
--- script
on_response_body@end set_buffer_bytes 1 -1 0 " and more"
--- upstream
ngx.header.content_length = 5
ngx.print("hello")
--- response_headers
! Content-Length
Transfer-Encoding: chunked
--- response_body: hello and more
--- log
on_response_body set_buffer_bytes -> 0



=== TEST 28: so does one that shrinks
--- script
on_response_body@more return pause
on_response_body@end set_buffer_bytes 1 0 -1 "hi"
--- upstream
ngx.header.content_length = 10000
ngx.print(("0123456789"):rep(1000))
--- response_headers
! Content-Length
--- response_body: hi
--- log
on_response_body set_buffer_bytes -> 0



=== TEST 29: a client of HTTP/1.0 gets a changed response whole
--- script
on_response_body@end set_buffer_bytes 1 -1 0 "and more"
--- upstream
ngx.header.content_length = 6
ngx.print("hello\n")
--- raw_request eval
"GET /t HTTP/1.0\r\n\r\n"
--- response_headers
! Content-Length
! Transfer-Encoding
--- response_body chop
hello
and more
--- log
on_response_body set_buffer_bytes -> 0



=== TEST 30: the response to HEAD keeps its Content-Length
--- script
on_response_headers get_header_map_value 2 content-length
--- request
HEAD /t
--- upstream
ngx.header.content_length = 6
ngx.print("hello\n")
--- response_headers
Content-Length: 6
--- log
on_response_headers get_header_map_value -> 0 "6"



=== TEST 31: a plugin that cannot change bodies leaves the Content-Length
--- http
init_worker_by_lua_block { chain = assert(wasm.chain{ { path = wat .. "add-header.wat" } }) }
--- config
location /t {
    header_filter_by_lua_block { chain:header_filter() }
    body_filter_by_lua_block { return chain:body_filter() }
    proxy_pass http://127.0.0.1:$server_port/upstream;
}
location /upstream { return 200 "hello\n"; }
--- response_headers
hello: world
Content-Length: 6
--- response_body
hello



=== TEST 32: plugins see the response's body in reverse order, each what the one before it made
--- script
on_response_body@more get_buffer_bytes 1 0 100
on_response_body@more set_buffer_bytes 1 0 0 "first "
--- second
{ path = guests .. "script.wasm", name = "second", conf = [[
on_response_body@more set_buffer_bytes 1 0 0 "second "]] },
--- response_body
first second hello
--- log
second: on_response_body set_buffer_bytes -> 0
on_response_body get_buffer_bytes -> 0 "second hello\x0a"
on_response_body set_buffer_bytes -> 0



=== TEST 33: what the last plugin keeps the first does not see before the end
--- script
on_response_body args
--- second
{ path = guests .. "script.wasm", name = "second", conf = "on_response_body@more return pause" },
--- location
content_by_lua_block { for _, c in ipairs { "one", "two" } do ngx.print(c) ngx.flush(true) end }
--- response_body: onetwo
--- log
on_response_body args: 2 6 1



=== TEST 34: a large response in many chunks goes through unharmed
--- script
on_response_body@end log info end
--- upstream
for i = 1, 200 do
    ngx.print(("%05d"):format(i):rep(2000))
end
--- response_body eval
CORE::join "", map { sprintf("%05d", $_) x 2000 } 1 .. 200
--- log
end



=== TEST 35: a large response that is kept and changed is whole
--- script
on_response_body@more return pause
on_response_body@end set_buffer_bytes 1 0 5 "first"
on_response_body@end set_buffer_bytes 1 -1 0 "last"
on_response_body@end get_buffer_status 1
--- upstream
for i = 1, 200 do
    ngx.print(("%05d"):format(i):rep(2000))
end
--- response_body eval
"first" . substr(CORE::join("", map { sprintf("%05d", $_) x 2000 } 1 .. 200), 5) . "last"
--- log
on_response_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0
on_response_body get_buffer_status -> 0 2000004 0



=== TEST 36: a guest of 0.1.0 changes bodies too
--- guest: script-0-1-0.wasm
--- script
on_request_body set_buffer_bytes 0 0 -1 new
on_response_body set_buffer_bytes 1 0 0 "."
--- request
POST /t
old
--- upstream
ngx.req.read_body()
ngx.print(ngx.req.get_body_data())
--- response_body: .new.
--- log
on_request_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0
on_response_body set_buffer_bytes -> 0



=== TEST 37: Higress's pause without buffering drops each chunk that the plugin has taken
--- guest: script-0-2-100.wasm
--- script
on_response_body args
on_response_body@1 return 3
on_response_body@2 return 1
on_response_body@end set_buffer_bytes 1 -1 0 " end"
--- location
content_by_lua_block { for _, c in ipairs { "one", "two", "three" } do ngx.print(c) ngx.flush(true) end }
--- response_body: twothree end
--- log
on_response_body args: 2 3 0
on_response_body args: 2 3 0
on_response_body args: 2 8 0
on_response_body args: 2 0 1
on_response_body set_buffer_bytes -> 0



=== TEST 38: pointers outside memory are an InvalidMemoryAccess, and nothing changes
--- script
on_request_body raw set_buffer_bytes 0 0 0 %memory 1
on_request_body raw set_buffer_bytes 0 0 0 %scratch -1
on_request_body raw get_buffer_bytes 0 0 3 %scratch %memory
on_request_body raw get_buffer_bytes 0 0 3 -3 %scratch
on_request_body raw get_buffer_status 0 %memory %scratch
on_request_body raw get_buffer_status 0 %scratch %memory
on_request_body get_buffer_bytes 0 0 10
on_request_body allocations
--- request
POST /t
abc
--- log
on_request_body raw set_buffer_bytes -> 6
on_request_body raw set_buffer_bytes -> 6
on_request_body raw get_buffer_bytes -> 6
on_request_body raw get_buffer_bytes -> 6
on_request_body raw get_buffer_status -> 6
on_request_body raw get_buffer_status -> 6
on_request_body get_buffer_bytes -> 0 "abc"
on_request_body allocations -> 0



=== TEST 39: a file that nginx would send by itself is shown and changed like any other response
--- script
on_response_body get_buffer_bytes 1 0 5
on_response_body@end set_buffer_bytes 1 -1 0 " and more"
--- user_files
>>> t/file.txt
from a file
--- request
GET /t/file.txt
--- location
root html; sendfile on;
--- response_headers
! Content-Length
--- response_body chop
from a file
 and more
--- log
on_response_body get_buffer_bytes -> 0 "from "
on_response_body set_buffer_bytes -> 0



=== TEST 40: a redirection that nginx makes passes with its page changed
--- script
on_response_body@more return pause
on_response_body@end set_buffer_bytes 1 0 -1 "elsewhere"
--- location
content_by_lua_block { return ngx.redirect("/other") }
--- error_code: 302
--- response_body: elsewhere
--- log
on_response_body set_buffer_bytes -> 0

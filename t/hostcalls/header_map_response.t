use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a value is found whatever the case of its name, and of several it is the first
--- script
on_response_headers get_header_map_value 2 x-one
on_response_headers get_header_map_value 2 X-ONE
on_response_headers get_header_map_value 2 x-two
on_response_headers get_header_map_value 2 Content-Type
on_response_headers get_header_map_value 2 :status
on_response_headers get_header_map_value 2 :STATUS
--- location
content_by_lua_block {
    ngx.status = 201
    ngx.header["X-One"] = "a b"
    ngx.header["X-Two"] = { "1", "2" }
    ngx.print("hello\n")
}
--- error_code: 201
--- log
on_response_headers get_header_map_value -> 0 "a b"
on_response_headers get_header_map_value -> 0 "a b"
on_response_headers get_header_map_value -> 0 "1"
on_response_headers get_header_map_value -> 0 "text/plain"
on_response_headers get_header_map_value -> 0 "201"
on_response_headers get_header_map_value -> 0 "201"



=== TEST 2: a header that is not there is NotFound
--- script
on_response_headers get_header_map_value 2 x-none
on_response_headers get_header_map_value 2 ""
on_response_headers get_header_map_value 2 :path
on_response_headers get_header_map_value 2 location
on_response_headers get_header_map_value 3 x-none
--- log
on_response_headers get_header_map_value -> 1
on_response_headers get_header_map_value -> 1
on_response_headers get_header_map_value -> 1
on_response_headers get_header_map_value -> 1
on_response_headers get_header_map_value -> 1



=== TEST 3: to a guest of 0.1.0 a header that is not there is empty
--- guest: script-0-1-0.wasm
--- script
on_response_headers get_header_map_value 2 x-none
on_response_headers get_header_map_value 2 :status
on_response_headers replace_header_map_value 2 x-a b
--- response_headers
x-a: b
--- log
on_response_headers get_header_map_value -> 0 null
on_response_headers get_header_map_value -> 0 "200"
on_response_headers replace_header_map_value -> 0



=== TEST 4: the pairs are the status and all headers, lower case, repeated ones each
--- script
on_response_headers get_header_map_pairs 2
--- upstream
ngx.header["X-One"] = "a b"
ngx.header["Set-Cookie"] = { "a=1", "b=2" }
ngx.status = 404
ngx.print("none")
--- error_code: 404
--- log eval
my $each = CORE::join "", map "(?=.*; \Q$_\E(?:;|\$))", "x-one=a b", "set-cookie=a=1", "content-type=text/plain";
qr/\Aon_response_headers get_header_map_pairs -> 0 :status=404$each.*set-cookie=a=1; set-cookie=b=2/



=== TEST 5: the size is that of the serialized pairs
--- script
on_response_headers set_header_map_pairs 2 (x-a=bc)
on_response_headers remove_header_map_value 2 connection
on_response_headers each_header 2
on_response_headers get_header_map_size 2
on_response_headers add_header_map_value 2 x-a d
on_response_headers get_header_map_size 2
--- log_of: -> |x-a
--- log eval
qr/\Aon_response_headers set_header_map_pairs -> 0
on_response_headers remove_header_map_value -> 0
on_response_headers header x-a=bc
on_response_headers get_header_map_size -> 0 (\d+)
on_response_headers add_header_map_value -> 0
on_response_headers get_header_map_size -> 0 (??{ $1 + 14 })
\z/



=== TEST 6: the callback gets the number of headers with the status, and whether a body follows
--- script
on_response_headers args
on_response_headers as size get_header_map_size 2
on_response_headers set_header_map_pairs 2 ()
on_response_headers as size get_header_map_size 2
--- location
content_by_lua_block { ngx.header.x_a = 1 ngx.header.content_length = 6 ngx.print("hello\n") }
--- log eval
qr/\Aon_response_headers args: 2 [56] 0\n/



=== TEST 7: end_of_stream is 1 for a response without a body: HEAD
--- script
on_response_headers args
--- request
HEAD /t
--- log eval
qr/\Aon_response_headers args: 2 \d 1\n\z/



=== TEST 8: end_of_stream is 1 for a response without a body: 204
--- script
on_response_headers args
--- location
content_by_lua_block { ngx.status = 204 ngx.send_headers() }
--- error_code: 204
--- log eval
qr/\Aon_response_headers args: 2 \d 1\n\z/



=== TEST 9: end_of_stream is 1 for a response without a body: Content-Length 0
--- script
on_response_headers args
--- location
content_by_lua_block { ngx.header.content_length = 0 ngx.send_headers() }
--- log eval
qr/\Aon_response_headers args: 2 \d 1\n\z/



=== TEST 10: an added header reaches the client beside those of its name
--- script
on_response_headers add_header_map_value 2 X-New one
on_response_headers add_header_map_value 2 x-old 2
on_response_headers add_header_map_value 2 set-cookie b=2
on_response_headers get_header_map_value 2 x-old
on_response_headers each_header 2
--- upstream
ngx.header["X-Old"] = 1
ngx.header["Set-Cookie"] = "a=1"
ngx.say("hi")
--- raw_response_headers_like eval
qr/^X-Old: 1\r\n(?:.*\r\n)*x-old: 2\r\n/im
--- response_headers
X-New: one
Set-Cookie: a=1, b=2
--- log_of: -> |x-old|x-new|set-cookie
--- log eval
qr/(?:.* -> 0\n){3}.* -> 0 "1"\n(?=(?:.*\n)*.*header x-new=one)(?=(?:.*\n)*.*header x-old=1\n(?:.*\n)*.*header x-old=2\n)(?:.*\n)*.*header set-cookie=a=1\n(?:.*\n)*.*header set-cookie=b=2\n/



=== TEST 11: a replaced header is the only one of its name, and is added where there was none
--- script
on_response_headers replace_header_map_value 2 x-old new
on_response_headers replace_header_map_value 2 X-New 1
on_response_headers replace_header_map_value 2 x-empty ""
on_response_headers get_header_map_value 2 x-old
on_response_headers each_header 2
--- upstream
ngx.header["X-Old"] = { "1", "2" }
ngx.header["X-Empty"] = "full"
ngx.say("hi")
--- response_headers
X-Old: new
X-New: 1
--- raw_response_headers_unlike: full
--- log_of: -> |x-old|x-new|full
--- log eval
qr/\A(?:.* -> 0\n){3}.* -> 0 "new"\n(?:.*header x-old=new\n.*header x-new=1\n|.*header x-new=1\n.*header x-old=new\n)\z/



=== TEST 12: a removed header does not reach the client, and there need be none
--- script
on_response_headers remove_header_map_value 2 X-OLD
on_response_headers remove_header_map_value 2 x-none
on_response_headers get_header_map_value 2 x-old
on_response_headers each_header 2
--- upstream
ngx.header["X-Old"] = { "1", "2" }
ngx.header["X-Kept"] = "3"
ngx.say("hi")
--- response_headers
! X-Old
X-Kept: 3
--- log_of: -> |x-old|x-kept
--- log
on_response_headers remove_header_map_value -> 0
on_response_headers remove_header_map_value -> 0
on_response_headers get_header_map_value -> 1
on_response_headers header x-kept=3



=== TEST 13: headers that nginx keeps a place for can be set and removed too
--- script
on_response_headers replace_header_map_value 2 content-type text/html
on_response_headers replace_header_map_value 2 server plugin
on_response_headers replace_header_map_value 2 etag "\"a\""
on_response_headers replace_header_map_value 2 location /other
on_response_headers replace_header_map_value 2 cache-control no-store
on_response_headers add_header_map_value 2 cache-control private
on_response_headers remove_header_map_value 2 last-modified
on_response_headers remove_header_map_value 2 content-encoding
on_response_headers get_header_map_value 2 content-type
on_response_headers get_header_map_value 2 server
on_response_headers get_header_map_value 2 last-modified
--- upstream
ngx.header["Last-Modified"] = "Wed, 21 Oct 2015 07:28:00 GMT"
ngx.header["Content-Encoding"] = "x"
ngx.header["Cache-Control"] = "max-age=1"
ngx.say("hi")
--- response_headers
Content-Type: text/html
Server: plugin
ETag: "a"
Location: /other
Cache-Control: no-store, private
! Last-Modified
! Content-Encoding
--- log
on_response_headers replace_header_map_value -> 0
on_response_headers replace_header_map_value -> 0
on_response_headers replace_header_map_value -> 0
on_response_headers replace_header_map_value -> 0
on_response_headers replace_header_map_value -> 0
on_response_headers add_header_map_value -> 0
on_response_headers remove_header_map_value -> 0
on_response_headers remove_header_map_value -> 0
on_response_headers get_header_map_value -> 0 "text/html"
on_response_headers get_header_map_value -> 0 "plugin"
on_response_headers get_header_map_value -> 1



=== TEST 14: set pairs replace all headers
--- script
on_response_headers set_header_map_pairs 2 (X-New=1 x-kept=new x-two=a x-two=b content-type=text/html)
on_response_headers get_header_map_value 2 x-old
on_response_headers get_header_map_value 2 :status
--- upstream
ngx.status = 202
ngx.header["X-Old"] = { "1", "2" }
ngx.header["X-Kept"] = { "old", "older" }
ngx.header["X-Two"] = "z"
ngx.say("hi")
--- error_code: 202
--- response_headers
! X-Old
X-New: 1
X-Kept: new
X-Two: a, b
Content-Type: text/html
--- response_body
hi
--- log
on_response_headers set_header_map_pairs -> 0
on_response_headers get_header_map_value -> 1
on_response_headers get_header_map_value -> 0 "202"



=== TEST 15: set pairs can set the status
--- script
on_response_headers set_header_map_pairs 2 (:status=418 x-a=1)
on_response_headers get_header_map_value 2 :status
--- error_code: 418
--- response_headers
x-a: 1
--- response_body
hello
--- log
on_response_headers set_header_map_pairs -> 0
on_response_headers get_header_map_value -> 0 "418"



=== TEST 16: no headers at all can be set
--- script
on_response_headers set_header_map_pairs 2 ()
on_response_headers get_header_map_value 2 x-old
--- upstream
ngx.header["X-Old"] = 1
ngx.say("hi")
--- response_headers
! X-Old
--- response_body
hi
--- log
on_response_headers set_header_map_pairs -> 0
on_response_headers get_header_map_value -> 1



=== TEST 17: a new :status reaches the client
--- script
on_response_headers replace_header_map_value 2 :status 503
on_response_headers get_header_map_value 2 :status
on_log get_header_map_value 2 :status
--- upstream
ngx.say("hi")
--- error_code: 503
--- response_body
hi
--- log
on_response_headers replace_header_map_value -> 0
on_response_headers get_header_map_value -> 0 "503"
on_log get_header_map_value -> 0 "503"



=== TEST 18: the last :status counts, however it is written
--- script
on_response_headers add_header_map_value 2 :status 403
on_response_headers replace_header_map_value 2 :Status 404
on_response_headers remove_header_map_value 2 :status
--- error_code: 404
--- log
on_response_headers add_header_map_value -> 0
on_response_headers replace_header_map_value -> 0
on_response_headers remove_header_map_value -> 0



=== TEST 19: a :status that is none is refused and changes nothing
--- script
on_response_headers replace_header_map_value 2 :status 99
on_response_headers replace_header_map_value 2 :status 100
on_response_headers replace_header_map_value 2 :status 101
on_response_headers replace_header_map_value 2 :status 1000
on_response_headers replace_header_map_value 2 :status ""
on_response_headers replace_header_map_value 2 :status abc
on_response_headers replace_header_map_value 2 :status -20
on_response_headers replace_header_map_value 2 :status +20
on_response_headers replace_header_map_value 2 :status "20 "
on_response_headers replace_header_map_value 2 :status "200\r\nx-evil: 1"
on_response_headers add_header_map_value 2 :path /x
--- response_headers
! x-evil
--- log
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers add_header_map_value -> 2



=== TEST 20: nothing that could split the response gets into it
--- script
on_response_headers add_header_map_value 2 x-a "b\r\nx-evil: 1"
on_response_headers add_header_map_value 2 x-a "b\nx-evil: 1"
on_response_headers add_header_map_value 2 x-a "b\rx-evil: 1"
on_response_headers add_header_map_value 2 x-a "b\0c"
on_response_headers add_header_map_value 2 "x-a: b\r\nx-evil" 1
on_response_headers add_header_map_value 2 "x a" 1
on_response_headers add_header_map_value 2 "" 1
on_response_headers replace_header_map_value 2 location "/\r\nx-evil: 1"
on_response_headers replace_header_map_value 2 content-type "text/html\r\nx-evil: 1"
on_response_headers set_header_map_pairs 2 (x-fine=1 x-a="b\r\nx-evil: 1")
on_response_headers set_header_map_pairs 2 (x-fine=1 "x-a\r\n=b")
--- response_headers
! x-a
! x-evil
! x-fine
! Location
Content-Type: text/plain
--- log
on_response_headers add_header_map_value -> 2
on_response_headers add_header_map_value -> 2
on_response_headers add_header_map_value -> 2
on_response_headers add_header_map_value -> 2
on_response_headers add_header_map_value -> 2
on_response_headers add_header_map_value -> 2
on_response_headers add_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers replace_header_map_value -> 2
on_response_headers set_header_map_pairs -> 2
on_response_headers set_header_map_pairs -> 2



=== TEST 21: a plugin cannot change how the response is framed
--- script
on_response_headers add_header_map_value 2 transfer-encoding gzip
on_response_headers replace_header_map_value 2 Connection upgrade
on_response_headers remove_header_map_value 2 transfer-encoding
on_response_headers replace_header_map_value 2 content-length 3
on_response_headers get_header_map_value 2 content-length
--- response_headers
Transfer-Encoding: chunked
Connection: close
--- response_body
hello
--- log
on_response_headers add_header_map_value -> 0
on_response_headers replace_header_map_value -> 0
on_response_headers remove_header_map_value -> 0
on_response_headers replace_header_map_value -> 0
on_response_headers get_header_map_value -> 1



=== TEST 22: response headers set while the request is looked at are on the response
--- script
on_request_headers add_header_map_value 2 x-early 1
on_request_headers get_header_map_value 2 x-early
on_request_headers get_header_map_value 2 :status
on_response_headers get_header_map_value 2 x-early
--- location
proxy_pass http://127.0.0.1:$server_port/upstream;
--- config
location /upstream { return 200 "hi\n"; }
--- response_headers
x-early: 1
--- response_body
hi
--- log
on_request_headers add_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "1"
on_request_headers get_header_map_value -> 1
on_response_headers get_header_map_value -> 0 "1"



=== TEST 23: response headers can be read until the end, and not be changed once they are sent
--- script
on_response_body@end get_header_map_value 2 x-a
on_response_body@end get_header_map_value 2 :status
on_response_body@end add_header_map_value 2 x-late 1
on_response_body@end replace_header_map_value 2 :status 500
on_response_body@end remove_header_map_value 2 x-a
on_response_body@end set_header_map_pairs 2 (x-late=1)
on_log get_header_map_value 2 x-a
on_log get_header_map_value 2 :status
on_log get_header_map_pairs 2
on_log add_header_map_value 2 x-late 1
on_delete get_header_map_value 2 x-a
--- location
header_filter_by_lua_block { ngx.header["X-A"] = 1 chain:header_filter() }
--- response_headers
x-a: 1
! x-late
--- log eval
qr/\Aon_response_body get_header_map_value -> 0 "1"
on_response_body get_header_map_value -> 0 "200"
on_response_body add_header_map_value -> 2
on_response_body replace_header_map_value -> 2
on_response_body remove_header_map_value -> 2
on_response_body set_header_map_pairs -> 2
on_log get_header_map_value -> 0 "1"
on_log get_header_map_value -> 0 "200"
on_log get_header_map_pairs -> 0 :status=200; .*x-a=1.*
on_log add_header_map_value -> 2
on_delete get_header_map_value -> 0 "1"
\z/



=== TEST 24: outside a request there are no headers
--- script
on_configure get_header_map_value 2 :status
on_configure get_header_map_size 2
on_configure get_header_map_pairs 2
on_configure add_header_map_value 2 x-a b
on_configure replace_header_map_value 2 :status 200
on_configure remove_header_map_value 2 x-a
on_configure set_header_map_pairs 2 (x-a=b)
--- log
on_configure get_header_map_value -> 1
on_configure get_header_map_size -> 0 0
on_configure get_header_map_pairs -> 0 null
on_configure add_header_map_value -> 2
on_configure replace_header_map_value -> 2
on_configure remove_header_map_value -> 2
on_configure set_header_map_pairs -> 2



=== TEST 25: plugins see the response in reverse order, each what the one before it changed
--- script
on_response_headers get_header_map_value 2 x-a
on_response_headers get_header_map_value 2 :status
on_response_headers each_header 2
on_response_headers add_header_map_value 2 x-a 2
--- second
{ path = guests .. "script.wasm", name = "second", conf = [[
on_response_headers replace_header_map_value 2 x-a 1
on_response_headers replace_header_map_value 2 :status 202]] },
--- error_code: 202
--- response_headers
x-a: 1, 2
--- log_of: -> |x-a
--- log
second: on_response_headers replace_header_map_value -> 0
second: on_response_headers replace_header_map_value -> 0
on_response_headers get_header_map_value -> 0 "1"
on_response_headers get_header_map_value -> 0 "202"
on_response_headers header x-a=1
on_response_headers add_header_map_value -> 0



=== TEST 26: one of many headers is found
--- script
on_response_headers get_header_map_value 2 x-150
on_response_headers each_header 2
on_response_headers remove_header_map_value 2 x-149
--- upstream
for i = 1, 150 do
    ngx.header["X-" .. i] = i
end
ngx.say("hi")
--- location
proxy_buffer_size 16k; proxy_buffers 8 16k;
--- response_headers
x-150: 150
! x-149
--- log_of: -> |x-150|x-7=
--- log eval
qr/\A.* -> 0 "150"\n(?=(?:.*\n)*.*header x-150=150\n).*\n(?:.*\n)*.*remove_header_map_value -> 0\n\z/



=== TEST 27: of a header with more than a hundred values all are told
--- script
on_response_headers each_header 2
on_response_headers add_header_map_value 2 x-many new
on_response_headers each_header 2
--- location
content_by_lua_block {
    local values = {}
    for i = 1, 120 do
        values[i] = "v" .. i
    end
    ngx.header["X-Many"] = values
    ngx.print("hello\n")
}
--- log_of: x-many=(v120|new)
--- log
on_response_headers header x-many=v120
on_response_headers header x-many=v120
on_response_headers header x-many=new



=== TEST 28: pointers outside memory are an InvalidMemoryAccess, and nothing changes
--- script
on_response_headers raw get_header_map_value 2 0xfffffffe 4 %scratch %scratch+4
on_response_headers raw get_header_map_value 2 %scratch 4 %memory %scratch+4
on_response_headers raw get_header_map_pairs 2 %scratch 0xfffffffd
on_response_headers raw get_header_map_size 2 %memory
on_response_headers raw add_header_map_value 2 %scratch 4 %memory 1
on_response_headers raw replace_header_map_value 2 %memory 1 %scratch 4
on_response_headers raw remove_header_map_value 2 %memory 1
on_response_headers raw set_header_map_pairs 2 %memory 4
--- log
on_response_headers raw get_header_map_value -> 6
on_response_headers raw get_header_map_value -> 6
on_response_headers raw get_header_map_pairs -> 6
on_response_headers raw get_header_map_size -> 6
on_response_headers raw add_header_map_value -> 6
on_response_headers raw replace_header_map_value -> 6
on_response_headers raw remove_header_map_value -> 6
on_response_headers raw set_header_map_pairs -> 6

use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a response from the request's headers ends the request with its status, headers and body
--- script
on_request_headers send_local_response 403 denied "no\n" (x-reason=why content-type=text/html)
--- upstream
ngx.log(ngx.ERR, "upstream was asked")
--- error_code: 403
--- response_headers
X-Reason: why
Content-Type: text/html
--- response_body
no
--- log
on_request_headers send_local_response -> 0



=== TEST 2: without headers the response is plain text of the right length
--- script
on_request_headers send_local_response 200 "" "hi"
--- location
header_filter_by_lua_block { return }
--- response_headers
Content-Type: text/plain
Content-Length: 2
--- response_body: hi
--- log
on_request_headers send_local_response -> 0



=== TEST 3: without a body nginx sends its own page for an error
--- script
on_request_headers send_local_response 404 "" "" (x-a=1)
--- error_code: 404
--- response_headers
x-a: 1
--- response_body_like: 404 Not Found
--- log
on_request_headers send_local_response -> 0



=== TEST 4: without a body a success has none
--- script
on_request_headers send_local_response 200 "" "" (x-a=1)
--- upstream
ngx.log(ngx.ERR, "upstream was asked")
--- error_code: 200
--- response_headers
x-a: 1
--- response_body:
--- log
on_request_headers send_local_response -> 0



=== TEST 5: 204 has no body
--- script
on_request_headers send_local_response 204 "" "" (x-a=1)
--- upstream
ngx.log(ngx.ERR, "upstream was asked")
--- error_code: 204
--- response_headers
x-a: 1
--- response_body:
--- log
on_request_headers send_local_response -> 0



=== TEST 6: a redirection keeps its Location
--- script
on_request_headers send_local_response 302 "" "" (Location=https://other.example/?a=b)
--- error_code: 302
--- response_headers
Location: https://other.example/?a=b
--- log
on_request_headers send_local_response -> 0



=== TEST 7: a redirection with a body keeps both
--- script
on_request_headers send_local_response 307 "" "gone there" (location=/other)
--- error_code: 307
--- raw_response_headers_like eval
qr{^Location: (?:http://localhost(?::\d+)?)?/other\r\n}im
--- response_body: gone there
--- log
on_request_headers send_local_response -> 0



=== TEST 8: repeated headers are all sent, in order, whatever their case
--- script
on_request_headers send_local_response 200 "" "x" (Set-Cookie=a=1 x-a=1 set-cookie=b=2 X-A=2 SET-COOKIE=c=3 cache-control=no-store Cache-Control=private)
--- raw_response_headers_like eval
qr/(?=.*^set-cookie: a=1\r\n.*^set-cookie: b=2\r\n.*^set-cookie: c=3\r\n)(?=.*^x-a: 1\r\n.*^x-a: 2\r\n)(?=.*^cache-control: no-store\r\n.*^cache-control: private\r\n)/ims
--- response_body: x
--- log
on_request_headers send_local_response -> 0



=== TEST 9: the body's length is its own, whatever the plugin says
--- script
on_request_headers send_local_response 200 "" "hello" (content-length=2 Transfer-Encoding=gzip)
--- location
header_filter_by_lua_block { return }
--- response_headers
Content-Length: 5
! Transfer-Encoding
--- response_body: hello
--- log
on_request_headers send_local_response -> 0



=== TEST 10: a body may hold any bytes
--- script
on_request_headers send_local_response 200 "" "a\0b\r\n\xff"
--- response_body eval
"a\0b\r\n\xff"
--- log
on_request_headers send_local_response -> 0



=== TEST 11: a status that nginx has no name for is sent
--- script
on_request_headers send_local_response 599 "" "x"
--- error_code: 599
--- response_body: x
--- log
on_request_headers send_local_response -> 0



=== TEST 12: what is no status is sent as 500, with an error
--- script
on_request_headers send_local_response 1000 "" "x"
--- error_code: 500
--- response_body: x
--- error_log
proxy_send_local_response: 1000 is no status of a response, 500 is sent
--- no_error_log
[crit]
[alert]



=== TEST 13: neither is one below 100
--- script
on_request_headers send_local_response 99 "" "x"
--- error_code: 500
--- response_body: x
--- error_log
proxy_send_local_response: 99 is no status of a response, 500 is sent
--- no_error_log
[crit]
[alert]



=== TEST 14: a header that could split the response is left out, with an error, and the rest is sent
--- script
on_request_headers send_local_response 401 "" "x" (x-a=1 x-b="2\r\nx-evil: 1" "x-c: 3\r\nx-evil=1" x-d="4\n" x-e="5\0" =6 "x f=7" x-g=8)
--- error_code: 401
--- response_headers
x-a: 1
! x-b
! x-c
! x-d
! x-e
! x-evil
x-g: 8
--- response_body: x
--- log
proxy_send_local_response: header "x-b" is malformed and left out
proxy_send_local_response: header "x-c: 3\r\nx-evil" is malformed and left out
proxy_send_local_response: header "x-d" is malformed and left out
proxy_send_local_response: header "x-e" is malformed and left out
proxy_send_local_response: header "" is malformed and left out
proxy_send_local_response: header "x f" is malformed and left out
on_request_headers send_local_response -> 0
--- no_error_log
[crit]
[alert]



=== TEST 15: pseudo-headers are not sent
--- script
on_request_headers send_local_response 202 "" "x" (:status=500 :path=/x x-a=1)
--- error_code: 202
--- raw_response_headers_unlike: ^:
--- response_headers
x-a: 1
--- response_body: x
--- log
on_request_headers send_local_response -> 0



=== TEST 16: the rest of the callback runs, and the plugins behind do not
--- script
on_request_headers send_local_response 403 "" "no"
on_request_headers log info after
--- second
{ path = guests .. "script.wasm", name = "second", conf = "on_request_headers log info reached" },
--- error_code: 403
--- response_body: no
--- log
on_request_headers send_local_response -> 0
after



=== TEST 17: a local response is final whether the callback pauses or continues
--- script
on_request_headers send_local_response 403 "" "no"
on_request_headers return pause
--- request
POST /t
abc
--- error_code: 403
--- response_body: no
--- log
on_request_headers send_local_response -> 0



=== TEST 18: a response from the request's body ends the request
--- script
on_request_body get_buffer_bytes 0 0 10
on_request_body send_local_response 413 "" "too much" (x-a=1)
--- request
POST /t
abc
--- upstream
ngx.log(ngx.ERR, "upstream was asked")
--- error_code: 413
--- response_headers
x-a: 1
--- response_body: too much
--- log
on_request_body get_buffer_bytes -> 0 "abc"
on_request_body send_local_response -> 0



=== TEST 19: HEAD gets the status and the headers
--- script
on_request_headers send_local_response 403 "" "no" (x-a=1)
--- request
HEAD /t
--- error_code: 403
--- response_headers
x-a: 1
Content-Length: 2
--- log
on_request_headers send_local_response -> 0



=== TEST 20: a response from the response's headers takes the place of upstream's
--- script
on_response_headers send_local_response 502 replaced "new body" (x-new=1)
--- upstream
ngx.status = 201
ngx.header["X-Old"] = 1
ngx.header["Set-Cookie"] = "old=1"
ngx.header["Content-Length"] = 100000
ngx.header["Content-Encoding"] = "x"
ngx.header["ETag"] = '"old"'
ngx.header["Last-Modified"] = "Wed, 21 Oct 2015 07:28:00 GMT"
ngx.header["Location"] = "/old"
ngx.header["Cache-Control"] = "max-age=100"
ngx.header["Content-Type"] = "text/html"
ngx.print(("old body"):rep(12500))
--- error_code: 502
--- response_headers
x-new: 1
! x-old
! Set-Cookie
! Content-Encoding
! ETag
! Last-Modified
! Location
! Cache-Control
Content-Type: text/plain
--- response_body: new body
--- log
on_response_headers send_local_response -> 0



=== TEST 21: so does one without a body
--- script
on_response_headers send_local_response 410 "" "" (x-new=1)
--- upstream
ngx.header["X-Old"] = 1
ngx.print(("old body"):rep(12500))
--- error_code: 410
--- response_headers
x-new: 1
! x-old
--- response_body:
--- log
on_response_headers send_local_response -> 0



=== TEST 22: so does one of a response that had no body
--- script
on_response_headers send_local_response 503 "" "new body"
--- upstream
ngx.status = 204
ngx.send_headers()
--- error_code: 503
--- response_body: new body
--- log
on_response_headers send_local_response -> 0



=== TEST 23: a response from the response's body comes too late: it is dropped, with an error
--- script
on_response_body@1 send_local_response 500 "" "too late" (x-a=1)
--- response_headers
! x-a
--- response_body
hello
--- log
proxy_send_local_response: dropped, there is no request or its response has been sent
on_response_body send_local_response -> 0
--- no_error_log
[crit]
[alert]



=== TEST 24: so does one from the log
--- script
on_log send_local_response 500 "" "too late"
--- response_body
hello
--- log
proxy_send_local_response: dropped, there is no request or its response has been sent
on_log send_local_response -> 0
--- no_error_log
[crit]
[alert]



=== TEST 25: outside a request it is dropped, with an error
--- script
on_configure send_local_response 500 "" "nobody"
--- response_body
hello
--- log
proxy_send_local_response: dropped, there is no request or its response has been sent
on_configure send_local_response -> 0
--- no_error_log
[crit]
[alert]



=== TEST 26: a gRPC client gets the gRPC status, as trailers only
--- script
on_request_headers send_local_response 403 "" "no: entry\n" (x-a=1) 7
--- request
POST /t
abc
--- more_headers
Content-Type: application/grpc
--- error_code: 200
--- response_headers
Content-Type: application/grpc
grpc-status: 7
grpc-message: no%3A%20entry%0A
x-a: 1
--- response_body:
--- log
on_request_headers send_local_response -> 0



=== TEST 27: without a gRPC status the one that stands for the HTTP status is sent
--- script
on_request_headers send_local_response 503 "" ""
--- request
POST /t
abc
--- more_headers
Content-Type: application/grpc+proto
--- error_code: 200
--- response_headers
Content-Type: application/grpc
grpc-status: 14
! grpc-message
--- response_body:
--- log
on_request_headers send_local_response -> 0



=== TEST 28: a gRPC status is not for clients that do not speak it
--- script
on_request_headers send_local_response 403 "" "no" () 7
--- error_code: 403
--- response_headers
! grpc-status
--- response_body: no
--- log
on_request_headers send_local_response -> 0



=== TEST 29: an answer from the response's headers is gRPC too
--- script
on_response_headers send_local_response 401 "" "who?"
--- request
POST /t
abc
--- more_headers
Content-Type: application/grpc
--- error_code: 200
--- response_headers
Content-Type: application/grpc
grpc-status: 16
grpc-message: who%3F
--- response_body:
--- log
on_response_headers send_local_response -> 0



=== TEST 30: the plugins see a local response's headers on its way out
--- script
on_request_headers send_local_response 403 details "no" (x-a=1)
on_response_headers get_header_map_value 2 :status
on_response_headers get_header_map_value 2 x-a
on_response_headers add_header_map_value 2 x-b 2
on_log get_header_map_value 2 :status
on_log get_property response.code_details
--- error_code: 403
--- response_headers
x-a: 1
x-b: 2
--- response_body: no
--- log
on_request_headers send_local_response -> 0
on_response_headers get_header_map_value -> 0 "403"
on_response_headers get_header_map_value -> 0 "1"
on_response_headers add_header_map_value -> 0
on_log get_header_map_value -> 0 "403"
on_log get_property -> 0 "details"



=== TEST 31: a local response is never written into a later one on the same connection
--- script
on_request_headers send_local_response 403 "" "no"
--- pipelined_requests eval
[ "POST /t\nabcdef", "GET /other" ]
--- config
location /other { return 200 "other\n"; }
--- error_code eval
[ 403, 200 ]
--- response_body eval
[ "no", "other\n" ]



=== TEST 32: each ABI version can send one
--- guest: script-0-1-0.wasm
--- script
on_request_headers send_local_response 403 "" "no" (x-a=1)
--- error_code: 403
--- response_headers
x-a: 1
--- response_body: no
--- log
on_request_headers send_local_response -> 0



=== TEST 33: pointers outside memory are an InvalidMemoryAccess, and nothing is sent
--- script
on_request_headers raw send_local_response 403 %memory 1 0 0 0 0 -1
on_request_headers raw send_local_response 403 0 0 %memory 1 0 0 -1
on_request_headers raw send_local_response 403 0 0 %scratch -1 0 0 -1
on_request_headers raw send_local_response 403 0 0 0 0 %memory 4 -1
on_request_headers send_local_response 403 "" "no" bytes:"\x01\x00\x00\x00\xff"
--- response_body
hello
--- log
on_request_headers raw send_local_response -> 6
on_request_headers raw send_local_response -> 6
on_request_headers raw send_local_response -> 6
on_request_headers raw send_local_response -> 6
on_request_headers send_local_response -> 6

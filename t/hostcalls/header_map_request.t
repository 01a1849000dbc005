use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a value is found whatever the case of its name, and of several it is the first
--- script
on_request_headers get_header_map_value 0 x-one
on_request_headers get_header_map_value 0 X-ONE
on_request_headers get_header_map_value 0 x-two
on_request_headers get_header_map_value 0 X-Empty
--- more_headers
X-One: a b
x-two: 1
X-Two: 2
X-Empty:
--- log
on_request_headers get_header_map_value -> 0 "a b"
on_request_headers get_header_map_value -> 0 "a b"
on_request_headers get_header_map_value -> 0 "1"
on_request_headers get_header_map_value -> 0 null



=== TEST 2: a header that is not there is NotFound, and an unknown map is a BadArgument
--- script
on_request_headers get_header_map_value 0 x-none
on_request_headers get_header_map_value 0 ""
on_request_headers get_header_map_value 0 :status
on_request_headers get_header_map_value 0 :other
on_request_headers get_header_map_value 8 host
on_request_headers get_header_map_value -1 host
on_request_headers get_header_map_size 8
on_request_headers get_header_map_pairs 8
on_request_headers add_header_map_value 8 x-a b
on_request_headers replace_header_map_value 8 x-a b
on_request_headers remove_header_map_value 8 x-a
on_request_headers set_header_map_pairs 8 (x-a=b)
--- log
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 2
on_request_headers get_header_map_value -> 2
on_request_headers get_header_map_size -> 2
on_request_headers get_header_map_pairs -> 2
on_request_headers add_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers remove_header_map_value -> 2
on_request_headers set_header_map_pairs -> 2



=== TEST 3: to a guest of 0.1.0 a header that is not there is empty
--- guest: script-0-1-0.wasm
--- script
on_request_headers get_header_map_value 0 x-none
on_request_headers get_header_map_value 0 host
on_request_headers get_header_map_value 1 x-none
on_request_headers get_header_map_value 8 host
--- log
on_request_headers get_header_map_value -> 0 null
on_request_headers get_header_map_value -> 0 "localhost"
on_request_headers get_header_map_value -> 0 null
on_request_headers get_header_map_value -> 2



=== TEST 4: a guest of 0.2.0 gets NotFound as one of 0.2.1 does
--- guest: script-0-2-0.wasm
--- script
on_request_headers get_header_map_value 0 x-none
on_request_headers get_header_map_value 0 host
--- log
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 0 "localhost"



=== TEST 5: the pseudo-headers tell the request line
--- script
on_request_headers get_header_map_value 0 :authority
on_request_headers get_header_map_value 0 :method
on_request_headers get_header_map_value 0 :path
on_request_headers get_header_map_value 0 :scheme
on_request_headers get_header_map_value 0 :PATH
--- request
PATCH /t/%20a?b=%20c&d
--- log
on_request_headers get_header_map_value -> 0 "localhost"
on_request_headers get_header_map_value -> 0 "PATCH"
on_request_headers get_header_map_value -> 0 "/t/%20a?b=%20c&d"
on_request_headers get_header_map_value -> 0 "http"
on_request_headers get_header_map_value -> 0 "/t/%20a?b=%20c&d"



=== TEST 6: the pairs are all headers, lower case, in order, pseudo-headers first
--- script
on_request_headers get_header_map_pairs 0
--- more_headers
X-B: 1
x-A: 2
X-b: 3
X-Empty:
--- log
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t; :scheme=http; host=localhost; connection=close; x-b=1; x-a=2; x-b=3; x-empty=



=== TEST 7: the size is that of the serialized pairs
--- script
on_request_headers get_header_map_size 0
on_request_headers add_header_map_value 0 x-a bcd
on_request_headers get_header_map_size 0
--- log
on_request_headers get_header_map_size -> 0 139
on_request_headers add_header_map_value -> 0
on_request_headers get_header_map_size -> 0 155



=== TEST 8: maps that nginx does not have are there and empty
--- script
on_request_headers get_header_map_size 1
on_request_headers get_header_map_pairs 1
on_request_headers get_header_map_value 1 x
on_request_headers get_header_map_size 6
on_request_headers get_header_map_pairs 7
on_request_headers get_header_map_pairs 4
on_request_headers get_header_map_pairs 5
on_request_headers get_header_map_pairs 3
on_request_headers add_header_map_value 1 x y
on_request_headers add_header_map_value 6 x y
--- log
on_request_headers get_header_map_size -> 0 0
on_request_headers get_header_map_pairs -> 0 null
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_size -> 0 0
on_request_headers get_header_map_pairs -> 0 null
on_request_headers get_header_map_pairs -> 0 null
on_request_headers get_header_map_pairs -> 0 null
on_request_headers get_header_map_pairs -> 0 null
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2



=== TEST 9: the callback gets the true number of headers, however many
--- script
on_request_headers args
on_request_headers get_header_map_value 0 x-150
--- more_headers eval
CORE::join "", map "X-$_: $_\n", 1 .. 150
--- log
on_request_headers args: 2 156 1
on_request_headers get_header_map_value -> 0 "150"



=== TEST 10: end_of_stream is 1 where no body follows
--- script
on_request_headers args
--- request
POST /t
--- more_headers
Content-Length: 0
--- log
on_request_headers args: 2 7 1



=== TEST 11: end_of_stream is 0 where a body follows, whatever the method
--- script
on_request_headers args
--- request
GET /t
abc
--- log
on_request_headers args: 2 7 0



=== TEST 12: end_of_stream is 0 where the body comes in chunks
--- script
on_request_headers args
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
--- log
on_request_headers args: 2 7 0



=== TEST 13: a request without Host has the server's name as its authority
--- script
on_request_headers get_header_map_pairs 0
--- raw_request eval
"GET /t HTTP/1.0\r\n\r\n"
--- log
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t; :scheme=http



=== TEST 14: the path of a request line with a whole URI is its path
--- script
on_request_headers get_header_map_value 0 :path
on_request_headers get_header_map_value 0 :authority
--- raw_request eval
"GET http://other/t?a HTTP/1.1\r\nHost: some\r\nConnection: close\r\n\r\n"
--- log eval
qr{\Aon_request_headers get_header_map_value -> 0 "/t\?a"\n.* -> 0 "(?:some|other)"\n\z}



=== TEST 15: an added header reaches upstream beside those of its name
--- script
on_request_headers add_header_map_value 0 X-New one
on_request_headers add_header_map_value 0 x-old 2
on_request_headers add_header_map_value 0 x-empty ""
on_request_headers get_header_map_value 0 x-old
on_request_headers get_header_map_pairs 0
--- more_headers
X-Old: 1
--- upstream
ngx.print(ngx.req.raw_header(true))
--- response_body_like eval
qr/^X-Old: 1\r\nX-New: one\r\nx-old: 2\r\n/im
--- log
on_request_headers add_header_map_value -> 0
on_request_headers add_header_map_value -> 0
on_request_headers add_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "1"
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t; :scheme=http; host=localhost; connection=close; x-old=1; x-new=one; x-old=2; x-empty=



=== TEST 16: a replaced header is the only one of its name, and is added where there was none
--- script
on_request_headers replace_header_map_value 0 X-OLD new
on_request_headers replace_header_map_value 0 x-new 1
on_request_headers replace_header_map_value 0 x-empty ""
on_request_headers get_header_map_pairs 0
--- more_headers
X-Old: 1
x-old: 2
X-Empty: full
--- upstream
ngx.say((ngx.req.raw_header(true):lower():gsub("\r", ""):match("x%-.*\n\n"):gsub("\n", ";")))
--- response_body
x-old: new;x-new: 1;x-empty: ;;
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers replace_header_map_value -> 0
on_request_headers replace_header_map_value -> 0
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t; :scheme=http; host=localhost; connection=close; x-old=new; x-new=1; x-empty=



=== TEST 17: a removed header does not reach upstream, and there need be none
--- script
on_request_headers remove_header_map_value 0 X-OLD
on_request_headers remove_header_map_value 0 x-none
on_request_headers get_header_map_value 0 x-old
on_request_headers get_header_map_value 0 x-kept
--- more_headers
X-Old: 1
x-old: 2
X-Kept: 3
--- upstream
local h = ngx.req.get_headers()
ngx.say(h["x-old"], " ", h["x-kept"])
--- response_body
nil 3
--- log
on_request_headers remove_header_map_value -> 0
on_request_headers remove_header_map_value -> 0
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 0 "3"



=== TEST 18: headers that nginx keeps a place for can be set and removed too
--- script
on_request_headers replace_header_map_value 0 user-agent new
on_request_headers remove_header_map_value 0 referer
on_request_headers add_header_map_value 0 cookie c=3
on_request_headers remove_header_map_value 0 authorization
--- more_headers
User-Agent: old
Referer: http://old/
Cookie: a=1
Authorization: Basic Og==
--- upstream
local h = ngx.req.get_headers()
local cookie = h.cookie
ngx.say(h["user-agent"], " ", h.referer, " ", type(cookie) == "table" and table.concat(cookie, "; ") or cookie, " ",
    h.authorization)
--- response_body
new nil a=1; c=3 nil
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers remove_header_map_value -> 0
on_request_headers add_header_map_value -> 0
on_request_headers remove_header_map_value -> 0



=== TEST 19: set pairs replace all headers
--- script
on_request_headers set_header_map_pairs 0 (X-New=1 x-kept=new x-two=a x-two=b host=localhost)
on_request_headers get_header_map_size 0
--- more_headers
X-Old: 1
X-Kept: old
X-Two: z
--- upstream
local lines = {}
for line in ngx.req.raw_header(true):gmatch("[^\r\n]+") do
    lines[#lines + 1] = line:lower()
end
table.sort(lines)
ngx.say(table.concat(lines, "\n"))
--- response_body
connection: close
host: localhost
x-kept: new
x-new: 1
x-two: a
x-two: b
--- log
on_request_headers set_header_map_pairs -> 0
on_request_headers get_header_map_size -> 0 181



=== TEST 20: set pairs may be those that were got
--- script
on_request_headers as all get_header_map_pairs 0
on_request_headers set_header_map_pairs 0 (:authority=localhost :method=GET :path="/t?a=%20b" :scheme=http host=localhost connection=close x-a=1)
on_request_headers get_header_map_pairs 0
--- request
GET /t?a=%20b
--- more_headers
X-A: 1
--- upstream
ngx.say(ngx.var.request, " ", ngx.var.http_x_a, " ", ngx.var.http_host)
--- response_body
GET /t?a=%20b HTTP/1.0 1 localhost
--- log
on_request_headers all -> 0 :authority=localhost; :method=GET; :path=/t?a=%20b; :scheme=http; host=localhost; connection=close; x-a=1
on_request_headers set_header_map_pairs -> 0
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t?a=%20b; :scheme=http; host=localhost; connection=close; x-a=1



=== TEST 21: set pairs write pseudo-headers through
--- script
on_request_headers set_header_map_pairs 0 (:authority=other:81 :method=DELETE :path="/new?x=1" x-a=1)
on_request_headers get_header_map_pairs 0
--- upstream
ngx.say(ngx.var.request, " ", ngx.var.http_host, " ", ngx.var.http_x_a)
--- response_body
DELETE /new?x=1 HTTP/1.0 other:81 1
--- log
on_request_headers set_header_map_pairs -> 0
on_request_headers get_header_map_pairs -> 0 :authority=other:81; :method=DELETE; :path=/new?x=1; :scheme=http; host=other:81; x-a=1



=== TEST 22: set pairs keep the body whole, whatever they say of its length
--- script
on_request_headers set_header_map_pairs 0 (x-a=1 content-length=2)
--- request
POST /t
abcdef
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.var.http_content_length, " ", ngx.var.http_x_a)
--- response_body
abcdef 6 1
--- log
on_request_headers set_header_map_pairs -> 0



=== TEST 23: no headers at all can be set
--- script
on_request_headers set_header_map_pairs 0 ()
on_request_headers get_header_map_value 0 x-old
on_request_headers get_header_map_value 0 :authority
--- more_headers
X-Old: 1
--- upstream
ngx.say(ngx.var.http_x_old, " ", ngx.var.request)
--- response_body
nil GET /t HTTP/1.0
--- log
on_request_headers set_header_map_pairs -> 0
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 0 "localhost"



=== TEST 24: a new :path reaches upstream with its query
--- script
on_request_headers replace_header_map_value 0 :path "/new/a%20b?x=%20&y"
on_request_headers get_header_map_value 0 :path
on_log get_header_map_value 0 :path
--- request
GET /t?old=1
--- upstream
ngx.say(ngx.var.request_uri)
--- response_body
/new/a%20b?x=%20&y
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "/new/a%20b?x=%20&y"
on_log get_header_map_value -> 0 "/new/a%20b?x=%20&y"



=== TEST 25: a new :path without a query drops the old one
--- script
on_request_headers add_header_map_value 0 :path /new
--- request
GET /t?old=1
--- upstream
ngx.say(ngx.var.request_uri)
--- response_body
/new
--- log
on_request_headers add_header_map_value -> 0



=== TEST 26: the :path that Lua set is told
--- script
on_request_headers get_header_map_value 0 :path
--- location
rewrite_by_lua_block { ngx.req.set_uri("/t/lua x"); ngx.req.set_uri_args("b=1") }
--- log
on_request_headers get_header_map_value -> 0 "/t/lua%20x?b=1"



=== TEST 27: a :path that is none is refused and changes nothing
--- script
on_request_headers replace_header_map_value 0 :path new
on_request_headers replace_header_map_value 0 :path ""
on_request_headers replace_header_map_value 0 :path "/../../etc"
on_request_headers replace_header_map_value 0 :path "/a\r\nx-evil: 1"
on_request_headers replace_header_map_value 0 :path "/a\0b"
on_request_headers get_header_map_value 0 :path
--- upstream
ngx.say(ngx.var.request_uri, " ", ngx.var.http_x_evil)
--- response_body
/t nil
--- log
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers get_header_map_value -> 0 "/t"



=== TEST 28: escaped line breaks in a :path stay escaped
--- script
on_request_headers replace_header_map_value 0 :path "/a%0d%0ax-evil:%201 b?c=%0d%0ax-evil:%201 d"
--- upstream
ngx.say(ngx.var.request_uri, " ", ngx.var.http_x_evil)
--- response_body
/a%0D%0Ax-evil:%201%20b?c=%0d%0ax-evil:%201%20d nil
--- log
on_request_headers replace_header_map_value -> 0



=== TEST 29: a new :method reaches upstream
--- script
on_request_headers replace_header_map_value 0 :method PUT
on_request_headers get_header_map_value 0 :method
--- request
POST /t
abc
--- upstream
ngx.req.read_body()
ngx.say(ngx.var.request_method, " ", ngx.req.get_body_data())
--- response_body
PUT abc
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "PUT"



=== TEST 30: a :method that nginx does not know is refused
--- script
on_request_headers replace_header_map_value 0 :method FOO
on_request_headers replace_header_map_value 0 :method put
on_request_headers replace_header_map_value 0 :method ""
on_request_headers replace_header_map_value 0 :method "PUT /x HTTP/1.1\r\nx-evil:1"
on_request_headers get_header_map_value 0 :method
--- upstream
ngx.say(ngx.var.request_method)
--- response_body
GET
--- log
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers get_header_map_value -> 0 "GET"



=== TEST 31: a new :authority is the Host header
--- script
on_request_headers replace_header_map_value 0 :authority other:8080
on_request_headers get_header_map_value 0 host
on_request_headers get_header_map_value 0 :authority
--- upstream
ngx.say(ngx.var.http_host)
--- response_body
other:8080
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "other:8080"
on_request_headers get_header_map_value -> 0 "other:8080"



=== TEST 32: a new Host header is the :authority, and there is never a second one
--- script
on_request_headers replace_header_map_value 0 host one
on_request_headers get_header_map_value 0 :authority
on_request_headers add_header_map_value 0 Host two
on_request_headers get_header_map_value 0 :authority
on_request_headers get_header_map_pairs 0
--- upstream
ngx.say(ngx.req.raw_header(true):match("Host: [^\r]*"), " ", select(2, ngx.req.raw_header(true):gsub("Host:", "")))
--- response_body
Host: two 1
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "one"
on_request_headers add_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "two"
on_request_headers get_header_map_pairs -> 0 :authority=two; :method=GET; :path=/t; :scheme=http; host=two; connection=close



=== TEST 33: a new :scheme is seen by the plugins, with a warning that nginx has none to change
--- script
on_request_headers replace_header_map_value 0 :scheme https
on_request_headers get_header_map_value 0 :scheme
--- second
{ path = guests .. "script.wasm", name = "second", conf = "on_request_headers get_header_map_value 0 :scheme" },
--- error_log eval
qr/\[warn\].* proxy-wasm.* ":scheme" cannot be changed in nginx, only plugins see the new value/
--- log_of: header_map_value
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "https"
second: on_request_headers get_header_map_value -> 0 "https"



=== TEST 34: pseudo-headers cannot be removed, and others than the four cannot be added
--- script
on_request_headers remove_header_map_value 0 :path
on_request_headers remove_header_map_value 0 :method
on_request_headers remove_header_map_value 0 :authority
on_request_headers add_header_map_value 0 :status 200
on_request_headers add_header_map_value 0 :other x
on_request_headers get_header_map_pairs 0
--- log
on_request_headers remove_header_map_value -> 0
on_request_headers remove_header_map_value -> 0
on_request_headers remove_header_map_value -> 0
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t; :scheme=http; host=localhost; connection=close



=== TEST 35: nothing that could split the request gets into a value
--- script
on_request_headers add_header_map_value 0 x-a "b\r\nx-evil: 1"
on_request_headers add_header_map_value 0 x-a "b\nx-evil: 1"
on_request_headers add_header_map_value 0 x-a "b\rx-evil: 1"
on_request_headers add_header_map_value 0 x-a "b\0c"
on_request_headers replace_header_map_value 0 x-old "b\r\nx-evil: 1"
on_request_headers replace_header_map_value 0 :authority "b\r\nx-evil: 1"
on_request_headers set_header_map_pairs 0 (x-fine=1 x-a="b\r\nx-evil: 1")
on_request_headers get_header_map_pairs 0
--- more_headers
X-Old: 1
--- upstream
ngx.say(ngx.var.http_x_evil, " ", ngx.var.http_x_a, " ", ngx.var.http_x_fine, " ", ngx.var.http_x_old, " ", ngx.var.http_host)
--- response_body
nil nil nil 1 localhost
--- log
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers set_header_map_pairs -> 2
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t; :scheme=http; host=localhost; connection=close; x-old=1



=== TEST 36: nothing that is no token gets into a name
--- script
on_request_headers add_header_map_value 0 "x-a: b\r\nx-evil" 1
on_request_headers add_header_map_value 0 "x-a\nx" 1
on_request_headers add_header_map_value 0 "x a" 1
on_request_headers add_header_map_value 0 "x:a" 1
on_request_headers add_header_map_value 0 "x\0a" 1
on_request_headers add_header_map_value 0 "x\xe4" 1
on_request_headers add_header_map_value 0 "" 1
on_request_headers replace_header_map_value 0 "x-a: b\r\nx-evil" 1
on_request_headers remove_header_map_value 0 "x-a\r\n"
on_request_headers set_header_map_pairs 0 (x-fine=1 "x-a: b\r\nx-evil=1")
on_request_headers add_header_map_value 0 "x!#$%&'*+-.^_`|~9" token
on_request_headers get_header_map_pairs 0
--- upstream
ngx.say(ngx.var.http_x_evil)
--- response_body
nil
--- log
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers add_header_map_value -> 2
on_request_headers replace_header_map_value -> 2
on_request_headers remove_header_map_value -> 2
on_request_headers set_header_map_pairs -> 2
on_request_headers add_header_map_value -> 0
on_request_headers get_header_map_pairs -> 0 :authority=localhost; :method=GET; :path=/t; :scheme=http; host=localhost; connection=close; x!#$%&'*+-.^_`|~9=token



=== TEST 37: a plugin cannot change how the request is framed
--- script
on_request_headers replace_header_map_value 0 content-length 2
on_request_headers add_header_map_value 0 Transfer-Encoding chunked
on_request_headers remove_header_map_value 0 Content-Length
on_request_headers get_header_map_value 0 content-length
on_request_headers get_header_map_value 0 transfer-encoding
--- request
POST /t
abcdef
--- upstream
ngx.req.read_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.var.http_transfer_encoding)
--- response_body
abcdef nil
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers add_header_map_value -> 0
on_request_headers remove_header_map_value -> 0
on_request_headers get_header_map_value -> 0 "6"
on_request_headers get_header_map_value -> 1



=== TEST 38: headers can be changed from the body callback
--- script
on_request_body add_header_map_value 0 x-a 1
on_request_body replace_header_map_value 0 :path /body
--- request
POST /t
abc
--- upstream
ngx.say(ngx.var.http_x_a, " ", ngx.var.request_uri)
--- response_body
1 /body
--- log
on_request_body add_header_map_value -> 0
on_request_body replace_header_map_value -> 0



=== TEST 39: request headers can be read until the end, and not be changed in it
--- script
on_response_headers get_header_map_value 0 x-a
on_response_body@end get_header_map_value 0 x-a
on_done get_header_map_value 0 x-a
on_log get_header_map_value 0 :path
on_log get_header_map_value 0 x-a
on_log get_header_map_size 0
on_log add_header_map_value 0 x-a 2
on_log replace_header_map_value 0 x-a 2
on_log remove_header_map_value 0 x-a
on_log set_header_map_pairs 0 (x-a=2)
on_delete get_header_map_value 0 x-a
--- more_headers
X-A: 1
--- log
on_response_headers get_header_map_value -> 0 "1"
on_response_body get_header_map_value -> 0 "1"
on_done get_header_map_value -> 0 "1"
on_log get_header_map_value -> 0 "/t"
on_log get_header_map_value -> 0 "1"
on_log get_header_map_size -> 0 153
on_log add_header_map_value -> 2
on_log replace_header_map_value -> 2
on_log remove_header_map_value -> 2
on_log set_header_map_pairs -> 2
on_delete get_header_map_value -> 0 "1"



=== TEST 40: outside a request there are no headers
--- script
on_configure get_header_map_value 0 host
on_configure get_header_map_size 0
on_configure get_header_map_pairs 0
on_configure add_header_map_value 0 x-a b
on_configure replace_header_map_value 0 x-a b
on_configure remove_header_map_value 0 x-a
on_configure set_header_map_pairs 0 (x-a=b)
--- log
on_configure get_header_map_value -> 1
on_configure get_header_map_size -> 0 0
on_configure get_header_map_pairs -> 0 null
on_configure add_header_map_value -> 2
on_configure replace_header_map_value -> 2
on_configure remove_header_map_value -> 2
on_configure set_header_map_pairs -> 2



=== TEST 41: a plugin sees what the one before it changed
--- script
on_request_headers replace_header_map_value 0 x-a 1
on_request_headers replace_header_map_value 0 :path "/t?first"
--- second
{ path = guests .. "script.wasm", name = "second", conf = [[
on_request_headers get_header_map_value 0 x-a
on_request_headers get_header_map_value 0 :path
on_request_headers args]] },
--- log
on_request_headers replace_header_map_value -> 0
on_request_headers replace_header_map_value -> 0
second: on_request_headers get_header_map_value -> 0 "1"
second: on_request_headers get_header_map_value -> 0 "/t?first"
second: on_request_headers args: 2 7 1



=== TEST 42: pointers outside memory are an InvalidMemoryAccess, and nothing changes
--- script
on_request_headers raw get_header_map_value 0 0xfffffffe 4 %scratch %scratch+4
on_request_headers raw get_header_map_value 0 %scratch 0xffffffff %scratch %scratch+4
on_request_headers raw get_header_map_value 0 %scratch 4 %memory %scratch+4
on_request_headers raw get_header_map_pairs 0 %scratch 0xfffffffd
on_request_headers raw get_header_map_size 0 %memory
on_request_headers raw add_header_map_value 0 %scratch 4 %memory 1
on_request_headers raw replace_header_map_value 0 %memory 1 %scratch 4
on_request_headers raw remove_header_map_value 0 %memory 1
on_request_headers raw set_header_map_pairs 0 %memory 4
on_request_headers get_header_map_size 0
--- log
on_request_headers raw get_header_map_value -> 6
on_request_headers raw get_header_map_value -> 6
on_request_headers raw get_header_map_value -> 6
on_request_headers raw get_header_map_pairs -> 6
on_request_headers raw get_header_map_size -> 6
on_request_headers raw add_header_map_value -> 6
on_request_headers raw replace_header_map_value -> 6
on_request_headers raw remove_header_map_value -> 6
on_request_headers raw set_header_map_pairs -> 6
on_request_headers get_header_map_size -> 0 139

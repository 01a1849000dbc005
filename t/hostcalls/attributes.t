# Envoy's attributes, which proxy_get_property reads: src/nginx/attributes.rs.

use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: the request's strings
--- script
on_request_headers get_property request.path
on_request_headers get_property request.url_path
on_request_headers get_property request.query
on_request_headers get_property request.host
on_request_headers get_property request.method
on_request_headers get_property request.scheme
on_request_headers get_property request.protocol
on_request_headers get_property request.referer
on_request_headers get_property request.useragent
on_request_headers get_property request.id
--- request
PUT /t/a%20b?c=%20d&e
--- more_headers
Host: some:81
Referer: http://from/
User-Agent: test
X-Request-Id: my-id
--- log
on_request_headers get_property -> 0 "/t/a%20b?c=%20d&e"
on_request_headers get_property -> 0 "/t/a%20b"
on_request_headers get_property -> 0 "c=%20d&e"
on_request_headers get_property -> 0 "some:81"
on_request_headers get_property -> 0 "PUT"
on_request_headers get_property -> 0 "http"
on_request_headers get_property -> 0 "HTTP/1.1"
on_request_headers get_property -> 0 "http://from/"
on_request_headers get_property -> 0 "test"
on_request_headers get_property -> 0 "my-id"



=== TEST 2: those that a request lacks are NotFound, the query is empty
--- script
on_request_headers get_property request.referer
on_request_headers get_property request.useragent
on_request_headers get_property request.query
on_request_headers get_property connection.tls_version
on_request_headers get_property connection.requested_server_name
on_request_headers get_property connection.subject_peer_certificate
on_request_headers get_property upstream.address
on_request_headers get_property upstream.port
on_request_headers get_property response.code
on_request_headers get_property response.code_details
on_request_headers get_property response.grpc_status
on_request_headers get_property cluster_name
--- log
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 0 null
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1



=== TEST 3: HTTP/1.0 is called that
--- script
on_request_headers get_property request.protocol
--- raw_request eval
"GET /t HTTP/1.0\r\n\r\n"
--- log
on_request_headers get_property -> 0 "HTTP/1.0"



=== TEST 4: a request without an id of its own has nginx's
--- script
on_request_headers get_property request.id
--- location
content_by_lua_block { ngx.print(ngx.var.request_id) }
--- log eval
qr/\Aon_request_headers get_property -> 0 "[0-9a-f]{32}"\n\z/



=== TEST 5: the sizes of a request are integers of 8 bytes, little-endian
--- script
on_request_headers get_property request.size
on_request_headers get_property request.total_size
on_request_body get_property request.size
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 258\r\n\r\n" . "x" x 258
--- log
on_request_headers get_property -> 0 "\x02\x01\x00\x00\x00\x00\x00\x00"
on_request_headers get_property -> 0 "E\x00\x00\x00\x00\x00\x00\x00"
on_request_body get_property -> 0 "\x02\x01\x00\x00\x00\x00\x00\x00"



=== TEST 6: a request without a body has the size 0
--- script
on_request_headers get_property request.size
--- log
on_request_headers get_property -> 0 "\x00\x00\x00\x00\x00\x00\x00\x00"



=== TEST 7: the request's time is nanoseconds since 1970
--- script
on_request_headers get_property request.time
--- log_of: get_property
--- log eval
# the upper bytes of 1.6e18 to 4e18, so of the years 2020 to 2096
qr/\Aon_request_headers get_property -> 0 ".*(?:\\x1[6-9a-f]|\\x2[0-9a-f]|[ !"#\$%&'()*+,.\/0-7-])"\n\z/



=== TEST 8: the request's duration is nanoseconds
--- script
on_log get_property request.duration
--- location
content_by_lua_block { ngx.sleep(0.3) ngx.print("hello\n") }
--- log eval
# 300 to 1000 ms are 0x11e1a300 to 0x3b9aca00
qr/\Aon_log get_property -> 0 ".*(?:\\x1[1-9a-f]|[ !"#\$%&'()*+,.\/0-9:;-])\\x00\\x00\\x00\\x00"\n\z/



=== TEST 9: all request headers are pairs
--- script
on_request_headers get_property request.headers
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: a\r\nX-A: b\r\nConnection: close\r\n\r\n"
--- log
on_request_headers get_property -> 0 "\x07\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00\x03\x00\x00\x00\x05\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x00\x04\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x0a\x00\x00\x00\x05\x00\x00\x00:authority\x00a\x00:method\x00GET\x00:path\x00/t\x00:scheme\x00http\x00host\x00a\x00x-a\x00b\x00connection\x00close\x00"



=== TEST 10: one header is its first value, whatever its case
--- script
on_request_headers get_property request.headers.x-a
on_request_headers get_property request.headers.X-A
on_request_headers get_property request.headers.:path
on_request_headers get_property request.headers.x-none
on_request_headers get_property path:"request\0headers\0x.b"
on_response_headers get_property response.headers.x-c
on_response_headers get_property response.headers.:status
on_response_headers get_property response.headers.x-none
--- more_headers
X-A: 1
x-a: 2
--- location
content_by_lua_block { ngx.header["X-C"] = { "3", "4" } ngx.print("hello\n") }
--- log
on_request_headers get_property -> 0 "1"
on_request_headers get_property -> 0 "1"
on_request_headers get_property -> 0 "/t"
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_response_headers get_property -> 0 "3"
on_response_headers get_property -> 0 "200"
on_response_headers get_property -> 1



=== TEST 11: the request's attributes follow what plugins change
--- script
on_request_headers replace_header_map_value 0 :path "/new?q=1"
on_request_headers replace_header_map_value 0 :method DELETE
on_request_headers replace_header_map_value 0 :authority other
on_request_headers get_property request.path
on_request_headers get_property request.url_path
on_request_headers get_property request.query
on_request_headers get_property request.method
on_request_headers get_property request.host
--- log_of: get_property
--- log
on_request_headers get_property -> 0 "/new?q=1"
on_request_headers get_property -> 0 "/new"
on_request_headers get_property -> 0 "q=1"
on_request_headers get_property -> 0 "DELETE"
on_request_headers get_property -> 0 "other"



=== TEST 12: the connection's ends are addresses with a port, and ports are integers
--- script
on_request_headers get_property remote_port
on_request_headers get_property source.address
on_request_headers get_property source.port
on_request_headers get_property destination.address
on_request_headers get_property destination.port
on_request_headers get_property connection
on_request_headers get_property connection.id
--- log eval
my $port = main::server_port();
my $number = main::le64($port);
qr/\Aon_request_headers get_property -> 0 "(\d+)"
on_request_headers get_property -> 0 "127\.0\.0\.1:\1"
on_request_headers get_property -> 0 "(??{ quotemeta main::le64($1) })"
on_request_headers get_property -> 0 "127\.0\.0\.1:$port"
on_request_headers get_property -> 0 "\Q$number\E"
on_request_headers get_property -> 0 "(\d+)"
on_request_headers get_property -> 0 "(??{ quotemeta main::le64($2) })"
\z/



=== TEST 13: a Unix socket is an address without a port
--- script
on_request_headers get_property source.address
on_request_headers get_property source.port
on_request_headers get_property destination.address
--- http
server {
    listen unix:$TEST_NGINX_HTML_DIR/in.sock;
    location / {
        access_by_lua_block { chain:access() }
        content_by_lua_block { ngx.say("hello") }
    }
}
--- location
access_by_lua_block { return }
proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock;
--- response_body
hello
--- log eval
qr{\Aon_request_headers get_property -> 0 "unix:"
on_request_headers get_property -> 1
on_request_headers get_property -> 0 "unix:/.*/in\.sock"
\z}



=== TEST 14: an IPv6 address stands in brackets
--- script
on_request_headers get_property destination.address
--- http
server {
    listen [::1]:$TEST_NGINX_SERVER_PORT;
    location / {
        access_by_lua_block { chain:access() }
        content_by_lua_block { ngx.say("hello") }
    }
}
--- location
access_by_lua_block { return }
proxy_pass http://[::1]:$TEST_NGINX_SERVER_PORT;
--- skip_eval
2: use IO::Socket::IP; !IO::Socket::IP->new(LocalAddr => '::1', Listen => 1)
--- log eval
'on_request_headers get_property -> 0 "[::1]:' . main::server_port() . '"' . "\n"



=== TEST 15: what is always so: plain text, no client certificate, inbound, no flags
--- script
on_request_headers get_property connection.mtls
on_request_headers get_property listener_direction
on_configure get_property listener_direction
on_response_headers get_property response.flags
--- log
on_configure get_property -> 0 "\x01\x00\x00\x00\x00\x00\x00\x00"
on_request_headers get_property -> 0 "\x00"
on_request_headers get_property -> 0 "\x01\x00\x00\x00\x00\x00\x00\x00"
on_response_headers get_property -> 0 "\x00\x00\x00\x00\x00\x00\x00\x00"



=== TEST 16: the response's status and sizes are integers
--- script
on_response_headers get_property response.code
on_log get_property response.code
on_log get_property response.size
on_log get_property bytes_sent
--- upstream
ngx.status = 404
ngx.print(("x"):rep(258))
--- error_code: 404
--- raw_request eval
"GET /t HTTP/1.0\r\n\r\n"
--- log eval
qr/\Aon_response_headers get_property -> 0 "\\x94\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
on_log get_property -> 0 "\\x94\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
on_log get_property -> 0 "\\x02\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
on_log get_property -> 0 "[345]\d\d"
\z/



=== TEST 17: the response's total size is what was sent with its headers
--- script
on_log get_property response.total_size
--- location
content_by_lua_block { ngx.status = 204 ngx.send_headers() }
--- error_code: 204
--- log eval
qr/\Aon_log get_property -> 0 "(?:\\x..|.)\\x00\\x00\\x00\\x00\\x00\\x00\\x00"\n\z/



=== TEST 18: all response headers are pairs
--- script
on_response_headers set_header_map_pairs 2 (x-a=b)
on_response_headers remove_header_map_value 2 content-type
on_response_headers get_property response.headers
--- location
content_by_lua_block { ngx.header["X-Old"] = 1 ngx.print("hello\n") }
--- log_of: get_property
--- log
on_response_headers get_property -> 0 "\x03\x00\x00\x00\x07\x00\x00\x00\x03\x00\x00\x00\x0a\x00\x00\x00\x05\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00:status\x00200\x00connection\x00close\x00x-a\x00b\x00"



=== TEST 19: a gRPC status of the response is an integer
--- script
on_response_headers get_property response.grpc_status
--- location
content_by_lua_block { ngx.header["grpc-status"] = 14 ngx.print("hello\n") }
--- log
on_response_headers get_property -> 0 "\x0e\x00\x00\x00\x00\x00\x00\x00"



=== TEST 20: the upstream's address, port and latency
--- script
on_response_headers get_property upstream.address
on_response_headers get_property upstream.port
on_log get_property response.backend_latency
--- http
upstream some_cluster { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; }
--- config
location /upstream {
    content_by_lua_block { ngx.sleep(0.3) ngx.say("hello") }
}
--- location
proxy_pass http://some_cluster/upstream;
--- log eval
my $port = main::server_port();
my $number = main::le64($port);
qr/\Aon_response_headers get_property -> 0 "127\.0\.0\.1:$port"
on_response_headers get_property -> 0 "\Q$number\E"
on_log get_property -> 0 ".*(?:\\x1[1-9a-f]|[ !"#\$%&'()*+,.\/0-9:;-])\\x00\\x00\\x00\\x00"
\z/



=== TEST 21: of several upstreams tried it is the last
--- script
on_response_headers get_property upstream.address
on_response_headers get_property upstream.port
on_response_headers get_property upstream_addr
--- http
upstream some_cluster { server 127.0.0.1:1; server 127.0.0.1:$TEST_NGINX_SERVER_PORT backup; }
--- config
location /upstream { return 200 "hello\n"; }
--- location
proxy_pass http://some_cluster/upstream;
--- log eval
my ($port, $number) = (main::server_port(), main::le64(main::server_port()));
"on_response_headers get_property -> 0 \"127.0.0.1:$port\"
on_response_headers get_property -> 0 \"$number\"
on_response_headers get_property -> 0 \"127.0.0.1:1, 127.0.0.1:$port\"
"
--- error_log
Connection refused
--- no_error_log
[alert]
[emerg]



=== TEST 22: why a plugin answered is told until the end
--- script
on_request_headers send_local_response 403 "my reason" no
on_log get_property response.code_details
on_log get_property response.code
--- error_code: 403
--- log
on_request_headers send_local_response -> 0
on_log get_property -> 0 "my reason"
on_log get_property -> 0 "\x93\x01\x00\x00\x00\x00\x00\x00"



=== TEST 23: the request's attributes can be read at its end
--- script
on_log get_property request.path
on_log get_property request.host
on_log get_property source.address
on_log get_property request.headers.x-a
on_delete get_property request.method
--- more_headers
X-A: 1
--- log eval
qr/\Aon_log get_property -> 0 "\/t"
on_log get_property -> 0 "localhost"
on_log get_property -> 0 "127\.0\.0\.1:\d+"
on_log get_property -> 0 "1"
on_delete get_property -> 0 "GET"
\z/



=== TEST 24: the TLS of a connection is told
--- script
on_request_headers get_property connection.tls_version
on_request_headers get_property connection.requested_server_name
on_request_headers get_property connection.mtls
on_request_headers get_property connection.subject_peer_certificate
on_request_headers get_property request.scheme
--- http eval
my $dir = $Test::Nginx::Util::HtmlDir;
system("mkdir -p $dir; openssl req -x509 -newkey rsa:2048 -nodes -keyout /tmp/proxy-wasm-t.key -out /tmp/proxy-wasm-t.crt -days 3650 -subj /CN=test.example >/dev/null 2>&1")
    unless -s "/tmp/proxy-wasm-t.crt";
"server {
    listen unix:\$TEST_NGINX_HTML_DIR/tls.sock ssl;
    ssl_certificate /tmp/proxy-wasm-t.crt;
    ssl_certificate_key /tmp/proxy-wasm-t.key;
    ssl_verify_client optional;
    ssl_client_certificate /tmp/proxy-wasm-t.crt;
    location / {
        access_by_lua_block { chain:access() }
        content_by_lua_block { ngx.say('hello') }
    }
}"
--- location
access_by_lua_block { return }
proxy_pass https://unix:$TEST_NGINX_HTML_DIR/tls.sock;
proxy_ssl_server_name on;
proxy_ssl_name test.example;
proxy_ssl_protocols TLSv1.2;
proxy_ssl_certificate /tmp/proxy-wasm-t.crt;
proxy_ssl_certificate_key /tmp/proxy-wasm-t.key;
--- log
on_request_headers get_property -> 0 "TLSv1.2"
on_request_headers get_property -> 0 "test.example"
on_request_headers get_property -> 0 "\x01"
on_request_headers get_property -> 0 "CN=test.example"
on_request_headers get_property -> 0 "https"



=== TEST 25: an attribute of a request is NotFound outside one
--- script
on_configure get_property request.path
on_configure get_property source.address
on_configure get_property response.code
on_configure get_property connection.mtls
on_configure get_property request.headers
--- log
on_configure get_property -> 1
on_configure get_property -> 1
on_configure get_property -> 1
on_configure get_property -> 1
on_configure get_property -> 1



=== TEST 26: what is of Envoy's configuration is NotFound
--- script
on_response_headers get_property cluster_name
on_response_headers get_property route_name
on_response_headers get_property cluster_metadata.filter_metadata
on_response_headers get_property node.id
on_response_headers get_property xds.cluster_name
--- log
on_response_headers get_property -> 1
on_response_headers get_property -> 1
on_response_headers get_property -> 1
on_response_headers get_property -> 1
on_response_headers get_property -> 1

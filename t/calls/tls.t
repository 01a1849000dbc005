# Calls over TLS: whose certificate is good enough.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream qw(raw tls);
use ProxyWasm::Log;
use ProxyWasm::Phases;

# The same server with three certificates, and one plugin to call each.
add_block_preprocessor(sub {
    my $block = shift;

    my @servers = map { <<"_EOC_" } [2, 'good'], [3, 'expired'], [4, 'unknown'];
server {
    listen 127.0.0.$_->[0]:\$TEST_NGINX_SERVER_PORT ssl;
    ssl_certificate \$TEST_NGINX_CERTS/$_->[1].pem;
    ssl_certificate_key \$TEST_NGINX_CERTS/key.pem;
    location / { return 200 "$_->[1]"; }
}
_EOC_
    $block->set_value(http => join '', $block->http // '', @servers);
    $block->set_value(init_by_lua => ($block->init_by_lua // '') . <<'_EOC_');
good, expired, unknown = "127.0.0.2:$TEST_NGINX_SERVER_PORT", "127.0.0.3:$TEST_NGINX_SERVER_PORT", "127.0.0.4:$TEST_NGINX_SERVER_PORT"

function call(upstream)
    run(configure("script.wasm", "on_request_headers http_call https://" .. upstream .. [[ () "" () 5000
on_http_call_response get_buffer_bytes 4 0 100
on_http_call_response get_property wasm.http_call.error]]), "GET /p")
end
_EOC_
});

run_tests();

__DATA__

=== TEST 1: signed by one who is trusted, valid today, and for that name
--- http: wasm_call_ssl_trusted_certificate $TEST_NGINX_CERTS/ca.pem;
--- lua
call(good)
call(expired)
call(unknown)
--- grep_error_log eval: qr/-> 0 "\K(?:[\w ]+: ){0,2}[\w ]+/
--- grep_error_log_out
good
TLS: invalid peer certificate: certificate expired
TLS: invalid peer certificate: UnknownIssuer
--- error_log_allowed



=== TEST 2: nobody but the system's authorities is trusted unless somebody says so
--- lua
call(good)
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "https://127.0.0.2:$TEST_NGINX_SERVER_PORT" failed: TLS: invalid peer certificate: UnknownIssuer
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response get_property -> 0 "TLS: invalid peer certificate: UnknownIssuer"



=== TEST 3: wasm_call_ssl_verify off takes them all
--- http: wasm_call_ssl_verify off;
--- lua
call(good)
call(expired)
call(unknown)
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "good"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "expired"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 3
script: on_http_call_response get_buffer_bytes -> 0 "unknown"
script: on_http_call_response get_property -> 1



=== TEST 4: setup() can say the same
--- init_by_lua
assert(wasm.setup{ call_ssl_trusted_certificate = "$TEST_NGINX_CERTS/other.pem" })
--- lua
call(unknown)
call(good)
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "unknown"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 2
script: the call to "https://127.0.0.2:$TEST_NGINX_SERVER_PORT" failed: TLS: invalid peer certificate: UnknownIssuer
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response get_property -> 0 "TLS: invalid peer certificate: UnknownIssuer"



=== TEST 5: connections are kept over TLS too
--- http
wasm_call_ssl_trusted_certificate $TEST_NGINX_CERTS/ca.pem;
server {
    listen 127.0.0.5:$TEST_NGINX_SERVER_PORT ssl;
    ssl_certificate $TEST_NGINX_CERTS/good.pem;
    ssl_certificate_key $TEST_NGINX_CERTS/key.pem;
    location / { return 200 "$connection_requests"; }
}
--- lua
call("127.0.0.5:$TEST_NGINX_SERVER_PORT")
call("127.0.0.5:$TEST_NGINX_SERVER_PORT")
--- wasm_log
script: on_request_headers http_call -> 0 1
script: on_http_call_response get_buffer_bytes -> 0 "1"
script: on_http_call_response get_property -> 1
script: on_request_headers http_call -> 0 2
script: on_http_call_response get_buffer_bytes -> 0 "2"
script: on_http_call_response get_property -> 1



=== TEST 6: the other side speaks no TLS, or nothing at all
--- lua
call("127.0.0.1:$TEST_NGINX_SERVER_PORT")
call("127.0.0.1:$TEST_NGINX_RAW_PORT")
--- wasm_log
script: on_request_headers http_call -> 0 1
script: the call to "https://127.0.0.1:$TEST_NGINX_SERVER_PORT" failed: TLS: received corrupt message of type InvalidContentType
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response get_property -> 0 "TLS: received corrupt message of type InvalidContentType"
script: on_request_headers http_call -> 0 2
script: the call to "https://127.0.0.1:$TEST_NGINX_RAW_PORT" failed: TLS: connection closed during the handshake
script: on_http_call_response get_buffer_bytes -> 1
script: on_http_call_response get_property -> 0 "TLS: connection closed during the handshake"

# The body of a local response from a response phase, where nothing in Lua filters bodies.

use ProxyWasm 'no_plan';

repeat_each(2);

run_tests();

__DATA__

=== TEST 1: the header filter alone replaces the whole response, however long it is
--- config
location /t {
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/upstream;
    header_filter_by_lua_block {
        assert(wasm.on_http_response_headers(configure("script.wasm",
            'on_response_headers send_local_response 403 "" "denied" (x-new=1)')))
    }
}
location /upstream {
    content_by_lua_block {
        for i = 1, 64 do
            ngx.print(("secret"):rep(4096))
            ngx.flush(true)
        end
    }
}
--- pipelined_requests eval
["GET /t", "GET /t"]
--- error_code eval
[403, 403]
--- response_body eval
["denied", "denied"]
--- response_headers eval
["x-new: 1", "x-new: 1"]



=== TEST 2: so does one without a body
--- config
location /t {
    return 200 "secret";
    header_filter_by_lua_block {
        assert(wasm.on_http_response_headers(configure("script.wasm",
            'on_response_headers send_local_response 410 "" ""')))
    }
}
--- error_code: 410
--- response_body:



=== TEST 3: a response to HEAD has no body
--- config
location /t {
    return 200 "secret";
    header_filter_by_lua_block {
        assert(wasm.on_http_response_headers(configure("script.wasm",
            'on_response_headers send_local_response 403 "" "denied"')))
    }
}
--- request
HEAD /t
--- error_code: 403
--- response_body:



=== TEST 4: a file, sent by the system, is replaced too
--- user_files
>>> secret.txt
secret
--- config
sendfile on;
location /t {
    rewrite ^ /secret.txt break;
    header_filter_by_lua_block {
        assert(wasm.on_http_response_headers(configure("script.wasm",
            'on_response_headers send_local_response 403 "" "denied"')))
    }
}
--- error_code: 403
--- response_body: denied



=== TEST 5: what is sent instead passes the filters behind, and the response of a subrequest is replaced alone
--- config
location /t {
    gzip on;
    gzip_min_length 1;
    gzip_types text/plain;
    content_by_lua_block {
        local res = ngx.location.capture("/sub")
        ngx.header["Content-Type"] = "text/plain"
        ngx.say(res.status, " ", res.body, " around it")
    }
}
location /sub {
    return 200 "secret";
    header_filter_by_lua_block {
        assert(wasm.on_http_response_headers(configure("script.wasm",
            'on_response_headers send_local_response 403 "" "denied"')))
    }
}
--- response_body
403 denied around it



=== TEST 6: plugins that run later see nothing of the response that was replaced
--- config
location /t {
    return 200 "secret";
    header_filter_by_lua_block {
        assert(wasm.on_http_response_headers(configure("script.wasm",
            'on_response_headers send_local_response 403 "" "denied"')))
        assert(wasm.on_http_response_headers(configure("script-0-2-0.wasm",
            'on_response_headers add_header_map_value 2 x-later 1\non_log log 2 ended')))
    }
    body_filter_by_lua_block {
        assert(wasm.on_http_response_body(configure("script-0-2-0.wasm",
            'on_response_headers add_header_map_value 2 x-later 1\non_log log 2 ended')))
    }
}
--- error_code: 403
--- response_headers
! x-later
--- response_body: denied

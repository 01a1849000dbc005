use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: each level is nginx's of that name
--- script
on_request_headers log trace T
on_request_headers log debug D
on_request_headers log info I
on_request_headers log warn W
on_request_headers log error E
on_request_headers log critical C
--- log_level: debug
--- error_log eval
[
qr/\[debug\] .* proxy-wasm script: T\n/,
qr/\[debug\] .* proxy-wasm script: D\n/,
qr/\[info\] .* proxy-wasm script: I, client: /,
qr/\[warn\] .* proxy-wasm script: W, client: /,
qr/\[error\] .* proxy-wasm script: E, client: /,
qr/\[crit\] .* proxy-wasm script: C, client: /,
]
--- no_error_log
[alert]
[emerg]



=== TEST 2: what is below nginx's level is not logged
--- script
on_request_headers log debug D
on_request_headers log info I
on_request_headers log warn W
on_request_headers log error E
--- log_level: warn
--- log
W
E
--- no_error_log
[crit]



=== TEST 3: a level that is none is a BadArgument
--- script
on_request_headers log 6 x
on_request_headers log -1 x
on_request_headers raw log 0x102 %scratch 1
--- log
on_request_headers log -> 2
on_request_headers log -> 2
on_request_headers raw log -> 2



=== TEST 4: a line names the plugin, and the request where there is one
--- options: name = "my plugin",
--- script
on_configure log info "from the configuration"
on_request_headers log info "from the request"
--- error_log eval
[
qr/\[info\] \d+#\d+: proxy-wasm my plugin: from the configuration\n/,
qr/\[info\] \d+#\d+: \*\d+ proxy-wasm my plugin: from the request, client: 127.0.0.1, server: localhost, request: "GET \/t HTTP\/1.1", host: "localhost"/,
]



=== TEST 5: nothing in a message can pass for a record of nginx's or of another plugin
--- script
on_request_headers log info "one\n2026/01/01 00:00:00 [warn] 1#1: worker process exited on signal 11\nproxy-wasm auth: admin let in\r\ntwo"
--- error_log eval
[
qr/^\S+ \S+ \[info\] .* proxy-wasm script: one/m,
qr/^\S+ \S+ \[info\] .* proxy-wasm script: .*worker process exited/m,
qr/^\S+ \S+ \[info\] .* proxy-wasm script: .*proxy-wasm auth: admin let in/m,
qr/^\S+ \S+ \[info\] .* proxy-wasm script: .*two/m,
]
--- no_error_log eval
[ qr/^2026\/01\/01/m, qr/\*\d+ proxy-wasm auth/, qr/\*\d+ 2026/ ]



=== TEST 6: control bytes are escaped, everything else stays
--- script
on_request_headers log info "a\x1b[31mb\0c\x07d\x7fe\rf\tg\xc3\xa4\"\\"
--- log eval
"a\\x1B[31mb\\x00c\\x07d\\x7Fe\\x0Df\tg\xc3\xa4\"\\\n"



=== TEST 7: the newline at a message's end is left out
--- script
on_request_headers log info "text\n"
on_request_headers log info ""
--- log eval
"text\n\n"



=== TEST 8: a message longer than nginx's records is logged whole, in several
--- script
on_done return true
--- access
local long = {}
for i = 1, 1000 do
    long[i] = ("%09d"):format(i)
end
local ctx = configure("script.wasm", "on_request_headers log info " .. table.concat(long, "_"))
assert(wasm.on_http_request_headers(ctx))
--- log eval
my $cut = '(?:\n)?';
my $all = CORE::join "_", map { sprintf "%09d", $_ } 1 .. 1000;
$all = CORE::join $cut, split //, $all;
qr/\A$all\n\z/



=== TEST 9: 64 KiB of a message are kept
--- script
on_request_headers grow 64
on_request_headers raw log 2 2000000 3000000
on_request_headers log info after
--- log_of: x00
--- log eval
qr/\A(?:(?:\\x00\n?){4096}){16}\z/
--- error_log
proxy-wasm script: after



=== TEST 10: the level of nginx's log is told
--- script
on_configure get_log_level
on_request_headers get_log_level
--- log
on_configure get_log_level -> 0 2
on_request_headers get_log_level -> 0 2



=== TEST 11: at nginx's debug, plugins may trace
--- script
on_request_headers get_log_level
--- log_level: debug
--- log_of: get_log_level
--- log
on_request_headers get_log_level -> 0 0



=== TEST 12: the level of a location's own log counts
--- script
on_request_headers get_log_level
on_request_headers log info no
on_request_headers log error yes
--- location
error_log logs/error.log error;
--- log
yes
--- no_error_log
[crit]



=== TEST 13: notice and warn are warn, error is error, and what is worse is critical
--- script
on_request_headers as level get_log_level
on_request_headers replace_header_map_value 2 x-level %level
--- http eval
CORE::join "", map {
    "server { listen unix:\$TEST_NGINX_HTML_DIR/$_.sock; error_log logs/$_.log $_;
        location / {
            access_by_lua_block { chain:access() }
            content_by_lua_block { ngx.print(ngx.header.x_level) }
        } }
"
} qw(notice warn error crit alert emerg info)
--- access
ngx.exit(ngx.OK)
--- location
content_by_lua_block {
    for _, level in ipairs { "info", "notice", "warn", "error", "crit", "alert", "emerg" } do
        ngx.print(ngx.location.capture("/to/" .. level).body)
    end
}
header_filter_by_lua_block { return }
--- config
location ~ ^/to/(.*)$ { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/$1.sock:/; }
--- response_body: 2334555



=== TEST 14: pointers outside memory are an InvalidMemoryAccess, and nothing is logged
--- script
on_request_headers raw log 2 %memory 1
on_request_headers raw log 2 %scratch -1
on_request_headers raw log 2 -1 2
on_request_headers raw get_log_level %memory
on_request_headers raw get_log_level -3
--- log
on_request_headers raw log -> 6
on_request_headers raw log -> 6
on_request_headers raw log -> 6
on_request_headers raw get_log_level -> 6
on_request_headers raw get_log_level -> 6

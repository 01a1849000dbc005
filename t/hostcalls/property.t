use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a bare name is an nginx variable
--- script
on_request_headers get_property remote_addr
on_request_headers get_property request_method
on_request_headers get_property uri
on_request_headers get_property args
on_request_headers get_property arg_b
on_request_headers get_property http_x_a
on_request_headers get_property cookie_c
on_request_headers get_property mine
on_request_headers get_property empty
--- request
GET /t?a=1&b=2
--- more_headers
X-A: 3
Cookie: c=4
--- location
set $mine "my own";
set $empty "";
--- log
on_request_headers get_property -> 0 "127.0.0.1"
on_request_headers get_property -> 0 "GET"
on_request_headers get_property -> 0 "/t"
on_request_headers get_property -> 0 "a=1&b=2"
on_request_headers get_property -> 0 "2"
on_request_headers get_property -> 0 "3"
on_request_headers get_property -> 0 "4"
on_request_headers get_property -> 0 "my own"
on_request_headers get_property -> 0 null



=== TEST 2: so is ngx and the name, and a NUL may end either
--- script
on_request_headers get_property ngx.remote_addr
on_request_headers get_property path:"ngx\0remote_addr\0"
on_request_headers get_property path:"remote_addr\0"
on_request_headers get_property ngx.none
--- log
on_request_headers get_property -> 0 "127.0.0.1"
on_request_headers get_property -> 0 "127.0.0.1"
on_request_headers get_property -> 0 "127.0.0.1"
on_request_headers get_property -> 1



=== TEST 3: a property that is not there is NotFound
--- script
on_request_headers get_property none
on_request_headers get_property ""
on_request_headers get_property arg_none
on_request_headers get_property http_none
on_request_headers get_property upstream_addr
on_request_headers get_property request.none
on_request_headers get_property path:"\0"
on_request_headers get_property path:"\0\0"
on_request_headers get_property path:"remote_addr\0x"
on_request_headers get_property path:"request.path"
on_request_headers get_property "\xff\n"
--- log
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1
on_request_headers get_property -> 1



=== TEST 4: a name longer than any variable's is NotFound
--- script eval
"on_request_headers get_property " . "x" x 300 . "\non_request_headers get_property " . "y" x 1000
--- log
on_request_headers get_property -> 1
on_request_headers get_property -> 1



=== TEST 5: a variable that nginx lets one write is written, for nginx and all plugins
--- script
on_request_headers set_property mine "new value"
on_request_headers get_property mine
on_request_headers set_property ngx.other 1
on_request_headers set_property args "x=1&y"
on_request_headers get_property request.query
on_log get_property mine
--- second
{ path = guests .. "script.wasm", name = "second", conf = "on_request_headers get_property mine" },
--- location
set $mine old;
set $other "";
content_by_lua_block { ngx.say(ngx.var.mine, " ", ngx.var.other, " ", ngx.var.args) }
--- response_body
new value 1 x=1&y
--- log
on_request_headers set_property -> 0
on_request_headers get_property -> 0 "new value"
on_request_headers set_property -> 0
on_request_headers set_property -> 0
on_request_headers get_property -> 0 "x=1&y"
second: on_request_headers get_property -> 0 "new value"
on_log get_property -> 0 "new value"



=== TEST 6: a variable is set to no bytes, and to any but those that end a line
--- script
on_request_headers set_property mine ""
on_request_headers get_property mine
on_response_headers set_property mine "a\x01 b\t\xff"
on_response_headers get_property mine
on_response_headers set_property mine "a\r\nx-evil: 1"
on_response_headers set_property mine "a\nb"
on_response_headers set_property mine "a\0b"
on_response_headers get_property mine
on_response_headers set_property args "a=b c\r\nd\0"
on_response_headers get_property args
on_response_headers set_property not_mine "a\r\n\0b"
on_response_headers get_property not_mine
--- location
set $mine old;
content_by_lua_block { ngx.say("<", ngx.var.mine, ">") }
--- response_body
<>
--- log
on_request_headers set_property -> 0
on_request_headers get_property -> 0 null
on_response_headers set_property -> 0
on_response_headers get_property -> 0 "a\x01 b\x09\xff"
proxy_set_property: "mine" cannot be changed
on_response_headers set_property -> 1
proxy_set_property: "mine" cannot be changed
on_response_headers set_property -> 1
proxy_set_property: "mine" cannot be changed
on_response_headers set_property -> 1
on_response_headers get_property -> 0 "a\x01 b\x09\xff"
on_response_headers set_property -> 0
on_response_headers get_property -> 0 "a=b%20c%0D%0Ad%00"
on_response_headers set_property -> 0
on_response_headers get_property -> 0 "a\x0d\x0a\x00b"



=== TEST 7: a variable that cannot be written is NotFound, with a warning, and stays
--- script
on_request_headers set_property remote_addr 1.2.3.4
on_request_headers get_property remote_addr
on_request_headers set_property request_method PUT
on_request_headers set_property ngx.server_port 1
on_request_headers set_property connection 5
--- location
content_by_lua_block { ngx.say(ngx.var.remote_addr, " ", ngx.var.request_method) }
--- response_body
127.0.0.1 GET
--- log
proxy_set_property: "remote_addr" cannot be changed
on_request_headers set_property -> 1
on_request_headers get_property -> 0 "127.0.0.1"
proxy_set_property: "request_method" cannot be changed
on_request_headers set_property -> 1
proxy_set_property: "ngx.server_port" cannot be changed
on_request_headers set_property -> 1
proxy_set_property: "connection" cannot be changed
on_request_headers set_property -> 1



=== TEST 8: APISIX's switches are variables
--- script
on_request_headers set_property wasm_process_req_body true
on_response_headers set_property wasm_process_resp_body true
--- location
set $wasm_process_req_body "";
set $wasm_process_resp_body "";
content_by_lua_block { ngx.say(ngx.var.wasm_process_req_body) }
--- response_body
true
--- log
on_request_headers set_property -> 0
on_response_headers set_property -> 0



=== TEST 9: a path that nginx has nothing for is kept for the request, until its end
--- script
on_request_headers set_property my.own.path value
on_request_headers get_property my.own.path
on_request_headers set_property unknown one
on_request_headers set_property unknown two
on_request_headers set_property empty ""
on_response_headers get_property unknown
on_response_headers get_property path:"my\0own\0path\0"
on_log get_property my.own.path
on_log get_property empty
on_log get_property my.own
--- log
on_request_headers set_property -> 0
on_request_headers get_property -> 0 "value"
on_request_headers set_property -> 0
on_request_headers set_property -> 0
on_request_headers set_property -> 0
on_response_headers get_property -> 0 "two"
on_response_headers get_property -> 0 "value"
on_log get_property -> 0 "value"
on_log get_property -> 0 null
on_log get_property -> 1



=== TEST 10: what is kept is for that plugin alone
--- script
on_request_headers set_property my.secret value
on_request_headers set_property secret value
--- second
{ path = guests .. "script.wasm", name = "second", conf = [[
on_request_headers get_property my.secret
on_request_headers get_property secret
on_request_headers set_property secret other]] },
{ path = guests .. "script.wasm", conf = [[
on_response_headers get_property secret]] },
--- log
on_request_headers set_property -> 0
on_request_headers set_property -> 0
second: on_request_headers get_property -> 1
second: on_request_headers get_property -> 1
second: on_request_headers set_property -> 0
on_response_headers get_property -> 1



=== TEST 11: what is kept is for that request alone
--- script
on_request_headers get_property mine
on_request_headers set_property mine value
--- request eval
[ "GET /t?1", "GET /t?2" ]
--- log
on_request_headers get_property -> 1
on_request_headers set_property -> 0



=== TEST 12: more than a plugin can keep is NotFound, and what it has stays
--- script
on_request_headers set_property small 1
on_request_headers raw set_property %scratch 10 0 1200000
on_request_headers get_property small
on_request_headers grow 64
on_request_headers raw set_property %scratch 10 0 1048576
on_request_headers raw set_property %scratch 10 0 1000000
on_request_headers raw set_property %scratch 10 0 1000001
on_request_headers raw set_property %scratch 11 0 100000
on_request_headers raw set_property %scratch 10 0 10
on_request_headers raw set_property %scratch 11 0 100000
on_request_headers get_property small
--- log_of: set|small|get
--- log eval
qr/\A.*set_property -> 0
.*raw set_property -> [16]
.*get_property -> 0 "1"
.*raw set_property -> 1
.*raw set_property -> 0
.*raw set_property -> 0
.*raw set_property -> 1
.*raw set_property -> 0
.*raw set_property -> 0
.*get_property -> 0 "1"
\z/



=== TEST 13: an attribute cannot be written, and a warning says so
--- script
on_request_headers set_property request.path /other
on_request_headers set_property source.address 1.2.3.4:5
on_request_headers set_property response.code 200
on_request_headers set_property request.headers.x-a 1
on_request_headers get_property request.path
on_request_headers get_header_map_value 0 x-a
--- log
proxy_set_property: "request.path" cannot be changed
on_request_headers set_property -> 1
proxy_set_property: "source.address" cannot be changed
on_request_headers set_property -> 1
proxy_set_property: "response.code" cannot be changed
on_request_headers set_property -> 1
proxy_set_property: "request.headers.x-a" cannot be changed
on_request_headers set_property -> 1
on_request_headers get_property -> 0 "/t"
on_request_headers get_header_map_value -> 1



=== TEST 14: the plugin's own properties are there in every callback, and cannot be written
--- options: name = "named", root_id = "my root", vm_id = "my vm", vm_config = "on_vm_start get_property plugin_root_id",
--- script
on_configure get_property plugin_name
on_configure get_property plugin_root_id
on_configure get_property plugin_vm_id
on_configure set_property plugin_name x
on_request_headers get_property plugin_name
on_request_headers get_property plugin_root_id
on_request_headers get_property plugin_vm_id
on_request_headers set_property plugin_name x
on_request_headers set_property path:"plugin_root_id\0" x
on_log get_property path:"plugin_root_id\0"
--- log
named: on_vm_start get_property -> 0 "my root"
named: on_configure get_property -> 0 "named"
named: on_configure get_property -> 0 "my root"
named: on_configure get_property -> 0 "my vm"
named: on_configure set_property -> 1
named: on_request_headers get_property -> 0 "named"
named: on_request_headers get_property -> 0 "my root"
named: on_request_headers get_property -> 0 "my vm"
named: on_request_headers set_property -> 1
named: on_request_headers set_property -> 1
named: on_log get_property -> 0 "my root"



=== TEST 15: without a root id the plugin's name is it where the module holds it, else it is empty
--- script
on_configure get_property plugin_root_id
on_configure get_property plugin_vm_id
--- second
{ path = guests .. "script.wasm", name = "nowhere in the module", conf = "on_configure get_property plugin_root_id" },
{ path = guests .. "script.wasm", name = "get_property", conf = "on_configure get_property plugin_root_id" },
--- log
on_configure get_property -> 0 "script"
on_configure get_property -> 0 null
nowhere in the module: on_configure get_property -> 0 null
get_property: on_configure get_property -> 0 "get_property"



=== TEST 16: outside a request there are no variables, and nothing is kept
--- script
on_configure get_property remote_addr
on_configure get_property request.path
on_configure set_property mine value
on_configure get_property mine
--- log
on_configure get_property -> 1
on_configure get_property -> 1
on_configure set_property -> 1
on_configure get_property -> 1



=== TEST 17: an internal redirect changes neither what is kept nor the request
--- script
on_request_headers set_property mine value
on_response_headers get_property mine
on_response_headers get_property uri
on_log get_property mine
--- location
content_by_lua_block { ngx.exec("/other") }
--- config
location /other {
    header_filter_by_lua_block { chain:header_filter() }
    return 200 "other\n";
}
--- response_body
other
--- log
on_request_headers set_property -> 0
on_response_headers get_property -> 0 "value"
on_response_headers get_property -> 0 "/other"
on_log get_property -> 0 "value"



=== TEST 18: each ABI version reads and writes properties
--- guest: script-0-1-0.wasm
--- script
on_request_headers get_property remote_addr
on_request_headers get_property none
on_request_headers set_property mine 1
on_request_headers get_property mine
--- log
on_request_headers get_property -> 0 "127.0.0.1"
on_request_headers get_property -> 1
on_request_headers set_property -> 0
on_request_headers get_property -> 0 "1"



=== TEST 19: pointers outside memory are an InvalidMemoryAccess
--- script
on_request_headers raw get_property %memory 1 %scratch %scratch+4
on_request_headers raw get_property %scratch -1 %scratch %scratch+4
on_request_headers raw get_property %scratch 1 %memory %scratch+4
on_request_headers raw get_property %scratch 1 %scratch -2
on_request_headers raw set_property %memory 1 %scratch 1
on_request_headers raw set_property %scratch 1 %memory 1
on_request_headers raw set_property %scratch 1 -1 2
--- log
on_request_headers raw get_property -> 6
on_request_headers raw get_property -> 6
on_request_headers raw get_property -> 6
on_request_headers raw get_property -> 6
on_request_headers raw set_property -> 6
on_request_headers raw set_property -> 6
on_request_headers raw set_property -> 6

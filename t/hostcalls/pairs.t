# Serialized maps that lie: t/plugins/wat/pairs-lie.wat.

use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a count of 2^32-1 with nothing behind it
--- guest: pairs-lie.wat
--- script: a
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 2: a key of 2^32-1 bytes
--- guest: pairs-lie.wat
--- script: b
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 3: two pairs announced, one there
--- guest: pairs-lie.wat
--- script: c
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 4: three bytes: not even a count
--- guest: pairs-lie.wat
--- script: d
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 5: no NUL after key and value
--- guest: pairs-lie.wat
--- script: e
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 6: bytes behind the last pair
--- guest: pairs-lie.wat
--- script: f
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 7: a count whose lengths take 2^32 bytes
--- guest: pairs-lie.wat
--- script: g
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 8: lengths whose sum wraps
--- guest: pairs-lie.wat
--- script: h
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 9: a size beyond the memory
--- guest: pairs-lie.wat
--- script: i
--- log
set_header_map_pairs -> 6
send_local_response -> 6



=== TEST 10: an empty key is no header's: refused among headers, left out of a response
--- guest: pairs-lie.wat
--- script: j
--- error_code: 400
--- log
set_header_map_pairs -> 2
proxy_send_local_response: header "" is malformed and left out
send_local_response -> 0
--- no_error_log
[crit]



=== TEST 11: an empty map as one zero byte is right
--- guest: pairs-lie.wat
--- script: k
--- error_code: 400
--- log
set_header_map_pairs -> 0
send_local_response -> 0



=== TEST 12: a count of 0 is right
--- guest: pairs-lie.wat
--- script: l
--- error_code: 400
--- log
set_header_map_pairs -> 0
send_local_response -> 0



=== TEST 13: a line break in a value is refused among headers and left out of a response
--- guest: pairs-lie.wat
--- script: m
--- error_code: 400
--- response_headers
! x-m
! x-n
--- log
set_header_map_pairs -> 2
proxy_send_local_response: header "x-m" is malformed and left out
send_local_response -> 0
--- no_error_log
[crit]



=== TEST 14: one pair is right
--- guest: pairs-lie.wat
--- script: n
--- error_code: 400
--- response_headers
x-fair: v
--- log
set_header_map_pairs -> 0
send_local_response -> 0



=== TEST 15: a map that lies changes no header
--- script
on_request_headers set_header_map_pairs 0 bytes:"\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\xff\x00\x00\x00k\x00v\x00l\x00w\x00"
on_request_headers get_header_map_value 0 k
on_request_headers get_header_map_value 0 x-a
on_response_headers set_header_map_pairs 2 bytes:"\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00k\x00v\x01"
on_response_headers get_header_map_value 2 k
on_response_headers get_header_map_value 2 content-type
--- more_headers
X-A: 1
--- response_headers
! k
Content-Type: text/plain
--- log
on_request_headers set_header_map_pairs -> 6
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_value -> 0 "1"
on_response_headers set_header_map_pairs -> 6
on_response_headers get_header_map_value -> 1
on_response_headers get_header_map_value -> 0 "text/plain"



=== TEST 16: a call's headers and trailers that lie are a BadArgument: a count of 2^32-1
--- guest: pairs-lie.wat
--- script: A
--- log
http_call headers -> 2
http_call trailers -> 2



=== TEST 17: and two pairs announced, one there
--- guest: pairs-lie.wat
--- script: C
--- log
http_call headers -> 2
http_call trailers -> 2



=== TEST 18: and lengths whose sum wraps
--- guest: pairs-lie.wat
--- script: H
--- log
http_call headers -> 2
http_call trailers -> 2



=== TEST 19: a size beyond the memory is an InvalidMemoryAccess there too
--- guest: pairs-lie.wat
--- script: I
--- log
http_call headers -> 6
http_call trailers -> 6

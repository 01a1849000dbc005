use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: calls are numbered, and one of an upstream that is none or with a header that none may have is a BadArgument
--- script
on_configure http_call 127.0.0.1:1 (:method=GET :path=/ :authority=a) body (x=y) 100
on_request_headers http_call 127.0.0.1:1 (:method=GET :path=/ :authority=a) "" () 100
on_request_headers http_call "" (:method=GET :path=/ :authority=a) "" () 100
on_request_headers http_call 127.0.0.1:0 (:method=GET :path=/ :authority=a) "" () 100
on_request_headers http_call 127.0.0.1:1 (:method=GET :path=/ "a b=c") "" () 100
on_request_headers http_call 127.0.0.1:1 (:method=GET :path=/) "" () -1
--- response_body
hello
--- error_log_allowed
--- log_of: on_
--- log
on_configure http_call -> 0 1
on_request_headers http_call -> 0 2
on_request_headers http_call -> 2
on_request_headers http_call -> 2
on_request_headers http_call -> 2
on_request_headers http_call -> 2



=== TEST 2: headers or trailers that do not parse are a BadArgument
--- script
on_request_headers http_call 127.0.0.1:1 bytes:"\x01\x00\x00" "" () 100
on_request_headers http_call 127.0.0.1:1 (:method=GET :path=/ :authority=a) "" bytes:"\x01\x00\x00\x00\x01" 100
--- log
on_request_headers http_call -> 2
on_request_headers http_call -> 2



=== TEST 3: the status of a call is 0 where none is reported
--- script
on_configure get_status
on_request_headers get_status
on_log get_status
--- log
on_configure get_status -> 0 0 null
on_request_headers get_status -> 0 0 null
on_log get_status -> 0 0 null



=== TEST 4: pointers outside memory are an InvalidMemoryAccess
--- script
on_request_headers raw http_call %memory 1 0 0 0 0 0 0 100 %scratch
on_request_headers raw http_call %scratch 1 %memory 1 0 0 0 0 100 %scratch
on_request_headers raw http_call %scratch 1 0 0 %scratch -1 0 0 100 %scratch
on_request_headers raw http_call %scratch 1 0 0 0 0 %memory 1 100 %scratch
on_request_headers raw http_call %scratch 1 0 0 0 0 0 0 100 %memory
on_request_headers raw get_status %memory %scratch %scratch+4
on_request_headers raw get_status %scratch -1 %scratch+4
on_request_headers raw get_status %scratch %scratch+4 -3
--- log
on_request_headers raw http_call -> 6
on_request_headers raw http_call -> 6
on_request_headers raw http_call -> 6
on_request_headers raw http_call -> 6
on_request_headers raw http_call -> 6
on_request_headers raw get_status -> 6
on_request_headers raw get_status -> 6
on_request_headers raw get_status -> 6



=== TEST 5: outside a call's callback there is no response to it
--- script
on_request_headers get_header_map_value 6 :status
on_request_headers get_header_map_pairs 6
on_request_headers get_buffer_bytes 4 0 100
on_request_headers get_buffer_status 4
--- log
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_pairs -> 0 null
on_request_headers get_buffer_bytes -> 1
on_request_headers get_buffer_status -> 1

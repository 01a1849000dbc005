use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: calls and streams are numbered, and one of an upstream that is none is a ParseFailure
--- script
on_request_headers grpc_call 127.0.0.1:1 service method () message 100
on_request_headers grpc_stream 127.0.0.1:1 service method ()
on_request_headers grpc_call 127.0.0.1:0 service method () message 100
on_request_headers grpc_stream "" service method ()
on_configure grpc_call 127.0.0.1:1 service method (x=y) "" 100
--- response_body
hello
--- error_log_allowed
--- log_of: on_
--- log
on_configure grpc_call -> 0 1
on_request_headers grpc_call -> 0 2
on_request_headers grpc_stream -> 0 3
on_request_headers grpc_call -> 4
on_request_headers grpc_stream -> 4



=== TEST 2: a call that is not there is NotFound
--- script
on_request_headers grpc_send 1 message 0
on_request_headers grpc_send 0 "" 1
on_request_headers grpc_cancel 1
on_request_headers grpc_close 1
on_configure grpc_cancel 4294967295
--- log
on_configure grpc_cancel -> 1
on_request_headers grpc_send -> 1
on_request_headers grpc_send -> 1
on_request_headers grpc_cancel -> 1
on_request_headers grpc_close -> 1



=== TEST 3: outside a call's callback there is no response to it
--- script
on_request_headers get_buffer_bytes 5 0 100
on_request_headers get_header_map_value 4 x
on_request_headers get_header_map_pairs 5
--- log
on_request_headers get_buffer_bytes -> 1
on_request_headers get_header_map_value -> 1
on_request_headers get_header_map_pairs -> 0 null



=== TEST 4: pointers outside memory are an InvalidMemoryAccess
--- script
on_request_headers raw grpc_call %memory 1 0 0 0 0 0 0 0 0 100 %scratch
on_request_headers raw grpc_call 0 0 %memory 1 0 0 0 0 0 0 100 %scratch
on_request_headers raw grpc_call 0 0 0 0 %memory 1 0 0 0 0 100 %scratch
on_request_headers raw grpc_call 0 0 0 0 0 0 %memory 1 0 0 100 %scratch
on_request_headers raw grpc_call 0 0 0 0 0 0 0 0 %memory 1 100 %scratch
on_request_headers raw grpc_call 0 0 0 0 0 0 0 0 0 0 100 %memory
on_request_headers raw grpc_stream 0 0 0 0 0 0 0 0 %memory
on_request_headers raw grpc_stream 0 0 0 0 0 0 %scratch -1 %scratch
on_request_headers raw grpc_send 1 %memory 1 0
--- log
on_request_headers raw grpc_call -> 6
on_request_headers raw grpc_call -> 6
on_request_headers raw grpc_call -> 6
on_request_headers raw grpc_call -> 6
on_request_headers raw grpc_call -> 6
on_request_headers raw grpc_call -> 6
on_request_headers raw grpc_stream -> 6
on_request_headers raw grpc_stream -> 6
on_request_headers raw grpc_send -> 6

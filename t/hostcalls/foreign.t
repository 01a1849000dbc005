use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: Envoy's clear_route_cache is there, in a request and outside one
--- script
on_configure call_foreign_function clear_route_cache
on_request_headers call_foreign_function clear_route_cache
on_request_headers call_foreign_function clear_route_cache arguments
--- response_body
hello
--- log
on_configure call_foreign_function -> 0 null
on_request_headers call_foreign_function -> 0 null
on_request_headers call_foreign_function -> 0 null



=== TEST 2: a function that the host does not have is NotFound
--- script
on_request_headers call_foreign_function none
on_request_headers call_foreign_function "" arguments
on_request_headers call_foreign_function "clear_route_cache\0"
on_request_headers call_foreign_function CLEAR_ROUTE_CACHE
--- log
on_request_headers call_foreign_function -> 1
on_request_headers call_foreign_function -> 1
on_request_headers call_foreign_function -> 1
on_request_headers call_foreign_function -> 1



=== TEST 3: a plugin need not want results
--- script
on_request_headers poke 0 clear_route_cache
on_request_headers raw call_foreign_function %scratch 17 0 0 0 0
on_request_headers raw call_foreign_function %scratch 5 0 0 0 0
--- log
on_request_headers raw call_foreign_function -> 0
on_request_headers raw call_foreign_function -> 1



=== TEST 4: pointers outside memory are an InvalidMemoryAccess
--- script
on_request_headers poke 0 clear_route_cache
on_request_headers raw call_foreign_function %memory 17 0 0 %scratch+32 %scratch+36
on_request_headers raw call_foreign_function %scratch 17 %memory 1 %scratch+32 %scratch+36
on_request_headers raw call_foreign_function %scratch 17 0 0 %memory %scratch+36
on_request_headers raw call_foreign_function %scratch 17 0 0 %scratch+32 -3
--- log
on_request_headers raw call_foreign_function -> 6
on_request_headers raw call_foreign_function -> 6
on_request_headers raw call_foreign_function -> 6
on_request_headers raw call_foreign_function -> 6



=== TEST 5: outside proxy_on_foreign_function there are no arguments to read
--- script
on_request_headers call_foreign_function clear_route_cache arguments
on_request_headers get_buffer_bytes 8 0 100
on_request_headers set_buffer_bytes 8 0 0 x
--- log
on_request_headers call_foreign_function -> 0 null
on_request_headers get_buffer_bytes -> 1
on_request_headers set_buffer_bytes -> 2

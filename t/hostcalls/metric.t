use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a counter counts
--- script
on_request_headers as c define_metric 0 requests
on_request_headers get_metric %c
on_request_headers increment_metric %c 1
on_request_headers increment_metric %c 41
on_request_headers increment_metric %c 0
on_request_headers get_metric %c
on_request_headers record_metric %c 7
on_request_headers get_metric %c
--- log_of: _metric ->
--- log
on_request_headers get_metric -> 0 0
on_request_headers increment_metric -> 0
on_request_headers increment_metric -> 0
on_request_headers increment_metric -> 0
on_request_headers get_metric -> 0 42
on_request_headers record_metric -> 0
on_request_headers get_metric -> 0 7



=== TEST 2: a counter does not go down
--- script
on_request_headers as c define_metric 0 requests
on_request_headers increment_metric %c 5
on_request_headers increment_metric %c -1
on_request_headers increment_metric %c -9223372036854775808
on_request_headers get_metric %c
--- log_of: _metric ->
--- log
on_request_headers increment_metric -> 0
on_request_headers increment_metric -> 2
on_request_headers increment_metric -> 2
on_request_headers get_metric -> 0 5



=== TEST 3: a gauge goes both ways
--- script
on_request_headers as g define_metric 1 load
on_request_headers record_metric %g 100
on_request_headers increment_metric %g -58
on_request_headers get_metric %g
on_request_headers increment_metric %g 8
on_request_headers get_metric %g
--- log_of: _metric ->
--- log
on_request_headers record_metric -> 0
on_request_headers increment_metric -> 0
on_request_headers get_metric -> 0 42
on_request_headers increment_metric -> 0
on_request_headers get_metric -> 0 50



=== TEST 4: a gauge below zero comes back to where it was
--- script
on_request_headers as g define_metric 1 load
on_request_headers increment_metric %g -5
on_request_headers increment_metric %g 7
on_request_headers get_metric %g
--- log_of: _metric ->
--- log
on_request_headers increment_metric -> 0
on_request_headers increment_metric -> 0
on_request_headers get_metric -> 0 2



=== TEST 5: values have 64 bits
--- script
on_request_headers as g define_metric 1 load
on_request_headers record_metric %g 0x123456789abcdef0
on_request_headers get_metric %g
--- log_of: _metric ->
--- log
on_request_headers record_metric -> 0
on_request_headers get_metric -> 0 1311768467463790320



=== TEST 6: a histogram is recorded, tells how often, and cannot be incremented
--- script
on_request_headers as h define_metric 2 latency
on_request_headers record_metric %h 10
on_request_headers record_metric %h 1000
on_request_headers increment_metric %h 1
on_request_headers get_metric %h
--- log_of: _metric ->
--- log
on_request_headers record_metric -> 0
on_request_headers record_metric -> 0
on_request_headers increment_metric -> 2
on_request_headers get_metric -> 0 2



=== TEST 7: a metric defined again is the same and keeps its value, with another type it is a BadArgument
--- script
on_request_headers as c define_metric 0 requests
on_request_headers increment_metric %c 5
on_request_headers as again define_metric 0 requests
on_request_headers as gauge define_metric 1 requests
on_request_headers as other define_metric 0 others
on_request_headers get_metric %again
on_request_headers get_metric %other
--- log eval
qr/\Aon_request_headers c -> 0 (\d+)
on_request_headers increment_metric -> 0
on_request_headers again -> 0 \1
on_request_headers gauge -> 2
on_request_headers other -> 0 (?!\1\n)\d+
on_request_headers get_metric -> 0 5
on_request_headers get_metric -> 0 0
\z/



=== TEST 8: a type that is none is a BadArgument
--- script
on_request_headers define_metric 3 x
on_request_headers define_metric -1 x
--- log
on_request_headers define_metric -> 2
on_request_headers define_metric -> 2



=== TEST 9: a metric that is not there is NotFound
--- script
on_request_headers as c define_metric 0 requests
on_request_headers get_metric 0
on_request_headers get_metric 123456
on_request_headers get_metric -1
on_request_headers record_metric 123456 1
on_request_headers increment_metric 123456 1
--- log_of: _metric ->
--- log
on_request_headers get_metric -> 1
on_request_headers get_metric -> 1
on_request_headers get_metric -> 1
on_request_headers record_metric -> 1
on_request_headers increment_metric -> 1



=== TEST 10: metrics outlive requests, and each plugin has its own
--- script
on_configure as c define_metric 0 requests
on_log increment_metric %c 1
on_log get_metric %c
--- second
{ path = guests .. "script.wasm", name = "second", vm_id = "another", conf = [[
on_configure as c define_metric 0 requests
on_request_headers increment_metric %c 10]] },
--- request eval
[ "GET /t?1", "GET /t?2" ]
--- log_of: get_metric ->
--- log eval
qr/\Aon_log get_metric -> 0 [12]
\z/



=== TEST 11: each ABI version counts
--- guest: script-0-1-0.wasm
--- script
on_request_headers as c define_metric 0 requests
on_request_headers increment_metric %c 3
on_request_headers get_metric %c
--- log_of: _metric ->
--- log
on_request_headers increment_metric -> 0
on_request_headers get_metric -> 0 3



=== TEST 12: pointers outside memory are an InvalidMemoryAccess
--- script
on_request_headers as c define_metric 0 requests
on_request_headers raw define_metric 0 %memory 1 %scratch
on_request_headers raw define_metric 0 %scratch -1 %scratch
on_request_headers raw define_metric 0 %scratch 1 %memory
on_request_headers raw get_metric %c %memory
on_request_headers raw get_metric %c -4
--- log_of: _metric ->
--- log
on_request_headers raw define_metric -> 6
on_request_headers raw define_metric -> 6
on_request_headers raw define_metric -> 6
on_request_headers raw get_metric -> 6
on_request_headers raw get_metric -> 6

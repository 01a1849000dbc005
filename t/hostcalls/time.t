use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: the time is nanoseconds since 1970, in every callback
--- script
on_configure get_current_time_nanoseconds
on_request_headers get_current_time_nanoseconds
on_log get_current_time_nanoseconds
--- location
content_by_lua_block { ngx.print(ngx.time()) }
--- log eval
my $now = time;
my $prefix = substr $now, 0, 7;
qr/\Aon_configure get_current_time_nanoseconds -> 0 $prefix\d{12}
on_request_headers get_current_time_nanoseconds -> 0 $prefix\d{12}
on_log get_current_time_nanoseconds -> 0 $prefix\d{12}
\z/



=== TEST 2: it agrees with WASI's clocks and does not run backwards
--- script
on_configure time
on_request_headers time
--- log
on_configure time ok
on_request_headers time ok



=== TEST 3: a tick period can be set, changed and stopped from anywhere
--- script
on_configure set_tick_period_milliseconds 100000
on_configure set_tick_period_milliseconds 0
on_request_headers set_tick_period_milliseconds -1
on_request_headers set_tick_period_milliseconds 0
on_log set_tick_period_milliseconds 0
--- log
on_configure set_tick_period_milliseconds -> 0
on_configure set_tick_period_milliseconds -> 0
on_request_headers set_tick_period_milliseconds -> 0
on_request_headers set_tick_period_milliseconds -> 0
on_log set_tick_period_milliseconds -> 0



=== TEST 4: pointers outside memory are an InvalidMemoryAccess
--- script
on_request_headers raw get_current_time_nanoseconds %memory
on_request_headers raw get_current_time_nanoseconds %memory-7
on_request_headers raw get_current_time_nanoseconds -4
on_request_headers raw get_current_time_nanoseconds %memory-8
--- log
on_request_headers raw get_current_time_nanoseconds -> 6
on_request_headers raw get_current_time_nanoseconds -> 6
on_request_headers raw get_current_time_nanoseconds -> 6
on_request_headers raw get_current_time_nanoseconds -> 0

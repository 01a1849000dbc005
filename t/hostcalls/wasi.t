use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: stdout is logged at info, stderr at error, with the plugin's name
--- script
on_configure stdout "from the configuration"
on_request_headers stdout "to stdout"
on_request_headers stderr "to stderr"
--- error_log eval
[
qr/\[info\] \d+#\d+: proxy-wasm script: from the configuration/,
qr/\[info\] .*\*\d+ proxy-wasm script: to stdout, client/,
qr/\[error\] .*\*\d+ proxy-wasm script: to stderr, client/,
]
--- no_error_log
[crit]
[alert]



=== TEST 2: nothing written can pass for another record
--- script
on_request_headers stdout "one\nproxy-wasm auth: admin let in\x1b[0m"
--- error_log eval
[
qr/proxy-wasm script: one, client/,
qr/proxy-wasm script: .*proxy-wasm auth: admin let in\\x1B\[0m, client/,
]



=== TEST 3: a Rust panic's text is in the log, and the request ends with 500
--- script
on_request_headers panic "all is lost"
--- error_code: 500
--- error_log
all is lost
--- no_error_log
[alert]
[emerg]



=== TEST 4: proc_exit ends the request and not the worker
--- script
on_request_headers exit 3
--- error_code: 500
--- error_log
proc_exit(3)
--- no_error_log
[alert]
[emerg]



=== TEST 5: other files than the standard streams are BADF, and nothing is logged
--- script
on_request_headers wasi fd_write 0 0 0 %scratch
on_request_headers wasi fd_write 3 0 0 %scratch
on_request_headers wasi fd_write -1 0 0 %scratch
on_request_headers wasi fd_close 3
on_request_headers wasi fd_fdstat_get 3 %scratch
on_request_headers wasi fd_fdstat_set_flags 3 0
on_request_headers wasi fd_filestat_get 3 %scratch
on_request_headers wasi fd_pread 3 0 0 0 %scratch
on_request_headers wasi fd_prestat_get 3 %scratch
on_request_headers wasi fd_prestat_dir_name 3 %scratch 10
on_request_headers wasi fd_read 3 0 0 %scratch
on_request_headers wasi fd_readdir 3 %scratch 10 0 %scratch
on_request_headers wasi fd_seek 3 0 0 %scratch
on_request_headers wasi path_open 3 0 %scratch 1 0 0 0 0 %scratch
on_request_headers wasi path_filestat_get 3 0 %scratch 1 %scratch
--- log
on_request_headers wasi fd_write -> 8
on_request_headers wasi fd_write -> 8
on_request_headers wasi fd_write -> 8
on_request_headers wasi fd_close -> 8
on_request_headers wasi fd_fdstat_get -> 8
on_request_headers wasi fd_fdstat_set_flags -> 8
on_request_headers wasi fd_filestat_get -> 8
on_request_headers wasi fd_pread -> 8
on_request_headers wasi fd_prestat_get -> 8
on_request_headers wasi fd_prestat_dir_name -> 8
on_request_headers wasi fd_read -> 8
on_request_headers wasi fd_readdir -> 8
on_request_headers wasi fd_seek -> 8
on_request_headers wasi path_open -> 8
on_request_headers wasi path_filestat_get -> 8



=== TEST 6: the standard streams are character devices that nobody can seek in or close
--- script
on_request_headers wasi fd_fdstat_get 1 %scratch
on_request_headers peek 0 1
on_request_headers wasi fd_seek 1 0 0 %scratch
on_request_headers wasi fd_read 0 0 0 %scratch
on_request_headers wasi fd_close 1
on_request_headers wasi fd_fdstat_set_flags 2 0
on_request_headers wasi fd_write 1 0 0 %scratch
on_request_headers wasi path_open 0 0 %scratch 1 0 0 0 0 %scratch
on_request_headers stdout "still there"
--- log
on_request_headers wasi fd_fdstat_get -> 0
on_request_headers peek "\x02"
on_request_headers wasi fd_seek -> 70
on_request_headers wasi fd_read -> 0
on_request_headers wasi fd_close -> 0
on_request_headers wasi fd_fdstat_set_flags -> 0
on_request_headers wasi fd_write -> 0
on_request_headers wasi path_open -> 54
still there



=== TEST 7: the environment is what the plugin was given, and nothing of the worker's
--- main_config
env SECRET=of-the-worker;
env PATH;
--- options: env = { MINE = "my own", EMPTY = "" },
--- script
on_configure env MINE
on_request_headers env MINE
on_request_headers env EMPTY
on_request_headers env SECRET
on_request_headers env PATH
--- second
{ path = guests .. "script.wasm", name = "second", conf = "on_request_headers env MINE" },
--- log
on_configure env MINE "my own"
on_request_headers env MINE "my own"
on_request_headers env EMPTY ""
on_request_headers env SECRET unset
on_request_headers env PATH unset
second: on_request_headers env MINE unset



=== TEST 8: there are no arguments
--- script
on_request_headers poke 0 "\xff\xff\xff\xff\xff\xff\xff\xff"
on_request_headers wasi args_sizes_get %scratch %scratch+4
on_request_headers peek 0 8
on_request_headers wasi args_get
--- log
on_request_headers wasi args_sizes_get -> 0
on_request_headers peek "\x00\x00\x00\x00\x00\x00\x00\x00"
on_request_headers wasi args_get -> 0



=== TEST 9: random numbers are, each time
--- script
on_configure random
on_request_headers random
on_request_headers random
--- log eval
qr/\Aon_configure random ([0-9a-f]{16})
on_request_headers random (?!\1\n)([0-9a-f]{16})
on_request_headers random (?!\1\n|\2\n|0{16}\n)[0-9a-f]{16}
\z/



=== TEST 10: too much randomness at once is INVAL
--- script
on_request_headers wasi random_get %scratch 4096
on_request_headers wasi random_get 0 0
on_request_headers wasi random_get %scratch 65537
--- log
on_request_headers wasi random_get -> 0
on_request_headers wasi random_get -> 0
on_request_headers wasi random_get -> 28



=== TEST 11: the clocks are real time and monotonic time, others are NOTSUP
--- script
on_request_headers wasi clock_time_get 0 1 %scratch
on_request_headers wasi clock_time_get 1 1 %scratch
on_request_headers wasi clock_time_get 2 1 %scratch
on_request_headers wasi clock_time_get -1 1 %scratch
on_request_headers wasi clock_res_get 0 %scratch
on_request_headers wasi clock_res_get 3 %scratch
on_request_headers time
--- log
on_request_headers wasi clock_time_get -> 0
on_request_headers wasi clock_time_get -> 0
on_request_headers wasi clock_time_get -> 58
on_request_headers wasi clock_time_get -> 58
on_request_headers wasi clock_res_get -> 0
on_request_headers wasi clock_res_get -> 58
on_request_headers time ok



=== TEST 12: waiting does not hold up the worker
--- script
on_request_headers wasi poll_oneoff
on_request_headers wasi sched_yield
--- log
on_request_headers wasi poll_oneoff -> 0
on_request_headers wasi sched_yield -> 0



=== TEST 13: pointers outside memory are a FAULT
--- script
on_request_headers wasi fd_write 1 %memory 1 %scratch
on_request_headers wasi fd_write 1 0 0 %memory
on_request_headers poke 0 "\xff\xff\xff\xff\x08\x00\x00\x00"
on_request_headers wasi fd_write 1 %scratch 1 %scratch+16
on_request_headers wasi random_get %memory 1
on_request_headers wasi random_get -1 2
on_request_headers wasi clock_time_get 0 1 %memory
on_request_headers wasi clock_res_get 0 -4
on_request_headers wasi environ_sizes_get %memory %scratch
on_request_headers wasi args_sizes_get %scratch %memory
on_request_headers wasi fd_fdstat_get 1 %memory
--- log
on_request_headers wasi fd_write -> 21
on_request_headers wasi fd_write -> 21
on_request_headers wasi fd_write -> 21
on_request_headers wasi random_get -> 21
on_request_headers wasi random_get -> 21
on_request_headers wasi clock_time_get -> 21
on_request_headers wasi clock_res_get -> 21
on_request_headers wasi environ_sizes_get -> 21
on_request_headers wasi args_sizes_get -> 21
on_request_headers wasi fd_fdstat_get -> 21

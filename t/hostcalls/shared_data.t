use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: a value is kept, and each change gives it another number
--- script
on_request_headers get_shared_data key
on_request_headers set_shared_data key one
on_request_headers as one get_shared_data key
on_request_headers set_shared_data key two
on_request_headers as two get_shared_data key
--- log eval
qr/\Aon_request_headers get_shared_data -> 1
on_request_headers set_shared_data -> 0
on_request_headers one -> 0 "one" ([1-9]\d*)
on_request_headers set_shared_data -> 0
on_request_headers two -> 0 "two" (?!\1\n)[1-9]\d*
\z/



=== TEST 2: only the number that was got changes a value, and only once
--- script
on_request_headers set_shared_data key one
on_request_headers get_shared_data key
on_request_headers as right set_shared_data key two %last
on_request_headers as late set_shared_data key three %last
on_request_headers as wrong set_shared_data key three 4000000000
on_request_headers get_shared_data key
on_request_headers as any set_shared_data key three 0
on_request_headers get_shared_data key
--- log eval
qr/\Aon_request_headers set_shared_data -> 0
on_request_headers get_shared_data -> 0 "one" \d+
on_request_headers right -> 0
on_request_headers late -> 8
on_request_headers wrong -> 8
on_request_headers get_shared_data -> 0 "two" \d+
on_request_headers any -> 0
on_request_headers get_shared_data -> 0 "three" \d+
\z/



=== TEST 3: values and keys hold any bytes, or none
--- script
on_request_headers set_shared_data "a\0b" "c\0\xff"
on_request_headers set_shared_data "a\0" ""
on_request_headers set_shared_data "" nameless
on_request_headers get_shared_data "a\0b"
on_request_headers get_shared_data "a\0"
on_request_headers get_shared_data ""
on_request_headers get_shared_data a
--- log eval
qr/\A(?:on_request_headers set_shared_data -> 0\n){3}on_request_headers get_shared_data -> 0 "c\\x00\\xff" \d+
on_request_headers get_shared_data -> 0 null \d+
on_request_headers get_shared_data -> 0 "nameless" \d+
on_request_headers get_shared_data -> 1
\z/



=== TEST 4: what a request keeps the next one finds, in every callback
--- script
on_configure set_shared_data key 0
on_request_headers get_shared_data key
on_log set_shared_data key %0
on_delete get_shared_data key
--- request eval
[ "GET /t?1", "GET /t?2" ]
--- log eval
qr/\Aon_configure set_shared_data -> 0
on_request_headers get_shared_data -> 0 "0" \d+
on_log set_shared_data -> 0
on_delete get_shared_data -> 0 "2" \d+
\z|\Aon_request_headers get_shared_data -> 0 "2" \d+
on_log set_shared_data -> 0
on_delete get_shared_data -> 0 "2" \d+
\z/



=== TEST 5: plugins share data where they have the same VM id
--- options: vm_id = "one",
--- script
on_request_headers set_shared_data key value
--- second
{ path = guests .. "script.wasm", name = "same", vm_id = "one", conf = "on_request_headers get_shared_data key" },
{ path = guests .. "script.wasm", name = "other", vm_id = "two", conf = "on_request_headers get_shared_data key" },
{ path = guests .. "script.wasm", name = "none", conf = "on_request_headers get_shared_data key" },
--- log eval
qr/\Aon_request_headers set_shared_data -> 0
same: on_request_headers get_shared_data -> 0 "value" \d+
other: on_request_headers get_shared_data -> 1
none: on_request_headers get_shared_data -> 1
\z/



=== TEST 6: a value that does not fit is an InternalFailure, and the old one stays
--- script
on_request_headers set_shared_data key old
on_request_headers grow 1000
on_request_headers poke 0 key
on_request_headers raw set_shared_data %scratch 3 0 60000000 0
on_request_headers get_shared_data key
on_request_headers set_shared_data key new
on_request_headers get_shared_data key
--- log_of: shared
--- log eval
qr/\Aon_request_headers set_shared_data -> 0
proxy_set_shared_data: no room, nothing more is said until there is some
on_request_headers raw set_shared_data -> 10
on_request_headers get_shared_data -> 0 "old" \d+
on_request_headers set_shared_data -> 0
on_request_headers get_shared_data -> 0 "new" \d+
\z/



=== TEST 7: each ABI version shares data
--- guest: script-0-1-0.wasm
--- script
on_request_headers get_shared_data key
on_request_headers set_shared_data key one
on_request_headers get_shared_data key
on_request_headers set_shared_data key two 4000000000
--- log eval
qr/\Aon_request_headers get_shared_data -> 1
on_request_headers set_shared_data -> 0
on_request_headers get_shared_data -> 0 "one" \d+
on_request_headers set_shared_data -> 8
\z/



=== TEST 8: pointers outside memory are an InvalidMemoryAccess, and nothing changes
--- script
on_request_headers poke 0 key
on_request_headers set_shared_data key one
on_request_headers raw get_shared_data %memory 3 %scratch+8 %scratch+12 %scratch+16
on_request_headers raw get_shared_data %scratch 3 %memory %scratch+12 %scratch+16
on_request_headers raw get_shared_data %scratch 3 %scratch+8 %memory %scratch+16
on_request_headers raw get_shared_data %scratch 3 %scratch+8 %scratch+12 -3
on_request_headers raw set_shared_data %memory 3 %scratch 3 0
on_request_headers raw set_shared_data %scratch 3 %scratch -1 0
on_request_headers peek 8 4
on_request_headers allocations
on_request_headers get_shared_data key
--- log eval
qr/\Aon_request_headers set_shared_data -> 0
on_request_headers raw get_shared_data -> 6
on_request_headers raw get_shared_data -> 6
on_request_headers raw get_shared_data -> 6
on_request_headers raw get_shared_data -> 6
on_request_headers raw set_shared_data -> 6
on_request_headers raw set_shared_data -> 6
on_request_headers peek "\\x00\\x00\\x00\\x00"
on_request_headers allocations -> 0
on_request_headers get_shared_data -> 0 "one" \d+
\z/

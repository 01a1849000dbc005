use ProxyWasm 'no_plan';
use ProxyWasm::Script;

run_tests();

__DATA__

=== TEST 1: items come out in the order in which they went in
--- script
on_request_headers as queue register_shared_queue q
on_request_headers dequeue_shared_queue %queue
on_request_headers enqueue_shared_queue %queue one
on_request_headers enqueue_shared_queue %queue "two\0\xff"
on_request_headers enqueue_shared_queue %queue ""
on_request_headers dequeue_shared_queue %queue
on_request_headers dequeue_shared_queue %queue
on_request_headers dequeue_shared_queue %queue
on_request_headers dequeue_shared_queue %queue
--- log_of: queue_
--- log
on_request_headers dequeue_shared_queue -> 7
on_request_headers enqueue_shared_queue -> 0
on_request_headers enqueue_shared_queue -> 0
on_request_headers enqueue_shared_queue -> 0
on_request_headers dequeue_shared_queue -> 0 "one"
on_request_headers dequeue_shared_queue -> 0 "two\x00\xff"
on_request_headers dequeue_shared_queue -> 0 null
on_request_headers dequeue_shared_queue -> 7



=== TEST 2: a queue registered again is the same, another name is another
--- script
on_request_headers as a register_shared_queue a
on_request_headers enqueue_shared_queue %a item
on_request_headers as again register_shared_queue a
on_request_headers as b register_shared_queue b
on_request_headers dequeue_shared_queue %b
on_request_headers dequeue_shared_queue %again
--- log eval
qr/\Aon_request_headers a -> 0 (\d+)
on_request_headers enqueue_shared_queue -> 0
on_request_headers again -> 0 \1
on_request_headers b -> 0 (?!\1\n)\d+
on_request_headers dequeue_shared_queue -> 7
on_request_headers dequeue_shared_queue -> 0 "item"
\z/



=== TEST 3: a queue is resolved by VM id and name, where it is there, and its items are for that VM id
--- options: vm_id = "one",
--- script
on_request_headers resolve_shared_queue one q
on_request_headers as q register_shared_queue q
on_request_headers enqueue_shared_queue %q item
on_request_headers resolve_shared_queue one q
on_request_headers resolve_shared_queue two q
on_request_headers resolve_shared_queue "" q
on_request_headers resolve_shared_queue one none
--- second
{ path = guests .. "script.wasm", name = "second", vm_id = "two", conf = [[
on_request_headers as own register_shared_queue q
on_request_headers dequeue_shared_queue %own
on_request_headers as other resolve_shared_queue one q
on_request_headers dequeue_shared_queue %other]] },
--- log eval
qr/\Aon_request_headers resolve_shared_queue -> 1
on_request_headers q -> 0 (\d+)
on_request_headers enqueue_shared_queue -> 0
on_request_headers resolve_shared_queue -> 0 \1
on_request_headers resolve_shared_queue -> 1
on_request_headers resolve_shared_queue -> 1
on_request_headers resolve_shared_queue -> 1
second: on_request_headers own -> 0 (?!\1\n)\d+
second: on_request_headers dequeue_shared_queue -> 7
second: on_request_headers other -> 0 \1
second: on_request_headers dequeue_shared_queue -> 1
\z/



=== TEST 4: a queue that is not there is NotFound
--- script
on_request_headers enqueue_shared_queue 0 item
on_request_headers enqueue_shared_queue 12345 item
on_request_headers dequeue_shared_queue 12345
on_request_headers dequeue_shared_queue -1
--- log
on_request_headers enqueue_shared_queue -> 1
on_request_headers enqueue_shared_queue -> 1
on_request_headers dequeue_shared_queue -> 1
on_request_headers dequeue_shared_queue -> 1



=== TEST 5: what one request enqueues the next dequeues, from any callback
--- script
on_configure as q register_shared_queue q
on_request_headers dequeue_shared_queue %q
on_log enqueue_shared_queue %q "from the log"
--- request eval
[ "GET /t?1", "GET /t?2" ]
--- log_of: queue_
--- log eval
qr/\Aon_request_headers dequeue_shared_queue -> (?:7|0 "from the log")
on_log enqueue_shared_queue -> 0
\z/



=== TEST 6: a queue's name may be empty or hold any bytes
--- script
on_request_headers as none register_shared_queue ""
on_request_headers as bytes register_shared_queue "q\0\xff"
on_request_headers as again register_shared_queue ""
on_request_headers as q register_shared_queue q
--- log eval
qr/\Aon_request_headers none -> 0 (\d+)
on_request_headers bytes -> 0 (?!\1\n)(\d+)
on_request_headers again -> 0 \1
on_request_headers q -> 0 (?!\1\n|\2\n)\d+
\z/



=== TEST 7: an item that does not fit is NotFound, and a warning
--- script
on_request_headers as q register_shared_queue q
on_request_headers grow 1000
on_request_headers raw enqueue_shared_queue %q 0 60000000
on_request_headers dequeue_shared_queue %q
--- log_of: (?:shared_queue ->|no room)
--- log
proxy_enqueue_shared_queue: no room, nothing more is said until there is some
on_request_headers raw enqueue_shared_queue -> 1
on_request_headers dequeue_shared_queue -> 7



=== TEST 8: pointers outside memory are an InvalidMemoryAccess, and no item is lost
--- script
on_request_headers as q register_shared_queue q
on_request_headers enqueue_shared_queue %q item
on_request_headers raw register_shared_queue %memory 1 %scratch
on_request_headers raw register_shared_queue %scratch 1 %memory
on_request_headers raw resolve_shared_queue %memory 1 %scratch 1 %scratch
on_request_headers raw resolve_shared_queue 0 0 %memory 1 %scratch
on_request_headers raw enqueue_shared_queue %q %memory 1
on_request_headers raw dequeue_shared_queue %q %memory %scratch
on_request_headers raw dequeue_shared_queue %q %scratch -3
on_request_headers dequeue_shared_queue %q
on_request_headers dequeue_shared_queue %q
--- log_of: shared_queue ->
--- log
on_request_headers enqueue_shared_queue -> 0
on_request_headers raw register_shared_queue -> 6
on_request_headers raw register_shared_queue -> 6
on_request_headers raw resolve_shared_queue -> 6
on_request_headers raw resolve_shared_queue -> 6
on_request_headers raw enqueue_shared_queue -> 6
on_request_headers raw dequeue_shared_queue -> 6
on_request_headers raw dequeue_shared_queue -> 6
on_request_headers dequeue_shared_queue -> 0 "item"
on_request_headers dequeue_shared_queue -> 7



=== TEST 9: an item is not lost where the result of a resolve cannot be written
--- script
on_request_headers as q register_shared_queue q
on_request_headers poke 0 q
on_request_headers raw resolve_shared_queue 0 0 %scratch 1 %memory
--- log_of: shared_queue ->
--- log
on_request_headers raw resolve_shared_queue -> 6

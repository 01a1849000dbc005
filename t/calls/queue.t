# What a queue gets is told to the plugin context that registered it.

use ProxyWasm 'no_plan';
use ProxyWasm::Upstream;
use ProxyWasm::Log;
use ProxyWasm::Phases;

run_tests();

__DATA__

=== TEST 1: an item that a request leaves is told of without a request, once for each
--- init_by_lua
plugin = assert(load("script.wasm"))
ctx = assert(wasm.on_configure(plugin, [[
on_configure as queue register_shared_queue q
on_request_headers enqueue_shared_queue %queue one
on_log enqueue_shared_queue %queue two
on_queue_ready args
on_queue_ready get_property request.path
on_queue_ready dequeue_shared_queue %queue]]))
--- lua
run(ctx, "GET /p")
ngx.say(logged('dequeue_shared_queue .. 0 "two"'))
--- response_body
200 hello
true
--- log_of: on_queue_ready
--- wasm_log
script: on_queue_ready args: 1 1
script: on_queue_ready get_property -> 1
script: on_queue_ready dequeue_shared_queue -> 0 "one"
script: on_queue_ready args: 1 1
script: on_queue_ready get_property -> 1
script: on_queue_ready dequeue_shared_queue -> 0 "two"

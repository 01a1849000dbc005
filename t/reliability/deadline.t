# What takes too long is ended, wherever a plugin spends its time: t/plugin/deadline.t has the directive and plain loops.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use Server;

my $locations = <<"_EOC_";
location /lua { content_by_lua_block { ngx.print(tostring(assert(loadstring(ngx.var.http_x_lua))())) } }
location /metrics { content_by_lua_block { ngx.print(assert(wasm.metrics())) } }
location /upstream { return 200 "answer"; }
location ~ ^/chain/(?<name>\\w+) {
    access_by_lua_block { chains[ngx.var.name]:access() }
    content_by_lua_block { ngx.print("hello") }
    header_filter_by_lua_block { chains[ngx.var.name]:header_filter() }
    body_filter_by_lua_block { return chains[ngx.var.name]:body_filter() }
}
_EOC_

sub server {
    my %parts = @_;
    my $server = Server->new(location => $locations, %parts);
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

# How often the log says that.
sub said {
    my ($server, $text) = @_;
    return scalar(my @lines = $server->log(qr/\[error\].* proxy-wasm \Q$text\E/));
}

my $fails = 'nil failed to run proxy_on_http_request_headers';

{
    my $server = server(http => 'wasm_deadline 100ms; wasm_crash_limit off;', init => <<'_EOC_');
function run(kind)
    local plugin = assert(wasm.load("loops" .. kind, wat .. "loops.wat"))
    local ok, err = wasm.on_http_request_headers(assert(wasm.on_configure(plugin, ("x"):rep(kind))))
    return tostring(ok) .. " " .. tostring(err)
end
function tail_calls()
    local plugin, err = wasm.load("tails", wat .. "tail-calls.wat")
    if not plugin then
        return err
    end
    local ok, err = wasm.on_http_request_headers(assert(wasm.on_configure(plugin, "x")))
    return tostring(ok) .. " " .. tostring(err)
end
_EOC_
    my @workers = $server->workers;
    my @ways = ('that reads a property', 'that logs', 'that sets a header', 'that reads all headers', 'that makes calls', 'that sets shared data',
        'by a table of jumps', 'of calls that make calls', 'that fills 250 MiB', 'that copies 250 MiB');
    for my $kind (1 .. @ways) {
        is($server->lua("return run($kind)"), $fails, "a loop $ways[$kind - 1]");
        is(said($server, "loops$kind: proxy_on_request_headers trapped: it took more than 100 ms, client"), 1, 'is ended');
    }
    is_deeply([$server->workers], \@workers, 'the worker is the same');
    if ($Server::vm eq 'wasmedge') {
        is($server->lua('return tail_calls()'), 'failed to load wasm plugin', 'tail calls are not for WasmEdge');
    } else {
        is($server->lua('return tail_calls()'), $fails, 'a loop of tail calls is ended');
        ok(scalar $server->log(qr/proxy-wasm loops8:     0: +0x\w+ - \S+!fibonacci, client/), "the plugin's stack is in the log");
    }
}

{
    my $conf = join '', map {
        my ($name, $conf) = @$_;
        "chains.$name = assert(wasm.chain{ { name = '$name', path = guests .. 'script.wasm', fail = 'open', conf = [[$conf]] } })\n";
    } my @callbacks = (
        [context_create => 'on_context_create loop'],
        [request_headers => 'on_request_headers loop'],
        [response_headers => 'on_response_headers loop'],
        [response_body => 'on_response_body loop'],
        [done => 'on_done loop'],
        [log => 'on_log loop'],
        [delete => 'on_delete loop'],
        [tick => "on_request_headers set_tick_period_milliseconds 10\non_tick loop"],
        [queue_ready => "on_request_headers as queue register_shared_queue q\non_request_headers enqueue_shared_queue %queue x\non_queue_ready loop"],
        [http_call_response => "on_log http_call 127.0.0.1:$Server::port (:method=GET :path=/upstream :authority=a) \"\" () 5000\non_http_call_response loop"],
    );
    my $server = server(http => 'wasm_deadline 250ms;', init => "chains = {}\n$conf");
    my @workers = $server->workers;
    for (@callbacks) {
        my ($name) = @$_;
        is(join(' ', ($server->get("/chain/$name"))[0, 1]), '200 hello', "a loop in proxy_on_$name");
        ok(Server::wait_for(sub { said($server, "$name: proxy_on_$name trapped: it took more than 250 ms") == 1 }), 'is ended');
    }
    is_deeply([$server->workers], \@workers, 'the worker is the same');
}

{
    my $server = server(http => 'wasm_deadline 300ms;', init => <<'_EOC_');
local function context(opts)
    return assert(wasm.on_configure(assert(wasm.load("by" .. (opts and opts.deadline or ""), wat .. "endless-loop.wat", opts)), "x"))
end
contexts = { context(), context{ deadline = "1ms" }, context{ deadline = "30ms" } }
chains = { two = assert(wasm.chain{
    { name = "short", path = wat .. "endless-loop.wat", deadline = "70ms", fail = "open" },
    { name = "long", path = wat .. "endless-loop.wat", fail = "open" },
}) }
_EOC_
    is($server->lua('local n = 0 for i = 1, 3 do if not wasm.on_http_request_headers(contexts[i]) then n = n + 1 end end return n'), 3, 'plugins with deadlines of their own');
    is(said($server, 'by: proxy_on_request_headers trapped: it took more than 300 ms'), 1, 'one has that of the directive');
    is(said($server, "by${_}ms: proxy_on_request_headers trapped: it took more than $_ ms"), 1, "one has $_ ms") for 1, 30;
    is(($server->get('/chain/two'))[1], 'hello', 'a chain of two');
    is(said($server, 'short: proxy_on_request_headers trapped: it took more than 70 ms'), 1, 'one has its own');
    is(said($server, 'long: proxy_on_request_headers trapped: it took more than 300 ms'), 1, 'the other not');
}

{
    # each callback is fast enough, but there are many
    my $server = server(init_worker => 'wasm.init_worker()', init => <<'_EOC_');
local function busy(name)
    return assert(wasm.on_configure(assert(wasm.load(name, wat .. "busy.wat", { vm_id = name })), "x"))
end
items, answers = busy("items"), busy("answers")
fills = assert(wasm.on_configure(assert(wasm.load("fills", guests .. "script.wasm")),
    "on_request_headers as queue resolve_shared_queue items busy\n" .. ("on_request_headers enqueue_shared_queue %queue x\n"):rep(40)))
_EOC_
    for (['fills', 'items', 40, 'items of a queue'], ['answers', 'answers', 60, 'answers to calls']) {
        my ($context, $plugin, $all, $name) = @$_;
        my $done = sub { scalar(my @lines = $server->log(qr/proxy-wasm $plugin: done/)) };
        is($server->lua("return wasm.on_http_request_headers($context)"), 'true', "$name, $all at a time");
        ok(Server::wait_for(sub { $done->() > 0 }), 'the plugin is told of them');
        is($server->lua('return "fine"'), 'fine', 'a request meanwhile');
        cmp_ok($done->(), '<', $all, 'is answered before all is done');
        ok(Server::wait_for(sub { $done->() == $all }, 30), 'which it is in the end');
    }
}

{
    # as much time as it takes goes by before the next tick, and more where the machine is busy
    my $server = server(init_worker => 'wasm.init_worker()', init => 'ticks = assert(wasm.on_configure(assert(wasm.load("ticks", wat .. "busy.wat")), "xx"))');
    my $busy = sub { ($server->get('/metrics'))[1] =~ /^proxy_wasm_callback_seconds_sum\{plugin="ticks"\} (\S+)$/m ? $1 : 0 };
    ok(Server::wait_for(sub { $busy->() > 0.1 }), 'ticks that come as fast as they can');
    my ($begun, $before) = (time, $busy->());
    ok(Server::wait_for(sub { $busy->() - $before > 0.5 }, 60), 'and take long');
    cmp_ok($busy->() - $before, '<', 0.75 * (time - $begun), 'leave time for others');
}

# what a plugin does before its first request
my $starts = <<'_EOC_';
function start(name, file, opts, conf)
    local plugin, err = wasm.load(name, file, opts)
    if not plugin then
        return err
    end
    local ctx
    ctx, err = wasm.on_configure(plugin, conf or "x")
    return ctx and "fine" or err
end
_EOC_
my @starts = (
    [section => 'wat .. "loop-in-start-section.wat"', 'the start function', 'failed to load wasm plugin'],
    [start => 'wat .. "loop-in-start.wat"', '_start', 'failed to load wasm plugin'],
    [initialize => 'wat .. "loop-in-initialize.wat"', '_initialize', 'failed to load wasm plugin'],
    [vm_start => 'guests .. "script.wasm", { vm_config = "on_vm_start loop" }', 'proxy_on_vm_start', 'failed to run proxy_on_configure'],
    [context => 'wat .. "loop-in-context-create.wat"', 'proxy_on_context_create', 'failed to run proxy_on_configure'],
    [configure => 'guests .. "script.wasm", nil, "on_configure loop"', 'proxy_on_configure', 'failed to run proxy_on_configure'],
);

{
    # 300 ms are for starting, a second for all else
    my $server = server(http => 'wasm_start_deadline 300ms;', init => $starts . <<'_EOC_', init_worker => <<'_EOC2_');
slow = assert(wasm.on_configure(assert(wasm.load("slow", guests .. "script.wasm")), "on_request_headers loop"))
own = start("own", wat .. "loop-in-configure.wat", { start_deadline = "50ms" })
_EOC_
ngx.log(ngx.NOTICE, "own: ", own, ", in the worker: ", start("worker", wat .. "loop-in-configure.wat"))
_EOC2_
    ok(Server::wait_for(sub { said($server, 'worker: proxy_on_configure trapped: it took more than 300 ms') == 1 }), 'a loop in init_worker is ended');
    ok(Server::wait_for(sub { $server->log(qr/own: failed to run proxy_on_configure, in the worker: failed to run proxy_on_configure/) }), 'and an error, as is one with a start deadline of its own');
    for (@starts) {
        my ($name, $args, $function, $error) = @$_;
        is($server->lua("return start('$name', $args)"), $error, "a loop in $function is an error");
        is(said($server, "$name: $function trapped: it took more than 300 ms"), 1, 'and in the log');
    }
    is($server->lua('return wasm.on_http_request_headers(slow)'), 'nil', 'callbacks of requests');
    is(said($server, 'slow: proxy_on_request_headers trapped: it took more than 1000 ms'), 1, 'have their own deadline');
}

for (@starts) {
    my ($name, $args, $function, $error) = @$_;
    my $server = Server->new(http => 'wasm_start_deadline 200ms;', init => "$starts\nlocal err = start('$name', $args)\nif err ~= 'fine' then error(err) end");
    my ($ok, $output) = $server->start;
    ok(!$ok, "a loop in $function in the master: nginx does not start");
    like($output . join('', $server->log(qr/./)), qr/proxy-wasm $name: $function trapped: it took more than 200 ms/, 'the log says why');
    like($output . join('', $server->log(qr/./)), qr/init_by_lua error: .*$error/, 'and Lua got an error');
}

{
    my $good = 'good = assert(wasm.on_configure(assert(wasm.load("good", wat .. "add-header.wat")), "x"))';
    my $location = 'location /t { return 200 "ok"; header_filter_by_lua_block { assert(wasm.on_http_response_headers(good)) } }';
    my $server = server(http => 'wasm_start_deadline 200ms;', init => $good, location => $location);
    my @workers = $server->workers;
    is(($server->get('/t'))[2]{hello}, 'world', 'a configuration');
    for my $n (1, 2) {
        $server->configure(http => 'wasm_start_deadline 200ms;', location => $location,
            init => "assert(wasm.on_configure(assert(wasm.load('endless$n', wat .. 'loop-in-configure.wat')), 'x'))");
        $server->signal('HUP');
        ok(Server::wait_for(sub { $server->log(qr/proxy-wasm endless$n: proxy_on_configure trapped: it took more than 200 ms/) }, 20), 'a reload with an endless loop');
        ok(Server::wait_for(sub { (my @refused = $server->log(qr/init_by_lua error/)) == $n }), 'is refused');
        is_deeply([$server->workers], \@workers, 'the old workers stay');
        is(($server->get('/t'))[2]{hello}, 'world', 'the old configuration serves on');
        ok(Server::wait_for(sub { (my @threads = glob '/proc/' . $server->pid . '/task/*') == 1 }), 'the master has no thread left');
    }
    $server->configure(http => 'wasm_start_deadline 200ms;', init => $good, location => $location);
    ok($server->reload, 'the next reload');
    is(($server->get('/t'))[2]{hello}, 'world', 'is in effect');
    ok(Server::wait_for(sub { (my @threads = glob '/proc/' . $server->pid . '/task/*') == 1 }), 'the master has no thread');
}

done_testing();

# A plugin that crashes again and again is not run for a while, and nothing else notices.

use strict;
use warnings;

use Test::More;
use Server;

my $init = <<'_EOC_';
-- a plugin of which each context of `traps` crashes it, and none of `works`
function new(name, opts, n)
    local new = { plugin = assert(wasm.load(name, guests .. "script.wasm", opts)), traps = {}, works = {} }
    for i = 1, n do
        new.traps[i] = assert(wasm.on_configure(new.plugin, "on_request_headers trap"))
        new.works[i] = assert(wasm.on_configure(new.plugin, "on_request_headers add_header_map_value 0 x-seen yes\non_*  count seen"))
    end
    return new
end

-- how many of these contexts run; each sees the request for the first time
function ran(contexts, first, last)
    local n = 0
    for i = first or 1, last or #contexts do
        if wasm.on_http_request_headers(contexts[i]) then
            n = n + 1
        end
    end
    return n
end

function chain(name, fail, opts)
    local spec = { name = name, path = guests .. "script.wasm", fail = fail, conf = "on_request_headers trap\non_response_headers add_header_map_value 2 x-seen yes" }
    for option, word in pairs(opts) do
        spec[option] = word
    end
    return assert(wasm.chain{ spec, {
        name = "other", path = guests .. "script.wasm", conf = "on_response_headers add_header_map_value 2 x-other yes",
    } })
end
_EOC_

my $locations = <<'_EOC_';
location /metrics { content_by_lua_block { ngx.print(assert(wasm.metrics())) } }
location /lua { content_by_lua_block { ngx.print(tostring(assert(loadstring(ngx.var.http_x_lua))())) } }
location ~ ^/chain/(?<name>\w+) {
    access_by_lua_block { chains[ngx.var.name]:access() }
    content_by_lua_block { ngx.sleep(tonumber(ngx.var.arg_sleep or 0)) ngx.print("hello") }
    header_filter_by_lua_block { chains[ngx.var.name]:header_filter() }
    body_filter_by_lua_block { return chains[ngx.var.name]:body_filter() }
}
_EOC_

sub server {
    my %parts = @_;
    my $server = Server->new(location => $locations, %parts, init => "$init\n$parts{init}");
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

# The library's own metrics of a plugin, of those named.
sub metrics {
    my ($server, $plugin, @names) = @_;
    my ($status, $text) = $server->get('/metrics');
    return join ' ', map { $text =~ /^proxy_wasm_$_\{plugin="$plugin"\} (\S+)$/m ? "$_=$1" : "$_?" } @names;
}

# What the log says of a plugin, without the backtraces.
sub said {
    my ($server, $plugin) = @_;
    return map { /proxy-wasm $plugin: (?! +\d+:)(.*?)(?:,? while .*|, client: .*)?$/ ? $1 : () } $server->log(qr/proxy-wasm $plugin: /);
}

my $trap = 'proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed';

{
    my $server = server(init => <<'_EOC_');
bad, other = new("bad", nil, 20), new("other", nil, 20)
_EOC_
    my $mine = 'ran(bad.works, 15, 15)';
    is($server->lua("return ran(bad.traps, 1, 10) .. ' ' .. $mine"), '0 1', 'ten crashes are forgiven');
    is(metrics($server, 'bad', qw(traps_total restarts_total rejected_total backed_off)),
        'traps_total=10 restarts_total=10 rejected_total=0 backed_off=0', 'each costs a start');
    is_deeply([grep { /crashed|is run/ } said($server, 'bad')], [], 'nothing is said of it');

    my $before = () = said($server, 'bad');
    # in one request, that no time passes
    is($server->lua('return ran(bad.traps, 11, 11) .. ran(bad.works, 1, 5) .. ran(other.works, 1, 5) .. wasm.metrics():match("backed_off{plugin=.bad.} %d")'),
        '005backed_off{plugin="bad"} 1', 'with the next its calls fail at once; another plugin runs');
    my @said = said($server, 'bad');
    is_deeply([@said[$before .. $#said]], [$trap, 'crashed 11 times within 60s: it is not run for 1s'], 'one line says so, and nothing the calls after it');
    is(metrics($server, 'bad', qw(traps_total restarts_total rejected_total)), 'traps_total=11 restarts_total=10 rejected_total=5',
        'they are counted, and no instance is started');
    like(join('', $server->log(qr/crashed 11 times/)), qr/\[error\]/, 'the line is an error');

    ok(Server::wait_for(sub { $server->lua("return $mine") eq '1' }, 10), 'after a pause it runs again');
    is_deeply([grep { /crashed|is run/ } said($server, 'bad')], ['crashed 11 times within 60s: it is not run for 1s', 'is run again'], 'a line says so');
    is(metrics($server, 'bad', qw(restarts_total backed_off)), 'restarts_total=11 backed_off=0', 'in a new instance');
    is($server->lua('return ran(bad.works)'), 20, 'with all of its contexts');

    is($server->lua("return ran(bad.traps, 12, 12) .. $mine"), '00', 'another crash, and it is not run at once');
    is((grep { /crashed/ } said($server, 'bad'))[-1], 'crashed 12 times within 60s: it is not run for 2s', 'for twice as long');

    # a worker that dies takes what it has counted with it
    is(metrics($server, 'bad', 'backed_off'), 'backed_off=1', 'it is backed off');
    my @old = $server->workers;
    kill 'KILL', @old;
    ok(Server::wait_for(sub { my @now = $server->workers; @now && $now[0] != $old[0] && $server->lua("return $mine") eq '1' }, 10),
        'a new worker knows nothing of it');
    is(metrics($server, 'bad', 'backed_off'), 'backed_off=0', 'and the gauge is not what the dead one left');
    is_deeply([$server->log(qr/\[(?:crit|alert|emerg)\](?!.*exited on signal 9)/)], [], 'nothing worse in the log');
}

{
    my $server = server(http => 'wasm_crash_limit 2; wasm_crash_window 1h;', init => <<'_EOC_');
by_directive = new("by_directive", nil, 20)
none = new("none", { crash_limit = "0" }, 20)
off = new("off", { crash_limit = "off" }, 20)
more = new("more", { crash_limit = "3", crash_window = "5s" }, 20)
short = new("short", { crash_window = "1ms" }, 20)
_EOC_
    is($server->lua('return ran(by_directive.traps, 1, 2) .. ran(by_directive.works, 1, 1) .. ran(by_directive.traps, 3, 3) .. ran(by_directive.works, 2, 2)'),
        '0100', 'the directive says how many are forgiven');
    is((said($server, 'by_directive'))[-1], 'crashed 3 times within 3600s: it is not run for 1s', 'and in what time');
    is($server->lua('return ran(none.works, 1, 1) .. ran(none.traps, 1, 1) .. ran(none.works, 2, 2)'), '100', 'a plugin of which none is forgiven');
    is((said($server, 'none'))[-1], 'crashed 1 times within 3600s: it is not run for 1s', 'says so');
    is($server->lua('return ran(off.traps) .. ran(off.works)'), '020', 'one of which all are');
    is(metrics($server, 'off', qw(traps_total restarts_total rejected_total backed_off)), 'traps_total=20 restarts_total=20 rejected_total=0 backed_off=0',
        'is started each time');
    is($server->lua('return ran(more.traps, 1, 3) .. ran(more.works, 1, 1) .. ran(more.traps, 4, 4) .. ran(more.works, 2, 2)'), '0100', 'one with numbers of its own');
    is((said($server, 'more'))[-1], 'crashed 4 times within 5s: it is not run for 1s', 'says them');
    is($server->lua('for i = 1, 20 do ran(short.traps, i, i) ngx.sleep(0.005) end return ran(short.works)'), '20', 'crashes that are longer ago than the window do not count');
    is_deeply([grep { /crashed/ } said($server, 'short')], [], 'and nothing is said');
}

{
    my $server = server(init => 'chains = { closed = chain("shut", "closed", { crash_limit = "1" }), open = chain("through", "open", { crash_limit = "1" }) }');
    my %plugin = (closed => 'shut', open => 'through');
    for my $fail (qw(closed open)) {
        my $answers = sub {
            join ' ', map {
                my ($status, $body, $headers) = $server->get("/chain/$fail");
                join '/', $status, $body =~ /^hello$/ ? 'hello' : 'page', map { $headers->{"x-$_"} // 'no' } qw(seen other);
            } 1 .. $_[0];
        };
        my $answer = $fail eq 'closed' ? '500/page/no/no' : '200/hello/no/yes';
        is($answers->(2), "$answer $answer", "in a chain that fails $fail: two crashes");
        # how many there are before it is tried again is not known
        is($answers->(3), "$answer $answer $answer", "$fail: requests while the plugin is not run");
        my @said = said($server, $plugin{$fail});
        my ($begin) = grep { $said[$_] =~ /^crashed 2 times/ } 0 .. $#said;
        ok(defined $begin, "$fail: it says that it is not") or diag "@said";
        is_deeply([grep { !/^(?:is run again|crashed 3 times.*|\Q$trap\E|.*cannot run: the VM of this request trapped earlier)$/ } @said[$begin + 1 .. $#said]], [],
            "$fail: and no more");
    }
}

{
    # a request sees all of a plugin or nothing
    my $server = server(init => <<'_EOC_');
bad = new("bad", { crash_limit = "0" }, 20)
_EOC_
    my $wait = 'for i = 2, 20 do ngx.sleep(0.2) if ran(bad.works, i, i) == 1 then break end end';
    is($server->lua("ran(bad.traps, 1, 1) local before = ran(bad.works, 1, 1) $wait return before .. ran(bad.works, 20, 20) .. ran(bad.works, 1, 1)"),
        '010', 'a request that came while it was not run never sees it, though others do');
    my @old = $server->workers;

    is($server->lua("local before = ran(bad.works, 1, 1) ran(bad.traps, 1, 1) $wait
        return before .. ran(bad.works, 20, 20) .. ' ' .. tostring(select(2, wasm.on_http_request_body(bad.works[1], 'x', true)))"),
        '11 failed to run proxy_on_http_request_body', 'nor does one that had begun before it');
    is_deeply([$server->workers], \@old, 'the worker is the same');
    is_deeply([grep { /cannot run/ } said($server, 'bad')], ['proxy_on_request_body cannot run: the VM of this request trapped earlier'], 'which is said once');
    like($server->lua('return require("cjson").encode(wasm.info(bad.plugin).contexts)'), qr/^\d+$/, 'its contexts can be counted');
}

{
    # one that is gone is not backed off
    my $server = server(init => '');
    is($server->lua('gone = new("gone", { crash_limit = "0" }, 1) return ran(gone.traps) .. ran(gone.works)'), '00', 'a plugin that is not run');
    is(metrics($server, 'gone', 'backed_off'), 'backed_off=1', 'is backed off');
    $server->lua('gone = nil collectgarbage() collectgarbage()');
    is(metrics($server, 'gone', 'backed_off'), 'backed_off=0', 'and not any more when it is collected');
}

{
    # what comes by a timer or a queue waits too
    my $server = server(init_worker => 'wasm.init_worker()', init => <<'_EOC_');
local plugin = assert(wasm.load("ticks", guests .. "script.wasm", { crash_limit = "0" }))
ticks = assert(wasm.on_configure(plugin, [[
on_configure set_tick_period_milliseconds 20
on_tick count ticks
on_tick@3 trap]]))
local items = assert(wasm.load("items", guests .. "script.wasm", { crash_limit = "0" }))
item = assert(wasm.on_configure(items, "on_configure as queue register_shared_queue items\non_request_headers trap\non_queue_ready dequeue_shared_queue %queue"))
item_again = assert(wasm.on_configure(items, "on_request_headers count seen"))
leaves = assert(wasm.on_configure(assert(wasm.load("leaves", guests .. "script.wasm")),
    'on_request_headers as queue resolve_shared_queue "" items\non_request_headers enqueue_shared_queue %queue item'))
local queues = assert(wasm.load("queues", guests .. "script.wasm", { crash_limit = "0" }))
queue = assert(wasm.on_configure(queues, [[
on_configure as queue register_shared_queue q
on_request_headers enqueue_shared_queue %queue one
on_queue_ready dequeue_shared_queue %queue
on_queue_ready trap]]))
_EOC_
    ok(Server::wait_for(sub { (grep { $_ eq 'is run again' } said($server, 'ticks')) >= 2 }, 20), 'a plugin that crashes in its ticks is run again');
    my @ticks = ('on_configure set_tick_period_milliseconds -> 0', (map { "on_tick count ticks $_" } 1 .. 3),
        'proxy_on_tick trapped: wasm trap: wasm `unreachable` instruction executed');
    my @want = (@ticks, 'crashed 1 times within 60s: it is not run for 1s', 'is run again', @ticks, 'crashed 2 times within 60s: it is not run for 2s', 'is run again');
    my @said = said($server, 'ticks');
    is_deeply([@said[0 .. $#want]], \@want, 'its ticks go on after each pause, and say nothing in between');
    $server->lua('return wasm.on_http_request_headers(queue)');
    ok(Server::wait_for(sub { grep { /on_queue_ready trapped/ } said($server, 'queues') }, 10), 'one that crashes by an item of its queue');
    $server->lua('return wasm.on_http_request_headers(queue)');
    ok(Server::wait_for(sub { grep { $_ eq 'crashed 1 times within 60s: it is not run for 1s' } said($server, 'queues') }), 'is not run either');

    is($server->lua('wasm.on_http_request_headers(item) wasm.on_http_request_headers(leaves) return wasm.on_http_request_headers(item_again)'), 'nil',
        'an item that comes while a plugin is not run');
    ok(Server::wait_for(sub { grep { $_ eq 'on_queue_ready dequeue_shared_queue -> 0 "item"' } said($server, 'items') }, 10), 'is told of after that');
}

{
    # a start that fails is a crash
    my $server = server(init => <<'_EOC_');
function cannot(name)
    local plugin = assert(wasm.load(name, wat .. "cannot-start.wat", { crash_limit = "3" }))
    local contexts = {}
    for i = 1, 10 do
        contexts[i] = assert(wasm.on_configure(plugin, "x"))
    end
    return contexts
end
all = { _initialize = cannot("_initialize"), proxy_on_vm_start = cannot("proxy_on_vm_start"), proxy_on_configure = cannot("proxy_on_configure"), trap = cannot("trap") }
_EOC_
    my %says = (
        _initialize => '_initialize trapped: wasm trap: wasm `unreachable` instruction executed',
        proxy_on_vm_start => 'proxy_on_vm_start returned false',
        proxy_on_configure => 'proxy_on_configure returned false',
        trap => 'proxy_on_configure trapped: wasm trap: wasm `unreachable` instruction executed',
    );
    for my $key (sort keys %says) {
        is($server->lua("local all = all.$key ran(all, 1, 1) wasm.shared:set('$key', 'x') return ran(all, 2, 10)"), '0', "$key: a plugin that cannot start again");
        is_deeply([said($server, $key)], [$trap, ($says{$key}) x 3, 'crashed 4 times within 60s: it is not run for 1s'], "$key: it is tried so often, and no more");
        $server->lua("wasm.shared:delete('$key')");
    }
}

done_testing();

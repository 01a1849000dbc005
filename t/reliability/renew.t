# An instance whose memory has grown is replaced when nothing needs it.

use strict;
use warnings;

use Test::More;
use Server;

my $init = <<'_EOC_';
-- 4 MiB more than it starts with
local grows = "on_request_headers grow 64\n"
local steps = "on_configure count configured\non_done args\non_delete args\n"

function new(name, conf, opts, file)
    local plugin = assert(wasm.load(name, file or guests .. "script.wasm", {
        memory_renew = opts or "4m", vm_config = "on_vm_start count started",
    }))
    return function(more)
        return assert(wasm.on_configure(plugin, more or conf))
    end
end
_EOC_

my $locations = <<'_EOC_';
location /metrics { content_by_lua_block { ngx.print(assert(wasm.metrics())) } }
location /lua { content_by_lua_block { ngx.print(tostring(assert(loadstring(ngx.var.http_x_lua))())) } }
location /upstream { content_by_lua_block { ngx.sleep(0.3) ngx.print("answer") } }
location /slow { content_by_lua_block { assert(wasm.on_http_request_headers(slow)) ngx.sleep(0.5) ngx.print("slow") } }
_EOC_

sub server {
    my %parts = @_;
    my $server = Server->new(location => $locations, %parts, init => "$init\n$parts{init}");
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

# A metric of the library's own.
sub metric {
    my ($server, $plugin, $name) = @_;
    my ($status, $text) = $server->get('/metrics');
    return $text =~ /^proxy_wasm_$name\{plugin="$plugin"\} (\S+)$/m ? $1 : undef;
}

# What the workers' log says of a plugin, without nginx's words.
sub said {
    my ($server, $plugin) = @_;
    return map { /proxy-wasm $plugin: (.*?)(?:,? while .*|, client: .*)?$/ ? $1 : () } $server->log(qr/\] \S+(?: \*\d+)? proxy-wasm $plugin: (?! +\d+:)/);
}

my $renewed = qr/^is renewed, as its memory has grown to (\d+) bytes$/;

# What a condition waits for: so many renewals.
sub renewals {
    my ($server, $plugin, $n) = @_;
    return Server::wait_for(sub { metric($server, $plugin, 'renewals_total') >= $n }, 10) && metric($server, $plugin, 'renewals_total') == $n;
}

my $steps = 'on_configure count configured\non_log count logged\non_done args\non_delete args';

{
    my $server = server(init => <<"_EOC_");
local make = new("grows")
big = make("on_request_headers grow 64\\n$steps")
small = make("on_request_headers count seen\\n$steps")
_EOC_
    my @workers = $server->workers;
    is($server->lua('return wasm.on_http_request_headers(small)'), 'true', 'a request');
    my $before = metric($server, 'grows', 'memory_bytes');
    is(metric($server, 'grows', 'renewals_total'), 0, 'that does not grow renews nothing');
    is($server->lua('return wasm.on_http_request_headers(big)'), 'true', 'one that does');
    ok(renewals($server, 'grows', 1), 'renews the instance');
    my @said = said($server, 'grows');
    my ($n) = grep { $said[$_] =~ /^on_request_headers grow -> \d+$/ } 0 .. $#said;
    my @ends = @said[$n + 1 .. $n + 7];
    my %ids = map { /^on_(\w+) args: (\d+)$/ ? ("$1 $2" => 1) : () } @ends;
    s/ args: \d+// for @ends;
    is_deeply(\@ends, ['on_done', 'on_log count logged 2', 'on_delete', ('on_done', 'on_delete') x 2], 'the request ends, then the plugin contexts');
    is(scalar(keys %ids), 6, 'each once');
    like($said[$n + 8], $renewed, 'a line says so');
    is($said[$n + 8] =~ $renewed && $1, $before + (4 << 20), 'and how much it was');
    is(metric($server, 'grows', 'memory_bytes'), 0, 'the memory is given back');
    is(metric($server, 'grows', 'instances'), 0, 'with the instance');
    is($server->lua('return wasm.on_http_request_headers(small)'), 'true', 'the next request');
    @said = said($server, 'grows');
    is_deeply([@said[$n + 9 .. $n + 11]], ['on_vm_start count started 1', 'on_configure count configured 1', 'on_request_headers count seen 1'], 'has one that was started and configured again');
    is(metric($server, 'grows', 'memory_bytes'), $before, 'as small as the first');
    $server->lua('return wasm.on_http_request_headers(big)') for 1 .. 5;
    ok(renewals($server, 'grows', 6), 'each time that it grows');
    is(metric($server, 'grows', 'restarts_total'), 0, 'that is no crash');
    is_deeply([$server->workers], \@workers, 'the worker is the same');
    is_deeply([$server->log(qr/\[(?:warn|error|crit|alert|emerg)\]/)], [], 'nothing bad in the log');
}

{
    my $server = server(http => 'wasm_memory_renew 4m;', init_worker => 'wasm.init_worker()', init => <<"_EOC_");
-- the same file under names of its own
local function plugin(name, conf, opts)
    return assert(wasm.on_configure(assert(wasm.load(name, guests .. "script.wasm", opts)), conf))
end
directive = plugin("directive", "on_request_headers grow 64")
own = plugin("own", "on_request_headers grow 64", { memory_renew = "64m" })
slow = new("slow")
slow, fast = slow("on_log count logged"), slow("on_request_headers grow 64\\non_log count logged")
calls = plugin("calls", [[
on_request_headers grow 64
on_log as call http_call 127.0.0.1:$Server::port (:method=GET :path=/upstream :authority=a) "" () 5000
on_http_call_response get_buffer_bytes 4 0 100]])
ticks = plugin("ticks", [[
on_configure set_tick_period_milliseconds 20
on_request_headers grow 64
on_tick count ticks]])
queue = plugin("queue", [[
on_configure as queue register_shared_queue q
on_request_headers grow 64
on_log enqueue_shared_queue %queue item
on_queue_ready dequeue_shared_queue %queue]])
alone = plugin("alone", [[
on_configure set_tick_period_milliseconds 20
on_tick count ticks
on_tick\@5 grow 64]])
dies = assert(wasm.on_configure(assert(wasm.load("dies", wat .. "trap-on-renewal.wat", { crash_limit = "2" })), "x"))
lingers = plugin("lingers", "on_request_headers grow 64\\non_done return false\\non_done\@2 return true")
_EOC_
    my @workers = $server->workers;
    is($server->lua('return tostring(wasm.on_http_request_headers(directive)) .. tostring(wasm.on_http_request_headers(own))'), 'truetrue', 'by directive, and otherwise by option');
    ok(renewals($server, 'directive', 1), 'one is renewed');
    is(metric($server, 'own', 'renewals_total'), 0, 'the other not');

    # a request that waits meanwhile
    my $pid = fork // die $!;
    if (!$pid) {
        require POSIX;
        POSIX::_exit((join ' ', ($server->get('/slow'))[0, 1]) eq '200 slow' ? 0 : 1);
    }
    ok(Server::wait_for(sub { metric($server, 'slow', 'requests_total') == 1 }), 'a request is under way');
    is($server->lua('return wasm.on_http_request_headers(fast)'), 'true', 'another makes the instance grow');
    waitpid $pid, 0;
    is($?, 0, 'the first ends well');
    ok(renewals($server, 'slow', 1), 'then the instance is renewed');
    is_deeply([grep { /logged/ || /$renewed/ && s/\d+ bytes/N bytes/ } said($server, 'slow')],
        ['on_log count logged 1', 'on_log count logged 2', 'is renewed, as its memory has grown to N bytes'], 'and not before');

    is($server->lua('return wasm.on_http_request_headers(calls)'), 'true', 'a request that leaves a call');
    ok(renewals($server, 'calls', 1), 'the instance is renewed');
    is_deeply([grep { /get_buffer/ || /$renewed/ && s/\d+ bytes/N bytes/ } said($server, 'calls')],
        ['on_http_call_response get_buffer_bytes -> 0 "answer"', 'is renewed, as its memory has grown to N bytes'], 'once it has seen the answer');

    $server->lua('return wasm.on_http_request_headers(ticks)');
    ok(renewals($server, 'ticks', 1), 'one that ticks is renewed');
    my $ticks = sub { my $seen = 0; for (said($server, 'ticks')) { $seen = 0 if /$renewed/; $seen++ if /on_tick count/ } $seen };
    ok(Server::wait_for(sub { $ticks->() >= 3 }), 'its ticks go on');

    for my $n (1, 2) {
        $server->lua('return wasm.on_http_request_headers(queue)');
        ok(Server::wait_for(sub { (grep { $_ eq 'on_queue_ready dequeue_shared_queue -> 0 "item"' } said($server, 'queue')) == $n }), "one with a queue is told of item $n");
    }
    ok(renewals($server, 'queue', 2), 'though it was renewed');

    ok(Server::wait_for(sub { metric($server, 'alone', 'renewals_total') > 0 }, 10), 'one that grows without a request is renewed too');

    is($server->lua('return wasm.on_http_request_headers(lingers)'), 'true', 'one that is not done with its request');
    is(metric($server, 'lingers', 'renewals_total'), 0, 'is not renewed');

    $server->lua('return wasm.on_http_request_headers(dies)') for 1 .. 8;
    ok(Server::wait_for(sub { grep { /^crashed 3 times/ } said($server, 'dies') }), 'one that traps as it is renewed has crashed');
    is_deeply([$server->workers], \@workers, 'the worker is the same');
}

{
    # one that starts large
    my $server = server(init => <<'_EOC_');
local large = new("large", nil, "1m")
still = large("on_configure grow 32\non_request_headers count seen")
local large_twice = new("twice", nil, "1m")
twice = large_twice("on_configure grow 32\non_request_headers grow 128")
_EOC_
    $server->lua('return wasm.on_http_request_headers(still)') for 1 .. 5;
    is(metric($server, 'large', 'renewals_total'), 0, 'an instance that starts with more is not renewed');
    is((said($server, 'large'))[-1], 'on_request_headers count seen 5', 'it is the same');
    $server->lua('return wasm.on_http_request_headers(twice)');
    ok(renewals($server, 'twice', 1), 'one that has grown to twice that is');
}

done_testing();

# Shared data: what several workers change at once, who sees what, and what there is room for.

use strict;
use warnings;

use Test::More;
use List::Util qw(sum);
use Storm;

{
    my $server = Storm->new;
    my @connections = $server->connections;
    $_->send('/', 'x-do' => 'cas count 25000') for @connections;
    my (@retries, @pids);
    for (@connections) {
        my ($status, $body, $headers) = $_->receive;
        push @retries, $body;
        push @pids, $headers->{'x-pid'};
    }
    is_deeply(\@pids, [$server->workers], 'four workers increment a number by compare-and-swap, 25,000 times each');
    is_deeply([grep { !/^\d+$/ } @retries], [], 'to the end');
    is($server->ask('get count'), '100000', 'they come to exactly 100,000');
    note 'another worker was faster ', sum(@retries), ' times';

    $server->ask('set key value');
    $server->ask('set key0 value');
    is_deeply([$server->ask_all('get key')], [('value') x 4], 'what one worker sets, each gets');
    my ($status, $body, $headers) = $server->get('/', 'x-do' => 'get key');
    my @answers = $server->ask_all("set key other $headers->{'x-cas'}");
    is_deeply([sort @answers], ['0 status 8', '0 status 8', '0 status 8', '1'], 'one of four sets with the same number');
    is($server->ask('fill key 1 0'), '1', 'a key that is set to no bytes');
    is_deeply([$server->ask_all('get key0')], [('') x 4], 'is empty in each worker');
    is($server->stat('keys'), 2, 'and not among the keys');
    is_deeply([$server->problems], [], 'nothing in the log');
}

{
    my $server = Storm->new(init_worker => '', plugins => <<'_EOC_');
for _, vm_id in ipairs{ "one", "two", "three" } do
    -- the queue is there from the start, and nobody is told of its items before the plugin is asked something
    chains["/" .. vm_id] = assert(wasm.chain{
        { path = guests .. "storm.wasm", name = vm_id, vm_id = vm_id, conf = "jobs" },
    })
end
_EOC_
    my $ask = sub { my ($path, $do) = @_; ($server->get($path, 'x-do' => $do, 'x-id' => 'a'))[1] };

    is($ask->('/one', 'set key value'), '1', 'a key of one vm_id');
    is($ask->('/one', 'get key'), 'value', 'is there');
    is($ask->('/two', 'get key'), 'not there', 'and in another it is not');
    is($ask->('/', 'get key'), 'not there', 'nor in the empty one');
    is($ask->('/two', 'fill key 1 0'), '1', 'whoever removes it there');
    is($ask->('/one', 'get key'), 'value', 'does not remove it here');

    is($ask->('/', 'enqueue jobs 1'), '0 status 1', 'nor is there its queue');
    is($ask->('/', 'enqueue three/jobs 2'), '2', 'but whoever says the vm_id can add to a queue');
    is($ask->('/', 'dequeue three/jobs 1'), '0 status 1', 'yet take nothing from it');
    is($ask->('/two', 'dequeue three/jobs 1'), '0 status 1', 'even with a queue of that name');
    is($server->stat('items'), 2, 'it keeps what it got');
    $ask->('/three', 'get key');
    ok(Server::wait_for(sub { ($server->sample('delivered{plugin="three"}') // 0) == 2 }), 'for those of its own');
    is($server->sample("delivered{plugin=\"$_\"}"), 0, "and not for $_") for 'one', 'two';

    is($ask->('/one', 'add hits 3'), '3', 'a counter');
    is($ask->('/two', 'add hits 4'), '4', 'is of one plugin alone');
    is($server->sample("hits{plugin=\"$_->[0]\"}"), $_->[1], 'as operators see') for ['one', 3], ['two', 4];
    is_deeply([$server->problems], [], 'nothing in the log');
}

{
    my $server = Storm->new(size => '1m');
    is_deeply([$server->ask_all('fill k 20000 100')], [('20000') x 4], 'lru: whoever has much to set sees no failure');
    isnt($server->ask("get k$_"), 'not there', "k$_ is there") for 19_999, 19_990;
    is($server->ask('get k0'), 'not there', 'k0 has gone');
    my ($keys, $evicted, $used, $size) = map { $server->stat($_) } qw(keys evicted used size);
    cmp_ok($evicted, '>', 10_000, "$evicted keys have gone");
    is($server->sample('proxy_wasm_shm_evicted_total'), $evicted, 'which operators can see');
    cmp_ok($used, '<=', $size, "$keys keys are left");

    $server->ask('set precious value');
    for my $round (1 .. 5) {
        is($server->ask("fill round-$round- 1000 300"), '1000', "1000 more");
        is($server->ask('get precious'), 'value', 'what is used stays');
    }
    is($server->ask('fill large 9 140000'), '9', 'large values, of which hardly five have room');
    is(length $server->ask("get large$_"), 140_000, "large$_ is there") for 8, 7, 6;
    is($server->ask('get large0'), 'not there', 'large0 has gone');
    my $evicted_by_all = $server->stat('evicted');
    is($server->ask('fill huge 1 200000'), '0 status 10', 'one that is larger than a quarter of the room is not taken');
    is($server->stat('evicted'), $evicted_by_all, 'and costs nothing');
    is_deeply([grep { !/no room/ } $server->problems], [], 'nothing else in the log');
}

{
    my $server = Storm->new(size => '1m', policy => 'none');
    $server->ask('set short value');
    my $filled = $server->ask('fill k 20000 100');
    like($filled, qr/^\d{4} status 10$/, 'none: when it is full the guest learns so');
    my $last = $filled =~ /^(\d+)/ ? $1 - 1 : 0;
    isnt($server->ask("get k$_"), 'not there', "k$_ stays") for 0, 1, $last;
    is_deeply([$server->ask_all('fill l 1 100')], [('0 status 10') x 4], 'it is full for all workers');
    is($server->ask('set short other'), '1', 'a short value can be another');
    is($server->ask('fill k 100 0'), '100', 'after 100 are removed');
    is($server->ask('fill n 100 100'), '100', 'there is room for 100');
    like($server->ask('fill m 100 100'), qr/^\d status 10$/, 'and hardly more');
    is($server->stat('evicted'), 0, 'none has gone by itself');
    is_deeply([grep { !/no room/ } $server->problems], [], 'nothing else in the log');
}

for my $policy ('lru', 'none') {
    my $server = Storm->new(policy => $policy);
    is($server->ask('fill v 1 1048576'), '1', "$policy: a value of 1 MiB");
    is(length $server->ask('get v0'), 1 << 20, 'is whole');
    is($server->ask('fill v 1 1048577'), '0 status 10', 'one byte more is too much');
    is(length $server->ask('get v0'), 1 << 20, 'and the value before stays');
    my $key = 'k' x 8191;
    is($server->ask("fill $key 1 5"), '1', 'a key of 8 KiB');
    is($server->ask("get ${key}0"), 'xxxxx', 'is there');
    is($server->ask("fill k$key 1 5"), '0 status 10', 'one byte more is too much');
    is($server->ask("get k${key}0"), 'not there', 'and is not found');
    is_deeply([grep { !/no room/ } $server->problems], [], 'nothing else in the log');
}

done_testing();

# Workers that are killed at any time, and reloads, while all of them work on the same memory: nothing hangs, nothing is damaged, and
# what a request was told has been done.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);
use Storm;

my @work = ('cas count 500', 'add hits 5000', 'enqueue jobs 50', 'churn key- 200 500 4000', 'fill large- 40 60000');
my %answers = ('enqueue jobs 50' => '50', 'churn key- 200 500 4000' => '0', 'fill large- 40 60000' => '40');

# What clients do over and over. Each time they say what, under which id, and the status and the answer.
sub work {
    my $server = shift;
    return sub {
        my ($client, $n) = @_;
        my $do = $work[($client + $n) % @work];
        my ($status, $body) = $server->get('/', 'x-do' => $do, 'x-id' => "client$client-$n");
        return join ',', $do, "client$client-$n", $status, $status == 200 ? $body : '';
    };
}

sub requests {
    return map {
        my ($do, $id, $status, $answer) = split /,/, $_, -1;
        { do => $do, id => $id, ok => $status == 200, answer => $answer, wrong => $answer ne ($answers{$do} // $answer) };
    } @_;
}

# How many requests of a kind were answered, and how many were not.
sub tally {
    my ($do, @requests) = @_;
    my @of = grep { $_->{do} eq $do } @requests;
    my $ok = grep { $_->{ok} } @of;
    return ($ok, @of - $ok);
}

sub items {
    return map { my $id = $_->{id}; map { "$id:$_" } 1 .. 50 } grep { $_->{do} eq 'enqueue jobs 50' } @_;
}

# How often each item was taken.
sub taken {
    my $server = shift;
    my %count;
    $count{$_}++ for map { / got (\S+) from / } $server->log(qr/ got \S+:\d+ from /);
    return \%count;
}

sub sample { my ($server, $name) = @_; $server->sample("$name\{plugin=\"storm\"}") }

{
    my $server = Storm->new(queues => 'jobs', location => <<'_EOC_');
location /clear {
    content_by_lua_block {
        for _, key in ipairs(wasm.shared:keys(0)) do
            wasm.shared:delete(key)
        end
        -- those that count as removed have their room as well
        for i = 0, 199 do
            wasm.shared:delete("key-" .. i)
        end
    }
}
_EOC_
    my $kills = 100;
    my $used = $server->stat('used');
    $server->begin(8, work($server));
    for (my $killed = 0; $killed < $kills; sleep 0.01 + rand 0.06) {
        my @workers = $server->workers;
        $killed += kill 'KILL', $workers[rand @workers] if @workers;
    }
    my @requests = requests($server->finish);
    ok(Server::wait_for(sub { $server->workers == 4 }), "$kills times a worker was killed, and there are four");
    is_deeply([$server->ask_all('set key value')], [(1) x 4], 'all of which serve requests');
    note scalar(@requests), ' requests, ', scalar(grep { !$_->{ok} } @requests), ' broken off, ', $server->stat('recovered'), ' kills in the midst of a change';

    # a request that was broken off has done its work, or a part, or nothing
    for (['cas count 500', 500, $server->ask('get count')], ['add hits 5000', 5000, sample($server, 'hits')]) {
        my ($do, $each, $value) = @$_;
        my ($ok, $broken) = tally($do, @requests);
        cmp_ok($ok, '>', 0, "$do: $ok requests were answered");
        cmp_ok($value, '>=', $ok * $each, 'what they did is there');
        cmp_ok($value, '<=', ($ok + $broken) * $each, 'and what the others may have done, no more');
    }
    is_deeply([grep { $_->{ok} && $_->{wrong} } @requests], [], 'nothing was refused, and no value was other than it was set');

    ok(Server::wait_for(sub { $server->stat('items') eq '0' }, 10), 'the queue becomes empty');
    my $taken = taken($server);
    my %possible = map { $_ => 1 } items(@requests);
    is_deeply([grep { $taken->{$_} != 1 || !$possible{$_} } keys %$taken], [], 'no item was taken twice, or made up');
    my $lost = grep { !$taken->{$_} } items(grep { $_->{ok} } @requests);
    # one that a worker has taken when it dies
    cmp_ok($lost, '<=', $kills, "of those that were accepted $lost went with a worker");
    is(sample($server, 'disordered'), 0, 'none was out of order');
    my $missed = sample($server, 'missed');
    cmp_ok($missed, '<=', $kills, "$missed were told of again, as nobody knew what became of them");

    is($server->stat('emptied'), 0, 'the memory was never lost');
    $server->get('/clear');
    is($server->stat('keys'), 0, 'all keys can be removed');
    # what there is of the counter, and of the workers that there are
    cmp_ok($server->stat('used') - $used, '<', 2048, 'and nothing else stays');
    is_deeply([grep { !/exited on signal 9|has died while it changed the shared memory; what it was at is undone/ } $server->problems], [],
        'nothing else in the log');
}

{
    my $server = Storm->new(queues => 'jobs');
    $server->begin(8, work($server));
    for my $reload (1 .. 4) {
        sleep 0.3;
        my @old = $server->workers;
        ok($server->reload, "reload $reload in the midst of it");
        ok(Server::wait_for(sub { !grep { Server::alive($_) } @old }), 'the old workers end');
    }
    my @requests = requests($server->finish);
    is_deeply([grep { !$_->{ok} || $_->{wrong} } @requests], [], 'no request failed of ' . @requests);
    is($server->ask('get count'), 500 * (tally('cas count 500', @requests))[0], 'nothing was lost of a number in shared data');
    is(sample($server, 'hits'), 5000 * (tally('add hits 5000', @requests))[0], 'nor of a counter');
    my @items = items(@requests);
    ok(Server::wait_for(sub { $server->stat('items') eq '0' && sample($server, 'delivered') == @items }), 'the queue becomes empty');
    is_deeply(taken($server), { map { $_ => 1 } @items }, 'all items are taken, each once');
    is(sample($server, $_), 0, "none $_") for 'missed', 'disordered';
    is($server->stat($_), 0, "the memory was not $_") for 'emptied', 'recovered';
    is_deeply([$server->problems], [], 'nothing in the log');
}

done_testing();

# Queues: what one worker puts into them, another is told of, once and in order, whatever becomes of either.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);
use Storm;

# What was taken, as the log has it: items and who has.
sub got {
    my $server = shift;
    return map { /\] (\d+)#.* got (\S+) from / ? { pid => $1, item => $2 } : () } $server->log(qr/ got \S+:\d+ from /);
}

sub delivered { shift->sample('delivered{plugin="storm"}') }

# Waits until the queues are empty, and says of $expected items what came of them.
sub is_delivered {
    my ($server, $expected, $name) = @_;
    # what was taken last is soon in the log and counted
    ok(Server::wait_for(sub { $server->stat('items') eq '0' && delivered($server) == @$expected }, 20), $name)
        or diag delivered($server), ' of ', scalar @$expected, ', ', $server->stat('items'), ' are left';
    my %count;
    $count{ $_->{item} }++ for got($server);
    is_deeply(\%count, { map { $_ => 1 } @$expected }, 'each once');
    is($server->sample("$_\{plugin=\"storm\"}"), 0, "none $_") for 'missed', 'disordered';
}

sub items {
    my ($id, $n) = @_;
    return map { "$id:$_" } 1 .. $n;
}

{
    my $server = Storm->new(queues => 'jobs');
    my @expected;
    my $n = 0;
    for my $connection ($server->connections) {
        $connection->send('/', 'x-do' => 'enqueue jobs 500', 'x-id' => 'w' . ++$n);
        $connection->receive;
        push @expected, items("w$n", 500);
    }
    is_delivered($server, \@expected, 'what each of four workers put into a queue');
    my %takers = map { $_->{pid} => 1 } got($server);
    is(scalar keys %takers, 1, 'is taken by one of them, also what comes from itself');

    is_deeply([$server->ask_all('enqueue jobs 100')], [(100) x 4], 'what all put into it at the same time');
    ok(Server::wait_for(sub { delivered($server) == 2400 }), 'is taken as well');
    is_deeply([grep { !/ :\d+ from jobs is out of order/ } $server->problems], [], 'nothing else in the log');
}

{
    my $server = Storm->new(queues => 'jobs');
    my @expected;
    my $taker = sub {
        my $id = shift;
        $server->ask('enqueue jobs 1', 'x-id' => $id);
        push @expected, items($id, 1);
        my $pid;
        Server::wait_for(sub { ($pid) = map { /\] (\d+)#/ } $server->log(qr/ got $id:1 from /) });
        # it has done with it, and is at nothing when it is stopped
        sleep 0.05;
        return $pid // die "$id is not delivered";
    };
    my $put = sub {
        my ($connection, $id, $n) = @_;
        my ($status, $answer) = $connection->get('/', 'x-do' => "enqueue jobs $n", 'x-id' => $id);
        push @expected, items($id, $answer);
    };

    for my $round (1 .. 5) {
        my $pid = $taker->("first-$round");
        my @others = grep { $_->{pid} != $pid } $server->connections;
        # it takes nothing meanwhile
        kill 'STOP', $pid;
        $put->($others[$_], "stopped-$round-$_", 500) for 0 .. 2;
        kill 'KILL', $pid;
        $put->($others[$_], "killed-$round-$_", 500) for 0 .. 2;
    }
    is_delivered($server, \@expected, 'what a worker has not taken that is killed, others take');

    # it dies between two items, or at one
    for my $round (1 .. 10) {
        my $pid = $taker->("first-of-$round");
        my ($connection) = grep { $_->{pid} != $pid } $server->connections;
        kill 'STOP', $pid;
        $put->($connection, "busy-$round", 2000);
        kill 'CONT', $pid;
        sleep rand 0.01;
        kill 'KILL', $pid;
    }
    ok(Server::wait_for(sub { $server->stat('items') eq '0' }), 'the same while it takes them: all are taken');
    my %count;
    $count{ $_->{item} }++ for got($server);
    is_deeply([grep { $_ > 1 } values %count], [], 'none twice');
    my %pids;
    for (got($server)) {
        $pids{$1}{ $_->{pid} } = 1 if $_->{item} =~ /^(busy-\d+)/;
    }
    note scalar(grep { keys %{ $pids{$_} } > 1 } keys %pids), ' of ten died in the midst of it';
    my $lost = grep { !$count{$_} } @expected;
    cmp_ok($lost, '<=', 10, "$lost lost by those of ten that had just taken one");
    is($server->sample("$_\{plugin=\"storm\"}"), 0, "none $_") for 'missed', 'disordered';
    is_deeply([grep { !/exited on signal 9|undone/ } $server->problems], [], 'nothing else in the log');
}

{
    my $server = Storm->new(queues => 'jobs');
    $server->begin(3, sub {
        my $id = join '-', 'client', @_;
        my ($status, $body) = $server->get('/', 'x-do' => 'enqueue jobs 3', 'x-id' => $id);
        return $body eq '3' ? $id : "failed: $status $body";
    });
    for my $reload (1 .. 3) {
        my @old = $server->workers;
        ok($server->reload, "reload $reload, while workers put items into a queue");
        ok(Server::wait_for(sub { !grep { Server::alive($_) } @old }), 'the old workers end');
    }
    my @ids = $server->finish;
    is_deeply([grep { /failed/ } @ids], [], 'no request has failed');
    my @expected = map { items($_, 3) } @ids;
    is_delivered($server, \@expected, 'all ' . @expected . ' items');
    my %takers = map { $_->{pid} => 1 } got($server);
    cmp_ok(scalar keys %takers, '>=', 3, 'each generation of workers has taken some');

    $server->configure(queues => 'jobs', init => 'error("no such configuration")');
    $server->signal('HUP');
    ok(Server::wait_for(sub { $server->log(qr/no such configuration/) }), 'a reload that is refused');
    for my $i (1 .. 10) {
        $server->ask('enqueue jobs 1', 'x-id' => "refused$i");
        push @expected, items("refused$i", 1);
    }
    is_delivered($server, \@expected, 'the old workers go on');
    is_deeply([grep { !/no such configuration/ } $server->problems], [], 'nothing else in the log');
}

{
    my $server = Storm->new(queues => 'jobs');
    my ($connection) = $server->connections;
    my @expected;
    for my $id ('before', 'trap', 'after', 'trap', 'last') {
        $connection->get('/', 'x-do' => 'enqueue jobs 2', 'x-id' => $id);
        push @expected, items($id, 2) unless $id eq 'trap';
    }
    is_delivered($server, \@expected, 'an item that makes the plugin trap is taken, and a new VM takes the others');
    is($server->sample("proxy_wasm_${_}_total{plugin=\"storm\"}"), 4, "four $_") for 'traps', 'restarts';
    is_deeply([grep { !/proxy_on_queue_ready trapped|\d: +0x/ } $server->problems], [], 'nothing else in the log');
}

{
    # the queues are there from the start, and nobody is told of their items before the plugin is asked something
    my $server = Storm->new(size => '1m', init_worker => '', plugins => <<'_EOC_');
chains["/keeper"] = assert(wasm.chain{ { path = guests .. "storm.wasm", name = "keeper", conf = "a b c d e" } })
_EOC_
    my %taken;
    for my $queue ('a' .. 'd') {
        my $answer = $server->ask("enqueue $queue 5000");
        like($answer, qr/^\d+ status 1$/, "$queue is full at some time");
        ($taken{$queue}) = $answer =~ /^(\d+)/;
    }
    is_deeply([@taken{'b' .. 'd'}], [($taken{a}) x 3], 'all at the same');
    cmp_ok($taken{a}, '>', 1000, "$taken{a} items");
    is($server->ask('enqueue e 1'), '0 status 1', 'and no other gets one');
    is($server->ask('set key value'), '1', 'but there is room for data');
    is($server->ask('dequeue b 3'), ":1\n:2\n:3\n", 'three are taken');
    is($server->ask('enqueue e 4'), '3 status 1', 'then three are');
    my $items = $server->stat('items');
    is($items, 4 * $taken{a}, 'as many as there were');
    $server->get('/keeper');
    ok(Server::wait_for(sub { ($server->sample('delivered{plugin="keeper"}') // 0) == $items }), 'all of them are told of');
    is($server->ask('enqueue a 1'), 1, 'and there is room');
    is_deeply([grep { !/no room|out of order/ } $server->problems], [], 'nothing else in the log');
}

done_testing();

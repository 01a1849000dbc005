# examples/rate-limit in several workers: exactly as many requests pass as may.

use strict;
use warnings;

use Test::More;
use Storm;

# Its end is far away.
my $window = 10_000_000_000;

# A chain of rate-limit alone.
sub limit {
    my ($path, $conf) = @_;
    return qq(chains["$path"] = assert(wasm.chain{{ path = guests .. "rate-limit.wasm", name = "$path", conf = [[{ $conf }]] }})\n);
}

{
    my $server = Storm->new(plugins => limit('/', qq("limit": 400, "window_seconds": $window, "key": { "header": "x-client" })));
    my @connections = $server->connections;
    # the requests wait in the connections, so that each worker has as many as it can do
    for my $i (1 .. 300) {
        $_->send('/', 'x-client' => $i % 2 ? 'odd' : 'even') for @connections;
    }
    my (%count, %remaining, %pids);
    for my $i (1 .. 300) {
        for (@connections) {
            my ($status, $body, $headers) = $_->receive;
            my $client = $i % 2 ? 'odd' : 'even';
            $count{"$client $status"}++;
            $pids{ $headers->{'x-pid'} }++ if $status == 200;
            push @{ $remaining{$client} }, $headers->{'x-ratelimit-remaining'} if $status == 200;
            $count{'other answers'}++ if $status == 429 && !($headers->{'retry-after'} > 0 && $headers->{'x-ratelimit-remaining'} eq '0');
        }
    }
    is_deeply(\%count, { map {; "$_ 200" => 400, "$_ 429" => 200 } 'odd', 'even' }, 'of 600 requests of each of two clients 400 pass');
    is_deeply([sort { $a <=> $b } @{ $remaining{$_} }], [0 .. 399], "each of $_ was told another number that is left") for sort keys %remaining;
    # one may be so late that the others have let 400 pass
    cmp_ok(scalar keys %pids, '>', 1, 'more than one worker has counted');

    my $status = sub { ($server->get('/', 'x-client' => $_[0]))[0] };
    ok($server->reload, 'a reload');
    is($status->('odd'), 429, 'forgets nothing');
    kill 'KILL', $server->workers;
    ok(Server::wait_for(sub { $status->('new') == 200 }), 'nor do workers that are killed');
    is($status->('odd'), 429, 'and replaced');
    is_deeply([grep { !/exited on signal 9/ } $server->problems], [], 'nothing else in the log');
}

{
    my $plugins = join '', map { limit("/$_->[0]", qq("limit": 1, "window_seconds": $_->[1], "zone": "$_->[2]")) }
        ['one', $window, 'a'], ['two', $window, 'a'], ['three', $window, 'b'], ['second', 1, 'a'];
    my $server = Storm->new(plugins => $plugins);
    my $status = sub { ($server->get($_[0]))[0] };
    is($status->('/one'), 200, 'one request passes');
    is($status->('/two'), 429, 'plugins of the same zone count together');
    is($status->('/three'), 200, 'others apart');
    ok(Server::wait_for(sub { $status->('/second') == 429 }), 'two requests in a second');
    ok(Server::wait_for(sub { $status->('/second') == 200 }), 'another second begins');
    is_deeply([$server->problems], [], 'nothing in the log');
}

{
    my $plugins = join '', map { limit("/$_", qq("limit": 1, "window_seconds": $window, "on_error": "$_", "zone": "$_")) } 'allow', 'deny';
    my $server = Storm->new(size => '1m', policy => 'none', plugins => $plugins);
    # to the last chunk
    like($server->ask("fill $_ 20000 $_"), qr/status 10/, "it is filled with $_ bytes each") for 1000, 1;
    my @answers = map { [$server->get($_)] } ('/allow') x 3, ('/deny') x 3;
    is(join(' ', map { $_->[0] } @answers), '200 200 200 503 503 503', 'what cannot be counted passes, or not, as configured');
    is_deeply([grep { /x-ratelimit/ } map { keys %{ $_->[2] } } @answers], [], 'and is told nothing of limits');
    for my $plugin ('/allow', '/deny') {
        my @lines = $server->log(qr{\[warn\].* proxy-wasm $plugin: requests that could not be counted: 1; the store is full});
        my %pids = map { /\] (\d+)#/ ? ($1 => 1) : () } @lines;
        ok(@lines && @lines == keys %pids, 'the log says so, once for each worker');
    }

    is($server->ask('fill 1000 1 0'), '1', 'once there is room');
    is(join(' ', map { ($server->get($_))[0] } ('/allow') x 2, ('/deny') x 2), '200 429 200 429', 'requests are counted');
    is_deeply([grep { !/no room|could not be counted/ } $server->problems], [], 'nothing else in the log');
}

done_testing();

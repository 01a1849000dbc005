# Workers that are told to quit: they let requests wait to their end, and wait for nothing else.

use strict;
use warnings;

use Test::More;
use IO::Socket::INET;
use Server;

# Who is called: this test, answer by answer.
my $upstream = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', Timeout => 10) or die $!;
my $port = $upstream->sockport;
my @bad = (qr/\[(?:error|crit|alert|emerg)\]|exited on signal|panicked/);

my @parts = (
    init => <<"_EOC_",
plugin = assert(wasm.load("script", guests .. "script.wasm"))
waits = assert(wasm.on_configure(plugin, [[
on_request_headers http_call 127.0.0.1:$port (:path=/waits) "" () 60000
on_request_headers return pause
on_http_call_response resume]]))
ticks = assert(wasm.on_configure(plugin, [[
on_configure http_call 127.0.0.1:$port (:path=/configured) "" () 60000
on_configure set_tick_period_milliseconds 10
on_tick\@1 log info ticks]]))
_EOC_
    init_worker => 'wasm.init_worker()',
    location => <<'_EOC_',
location /waits {
    access_by_lua_block { assert(wasm.on_http_request_headers(waits)) }
    content_by_lua_block { ngx.print(ngx.worker.pid()) }
}
location /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
_EOC_
);

# The next call to that path; others that come before it are answered.
sub called {
    my $path = shift;
    while (my $connection = $upstream->accept) {
        my $line = <$connection> // next;
        while (defined(my $header = <$connection>)) {
            last if $header eq "\r\n";
        }
        return $connection if $line =~ / $path /;
        answer($connection);
    }
}

sub answer {
    my $connection = shift;
    print $connection "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    close $connection;
}

# A request that waits in the server: its connection, and that of the call.
sub waiting {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$Server::port") or die $!;
    print $socket "GET /waits HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    return ($socket, called('/waits'));
}

sub response {
    my $socket = shift;
    local $/;
    my $text = <$socket> // '';
    return $text =~ m{^HTTP/1\.1 200 .*\r\n\r\n\w+\r\n(\d+)\r\n}s ? $1 : $text;
}

{
    my $server = Server->new(@parts);
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    my ($old) = $server->workers;
    my ($socket, $call) = waiting();
    $server->signal('HUP');
    my $new = $old;
    Server::wait_for(sub { $new = ($server->get('/pid'))[1] and $new != $old });
    isnt($new, $old, 'HUP: another worker takes over');
    ok(Server::alive($old), 'and the one with a request that waits is still there');
    answer($call);
    is(response($socket), $old, 'the request gets its answer');
    ok(Server::wait_for(sub { !Server::alive($old) }), 'and the old worker ends');

    ($socket, $call) = waiting();
    $server->signal('QUIT');
    answer($call);
    is(response($socket), $new, 'QUIT: the request gets its answer');
    ok(Server::wait_for(sub { !Server::alive($new) && !-e "$server->{prefix}/logs/nginx.pid" }), 'and nginx ends');
    is_deeply([$server->log($_)], [], "no $_ in the log") for @bad;
    is(scalar(() = $server->log(qr/script: ticks/)), 2, 'there have been ticks in each worker');
}

{
    my $server = Server->new(@parts, workers => 2);
    $server->start;
    answer(called('/configured')) for 1 .. 2;
    pass('a call from the configuration is made in each worker');
    ok(Server::wait_for(sub { 2 == (() = $server->log(qr/script: ticks/)) }), 'there are ticks in both');
    my ($socket, $call) = waiting();
    my $pid = $server->pid;
    $server->signal('TERM');
    ok(Server::wait_for(sub { !Server::alive($pid) }), 'TERM: nginx waits for nothing');
    is_deeply([$server->log($_)], [], "no $_ in the log") for @bad;
}

done_testing;

# Workers that are killed, nginx told to stop at any time, and the ways to start it.

use strict;
use warnings;

use Test::More;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);
use Server;

# Who is called: it accepts and answers nothing.
my $silent = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or die $!;
my $silent_port = $silent->sockport;

my $init = <<"_EOC_";
chain = assert(wasm.chain{
    { path = guests .. "c-filter.wasm", conf = "yes" },
    { path = guests .. "storm.wasm", conf = "jobs" },
})
local script = assert(wasm.load("script", guests .. "script.wasm"))
local function configure(conf)
    return assert(wasm.on_configure(script, conf))
end
-- with it goes what else its instance has
endless = assert(wasm.on_configure(assert(wasm.load("endless", guests .. "script.wasm")), "on_request_headers loop"))
waits = configure([[
on_request_headers http_call 127.0.0.1:$silent_port (:path=/) "" () 60000
on_request_headers return pause
on_http_call_response resume]])
-- nothing lets it go on but the end of its time
paused = configure("on_configure set_tick_period_milliseconds 10\\non_request_headers return pause")
calls = configure([[
on_request_headers http_call 127.0.0.1:$Server::port (:path=/up) "" () 60000
on_request_headers return pause
on_http_call_response resume]])
_EOC_

my $init_worker = 'assert(wasm.init_worker())';

my $location = <<'_EOC_';
location /t {
    access_by_lua_block { chain:access() }
    header_filter_by_lua_block { chain:header_filter() }
    body_filter_by_lua_block { return chain:body_filter() }
    content_by_lua_block { ngx.print("hello") }
}
location /endless { access_by_lua_block { assert(wasm.on_http_request_headers(endless)) } }
location /waits {
    access_by_lua_block { assert(wasm.on_http_request_headers(waits)) }
    content_by_lua_block { ngx.print("hello") }
}
location /paused {
    access_by_lua_block { assert(wasm.on_http_request_headers(paused)) }
    content_by_lua_block { ngx.print("hello") }
}
location /calls {
    access_by_lua_block { assert(wasm.on_http_request_headers(calls)) }
    content_by_lua_block { ngx.print("hello") }
}
location /starts {
    access_by_lua_block {
        assert(wasm.on_configure(assert(wasm.load("starts", wat .. "loop-in-configure.wat")), "x"))
    }
}
location /up { return 200 "up"; }
_EOC_

sub new {
    my %parts = @_;
    my $server = Server->new(init => $init, init_worker => $init_worker, location => $location, level => 'warn', %parts);
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

# A request that is not waited for.
sub begin {
    my $path = shift;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$Server::port") or die $!;
    print $socket "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    $socket->flush;
    return $socket;
}

# The status with which it is answered in that time, 0 where the connection is closed without.
sub status {
    my ($socket, $seconds) = @_;
    my $line = IO::Select->new($socket)->can_read($seconds) ? <$socket> : return 'none';
    return ($line // '') =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

my $bad = qr/\[(?:crit|alert|emerg)\]|exited on signal|panicked/;

# killed at whatever it is at
{
    my $server = new(workers => 2, http => 'wasm_deadline 30s; wasm_start_deadline 30s;');
    my $master = $server->pid;
    $server->begin(3, sub {
        my ($client, $n) = @_;
        my ($status, $body, $headers) = $server->get($n % 2 ? '/t' : '/calls');
        return "$status " . ($status == 200 && ($body ne ($n % 2 ? 'HELLO' : 'hello')) ? 'wrong' : '');
    });
    my $kills = 0;
    for (1 .. 30) {
        sleep 0.02 + rand 0.1;
        my @workers = $server->workers;
        $kills += kill 'KILL', $workers[rand @workers] if @workers;
    }
    my %got;
    $got{$_}++ for $server->finish;
    my $ok = delete $got{'200 '};
    my $broken = delete $got{'0 '} // 0;
    note "$kills kills, $ok requests answered, $broken broken off";
    cmp_ok($ok, '>', 30, 'requests are answered while workers are killed');
    is_deeply(\%got, {}, 'and none with something else');
    ok(Server::wait_for(sub { $server->workers == 2 }, 20), 'there are two workers at the end');

    for my $at (['in a callback', '/endless'], ['in a pause', '/paused'], ['with a call out', '/waits'], ['as a plugin starts', '/starts']) {
        my ($what, $path) = @$at;
        my @before = $server->workers;
        my $socket = begin($path);
        is(status($socket, 0.3), 'none', "$what: a request is under way");
        kill 'KILL', @before;
        is(status($socket, 20), 0, "$what: it ends with its worker");
        my $is_new = sub { my %old = map { $_ => 1 } @before; 2 == grep { !$old{$_} } $server->workers };
        ok(Server::wait_for($is_new, 20), "$what: there are two others");
        is(join(' ', map { ($server->get($_))[1] } '/t', '/calls', '/t', '/calls'), 'HELLO hello HELLO hello', "$what: which serve requests");
    }
    is($server->pid, $master, 'the master is the same');
    my @lines = $server->log($bad);
    my @killed = grep { /\[alert\].* worker process \d+ exited on signal 9$/ } @lines;
    is(scalar @killed, scalar @lines, 'the log has nothing but that they were killed') or diag @lines;
}

# told to stop while there is something of everything
for my $signal ('TERM', 'INT', 'QUIT') {
    my $server = new(workers => 2, http => 'wasm_deadline 500ms; wasm_pause_timeout 1s;');
    is(($server->get('/t'))[0], 200, "$signal: plugins run");
    my @workers = $server->workers;
    my @all = ($server->pid, @workers);
    my %sockets = map { $_ => begin($_) } '/waits', '/paused', '/endless';
    sleep 0.1;
    my $begun = time;
    $server->signal($signal);
    if ($signal eq 'QUIT') {
        is(status($sockets{'/paused'}, 20), 200, "$signal: a request that is paused is let go, and answered");
        is(status($sockets{'/endless'}, 20), 500, "$signal: one in an endless loop has its end");
        is(status($sockets{'/waits'}, 1), 'none', "$signal: one that waits for a call waits on");
        close $silent->accept while IO::Select->new($silent)->can_read(0);
        is(status($sockets{'/waits'}, 20), 200, "$signal: until that is over");
    }
    ok(Server::wait_for(sub { !grep { Server::alive($_) } @all }, 30), "$signal: nginx ends");
    note sprintf '%s took %.1f s', $signal, time - $begun;
    is_deeply([$server->log($bad)], [], "$signal: without a crash");
}

# the ways to start
for my $load_module (1, 0) {
    for my $master ('on', 'off') {
        for my $daemon ('on', 'off') {
            my $name = ($load_module ? 'load_module' : 'FFI alone') . ", master_process $master, daemon $daemon";
            my $server = new(load_module => $load_module, master => $master, daemon => $daemon, level => 'warn');
            is(join(' ', ($server->get('/t'))[0, 1]), '200 HELLO', "$name: plugins run");
            is(($server->get('/calls'))[1], 'hello', "$name: and call");
            my @processes = ($server->pid, $master eq 'on' ? $server->workers : ());
            ok($server->stop('QUIT') && !grep({ Server::alive($_) } @processes), "$name: nginx ends");
            is_deeply([$server->log(qr/\[(?:error|crit|alert|emerg)\]|exited on signal|panicked/)], [], "$name: nothing in the log");
        }
    }
}

# the log is opened anew
{
    my $server = new(init_worker => '', level => 'info');
    $server->get('/t');
    rename "$server->{prefix}/logs/error.log", "$server->{prefix}/logs/old.log" or die $!;
    $server->signal('USR1');
    ok(Server::wait_for(sub { -e "$server->{prefix}/logs/error.log" }), 'USR1: a new log');
    # a worker opens it a little later than the master
    ok(Server::wait_for(sub { $server->get('/endless'); $server->log(qr/proxy-wasm endless: proxy_on_request_headers trapped/) }, 20),
        'where plugins log from now on');
}

# threads, each with its first use
{
    my $name = ($ENV{TEST_NGINX_BINARY} // '') =~ /trixie/ ? qr/^(?:nginx|ld-linux.*)$/ : qr/^nginx$/;
    my $threads = sub { join ' ', grep { $_ !~ $name } @{ Server::usage(shift)->{threads} } };
    my $server = new(init_worker => '', init => <<"_EOC_");
chain = assert(wasm.chain{ { path = guests .. "sdk-filter.wasm", conf = "replace_response_body=other" } })
queue = assert(wasm.chain{ { path = guests .. "storm.wasm", conf = "jobs" } })
calls = assert(wasm.on_configure(assert(wasm.load("script", guests .. "script.wasm")), [[
on_request_headers http_call 127.0.0.1:$Server::port (:path=/up) "" () 60000
on_request_headers return pause
on_http_call_response resume]]))
_EOC_
    my ($worker) = $server->workers;
    is($threads->($worker), '', 'a worker has no thread where no plugin has run');
    $server->get('/t');
    # a thread names itself a little later than it is there
    Server::wait_for(sub { $threads->($worker) ne '' });
    is($threads->($worker), 'wasm clock', 'one for the clock where one has');
    $server->get('/calls');
    is($threads->($worker), 'wasm calls wasm clock', 'one for calls where one has called');
    is($threads->($server->pid), '', 'the master has none');
}

done_testing();

# Processes: reloads, several workers, workers that die, and what the master does for them.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Server;

my $locations = <<'_EOC_';
location /t {
    content_by_lua_block { ngx.print(ngx.worker.pid()) }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(ctx)) }
}
location /w {
    content_by_lua_block { ngx.print(ngx.worker.pid()) }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(worker_ctx)) }
}
location /busy {
    content_by_lua_block { os.execute("sleep 0.1") ngx.print("busy") }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(ctx)) }
}
location /slow {
    access_by_lua_block { assert(wasm.on_http_request_headers(ctx)) ngx.sleep(0.5) }
    content_by_lua_block { ngx.print("slow") }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(ctx)) }
}
_EOC_

# A configuration whose plugin context, made in the master, adds the response header x-version.
sub version {
    my ($version, %parts) = @_;
    return (
        init => <<"_EOC_",
plugin = assert(wasm.load("script", guests .. "script.wasm", { vm_config = "on_vm_start count started" }))
ctx = assert(wasm.on_configure(plugin, [[
on_configure count configured
on_configure random
on_response_headers add_header_map_value 2 x-version $version
on_response_headers count responses
on_log count logged]]))
_EOC_
        init_worker => <<"_EOC_",
local plugin = assert(wasm.load("worker", guests .. "script.wasm"))
worker_ctx = assert(wasm.on_configure(plugin, "on_configure count configured\\non_response_headers add_header_map_value 2 x-version w$version"))
_EOC_
        location => $locations,
        %parts,
    );
}

my @bad = (qr/\[(?:crit|alert|emerg)\]|exited on signal|panicked/);

sub versions {
    my $server = shift;
    return join ' ', map { ($server->get($_))[2]{'x-version'} // 'none' } '/t', '/w';
}

{
    my $server = Server->new(version(1));
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    is(versions($server), '1 w1', 'contexts of init_by_lua and of init_worker_by_lua serve requests');
    for my $version (2 .. 5) {
        $server->configure(version($version));
        ok($server->reload, "reload $version");
        is(versions($server), "$version w$version", 'the new configuration is in effect');
    }

    $server->configure(version(6, init => 'ctx = assert(wasm.on_configure(assert(wasm.load("no", wat .. "configure-false.wat")), "x"))'));
    my @workers = $server->workers;
    $server->signal('HUP');
    ok(Server::wait_for(sub { $server->log(qr/init_by_lua error: .*failed to run proxy_on_configure/) }), 'a reload whose plugin refuses is refused');
    ok($server->log(qr/proxy-wasm no: proxy_on_configure returned false/), 'the plugin and the reason are in the log');
    is_deeply([$server->workers], \@workers, 'the old workers stay');
    is(versions($server), '5 w5', 'the old configuration serves on');

    $server->configure(version(7));
    ok($server->reload, 'the next reload');
    is(versions($server), '7 w7', 'is in effect');
    is_deeply([$server->log($bad[0])], [], 'nothing bad in the log');
    ok($server->stop('QUIT'), 'a graceful quit');
    is_deeply([$server->log(qr/\[(?:crit|alert|emerg)\]|exited on signal/)], [], 'nothing bad at the end');
}

{
    my $server = Server->new(version(1, workers => 2));
    $server->start;
    my $end = time + 3;
    my @children = map {
        my $pid = fork // die $!;
        if (!$pid) {
            my ($done, $wrong) = (0, 0);
            while (time < $end) {
                my ($status, $body, $headers) = $server->get($_ % 2 ? '/t' : '/w');
                $wrong++ unless $status == 200 && ($headers->{'x-version'} // '') =~ /^w?\d+$/;
                $done++;
            }
            require POSIX;
            POSIX::_exit($wrong ? 1 : $done > 20 ? 0 : 2);
        }
        $pid;
    } 1 .. 3;
    my $reloads = 0;
    while (time < $end - 0.5) {
        $server->configure(version(++$reloads, workers => 2));
        $server->reload;
    }
    my @codes = map { waitpid $_, 0; $? >> 8 } @children;
    is_deeply(\@codes, [0, 0, 0], "no request fails while nginx reloads ($reloads times)");
    cmp_ok($reloads, '>', 2, 'it did reload');
    is_deeply([$server->log(qr/\[(?:error|crit|alert|emerg)\]|exited on signal/)], [], 'nothing bad in the log');
}

{
    my $server = Server->new(version(1, workers => 4));
    $server->start;
    # a request that blocks its worker, so that the next goes to another
    my $all = sub {
        my %seen;
        Server::wait_for(sub {
            my @pids = map {
                my $pid = fork // die $!;
                if (!$pid) { $server->get('/busy'); require POSIX; POSIX::_exit(0) }
                $pid;
            } 1 .. 8;
            waitpid $_, 0 for @pids;
            $seen{$_} = 1 for map { /\] (\d+)#.*count responses/ } $server->log(qr/script: on_response_headers count responses/);
            !grep { !$seen{$_} } $server->workers;
        }, 15);
    };
    ok($all->(), 'each worker runs the context of the master');

    my $master = $server->pid;
    my (%started, %configured, %random);
    for ($server->log(qr/script: on_/)) {
        my ($pid) = /\] (\d+)#/;
        $started{$pid}++ if /on_vm_start count started/;
        $configured{$pid}++ if /on_configure count configured/;
        $random{$1}++ if /on_configure random (\w+)/;
    }
    my $once = join ' ', (1) x 4;
    # what the master says at level info while it reads the configuration is in no log
    is(join(' ', values %started), $once, 'proxy_on_vm_start once in each worker');
    is(join(' ', values %configured), $once, 'proxy_on_configure once in each worker');
    is(join(' ', values %random), $once, 'each has random numbers of its own');
    is_deeply([$server->log(qr/script: on_\w+ count (?:started|configured) [2-9]/)], [], 'no instance is shared');

    my @workers = $server->workers;
    is(scalar @workers, 4, 'four workers');
    kill 'KILL', $workers[0];
    ok(Server::wait_for(sub { my @now = $server->workers; @now == 4 && !grep { $_ == $workers[0] } @now }), 'a killed worker is replaced');
    ok($all->(), 'the new worker runs the context of the master');
    is($server->pid, $master, 'the master lives');
}

{
    my $server = Server->new(version(1));
    $server->start;
    my $pid = fork // die $!;
    if (!$pid) {
        my ($status, $body, $headers) = $server->get('/slow');
        require POSIX;
        POSIX::_exit($status == 200 && $body eq 'slow' && $headers->{'x-version'} eq '1' ? 0 : 1);
    }
    sleep 0.25;
    ok($server->stop('QUIT'), 'a graceful quit while a request runs');
    waitpid $pid, 0;
    is($? >> 8, 0, 'the request is answered, by the plugin too');
    is(scalar(() = $server->log(qr/script: on_log count logged 1/)), 1, 'and ends');
    is_deeply([$server->log(qr/\[(?:error|crit|alert|emerg)\]|exited on signal/)], [], 'nothing bad in the log');
}

{
    my $server = Server->new(version(1, master => 'off'));
    $server->start;
    is(versions($server), '1 w1', 'master_process off');
    is(versions($server), '1 w1', 'again');
    is(scalar(() = $server->log(qr/script: on_vm_start count started 1/)), 1, 'in one process nothing is configured twice')
        or diag 'nginx forks once to become a daemon';
}

for my $case (
    ['proxy_on_configure returns false', 'configure-false', qr/proxy-wasm x: proxy_on_configure returned false/],
    ['proxy_on_configure traps', 'configure-traps', qr/proxy-wasm x: proxy_on_configure trapped: /],
    ['proxy_on_vm_start returns false', 'vm-start-false', qr/proxy-wasm x: proxy_on_vm_start returned false/],
) {
    my ($name, $guest, $reason) = @$case;
    my $server = Server->new(init => qq{assert(wasm.on_configure(assert(wasm.load("x", wat .. "$guest.wat")), "x"))});
    my ($ok, $output) = $server->start;
    ok(!$ok, "$name in init_by_lua: nginx does not start");
    like($output, qr/init_by_lua error: .*failed to run proxy_on_configure/, "$name: with the error");
    ok($output =~ $reason || $server->log($reason), "$name: with the reason");
}

{
    my $server = Server->new(version(1));
    $server->start;
    my $reload = sub {
        $server->configure(version($_[0]));
        $server->reload;
        versions($server);
    };
    $reload->($_) for 1 .. 4;
    my $before = $server->rss($server->pid);
    $reload->($_) for 5 .. 14;
    my $grown = $server->rss($server->pid) - $before;
    cmp_ok($grown, '<', 4, 'ten reloads leave the master as large as it was') or diag "$grown MB more than $before MB";
    is(versions($server), '14 w14', 'and the last one is in effect');
}

done_testing();

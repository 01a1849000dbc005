# A callback that takes too long is ended, and the worker goes on.

use strict;
use warnings;

use Test::More;
use Server;

my $answer = <<'_EOC_';
location /fine {
    return 200 "ok\n";
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(fine)) }
}
location / {
    access_by_lua_block {
        local plugin = assert(wasm.load("loops", wat .. ngx.var.uri:match("[^/]+") .. ".wat"))
        local ctx, err = wasm.on_configure(plugin, "x")
        if ctx then
            local ok
            ok, err = wasm.on_http_request_headers(ctx)
        end
        ngx.print(tostring(err))
    }
}
_EOC_
my $init = <<'_EOC_';
fine = assert(wasm.on_configure(assert(wasm.load("add-header", wat .. "add-header.wat")), "x"))
_EOC_

sub ends {
    my ($name, $ms, %parts) = @_;
    my $server = Server->new(location => $answer, %parts, init => ($parts{init} // '') . "\n$init");
    my ($ok, $output) = $server->start;
    ok($ok, "$name: nginx starts") or diag $output;
    my @before = $server->workers;
    for (1, 2) {
        is(($server->get('/endless-loop'))[1], 'failed to run proxy_on_http_request_headers', "$name: an endless loop is an error");
        is(($server->get('/fine'))[2]{hello}, 'world', "$name: another plugin runs after it");
    }
    my @lines = $server->log(qr/\[error\].* proxy-wasm loops: proxy_on_request_headers trapped: it took more than $ms ms, client/);
    is(scalar @lines, 2, "$name: each is in the log");
    is(($server->get('/loop-in-allocator'))[1], 'failed to run proxy_on_http_request_headers', "$name: one in the allocator");
    @lines = $server->log(qr/proxy_on_request_headers trapped: it took more than $ms ms, client/);
    is(scalar @lines, 3, "$name: it is in the log");
    is_deeply([$server->workers], \@before, "$name: the worker is the same") unless ($parts{master} // 'on') eq 'off';
}

ends('by default', 1000);
ends('by directive', 40, http => 'wasm_deadline 40ms;');
ends('by setup', 2000, init => 'assert(wasm.setup{ deadline = "2s" })');
ends('without a master', 40, http => 'wasm_deadline 40ms;', master => 'off');
ends('compiled', 40, http => 'wasm_deadline 40ms; wasmedge_aot on;');

{
    # 10 seconds are for starting and configuring; a deadline of more is for these too
    my $server = Server->new(http => 'wasm_deadline 40ms;', location => $answer, init => $init, init_worker => <<'_EOC_');
local plugin = assert(wasm.load("loops", wat .. "loop-in-configure.wat"))
ngx.log(ngx.NOTICE, "configured: ", tostring(wasm.on_configure(plugin, "x")))
_EOC_
    $server->start;
    ok(Server::wait_for(sub { $server->log(qr/configured: nil/) }, 30), 'an endless loop in init_worker ends');
    like(join('', $server->log(qr/trapped/)), qr/proxy_on_configure trapped: it took more than 10000 ms/, 'in init_worker: the log');
    is(($server->get('/fine'))[2]{hello}, 'world', 'in init_worker: the worker answers');
}

{
    # a clock that stands still is woken
    my $server = Server->new(http => 'wasm_deadline 40ms;', location => $answer, init => $init);
    $server->start;
    is(($server->get('/fine'))[0], 200, 'a clock is started');
    sleep 2;
    is(($server->get('/endless-loop'))[1], 'failed to run proxy_on_http_request_headers', 'after a rest it counts again');
    $server->signal('QUIT');
    ok(Server::wait_for(sub { !defined $server->pid || !kill 0, $server->pid }), 'a worker with a clock stops');
    is_deeply([$server->log(qr/\[alert\]|exited on signal/)], [], 'and says nothing');
}

for my $word ('0', '0ms', '2h', '1d', 's', '-1s', '') {
    my ($ok, $output) = Server->new(require => 0, http => "wasm_deadline \"$word\";")->check;
    like($output, qr{\[emerg\].* bad wasm_deadline "\Q$word\E", it must be a time from 1ms to 1h in }, "wasm_deadline \"$word\" is refused");
}

done_testing();

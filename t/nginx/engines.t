# The engines: which there are, how plugins are compiled, what they may use, and changing between them with a reload.

use strict;
use warnings;

use Test::More;
use Server;

# each test says itself what is compiled
delete $ENV{WASMEDGE_AOT};

my $vm = $Server::vm;
my $answer = <<'_EOC_';
location /t {
    return 200 "ok\n";
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(ctx)) }
}
location /code { content_by_lua_block { ngx.print(wasm.info(plugin).code) } }
location /engine { content_by_lua_block { ngx.print(wasm.engine()) } }
location /trap {
    access_by_lua_block {
        local ctx = assert(wasm.on_configure(traps, "on_request_headers trap"))
        ngx.print(tostring(select(2, wasm.on_http_request_headers(ctx))))
    }
}
location /recurse {
    access_by_lua_block {
        local ctx = assert(wasm.on_configure(traps, "on_request_headers recurse"))
        ngx.print(tostring(select(2, wasm.on_http_request_headers(ctx))))
    }
}
_EOC_

sub init {
    my ($file) = @_;
    return <<"_EOC_";
plugin = assert(wasm.load("add-header", $file))
ctx = assert(wasm.on_configure(plugin, "x"))
traps = assert(wasm.load("script", guests .. "script.wasm"))
_EOC_
}
my $small = init('wat .. "add-header.wat"');
my $large = init('guests .. "add-header-rust.wasm"');

sub compiles {
    my ($name, $code, %parts) = @_;
    my $server = Server->new(location => $answer, %parts);
    my ($ok, $output) = $server->start;
    ok($ok, "$name: nginx starts") or diag $output;
    is(($server->get('/code'))[1], $code, "$name: the code");
    is(($server->get('/t'))[0], 200, "$name: a response");
    for my $death ('trap', 'recurse') {
        my @before = $server->workers;
        is(($server->get("/$death"))[1], 'failed to run proxy_on_http_request_headers', "$name: $death") for 1 .. 2;
        is_deeply([$server->workers], \@before, "$name: $death leaves the worker");
    }
    return $server;
}

sub conflict {
    my ($option, $word, $text, %parts) = @_;
    my $server = Server->new(%parts, location => 'location /said { content_by_lua_block { ngx.print(said) } }',
        init => "said = select(2, wasm.setup{ $option = '$word' })");
    $server->start;
    is(($server->get('/said'))[1], $text, "setup{ $option = '$word' } against the directive");
}

if ($vm eq 'wasmedge') {
    compiles('auto, small', 'interpreted', init => $small);
    compiles('auto, large', 'compiled', init => $large);
    compiles('on', 'compiled', http => 'wasmedge_aot on;', init => $small);
    compiles('off', 'interpreted', http => 'wasmedge_aot off;', init => $large);
    compiles('by setup', 'interpreted', load_module => 0, init => 'assert(wasm.setup{ wasmedge_aot = "off" })' . "\n$large");
    conflict('wasmedge_aot', 'off', '"off" is not what the directive says: wasmedge_aot on', http => 'wasmedge_aot on;');
    conflict('vm', 'wasmtime', '"wasmtime" is not what the directive says: wasm_vm wasmedge');

    {
        local $ENV{TMPDIR} = '/nonexistent';
        my $server = compiles('no folder to compile in', 'interpreted', init => $large);
        my @lines = $server->log(qr/\[warn\].* proxy-wasm add-header: interpreted, as it could not be compiled ahead of time: no temporary folder in \/nonexistent: /);
        is(scalar @lines, 1, 'no folder to compile in: one line says so');
    }

    {
        local $ENV{TMPDIR} = "$Server::root/build/tmp-$$";
        mkdir $ENV{TMPDIR};
        my $server = Server->new(http => 'wasmedge_aot off;', init => $large, location => $answer);
        $server->start;
        $server->configure(http => 'wasmedge_aot on;', init => $large, location => $answer);
        ok($server->reload, 'reload with another way to compile');
        is(($server->get('/code'))[1], 'compiled', 'reload with another way to compile: it counts');
        ok(rmdir $ENV{TMPDIR}, 'nothing is left of compiling');
    }

    # Each has handlers for the same signals.
    my $server = Server->new(vm => 'wasmtime', init => $large, location => $answer);
    $server->start;
    for my $engine ('wasmtime', 'wasmedge', 'wasmtime', 'wasmedge') {
        $server->configure(vm => $engine, init => $large, location => $answer);
        ok($server->reload, "reload to $engine");
        is(($server->get('/engine'))[1], $engine, "reload to $engine: it is");
        my @before = $server->workers;
        is(($server->get('/trap'))[1], 'failed to run proxy_on_http_request_headers', "reload to $engine: a trap");
        is(($server->get('/t'))[0], 200, "reload to $engine: a response");
        is_deeply([$server->workers], \@before, "reload to $engine: the worker is the same");
    }
    is_deeply([$server->log(qr/\[alert\]|exited on signal/)], [], 'reloads: nothing died');
} else {
    compiles('wasmtime', 'compiled', init => $small);

    # The build without WasmEdge, or the one with it where WasmEdge is not installed.
    my $without = $Server::library =~ m{/wasmedge/}
        ? qr{wasmedge: WasmEdge 0\.14 cannot be loaded \(libwasmedge\.so\.0: .*\): install it, .* in \S+/nginx\.conf:\d+\n}
        : qr{engine "wasmedge" is not in this build of libresty_proxy_wasm\.so, which has wasmtime only: install-wasmedge\.sh .* in \S+/nginx\.conf:\d+\n};
    SKIP: {
        skip 'WasmEdge is installed', 2 if $Server::library =~ m{/wasmedge/} && `PATH=\$PATH:/sbin ldconfig -p` =~ /libwasmedge\.so\.0/;
        my ($ok, $output) = Server->new(require => 0, vm => 'wasmedge')->check;
        ok(!$ok, 'an engine that there is not: nginx does not start');
        like($output, $without, 'an engine that there is not: how to get it');
    }
}

{
    my $grow = <<'_EOC_';
plugin = assert(wasm.load("grow", wat .. "grow.wat"))
ctx = assert(wasm.on_configure(plugin, "x"))
_EOC_
    for my $case (
        ['by default', 256 * 16],
        ['by directive', 1024, http => 'wasm_memory_limit 64m;'],
        ['in bytes', 3, http => 'wasm_memory_limit 200000;'],
        ['by setup', 16, init => 'assert(wasm.setup{ memory_limit = "1m" })'],
    ) {
        my ($name, $pages, %parts) = @$case;
        my $server = Server->new(%parts, location => $answer, init => ($parts{init} // '') . "\n$grow");
        my ($ok, $output) = $server->start;
        ok($ok, "memory limit $name: nginx starts") or diag $output;
        is(($server->get('/t'))[2]{pages}, 'x' x ($pages / 16) || 'none', "memory limit $name: what a guest gets");
    }
    my $server = Server->new(http => 'wasm_memory_limit 64k;', location => $answer, init => 'plugin = wasm.load("script", guests .. "script.wasm")');
    $server->start;
    is(scalar(() = $server->log(qr/\[error\].* failed to load .*memory minimum size of \d+ pages exceeds memory limits/)), 1,
        'memory limit: a plugin that starts with more is not loaded');
    for my $word ('0', '63k', '5g', '1t', 'm', '-1m', '') {
        my ($ok, $output) = Server->new(require => 0, http => "wasm_memory_limit \"$word\";")->check;
        like($output, qr{\[emerg\].* bad wasm_memory_limit "\Q$word\E", it must be a size from 64k to 4g in }, "memory limit \"$word\" is refused");
    }
}

done_testing();

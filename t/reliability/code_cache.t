# lua_code_cache off: each request makes a Lua VM of its own, which runs init_by_lua* again, and loads and configures plugins in it.

use strict;
use warnings;

use Test::More;
use Server;

my ($warm, $requests) = (20, 60);

my $location = <<'_EOC_';
location /t {
    access_by_lua_block { chain:access() }
    header_filter_by_lua_block { chain:header_filter() }
    body_filter_by_lua_block { return chain:body_filter() }
    content_by_lua_block { ngx.print("hello") }
}
location /own {
    access_by_lua_block {
        local context = assert(wasm.on_configure(assert(wasm.load("own", guests .. "c-filter.wasm")), "own"))
        assert(wasm.on_http_request_headers(context))
        ngx.ctx.context = context
    }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(ngx.ctx.context)) }
    body_filter_by_lua_block { assert(wasm.on_http_response_body(ngx.ctx.context)) }
    content_by_lua_block { ngx.print("hello") }
}
location /refused {
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(refuses)) }
    content_by_lua_block { ngx.print("hello") }
}
location /call {
    access_by_lua_block { assert(wasm.on_http_request_headers(calls)) }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(calls)) }
    content_by_lua_block { ngx.print("hello") }
}
location /trap {
    access_by_lua_block { ngx.print(tostring(select(2, wasm.on_http_request_headers(traps)))) }
}
location /up { return 200 "up"; }
location /metrics {
    lua_code_cache on;
    content_by_lua_block {
        collectgarbage()
        collectgarbage()
        ngx.print(wasm.metrics())
    }
}
_EOC_

my $init = <<"_EOC_";
chain = assert(wasm.chain{
    { path = guests .. "sdk-filter.wasm", conf = "add_response=x-a:b\\nreplace_response_body=other" },
    { path = guests .. "c-filter.wasm", conf = "c" },
})
local script = assert(wasm.load("script", guests .. "script.wasm"))
refuses = assert(wasm.on_configure(script, 'on_response_headers send_local_response 418 "" "teapot"'))
traps = assert(wasm.on_configure(script, 'on_request_headers trap'))
calls = assert(wasm.on_configure(script, [[
on_configure set_tick_period_milliseconds 10
on_request_headers http_call 127.0.0.1:$Server::port (:path=/up) "" () 10000
on_request_headers return pause
on_http_call_response resume
on_response_headers add_header_map_value 2 x-called yes
]]))
_EOC_

my %answers = (
    '/t' => '200 other bc',
    '/own' => '200 HELLO own',
    '/refused' => '418 teapot ',
    '/call' => '200 hello yes',
    '/trap' => '200 failed to run proxy_on_http_request_headers ',
);

sub answer {
    my ($server, $path) = @_;
    my ($status, $body, $headers) = $server->get($path);
    return "$status $body " . join '', map { $headers->{$_} // '' } 'x-a', 'x-c', 'x-called';
}

for my $door (
    ['load_module'],
    ['FFI alone', load_module => 0],
    # where nothing tells reading a configuration from running with it but this library
    ['FFI alone, without master and daemon', load_module => 0, master => 'off', daemon => 'off'],
) {
    my ($name, %parts) = @$door;
    my $server = Server->new(%parts, http => 'lua_code_cache off;', level => 'warn', init => $init, location => $location);
    my ($ok, $output) = $server->start;
    ok($ok, "$name: nginx starts") or diag $output;
    my $worker = sub { ($server->{master} eq 'off' ? $server->pid : ($server->workers)[0]) // 0 };
    my $process = $worker->();
    my %got;
    for my $path (sort keys %answers) {
        $got{$path}{answer($server, $path)}++ for 1 .. $warm;
    }
    for my $path (sort keys %answers) {
        my $before = Server::usage($worker->());
        $got{$path}{answer($server, $path)}++ for 1 .. $requests;
        my $after = Server::usage($worker->());
        is_deeply($got{$path}, { $answers{$path} => $warm + $requests }, "$name: $path");
        is($worker->(), $process, "$name: $path leaves the worker as it is");
        note "$name: $path: $before->{memory} KB, $after->{memory} KB after $requests more";
        # so many VMs with their plugins have several times this
        cmp_ok($after->{memory} - $before->{memory}, '<', 8192, "$name: $path leaves no memory");
        cmp_ok($after->{descriptors} - $before->{descriptors}, '<', 20, "$name: $path leaves no descriptors");
    }
    my ($left) = ($server->get('/metrics'))[1] =~ /^proxy_wasm_instances\{plugin="c-filter"\} (\d+)$/m;
    cmp_ok($left, '<', 4, "$name: plugins have gone with their requests");
    my @strange = grep { !/script: (?:proxy_on_request_headers trapped: wasm trap: | +\d+: )|lua_code_cache is off; this will hurt/ }
        $server->log(qr/\[(?:error|crit|alert|emerg)\]|exited on signal|panicked/);
    is_deeply(\@strange, [], "$name: nothing else in the log");
    ok($server->stop('QUIT'), "$name: nginx ends");
}

done_testing();

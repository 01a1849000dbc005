# How a worker learns of answers: by a socket of its own, whoever its user is, and without one by looking for them.

use strict;
use warnings;

use Test::More;
use File::Temp qw(tempdir);
use Time::HiRes qw(sleep);
use Server;

my $conf = '[[on_request_headers http_call 127.0.0.1:%d (:path=/up) "" () 5000
on_request_headers return pause
on_http_call_response as answer get_buffer_bytes 4 0 10
on_http_call_response effective caller
on_http_call_response add_header_map_value 0 x-answer %%answer
on_http_call_response continue_stream 0
on_log http_call 127.0.0.1:%d (:path=/up) "" () 5000]]';

sub server {
    my (%parts) = @_;
    return Server->new(%parts, init => ($parts{init} // '') . sprintf(<<"_EOC_", $Server::port, $Server::port), location => <<'_EOC_');
plugin = assert(wasm.load("script", guests .. "script.wasm"))
ctx = assert(wasm.on_configure(plugin, $conf))
_EOC_
location /t {
    access_by_lua_block { assert(wasm.on_http_request_headers(ctx)) }
    content_by_lua_block { ngx.print(ngx.var.http_x_answer) }
}
location /up { return 200 "up"; }
_EOC_
}

sub answers {
    my $server = shift;
    return scalar(() = $server->log(qr/on_http_call_response answer -> 0 "up"/));
}

# Calls from requests and from their ends are answered.
sub calls {
    my ($server, $name, $requests) = @_;
    my $before = answers($server);
    is(($server->get('/t'))[1], 'up', "$name: a request goes on with its answer") for 1 .. $requests;
    ok(Server::wait_for(sub { answers($server) == $before + 2 * $requests }),
        "$name: and the end of each gets one too");
}

{
    my $folder = tempdir(CLEANUP => 1);
    local $ENV{TMPDIR} = $folder;
    my $server = server(main => 'env TMPDIR;');
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    calls($server, 'by a socket', 2);
    # it is given up after a while without calls
    sleep 0.3;
    calls($server, 'by another one later', 2);
    is_deeply([glob "$folder/*"], [], 'nothing is left of them');
    is_deeply([$server->log(qr/\[(?:warn|error|crit|alert|emerg)\]/)], [], 'no problem');
}

SKIP: {
    skip 'not run as root', 4 if $>;
    my $server = server(user => 'nobody nogroup');
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    calls($server, 'a worker of another user', 1);
    is_deeply([$server->log(qr/\[(?:warn|error|crit|alert|emerg)\]/)], [], 'no problem');
}

{
    my $server = server(require => 0, init => <<'_EOC_');
function ngx.socket.tcp()
    return { settimeouts = function() end, connect = function() return nil, "no sockets today" end }
end
wasm = require("resty.proxy-wasm")
_EOC_
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    calls($server, 'without a socket', 2);
    like(($server->log(qr/\[warn\]/))[0], qr/answers to calls are polled for: no sockets today/, 'a warning');
}

done_testing;

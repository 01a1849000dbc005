# Clients and origins that go away at any moment, are slow, or turn to another protocol: all that belongs to a request goes with it, and the
# plugins are told of its end, once.

use strict;
use warnings;

use Test::More;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVTIMEO);
use Wire;

my $wire = Wire->new(location => <<"_EOC_");
location /blind { lua_check_client_abort off; $Wire::phases content_by_lua_block { ngx.print("own") } }
location /unbuffered { $Wire::phases proxy_pass http://127.0.0.1:PORT; proxy_buffering off; }
location /upgrade {
    $Wire::phases
    proxy_pass http://127.0.0.1:PORT;
    proxy_http_version 1.1;
    proxy_set_header Upgrade \$http_upgrade;
    proxy_set_header Connection upgrade;
    proxy_read_timeout 300ms;
}
location /large { content_by_lua_block { local piece = ("x"):rep(65536) for _ = 1, ngx.var.arg_pieces do ngx.print(piece) ngx.flush(true) end } }
location /through { $Wire::phases proxy_pass http://127.0.0.1:$Server::port/large?\$args; }
_EOC_
my $worker = $wire->lua('return ngx.worker.pid()');
my $origin = '127.0.0.1:' . $wire->{origin}->sockport;
my $ends = <<'_EOC_';
on_context_create log info begins
on_log log info ends
_EOC_
my $waits = <<"_EOC_";
on_request_headers http_call $origin (:path=/called) "" () 300
on_request_headers return pause
on_http_call_response resume
_EOC_

sub counted {
    my @news = $wire->news;
    return join ' ', map { my $word = $_; scalar grep { /proxy-wasm \S+: $word/ } @news } 'begins', 'ends';
}

# A request that is left, and what becomes of it.
sub leaves {
    my ($name, $script, $bytes, %options) = @_;
    for my $reset (0, 1) {
            $wire->script(("$ends$script") x 2);
        $wire->news;
        $wire->exchange($bytes, %options, reset => $reset);
        my $how = $reset ? 'RST' : 'FIN';
        ok($wire->settled, "$name ($how): no context stays");
        my ($begins, $finished) = split ' ', counted;
        is($finished, $begins, 'each plugin is told of the end, once');
        is($begins, $options{begins} // 2, 'of those that have seen it');
    }
    return;
}

my $get = sub { "GET $_[0] HTTP/1.1\r\nHost: a\r\n\r\n" };
my $post = "POST /origin HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" . 'x' x 50000;
my $megabytes = "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n" . 'x' x 8388608;

leaves('half of the headers', '#', "GET /origin HTTP/1.1\r\nHost: a\r\nX-", leave => '', begins => 0);
leaves('half of the body', 'on_request_body get_buffer_bytes 0 0 10', $post, leave => '');
leaves('half a chunk', 'on_request_body get_buffer_bytes 0 0 10', "POST /origin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nx", leave => '');
leaves('while a plugin waits', $waits, $get->('/own'), asked => qr/called/, begins => 1);
leaves('while a plugin waits, and nginx does not look', $waits, $get->('/blind'), asked => qr/called/);
leaves('while a plugin waits, with more requests behind', $waits, $get->('/own') x 3, asked => qr/called/, begins => 1);
leaves('while a plugin waits with the body', $waits =~ s/on_request_headers/on_request_body/gr, $post . 'x' x 50000, asked => qr/called/);
leaves('while the origin thinks', '#', $get->('/origin'), asked => qr/origin/);
leaves('at the beginning of a long response', 'on_response_body get_buffer_bytes 1 0 10', $get->('/origin'), answer => sub { $megabytes }, leave => qr/\r\n\r\n/);
leaves('while the response is held back', 'on_response_body@more return pause', $get->('/unbuffered'), answer => sub { ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.", 1) }, leave => qr/\r\n\r\n/);
leaves('in a local response', 'on_request_headers send_local_response 200 "" ' . 'x' x 1000000, $get->('/own'), leave => qr/\r\n\r\n/);
leaves('between two requests', '#', $get->('/own'), leave => qr/0\r\n\r\n\z/);

# Other requests do not notice that one is left.
$wire->script("$ends$waits");
my ($text) = $wire->exchange($get->('/own') . "GET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
is(join(' ', map { "$_->{status} $_->{body}" } Wire::responses($text)), '200 own 200 own', 'two requests of a connection that wait, one after the other');

# Slow on both sides.
$wire->script("${ends}on_request_body get_buffer_bytes 0 0 1000\non_response_body\@more return pause\non_response_body\@end set_buffer_bytes 1 0 0 all:");
my @asked;
($text, @asked) = $wire->exchange("POST /origin HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", slowly => 1,
    answer => sub { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" });
is(join(' ', map { "$_->{status} $_->{body}" } Wire::responses($text)), '200 all:hello', 'byte by byte, both ways');
like($asked[0], qr/\r\n\r\nbody\z/, 'the origin gets the body');
$wire->script('on_response_body get_buffer_status 1');
($text) = $wire->exchange("GET /origin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", slowly => 1 << 17, answer => sub { $megabytes });
is(join(' ', map { "$_->{status} " . length $_->{body} } Wire::responses($text)), '200 8388608', '8 MB to a client that reads it slowly');

# 100 MB through a plugin that looks at each byte; where it is interpreted, 5 MB will do. Of one response nginx keeps what a filter in Lua has
# changed until the client has read it, and this one may be slower than the worker: so it is ten.
my $requests = 10;
my $pieces = ($ENV{WASMEDGE_AOT} // '') eq 'off' ? 8 : 160;
$wire->chain('{ path = guests .. "c-filter.wasm", conf = "-" },');
my $before = $wire->rss($worker);
my ($read, $capitals) = (0, 0);
for (1 .. $requests) {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$Server::port") or die $!;
    $socket->sockopt(SO_RCVTIMEO, pack 'l!l!', 20, 0);
    print $socket "GET /through?pieces=$pieces HTTP/1.0\r\n\r\n";
    my $head = '';
    while (($head .= <$socket> // last) !~ /\r\n\r\n\z/) {}
    while (my $n = read $socket, my $piece, 1 << 20) {
        $read += $n;
        $capitals += $piece =~ tr/X//;
    }
    close $socket;
}
is("$read $capitals", join(' ', ($requests * $pieces << 16) x 2), 'all pass, each through the plugin');
my $grown = $wire->rss($worker) - $before;
cmp_ok($grown, '<', 50, sprintf 'the worker has grown by %.1f MB', $grown);
ok($wire->settled, 'no context stays');

# Another protocol.
sub upgraded {
    my $script = shift;
    $wire->script("$ends$script");
    $wire->news;
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$Server::port") or die $!;
    $client->sockopt(SO_RCVTIMEO, pack 'l!l!', 5, 0);
    syswrite $client, "GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n";
    my $server = $wire->{origin}->accept;
    $server->sockopt(SO_RCVTIMEO, pack 'l!l!', 5, 0);
    sysread $server, my $asked, 65536;
    syswrite $server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\nfrom the origin";
    my $text = '';
    while ($text !~ /from the origin/) {
        sysread $client, $text, 65536, length $text or last;
    }
    return ($client, $server, $text);
}

for (['the client leaves', 0, 0], ['the client leaves with a RST', 0, 1], ['the origin does', 1, 0], ['the origin does with a RST', 1, 1], ['neither says anything', -1]) {
    my ($name, $who, $reset) = @$_;
    my @ends = upgraded('on_response_body set_buffer_bytes 1 0 100 changed');
    like($ends[2], qr/\AHTTP\/1\.1 101 .*\r\n\r\nfrom the origin\z/s, "another protocol until $name: it begins");
    syswrite $ends[0], join '', map { chr } 0 .. 255;
    sysread $ends[1], my $bytes, 65536;
    is($bytes, join('', map { chr } 0 .. 255), 'bytes pass as they are');
    Wire::leave($ends[$who], $reset) if $who >= 0;
    ok($wire->settled, 'no context stays');
    is(counted, '1 1', 'the plugin is told');
}
for my $status (403, 200) {
    my ($client, $server, $text) = upgraded("on_response_headers send_local_response $status \"\" no");
    like($text, qr/\AHTTP\/1\.1 [1-9]\d\d /, "an upgrade that a plugin answers with $status");
    unlike($text, qr/\AHTTP\/1\.1 101|from the origin/, 'does not take place');
    is(sysread($server, my $bytes, 65536) // 'none', 0, 'and the origin is told');
    ok($wire->settled, 'no context stays');
}

is($wire->lua('return ngx.worker.pid()'), $worker, 'the same worker all the time');
is_deeply([grep { !/upstream timed out|is buffered to a temporary file|prematurely closed|the call to .* failed|recv\(\) failed/ } $wire->problems], [], 'nothing else in the log');
done_testing();

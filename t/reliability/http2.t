# HTTP/2: streams that are reset and connections that end at any moment, frames that make no sense, headers that plugins write.

use strict;
use warnings;

use Test::More;
use IO::Socket::INET;
use Socket qw(SO_RCVTIMEO);
use Wire;

my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
plan skip_all => 'nginx without HTTP/2' unless `$nginx -V 2>&1` =~ /http_v2_module/;
plan skip_all => 'no curl with HTTP/2' unless (`curl --version` // '') =~ /HTTP2/;

my $port = $Server::port + 1;
my $wire = Wire->new(http => <<"_EOC_");
server {
    listen 127.0.0.1:$port http2;
    lua_check_client_abort on;
    large_client_header_buffers 4 32k;
    location /own { $Wire::phases content_by_lua_block { ngx.print("own") } }
    location /origin { $Wire::phases proxy_pass http://127.0.0.1:PORT; }
    location /large { $Wire::phases content_by_lua_block { ngx.print(("x"):rep(1000000)) } }
}
_EOC_
my $worker = $wire->lua('return ngx.worker.pid()');
my $origin = '127.0.0.1:' . $wire->{origin}->sockport;
my $ends = "on_context_create log info begins\non_log log info ends\n";
my $waits = <<"_EOC_";
on_request_headers http_call $origin (:path=/called) "" () 5000
on_request_headers return pause
on_http_call_response resume
_EOC_

# Types and flags of frames.
my ($DATA, $HEADERS, $PRIORITY, $RST, $SETTINGS, $PUSH, $PING, $GOAWAY, $WINDOW, $CONTINUATION) = 0 .. 9;
my ($END_STREAM, $END_HEADERS) = (1, 4);

sub frame { my ($type, $flags, $stream, $payload) = @_; return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload }

# A string, and a header that is neither looked up nor remembered.
sub string {
    my $text = shift;
    my $n = length $text;
    return pack('C', $n) . $text if $n < 127;
    my ($bytes, $rest) = (pack('C', 127), $n - 127);
    while ($rest >= 128) {
        $bytes .= pack 'C', $rest % 128 + 128;
        $rest >>= 7;
    }
    return $bytes . pack('C', $rest) . $text;
}
sub header { my ($name, $value) = @_; return "\0" . string($name) . string($value) }
sub target { my ($method, $path) = @_; return header(':method', $method) . header(':scheme', 'http') . header(':authority', 'a') . header(':path', $path) }

sub connection {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die $!;
    $socket->sockopt(SO_RCVTIMEO, pack 'l!l!', 5, 0);
    syswrite $socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame($SETTINGS, 0, 0, $_[0] // '');
    return $socket;
}

# Sends all of it.
sub put {
    my ($socket, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite($socket, $bytes) // last;
        substr $bytes, 0, $n, '';
    }
    return;
}

# Reads frames until one is as wanted, or the connection ends; gives for each stream its status and its body, `reset` for one that nginx
# has reset, and under 0 whether nginx says goodbye or closes the connection.
sub get {
    my ($socket, $until) = @_;
    my %streams;
    while ((read($socket, my $head, 9) // 0) == 9) {
        my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $head;
        my $size = $high << 16 | $low;
        my $payload = '';
        $size == 0 || read $socket, $payload, $size or last;
        if ($type == $HEADERS) {
            my $first = ord $payload;
            # nginx may begin with a change of the table's size
            $first = ord($payload = substr $payload, 1) if $first >> 5 == 1;
            $streams{$stream} = { 8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404, 14 => 500 }->{$first & 15} if $first & 128;
            $streams{$stream} = substr $payload, 2, 3 unless $first & 128;
        }
        $streams{$stream} .= " $payload" if $type == $DATA && $size;
        $streams{$stream} = 'reset' if $type == $RST;
        $streams{0} = 'goodbye' if $type == $GOAWAY;
        return %streams if $until->($type, $flags, $stream);
    }
    $streams{0} = 'closed' unless $streams{0};
    return %streams;
}

sub last_of { my $wanted = shift; return sub { my ($type, $flags, $stream) = @_; return $stream == $wanted && ($type == $RST || ($type == $DATA || $type == $HEADERS) && $flags & $END_STREAM) } }

sub counted {
    my @news = $wire->news;
    return join ' ', map { my $word = $_; scalar grep { /proxy-wasm \S+: $word/ } @news } 'begins', 'ends';
}

# The call or the request that comes to the origin, which gets no answer.
sub called {
    my $socket = $wire->{origin}->accept;
    sysread $socket, my $bytes, 65536;
    return $socket;
}

# Ends of twenty streams. Each case sends, waits until it is in the state that it is about, and ends.
my $n = 20;
my @streams = map { 2 * $_ - 1 } 1 .. $n;
my %states = (
    'before the body' => ['#', sub { my $socket = shift; put($socket, join '', map { frame($HEADERS, $END_HEADERS, $_, target('POST', '/own')) } @streams) }],
    'in the body' => ['on_request_body get_buffer_bytes 0 0 10', sub {
        put($_[0], join '', map { frame($HEADERS, $END_HEADERS, $_, target('POST', '/own')) . frame($DATA, 0, $_, 'half') } @streams);
    }],
    'while a plugin waits' => [$waits, sub {
        put($_[0], join '', map { frame($HEADERS, $END_HEADERS | $END_STREAM, $_, target('GET', '/own')) } @streams);
        return map { called } @streams;
    }],
    'while the origin thinks' => ['#', sub {
        put($_[0], join '', map { frame($HEADERS, $END_HEADERS | $END_STREAM, $_, target('GET', '/origin')) } @streams);
        return map { called } @streams;
    }],
    # the window is full
    'in the response' => ['on_response_body get_buffer_bytes 1 0 10', sub {
        put($_[0], join '', map { frame($HEADERS, $END_HEADERS | $END_STREAM, $_, target('GET', '/large')) } @streams);
        get($_[0], sub { $_[0] == $DATA });
        return;
    }],
);
for my $state (sort keys %states) {
    my ($script, $enter) = @{ $states{$state} };
    for my $end ('each is reset', 'the connection ends', 'the connection ends with a RST') {
        $wire->script("$ends$script");
        $wire->news;
        my $socket = connection();
        my @called = $enter->($socket);
        # what was sent has been read
        put($socket, frame($PING, 0, 0, 'complete'));
        get($socket, sub { $_[0] == $PING });
        put($socket, join '', map { frame($RST, 0, $_, pack 'N', 8) } @streams) if $end eq 'each is reset';
        Wire::leave($socket, $end =~ /RST/) unless $end eq 'each is reset';
        ok($wire->settled, "$state, $end: no context stays");
        is(counted, "$n $n", 'the plugin is told of each end, once');
        if ($end eq 'each is reset') {
            put($socket, frame($WINDOW, 0, 0, pack 'N', 1 << 20) . frame($HEADERS, $END_HEADERS | $END_STREAM, 101, target('GET', '/own')));
            if ($script eq $waits) {
                my $call = called;
                syswrite $call, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            }
            my %got = get($socket, last_of(101));
            is($got{101}, '200 own', 'and the connection goes on');
        }
    }
}

# Streams that are opened and reset at once, over and over.
{
    $wire->script("$ends$waits");
    $wire->news;
    my $socket = connection();
    my $stream = -1;
    for (1 .. 10) {
        put($socket, join '', map { $stream += 2; frame($HEADERS, $END_HEADERS | $END_STREAM, $stream, target('GET', '/own')) . frame($RST, 0, $stream, pack 'N', 8) } 1 .. 50);
    }
    Wire::leave($socket, 1);
    ok($wire->settled, '500 streams that are reset at once: no context stays');
    my ($begins, $finished) = split ' ', counted;
    is($finished, $begins, "$begins have begun, and ended");
}

# Requests that make no sense: plugins see none of them.
$wire->script($ends);
for (
    ['an upper case name', target('GET', '/own') . header('X-A', 'b')],
    ['an empty name', target('GET', '/own') . header('', 'b')],
    ['a name with CRLF', target('GET', '/own') . header("x-a: b\r\nx-evil", 'c')],
    ['a value with CRLF', target('GET', '/own') . header('x-a', "b\r\nx-evil: c")],
    ['a value with LF', target('GET', '/own') . header('x-a', "b\nx-evil: c")],
    ['a value with NUL', target('GET', '/own') . header('x-a', "b\0c")],
    ['no path', header(':method', 'GET') . header(':scheme', 'http')],
    ['an empty path', target('GET', '')],
    ['two paths', target('GET', '/own') . header(':path', '/other')],
    ['a path with a blank and a version', target('GET', "/own HTTP/1.1\r\nX-Evil: 1")],
    ['an unknown pseudo-header', target('GET', '/own') . header(':other', 'b')],
    ['a pseudo-header too late', header(':method', 'GET') . header(':scheme', 'http') . header('x-a', 'b') . header(':path', '/own')],
    ['a method with CRLF', target("GET /evil HTTP/1.1\r\nX-A:", '/own')],
    ['too many headers', target('GET', '/own') . join '', map { header("x-$_", 'x' x 16000) } 1 .. 9],
    ['nonsense for HPACK', "\xff" x 100],
) {
    my ($name, $fields) = @$_;
    $wire->news;
    my $socket = connection();
    my @pieces = unpack '(a16000)*', $fields;
    my $last = pop @pieces;
    my @frames = map { [$_, 0] } @pieces;
    push @frames, [$last, $END_HEADERS];
    my $type = $HEADERS;
    for (@frames) {
        put($socket, frame($type, $_->[1] | ($type == $HEADERS ? $END_STREAM : 0), 1, $_->[0]));
        $type = $CONTINUATION;
    }
    my %got = get($socket, sub { last_of(1)->(@_) || $_[0] == $GOAWAY });
    like($got{1} // $got{0}, qr/^(?:400|414|494|431|reset|goodbye|closed)/, "$name: refused");
    is(counted, '0 0', 'plugins see nothing of it');
}

# Frames that make no sense, on a connection whose first request waits.
for (
    ['data of no stream', frame($DATA, 0, 0, 'x')],
    ['data of an idle stream', frame($DATA, 0, 9, 'x')],
    ['data after the end', frame($DATA, 0, 1, 'x')],
    ['headers of an even stream', frame($HEADERS, $END_HEADERS, 2, target('GET', '/own'))],
    ['the same stream twice', frame($HEADERS, $END_HEADERS, 1, target('GET', '/own'))],
    ['a continuation of nothing', frame($CONTINUATION, $END_HEADERS, 1, '')],
    ['a window that overflows', frame($WINDOW, 0, 0, pack 'N', 0x7fffffff)],
    ['a window of 0', frame($WINDOW, 0, 1, pack 'N', 0)],
    ['a reset of no stream', frame($RST, 0, 0, pack 'N', 8)],
    ['settings of a bad size', frame($SETTINGS, 0, 0, 'x')],
    ['a push', frame($PUSH, $END_HEADERS, 1, pack('N', 4) . target('GET', '/own'))],
    ['a frame that is too large', frame($DATA, 0, 1, 'x' x 20000)],
    ['a frame of an unknown type', frame(99, 255, 1, 'x')],
    ['noise', join '', map { chr } 0 .. 255],
) {
    my ($name, $bytes) = @$_;
    $wire->script("$ends$waits");
    $wire->news;
    my $socket = connection();
    put($socket, frame($HEADERS, $END_HEADERS | $END_STREAM, 1, target('GET', '/own')));
    my $call = called;
    put($socket, $bytes . frame($PING, 0, 0, 'complete'));
    get($socket, sub { $_[0] == $PING || $_[0] == $GOAWAY });
    syswrite $call, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    Wire::leave($socket);
    ok($wire->settled, "$name: no context stays");
    is(counted, '1 1', 'the request that waited ends, once');
}

# A body that is not as long as it says.
$wire->script("${ends}on_request_body get_buffer_bytes 0 0 100");
for ([100, 'less'], [2, 'more']) {
    my ($length, $what) = @$_;
    $wire->news;
    my $socket = connection();
    put($socket, frame($HEADERS, $END_HEADERS, 1, target('POST', '/own') . header('content-length', $length)) . frame($DATA, $END_STREAM, 1, 'body'));
    my %got = get($socket, sub { last_of(1)->(@_) || $_[0] == $GOAWAY });
    like($got{1} // $got{0}, qr/^(?:400|reset|goodbye|closed)/, "$what body than its length: refused");
    Wire::leave($socket);
    ok($wire->settled, 'no context stays');
    my ($begins, $finished) = split ' ', counted;
    is($finished, $begins, 'and the plugin knows');
}

# What plugins write.
$wire->script('on_response_headers add_header_map_value 2 X-Upper Case' . "\n" . 'on_response_headers add_header_map_value 2 x-large ' . 'x' x 50000 . "\n"
    . join "\n", map { sprintf 'on_response_headers add_header_map_value 2 x-%02x %s', $_, Wire::quote('a' . chr($_) . 'b') } 0 .. 255);
my $answer = `curl -sSi --http2-prior-knowledge --max-time 10 http://127.0.0.1:$port/own 2>&1`;
like($answer, qr/\AHTTP\/2 200 ?\r\n(?:[^\0\r\n]*\r\n)*\r\nown\z/, 'all bytes in values: one response');
like($answer, qr/^x-upper: Case\r\n/m, 'names are lower case');
like($answer, qr/^x-large: x{50000}\r\n/m, 'a long one is whole');
is(scalar(() = $answer =~ /^x-[0-9a-f]{2}: a(?:[^\0\r\n]|%[01][0-9A-F]|%7F)b\r\n/mg), 253, 'all but CR, LF and NUL are there');

is($wire->lua('return ngx.worker.pid()'), $worker, 'the same worker all the time');
is_deeply([grep { !/the call to .* failed|the "listen \.\.\. http2"/ } $wire->problems], [], 'nothing else in the log');
done_testing();

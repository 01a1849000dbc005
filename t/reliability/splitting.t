# Plugins that write what is no HTTP, to either side and in calls: each side reads one message, and the next request of a connection gets
# its own response.

use strict;
use warnings;

use Test::More;
use Wire;

my $wire = Wire->new(location => <<"_EOC_");
location /variable { set \$mine ''; $Wire::phases proxy_set_header X-Mine \$mine; proxy_pass http://127.0.0.1:PORT; }
location /flushes {
    $Wire::phases
    content_by_lua_block {
        for i = 1, 5 do
            ngx.print(i)
            ngx.flush(true)
        end
    }
}
location /error-page { error_page 403 500 502 /own; $Wire::phases content_by_lua_block { ngx.print("content") } }
location /error-page/named { error_page 403 500 502 \@named; $Wire::phases content_by_lua_block { ngx.print("content") } }
location /error-page/origin { error_page 403 500 502 \@named; $Wire::phases proxy_pass http://127.0.0.1:PORT; }
location \@named { $Wire::phases content_by_lua_block { ngx.print("named") } }
location /captures {
    content_by_lua_block {
        local res = ngx.location.capture("/own")
        ngx.print("(", res.status, " ", res.body, ")")
    }
}
_EOC_
my $worker = $wire->lua('return ngx.worker.pid()');
my $next = "GET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
my $request = "GET /origin HTTP/1.1\r\nHost: a\r\n\r\n";

sub quote { Wire::quote(@_) }

sub told { my $response = shift; defined $response->{rest} ? "no HTTP: $response->{rest}" : "$response->{status} $response->{body}" . ($response->{cut} ? ' cut' : '') }

# The fields of a message, but for those that nginx writes. Some control characters are escaped on the way.
sub fields {
    my ($head) = shift =~ /\A(.*?\r\n)\r\n/s;
    $head =~ s/.*\n//;
    $head =~ s/%([01][0-9A-F]|7F)/chr hex $1/ge;
    return [sort grep { !/^(?:Host|Server|Date|Content-Type|Content-Length|Transfer-Encoding|Connection): /i } $head =~ /^(\S.*?)\r\n/msg];
}

# Each byte in a value, and in a name. What can be part of either goes out as it is, and nothing of the rest.
my %values = map { $_ => sprintf 'x-value-%02x', $_ } 0 .. 255;
my %names = map { $_ => 'n' . chr($_) . sprintf 'n-%02x', $_ } 0 .. 255;
my @good_values = grep { !/^(?:0|10|13)$/ } 0 .. 255;
my @good_names = grep { chr =~ /[!#\$%&'*+.^_`|~0-9A-Za-z-]/ } 0 .. 255;
my @written = sort +(map { "$values{$_}: a" . chr($_) . 'b' } @good_values), (map { "$names{$_}: v" } @good_names);
my $refused = 512 - @written;

# lua_transform_underscores_in_response_headers is on
my @written_to_client = sort map { s/^n_n/n-n/r } @written;

sub writes {
    my ($callback, $call, $map) = @_;
    return join "\n", (map { "$callback $call $map $values{$_} " . quote('a' . chr($_) . 'b') } 0 .. 255),
        map { "$callback $call $map " . quote($names{$_}) . ' v' } 0 .. 255;
}

for my $call (qw(add_header_map_value replace_header_map_value)) {
    $wire->news;
    $wire->script(writes('on_request_headers', $call, 0));
    my ($text, @asked) = $wire->exchange("GET /origin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    is(scalar @asked, 1, "$call of the request: the origin is asked once");
    like($asked[0], qr/\AGET \/origin HTTP\/1\.1\r\n/, 'for what it should be');
    is_deeply(fields($asked[0]), \@written, 'the headers are those that can be written');
    is(scalar(grep { /$call -> 2/ } $wire->news), $refused, 'the others are a BadArgument');

    $wire->script(writes('on_response_headers', $call, 2));
    ($text) = $wire->exchange($request . $next);
    my @responses = Wire::responses($text);
    is_deeply([map { told($_) } @responses], ['200 hello', '200 own'], "$call of the response: two responses, each with its body");
    is_deeply(fields("$responses[0]{head}\r\n"), \@written_to_client, 'the headers are those that can be written');
    is(scalar(grep { /$call -> 2/ } $wire->news), 2 * $refused, 'the others are a BadArgument');
}

sub pairs { join ' ', (map { quote("$values{$_}=a" . chr($_) . 'b') } grep { chr ne '=' } 0 .. 255), map { quote("$names{$_}=v") } grep { chr ne '=' } 0 .. 255 }

for my $callback (qw(on_request_headers on_response_headers)) {
    $wire->script("$callback send_local_response 403 \"\" denied (" . pairs . ')');
    my ($text) = $wire->exchange($request . $next);
    my @responses = Wire::responses($text);
    is_deeply([map { told($_) } @responses], ['403 denied', '403 denied'], "a local response of $callback: two responses, each with its body");
    # their names are lower case
    is_deeply(fields("$responses[0]{head}\r\n"), [sort map { /^n/ ? lc : $_ } grep { !/x-value-3d/ } @written_to_client], 'the headers are those that can be written');
}

$wire->script('on_request_headers send_local_response 403 "" ' . quote(join '', map { chr } 0 .. 255));
for ([200, "GET /own HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\r\n", '']) {
    my ($status, $bytes, $body) = @$_;
    my ($text) = $wire->exchange($bytes . $bytes =~ s/\r\n\r\n/\r\nConnection: close\r\n\r\n/r);
    my @responses = Wire::responses($text);
    is_deeply([map { told($_) } @responses], ['200 ', '200 '], 'any bytes as the message of gRPC: two responses');
    my ($message) = map { $_->[0] eq 'grpc-message' ? $_->[1] : () } @{ $responses[0]{headers} };
    is($message =~ s/%([0-9A-F]{2})/chr hex $1/ger, join('', map { chr } 0 .. 255), 'each with the message, escaped');
}

# A whole map is refused for one header of it.
for my $case ((map { [$values{$_}, 'a' . chr($_) . 'b'] } 0, 10, 13), (map { ['n' . chr($_) . 'n', 'v'] } 0, 10, 13, 32, 58)) {
    my $pair = quote(join '=', @$case);
    $wire->script("on_request_headers set_header_map_pairs 0 (x-fine=1 $pair)\non_response_headers set_header_map_pairs 2 (x-fine=1 $pair)");
    my ($text, @asked) = $wire->exchange($request . $next);
    is_deeply([map { told($_) } Wire::responses($text)], ['200 hello', '200 own'], "all headers at once, with $pair: two responses");
    unlike("@asked $text", qr/x-fine/, 'and nothing of it is there');
}

# The request line.
sub asked {
    my ($script, $name) = @_;
    $wire->script($script);
    my ($text, @asked) = $wire->exchange("GET /origin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    is(scalar @asked, 1, "$name: the origin is asked once");
    return $asked[0] // '';
}

for my $place ('path', 'query') {
    my @escapes;
    for my $byte (0 .. 255) {
        my $target = '/origin' . ($place eq 'query' ? '?' : '/') . 'a' . chr($byte) . 'b';
        push @escapes, 'on_request_headers replace_header_map_value 0 :path ' . quote($target), 'on_request_headers get_header_map_value 0 :path';
    }
    # one after the other, so that each is seen to be refused or kept; the last one goes upstream
    $wire->news;
    asked(join("\n", @escapes), ":path, all bytes in the $place");
    is(scalar(grep { /replace_header_map_value -> 2/ } $wire->news), 3, 'CR, LF and NUL are refused');
    for my $bytes (map { join '', map { chr } @$_ } [1 .. 9, 11, 12, 14 .. 34], [36 .. 62, 64 .. 126], [127 .. 255]) {
        my $target = '/origin' . ($place eq 'query' ? '?' : '/') . $bytes;
        my $asked = asked('on_request_headers replace_header_map_value 0 :path ' . quote($target =~ s/%/%25/r), ":path, some of them");
        my ($line) = $asked =~ /\A(.*?)\r\n/;
        like($line, qr/\AGET \/origin[^\0-\x20\x7f]* HTTP\/1\.1\z/, 'with a request line of three words');
        is_deeply(fields($asked), [], 'and no other header');
    }
}

like(asked("on_request_headers replace_header_map_value 0 :method " . quote($_), ":method $_"), qr/\AGET \/origin HTTP\/1\.1\r\n/, 'as before')
    for 'get', 'GETT', '', ' GET', "GET / HTTP/1.1\r\n\r\n", "GET\r\n", "GET\0", 'BREW', 'CONNECT', '*';
for my $authority ('', "a\r\nX-Evil: 1", "a\0b", "a\nb", "a\rb") {
    is_deeply(fields(asked("on_request_headers replace_header_map_value 0 :authority " . quote($authority), ':authority ' . quote $authority)), [], 'no other header');
}

# How a message is framed.
for my $length (0, 3, 4, 6, 100, -1, '+5', '5, 6', 'five', '18446744073709551621') {
    for my $method (qw(GET HEAD)) {
        $wire->chain("{ path = wat .. 'set-response-header.wat', conf = 'content-length=$length' },");
        my ($text) = $wire->exchange($request =~ s/GET/$method/r . $next);
        my @responses = Wire::responses($text, $method, 'GET');
        is_deeply([map { told($_) } @responses], ["200 " . ($method eq 'GET' ? 'hello' : ''), '200 own'],
            "content-length $length of a response to $method: two responses, each with its body");
    }
}

$wire->script(<<'_EOC_');
on_response_headers add_header_map_value 2 content-length 2
on_response_headers add_header_map_value 2 Content-Length 3
on_response_headers replace_header_map_value 2 transfer-encoding identity
on_response_headers add_header_map_value 2 transfer-encoding gzip
on_response_headers replace_header_map_value 2 connection "upgrade, x-a"
on_response_headers set_header_map_pairs 2 (content-length=1 content-length=2 transfer-encoding=chunked connection=close :status=200)
_EOC_
is_deeply([map { told($_) } Wire::responses(($wire->exchange($request . $next))[0])], ['200 hello', '200 own'], 'all kinds of framing at once');

for my $post ("Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n") {
    $wire->script(<<'_EOC_');
on_request_headers replace_header_map_value 0 content-length 2
on_request_headers add_header_map_value 0 content-length 100
on_request_headers replace_header_map_value 0 transfer-encoding chunked
on_request_headers add_header_map_value 0 Transfer-Encoding gzip
on_request_headers replace_header_map_value 0 connection upgrade
on_request_headers set_header_map_pairs 0 (content-length=1 transfer-encoding=chunked expect=100-continue upgrade=websocket te=trailers)
_EOC_
    my ($text, @asked) = $wire->exchange("POST /origin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n$post");
    is(scalar @asked, 1, 'the request: the origin is asked once');
    like($asked[0], qr/\APOST \/origin HTTP\/1\.1\r\n(?=[^\0]*?\r\n\r\nbody\z)(?:(?!Transfer-Encoding).*\r\n)*Content-Length: 4\r\n/, 'with all of the body');
}

# A body that nobody has read when the plugin answers is no request.
my $evil = "GET /own?evil HTTP/1.1\r\nHost: a\r\n\r\n";
for my $callback (qw(on_request_headers on_request_body on_response_headers)) {
    $wire->script("$callback send_local_response 403 \"\" denied\non_request_headers get_header_map_value 0 :path");
    for my $times (1, 1000, 50000) {
        my $body = $evil x $times;
        for (['a length', 'Content-Length: ' . length($body) . "\r\n\r\n$body"], ['chunks', sprintf "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length $body, $body]) {
            my ($framing, $rest) = @$_;
            $wire->news;
            my ($text) = $wire->exchange("POST /own HTTP/1.1\r\nHost: a\r\n$rest$next");
            my @told = map { told($_) } Wire::responses($text);
            is($told[0], '403 denied', "$callback, a body of $times requests, $framing: the response");
            ok(@told <= 2, 'and at most one more');
            is(scalar(grep { /get_header_map_value -> 0 "\/own\?evil"/ } $wire->news), 0, 'none of them is one');
        }
    }
}

# `100 Continue` comes before the response, whatever that is.
for my $response ('403 "" denied', '403 "" ""', '204 "" denied', '200 "" "" () 0') {
    for my $type ('text/plain', 'application/grpc') {
        $wire->script("on_request_headers send_local_response $response");
        my $post = "POST /own HTTP/1.1\r\nHost: a\r\nContent-Type: $type\r\nContent-Length: 4\r\nExpect: 100-continue\r\n";
        my ($text) = $wire->exchange("$post\r\nbody${post}Connection: close\r\n\r\nbody");
        like(join(' ', map { defined $_->{rest} || $_->{cut} ? 'no HTTP' : $_->{status} } Wire::responses($text)), qr/^100 (2\d\d|403) 100 \1$/, "Expect, and $response for $type: in order");
    }
}

# Bodies for responses that have none.
for my $origin ("304 Same\r\nContent-Length: 500", "304 Same", "204 None", "302 Found\r\nContent-Length: 0", "200 OK\r\nContent-Length: 0") {
    for my $script ('on_response_body set_buffer_bytes 1 0 0 changed', 'on_response_body@end set_buffer_bytes 1 0 1000 changed') {
        $wire->script($script);
        my ($status) = $origin =~ /^(\d+)/;
        my ($text) = $wire->exchange($request . $next, answer => sub { ("HTTP/1.1 $origin\r\n\r\n", 1) });
        my @told = map { told($_) } Wire::responses($text);
        is($told[0], "$status ", "$script of " . $origin =~ s/\r\n.*//sr . ': no body');
        is(scalar @told, 2, 'and the next response');
    }
}
for my $script ('on_response_body set_buffer_bytes 1 0 0 changed', "on_response_headers replace_header_map_value 2 :status 304\non_response_body set_buffer_bytes 1 0 0 changed") {
    $wire->script($script);
    my ($text) = $wire->exchange($request =~ s/GET/HEAD/r . $next);
    is((map { told($_) } Wire::responses($text, 'HEAD'))[0] =~ s/\d+//r, ' ', "$script of HEAD: no body");
}

# The method decides on both sides whether there is a body.
for (['GET', 'HEAD'], ['POST', 'HEAD'], ['HEAD', 'GET'], ['HEAD', 'POST']) {
    my ($method, $other) = @$_;
    $wire->script("on_request_headers replace_header_map_value 0 :method $other\non_request_headers set_header_map_pairs 0 (:method=$other)");
    my ($text, @asked) = $wire->exchange($request =~ s/GET/$method/r . $next =~ s/GET/$method/r);
    is_deeply([map { told($_) } Wire::responses($text, $method, $method)], $method eq 'HEAD' ? ['200 ', '200 '] : ['200 hello', '200 own'], ":method $other of $method: two responses");
    like($asked[0], qr/\A$method /, 'the origin is asked as the client said');
}

# A handler that does not stop where the headers of its response are refused.
for (['close_stream 1', ''], ['trap', '500 PAGE'], ['send_local_response 403 "" denied', '403 denied'], ['send_local_response 403 "" ""', '403 ']) {
    my ($command, $expected) = @$_;
    $wire->script("on_response_headers $command");
    my ($text) = $wire->exchange("GET /flushes HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    is(join(' and ', map { told($_) =~ s/<html>.*<\/html>\s*\z/PAGE/sr } Wire::responses($text)), $expected, "$command, and a handler that goes on: nothing else");
    next if $command !~ /local/;
    ($text) = $wire->exchange("GET /captures HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    is((map { told($_) } Wire::responses($text))[0], "200 ($expected)", 'in a subrequest');
}

# An error in the headers of a response that Lua sends is no redirect under its feet.
for my $command ('trap', 'close_stream 1') {
    for my $answers ('#', 'on_request_headers send_local_response 403 "" denied') {
        for my $path (qw(/error-page /error-page/named /error-page/origin)) {
            for my $method (qw(GET HEAD)) {
                $wire->script($answers, "on_response_headers $command");
                my ($text) = $wire->exchange("$method $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                my @told = map { told($_) =~ s/ .*//sr } Wire::responses($text, $method);
                is("@told", $command eq 'trap' || $method eq 'HEAD' ? 500 : '', "$command in the response headers of $method $path, $answers");
            }
        }
    }
}
is($wire->lua('return ngx.worker.pid()'), $worker, 'and the worker lives');

for my $path (qw(/own /origin /flushes)) {
    $wire->script('on_response_headers close_stream 1');
    my ($text) = $wire->exchange("HEAD $path HTTP/1.1\r\nHost: a\r\n\r\n$next");
    is(join(' and ', map { told($_) } Wire::responses($text, 'HEAD')), '500 ', "close_stream of a response to HEAD, $path: a response, and the connection ends");
}

# Statuses: those that mean that there is no body, or that this is no answer yet.
my %reasons = (204 => 'No Content', 304 => 'Not Modified');
for my $status (0, 1, 99, 100, 101, 103, 199, 1000, -1, 65736) {
    $wire->news;
    $wire->script("on_response_headers replace_header_map_value 2 :status $status");
    my ($text) = $wire->exchange($request . $next);
    is_deeply([map { told($_) } Wire::responses($text)], ['200 hello', '200 own'], ":status $status: two responses, each with its body");
    is(scalar(grep { /replace_header_map_value -> 2/ } $wire->news), 2, 'it is a BadArgument');
    for my $callback (qw(on_request_headers on_response_headers)) {
        $wire->script("$callback send_local_response $status \"\" denied");
        ($text) = $wire->exchange($request . $next);
        is_deeply([map { told($_) } Wire::responses($text)], ['500 denied', '500 denied'], "a local response of status $status of $callback is one of 500");
    }
}
for my $status (204, 304) {
    my @scripts = ("on_response_headers replace_header_map_value 2 :status $status", map { "$_ send_local_response $status \"\" denied" } qw(on_request_headers on_response_headers));
    for my $script (@scripts) {
        $wire->script($script);
        my ($text) = $wire->exchange($request . $next);
        my @responses = Wire::responses($text);
        is_deeply([map { told($_) } @responses], ["$status ", "$status "], "$script: two responses without a body");
        is_deeply([grep { $_->[0] eq 'content-length' } map { @{ $_->{headers} } } @responses], [], "$script: that have no length") if $script =~ /local|204/;
    }
    $wire->chain("{ path = wat .. 'set-response-header.wat', conf = ':status=200' },");
    my ($text) = $wire->exchange($request . $next, answer => sub { "HTTP/1.1 $status None\r\nContent-Length: 1000\r\n\r\n" });
    is_deeply([map { told($_) } Wire::responses($text)], ['200 ', '200 own'], "$status that a plugin makes 200 of");
}

# What nginx itself puts into a request: its variables.
for my $args ("a=1 HTTP/1.1\r\nX-Evil: 1\r\nX: ", "a\nX-Evil: 1", "a HTTP/1.1", "a\0b") {
    my $asked = asked('on_request_headers set_property args ' . quote($args), 'the property args as ' . quote $args);
    like($asked, qr/\AGET \/origin[^\0-\x20\x7f]* HTTP\/1\.1\r\nHost: [0-9.:]+\r\n\r\n\z/, 'with no more than that');
}

for my $value ("a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\0b") {
    $wire->script('on_request_headers set_property mine ' . quote $value);
    my ($text, @asked) = $wire->exchange("GET /variable HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    unlike("@asked", qr/x-evil|x-mine|\0/i, 'a variable as ' . quote($value) . ': nothing of it');
}

# Large ones.
my $large = 'x' x 1000000;
$wire->script("on_response_headers add_header_map_value 2 x-large $large");
my @responses = Wire::responses(($wire->exchange($request . $next))[0]);
is_deeply([map { told($_) } @responses], ['200 hello', '200 own'], 'a header of a megabyte: two responses');
is_deeply([map { grep { $_->[1] eq $large } @{ $_->{headers} } } @responses], [['x-large', $large], ['x-large', $large]], 'each with it');
like(asked("on_request_headers add_header_map_value 0 x-large $large", 'to the origin'), qr/\r\nx-large: $large\r\n\r\n\z/, 'with it');
$wire->script("on_request_headers send_local_response 200 \"\" fine (x-large=$large)");
@responses = Wire::responses(($wire->exchange($request . $next))[0]);
is_deeply([map { told($_) } @responses], ['200 fine', '200 fine'], 'in a local response');

# Calls: one that could not be sent as it is, is not sent.
my $origin = '127.0.0.1:' . $wire->{origin}->sockport;

# Makes calls, each of which leads to one request or is refused, and gives those that came, and how many were refused.
sub called {
    my ($name, @arguments) = @_;
    $wire->news;
    $wire->script(join "\n", map { "on_request_headers http_call $origin $_ () 5000" } @arguments);
    my ($text, @asked) = $wire->exchange("GET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    is(told(Wire::responses($text)), '200 own', "$name: the response");
    my $answers = join ' ', map { / http_call -> (\d+)/ } $wire->news;
    my $refused = () = $answers =~ /2/g;
    is(@asked + $refused, @arguments, 'as many requests as were not refused') or diag $answers, @asked;
    my $odd = grep { !/\A[!#\$%&'*+.^_`|~0-9A-Za-z-]+ [^\0-\x20\x7f]+ HTTP\/1\.1\r\n(?:[^\0-\x20:]+: [^\0\r\n]*\r\n)+\r\n(?:body)?\z/ } @asked;
    is($odd, 0, 'each of them HTTP') or diag @asked;
    return ($refused, @asked);
}

my @sent_values = grep { $_ == 9 || $_ >= 32 && $_ != 127 } 0 .. 255;
my @sent = ((map { quote("$values{$_}=a" . chr($_) . 'b') } @sent_values), (map { quote("$names{$_}=v") } @good_names));
my ($none, $asked) = called('headers of a call', "(@sent) \"\"");
is($none, 0, 'it is sent');
is_deeply([grep { !/^(?:host|accept|user-agent): /i } @{ fields($asked) }], [sort +(map { "$values{$_}: a" . chr($_) . 'b' } @sent_values), (map { lc "$names{$_}: v" } @good_names)], 'with all of them');
my %is_sent = map { $_ => 1 } @sent_values;
my %is_good = map { $_ => 1 } @good_names;
my @not_sent = ((map { quote("$values{$_}=a" . chr($_) . 'b') } grep { !$is_sent{$_} } 0 .. 255), (map { quote("$names{$_}=v") } grep { !$is_good{$_} && $_ != 61 } 0 .. 255));
($none) = called('headers that no call can have', map { "($_) \"\"" } @not_sent);
is($none, scalar @not_sent, 'none is sent');

my @nonsense = map { chr } 0 .. 47, 58 .. 64, 91 .. 94, 96, 123 .. 130, 255;
for my $name (':method', ':path', ':authority') {
    called("$name of a call", map { '(' . quote("$name=/a${_}b") . ') ""' } @nonsense);
}
called('framing of a call', map { "(:method=POST $_) body" } 'content-length=2', 'content-length=100', 'content-length=2 content-length=4', 'transfer-encoding=chunked',
    'transfer-encoding=gzip', 'content-length=4 transfer-encoding=chunked', 'connection=upgrade upgrade=h2c', 'expect=100-continue', 'te=trailers', '":method=CONNECT"', 'host=b host=c');

is($wire->lua('return ngx.worker.pid()'), $worker, 'the same worker all the time');
ok($wire->settled, 'no context stays');
is_deeply([grep { !/is no status of a response|is malformed and left out|"mine" cannot be changed|proxy_on_response_headers trapped|attempt to set status 403 via ngx.exit after sending out the response status 500|\d: +0x/ } $wire->problems], [], 'nothing else in the log');
done_testing();

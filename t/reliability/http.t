# Clients that send nonsense, origins that answer it, and plugins that write it: what goes over the wire is HTTP all the same, the next
# request is served by the same worker, and no context stays.

use strict;
use warnings;

use Test::More;
use Wire;

# Plugins that look at everything, of several makes.
my $every = <<'_EOC_';
{ path = guests .. "script.wasm", conf = [[
on_request_headers log info begins
on_request_headers get_header_map_pairs 0
on_request_body get_buffer_bytes 0 0 4000000
on_response_headers get_header_map_pairs 2
on_response_body get_buffer_bytes 1 0 4000000
on_log get_header_map_pairs 0
on_log get_header_map_pairs 2
on_log log info ends]] },
{ path = guests .. "sdk-filter.wasm", conf = "add_request=x-sdk:in\nadd_response=x-sdk:out\nlog=seen" },
{ path = guests .. "go-filter.wasm", conf = "go" },
_EOC_

# The same locations with plugins and without: below /origin and below /bare.
my $features = join '', map {
    my ($path, $phases) = @$_;
    my $origin = 'proxy_pass http://127.0.0.1:PORT; proxy_http_version 1.1; proxy_set_header Connection "";';
    my $page = '/page' . ($phases ? '' : '-bare');
    <<"_EOC_";
location $path/gzip { $phases $origin gzip on; gzip_types *; gzip_proxied any; }
location $path/unbuffered { $phases $origin proxy_buffering off; proxy_request_buffering off; }
location $path/rate { $phases $origin limit_rate 4m; }
location $path/cache { $phases $origin proxy_cache cache; proxy_cache_key \$uri; }
location $path/error { $phases $origin proxy_intercept_errors on; error_page 404 $page; }
location $path/error-named { $phases $origin proxy_intercept_errors on; error_page 404 \@named$path; }
location \@named$path { $phases content_by_lua_block { ngx.print("named") } }
location $path/rewritten { $phases rewrite_by_lua_block { ngx.req.set_uri("$page", true) } }
location $path/capture { $phases content_by_lua_block { ngx.print(ngx.location.capture("$page").body, ngx.location.capture("$page").body) } }
location $path/auth { $phases $origin auth_request $page; }
location $path/mirror { $phases $origin mirror $page; }
location $path/ssi { $phases $origin ssi on; }
location $path/sub { $phases $origin sub_filter 0123 abc; sub_filter_types *; }
location $page { $phases content_by_lua_block { ngx.print("page") } }
_EOC_
} ['/origin', $Wire::phases], ['/bare', ''];
my $wire = Wire->new(init => "every = { $every }", location => "location = /file { $Wire::phases root html; }\n$features", http => 'proxy_cache_path logs/cache keys_zone=cache:1m;');
my $worker = $wire->lua('return ngx.worker.pid()');
my $next = "GET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

sub every { $wire->lua('set_chain(every)') }

# How many requests have begun and ended for plugins since it was last asked.
sub requests {
    my @news = $wire->news;
    return join ' ', map { my $word = $_; scalar grep { /proxy-wasm script: $word/ } @news } 'begins', 'ends';
}

# What a plugin makes of a response on purpose, and what differs because of it.
my $own = qr/^(?:x-sdk|x-go|date|content-length|transfer-encoding)$/;
sub shown {
    return map {
        my $response = $_;
        my @headers = map { "$_->[0]: $_->[1]" } grep { $_->[0] !~ $own } @{ $response->{headers} // [] };
        defined $response->{rest} ? "no HTTP: $response->{rest}"
            : join "\n", ($response->{status}, ($response->{cut} ? 'cut' : ()), (sort @headers), '', $response->{body});
    } @_;
}

# The same bytes with plugins and without, or if it differs, with plugins. NEXT is a request that answers itself.
sub compare {
    my ($name, $seen, $expected, $bytes, %options) = @_;
    $bytes =~ s/NEXT/$next/;
    my ($text, @asked) = $wire->exchange($bytes =~ s/PATH/\/origin/gr, %options);
    ok($wire->settled, "$name: no context stays");
    my $found = requests;
    is($found, $seen, "$name: what plugins see") if defined $seen;
    my @methods = map { /(\S+)/ } $bytes =~ /(?:\A|\r\n\r\n(?:body)?)([A-Z-]+ \S+ HTTP)/g;
    my @responses = Wire::responses($text, @methods);
    like(statuses(@responses), qr/^(?:$expected)$/, "$name: the statuses") if defined $expected;
    return if $options{differs};
    my ($bare, @asked_bare) = $wire->exchange($bytes =~ s/PATH/\/bare/gr, %options);
    $wire->settled && $wire->news;
    is_deeply([shown(@responses)], [shown(Wire::responses($bare, @methods))], "$name: nothing else than without plugins");
    s{/origin}{/bare}, s{^x-sdk: in\r\n}{}m for @asked;
    is_deeply(\@asked, \@asked_bare, "$name: nor for the origin");
    return;
}

sub statuses { join ' ', map { ($_->{status} // 'none') . ($_->{cut} ? ' cut' : '') } @_ }

every;
$wire->news;
for (
    # what, how many requests begin and end for plugins, the statuses, and the bytes: PATH is the path, NEXT one more request on the connection
    ['HTTP/1.0 without Host', '1 1', 200, "GET PATH HTTP/1.0\r\n\r\n"],
    # what has no length ends with the connection
    ['HTTP/1.0 with keepalive', '1 1', 200, "GET PATH HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET PATH HTTP/1.0\r\n\r\n", differs => 1],
    ['HTTP/0.9', '1 1', 'none', "GET PATH\r\n"],
    ['HTTP/1.1 without Host', '0 0', 400, "GET PATH HTTP/1.1\r\n\r\n$next"],
    ['two of Host', '0 0', 400, "GET PATH HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n$next"],
    ['an unknown version', '0 0', 505, "GET PATH HTTP/9.9\r\nHost: a\r\n\r\n$next"],
    ['300 headers', '2 2', '200 200', "GET PATH HTTP/1.1\r\nHost: a\r\n" . join('', map { "X-$_: $_\r\n" } 1 .. 300) . "\r\nNEXT"],
    ['300 of the same name', '2 2', '200 200', "GET PATH HTTP/1.1\r\nHost: a\r\n" . join('', map { "X-A: $_\r\n" } 1 .. 300) . "\r\nNEXT"],
    ['300 that are empty', '2 2', '200 200', "GET PATH HTTP/1.1\r\nHost: a\r\n" . join('', map { "X-$_:\r\n" } 1 .. 300) . "\r\nNEXT"],
    ['30 KB of a header', '2 2', '200 200', "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: " . 'a' x 30000 . "\r\n\r\nNEXT"],
    ['too long a header', '0 0', 400, "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: " . 'a' x 40000 . "\r\n\r\n$next"],
    ['30 KB of a path', '2 2', '200 200', "GET PATH" . 'a' x 30000 . " HTTP/1.1\r\nHost: a\r\n\r\nNEXT"],
    # not above 127, which the Rust SDK panics at
    ['any characters in a value', '2 2', '200 200', "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: " . join('', map { chr } 1 .. 9, 11, 12, 14 .. 127) . "b\r\n\r\nNEXT"],
    ['a NUL in a value', '0 0', 400, "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: a\0b\r\n\r\n$next"],
    ['bare LF', '2 2', '200 200', "GET PATH HTTP/1.1\nHost: a\nX-A: b\n\nNEXT"],
    ['a whole URI', '2 2', '200 200', "GET http://b.example:8PATH?c HTTP/1.1\r\nHost: a\r\n\r\nNEXT"],
    ['OPTIONS *', '0 0', '400', "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n$next"],
    ['CONNECT', '0 0', qr/^40[05]$/, "CONNECT b:80 HTTP/1.1\r\nHost: a\r\n\r\n$next"],
    ['a method of its own', '2 2', '200 200', "BREW-COFFEE PATH HTTP/1.1\r\nHost: a\r\n\r\nNEXT"],
    ['an encoded path', '2 2', '200 200', "GET PATH/%0d%0aX-Evil:%201/%2e%2e?%0d%0a HTTP/1.1\r\nHost: a\r\n\r\nNEXT"],
    ['Range', '2 2', '200 200', "GET PATH HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,3-\r\n\r\nNEXT"],
    ['Expect', '2 2', '100 200 200', "POST PATH HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbodyNEXT"],
    ['another Expect', '2 2', '200 200', "POST PATH HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 4\r\n\r\nbodyNEXT"],
    ['HEAD', '2 2', '200 200', "HEAD PATH HTTP/1.1\r\nHost: a\r\n\r\nNEXT"],
    ['a body in chunks', '2 2', '200 200', "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nbod\r\n1\r\ny\r\n0\r\nX-T: 1\r\n\r\nNEXT"],
    ['an upgrade that nobody wants', '2 2', '200 200', "GET PATH HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nNEXT"],
    ['one after the other, 50 times', '51 51', join(' ', (200) x 51), "GET PATH HTTP/1.1\r\nHost: a\r\n\r\nPOST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" x 25 . 'NEXT'],

    # shapes that smuggle a request past somebody
    ['a length and chunks', '0 0', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$next"],
    ['chunks and a length', '0 0', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n$next"],
    ['two lengths', '0 0', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody$next"],
    ['two lengths alike', '0 0', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody$next"],
    (map { ["a length of \"$_\"", '0 0', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: $_\r\n\r\nbody$next"] }
        '+4', '-4', '4, 4', '4 4', '0x4', '4;', '18446744073709551620'),
    (map { ["a coding of \"$_\"", '0 0', 501, "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: $_\r\n\r\n0\r\n\r\n$next"] }
        'xchunked', 'chunked, identity', 'identity', 'gzip, chunked'),
    ['chunks twice', '0 0', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$next"],
    ['a blank before the colon', '0 0', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n$next"],
    ['a line that goes on', '0 0', 400, "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n$next"],
    ['CR in a value', '0 0', 400, "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: b\rX-Evil: 1\r\n\r\n$next"],
    (map { ["a chunk of \"$_\"", '1 1', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n$_\r\nbody\r\n0\r\n\r\n$next"] }
        'four', '-4', '', ' 4', '0x4', 'ffffffffffffffffff'),
    ['a longer chunk than it says', '1 1', 400, "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbody\r\n0\r\n\r\n$next"],
    ['too large a body', '0 1', 413, "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n$next"],
    ['too large a chunk', '1 1', 413, "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4c4b40\r\n$next"],
    ['a body that ends early', '1 1', '', "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nbody", shut => 1],
    ['chunks that end early', '1 1', '', "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbod", shut => 1],
    ['headers that end early', '0 0', '', "GET PATH HTTP/1.1\r\nHost: a\r\nX-A", shut => 1],
    ['nothing but noise', '0 0', '400', join '', (map { chr } 128 .. 255), "\n"],
) {
    my ($name, $seen, $expected, $bytes, %options) = @$_;
    compare($name, $seen, $expected, $bytes, %options);
}

# The other plugins take what is no UTF-8.
$wire->lua('set_chain{ every[1], every[3] }');
compare('bytes that are no UTF-8', '2 2', '200 200',
    "GET PATH?\xc3\x28 HTTP/1.1\r\nHost: a\r\nX-A: " . join('', map { chr } 128 .. 255) . "\r\nX-\xff: 1\r\nCookie: \xfe\xff=\xc0\x80\r\n\r\nNEXT");
every;

# Answers of an origin that then closes the connection. What nginx makes of them is its own business where no status is said.
for (
    ['a length, and less', '1 1', '200 cut', "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes."],
    ['a length, and more', '2 2', '200 200', "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nten bytes.HTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n"],
    ['chunks that end early', '1 1', '200 cut', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nten bytes.\r\n"],
    ['half a chunk', '1 1', '200 cut', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nten"],
    ['no chunk', undef, undef, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nten bytes.\r\n"],
    ['half of the headers', '2 2', '502 200', "HTTP/1.1 200 OK\r\nX-Half"],
    ['nothing', '2 2', '502 200', ''],
    ['a body until it closes', '2 2', '200 200', "HTTP/1.1 200 OK\r\n\r\nas long as it lasts"],
    ['no HTTP', undef, undef, "220 mail.example.com ESMTP at your service\r\n" x 4],
    ['bytes', undef, undef, join '', map { chr } 0 .. 255],
    ['a length and chunks', undef, undef, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ['two lengths', undef, undef, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
    ['no length', undef, undef, "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello"],
    ['a NUL in a header', '2 2', '502 200', "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 5\r\n\r\nhello"],
    ['too long a header', '2 2', '502 200', "HTTP/1.1 200 OK\r\nX-A: " . 'a' x 40000 . "\r\nContent-Length: 5\r\n\r\nhello"],
    ['100 headers of a name', '2 2', '200 200', "HTTP/1.1 200 OK\r\n" . join('', map { "X-A: $_\r\n" } 1 .. 100) . "Content-Length: 5\r\n\r\nhello"],
    ['100 that are empty', '2 2', '200 200', "HTTP/1.1 200 OK\r\n" . join('', map { "X-$_:\r\n" } 1 .. 100) . "Content-Length: 5\r\n\r\nhello"],
    ['100 and then 200', undef, undef, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    ['status 000', '2 2', undef, "HTTP/1.1 000 None\r\nContent-Length: 5\r\n\r\nhello", differs => 1],
    ['status 999', '2 2', '999 200', "HTTP/1.1 999 Far\r\nContent-Length: 5\r\n\r\nhello"],
    ['status 204 with a body', '2 2', '204 200', "HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\nhello"],
    ['status 304 with a body', '2 2', '304 200', "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\nhello"],
    ['101 that nobody asked for', undef, undef, "HTTP/1.1 101 Other\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\nanother protocol"],
    ['a megabyte', '2 2', '200 200', "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" . '0123456789abcdef' x 65536],
) {
    my ($name, $seen, $expected, $answer, %options) = @$_;
    compare("$name from the origin", $seen, $expected, "GET PATH HTTP/1.1\r\nHost: a\r\n\r\nNEXT", answer => sub { $answer }, %options);
}

# Ranges, of a file and in the cache: of what a plugin may change there are none.
mkdir "$wire->{prefix}/html" or die $!;
open my $file, '>', "$wire->{prefix}/html/file" or die $!;
print $file '0123456789' x 100;
close $file;
my $changes = "{ path = guests .. 'script.wasm', conf = 'on_response_body\@end set_buffer_bytes 1 100000 0 !' },";
for (
    ['one range', 'GET', "Range: bytes=0-4\r\n", '206 01234', '200 ALL!'],
    ['the last bytes', 'GET', "Range: bytes=-3\r\n", '206 789', '200 ALL!'],
    ['no such range', 'GET', "Range: bytes=5000-\r\n", '416 PAGE', '200 ALL!'],
    ['not a range', 'GET', "Range: bytes=five\r\n", '416 PAGE', '200 ALL!'],
    ['a range of HEAD', 'HEAD', "Range: bytes=0-4\r\n", '206 ', '20[06] '],
    ['not modified', 'GET', "Range: bytes=0-4\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n", '200 ALL|206 01234|304 ', '200 ALL!|304 '],
) {
    my ($name, $method, $headers, $unchanged, $changed) = @$_;
    for (["{ path = wat .. 'add-header.wat' },", $unchanged], [$changes, $changed]) {
        my ($plugins, $expected) = @$_;
        $wire->chain($plugins);
        my ($text) = $wire->exchange("$method /file HTTP/1.1\r\nHost: a\r\n$headers\r\n$next");
        my @told = map { ($_->{rest} // $_->{status}) . " $_->{body}" =~ s/(?:0123456789){100}/ALL/r =~ s/<html>.*/PAGE/sr } Wire::responses($text, $method);
        like($told[0], qr/^(?:$expected)$/, "$name: " . ($plugins eq $changes ? 'changed' : 'unchanged'));
        like($told[1], qr/^200 own/, 'and the next response');
    }
}
every;
$wire->settled && $wire->news;

# What nginx makes of responses, each with plugins and without.
my @large = ('0123456789abcdef' x 65536, "HTTP/1.1 200 OK\r\nETag: \"large\"\r\nLast-Modified: Sat, 01 Jan 2022 00:00:00 GMT\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\nContent-Length: 1048576\r\n\r\n");
my $large = $large[1] . $large[0];
my @cached = ('MISS', 'HIT', 'HIT');
for (
    ['gzip', '200 200', 'gzip', '', 'Accept-Encoding: gzip'],
    ['gzip, HEAD', '200 200', 'gzip', 'HEAD', 'Accept-Encoding: gzip'],
    ['unbuffered', '200 200', 'unbuffered', '', ''],
    ['a limited rate', '200 200', 'rate', '', ''],
    ['the cache, empty', '200 200', 'cache', '', ''],
    ['the cache', '200 200', 'cache', '', ''],
    ['the cache, HEAD', '200 200', 'cache', 'HEAD', ''],
    ['the cache, not modified', '304 200', 'cache', '', 'If-None-Match: "large"'],
    ['the cache, not modified since', '304 200', 'cache', '', 'If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT'],
    ['the cache, not the same', '412', 'cache', '', 'If-Match: "other"'],
    ['an error page', '404 200', 'error', '', ''],
    ['an error page in a named location', '404 200', 'error-named', '', ''],
    ['another URI', '200 200', 'rewritten', '', ''],
    ['subrequests', '200 200', 'capture', '', ''],
    ['auth_request', '200 200', 'auth', '', ''],
    ['a mirror', '200 200', 'mirror', '', ''],
    ['SSI', '200 200', 'ssi', '', ''],
    ['sub_filter', '200 200', 'sub', '', ''],
) {
    my ($name, $expected, $path, $method, $header) = @$_;
    my $answer = sub {
        my $asked = shift;
        return $asked =~ m{ /\S*error} ? "HTTP/1.1 404 None\r\nContent-Length: 4\r\n\r\nnone" : $asked =~ m{ /\S*ssi}
            ? "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 37\r\n\r\n<!--#include virtual=\"/page/ssi\" -->!" : $asked =~ /^HEAD/ ? $large[1] : $large;
    };
    compare($name, undef, $expected, ($method || 'GET') . " PATH/$path HTTP/1.1\r\nHost: a\r\n" . ($header && "$header\r\n") . "\r\nNEXT", answer => $answer);
}

is($wire->lua('return ngx.worker.pid()'), $worker, 'the same worker all the time');
is_deeply([grep { !/client (?:sent|intended to send)|upstream (?:sent|prematurely closed)|is buffered to a temporary file/ } $wire->problems], [], 'nothing in the log but what nginx says');
done_testing();

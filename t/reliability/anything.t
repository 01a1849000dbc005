# Plugins that do anything, between clients and origins that do: whatever it comes to, each side reads HTTP, no client gets more responses than
# it has sent requests, no request comes to the origin that nobody has sent, and nothing stays.
#
# The same each time; SEED and ROUNDS say otherwise.

use strict;
use warnings;

use Test::More;
use Wire;

my $seed = $ENV{SEED} // 1;
srand $seed;

my $proxy = "$Wire::phases proxy_http_version 1.1; proxy_pass http://127.0.0.1:PORT;";
my $wire = Wire->new(http => <<'_EOC_', location => <<"_EOC_");
proxy_cache_path logs/cache keys_zone=cache:1m;
wasm_crash_limit off;
wasm_pause_timeout 50ms;
_EOC_
location /unbuffered { $proxy proxy_buffering off; proxy_request_buffering off; }
location /gzip { $proxy gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any; }
location /cache { $proxy proxy_cache cache; proxy_cache_valid any 1s; }
location /errors { $proxy proxy_intercept_errors on; error_page 403 404 500 502 /own; }
location /named { $proxy proxy_intercept_errors on; error_page 403 404 500 502 \@named; }
location \@named { $Wire::phases content_by_lua_block { ngx.print("named") } }
location /sub { $proxy sub_filter hello goodbye; sub_filter_types *; sub_filter_once off; }
location /upgrade { $proxy proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 200ms; }
location /captures { $Wire::phases content_by_lua_block { ngx.print(ngx.location.capture("/own").body, ngx.location.capture("/unbuffered").body) } }
location /flushes { $Wire::phases content_by_lua_block { for i = 1, 5 do ngx.print(i) ngx.flush(true) end } }
location /exec { $Wire::phases content_by_lua_block { ngx.exec("/own") } }
location /redirect { $Wire::phases content_by_lua_block { ngx.redirect("/own") } }
location /exit { $Wire::phases content_by_lua_block { ngx.exit(tonumber(ngx.var.arg_status) or 404) } }
location /gif { $Wire::phases empty_gif; }
_EOC_
my $worker = $wire->lua('return ngx.worker.pid()');
my $origin = '127.0.0.1:' . $wire->{origin}->sockport;

sub any { return $_[rand @_] }

my @paths = ('/origin', '/own', '/unbuffered', '/gzip', '/cache', '/errors', '/named', '/sub', '/upgrade', '/captures', '/flushes', '/exec', '/redirect',
    '/exit?status=204', '/exit?status=304', '/exit?status=404', '/gif');
my @names = qw(
    content-length transfer-encoding connection content-type content-encoding content-range etag last-modified location date server vary accept-ranges keep-alive
    upgrade trailer te expect host range if-none-match if-modified-since cache-control expires refresh link www-authenticate age set-cookie x-accel-redirect
    x-accel-buffering x-a status :status :path :method :authority :scheme
);
my @values = ('', 0, 1, 5, 100, 200, 204, 304, 101, 404, 503, 'chunked', 'gzip', 'close', 'keep-alive', 'upgrade', 'text/html', '/own', '/other?a=b', 'a b', 'GET', 'HEAD', 'POST',
    'bytes 0-1/5', 'bytes=0-1', '*', 'off', 'Sat, 01 Jan 2022 00:00:00 GMT', "\x01\x02", "a\r\nX-Evil: 1", 'x' x 5000);
my @callbacks = (('on_request_headers') x 4, ('on_response_headers') x 4, qw(on_request_body on_response_body on_log on_done on_delete on_context_create on_http_call_response));

sub pairs { return '(' . join(' ', map { Wire::quote(any(@names) . '=' . any(@values)) } 1 .. rand 4) . ')' }

# One line for the guest script.
sub line {
    my $callback = any(@callbacks);
    my $map = $callback =~ /request/ ? 0 : any(0, 2, 2, 2);
    my @commands = (
        (map { my $call = $_; sub { "$call $map " . any(@names) . ' ' . Wire::quote(any(@values)) } } qw(add_header_map_value replace_header_map_value)) x 2,
        (sub { "remove_header_map_value $map " . any(@names) }) x 2,
        sub { "set_header_map_pairs $map " . pairs },
        sub { join ' ', 'set_buffer_bytes', any(0, 1), any(0, 0, 3, 100000), any(0, 1, 100000), any('""', 'changed', 'x' x 3000) },
        sub { join ' ', 'send_local_response', any(0, 100, 200, 204, 206, 302, 304, 403, 404, 500), '""', any('""', 'denied', 'y' x 3000), pairs, any(-1, 0, 7) },
        (sub { 'return ' . any('pause', 'continue') }) x 3,
        sub { any('close_stream ', 'continue_stream ') . any(0, 1) },
        sub { "http_call $origin (:path=/called) \"\" () " . any(50, 5000) },
        sub { 'set_property ' . any('args', 'x.y') . ' ' . Wire::quote(any(@values)) },
        sub { $callback eq 'on_http_call_response' ? any('resume', 'effective caller') : any('effective root', 'effective stream') },
        sub { any('trap', 'done', 'get_header_map_pairs 0', 'get_header_map_pairs 2', 'get_buffer_bytes 0 0 100', 'get_buffer_bytes 1 0 100') },
    );
    $callback .= any('', '', '', '@end', '@more', '@1', '@2') if $callback =~ /body|headers/;
    return "$callback " . any(@commands)->();
}

sub plugin {
    my $script = join "\n", map { line } 0 .. rand 8;
    return "{ path = guests .. '" . any('script.wasm', 'script-0-2-0.wasm') . "', fail = '" . any('open', 'closed') . "', conf = [===[\n$script]===] },";
}

sub framed {
    my $body = shift;
    return "\r\n" if $body eq '';
    return 'Content-Length: ' . length($body) . "\r\n\r\n$body" if rand() < .5;
    return sprintf "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length $body, $body;
}

sub request {
    my ($method, $is_last) = @_;
    my $body = $method =~ /POST|PUT/ ? any('body', "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n", 'z' x 20000) : '';
    return "$method " . any(@paths) . " HTTP/1.1\r\nHost: a\r\n" . ($is_last ? "Connection: close\r\n" : '')
        . any('', '', "Accept-Encoding: gzip\r\n", "Range: bytes=0-2\r\n", "Content-Type: application/grpc\r\n", "Upgrade: other\r\nConnection: upgrade\r\n", "Expect: 100-continue\r\n")
        . framed($body);
}

sub answer {
    my $request = shift;
    my $body = any('hello', 'w' x 50000);
    my $length = 'Content-Length: ' . length($body) . "\r\n\r\n" . ($request =~ /^HEAD/ ? '' : $body);
    return ("HTTP/1.1 101 Other\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n", 1) if $request =~ /^upgrade: other\r$/im;
    return @{ any(
        ["HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Type: text/plain\r\n$length", 1],
        ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" . ($request =~ /^HEAD/ ? '' : "5\r\nhello\r\n0\r\n\r\n"), 1],
        ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1],
        ["HTTP/1.1 200 OK\r\n\r\nuntil the end", 0],
        ["HTTP/1.1 200 OK\r\nX-Accel-Redirect: /own\r\nContent-Length: 0\r\n\r\n", 1],
        ["HTTP/1.1 204 None\r\n\r\n", 1],
        ["HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 1],
        ["HTTP/1.1 304 Same\r\nContent-Length: 500\r\n\r\n", 1],
        ["HTTP/1.1 404 None\r\n$length", 1],
        ["HTTP/1.1 502 Bad\r\n$length", 1],
    ) };
}

# Whether that is one request and nothing else.
sub is_request {
    my ($head, $body) = shift =~ /\A[A-Z]+ (?!\/evil)[^\0-\x20\x7f]+ HTTP\/1\.1\r\n((?:[^\0-\x20:]+: ?[^\0\r\n]*\r\n)+)\r\n(.*)\z/s or return 0;
    return 0 if $head =~ /^x-evil/im;
    return 1 if $head =~ /^transfer-encoding: chunked\r$/im;
    return length $body == ($head =~ /^content-length: (\d+)\r$/im ? $1 : 0);
}

sub wrong {
    my ($text, $methods, @asked) = @_;
    return 'no end' if $text =~ /^no end/;
    my @responses = Wire::responses($text, @$methods);
    # what follows is of another protocol, on both sides
    return if grep { ($_->{status} // 0) == 101 } @responses;
    return 'no HTTP' if grep { defined $_->{rest} || $_->{head} =~ /^x-evil/im } @responses;
    return 'more responses than requests' if @$methods < grep { $_->{status} >= 200 } @responses;
    return 'another request' if grep { !is_request($_) } @asked;
    return;
}

my $rounds = $ENV{ROUNDS} // 20;
my ($exchanges, @wrong) = 0;
for my $round (1 .. $rounds) {
    my $plugins = join "\n", map { plugin } 0 .. rand 2;
    $plugins .= "\n{ path = wat .. 'set-response-header.wat', conf = 'content-length=3' }," if rand() < .2;
    $wire->chain($plugins);
    for (1 .. 4) {
        my @methods = map { any('GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'OPTIONS', 'DELETE') } 0 .. rand 3;
        my $bytes = join '', map { request($methods[$_], $_ == $#methods) } 0 .. $#methods;
        my ($text, @asked) = $wire->exchange($bytes, answer => \&answer);
        my $wrong = wrong($text, \@methods, @asked) // next;
        push @wrong, map { s/(.)\1{50,}/$1.../gr } "round $round, $wrong", $plugins, $bytes, $text, @asked;
    } continue {
        $exchanges++;
    }
    push @wrong, "round $round: contexts stay", $plugins if !$wire->settled;
    push @wrong, "round $round:", $plugins, $_ for grep { /\[(?:alert|emerg)\]|lua entry thread aborted/ } $wire->news;
}
is(scalar @wrong, 0, "$rounds times other plugins, $exchanges connections: nothing wrong (seed $seed)") or diag join "\n", @wrong;
is($wire->lua('return ngx.worker.pid()'), $worker, 'the same worker all the time');
done_testing();

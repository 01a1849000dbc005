# What a plugin, and a request, may use of a worker.

use strict;
use warnings;

use Test::More;
use IO::Socket::INET;
use Socket qw(SO_RCVTIMEO);
use Server;

my $locations = <<'_EOC_';
location /lua { content_by_lua_block { ngx.print(tostring(assert(loadstring(ngx.var.http_x_lua))())) } }
_EOC_

my $init = <<'_EOC_';
function new(name, file, conf, opts)
    return assert(wasm.on_configure(assert(wasm.load(name, file, opts)), conf or "x"))
end

function run(context)
    local ok, err = wasm.on_http_request_headers(context)
    return tostring(ok or err)
end
_EOC_

sub server {
    my %parts = @_;
    my $server = Server->new(%parts, location => $locations . ($parts{location} // ''), init => "$init\n" . ($parts{init} // ''));
    my ($ok, $output) = $server->start;
    ok($ok, 'nginx starts') or diag $output;
    return $server;
}

# What the log says of a plugin, without backtraces and nginx's words.
sub said {
    my ($server, $plugin) = @_;
    return map { /proxy-wasm $plugin: (.*?)(?:,? while .*|, client: .*)?$/ ? $1 : () } $server->log(qr/proxy-wasm $plugin: (?! +\d+:)/);
}

# Bytes as they are, on a connection of their own; what comes back until it is closed.
sub raw {
    my $bytes = shift;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$Server::port", Timeout => 5) or die $!;
    $socket->sockopt(SO_RCVTIMEO, pack 'l!l!', 10, 0);
    print $socket $bytes;
    local $/;
    return <$socket> // '';
}

my $crashed = 'failed to run proxy_on_http_request_headers';

{
    my $server = server(http => 'wasm_crash_limit off;', init => <<'_EOC_');
local script = guests .. "script.wasm"
grows = new("grows", script, "on_request_headers grow 32\non_request_headers grow 1000", { memory_limit = "4m" })
tables = new("tables", wat .. "tables.wat")
recurses = new("recurses", wat .. "recursion.wat")
asks = new("asks", wat .. "allocator-recurses.wat")
allocates = new("allocates", script, "on_request_headers alloc 1000000\non_request_headers trap")
_EOC_
    is($server->lua('return run(grows)'), 'true', 'a plugin that may have 4 MiB');
    is_deeply([said($server, 'grows')], ['on_request_headers grow -> 17', 'on_request_headers grow -> -1'], 'gets no more');
    is($server->lua('return tostring(wasm.load("large", guests .. "script.wasm", { memory_limit = "1m" }))'), 'nil', 'one that starts with more is not loaded');
    like((said($server, 'large'))[0], qr/memory minimum size of 17 pages exceeds memory limits$/, 'the log says why');
    is($server->lua('return run(tables)'), 'true', 'tables grow to 1,048,576 elements in all');
    is($server->lua('return tostring(wasm.load("large_tables", wat .. "tables-large.wat"))'), 'nil', 'a plugin that starts with more is not loaded');
    like((said($server, 'large_tables'))[0], qr/table minimum size of \d+ elements exceeds table limits$/, 'the log says why');
    my $memories = 'local plugin, err = wasm.load("memories", wat .. "memories.wat", { memory_limit = "1m" }) return plugin and run(assert(wasm.on_configure(plugin, "x"))) or err';
    if ($Server::vm eq 'wasmedge') {
        is($server->lua($memories), 'failed to load wasm plugin', 'several memories are not for WasmEdge');
    } else {
        is($server->lua($memories), 'true', 'several memories count together');
    }

    my ($worker) = $server->workers;
    my $crash = 'return run(recurses) .. run(asks) .. run(allocates)';
    is($server->lua($crash), $crashed x 3, 'a plugin that calls itself without an end, one that does so through the host, and one that traps with a MB in its hands');
    is_deeply([said($server, $_)], ['proxy_on_request_headers trapped: wasm trap: call stack exhausted'], 'the cause is in the log') for 'recurses', 'asks';
    $server->lua($crash) for 1 .. 30;
    my $before = $server->rss($worker);
    $server->lua($crash) for 1 .. 200;
    my $more = $server->rss($worker) - $before;
    cmp_ok($more, '<', 8, 'two hundred of each take no memory');
    is_deeply([$server->workers], [$worker], 'the worker is the same');
}

{
    my $server = server(http => 'wasm_instance_limit 3;');
    is($server->lua('all = {} for i = 1, 3 do all[i] = wasm.load("plugin" .. i, wat .. "add-header.wat") end return #all'), 3, 'three instances');
    is($server->lua('local plugin, err = wasm.load("more", wat .. "add-header.wat") return err'), 'failed to load wasm plugin', 'a fourth there is not');
    is((said($server, 'more'))[-1], 'failed to load "' . "$Server::root/t/plugins/wat/add-header.wat" . '": there are 3 instances of plugins in this worker already (wasm_instance_limit)',
        'the log says why');
    is($server->lua('all[1] = nil collectgarbage() collectgarbage() return type(wasm.load("more", wat .. "add-header.wat"))'), 'cdata', 'but in the place of one that is gone');
}

{
    # the instances of the master are not those of its workers, and one that has trapped has room for its successor
    my $server = server(http => 'wasm_instance_limit 1;', init => 'traps = new("traps", guests .. "script.wasm", "on_request_headers trap")');
    is($server->lua('return run(traps)'), $crashed, 'one instance, made in the master');
    is($server->lua('return run(traps)'), $crashed, 'is made again');
    is(scalar(grep { /trapped/ } said($server, 'traps')), 2, 'and traps again');
    is(scalar(grep { /wasm_instance_limit/ } said($server, 'traps')), 0, 'there is room');
}

{
    my $server = server(http => 'keepalive_requests 20000; wasm_stream_limit 100;', location => <<'_EOC_', init => <<'_EOC2_');
location /lingers {
    content_by_lua_block { ngx.print(wasm.on_http_request_headers(lingers) and "ok" or "no") }
}
location ~ ^/chain/(?<name>\w+) {
    access_by_lua_block { chains[ngx.var.name]:access() }
    content_by_lua_block { ngx.sleep(tonumber(ngx.var.arg_sleep or 0)) ngx.print("hello") }
}
_EOC_
function contexts(name, conf, n)
    local plugin = assert(wasm.load(name, guests .. "script.wasm", { stream_limit = "5" }))
    local all = {}
    for i = 1, n do
        all[i] = assert(wasm.on_configure(plugin, conf))
    end
    return all
end
-- each sees the same request for the first time
function ran(all)
    local n = 0
    for i = 1, #all do
        n = n + (run(all[i]) == "true" and 1 or 0)
    end
    return n
end
five = contexts("five", "on_log count logged", 8)
local plugin = assert(wasm.load("lingers", guests .. "script.wasm"))
lingers = assert(wasm.on_configure(plugin, "on_done return false"))
function count() return wasm.info(plugin).contexts end
due = contexts("due", "on_done return false\non_log count logged\non_delete count deleted", 1)
chains = {}
for _, fail in ipairs{ "closed", "open" } do
    chains[fail] = assert(wasm.chain{ { name = fail, path = guests .. "script.wasm", conf = "on_log count logged", fail = fail, stream_limit = "1" } })
end
_EOC2_
    my ($worker) = $server->workers;
    is($server->lua('return ran(five)'), 5, 'five requests at once, and not more');
    is((grep { /wasm_stream_limit/ } said($server, 'five'))[0], 'the VM has 5 requests already (wasm_stream_limit)', 'the log says why');
    is(scalar(grep { /wasm_stream_limit/ } said($server, 'five')), 1, 'once');
    is(scalar(grep { /logged/ } said($server, 'five')), 5, 'the others end as ever');
    is($server->lua('return ran(five)'), 5, 'and there is room for five others');
    is(scalar(grep { /wasm_stream_limit/ } said($server, 'five')), 2, 'the log says it again');

    is($server->lua('return run(due[1])'), 'true', 'a plugin that is not done with a request') for 1 .. 6;
    is_deeply([grep { /count/ } said($server, 'due')], ['on_log count logged 1', 'on_delete count deleted 1'], 'is done with it where there is no room');

    for (['closed', 500], ['open', 200]) {
        my ($fail, $status) = @$_;
        my $pid = fork // die $!;
        if (!$pid) {
            require POSIX;
            POSIX::_exit(($server->get("/chain/$fail?sleep=1"))[0] == 200 ? 0 : 1);
        }
        # the first request may come a little later
        ok(Server::wait_for(sub { ($server->get("/chain/$fail"))[0] == $status && grep { /wasm_stream_limit/ } said($server, $fail) }), "a request beyond that, where plugins fail $fail: $status");
        waitpid $pid, 0;
        is($?, 0, 'the other ends well');
        is(($server->get("/chain/$fail"))[0], 200, 'and then there is room');
    }

    # 10,000 requests on one connection
    my $many = sub {
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$Server::port", Timeout => 5) or die $!;
        my $seen = '';
        for my $batch (1 .. $_[0] / 500) {
            print $socket "GET /lingers HTTP/1.1\r\nHost: a\r\n\r\n" x 500;
            while (1) {
                my $n = () = $seen =~ /\r\n2\r\nok\r\n0\r\n\r\n/g;
                last if $n >= 500 * $batch;
                sysread $socket, $seen, 65536, length $seen or last;
            }
        }
        return scalar(() = $seen =~ /\r\n2\r\nok\r\n/g);
    };
    is($many->(1000), 1000, 'a plugin that is never done with a request: a thousand');
    cmp_ok($server->lua('return count()'), '<=', 101, 'leave no more contexts than there may be');
    my $before = $server->rss($worker);
    is($many->(10000), 10000, 'ten thousand more');
    cmp_ok($server->rss($worker) - $before, '<', 4, 'take no memory');
    cmp_ok($server->lua('return count()'), '<=', 101, 'nor contexts');
    is_deeply([$server->workers], [$worker], 'the worker is the same');
    is_deeply([$server->log(qr/\[(?:crit|alert|emerg)\]/)], [], 'nothing bad in the log');
}

{
    my $server = server(http => 'client_body_buffer_size 16k; wasm_body_buffer_size 4k;', location => <<'_EOC_', init => <<'_EOC2_');
location ~ ^/chain/(?<name>\w+)/memory {
    access_by_lua_block { chains[ngx.var.name]:access() }
    content_by_lua_block { ngx.print("seen") }
    header_filter_by_lua_block { chains[ngx.var.name]:header_filter() }
    body_filter_by_lua_block { return chains[ngx.var.name]:body_filter() }
}
location ~ ^/chain/(?<name>\w+)/file {
    client_body_buffer_size 1k;
    access_by_lua_block { chains[ngx.var.name]:access() }
    content_by_lua_block { ngx.print("seen") }
    header_filter_by_lua_block { chains[ngx.var.name]:header_filter() }
    body_filter_by_lua_block { return chains[ngx.var.name]:body_filter() }
}
location ~ ^/api/(?<name>\w+) {
    access_by_lua_block {
        ngx.req.read_body()
        local body = ngx.req.get_body_data()
        -- in two pieces
        for i = 1, 2 do
            local ok, err = wasm.on_http_request_body(api[ngx.var.name], i == 1 and body:sub(1, 2000) or body:sub(2001), i == 2)
            if not ok then
                ngx.log(ngx.ERR, err)
            end
        end
    }
    content_by_lua_block { ngx.print("seen") }
}
# 100 pieces of 100 bytes, or so many bytes
location ~ ^/response/(?<name>\w+) {
    content_by_lua_block {
        local length = tonumber(ngx.var.arg_length or 10000)
        while length > 0 do
            local n = math.min(length, tonumber(ngx.var.arg_piece or 100))
            ngx.print(("%08d"):format(length):rep(math.ceil(n / 8)):sub(1, n))
            ngx.flush(true)
            length = length - n
        end
    }
    header_filter_by_lua_block { chains[ngx.var.name]:header_filter() }
    body_filter_by_lua_block { return chains[ngx.var.name]:body_filter() }
}
location /filter {
    content_by_lua_block { for i = 1, 100 do ngx.print(("%08d"):format(i):rep(12), "four") ngx.flush(true) end }
    header_filter_by_lua_block { assert(wasm.on_http_response_headers(api.holds)) }
    body_filter_by_lua_block {
        local ok, err = wasm.on_http_response_body(api.holds)
        ngx.ctx.n = (ngx.ctx.n or 0) + (ok and 0 or 1)
        if not ok then
            ngx.log(ngx.ERR, "error ", ngx.ctx.n, ": ", err)
        end
    }
}
_EOC_
local script = guests .. "script.wasm"
local function chain(name, fail, conf)
    return assert(wasm.chain{ { name = name, path = script, fail = fail, conf = conf } })
end
local body = "on_request_body args\non_response_headers add_header_map_value 2 x-seen yes\non_log count logged"
local holds = "on_response_body@more return pause\non_response_body@end args\non_log count logged"
chains = {
    closed = chain("closed", "closed", body), open = chain("open", "open", body),
    holds = chain("holds", "closed", holds), lets = chain("lets", "open", holds),
    passes = chain("passes", "closed", "on_response_body count pieces"),
    sets = chain("sets", "closed", "on_request_body as exact set_buffer_bytes 0 0 5 " .. ("x"):rep(4096)
        .. "\non_request_body as longer set_buffer_bytes 0 0 4096 " .. ("y"):rep(4097)
        .. "\non_request_body as appended set_buffer_bytes 0 4096 0 z"
        .. "\non_request_body as shorter set_buffer_bytes 0 0 4096 " .. ("y"):rep(4095)),
    answers = chain("answers", "closed", 'on_request_headers send_local_response 403 "" ' .. ("z"):rep(4096)),
    answers_longer = chain("answers_longer", "closed", 'on_request_headers send_local_response 403 "" ' .. ("z"):rep(4097)),
}
api = {
    holds = new("holder", script, "on_request_body@more return pause\non_request_body args\n" .. holds),
    passes = new("passer", script, "on_request_body args"),
}
_EOC2_
    my ($worker) = $server->workers;
    my $send = sub {
        my ($path, $length, $chunked) = @_;
        my $body = 'b' x $length;
        my $answer = raw("POST $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" . ($chunked
            ? sprintf "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", $length, $body
            : "Content-Length: $length\r\n\r\n$body"));
        return $answer =~ m{^HTTP/1.1 (\d+)} ? $1 : 'none';
    };
    my $refused = 0;
    for my $fail (qw(closed open)) {
        for my $where (qw(memory file)) {
            for my $chunked (0, 1) {
                my $name = 'a body in ' . ($where eq 'file' ? 'a file, ' : 'memory, ') . ($chunked ? 'without' : 'with') . " a length, where plugins fail $fail";
                is($send->("/chain/$fail/$where", 4096, $chunked), 200, "$name: as long as it may be");
                is($send->("/chain/$fail/$where", 4097, $chunked), 413, "$name: a byte longer");
            }
        }
        ok(Server::wait_for(sub { (my @logged = grep { /logged/ } said($server, $fail)) == 8 }), 'requests end');
        is_deeply([grep { /body args/ && s/: \d+/: N/ } said($server, $fail)], [('on_request_body args: N 4096 1') x 4], 'the plugin saw the bodies that are not too long');
    }
    is($send->('/chain/closed/memory', 1000000, 0), 413, 'a body of a MB');
    is($send->('/chain/closed/file', 1000000, 1), 413, 'in a file');
    is($send->('/api/holds', 4096, 0), 200, 'the functions: a body that is held back');
    is($send->('/api/holds', 4097, 0), 413, 'a byte longer');
    is($send->('/api/passes', 6096, 0), 200, 'one of which no piece is longer');
    is($send->('/api/passes', 6097, 0), 413, 'and one of which one is');

    my $whole = sub {
        my ($length, $piece) = @_;
        my $body = '';
        while ($length > 0) {
            my $n = $length < $piece ? $length : $piece;
            $body .= substr sprintf('%08d', $length) x (1 + $n / 8), 0, $n;
            $length -= $n;
        }
        return $body;
    };
    is(($server->get('/response/holds?length=4096'))[1], $whole->(4096, 100), 'a response that is held back arrives, as long as it may be');
    my ($status, $body) = $server->get('/response/lets?length=4097');
    is("$status $body", '200 ' . $whole->(4097, 100), 'a byte longer, where the plugin fails open: all of it arrives');
    my $answer = raw("GET /response/holds?length=4097 HTTP/1.1\r\nHost: a\r\n\r\n");
    unlike($answer, qr/\r\n0\r\n\r\n$/, 'where it fails closed: the connection is closed before the end');
    is(($server->get('/response/lets'))[1], $whole->(10000, 100), 'one that is much longer');
    is(scalar(grep { $_ eq 'a body of more than 4096 bytes (wasm_body_buffer_size)' } said($server, 'lets')), 2, 'the log says it once for each');
    is((grep { /response_body args/ && s/: \d+/: N/ } said($server, 'holds'))[0], 'on_response_body args: N 4096 1', 'the plugin saw the first');
    is(scalar(grep { /response_body args/ } said($server, 'lets')), 0, 'and nothing more of those');
    is(($server->get('/response/passes?length=100000&piece=50000'))[1], $whole->(100000, 50000), 'what is not held back may be longer');

    ($status, $body) = $server->get('/filter');
    is($body, join('', map { sprintf('%08d', $_) x 12 . 'four' } 1 .. 100), 'the functions: all of it arrives');
    my @errors = $server->log(qr/error \d+: /);
    is(scalar @errors, 1, 'with one error');
    like($errors[0] // '', qr/error 1: failed to run proxy_on_http_response_body/, 'of the call');

    is($send->('/chain/sets/memory', 5, 0), 200, 'a plugin that makes a body longer');
    my $warning = 'proxy_set_buffer_bytes: a body of 4097 bytes, 4096 are allowed';
    is_deeply([grep { /->|allowed/ } said($server, 'sets')], ['on_request_body exact -> 0', $warning, 'on_request_body longer -> 2', $warning,
        'on_request_body appended -> 2', 'on_request_body shorter -> 0'], 'may make it so long');

    is(join(' ', ($server->get('/chain/answers/memory'))[0, 1]), '403 ' . 'z' x 4096, 'a local response as long as it may be');
    is(($server->get('/chain/answers_longer/memory'))[0], 500, 'a byte longer');
    is((said($server, 'answers_longer'))[0], 'proxy_send_local_response: a body of 4097 bytes, 4096 are allowed, 500 is sent', 'the log says why');
    is_deeply([$server->workers], [$worker], 'the worker is the same');
    is_deeply([$server->log(qr/trapped|\[(?:crit|alert|emerg)\]/)], [], 'nothing trapped');
}

{
    my $server = server(http => 'large_client_header_buffers 4 16k;', location => <<'_EOC_', init => <<'_EOC2_');
location /echo { content_by_lua_block { ngx.print(#(ngx.var.http_x_value or "")) } }
location ~ ^/(?<name>often|much)$ {
    access_by_lua_block { wasm.on_http_request_headers(contexts[ngx.var.name]) }
    proxy_pass http://127.0.0.1:$server_port/echo;
}
_EOC_
contexts = { often = new("often", wat .. "changes.wat", ("x"):rep(4096)), much = new("much", wat .. "changes.wat", ("x"):rep(128)) }
-- sets one property after the other, 181 times
local function sets(name, property)
    local lines = { "on_request_headers as big get_property request.headers.x-big" }
    for i = 100, 280 do
        lines[#lines + 1] = "on_request_headers set_property " .. property:format(i) .. " %big"
    end
    return new(name, guests .. "script.wasm", table.concat(lines, "\n"))
end
keeps, variables = sets("keeps", "my.%d"), sets("variables", "args")
_EOC2_
    my %length = (often => 1, much => 8185);
    for my $name (qw(often much)) {
        for my $n (1, 2) {
            is(join(' ', ($server->get("/$name"))[0, 1]), "200 $length{$name}", "headers that are changed $name: the request goes on");
            is_deeply([said($server, $name)], [('too many changes of headers and variables in one request, the rest is refused') x $n], 'after a warning');
        }
    }
    for (['keeps', 'properties of its own'], ['variables', 'a variable of nginx']) {
        my ($plugin, $name) = @$_;
        is(($server->get('/lua', 'x-lua' => "return run($plugin)", 'x-big' => 'b' x 6000))[1], 'true', "a plugin that sets $name");
        my %statuses;
        $statuses{$_}++ for map { /set_property -> (\d)/ } said($server, $plugin);
        # each of 6,006 bytes, or of 6,004
        is_deeply(\%statuses, { 0 => 174, 1 => 7 }, 'can do so for a MiB');
    }
    is_deeply([grep { /too many/ } said($server, 'variables')], ['too many changes of headers and variables in one request, the rest is refused'], 'the log says so of the variable');
}

my %words = (
    wasm_start_deadline => [['0', '2h', 'soon', ''], 'a time from 1ms to 1h', ['1ms', '1h', '3600']],
    wasm_crash_window => [['0ms', '61m', '-1'], 'a time from 1ms to 1h', ['1ms', '60m']],
    wasm_memory_renew => [['63k', '5g', 'on', 'off'], 'a size from 64k to 4g', ['64k', '4g', '65536']],
    wasm_instance_limit => [['0', '65537', '1k', '-1', 'off', ''], 'a number from 1 to 65536', ['1', '65536']],
    wasm_stream_limit => [['0', '1000001', '1.5'], 'a number from 1 to 1000000', ['1', '1000000']],
    wasm_log_limit => [['0', '1000001', 'off'], 'a number from 1 to 1000000', ['1', '1000000']],
    wasm_body_buffer_size => [['1023', '1025m', '2g', 'k'], 'a size from 1k to 1g', ['1024', '1k', '1G']],
    wasm_crash_limit => [['-1', '1000001', 'on', 'OFF', ''], 'off or a number from 0 to 1000000', ['off', '0', '1000000']],
);

for my $directive (sort keys %words) {
    my ($bad, $wanted) = @{ $words{$directive} };
    my ($ok, $output) = Server->new(require => 0, http => "$directive \"$bad->[0]\";")->check;
    like($output, qr{\[emerg\].* bad $directive "\Q$bad->[0]\E", it must be \Q$wanted\E in }, "$directive \"$bad->[0]\" is refused");
}
{
    my $all = join ' ', map { "$_ $words{$_}[2][0];" } sort keys %words;
    my ($ok, $output) = Server->new(require => 0, http => $all)->check;
    ok($ok, 'all of them with good words') or diag $output;
    ($ok, $output) = Server->new(require => 0, http => "$all wasm_log_limit 5;")->check;
    like($output, qr/"wasm_log_limit" directive is duplicate/, 'one of them twice');
}

{
    my $server = server(init => <<'_EOC_');
function setup(name, word)
    local _, err = wasm.setup{ [name] = word }
    return tostring(err)
end
function option(name, word)
    local _, err = wasm.load("options", wat .. "add-header.wat", { [name] = word })
    return tostring(err)
end
function raises(call, ...)
    local ok, err = pcall(call, ...)
    return ok and "nothing" or err:gsub("^.-:%d+: ", "")
end
_EOC_
    for my $directive (sort keys %words) {
        my ($bad, $wanted, $good) = @{ $words{$directive} };
        (my $name = $directive) =~ s/^wasm_//;
        for my $word (@$bad) {
            is($server->lua("return setup('$name', '$word')"), "bad $directive \"$word\", it must be $wanted", "setup{ $name = \"$word\" } is refused");
            next if $name eq 'instance_limit';
            is($server->lua("return option('$name', '$word')"), "bad $name \"$word\", it must be $wanted", "and as an option of a plugin");
        }
        next if $name eq 'instance_limit';
        is($server->lua("return option('$name', '$_')"), 'nil', "the option $name may be $_") for @$good;
    }
    my %others = (deadline => ['2h', 'a time from 1ms to 1h'], memory_limit => ['1', 'a size from 64k to 4g'], pause_timeout => ['x', 'a time from 1ms to 1h']);
    for my $name (sort keys %others) {
        my ($word, $wanted) = @{ $others{$name} };
        is($server->lua("return option('$name', '$word')"), "bad $name \"$word\", it must be $wanted", "the option $name = \"$word\" is refused");
    }
    my $file = 'wat .. "add-header.wat"';
    is($server->lua("return raises(wasm.load, 'x', $file, { instance_limit = '5' })"), 'unknown option "instance_limit"', 'one that is for all plugins only');
    is($server->lua("return raises(wasm.load, 'x', $file, { wasm_deadline = '1s' })"), 'unknown option "wasm_deadline"', 'one with the name of its directive');
    is($server->lua("return raises(wasm.load, 'x', $file, { log_limit = 5 })"), 'bad option "log_limit": string expected, got number', 'one that is a number');
    is($server->lua("return raises(wasm.setup, { log_limit = 5 })"), 'bad option "log_limit": string expected, got number', 'one of setup{}');
    is($server->lua("return raises(wasm.chain, { { path = $file, crash_limit = true } })"), 'bad plugin 1: crash_limit is not a string', 'one of a chain');
    is($server->lua("return raises(wasm.chain, { { path = $file, instance_limit = '5' } })"), 'bad plugin 1: unknown option "instance_limit"', 'one that there is not in a chain');
    is($server->lua("return select(2, wasm.chain{ { path = $file, stream_limit = '0' } })"), 'plugin add-header: bad stream_limit "0", it must be a number from 1 to 1000000',
        'one of a chain with a bad word');
    is_deeply([$server->log(qr/\[(?:error|crit|alert|emerg)\]/)], [], 'nothing in the log');
}

done_testing();

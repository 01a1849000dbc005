# How much a plugin may write to the log.

use strict;
use warnings;

use Test::More;
use Server;

my $server = Server->new(http => 'wasm_log_limit 100; wasm_crash_limit off;', init => <<'_EOC_', location => <<'_EOC2_');
local function new(name, opts)
    return assert(wasm.on_configure(assert(wasm.load(name, wat .. "logs.wat", opts)), "x"))
end
plugins = {}
for name, limit in pairs{ long = "", more = "", other = "", trap = "", again = "", own = "7", one = "1", quiet = "5", many = "1000000" } do
    plugins[name] = new(name, limit ~= "" and { log_limit = limit } or nil)
end
plugins.prints = assert(wasm.on_configure(assert(wasm.load("prints", guests .. "script.wasm", { log_limit = "5" })),
    "on_request_headers stdout a\non_request_headers stdout b\non_request_headers stderr c\non_request_headers log info d\non_request_headers stdout e\non_request_headers stdout f"))

-- the plugin sees the request with these headers, for the first time
function log(name, headers)
    for header, value in pairs(headers) do
        ngx.req.set_header("x-" .. header, value)
    end
    return tostring(wasm.on_http_request_headers(plugins[name]))
end
_EOC_
location /lua { content_by_lua_block { ngx.print(tostring(assert(loadstring(ngx.var.http_x_lua))())) } }
_EOC2_
my ($ok, $output) = $server->start;
ok($ok, 'nginx starts') or diag $output;

# What the log says of a plugin, without nginx's words.
sub said {
    my $name = shift;
    return map { /proxy-wasm $name: (.*?), client: / ? $1 : () } $server->log(qr/\] \S+ \*\d+ proxy-wasm $name: /);
}

is($server->lua('return log("long", { records = 1, bytes = 20000, level = 2 })'), 'true', 'a record of 20,000 bytes');
my @said = said('long');
is(join('', @said), 'x' x 20000, 'is written in pieces');
is_deeply([grep { length > 1900 } @said], [], 'none of which nginx cuts');
is_deeply([grep { length > 2100 } $server->log(qr/proxy-wasm long/)], [], 'nor are the lines longer');
is($server->lua('return log("long", { records = 1, bytes = 200000, level = 2 })'), 'true', 'one of 200,000 bytes');
@said = said('long');
is(length(join('', @said)) - 20000, 65536, 'is cut at 64 KiB');

# the second begins with the first record
is($server->lua('return log("more", { records = 250, bytes = 1, level = 2 }) .. log("other", { records = 100 })'), 'truetrue', '250 records in a second, where 100 may be');
is(scalar(grep { $_ eq 'x' } said('more')), 100, '100 are written');
is_deeply([grep { $_ ne 'x' } said('more')], ['writes more than 100 records a second, what is more is dropped'], 'one line says that the rest is not');
is(scalar($server->log(qr/\[warn\].* proxy-wasm more: writes more/)), 1, 'as a warning');
is_deeply([said('other')], [('x') x 100], 'another plugin writes its own');
is($server->lua('ngx.sleep(1.1) return log("more", { records = 2, bytes = 1, level = 2 })'), 'true', 'in another second');
is_deeply([grep { $_ ne 'x' } said('more')], ['writes more than 100 records a second, what is more is dropped', '150 records were dropped'], 'another line says how many');
is(scalar(grep { $_ eq 'x' } said('more')), 102, 'and it goes on');
is(scalar($server->log(qr/\[warn\].* proxy-wasm more: 150 records/)), 1, 'as a warning too');

is($server->lua('return log("trap", { records = 150, bytes = 1, level = 2, trap = 1 })'), 'nil', 'a plugin that has written too much traps');
is(scalar(grep { $_ eq 'x' } said('trap')), 100, 'no more is written of it');
like(join('|', said('trap')), qr/dropped\|proxy_on_request_headers trapped: wasm trap: wasm `unreachable` instruction executed/, 'but that it trapped');
like(join('|', said('trap')), qr/executed\|\s+0: +0x\w+ - \S+/, 'and where') unless $Server::vm eq 'wasmedge';

$server->lua('log("again", { records = 100, bytes = 1, level = 2, trap = 1 })') for 1 .. 5;
cmp_ok(scalar(grep { $_ eq 'x' } said('again')), '<', 500, 'a crash does not give it more');

is($server->lua('return log("own", { records = 20, bytes = 1, level = 2 }) .. log("one", { records = 20 }) .. log("many", { records = 2000 })'), 'truetruetrue', 'plugins with limits of their own');
is(join(' ', map { my $name = $_; scalar(grep { $_ eq 'x' } said($name)) } qw(own one many)), '7 1 2000', 'each has that');
is($server->lua('return log("quiet", { records = 50, bytes = 1, level = 1 }) .. log("quiet", { records = 5, level = 2 })'), 'truetrue', 'what is below the level of the log');
is_deeply([said('quiet')], [('x') x 5], 'does not count');
is($server->lua('return log("prints", {})'), 'true', 'what is printed');
is_deeply([said('prints')], [qw(a b c d e), 'writes more than 5 records a second, what is more is dropped'], 'counts too');

done_testing();

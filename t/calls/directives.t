# What the directives for calls take, and setup() with them.

use strict;
use warnings;

use Test::More;
use Server;

my $where = qr{ in \S+/nginx\.conf:\d+\n};
my $switch = 'it must be on or off';
my $time = 'it must be a time from 1ms to 1h';
my $file = "$Server::root/t/lib/Server.pm";

my ($ok, $output) = Server->new(http => <<"_EOC_")->check;
wasm_call_limit 65536;
wasm_call_timeout 1h;
wasm_call_max_headers 1m;
wasm_call_max_body 1g;
wasm_call_ssl_verify off;
wasm_call_ssl_trusted_certificate $file;
wasm_call_http2 auto;
wasm_call_wait on;
wasm_pause_timeout 1ms;
_EOC_
ok($ok, 'what they take') or diag $output;

for my $bad (
    ['wasm_call_limit', 'it must be a number from 1 to 65536', '0', '65537', '-1', '1k', ''],
    ['wasm_call_timeout', $time, '0', '61m', 'off'],
    ['wasm_pause_timeout', $time, '0s', '1d'],
    ['wasm_call_max_headers', 'it must be a size from 1k to 1m', '1023', '2m', 'x'],
    ['wasm_call_max_body', 'it must be a size from 1k to 1g', '0', '1025m'],
    ['wasm_call_ssl_verify', $switch, 'yes', 'ON'],
    ['wasm_call_http2', 'it must be auto, on or off', 'h2c'],
    ['wasm_call_wait', $switch, 'auto'],
) {
    my ($name, $wanted, @words) = @$bad;
    for my $word (@words) {
        my ($ok, $output) = Server->new(require => 0, http => "$name \"$word\";")->check;
        like($output, qr{\[emerg\].* bad $name "\Q$word\E", $wanted$where}, "$name \"$word\" is refused");
    }
}
($ok, $output) = Server->new(require => 0, http => 'wasm_call_ssl_trusted_certificate /none.pem;')->check;
like($output, qr{\[emerg\].* bad wasm_call_ssl_trusted_certificate "/none\.pem": No such file or directory}, 'so is a file that is not there');
($ok, $output) = Server->new(require => 0, http => "wasm_call_wait on;\nwasm_call_wait on;")->check;
like($output, qr{"wasm_call_wait" directive is duplicate$where}, 'and a directive given twice');

my $server = Server->new(http => 'wasm_call_limit 5;', init => <<"_EOC_", location => 'location /t { content_by_lua_block { ngx.print(said) } }');
said = ""
for _, options in ipairs{
    { call_limit = "5", call_timeout = "2s", call_max_headers = "2k", call_max_body = "2k", call_ssl_verify = "off", call_ssl_trusted_certificate = "$file",
      call_http2 = "on", call_wait = "off", pause_timeout = "1s" },
    { call_limit = "6" },
    { call_timeout = "never" },
    { call_ssl_trusted_certificate = "/none.pem" },
    { call_ssl_trusted_certificate = "ca.pem" },
} do
    local ok, err = wasm.setup(options)
    said = said .. tostring(ok) .. " " .. tostring(err) .. "\\n"
end
_EOC_
($ok, $output) = $server->start;
ok($ok, 'nginx starts') or diag $output;
is(($server->get('/t'))[1], <<"_EOC_", 'setup() says the same');
true nil
nil "6" is not what the directive says: wasm_call_limit 5
nil bad wasm_call_timeout "never", $time
nil bad wasm_call_ssl_trusted_certificate "/none.pem": No such file or directory
nil bad wasm_call_ssl_trusted_certificate "ca.pem", it must be a full path
_EOC_

done_testing;
